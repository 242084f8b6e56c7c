"""BINARY and BINARY2 of VOTable, all rows of a column at once: astropy takes microseconds for every cell."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

__all__ = ["CellLayout", "RowsError", "layout_of", "read_rows"]

_DTYPES = {
    "bit": "u1",
    "boolean": "u1",
    "unsignedByte": "u1",
    "short": ">i2",
    "int": ">i4",
    "long": ">i8",
    "float": ">f4",
    "double": ">f8",
    "char": "u1",
    "unicodeChar": ">u2",
}


class RowsError(Exception):
    """The bytes are not rows as the columns say."""


@dataclasses.dataclass(frozen=True)
class CellLayout:
    """How the cells of a column lie in a row.

    Attributes
    ----------
    datatype : str
    count : int or None
        How many items each has; None where each says it itself.
    null : int or None
        The number that stands for no value.
    bits : int
        Of bits, how many there are in the bytes of a cell.
    """

    datatype: str
    count: int | None
    scalar: bool
    null: int | None = None
    bits: int = 0

    @property
    def item(self) -> np.dtype[Any]:
        """One item."""
        return np.dtype(_DTYPES[self.datatype])


def layout_of(datatype: str, arraysize: str, null: object = None) -> CellLayout | None:
    """The layout of a column; None for the few that are not known here (complex numbers, arrays of texts)."""
    if datatype not in _DTYPES or not re.fullmatch(r"\d*\*?|", arraysize):
        return None
    count = int(arraysize) if arraysize.isdigit() else None if arraysize else 1
    if datatype == "bit":
        return None if count is None else CellLayout("bit", (count + 7) // 8, arraysize in ("", "1"), bits=count)
    whole = int(str(null)) if datatype in ("unsignedByte", "short", "int", "long") and _is_whole(null) else None
    return CellLayout(datatype, count, arraysize in ("", "1"), whole)


def _is_whole(null: object) -> bool:
    return re.fullmatch(r"-?\d{1,20}", str(null)) is not None


def read_rows(data: bytes, layouts: Sequence[CellLayout], *, flags: bool, most: int) -> list[pa.Array]:
    """The columns of all rows.

    Parameters
    ----------
    data : bytes
    layouts : sequence of CellLayout
    flags : bool
        Whether each row begins with flags of nulls (BINARY2).
    most : int
        So many rows at most.

    Raises
    ------
    RowsError
        The bytes end within a row, or there are too many rows.
    """
    lead = (len(layouts) + 7) // 8 if flags else 0
    sizes = [None if cell.count is None else cell.count * cell.item.itemsize for cell in layouts]
    starts, lengths = _places(data, lead, sizes, [cell.item.itemsize for cell in layouts], most)
    octets = np.frombuffer(data, np.uint8)
    nulls = _nulls(octets, starts[0] if layouts else np.zeros(0, np.int64), lead, len(layouts))
    return [
        _column(octets, cell, starts[index + 1], lengths[index], nulls[:, index] if flags else None)
        for index, cell in enumerate(layouts)
    ]


_Places = tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]]


def _places(data: bytes, lead: int, sizes: Sequence[int | None], items: Sequence[int], most: int) -> _Places:
    """Where each row begins, where the items of each of its cells do, and how many items there are."""
    fixed = [size for size in sizes if size is not None]
    if len(fixed) == len(sizes):
        return _regular(len(data), lead, fixed, items, most)
    rows: list[int] = []
    at: list[list[int]] = [[] for _ in sizes]
    many: list[list[int]] = [[] for _ in sizes]
    position, end = 0, len(data)
    while position < end:
        rows.append(position)
        if len(rows) > most:
            raise RowsError(f"has more than {most} rows")
        position += lead
        for index, size in enumerate(sizes):
            if size is None:
                count = int.from_bytes(data[position : position + 4], "big", signed=True)
                position += 4
                size = count * items[index]
                if count < 0 or position + size > end:
                    raise RowsError("the rows end in the middle of one")
                many[index].append(count)
            at[index].append(position)
            position += size
        if position > end:
            raise RowsError("the rows end in the middle of one")
    counts = [
        np.full(len(rows), size // item, np.int64) if size is not None else np.array(found, np.int64)
        for size, item, found in zip(sizes, items, many, strict=True)
    ]
    return [np.array(found, np.int64) for found in (rows, *at)], counts


def _regular(length: int, lead: int, sizes: Sequence[int], items: Sequence[int], most: int) -> _Places:
    width = lead + sum(sizes)
    if not width or length % width:
        raise RowsError("the rows end in the middle of one")
    count = length // width
    if count > most:
        raise RowsError(f"has more than {most} rows")
    rows = np.arange(count, dtype=np.int64) * width
    before = np.concatenate([[0], np.cumsum([lead, *sizes])])[:-1]
    counts = [np.full(count, size // item, np.int64) for size, item in zip(sizes, items, strict=True)]
    return [rows, *(rows + offset for offset in before[1:])], counts


def _nulls(octets: NDArray[np.uint8], rows: NDArray[np.int64], lead: int, columns: int) -> NDArray[np.bool_]:
    flags = octets[rows[:, None] + np.arange(lead)] if len(rows) else np.zeros((0, lead), np.uint8)
    return np.unpackbits(flags, axis=1)[:, :columns].astype(np.bool_)


def _column(
    octets: NDArray[np.uint8],
    cell: CellLayout,
    starts: NDArray[np.int64],
    counts: NDArray[np.int64],
    nulls: NDArray[np.bool_] | None,
) -> pa.Array:
    size = cell.item.itemsize
    lengths = counts * size
    ends = lengths.cumsum()
    chosen = octets[np.repeat(starts - (ends - lengths), lengths) + np.arange(int(ends[-1]) if len(ends) else 0)]
    if cell.datatype in ("char", "unicodeChar"):
        return _texts(chosen, np.concatenate([[0], ends]), cell, nulls)
    if cell.bits:
        chosen = np.unpackbits(chosen.reshape(len(starts), -1), axis=1)[:, : cell.bits].ravel()
        counts = np.full(len(starts), cell.bits, np.int64)
    values = _values(chosen.view(cell.item), cell)
    missing = nulls if nulls is not None else np.zeros(len(starts), np.bool_)
    if cell.scalar:
        known = values.is_valid() if nulls is None else pc.and_(values.is_valid(), pa.array(~missing))
        return pc.if_else(known, values, pa.scalar(None, values.type))
    offsets = pa.array(np.concatenate([[0], counts.cumsum()]).astype(np.int32))
    lists = pa.ListArray.from_arrays(offsets, values)
    if cell.count is not None:
        lists = lists.cast(pa.list_(values.type, cell.bits or cell.count))
    return pc.if_else(pa.array(~missing), lists, pa.scalar(None, lists.type)) if missing.any() else lists


def _values(items: NDArray[Any], cell: CellLayout) -> pa.Array:
    """Numbers and booleans; NaN, and the number that means null, are null."""
    if cell.datatype == "bit":
        return pa.array(items != 0)
    if cell.datatype == "boolean":
        true, false = np.isin(items, list(b"Tt1")), np.isin(items, list(b"Ff0"))
        return pa.array(true, mask=~(true | false))
    numbers = items.astype(items.dtype.newbyteorder("="))
    if cell.datatype in ("float", "double"):
        return pa.array(numbers, mask=np.isnan(numbers))
    return pa.array(numbers, mask=None if cell.null is None else numbers == cell.null)


def _texts(
    octets: NDArray[np.uint8], bounds: NDArray[np.int64], cell: CellLayout, nulls: NDArray[np.bool_] | None
) -> pa.Array:
    """Texts up to their first NUL; what is empty is null."""
    data, coding = octets.tobytes(), "utf-16-be" if cell.datatype == "unicodeChar" else "utf-8"
    if coding == "utf-8" and b"\0" not in data and bounds[-1] < 2**31:
        raw = pa.Array.from_buffers(
            pa.binary(), len(bounds) - 1, [None, pa.py_buffer(bounds.astype(np.int32).tobytes()), pa.py_buffer(data)]
        )
        try:
            texts = raw.cast(pa.string())
        except pa.ArrowInvalid:
            texts = None
    else:
        texts = None
    if texts is None:
        pairs = zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
        texts = pa.array([data[a:b].decode(coding, "replace").partition("\0")[0] for a, b in pairs], pa.string())
    known = pc.greater(pc.binary_length(texts), 0)
    if nulls is not None:
        known = pc.and_(known, pa.array(~nulls))
    return pc.if_else(known, texts, pa.scalar(None, pa.string()))
