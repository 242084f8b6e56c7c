"""The target in tables of VizieR, as the campaign's configuration names them: one question a table for the round."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote

from emberline.campaign.panels.base import Fact, Finding, Link, Panel, Place, Tools
from emberline.campaign.panels.config import CatalogueConfig
from emberline.campaign.panels.parallel import in_parallel
from emberline.campaign.panels.sources import Rows, by_place, positions
from emberline.campaign.panels.trouble import failure
from emberline.errors import EmberlineError

__all__ = ["CataloguesPanel"]

_COLUMNS = 12
_PAGE = "https://vizier.cds.unistra.fr/viz-bin/VizieR-4?-source={table}&-c={place}&-c.rs={radius:g}"


class CataloguesPanel(Panel):
    """The nearest row of each table; a table that fails is named, and the others are shown."""

    name: ClassVar[str] = "catalogues"
    title: ClassVar[str] = "Catalogues"
    service: ClassVar[str] = "VizieR"

    def ask(self, places: Sequence[Place], tools: Tools) -> Mapping[str, Finding]:
        """See `Panel.ask`."""
        tables = tools.config.vizier
        answers: dict[int, Rows | Finding] = {}
        lock = threading.Lock()

        def one(number: int) -> None:
            answer = _rows(tables[number], places, tools)
            with lock:  # what is kept last must be what knows most
                answers[number] = answer
                for place in places:
                    tools.keep(place.identifier, _finding(place, tables, answers, tools, whole=False))

        in_parallel(range(len(tables)), one, tools, at_once=2)
        return {place.identifier: _finding(place, tables, answers, tools, whole=True) for place in places}


def _rows(table: CatalogueConfig, places: Sequence[Place], tools: Tools) -> Rows | Finding:
    from emberline.vo.client import vizier

    radius = (table.radius or tools.config.radius) / 3600
    try:
        found = vizier.around(tools.asking(), positions(places)[0], radius, table.table, columns=table.columns)
        return by_place(found, places)
    except EmberlineError as error:
        return failure(error, f"VizieR {table.table}")


def _finding(
    place: Place,
    tables: Sequence[CatalogueConfig],
    answers: Mapping[int, Rows | Finding],
    tools: Tools,
    *,
    whole: bool,
) -> Finding:
    facts: list[Fact] = []
    links: list[Link] = []
    bad: Finding | None = None
    for number, answer in sorted(answers.items()):
        if isinstance(answer, Finding):
            bad = bad or answer
            continue
        if place.identifier in answer.unanswered:
            bad = bad or answer.finding(f"VizieR {tables[number].table}")
        rows = answer.of[place.identifier]
        if rows:
            facts += _facts(tables[number], rows)
            links.append(_link(tables[number], place, tools))
    state = bad.state if bad else "found" if facts else "nothing"
    service, message = (bad.service, bad.message) if bad else ("VizieR", "")
    return Finding(
        state if whole else "waiting", tuple(facts), tuple(links), message=message if whole else "", service=service
    )


def _facts(table: CatalogueConfig, rows: Sequence[Mapping[str, Any]]) -> list[Fact]:
    """The nearest row: one fact for each column that has a value."""
    row, title = rows[0], table.title or table.table
    names = table.columns or tuple(name for name in row if name != "separation")
    found = [
        Fact(f"{title} {name}", _shown(row[name]), title=f"{row['separation']:.1f}″ away")
        for name in names[:_COLUMNS]
        if row.get(name) is not None
    ]
    if len(rows) > 1:
        found.append(Fact(f"{title}: more rows", str(len(rows) - 1)))
    return found


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _link(table: CatalogueConfig, place: Place, tools: Tools) -> Link:
    where = quote(f"{place.ra:.6f} {place.dec:+.6f}")
    page = _PAGE.format(table=quote(table.table, safe=""), place=where, radius=table.radius or tools.config.radius)
    return Link(table.title or table.table, page)
