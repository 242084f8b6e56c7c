"""A FITS table of rows that stream: they wait in a file on the disk until their number and widths are known."""

from __future__ import annotations

import dataclasses
import io
import tempfile
from collections.abc import Iterator, Sequence
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from emberline import __version__
from emberline.vo.server._cells import cast_column, texts_of
from emberline.vo.server._fits_cards import Card, header, padding, table_header
from emberline.vo.server.adql.tables import Column
from emberline.vo.server.votable import Limited, TableDocument

__all__ = ["write_fits"]

_CODES = {"boolean": "L", "unsignedByte": "B", "short": "I", "int": "J", "long": "K", "float": "E", "double": "D"}
_DTYPES = {"L": "u1", "B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}
_NULLS = {"B": 255, "I": -(2**15), "J": -(2**31), "K": -(2**63)}
_MOST_TEXT = 32_767
_NOT_ASCII = r"[^\x20-\x7e]"


@dataclasses.dataclass
class _Field:
    """A column: what its cells are, as far as the rows have told.

    Arrays of varying length stand behind the rows, `heap` bytes of them; in a row stands where, `next` being the place
    of the first that has none yet.
    """

    column: Column
    code: str
    width: int = 1
    nulls: bool = False
    varying: bool = False
    heap: int = 0
    next: int = 0

    @property
    def item_bytes(self) -> int:
        return np.dtype(_DTYPES[self.code]).itemsize

    @property
    def form(self) -> str:
        if self.varying:
            return f"1Q{self.code}({self.width})"
        return f"{self.width}{self.code}" if self.code == "A" or self.width > 1 else self.code

    @property
    def dtype(self) -> tuple[Any, ...]:
        if self.varying:
            return (">i8", (2,))
        if self.code == "A":
            return (f"S{self.width}",)
        return (_DTYPES[self.code], (self.width,)) if self.width > 1 else (_DTYPES[self.code],)


def write_fits(document: TableDocument, rows: Limited) -> Iterator[bytes]:
    """The rows as the first extension of a FITS file, in pieces; the first comes when the last row is known."""
    fields = [_Field(column, _code(column), _width(column), varying=_varies(column)) for column in document.columns]
    names = [column.name for column in document.columns]
    with tempfile.TemporaryFile() as waiting:
        writer: pa.RecordBatchFileWriter | None = None
        for batch in rows:
            if not isinstance(batch, pa.RecordBatch):
                raise TypeError("rows that are TABLEDATA already have no other format")
            arrays = [_prepared(field, batch.column(index)) for index, field in enumerate(fields)]
            ready = pa.RecordBatch.from_arrays(arrays, names=names)
            writer = writer or pa.ipc.new_stream(waiting, ready.schema)
            writer.write_batch(ready)
        if writer is not None:
            writer.close()
        dtype = np.dtype([(f"c{index}", *field.dtype) for index, field in enumerate(fields)])
        yield _headers(document, fields, dtype.itemsize, rows)
        place = 0
        for field in fields:
            field.next, place = place, place + field.heap
        for batch in _again(waiting):
            yield _bytes(fields, batch, dtype)
        for index, field in enumerate(fields):
            for batch in _again(waiting) if field.heap else ():
                yield _scalars(field, pc.list_flatten(batch.column(index))).astype(_DTYPES[field.code]).tobytes()
    yield padding(dtype.itemsize * rows.rows + place)


def _again(waiting: IO[bytes]) -> Iterator[pa.RecordBatch]:
    """The rows that wait, from their beginning."""
    if waiting.seek(0, io.SEEK_END):
        waiting.seek(0)
        yield from pa.ipc.open_stream(waiting)


def _code(column: Column) -> str:
    return _CODES.get(column.datatype, "A")


def _varies(column: Column) -> bool:
    return column.datatype in _CODES and bool(column.arraysize) and not column.arraysize.isdigit()


def _width(column: Column) -> int:
    return int(column.arraysize) if column.arraysize.isdigit() and column.datatype in _CODES else 1


def _prepared(field: _Field, values: Any) -> Any:
    """A column as it will be written, but for the padding; what the header must say of it is noted."""
    values = cast_column(field.column, values)
    if field.varying:
        if pa.types.is_binary(values.type) or pa.types.is_fixed_size_binary(values.type):
            rows = [None if value is None else list(value) for value in values.to_pylist()]
            values = pa.array(rows, pa.list_(pa.uint8()))
        flat = pc.list_flatten(values)
        field.nulls |= flat.null_count > 0
        field.heap += len(flat) * field.item_bytes
        field.width = max(field.width, pc.max(pc.list_value_length(values)).as_py() or 1)
        return values
    if field.code != "A":
        field.nulls |= values.null_count > 0
        return values
    if not pa.types.is_string(values.type):
        values = texts_of(values)
    values = values.fill_null("")
    if pc.any(pc.match_substring_regex(values, pattern=_NOT_ASCII)).as_py():
        values = pa.array([text.encode("unicode_escape").decode("ascii") for text in values.to_pylist()], pa.string())
    values = pc.utf8_slice_codeunits(values, 0, _MOST_TEXT)
    field.width = max(field.width, pc.max(pc.binary_length(values)).as_py() or 1)
    return values


def _headers(document: TableDocument, fields: Sequence[_Field], row_bytes: int, rows: Limited) -> bytes:
    primary = header(
        [
            ("SIMPLE", True, "FITS 4.0"),
            ("BITPIX", 8, ""),
            ("NAXIS", 0, "the table is in the first extension"),
            ("EXTEND", True, ""),
            ("ORIGIN", f"Emberline {__version__}", "program that wrote this file"),
        ]
    )
    status = "OVERFLOW" if rows.overflow else "OK"
    more: list[Card] = [("EXTNAME", document.name or "results", ""), ("QSTATUS", status, "QUERY_STATUS of DALI")]
    more += [
        (f"TCOMM{n}", field.column.description, "") for n, field in enumerate(fields, 1) if field.column.description
    ]
    heap = sum(field.heap for field in fields)
    more.append(("LONGSTRN", "OGIP 1.0", "CONTINUE cards are used"))
    return primary + table_header(row_bytes, rows.rows, [_cards(field) for field in fields], more, heap=heap)


def _cards(field: _Field) -> list[Card]:
    column = field.column
    cards: list[Card] = [("TTYPE", column.name, ""), ("TFORM", field.form, "")]
    if field.nulls and field.code in _NULLS:
        cards.append(("TNULL", _NULLS[field.code], ""))
    words = {"TUNIT": column.unit, "TUCD": column.ucd, "TUTYP": column.utype, "TXTYP": column.xtype}
    return [*cards, *((key, value, "") for key, value in words.items() if value)]


def _bytes(fields: Sequence[_Field], batch: pa.RecordBatch, dtype: np.dtype[Any]) -> bytes:
    out = np.zeros(batch.num_rows, dtype)
    for index, field in enumerate(fields):
        out[f"c{index}"] = _values(field, batch.column(index))
    return out.tobytes()


def _values(field: _Field, values: Any) -> NDArray[Any]:
    if field.code == "A":
        return np.array(values.to_pylist(), dtype=f"S{field.width}")
    if field.varying:
        lengths = np.asarray(pc.fill_null(pc.list_value_length(values), 0)).astype(np.int64)
        ends = field.next + lengths.cumsum() * field.item_bytes
        starts = ends - lengths * field.item_bytes
        field.next = int(ends[-1]) if len(ends) else field.next
        return np.stack([lengths, starts], axis=1)
    if field.width > 1:
        missing = [float("nan") if field.code in "ED" else 0] * field.width
        return np.array([[*(row or []), *missing][: field.width] for row in values.to_pylist()])
    return _scalars(field, values)


def _scalars(field: _Field, values: Any) -> NDArray[Any]:
    if field.code == "L":
        known = np.where(np.asarray(values.fill_null(False)), ord("T"), ord("F"))
        return np.where(np.asarray(values.is_null()), 0, known).astype(np.uint8)
    return np.asarray(values.fill_null(_NULLS.get(field.code, float("nan"))))
