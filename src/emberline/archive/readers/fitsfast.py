"""A minimal FITS reader for files that come by the million: header cards on demand, arrays as views, no astropy.

It knows what the surveys use of the standard: primary and IMAGE arrays, BINTABLE columns of fixed and variable length,
and HIERARCH keywords. Everything it is given is checked against the length of the file before it is touched.

References
----------
FITS standard 4.0, IAU FITS Working Group, 2018 (Pence et al. 2010, A&A 524, A42, for version 3.0).
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberline.errors import ReadError

__all__ = ["BLOCK", "FitsFile", "Hdu", "Header"]

BLOCK = 2880
"""Bytes in a FITS block."""

_CARD = 80
_IMAGE_TYPES = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
_COLUMN_TYPES = {"L": "S1", "B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}
_COLUMN_TYPES |= {"C": ">c8", "M": ">c16", "P": ">i4", "Q": ">i8"}
_TFORM = re.compile(r"\s*(\d*)([LXBIJKAEDCMPQ])")
_MISSING = object()


class Header:
    """The cards of one header; values are parsed when they are asked for, and the first of equal keywords counts."""

    __slots__ = ("_text",)

    def __init__(self, text: bytes) -> None:
        self._text = text

    def __contains__(self, key: str) -> bool:
        return self._card(key) is not None

    def get(self, key: str, default: Any = None) -> Any:
        """The value of `key` as text, bool, int or float; `default` when it is absent, empty or unreadable."""
        card = self._card(key)
        if card is None:
            return default
        value = _value(card)
        return default if value is None else value

    def number(self, key: str, default: float = math.nan) -> float:
        """The value of `key` as a float; `default` when it is absent or no finite number (also as text)."""
        try:
            number = float(self.get(key, default))
        except (TypeError, ValueError):
            return default
        return number if math.isfinite(number) else default

    def text(self, key: str) -> str:
        """The value of `key` as stripped text; empty when it is absent."""
        value = self.get(key)
        return "" if value is None else str(value).strip()

    def comment(self, key: str) -> str:
        """The comment beside `key`; empty when there is none."""
        card = self._card(key) or ""
        rest = re.sub(r"^\s*'(?:[^']|'')*'", "", card)
        return rest.partition("/")[2].strip()

    def need(self, key: str) -> float:
        """The number at `key`.

        Raises
        ------
        ReadError
            It is missing or no number.
        """
        value = self.get(key, _MISSING)
        number = self.number(key)
        if math.isnan(number) or isinstance(value, bool):
            found = "none" if value is _MISSING else repr(value)
            raise ReadError(f"the keyword {key} is needed", reason="bad-keyword", found=found, expected="a number")
        return number

    def _card(self, key: str) -> str | None:
        """What stands behind the ``=`` of the first card with this keyword."""
        pattern = key.encode("ascii").ljust(8) + b"=" if len(key) <= 8 and " " not in key else None
        if pattern is None:
            return self._hierarch(key)
        text, at = self._text, self._text.find(pattern)
        while at >= 0 and at % _CARD:
            at = text.find(pattern, at + 1)
        return None if at < 0 else text[at + 9 : at + _CARD].decode("latin-1")

    def _hierarch(self, key: str) -> str | None:
        pattern, start = b"HIERARCH " + key.encode("ascii"), 0
        while (at := self._text.find(pattern, start)) >= 0:
            name, equals, rest = self._text[at : at + _CARD].partition(b"=")
            if at % _CARD == 0 and equals and name.strip() == pattern:
                return rest.decode("latin-1")
            start = at + 1
        return None


def _value(card: str) -> str | bool | int | float | None:
    """Parse what stands behind the equals sign of a card."""
    text = card.lstrip()
    if text.startswith("'"):
        match = re.match(r"'((?:[^']|'')*)'", text)
        return match.group(1).replace("''", "'").rstrip() if match else text[1:].rstrip()
    text = text.partition("/")[0].strip()
    if text in ("T", "F"):
        return text == "T"
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text.replace("D", "E").replace("d", "e"))
    except ValueError:
        return text or None


class Hdu:
    """One header and its data: an image or a table."""

    def __init__(self, header: Header, data: bytes, start: int, index: int) -> None:
        self.header = header
        self.index = index
        self.start = start
        self._data = data
        self.size = self._data_size()
        if start + self.size > len(data):
            raise ReadError(
                f"the data of HDU {index} end too early",
                reason="truncated",
                found=f"{max(len(data) - start, 0)} bytes",
                expected=f"{self.size} bytes",
                action="Fetch the file again.",
            )

    @functools.cached_property
    def name(self) -> str:
        """EXTNAME in upper case, empty when there is none."""
        return self.header.text("EXTNAME").upper()

    @functools.cached_property
    def shape(self) -> tuple[int, ...]:
        """NAXISn, … NAXIS1: the order of NumPy."""
        count = self._count("NAXIS", 999)
        return tuple(self._count(f"NAXIS{axis}", 2**40) for axis in range(count, 0, -1))

    @property
    def is_table(self) -> bool:
        """Whether this is a BINTABLE extension."""
        return self.index > 0 and self.header.text("XTENSION") == "BINTABLE"

    def _count(self, key: str, most: int) -> int:
        value = self.header.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            raise ReadError(
                f"the keyword {key} of HDU {self.index} makes no sense",
                reason="bad-keyword",
                found=repr(value),
                expected="a count",
            )
        return int(value)

    def _data_size(self) -> int:
        bits = self.header.get("BITPIX")
        if bits not in _IMAGE_TYPES:
            raise ReadError(
                f"the keyword BITPIX of HDU {self.index} makes no sense",
                reason="bad-keyword",
                found=repr(bits),
                expected=", ".join(map(str, _IMAGE_TYPES)),
            )
        if not self.shape:
            return 0
        cells = math.prod(self.shape)
        if self.index:
            cells = int(self.header.number("GCOUNT", 1)) * (cells + int(self.header.number("PCOUNT", 0)))
        return abs(int(bits)) // 8 * cells

    def image(self) -> NDArray[Any]:
        """The array as a read-only big-endian view, scaled by BSCALE and BZERO where they say so.

        Raises
        ------
        ReadError
            The HDU holds a table, or nothing.
        """
        if self.is_table or not self.shape:
            raise ReadError(f"HDU {self.index} holds no image", reason="no-spectrum", found="no array")
        kind = np.dtype(_IMAGE_TYPES[self.header.get("BITPIX")])
        array = np.frombuffer(self._data, kind, math.prod(self.shape), self.start).reshape(self.shape)
        scale, zero = self.header.number("BSCALE", 1.0), self.header.number("BZERO", 0.0)
        return array if (scale, zero) == (1.0, 0.0) else array * scale + zero

    @functools.cached_property
    def _layout(self) -> dict[str, tuple[int, str, int, int]]:
        """Per column in upper case: its number, type letter, repeat count and offset in the row."""
        layout: dict[str, tuple[int, str, int, int]] = {}
        offset = 0
        for number in range(1, self._count("TFIELDS", 999) + 1):
            form = self.header.text(f"TFORM{number}")
            match = _TFORM.match(form)
            if match is None:
                raise ReadError(f"TFORM{number} is no column format", reason="bad-keyword", found=repr(form))
            repeat, letter = int(match.group(1) or 1), match.group(2)
            layout.setdefault(self.header.text(f"TTYPE{number}").upper(), (number, letter, repeat, offset))
            offset += _width(letter, repeat)
        if offset != self.shape[-1]:
            raise ReadError(
                f"the columns of HDU {self.index} do not fill its rows",
                reason="bad-keyword",
                found=f"{offset} bytes by TFORMn",
                expected=f"NAXIS1 = {self.shape[-1]}",
            )
        return layout

    @property
    def columns(self) -> list[str]:
        """The names of the table's columns in upper case; none for an image."""
        return list(self._layout) if self.is_table else []

    def number_of(self, column: str) -> int:
        """The n of TTYPEn for a column name in upper case."""
        return self._layout[column][0]

    def column(self, name: str) -> NDArray[Any]:
        """A column as a big-endian view of shape (rows,) or (rows, repeat); text as bytes; scaled where it says so.

        Raises
        ------
        ReadError
            There is no such column, or its type is not supported.
        """
        if name not in self._layout:
            raise ReadError(
                f"HDU {self.index} has no column {name}", reason="no-spectrum", found=", ".join(self.columns)
            )
        number, letter, repeat, offset = self._layout[name]
        rows = self.shape[0] if len(self.shape) > 1 else 0
        if letter in "PQ":
            return self._variable(name, rows, offset, letter)
        kind = f"S{repeat}" if letter == "A" else _COLUMN_TYPES.get(letter, "")
        if not kind or not repeat:
            raise ReadError(f"the column {name} cannot be read", reason="bad-keyword", found=f"format {repeat}{letter}")
        size = np.dtype(kind).itemsize
        shape, strides = (rows, repeat), (self.shape[-1], size)
        view = np.ndarray(shape if letter != "A" else (rows, 1), kind, self._data, self.start + offset, strides)
        array: NDArray[Any] = view[:, 0] if view.shape[1] == 1 else view
        scale, zero = self.header.number(f"TSCAL{number}", 1.0), self.header.number(f"TZERO{number}", 0.0)
        return array if (scale, zero) == (1.0, 0.0) else array * scale + zero

    def _variable(self, name: str, rows: int, offset: int, letter: str) -> NDArray[Any]:
        """A variable-length column whose rows have one length, as (rows, length)."""
        pair = ">i4" if letter == "P" else ">i8"
        stride = self.shape[-1]
        descriptors = np.ndarray(
            (rows, 2), pair, self._data, self.start + offset, (stride, np.dtype(pair).itemsize)
        ).astype(np.int64)
        form = self.header.text(f"TFORM{self.number_of(name)}")
        inner = _COLUMN_TYPES.get(form.partition(letter)[2][:1], "")
        if not inner or not rows or (descriptors[:, 0] != descriptors[0, 0]).any():
            raise ReadError(f"the column {name} cannot be read", reason="bad-keyword", found=f"format {form}")
        heap = self.start + int(self.header.number("THEAP", stride * rows))
        length, item = int(descriptors[0, 0]), np.dtype(inner).itemsize
        if (heap + descriptors[:, 1] + length * item > self.start + self.size).any() or (descriptors < 0).any():
            raise ReadError(f"the column {name} points outside the data", reason="truncated", found=f"format {form}")
        cells = [np.frombuffer(self._data, inner, length, heap + int(at)) for at in descriptors[:, 1]]
        return np.stack(cells)

    def cell(self, name: str, default: Any = None) -> Any:
        """The first row of a scalar column as text or number; `default` when the column or the row is absent."""
        if name not in self._layout or not self.shape[0]:
            return default
        value = self.column(name)[0]
        if isinstance(value, bytes | np.bytes_):
            return bytes(value).rstrip(b"\0 ").decode("latin-1").strip()
        return value.item() if value.ndim == 0 else default


def _width(letter: str, repeat: int) -> int:
    if letter == "A":
        return repeat
    if letter == "X":
        return -(-repeat // 8)
    size = {"P": 8, "Q": 16}.get(letter)
    return repeat * (size or np.dtype(_COLUMN_TYPES[letter]).itemsize)


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
        after = start + -(-(end + _CARD - start) // BLOCK) * BLOCK
        hdu = Hdu(Header(data[start:end]), data, after, len(self._hdus))
        self._hdus.append(hdu)
        self._next = after + -(-hdu.size // BLOCK) * BLOCK
        return hdu


def _end_card(data: bytes, start: int) -> int:
    """The position of the END card of the header that starts at `start`, -1 when there is none."""
    at = data.find(b"END     ", start)
    while at >= 0 and ((at - start) % _CARD or data[at + 3 : at + _CARD].strip(b" ")):
        at = data.find(b"END     ", at + 1)
    return at
