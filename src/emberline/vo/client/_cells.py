"""The values of a VOTable's cells, as columns: converted as declared, or refused with the column and the row."""

from __future__ import annotations

import base64
import binascii
import contextlib
import functools
import math
import struct
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from astropy import units
from astropy.table import Column, MaskedColumn

from emberline.vo.client._votable import Field, Table
from emberline.vo.client.errors import ProtocolError

__all__ = ["Value", "binary_rows", "column_of", "convert", "quiet", "texts", "unit_of"]

Value = Any
"""A cell: None for null, a scalar, a text, or a flat list of scalars."""

_INTEGERS = {"unsignedByte": (0, 255, "u1"), "short": (-(2**15), 2**15 - 1, "i2"), "int": (-(2**31), 2**31 - 1, "i4"),
             "long": (-(2**63), 2**63 - 1, "i8")}  # fmt: skip
_FLOATS = {"float": "f4", "double": "f8"}
_COMPLEX = {"floatComplex": "c8", "doubleComplex": "c16"}
_TEXT = ("char", "unicodeChar")
_TRUTHS = {"t": True, "true": True, "1": True, "f": False, "false": False, "0": False}
_LOCK = threading.Lock()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Let astropy's warnings pass unsaid: they are meant for those who write units and times, not for readers."""
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@functools.lru_cache(maxsize=1024)
def unit_of(text: str) -> units.UnitBase | None:
    """The unit that a service means; one that nobody knows keeps its text."""
    text = text.strip()
    if text in ("", "-", "--"):
        return None
    with quiet():
        for form in ("vounit", "cds", "generic"):
            try:
                return units.Unit(text, format=form)
            except (ValueError, TypeError):
                continue
        return units.Unit(text, parse_strict="silent")


# --- texts -----------------------------------------------------------------------------------------------------------


def _scalar(datatype: str) -> Callable[[str], Value]:
    if datatype in _FLOATS:
        return _real
    if datatype in _INTEGERS:
        low, high, _ = _INTEGERS[datatype]
        return functools.partial(_whole, low=low, high=high)
    if datatype in ("boolean", "bit"):
        return lambda text: None if text in ("?", "") else _TRUTHS[text.lower()]
    raise KeyError(datatype)


def _real(text: str) -> float:
    if "_" in text:
        raise ValueError(text)
    return float(text)


def _whole(text: str, low: int, high: int) -> int:
    if "_" in text:
        raise ValueError(text)
    value = int(text, 16) if text[:2].lower() == "0x" else int(text)
    if not low <= value <= high:
        raise ValueError(text)
    return value


def texts(field: Field) -> Callable[[str], Value]:
    """What turns the text of a cell into its value.

    It raises ValueError or KeyError for a text that is not what the field declares.
    """
    kind, null = field.datatype, field.null
    if kind in _TEXT:
        return lambda text: None if null is not None and text == null else text
    if kind in _COMPLEX:
        return lambda text: _pairs(text, field)
    scalar = _scalar(kind)
    if not is_array(field):
        return lambda text: None if not (word := text.strip()) or word == null else scalar(word)
    return lambda text: _list(text, field, scalar)


def _list(text: str, field: Field, scalar: Callable[[str], Value]) -> list[Value] | None:
    words = text.split()
    if len(words) == 1 and field.datatype == "bit":
        words = list(words[0])
    size = fixed_size(field)
    if not words:
        return None
    if size is not None and len(words) != size:
        raise ValueError(text)
    return [None if word == field.null else scalar(word) for word in words]


def _pairs(text: str, field: Field) -> Value:
    numbers = [_real(word) for word in text.split()]
    if not numbers:
        return None
    values = [complex(*pair) for pair in zip(numbers[::2], numbers[1::2], strict=True)]
    if is_array(field):
        return values
    (value,) = values
    return value


def is_array(field: Field) -> bool:
    """Whether a cell holds more than one value."""
    return field.datatype not in _TEXT and field.arraysize not in ("", "1")


def fixed_size(field: Field) -> int | None:
    """How many values each cell holds; None where that differs."""
    if "*" in field.arraysize:
        return None
    return math.prod(int(part) for part in field.arraysize.split("x")) if field.arraysize else 1


def convert(field: Field, cells: Sequence[str], url: str) -> list[Value]:
    """The values of a column from its texts.

    Raises
    ------
    ProtocolError
        The column's type is unknown, or a text is not what it declares; column and row are named.
    """
    try:
        reader = texts(field)
        fixed_size(field)
    except (KeyError, ValueError):
        raise _unknown(field, url) from None
    values: list[Value] = []
    try:
        values.extend(reader(text) for text in cells)
    except (ValueError, KeyError, TypeError, OverflowError):
        # `extend` of a generator keeps what came before the failure.
        row = next(number for number, text in enumerate(cells) if _fails(reader, text))
        raise _liar(field, row, cells[row], url) from None
    return values


def _fails(reader: Callable[[str], Value], text: str) -> bool:
    try:
        reader(text)
    except (ValueError, KeyError, TypeError, OverflowError):
        return True
    return False


def _unknown(field: Field, url: str) -> ProtocolError:
    size = f" with arraysize {field.arraysize}" if field.arraysize else ""
    return ProtocolError(
        f"the column {field.name!r} has a type that VOTable does not know", url=url, found=f"{field.datatype!r}{size}"
    )


def _liar(field: Field, row: int, text: str, url: str) -> ProtocolError:
    shown = text if len(text) <= 60 else text[:59] + "…"
    size = f"[{field.arraysize}]" if is_array(field) else ""
    return ProtocolError(
        f"the column {field.name!r} is not what it declares in row {row + 1}",
        url=url,
        found=repr(shown),
        expected=f"{field.datatype}{size}",
    )


# --- bytes -----------------------------------------------------------------------------------------------------------

_BYTES = {"boolean": ("c", 1), "unsignedByte": ("B", 1), "short": ("h", 2), "int": ("i", 4), "long": ("q", 8),
          "float": ("f", 4), "double": ("d", 8), "floatComplex": ("ff", 8), "doubleComplex": ("dd", 16)}  # fmt: skip


def binary_rows(table: Table, url: str) -> list[list[Value]]:
    """The columns of a table whose rows are in BINARY or BINARY2.

    Raises
    ------
    ProtocolError
        The stream is not in base64, ends within a row, or has columns of unknown types.
    """
    if table.encoding.lower() not in ("base64", ""):
        raise ProtocolError("the rows are packed in a way that is not read", url=url, found=table.encoding)
    try:
        data = base64.b64decode("".join("".join(table.stream).split()), validate=True)
    except (binascii.Error, ValueError):
        raise ProtocolError("the rows are not in base64, or cut short", url=url) from None
    try:
        readers = [_reader(field) for field in table.fields]
    except (KeyError, ValueError):
        field = next(field for field in table.fields if not _known(field))
        raise _unknown(field, url) from None
    flags = (len(readers) + 7) // 8 if table.form == "BINARY2" else 0
    columns: list[list[Value]] = [[] for _ in readers]
    place, row = 0, 0
    while place < len(data):
        nulls = data[place : place + flags]
        place += flags
        for number, reader in enumerate(readers):
            try:
                value, place = reader(data, place)
            except (struct.error, ValueError, IndexError):
                raise ProtocolError(
                    f"the rows end within row {row + 1}, column {table.fields[number].name!r}", url=url
                ) from None
            hidden = bool(flags) and bool(nulls[number >> 3] & (0x80 >> (number & 7)))
            columns[number].append(None if hidden else value)
        row += 1
    return columns


def _known(field: Field) -> bool:
    try:
        _reader(field)
    except (KeyError, ValueError):
        return False
    return True


def _reader(field: Field) -> Callable[[bytes, int], tuple[Value, int]]:
    """Reads one cell at a place; gives it and the next place."""
    kind, size = field.datatype, fixed_size(field)
    if kind in _TEXT:
        width, coding = (1, "utf-8") if kind == "char" else (2, "utf-16-be")
        return functools.partial(_text_at, width=width, coding=coding, size=size, null=field.null)
    if kind == "bit":
        return functools.partial(_bits_at, size=size, array=is_array(field))
    code, width = _BYTES[kind]
    null = field.null
    return functools.partial(
        _numbers_at, kind=kind, code=code, width=width, size=size, array=is_array(field), null=null
    )


def _length(data: bytes, place: int, size: int | None) -> tuple[int, int]:
    if size is not None:
        return size, place
    (count,) = struct.unpack_from(">i", data, place)
    if count < 0:
        raise ValueError("negative length")
    return count, place + 4


def _piece(data: bytes, place: int, count: int) -> bytes:
    if place + count > len(data):
        raise ValueError("too short")
    return data[place : place + count]


def _text_at(
    data: bytes, place: int, *, width: int, coding: str, size: int | None, null: str | None
) -> tuple[Value, int]:
    count, place = _length(data, place, size)
    text = _piece(data, place, count * width).decode(coding, "replace").partition("\0")[0]
    if size is not None:
        text = text.rstrip(" ")
    return (None if null is not None and text == null else text), place + count * width


def _bits_at(data: bytes, place: int, *, size: int | None, array: bool) -> tuple[Value, int]:
    count, place = _length(data, place, size)
    packed = _piece(data, place, (count + 7) // 8)
    bits = [bool(packed[number >> 3] & (0x80 >> (number & 7))) for number in range(count)]
    return (bits if array else packed != b"\0"), place + len(packed)  # writers disagree on which of the eight it is


def _numbers_at(
    data: bytes, place: int, *, kind: str, code: str, width: int, size: int | None, array: bool, null: str | None
) -> tuple[Value, int]:
    count, place = _length(data, place, size)
    found: Sequence[Any] = struct.unpack(">" + code * count, _piece(data, place, count * width))
    if kind == "boolean":
        found = [_TRUTHS.get(byte.decode("latin-1").lower()) for byte in found]
    elif kind in _COMPLEX:
        found = [complex(*pair) for pair in zip(found[::2], found[1::2], strict=True)]
    elif null is not None and kind in _INTEGERS:
        found = [None if str(value) == null else value for value in found]
    return (list(found) if array else found[0]), place + count * width


# --- columns ---------------------------------------------------------------------------------------------------------


def column_of(field: Field, values: list[Value], name: str) -> Column | MaskedColumn:
    """A column with its unit, description and UCD; cells without a value are masked, empty texts are empty."""
    meta = {key: getattr(field, key) for key in ("ucd", "utype", "xtype") if getattr(field, key)}
    words: dict[str, Any] = {"name": name, "description": field.description or None, "meta": meta}
    if field.datatype in _TEXT:
        return Column(np.array(["" if value is None else value for value in values], dtype=str), **words)
    unit = unit_of(field.unit)
    mask = [value is None for value in values]
    if is_array(field):
        data = _arrays(field, values, mask)
    else:
        kind = _dtype(field.datatype)
        data = np.ma.array(np.array([kind.type() if value is None else value for value in values], kind), mask=mask)
    if np.ma.getmaskarray(data).any():
        return MaskedColumn(data, unit=unit, **words)
    return Column(np.asarray(data), unit=unit, **words)


def _dtype(datatype: str) -> np.dtype[Any]:
    if datatype in ("boolean", "bit"):
        return np.dtype(bool)
    return np.dtype({**_FLOATS, **_COMPLEX, **{key: value[2] for key, value in _INTEGERS.items()}}[datatype])


def _arrays(field: Field, values: list[Value], mask: list[bool]) -> Any:
    """Cells of many values: one array where all have the same size, else an array of arrays."""
    kind, size = _dtype(field.datatype), fixed_size(field)
    if size is None:
        data = np.empty(len(values), object)
        for row, value in enumerate(values):
            data[row] = _one(kind, value or [])
        return np.ma.array(data, mask=mask)
    shape = [int(part) for part in field.arraysize.split("x")][::-1]
    filled = [value or [None] * size for value in values]
    hidden = np.array([[item is None for item in value] for value in filled], bool).reshape(len(values), *shape)
    data = np.array([[kind.type() if item is None else item for item in value] for value in filled], kind)
    return np.ma.array(data.reshape(len(values), *shape), mask=hidden)


def _one(kind: np.dtype[Any], value: list[Value]) -> Any:
    hidden = [item is None for item in value]
    data = np.array([kind.type() if item is None else item for item in value], kind)
    return np.ma.array(data, mask=hidden) if any(hidden) else data
