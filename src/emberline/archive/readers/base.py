"""What a reader is, what it states about its survey, and the small conversions that all readers share."""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import datetime
import functools
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from emberline.archive.readers.cards import Header
from emberline.archive.readers.source import Source
from emberline.dates import modified_julian_date
from emberline.errors import ReadError
from emberline.spectra import Grid, Medium, Spectrum, VelocityFrame, air_to_vacuum

__all__ = ["Reader", "Statement"]

_ANGSTROM = {
    "angstrom": 1.0, "angstroms": 1.0, "ang": 1.0, "a": 1.0, "å": 1.0, "0.1nm": 1.0, "10**-10m": 1.0, "1e-10m": 1.0,
    "nm": 10.0, "nanometer": 10.0, "nanometers": 10.0, "nanometre": 10.0,
    "um": 1e4, "µm": 1e4, "micron": 1e4, "microns": 1e4, "micrometer": 1e4,
    "mm": 1e7, "cm": 1e8, "m": 1e10, "meter": 1e10, "metre": 1e10,
}  # fmt: skip
_SHORTEST, _LONGEST = 1.0, 1e8  # Å: X rays to a centimetre
_SPECSYS: Mapping[str, VelocityFrame] = {
    "BARYCENT": "barycentric",
    "BARYCENTER": "barycentric",
    "BARYCENTRIC": "barycentric",
    "HELIOCEN": "heliocentric",
    "HELIOCENTRIC": "heliocentric",
    "TOPOCENT": "topocentric",
    "TOPOCENTRIC": "topocentric",
    "TOPOCENTER": "topocentric",
    "SOURCE": "rest",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Statement:
    """What a reader says of the files it reads; the documentation's tables are made from it.

    Attributes
    ----------
    survey : str
        Survey or instrument.
    layout : str
        The files it takes.
    medium, velocity_frame, flux_unit : str
        As the files have them; "by header" where the file decides.
    ivar, mask : str
        Where inverse variance and mask come from.
    identifier : str
        How a spectrum's identifier is made.
    resolving_power : str
        λ/Δλ (FWHM).
    """

    survey: str
    layout: str
    medium: str
    velocity_frame: str
    flux_unit: str
    ivar: str
    mask: str
    identifier: str
    resolving_power: str

    @property
    def line(self) -> str:
        """All of it in one line."""
        return (
            f"{self.survey}: {self.layout}; {self.medium}, {self.velocity_frame}; flux {self.flux_unit}; "
            f"ivar {self.ivar}; mask {self.mask}"
        )


@runtime_checkable
class Reader(Protocol):
    """Turns one file of one survey into spectra. Stateless; one instance serves all files.

    Attributes
    ----------
    name : str
        What ``--reader`` takes, such as ``lamost-lrs``.
    description : str
        One line: survey, layout, medium, velocity frame, units, ivar, mask. Readers of this package also have
        ``states``, the same as a `Statement`.
    """

    name: str

    @property
    def description(self) -> str: ...

    def matches(self, source: Source) -> bool:
        """Whether this looks like a file for this reader: a cheap look at the name and the first header."""
        ...

    def read(self, source: Source) -> Iterable[Spectrum | ReadError]:
        """The spectra of the file.

        A file that cannot be used at all raises `ReadError`; one bad spectrum among several is yielded as a `ReadError`
        in its place, and the others go on.
        """
        ...


class Described:
    """Mix-in of the package's own readers: `description` from `states`."""

    name: str
    states: Statement

    @property
    def description(self) -> str:
        """One line: survey, layout, medium, velocity frame, units, ivar, mask."""
        return self.states.line


def located(error: ReadError, where: str) -> ReadError:
    """The same error with `where` put before the place it names."""
    place = f"{where}: {error.where}" if error.where else where
    return ReadError(
        error.message,
        reason=error.reason,
        where=place,
        found=error.found,
        expected=error.expected,
        action=error.action,
    )


def unit_in_angstrom(unit: str, key: str) -> float:
    """How many ångström one `unit` of length is; `key` is where the unit was stated.

    Raises
    ------
    ReadError
        The unit is not known as a length.
    """
    factor = _ANGSTROM.get(unit.strip().lower().replace(" ", ""))
    if factor is None:
        raise ReadError(
            f"the wavelength unit in {key} is not understood",
            reason="bad-keyword",
            found=repr(unit),
            expected="Angstrom, nm, um, mm, cm or m",
        )
    return factor


def stated_medium(header: Header, default: Medium | None) -> Medium:
    """Air or vacuum, by all keywords that say so (VACUUM, AIRORVAC, CTYPE1), else the survey's `default`.

    Raises
    ------
    ReadError
        ``wrong-frame`` when two keywords contradict each other or nothing says it.
    """
    said: dict[str, Medium] = {}
    vacuum = header.get("VACUUM")
    if isinstance(vacuum, bool):
        said[f"VACUUM = {'T' if vacuum else 'F'}"] = "vacuum" if vacuum else "air"
    text = header.text("AIRORVAC").lower()
    if text[:3] in ("air", "vac"):
        said[f"AIRORVAC = '{text}'"] = "air" if text[:3] == "air" else "vacuum"
    ctype = header.text("CTYPE1").upper()
    if ctype[:4] in ("AWAV", "WAVE") and (len(ctype) == 4 or ctype[4] == "-"):
        said[f"CTYPE1 = '{ctype}'"] = "air" if ctype[0] == "A" else "vacuum"
    return agreed_medium(said, default)


def agreed_medium(said: Mapping[str, Medium], default: Medium | None) -> Medium:
    """The one medium that all statements name, `default` without any; see `stated_medium`."""
    media = set(said.values())
    if len(media) > 1:
        raise ReadError(
            "the file contradicts itself about air and vacuum",
            reason="wrong-frame",
            found=" and ".join(said),
            expected="one medium",
            action="Correct the header.",
        )
    medium = media.pop() if media else default or _assumed.get()
    if medium is None:
        raise ReadError(
            "the file says neither air nor vacuum",
            reason="wrong-frame",
            found="no VACUUM, no AIRORVAC, no CTYPE1 of AWAV or WAVE, no UCD",
            expected="one of them",
            action="Add VACUUM = T or F to the header, or name the survey's own reader.",
        )
    return medium


_assumed: contextvars.ContextVar[Medium | None] = contextvars.ContextVar("assumed medium", default=None)


@contextlib.contextmanager
def assumed_medium(medium: Medium | None) -> Iterator[None]:
    """In the block, files that say neither air nor vacuum are taken to be in `medium`; None refuses them as usual."""
    token = _assumed.set(medium)
    try:
        yield
    finally:
        _assumed.reset(token)


def stated_frame(header: Header, default: VelocityFrame) -> VelocityFrame:
    """The velocity frame by SPECSYS, else `default`."""
    return _SPECSYS.get(header.text("SPECSYS").upper(), default)


def increasing(wavelength: NDArray[np.float64]) -> NDArray[np.float64]:
    """The wavelengths if they can be a grid in ångström.

    Raises
    ------
    ReadError
        They are not finite, do not increase, or lie far outside of what a spectrograph sees (a wrong unit).
    """
    Grid(wavelength)  # raises for anything that is not finite, positive and increasing
    if not (wavelength[0] >= _SHORTEST and wavelength[-1] <= _LONGEST):
        raise ReadError(
            "the wavelengths are out of range; the unit may be wrong",
            reason="bad-wavelength",
            found=f"{wavelength[0]:g} to {wavelength[-1]:g} Å",
            expected=f"{_SHORTEST:g} to {_LONGEST:g} Å",
        )
    return wavelength


def vacuum_grid(wavelength: NDArray[np.float64], medium: Medium) -> Grid:
    """A checked grid in vacuum from wavelengths in `medium`."""
    wavelength = increasing(np.asarray(wavelength, np.float64))
    return Grid(air_to_vacuum(wavelength)) if medium == "air" else Grid(wavelength)


@functools.lru_cache(maxsize=64)
def linear_grid(start: float, step: float, n: int, medium: Medium) -> Grid:
    """A grid that is linear in `medium`; equal ones are shared, since most files of a survey have the same."""
    return vacuum_grid(start + step * np.arange(n, dtype=np.float64), medium)


def ivar_from_error(error: NDArray[Any]) -> NDArray[np.float64] | None:
    """1/error²; pixels without a positive finite error get no weight; None when no pixel has one.

    Raises
    ------
    ReadError
        An error is negative.
    """
    sigma = np.asarray(error, np.float64)
    if (sigma < 0).any():
        raise ReadError(
            "errors are negative",
            reason="bad-ivar",
            found=f"{int((sigma < 0).sum())} pixels, least {np.nanmin(sigma):g}",
            expected="zero or more",
        )
    good = np.isfinite(sigma) & (sigma > 0)
    if not good.any():
        return None
    ivar = np.zeros(sigma.shape)
    ivar[good] = 1.0 / sigma[good] ** 2
    return ivar


def comfortable(flux: NDArray[Any], unit: str) -> tuple[float, str]:
    """A factor that brings the flux near 1, and its unit then; 1 where single precision holds 1/flux² anyway.

    Flux in erg/s/cm²/Å is about 1e-15, and the inverse variance of a good measurement of it no float32.
    """
    values = np.abs(np.asarray(flux, np.float64))
    values = values[np.isfinite(values) & (values > 0)]
    typical = float(np.median(values)) if values.size else 1.0
    if 1e-8 < typical < 1e12:
        return 1.0, unit
    power = math.floor(math.log10(typical))
    return 10.0**-power, f"10**{power} {unit}".strip()


def mjd_of(text: str) -> float:
    """The modified Julian date of an ISO 8601 time, NaN when it is none."""
    try:
        moment = datetime.datetime.fromisoformat(text.strip().removesuffix("Z"))
    except ValueError:
        return math.nan
    return modified_julian_date(moment.replace(tzinfo=None))


def degrees(text: str | float, *, hours: bool = False) -> float:
    """A sexagesimal or decimal angle in degrees, NaN when it is none; sexagesimal ones may be in hours."""
    parts = str(text).replace(":", " ").split()
    try:
        numbers = [abs(float(part)) for part in parts]
    except ValueError:
        return math.nan
    if not 1 <= len(numbers) <= 3:
        return math.nan
    value = sum(number / 60.0**power for power, number in enumerate(numbers))
    sign = -1.0 if parts[0].startswith("-") else 1.0
    return sign * value * (15.0 if hours and len(numbers) > 1 else 1.0)


def or_nan(value: float, *bad: float) -> float:
    """`value` unless it is one of the survey's words for unknown."""
    return math.nan if value in bad else value
