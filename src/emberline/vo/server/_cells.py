"""Rows of Arrow batches as the cells of a VOTable: text for TABLEDATA, bytes for BINARY2, all rows at once."""

from __future__ import annotations

import base64
import functools
from collections.abc import Container, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from emberline.vo.server.adql.tables import Column

__all__ = [
    "Base64",
    "binary2_rows",
    "cast_column",
    "empty_batch",
    "is_ascii",
    "needs_escape",
    "tabledata_rows",
    "texts_of",
]

_ARROW = {
    "boolean": pa.bool_(),
    "unsignedByte": pa.uint8(),
    "short": pa.int16(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "char": pa.string(),
    "unicodeChar": pa.string(),
}
_SPECIAL = "[<>&\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x{fffe}\\x{ffff}\r]"
_FORBIDDEN = "[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x{fffe}\\x{ffff}]"


def cast_column(column: Column, values: Any) -> Any:
    """An Arrow array in the type that the column's VOTable datatype stands for; lists stay lists."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    target = _ARROW[column.datatype]
    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
        return _iso_times(values)
    if _is_list(values.type):
        if target == pa.string():
            return _joined(values)
        return values if values.type.value_type == target else values.cast(pa.list_(target))
    if values.type == target or pa.types.is_binary(values.type) or pa.types.is_fixed_size_binary(values.type):
        return values
    if pa.types.is_boolean(values.type) and target == pa.string():
        return values.cast(target)
    return values.cast(target, safe=False)


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _iso_times(values: pa.Array) -> pa.Array:
    """DALI timestamps: milliseconds at most, no time of day for dates."""
    if pa.types.is_date(values.type):
        return pc.strftime(values, format="%Y-%m-%d")
    return pc.strftime(values.cast(pa.timestamp("ms"), safe=False), format="%Y-%m-%dT%H:%M:%S")


def _joined(values: pa.Array) -> pa.Array:
    """The members of each list, as text with blanks between."""
    if pa.types.is_fixed_size_list(values.type):
        values = values.cast(pa.list_(values.type.value_type))
    return pc.binary_join(values.cast(pa.list_(pa.string())), " ")


def texts_of(values: Any) -> Any:
    """Lists, or bytes, as text with blanks between."""
    if _is_list(values.type):
        return _joined(values)
    numbers = [None if value is None else " ".join(str(byte) for byte in value) for value in values.to_pylist()]
    return pa.array(numbers, pa.string())


def empty_batch(columns: Sequence[Column]) -> pa.RecordBatch:
    """No rows of these columns."""
    kinds = [_ARROW[column.datatype] for column in columns]
    scalar = [column.datatype in ("char", "unicodeChar") or not column.arraysize for column in columns]
    arrays = [pa.array([], kind if alone else pa.list_(kind)) for kind, alone in zip(kinds, scalar, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, names=[column.name for column in columns])


# --- TABLEDATA -------------------------------------------------------------------------------------------------------


def tabledata_rows(columns: Sequence[Column], batch: pa.RecordBatch, plain: Container[str] = ()) -> memoryview:
    """The rows as ``<TR>…</TR>`` elements, one a line, in UTF-8; nothing in a cell means null.

    Floating-point numbers have the fewest digits that give the same number again. Columns in `plain` are known to
    need no escape: finite numbers, and text that fits its datatype.
    """
    if not columns or not batch.num_rows:
        return memoryview(b"")
    pieces: list[Any] = [_constant("<TR><TD>")]
    for index, column in enumerate(columns):
        if index:
            pieces.append(_constant("</TD><TD>"))
        pieces.append(_texts(column, batch.column(index), column.name in plain))
    pieces += [_constant("</TD></TR>\n"), _constant("")]
    joined = pc.binary_join_element_wise(*pieces, null_handling="replace", null_replacement="")
    return _text_of(joined)


@functools.lru_cache(maxsize=8)
def _constant(text: str) -> pa.Scalar:
    return pa.scalar(text, pa.string())


def _text_of(strings: pa.Array) -> memoryview:
    """The bytes of all strings of an array, one after the other, without copying."""
    _, offsets, data = strings.buffers()
    bounds = np.frombuffer(offsets, np.int32)
    first, last = int(bounds[strings.offset]), int(bounds[strings.offset + len(strings)])
    return memoryview(data)[first:last]


def _texts(column: Column, values: Any, plain: bool) -> Any:
    values = cast_column(column, values)
    if column.datatype in ("char", "unicodeChar"):
        return values if plain else _escaped(_within_ascii(column, values))
    if _is_list(values.type) or pa.types.is_binary(values.type) or pa.types.is_fixed_size_binary(values.type):
        return texts_of(values)
    texts = values.cast(pa.string())
    if column.datatype in ("float", "double") and not plain:
        return _spelled(values, texts)
    return texts


def _within_ascii(column: Column, texts: Any) -> Any:
    """``char`` holds ASCII: a column that needs more says ``unicodeChar``; the rest gets a question mark."""
    if column.datatype == "char" and not is_ascii(texts):
        return pc.replace_substring_regex(texts, pattern="[^\\x00-\\x7f]", replacement="?")
    return texts


def is_ascii(texts: Any) -> bool:
    """Whether an array of text has no other characters."""
    return pc.all(pc.string_is_ascii(texts)).as_py() is not False


def needs_escape(texts: Any) -> bool:
    """Whether an array of text has characters that XML must escape or cannot hold."""
    return pc.any(pc.match_substring_regex(texts, pattern=_SPECIAL)).as_py() is True


def _escaped(texts: Any) -> Any:
    if not needs_escape(texts):
        return texts
    texts = pc.replace_substring_regex(texts, pattern=_FORBIDDEN, replacement="?")
    for plain, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\r", "&#13;")):
        texts = pc.replace_substring(texts, pattern=plain, replacement=entity)
    return texts


def _spelled(values: Any, texts: Any) -> Any:
    """NaN and infinities as VOTable spells them."""
    odd = pc.is_finite(values)
    if pc.all(odd).as_py() is not False:
        return texts
    texts = pc.if_else(pc.is_nan(values), "NaN", texts)
    return pc.if_else(pc.is_inf(values), pc.if_else(pc.greater(values, 0), "+Inf", "-Inf"), texts)


# --- BINARY2 ---------------------------------------------------------------------------------------------------------


def binary2_rows(columns: Sequence[Column], batch: pa.RecordBatch) -> bytes:
    """The rows as BINARY2 before its encoding in base64: flags of nulls, then the cells, big-endian."""
    n = batch.num_rows
    if not columns or not n:
        return b""
    values = [cast_column(column, batch.column(index)) for index, column in enumerate(columns)]
    cells = [_null_flags(values)]
    cells += [_cell(column, array) for column, array in zip(columns, values, strict=True)]
    lengths = np.stack([np.broadcast_to(length, n) for _, length in cells])
    ends = lengths.sum(axis=0).cumsum()
    starts = np.concatenate([[0], ends[:-1]]) + np.concatenate(
        [np.zeros((1, n), np.int64), lengths[:-1].cumsum(axis=0)]
    )
    out = np.empty(int(ends[-1]), np.uint8)
    for (data, length), start in zip(cells, starts, strict=True):
        if isinstance(length, int):
            out[start[:, None] + np.arange(length)] = data.reshape(n, length)
        else:
            where = np.repeat(start - (length.cumsum() - length), length) + np.arange(data.size)
            out[where] = data
    return out.tobytes()


_Cell = tuple[NDArray[np.uint8], int | NDArray[np.int64]]
"""The bytes of all cells of a column, and how many each has."""


def _null_flags(values: Sequence[Any]) -> _Cell:
    n = len(values[0])
    nulls = np.zeros((n, len(values)), np.bool_)
    for index, array in enumerate(values):
        if array.null_count:
            nulls[:, index] = np.asarray(array.is_null())
    flags = np.packbits(nulls, axis=1)
    return flags, int(flags.shape[1])


def _cell(column: Column, array: Any) -> _Cell:
    if column.datatype in ("char", "unicodeChar"):
        return _text_cell(column, array)
    if _is_list(array.type):
        return _list_cell(column, array)
    if pa.types.is_binary(array.type) or pa.types.is_fixed_size_binary(array.type):
        plain = array.cast(pa.binary()).fill_null(b"")
        lengths = np.asarray(pc.binary_length(plain)).astype(np.int64)
        return _variable(np.frombuffer(b"".join(plain.to_pylist()), np.uint8), lengths, 1)
    return _as_bytes(_numbers(column.datatype, array))


def _numbers(datatype: str, array: Any) -> NDArray[Any]:
    """Big-endian numbers, T or F for booleans; NaN, 0 or a blank where there is none."""
    if datatype == "boolean":
        known = np.where(np.asarray(array.fill_null(False)), ord("T"), ord("F")).astype(np.uint8)
        return np.where(np.asarray(array.is_null()), np.uint8(ord("?")), known)
    fill = float("nan") if datatype in ("float", "double") else 0
    numbers = np.asarray(array.fill_null(fill) if array.null_count else array)
    return numbers.astype(numbers.dtype.newbyteorder(">"), copy=False)


def _as_bytes(numbers: NDArray[Any]) -> _Cell:
    return np.ascontiguousarray(numbers).view(np.uint8), numbers.dtype.itemsize


def _text_cell(column: Column, array: Any) -> _Cell:
    texts = _within_ascii(column, array).fill_null("")
    if column.datatype == "unicodeChar":
        wide = [text.encode("utf-16-be", "replace") for text in texts.to_pylist()]
        return _variable(np.frombuffer(b"".join(wide), np.uint8), np.array([len(item) for item in wide], np.int64), 2)
    if column.arraysize.isdigit():
        width = int(column.arraysize)
        padded = pc.utf8_slice_codeunits(pc.utf8_rpad(texts, width, padding="\0"), 0, width)
        return np.frombuffer(_text_of(padded), np.uint8), width
    return _variable(np.frombuffer(_text_of(texts), np.uint8), np.asarray(pc.binary_length(texts)).astype(np.int64), 1)


def _list_cell(column: Column, array: Any) -> _Cell:
    flat = (
        _numbers(column.datatype, array.fill_null([0.0] * array.type.list_size).flatten())
        if (pa.types.is_fixed_size_list(array.type))
        else _numbers(column.datatype, array.flatten())
    )
    data, size = _as_bytes(flat)
    assert isinstance(size, int)
    if column.arraysize.isdigit():
        return _fixed_list(column, array, data, size)
    counts = np.asarray(pc.fill_null(pc.list_value_length(array), 0)).astype(np.int64)
    return _variable(data, counts * size, size)


def _fixed_list(column: Column, array: Any, data: NDArray[np.uint8], size: int) -> _Cell:
    width = int(column.arraysize)
    if len(data) == len(array) * width * size:
        return data, width * size
    rows = [[*(row or []), *([float("nan")] * width)][:width] for row in array.to_pylist()]
    numbers = _numbers(column.datatype, pa.array(rows, pa.list_(array.type.value_type)).flatten())
    return _as_bytes(numbers)[0], width * size


def _variable(data: NDArray[np.uint8], lengths: NDArray[np.int64], unit: int) -> _Cell:
    """Put before each cell how many units it has, as 4 bytes."""
    n = lengths.size
    heads = (lengths // unit).astype(">i4").view(np.uint8).reshape(n, 4)
    ends = (lengths + 4).cumsum()
    out = np.empty(int(ends[-1]) if n else 0, np.uint8)
    starts = ends - lengths - 4
    out[starts[:, None] + np.arange(4)] = heads
    out[np.repeat(starts + 4 - (lengths.cumsum() - lengths), lengths) + np.arange(data.size)] = data
    return out, lengths + 4


class Base64:
    """Base64 of a stream that comes in pieces: what does not fill three bytes waits for the next piece."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """The next piece, encoded as far as possible."""
        data = self._rest + data
        whole = len(data) - len(data) % 3
        self._rest = data[whole:]
        return base64.b64encode(data[:whole])

    def end(self) -> bytes:
        """What is left."""
        return base64.b64encode(self._rest)
