"""Everything that annotators did, written to a file: before anything is taken away, and for whoever wants to check."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emberline.campaign.annotation.events import COLUMNS, event_of
from emberline.campaign.annotation.state import State
from emberline.errors import CampaignError
from emberline.files import write_text
from emberline.provenance import provenance

if TYPE_CHECKING:
    from emberline.campaign.campaign import Campaign

__all__ = ["export_labels"]

_OF_A_LABEL = ("identifier", "answer", "who", "purpose", "round")


def export_labels(campaign: Campaign, path: Path | str) -> int:
    """Write all events, undone ones included, as CSV or JSON, by the file's ending; returns how many there are.

    CSV has one row an event; `holds` says whether it has not been taken back, and `shown` and `details` are JSON. JSON
    has the questions and the labels that hold now as well, so that everything can be worked out again from it.

    Raises
    ------
    CampaignError
        The ending is another one.
    EmberlineError
        The file cannot be written.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in (".csv", ".json"):
        raise CampaignError(
            "cannot be told how to write", where=str(path), expected="a name that ends in .csv or .json"
        )
    rows = campaign.database.read("SELECT * FROM events ORDER BY id")
    events = [event_of(row) for row in rows]
    undone = campaign.database.look(lambda state: set(state.undone))
    records: list[dict[str, Any]] = [
        {**{name: row[name] for name in COLUMNS}, "shown": event.shown, "details": event.details,
         "silent": event.silent, "holds": event.id not in undone and event.kind not in ("undo", "redo")}
        for row, event in zip(rows, events, strict=True)
    ]  # fmt: skip
    write_text(path, _as_csv(records) if kind == ".csv" else _as_json(campaign, records))
    return len(records)


def _as_csv(records: list[dict[str, Any]]) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [*COLUMNS, "holds"], lineterminator="\n")
    writer.writeheader()
    for record in records:
        texts = {name: json.dumps(record[name], ensure_ascii=False, sort_keys=True) for name in ("shown", "details")}
        writer.writerow({**record, **texts})
    return stream.getvalue()


def _as_json(campaign: Campaign, records: list[dict[str, Any]]) -> str:
    labels = campaign.labels()
    content = {
        "campaign": campaign.config.name,
        "classes": list(campaign.config.classes),
        "provenance": provenance(),
        "questions": [vars(question) for question in campaign.database.questions()],
        "events": records,
        "labels": [{name: vars(label)[name] for name in _OF_A_LABEL} for label in labels],
        "disputed": campaign.database.look(State.disputes),
    }
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"
