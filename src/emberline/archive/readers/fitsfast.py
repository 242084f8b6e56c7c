"""A minimal FITS reader for files that come by the million: header cards on demand, arrays as views, no astropy.

It knows what the surveys use of the standard: primary and IMAGE arrays, BINTABLE columns of fixed and variable length,
and HIERARCH keywords. Everything it is given is checked against the length of the file before it is touched.

References
----------
FITS standard 4.0, IAU FITS Working Group, 2018 (Pence et al. 2010, A&A 524, A42, for version 3.0).
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberline.archive.readers.cards import CARD, Header
from emberline.errors import ReadError

__all__ = ["BLOCK", "FitsFile", "Hdu", "Header"]

BLOCK = 2880
"""Bytes in a FITS block."""

_IMAGE_TYPES = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
_COLUMN_TYPES = {"L": "S1", "B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}
_COLUMN_TYPES |= {"C": ">c8", "M": ">c16", "P": ">i4", "Q": ">i8"}
_TFORM = re.compile(r"\s*(\d*)([LXBIJKAEDCMPQ])")


@dataclasses.dataclass(frozen=True)
class _Column:
    """Where a table's column lies in its row and how its numbers are scaled."""

    number: int
    letter: str
    repeat: int
    offset: int
    scale: float
    zero: float
    form: str


@dataclasses.dataclass(frozen=True)
class _Plan:
    """What a header says of the data behind it."""

    name: str
    shape: tuple[int, ...]
    size: int
    kind: str
    is_table: bool
    scale: float
    zero: float
    columns: dict[str, _Column]


def _plan(header: Header, index: int) -> _Plan:
    """Read the structural keywords of a header.

    Raises
    ------
    ReadError
        One of them is missing or makes no sense.
    """
    kind = _IMAGE_TYPES.get(header.get("BITPIX"))
    if kind is None:
        expected = ", ".join(map(str, _IMAGE_TYPES))
        raise _senseless("BITPIX", index, header.get("BITPIX"), expected)
    axes = _count(header, "NAXIS", index, 999)
    shape = tuple(_count(header, f"NAXIS{axis}", index) for axis in range(axes, 0, -1))
    cells = math.prod(shape) if shape else 0
    if index and shape:
        extra, groups = _count(header, "PCOUNT", index, default=0), _count(header, "GCOUNT", index, default=1)
        cells = groups * (cells + extra)
    is_table = index > 0 and header.text("XTENSION") == "BINTABLE"
    return _Plan(
        name=header.text("EXTNAME").upper(),
        shape=shape,
        size=cells * np.dtype(kind).itemsize,
        kind=kind,
        is_table=is_table,
        scale=header.number("BSCALE", 1.0),
        zero=header.number("BZERO", 0.0),
        columns=_columns(header, index, shape) if is_table else {},
    )


@functools.lru_cache(maxsize=64)
def _shared(content: bytes, index: int) -> tuple[Header, _Plan]:
    """An extension's header and plan: in the files of one release they are mostly the same, byte for byte."""
    header = Header(content)
    return header, _plan(header, index)


def _count(header: Header, key: str, index: int, most: int = 2**40, default: int | None = None) -> int:
    value = header.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise _senseless(key, index, value, "a count")
    return int(value)


def _senseless(key: str, index: int, found: object, expected: str) -> ReadError:
    return ReadError(
        f"the keyword {key} of HDU {index} makes no sense", reason="bad-keyword", found=repr(found), expected=expected
    )


def _columns(header: Header, index: int, shape: tuple[int, ...]) -> dict[str, _Column]:
    """The columns by name in upper case."""
    columns: dict[str, _Column] = {}
    offset = 0
    for number in range(1, _count(header, "TFIELDS", index, 999) + 1):
        form = header.text(f"TFORM{number}")
        match = _TFORM.match(form)
        if match is None:
            raise _senseless(f"TFORM{number}", index, form, "a column format")
        repeat, letter = int(match.group(1) or 1), match.group(2)
        scale, zero = header.number(f"TSCAL{number}", 1.0), header.number(f"TZERO{number}", 0.0)
        column = _Column(number, letter, repeat, offset, scale, zero, form)
        columns.setdefault(header.text(f"TTYPE{number}").upper(), column)
        offset += _width(letter, repeat)
    if len(shape) != 2 or offset != shape[1]:
        raise ReadError(
            f"the columns of HDU {index} do not fill its rows",
            reason="bad-keyword",
            found=f"{offset} bytes by TFORMn",
            expected=f"NAXIS = 2 and NAXIS1 = {offset}, not shape {shape}",
        )
    return columns


def _width(letter: str, repeat: int) -> int:
    """Bytes of a column in each row."""
    if letter == "X":
        return -(-repeat // 8)
    size = {"A": 1, "P": 8, "Q": 16}.get(letter)
    return repeat * (size or np.dtype(_COLUMN_TYPES[letter]).itemsize)


class Hdu:
    """One header and its data: an image or a table."""

    def __init__(self, cards: bytes, data: bytes, start: int, index: int) -> None:
        self.index = index
        if index:
            self.header, self._plan = _shared(cards, index)
        else:
            self.header = Header(cards)
            self._plan = _plan(self.header, index)
        self._start = start
        self._data = data
        if start + self.size > len(data):
            raise ReadError(
                f"the data of HDU {index} end too early",
                reason="truncated",
                found=f"{max(len(data) - start, 0)} bytes",
                expected=f"{self.size} bytes",
                action="Fetch the file again.",
            )

    @property
    def name(self) -> str:
        """EXTNAME in upper case, empty when there is none."""
        return self._plan.name

    @property
    def shape(self) -> tuple[int, ...]:
        """NAXISn, … NAXIS1: the order of NumPy; empty without data."""
        return self._plan.shape

    @property
    def size(self) -> int:
        """Bytes of data, without padding."""
        return self._plan.size

    @property
    def is_table(self) -> bool:
        """Whether this is a BINTABLE extension."""
        return self._plan.is_table

    def image(self) -> NDArray[Any]:
        """The array as a read-only big-endian view, scaled by BSCALE and BZERO where they say so.

        Raises
        ------
        ReadError
            The HDU holds a table, or nothing.
        """
        plan = self._plan
        if plan.is_table or not plan.shape:
            raise ReadError(f"HDU {self.index} holds no image", reason="no-spectrum", found="no array")
        array = np.frombuffer(self._data, plan.kind, math.prod(plan.shape), self._start).reshape(plan.shape)
        return _scaled(array, plan.scale, plan.zero)

    @property
    def columns(self) -> list[str]:
        """The names of the table's columns in upper case; none for an image."""
        return list(self._plan.columns)

    def number_of(self, column: str) -> int:
        """The n of TTYPEn for a column name in upper case."""
        return self._plan.columns[column].number

    def column(self, name: str) -> NDArray[Any]:
        """A column as a big-endian view of shape (rows,) or (rows, repeat); text as bytes; scaled where it says so.

        Raises
        ------
        ReadError
            There is no such column, or its type is not supported.
        """
        column = self._plan.columns.get(name)
        if column is None:
            raise ReadError(
                f"HDU {self.index} has no column {name}", reason="no-spectrum", found=", ".join(self.columns)
            )
        rows, stride = self.shape
        if column.letter in "PQ":
            return self._variable(name, column)
        text = column.letter == "A"
        kind = np.dtype(f"S{column.repeat}" if text else _COLUMN_TYPES.get(column.letter, "V0"))
        if not kind.itemsize or not column.repeat:
            raise ReadError(f"the column {name} cannot be read", reason="bad-keyword", found=f"format {column.form}")
        if text or column.repeat == 1:
            shape: tuple[int, ...] = (rows,)
            strides: tuple[int, ...] = (stride,)
        else:
            shape, strides = (rows, column.repeat), (stride, kind.itemsize)
        view: NDArray[Any] = np.ndarray(shape, kind, self._data, self._start + column.offset, strides)
        return _scaled(view, column.scale, column.zero)

    def _variable(self, name: str, column: _Column) -> NDArray[Any]:
        """A variable-length column whose rows have one length, as (rows, length)."""
        rows, stride = self.shape
        pair = np.dtype(">i4" if column.letter == "P" else ">i8")
        where: NDArray[Any] = np.ndarray(
            (rows, 2), pair, self._data, self._start + column.offset, (stride, pair.itemsize)
        )
        inner = _COLUMN_TYPES.get(column.form.partition(column.letter)[2][:1], "")
        if not inner or not rows or (where[:, 0] != where[0, 0]).any():
            raise ReadError(
                f"the column {name} cannot be read",
                reason="bad-keyword",
                found=f"format {column.form}",
                expected="numbers, as many in each row",
            )
        heap = self._start + int(self.header.number("THEAP", stride * rows))
        length, item = int(where[0, 0]), np.dtype(inner).itemsize
        starts = [heap + int(at) for at in where[:, 1]]
        if length < 0 or min(starts) < self._start or max(starts) + length * item > self._start + self.size:
            raise ReadError(f"the column {name} points outside the data", reason="truncated")
        cells = [np.frombuffer(self._data, inner, length, at) for at in starts]
        return _scaled(np.stack(cells), column.scale, column.zero)

    def cell(self, name: str, default: Any = None) -> Any:
        """The first row of a scalar column as text or number; `default` when the column or the row is absent."""
        if name not in self._plan.columns or not self.shape[0]:
            return default
        value = self.column(name)[0]
        if isinstance(value, bytes | np.bytes_):
            return bytes(value).rstrip(b"\0 ").decode("latin-1").strip()
        return value.item() if value.ndim == 0 else default


def _scaled(array: NDArray[Any], scale: float, zero: float) -> NDArray[Any]:
    return array if (scale, zero) == (1.0, 0.0) else array * scale + zero


class FitsFile:
    """The HDUs of a FITS file in memory, found one after the other as they are asked for.

    Parameters
    ----------
    data : bytes
        The uncompressed file.

    Raises
    ------
    ReadError
        It is not FITS (``not-fits``), or a header or its data are cut off (``truncated``).
    """

    def __init__(self, data: bytes) -> None:
        if not data.startswith(b"SIMPLE  ="):
            found = f"{data[:12]!r}…" if data else "an empty file"
            raise ReadError("is not FITS", reason="not-fits", found=found, expected="SIMPLE  = T")
        self._data = data
        self._next: int = 0
        self._hdus: list[Hdu] = []

    def __getitem__(self, index: int) -> Hdu:
        while len(self._hdus) <= index:
            hdu = self._read_next()
            if hdu is None:
                raise ReadError(f"has no HDU {index}", reason="no-spectrum", found=f"{len(self._hdus)} HDUs")
        return self._hdus[index]

    def __iter__(self) -> Iterator[Hdu]:
        index = 0
        while index < len(self._hdus) or self._read_next() is not None:
            yield self._hdus[index]
            index += 1

    def named(self, name: str) -> Hdu | None:
        """The first HDU with this EXTNAME (upper case), if any."""
        return next((hdu for hdu in self if hdu.name == name), None)

    def _read_next(self) -> Hdu | None:
        start, data = self._next, self._data
        if start >= len(data) or (start and not data.startswith(b"XTENSION", start)):
            return None  # what follows the last HDU is padding or, by the standard, to be ignored
        end = _end_card(data, start)
        if end < 0:
            raise ReadError(
                f"the header of HDU {len(self._hdus)} has no END card",
                reason="truncated",
                found=f"{len(data) - start} bytes without one",
                expected="END",
                action="Fetch the file again.",
            )
        after = start + -(-(end + CARD - start) // BLOCK) * BLOCK
        hdu = Hdu(data[start:end], data, after, len(self._hdus))
        self._hdus.append(hdu)
        self._next = after + -(-hdu.size // BLOCK) * BLOCK
        return hdu


def _end_card(data: bytes, start: int) -> int:
    """The position of the END card of the header that starts at `start`, -1 when there is none."""
    at = data.find(b"END     ", start)
    while at >= 0 and ((at - start) % CARD or data[at + 3 : at + CARD].strip(b" ")):
        at = data.find(b"END     ", at + 1)
    return at
