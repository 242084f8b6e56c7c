"""How a job's results are shown on its page: reports, pictures, tables and summaries, each read only so far."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
import urllib.parse
from pathlib import Path
from typing import Any, Literal

from emberline.errors import EmberlineError
from emberline.jobs import Job, JobDesk, Result
from emberline.web.wording import size

__all__ = ["Shown", "Table", "shown_results"]

Manner = Literal["page", "tree", "image", "table", "text", "file"]
_ORDER: tuple[Manner, ...] = ("page", "image", "table", "tree", "text", "file")
_ROWS, _COLUMNS, _CELL = 100, 60, 200
_BYTES = 512_000
_ITEMS, _DEPTH = 200, 6
_FILES = 300
_MANNERS: dict[str, Manner] = {
    "text/html": "page",
    "application/json": "tree",
    "text/csv": "table",
    "text/plain": "text",
    "text/markdown": "text",
    "application/toml": "text",
}
_NAMES = {
    "text/html": "HTML page",
    "application/json": "JSON",
    "text/csv": "CSV table",
    "text/plain": "text",
    "application/toml": "TOML",
    "application/fits": "FITS",
    "application/x-votable+xml": "VOTable",
    "application/vnd.apache.parquet": "Parquet",
    "application/octet-stream": "binary file",
}


@dataclasses.dataclass(frozen=True)
class Table:
    """The first rows of a table; `more` says that there are others."""

    columns: list[str]
    rows: list[list[str]]
    more: bool


@dataclasses.dataclass(frozen=True)
class Shown:
    """One result as the page shows it."""

    title: str
    href: str
    media: str
    size: str
    show: Manner
    table: Table | None = None
    tree: Any = None
    text: str = ""


def shown_results(desk: JobDesk, job: Job) -> list[Shown]:
    """The results of a job, what is looked at before what is downloaded."""
    found = [_shown(desk, job, result) for result in job.results[:_FILES]]
    return sorted(found, key=lambda item: (_ORDER.index(item.show), item.title != "summary.json"))


def _shown(desk: JobDesk, job: Job, result: Result) -> Shown:
    plain = Shown(
        result.name,
        f"/api/jobs/{job.id}/results/{urllib.parse.quote(result.name)}",
        _NAMES.get(result.media_type, result.media_type),
        size(result.size),
        _manner(result),
    )
    try:
        return _read(plain, desk.result_path(job.id, result.name)) if plain.show in ("tree", "table", "text") else plain
    except (OSError, ValueError, RecursionError, csv.Error, EmberlineError):
        return dataclasses.replace(plain, show="file")  # it can still be downloaded, and seen to be damaged


def _manner(result: Result) -> Manner:
    if result.media_type.startswith("image/"):
        return "image"
    manner = _MANNERS.get(result.media_type, "file")
    return "file" if manner in ("tree", "text") and result.size > _BYTES else manner


def _read(item: Shown, path: Path) -> Shown:
    with open(path, "rb") as stream:
        content = stream.read(_BYTES + 1)
    text = content[:_BYTES].decode("utf-8", "replace")
    if item.show == "table":
        whole = len(content) <= _BYTES
        return dataclasses.replace(item, table=_table(text if whole else text[: text.rfind("\n") + 1], whole))
    if item.show == "tree":
        return dataclasses.replace(item, tree=_pruned(json.loads(text), _DEPTH))
    return dataclasses.replace(item, text=text)


def _table(text: str, whole: bool) -> Table:
    """The first rows of CSV or ECSV text; comments are left out."""
    header = re.match(r"(?:#.*\n)+", text)
    body = text[header.end() :] if header else text
    ecsv = header is not None and "%ECSV" in header[0]
    spaced = ecsv and header is not None and not re.search(r"delimiter: *['\"]?,", header[0])
    reader = csv.reader(io.StringIO(body), delimiter=" " if spaced else ",")
    rows = [[cell[:_CELL] for cell in row[:_COLUMNS]] for row, _ in zip(reader, range(_ROWS + 2), strict=False) if row]
    if not rows:
        raise ValueError("no header")
    return Table(rows[0], rows[1 : _ROWS + 1], len(rows) > _ROWS + 1 or not whole)


def _pruned(value: Any, depth: int) -> Any:
    """A JSON value small enough to read."""
    if isinstance(value, dict | list) and not depth:
        return "…"
    if isinstance(value, dict):
        short: dict[str, Any] = {key: _pruned(item, depth - 1) for key, item in list(value.items())[:_ITEMS]}
        return short | ({"…": f"{len(value) - _ITEMS} more"} if len(value) > _ITEMS else {})
    if isinstance(value, list):
        return [_pruned(item, depth - 1) for item in value[:_ITEMS]] + ["…"] * (len(value) > _ITEMS)
    return value
