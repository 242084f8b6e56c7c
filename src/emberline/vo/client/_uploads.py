"""Tables that go to another archive with a query: written as VOTables, and taken there in blocks that it accepts."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from astropy.table import Column, MaskedColumn, Table, vstack

from emberline.vo.client.errors import OfflineError, ServiceDownError, ServiceError

if TYPE_CHECKING:
    from emberline.vo.client.session import Session

__all__ = ["BlockFailure", "in_blocks", "votable_bytes"]

MEDIA_TYPE = "application/x-votable+xml"
_TYPES = {
    "f4": "float", "f8": "double", "b1": "boolean", "u1": "unsignedByte", "i1": "short", "i2": "short",
    "u2": "int", "i4": "int", "u4": "long", "i8": "long",
}  # fmt: skip
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def votable_bytes(table: Table) -> bytes:
    """A table as a VOTable with TABLEDATA, which every service reads.

    Raises
    ------
    ValueError
        A column has a type that is not sent.
    """
    fields = "".join(_field(column) for column in table.columns.values())
    cells = [_cells(column) for column in table.columns.values()]
    rows = "".join("<TR>" + "".join(f"<TD>{cell}</TD>" for cell in row) + "</TR>\n" for row in zip(*cells, strict=True))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE><TABLE>'
        f"{fields}<DATA><TABLEDATA>\n{rows}</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>\n"
    ).encode()


def _field(column: Column) -> str:
    words = {"name": column.name, "ucd": str(column.meta.get("ucd", ""))}
    if column.unit is not None:
        words["unit"] = column.unit.to_string("vounit")
    text = column.dtype.kind in "US" or column.dtype == object
    kind = "char" if text else _TYPES.get(column.dtype.str[1:], "")
    if not kind or column.ndim != 1:
        raise ValueError(f"the column {column.name!r} has a type that cannot be uploaded ({column.dtype})")
    if text and any(not str(value).isascii() for value in column):
        kind = "unicodeChar"
    words["datatype"] = kind
    if text:
        words["arraysize"] = "*"
    return "<FIELD " + " ".join(f"{key}={quoteattr(value)}" for key, value in words.items() if value) + "/>"


def _cells(column: Column) -> list[str]:
    mask = (
        np.ma.getmaskarray(np.ma.asarray(column)) if isinstance(column, MaskedColumn) else np.zeros(len(column), bool)
    )
    return ["" if hidden else _cell(value) for value, hidden in zip(column.tolist(), mask.tolist(), strict=True)]


def _cell(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, float):
        return "NaN" if value != value else repr(value).replace("inf", "Inf")
    if isinstance(value, bool):
        return "true" if value else "false"
    return escape(_FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", str(value)))


@dataclasses.dataclass(frozen=True)
class BlockFailure:
    """Rows for which there is no answer.

    Attributes
    ----------
    start, stop : int
        The first row, and the one after the last.
    error : ServiceError
    """

    start: int
    stop: int
    error: ServiceError


def in_blocks(
    session: Session,
    count: int,
    size: int,
    ask: Callable[[int, int], Table],
    *,
    finished: Callable[[int], None] | None = None,
) -> Table:
    """Ask for `count` rows in blocks, and put the answers together.

    A block whose answer overflows is asked for in halves. A block that fails is told in the `meta` of the result and
    the others go on, unless the service is down; the error is raised when no block succeeds.

    Parameters
    ----------
    session : Session
        Kept for its host's state: nothing is asked of a service that is down.
    count, size : int
        Rows in all, and of one block.
    ask : callable
        Gives the answer for the rows from the first number to before the second.
    finished : callable, optional
        Told how many rows are done after each block.

    Returns
    -------
    Table
        With ``failures`` (tuple of `BlockFailure`) and ``overflow`` in its `meta`; the latter says that a single row
        has more answers than the service gives.

    Raises
    ------
    ServiceError
        Nothing could be answered.
    """
    answers: list[Table] = []
    failures: list[BlockFailure] = []
    overflow = False
    for start, stop in _blocks(count, size):
        waiting = [(start, stop)]
        while waiting:
            first, last = waiting.pop(0)
            try:
                answer = ask(first, last)
            except (OfflineError, ServiceDownError) as error:
                failures.append(BlockFailure(first, count, error))
                return _joined(answers, failures, overflow)
            except ServiceError as error:
                failures.append(BlockFailure(first, last, error))
                continue
            if answer.meta.get("overflow") and last - first > 1:
                middle = (first + last) // 2
                waiting[:0] = [(first, middle), (middle, last)]
                continue
            overflow |= bool(answer.meta.get("overflow"))
            answers.append(answer)
        if finished is not None:
            finished(stop)
    return _joined(answers, failures, overflow)


def _blocks(count: int, size: int) -> Iterator[tuple[int, int]]:
    for start in range(0, count, size):
        yield start, min(start + size, count)


def _joined(answers: list[Table], failures: list[BlockFailure], overflow: bool) -> Table:
    if failures and not answers:
        raise failures[0].error
    filled = [answer for answer in answers if len(answer)] or answers[:1]
    meta = {key: value for key, value in (answers[0].meta if answers else {}).items() if key != "params"}
    joined = vstack(filled, metadata_conflicts="silent") if len(filled) > 1 else (filled or [Table()])[0]
    joined.meta = {**meta, "failures": tuple(failures), "overflow": overflow}
    return joined
