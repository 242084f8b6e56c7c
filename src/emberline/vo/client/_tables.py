"""Answers as checked tables: errors that hide in good documents raised, overflow noticed, columns found by meaning."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from astropy.table import Table

from emberline.errors import MissingExtraError
from emberline.vo.client import _votable
from emberline.vo.client._answers import is_refusal_in_words, said
from emberline.vo.client._cells import Value, binary_rows, column_of, convert
from emberline.vo.client._votable import Document, Field
from emberline.vo.client.errors import ProtocolError, ServiceError, StatusError

try:
    import requests
except ModuleNotFoundError as error:
    raise MissingExtraError(error.name or "requests", "vo") from error

__all__ = ["Columns", "Wanted", "answered", "document_of", "read_table", "table_of"]

_OVERFLOWED = ("query limit was reached", "truncated result set", "result truncated")


def answered(answer: requests.Response) -> bytes:
    """The body of an answer of success.

    Raises
    ------
    StatusError
        The status is one of failure; `service_said` is what the service gives as the reason.
    """
    answer.raise_for_status()
    return answer.content or b""


def document_of(answer: requests.Response) -> Document:
    """The VOTable of an answer.

    Raises
    ------
    ServiceError
        The service refused, in the status or in the document.
    ProtocolError
        It is no VOTable.
    """
    body = answer.content or b""
    if answer.status_code >= 400 and is_refusal_in_words(body):
        raise _refused(answer.url, said(body), answer.status_code)
    document = _votable.parse(answered(answer), answer.url)
    _check_status(document, answer)
    return document


def _check_status(document: Document, answer: requests.Response) -> None:
    for info in document.infos("QUERY_STATUS"):
        if info.value.strip().upper() in ("ERROR", "FAILED"):
            raise _refused(answer.url, info.text or info.value, answer.status_code)
    for info in document.infos("Error"):
        raise _refused(answer.url, info.text or info.value, answer.status_code)
    results = document.results()
    places = [document.top.params, *(resource.params for resource in document.resources() if resource.type != "meta")]
    for table in results.tables if results is not None else []:
        if not table.fields:
            places.append(table.params)
    for param in (param for params in places for param in params if param.name.lower() == "error"):
        raise _refused(answer.url, param.value or param.description, answer.status_code)


def _refused(url: str, text: str, status: int) -> ServiceError:
    text = " ".join(text.split())
    short = text if len(text) <= 400 else text[:399] + "…"
    error = StatusError("the service refused the query", url=url, service_said=short)
    error.status = status
    return error


def read_table(answer: requests.Response, required: Iterable[str] = ()) -> Table:
    """The table of an answer.

    Parameters
    ----------
    answer : Response
    required : iterable of str
        Names of columns that must be there, in whatever case.

    Returns
    -------
    astropy.table.Table
        Units and descriptions on the columns; UCD, utype and xtype in their `meta`. The table's `meta` has
        ``overflow`` (whether there are more rows), ``params`` (constants, as `Field`), ``url``, ``fetched`` and
        ``from_cache``.

    Raises
    ------
    ServiceError
        The service refused.
    ProtocolError
        The answer has no table, or the table is not what it says.
    """
    return table_of(document_of(answer), answer, required)


def table_of(document: Document, answer: requests.Response, required: Iterable[str] = ()) -> Table:
    """The same of a document that was read before."""
    url = answer.url
    results = document.results()
    if results is None or not results.tables:
        raise ProtocolError("the VOTable has no table", url=url, expected="a RESOURCE of type results with a TABLE")
    source = results.tables[0]
    if not source.fields and not source.params:
        raise ProtocolError("the table has no columns", url=url)
    _unique(source.fields)
    missing = sorted({name.lower() for name in required} - {field.name.lower() for field in source.fields})
    if missing:
        has = ", ".join(field.name for field in source.fields[:12])
        raise ProtocolError(f"the table has no column {missing[0]!r}", url=url, found=has, expected=", ".join(required))
    table = Table([column_of(*column) for column in _columns(source, url)], copy=False)
    table.meta = {
        "overflow": _overflowed(document),
        "params": [*results.params, *source.params],
        "url": url,
        "fetched": getattr(answer, "fetched", ""),
        "from_cache": getattr(answer, "from_cache", False),
    }
    return table


def _unique(fields: Sequence[Field]) -> None:
    """Give every column a name of its own."""
    taken: set[str] = set()
    for number, field in enumerate(fields, 1):
        base = field.name or field.ID or f"column_{number}"
        name, count = base, 1
        while name.lower() in taken:
            count += 1
            name = f"{base}_{count}"
        taken.add(name.lower())
        field.name = name


def _columns(source: _votable.Table, url: str) -> list[tuple[Field, list[Value], str]]:
    if source.form == "FITS":
        raise ProtocolError("the rows are in FITS within the VOTable, which is not read", url=url)
    if source.form in ("BINARY", "BINARY2"):
        values = binary_rows(source, url)
    else:
        _check_rows(source, url)
        cells = list(zip(*source.rows, strict=True)) or [()] * len(source.fields)
        values = [convert(field, column, url) for field, column in zip(source.fields, cells, strict=True)]
    return [(field, column, field.name) for field, column in zip(source.fields, values, strict=True)]


def _check_rows(source: _votable.Table, url: str) -> None:
    count = len(source.fields)
    for number, row in enumerate(source.rows, 1):
        if len(row) != count:
            kind = "more" if len(row) > count else "fewer"
            raise ProtocolError(
                f"row {number} has {kind} cells than there are columns",
                url=url,
                found=f"{len(row)} cells",
                expected=f"{count}: {', '.join(field.name for field in source.fields[:8])}",
            )


def _overflowed(document: Document) -> bool:
    statuses = [info.value.strip().upper() for info in document.infos("QUERY_STATUS")]
    warned = [f"{info.value} {info.text}".lower() for info in document.infos("warning")]
    return "OVERFLOW" in statuses or any(words in text for text in warned for words in _OVERFLOWED)


# --- columns by their meaning ----------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What a value is called: utypes without their prefix, UCDs, names; each tried in its order, in that order."""

    utypes: tuple[str, ...] = ()
    ucds: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


class Columns:
    """The values of a table, found by utype, then by UCD, then by name; constants count as columns.

    Parameters
    ----------
    table : Table
        As `read_table` gives it.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self._found: dict[Wanted, str | Field | None] = {}
        self._places: list[tuple[str | Field, str, str, str]] = [
            (name, _utype(str(column.meta.get("utype", ""))), str(column.meta.get("ucd", "")).lower(), name.lower())
            for name, column in table.columns.items()
        ]
        self._places += [
            (param, _utype(param.utype), param.ucd.lower(), param.name.lower())
            for param in table.meta.get("params", ())
            if param.value not in (None, "")
        ]

    def place(self, wanted: Wanted) -> str | Field | None:
        """The name of the column, or the constant."""
        if wanted not in self._found:
            self._found[wanted] = self._search(wanted)
        return self._found[wanted]

    def _search(self, wanted: Wanted) -> str | Field | None:
        for number, keys in ((1, wanted.utypes), (2, wanted.ucds), (3, wanted.names)):
            for key in keys:
                for place in self._places:
                    if place[number] == key.lower():
                        return place[0]
        return None

    def unit(self, wanted: Wanted) -> Any:
        """Its unit, or None."""
        from emberline.vo.client._cells import unit_of

        place = self.place(wanted)
        if isinstance(place, Field):
            return unit_of(place.unit)
        return None if place is None else self.table[place].unit

    def value(self, wanted: Wanted, row: int) -> Any:
        """The value in a row; None where there is none."""
        place = self.place(wanted)
        if place is None:
            return None
        if isinstance(place, Field):
            return _constant(place)
        value = self.table[place][row]
        return None if value is np.ma.masked else value

    def text(self, wanted: Wanted, row: int) -> str:
        """The value as a text; empty where there is none."""
        value = self.value(wanted, row)
        return "" if value is None else str(value).strip()

    def number(self, wanted: Wanted, row: int) -> float:
        """The value as a number; NaN where there is none, or it is none."""
        value = self.value(wanted, row)
        try:
            return math.nan if value is None else float(value)
        except (TypeError, ValueError):
            return math.nan


def _utype(text: str) -> str:
    """A utype in lower case without its prefix: services write ``ssa:``, ``spec:``, ``Spectrum.`` or nothing."""
    return text.rpartition(":")[2].lower().removeprefix("spectrum.")


def _constant(param: Field) -> Any:
    try:
        return convert(param, [param.value or ""], "")[0]
    except ProtocolError:
        return param.value
