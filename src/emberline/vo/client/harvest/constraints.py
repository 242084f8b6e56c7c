"""What is asked of the services: place, size, band, time and options, read from what a person wrote."""

from __future__ import annotations

import dataclasses
import datetime
import math
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from emberline.archive.readers.base import degrees, unit_in_angstrom
from emberline.errors import ConfigError, ReadError
from emberline.vo.client.harvest.history import HarvestError

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord
    from astropy.time import Time

    from emberline.vo.client.session import Session

__all__ = ["Constraints", "parse_band", "parse_coordinates", "parse_options", "parse_size", "parse_time", "resolve"]

_DEGREES = {"": 1.0, "d": 1.0, "deg": 1.0, "°": 1.0, "arcmin": 1 / 60, "m": 1 / 60, "'": 1 / 60, "arcsec": 1 / 3600,
            "s": 1 / 3600, '"': 1 / 3600}  # fmt: skip
_LIGHT = 2.99792458e18  # Å/s
_HERTZ = {"hz": 1.0, "khz": 1e3, "mhz": 1e6, "ghz": 1e9, "thz": 1e12}
_NUMBER = r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?"
_LIKE_COORDINATES = re.compile(r"^[\d.:hmsd°'\"+\-\s,]+$")


@dataclasses.dataclass(frozen=True)
class Constraints:
    """What every service is asked for.

    Attributes
    ----------
    positions : tuple of str
        Names of objects or coordinates.
    size : float
        Diameter of the circle around each position, in degrees.
    band : tuple of float or None
        First and last wavelength in vacuum Å; infinite where it is open.
    time : tuple of str or None
        First and last moment, ISO 8601, UTC; empty where it is open.
    limit : int or None
        Records that are taken from each service at each position at most.
    """

    positions: tuple[str, ...] = ()
    size: float = 10 / 3600
    band: tuple[float, float] | None = None
    time: tuple[str, str] | None = None
    limit: int | None = None

    def moments(self) -> tuple[Time, Time] | None:
        """`time` as two moments; open ends are 1960, where UTC begins, and the end of this year."""
        from astropy.time import Time

        if self.time is None:
            return None
        year = datetime.datetime.now(datetime.UTC).year
        first, last = self.time[0] or "1960-01-01T00:00:00", self.time[1] or f"{year}-12-31T23:59:59"
        return Time(first, scale="utc"), Time(max(first, last), scale="utc")


def parse_size(text: str) -> float:
    """A diameter in degrees from ``0.1``, ``10 arcsec``, ``3'``.

    Raises
    ------
    ConfigError
        It is no angle from 0 to 180°.
    """
    match = re.fullmatch(rf"\s*({_NUMBER})\s*([a-z°'\"]*)\s*", text.lower())
    value = float(match[1]) * _DEGREES[match[2]] if match and match[2] in _DEGREES else math.nan
    if not 0 < value <= 180:
        raise _wrong("size", text, "a diameter such as 0.1, 10arcsec or 3arcmin; degrees without a unit, 180 at most")
    return value


def parse_band(text: str) -> tuple[float, float]:
    """First and last wavelength in vacuum Å from ``6500/6700``, ``650/670 nm``, ``/1 um``, ``4.5e14/4.6e14 Hz``.

    Raises
    ------
    ConfigError
        It is no range, or its unit is not known.
    """
    expected = "FIRST/LAST and a unit (Angstrom without one; nm, um, m, Hz, …); either end may be left out"
    match = re.fullmatch(rf"\s*({_NUMBER})?\s*(?:/|\.\.)\s*({_NUMBER})?\s*([A-Za-zµÅ]*)\s*", text)
    if match is None or not (match[1] or match[2]):
        raise _wrong("band", text, expected)
    ends = [float(part) if part else None for part in (match[1], match[2])]
    if any(end is not None and end <= 0 for end in ends):
        raise _wrong("band", text, "positive numbers")
    unit = match[3] or "Angstrom"
    if unit.lower() in _HERTZ:
        ends = [None if end is None else _LIGHT / (end * _HERTZ[unit.lower()]) for end in reversed(ends)]
    else:
        try:
            factor = unit_in_angstrom(unit, "the band")
        except ReadError:
            raise _wrong("band", text, expected) from None
        ends = [None if end is None else end * factor for end in ends]
    low, high = 0.0 if ends[0] is None else ends[0], math.inf if ends[1] is None else ends[1]
    if low > high:
        raise _wrong("band", text, "the smaller number first")
    return low, high


def parse_time(text: str) -> tuple[str, str]:
    """First and last moment from ``2012-01-01/2013-06-30T12:00:00``; either end may be left out, a year is enough.

    Raises
    ------
    ConfigError
        They are no dates, or the first is later than the last.
    """
    first, slash, last = text.partition("/")
    begin = _moment(first.strip(), text, end=False)
    final = _moment((last if slash else first).strip(), text, end=True)
    if not (begin or final) or (begin and final and begin > final):
        raise _wrong("time", text, "FIRST/LAST as ISO 8601 dates, the earlier one first; either end may be left out")
    return begin, final


def _moment(text: str, whole: str, *, end: bool) -> str:
    """A date or time in ISO 8601; a year, month or day alone is its beginning or its `end`."""
    if not text:
        return ""
    parts = re.fullmatch(r"(\d{4})(?:-(\d{2}))?", text)
    try:
        if parts:
            year, month = int(parts[1]), int(parts[2] or (12 if end else 1))
            following = datetime.datetime(year + month // 12, month % 12 + 1, 1)
            moment = following - datetime.timedelta(seconds=1) if end else datetime.datetime(year, month, 1)
        else:
            moment = datetime.datetime.fromisoformat(text.removesuffix("Z"))
            if end and len(text) == 10:
                moment += datetime.timedelta(days=1) - datetime.timedelta(seconds=1)
    except (ValueError, OverflowError):
        raise _wrong("time", whole, "FIRST/LAST as ISO 8601 dates such as 2012-01-31") from None
    return moment.replace(tzinfo=None).isoformat(timespec="seconds")


def parse_options(given: Iterable[str]) -> dict[str, str]:
    """Names and values from ``NAME=VALUE``; names count in any case.

    Raises
    ------
    ConfigError
        There is no ``=``, or a name comes twice.
    """
    options: dict[str, str] = {}
    for text in given:
        name, sign, value = text.partition("=")
        key = name.strip().upper()
        if not sign or not key or not value.strip():
            raise _wrong("option", text, "NAME=VALUE, such as cutout=6500/6700, format=fits or FLUXCALIB=NORMALIZED")
        if key in options:
            raise _wrong("option", text, f"{key} once; it is given twice")
        options[key] = value.strip()
    return options


def parse_coordinates(text: str) -> tuple[float, float] | None:
    """Right ascension and declination in degrees from decimal or sexagesimal text; None when it is a name.

    Raises
    ------
    ConfigError
        It looks like coordinates and is none.
    """
    bare = text.strip()
    if not _LIKE_COORDINATES.match(bare) or not re.search(r"\d", bare):
        return None
    parts = re.sub(r"[:hmsd°'\",]", " ", bare).split()
    if len(parts) not in (2, 4, 6):
        if not re.search(r"[:,.]", bare):
            return None
        raise _wrong("position", text, "right ascension and declination: 83.6331 +22.0145, or 05:34:31.9 +22:00:52")
    half = len(parts) // 2
    ra, dec = degrees(" ".join(parts[:half]), hours=True), degrees(" ".join(parts[half:]))
    if not (0 <= ra <= 360 and -90 <= dec <= 90):
        raise _wrong("position", text, "right ascension from 0 to 360° and declination from -90 to 90°")
    return ra, dec


def resolve(session: Session, positions: Sequence[str]) -> list[tuple[str, SkyCoord]]:
    """Each position with its place on the sky (ICRS); names are asked of the name resolver.

    Raises
    ------
    ConfigError, HarvestError, ServiceError
        Something is no coordinates; nobody knows a name; the resolver cannot be asked.
    """
    from astropy.coordinates import SkyCoord

    found: list[tuple[str, SkyCoord]] = []
    for text in positions:
        place = parse_coordinates(text)
        if place is not None:
            found.append((text, SkyCoord(*place, unit="deg", frame="icrs")))
            continue
        from emberline.vo.client import names

        known = names.resolve(session, text.strip())
        if known is None:
            raise HarvestError(
                "the name resolver knows no such object",
                where=text.strip()[:80],
                expected="a name that SIMBAD, NED or VizieR know, or coordinates such as 83.6331 +22.0145",
            )
        found.append((text, known.coordinate))
    return found


def _wrong(name: str, text: str, expected: str) -> ConfigError:
    return ConfigError("cannot be understood", where=name, found=repr(text[:80]), expected=expected)
