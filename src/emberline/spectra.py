"""The spectrum itself: a wavelength grid in vacuum ångström, flux, inverse variance, mask and metadata."""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emberline.errors import ReadError

__all__ = [
    "SPEED_OF_LIGHT",
    "Grid",
    "Mask",
    "Metadata",
    "Spectrum",
    "SpectrumBlock",
    "air_to_vacuum",
    "estimate_ivar",
    "vacuum_to_air",
]

SPEED_OF_LIGHT = 299792.458
"""Kilometres per second."""

Medium = Literal["vacuum", "air"]
VelocityFrame = Literal["barycentric", "heliocentric", "topocentric", "rest", "unknown"]


class Mask(enum.IntFlag):
    """Why a pixel must not be trusted; 0 means that it may be. Stored as one byte a pixel."""

    BAD = 1
    """The survey's own mask says so."""
    NO_DATA = 2
    """Nothing was measured here: outside the coverage, not finite, or without weight."""
    COSMIC = 4
    """Hit by a cosmic ray."""
    SKY = 8
    """Spoilt by the subtraction of a sky line."""
    NO_WEIGHT = 16
    """The survey gives a flux but no inverse variance. Pipelines that reject cosmic rays also reject strong emission
    lines: the whole Hα of a Be star may be marked so, and its flux is right. A recipe decides (`without_weight`)."""


def vacuum_to_air(wavelength: ArrayLike) -> NDArray[np.float64]:
    """Convert vacuum wavelengths to wavelengths in standard air.

    Parameters
    ----------
    wavelength : array_like, any shape
        Ångström in vacuum; valid from 2000 Å to the infrared.

    Returns
    -------
    ndarray of float64, same shape
        Ångström in dry air at 15 °C and 101325 Pa.

    References
    ----------
    Morton 2000, ApJS 130, 403, equation 8, which takes the dispersion of air from Birch & Downs 1994, Metrologia 31,
    315; the data base VALD uses it too. From 3000 to 10000 Å it is within 4e-5 Å of Ciddor 1996, Applied Optics 35,
    1566.
    """
    vacuum = np.asarray(wavelength, dtype=np.float64)
    return vacuum / _refractive_index(vacuum)


def _refractive_index(vacuum: NDArray[np.float64]) -> NDArray[np.float64]:
    s2 = (1e4 / vacuum) ** 2
    return np.asarray(1.0 + 8.34254e-5 + 2.406147e-2 / (130.0 - s2) + 1.5998e-4 / (38.9 - s2))


def air_to_vacuum(wavelength: ArrayLike) -> NDArray[np.float64]:
    """Convert wavelengths in standard air to vacuum: the exact inverse of `vacuum_to_air`.

    Parameters
    ----------
    wavelength : array_like, any shape
        Ångström in air.

    Returns
    -------
    ndarray of float64, same shape
        Ångström in vacuum, to better than 1e-9 Å.
    """
    air = np.asarray(wavelength, dtype=np.float64)
    vacuum = air * 1.00028
    for _ in range(4):
        vacuum = air * _refractive_index(vacuum)
    return vacuum


@dataclasses.dataclass(frozen=True, eq=False)
class Grid:
    """Pixel centres of a spectrum in vacuum ångström, strictly increasing.

    Surveys that sample log10 wavelength evenly are kept as ``10 ** (step * (first + i + phase))`` with an integer
    `first`, so that spectra which start at different pixels still share one grid family (`step`, `phase`). All others
    are explicit.
    """

    wavelength: NDArray[np.float64]
    step: float | None = None
    first: int | None = None
    phase: float = 0.0

    def __post_init__(self) -> None:
        wavelength = np.ascontiguousarray(self.wavelength, dtype=np.float64)
        if wavelength.ndim != 1 or wavelength.size < 2:
            raise ReadError(
                "the wavelength grid is no grid",
                reason="bad-wavelength",
                found=f"shape {wavelength.shape}",
                expected="one dimension, two pixels or more",
            )
        if not np.isfinite(wavelength).all() or wavelength[0] <= 0:
            raise ReadError(
                "wavelengths are not finite and positive",
                reason="bad-wavelength",
                found=str(wavelength[~(np.isfinite(wavelength) & (wavelength > 0))][0]),
                expected="finite positive ångström",
            )
        differences = np.diff(wavelength)
        if not (differences > 0).all():
            at = int(np.argmax(differences <= 0))
            raise ReadError(
                "wavelengths do not increase",
                reason="bad-wavelength",
                found=f"{wavelength[at]:.4f} Å then {wavelength[at + 1]:.4f} Å at pixel {at}",
                expected="strictly increasing wavelengths",
            )
        wavelength.flags.writeable = False
        object.__setattr__(self, "wavelength", wavelength)

    @classmethod
    def log10(cls, start: float, step: float, n: int) -> Grid:
        """`n` pixels evenly spaced in log10 of the wavelength, the first at ``10 ** start`` Å, `step` dex apart."""
        step = round(float(step), 9)
        position = round(float(start) / step, 3)
        first = math.floor(position)
        return cls.log10_family(step, first, n, phase=round(position - first, 3))

    @staticmethod
    def log10_family(step: float, first: int, n: int, *, phase: float = 0.0) -> Grid:
        """Pixels ``10 ** (step * (i + phase))`` for i from `first` to `first` + `n` - 1; see `log10`."""
        return _log10_grid(step, first, n, phase)

    @classmethod
    def linear(cls, start: float, step: float, n: int) -> Grid:
        """`n` pixels evenly spaced in wavelength from `start` Å by `step` Å."""
        return cls(float(start) + float(step) * np.arange(n, dtype=np.float64))

    @property
    def n(self) -> int:
        """Number of pixels."""
        return int(self.wavelength.size)

    @functools.cached_property
    def edges(self) -> NDArray[np.float64]:
        """The n + 1 pixel edges in Å: half-way between centres (in the logarithm for a logarithmic grid)."""
        x = np.log(self.wavelength) if self.step is not None else self.wavelength
        middle = 0.5 * (x[1:] + x[:-1])
        edges = np.concatenate([[2 * x[0] - middle[0]], middle, [2 * x[-1] - middle[-1]]])
        return np.asarray(np.exp(edges) if self.step is not None else edges)

    @functools.cached_property
    def key(self) -> str:
        """A hash of the wavelengths to 1e-6 Å: equal keys mean equal grids."""
        rounded = np.round(self.wavelength * 1e6).astype("<i8")
        return hashlib.sha256(rounded.tobytes()).hexdigest()[:16]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Grid) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __len__(self) -> int:
        return self.n

    def covers(self, low: float, high: float) -> bool:
        """Whether the pixels reach from `low` to `high` Å."""
        return bool(self.edges[0] <= low and high <= self.edges[-1])


@functools.lru_cache(maxsize=4096)
def _log10_grid(step: float, first: int, n: int, phase: float) -> Grid:
    exponents = step * (np.arange(first, first + n, dtype=np.float64) + phase)
    return Grid(10.0**exponents, step=step, first=first, phase=phase)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What is known of one spectrum apart from its arrays: the columns of the catalogue.

    Attributes
    ----------
    identifier : str
        Unique within the archive, stable: what the survey calls this spectrum.
    survey : str
        For example ``LAMOST DR10 LRS``.
    name : str
        The survey's name of the object.
    ra, dec : float
        ICRS degrees, NaN when unknown.
    mjd : float
        Middle of the exposure (or the survey's date), NaN when unknown.
    exposure, snr, redshift : float
        Seconds; median signal to noise per pixel; NaN when unknown.
    survey_class, survey_subclass : str
        The survey pipeline's classification.
    medium : "vacuum" or "air"
        In which the FILE gave wavelengths; a `Spectrum` is always in vacuum.
    velocity_frame : str
        ``barycentric``, ``heliocentric``, ``topocentric``, ``rest`` or ``unknown``.
    resolving_power : float
        λ/Δλ (FWHM), NaN when unknown.
    flux_unit : str
        In VOUnit syntax, empty when arbitrary.
    ivar_source : "file" or "estimated"
        Whether the survey gave uncertainties or the scatter of the flux was used (`estimate_ivar`).
    """

    identifier: str
    survey: str = ""
    name: str = ""
    ra: float = float("nan")
    dec: float = float("nan")
    mjd: float = float("nan")
    exposure: float = float("nan")
    snr: float = float("nan")
    survey_class: str = ""
    survey_subclass: str = ""
    redshift: float = float("nan")
    medium: Medium = "vacuum"
    velocity_frame: VelocityFrame = "unknown"
    resolving_power: float = float("nan")
    flux_unit: str = ""
    ivar_source: Literal["file", "estimated"] = "file"

    def as_dict(self) -> dict[str, Any]:
        """Field names and values."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclasses.dataclass(frozen=True, slots=True)
class Spectrum:
    """One spectrum: `flux`, `ivar` (float32) and `mask` (uint8, 0 = good, see `Mask`) on a vacuum `grid`.

    Build one from a file's arrays with `checked`, which applies the rules that hold everywhere.
    """

    grid: Grid
    flux: NDArray[np.float32]
    ivar: NDArray[np.float32]
    mask: NDArray[np.uint8]
    meta: Metadata

    @property
    def wavelength(self) -> NDArray[np.float64]:
        """Vacuum ångström."""
        return self.grid.wavelength

    @classmethod
    def checked(
        cls,
        grid: Grid,
        flux: ArrayLike,
        ivar: ArrayLike | None,
        mask: ArrayLike | None,
        meta: Metadata,
    ) -> Spectrum:
        """Make a spectrum from raw arrays of length ``grid.n``, or say why it is none.

        Pixels that are not finite, or have neither flux nor weight, become `Mask.NO_DATA` with flux and ivar 0; pixels
        with a flux but without weight keep the flux and become `Mask.NO_WEIGHT`. Without `ivar` it is estimated from
        the scatter and the metadata say so.

        Raises
        ------
        ReadError
            Lengths differ, no pixel is finite, the flux is zero or constant everywhere, an ivar is negative.
        """
        values = np.array(flux, dtype=np.float32)
        bits = np.zeros(values.shape, np.uint8) if mask is None else np.array(mask, dtype=np.uint8)
        weights = None if ivar is None else np.array(ivar, dtype=np.float32)
        for what, array in (("flux", values), ("mask", bits), ("ivar", weights)):
            if array is not None and array.shape != (grid.n,):
                raise ReadError(
                    f"{what} and wavelengths differ in length",
                    reason="no-spectrum",
                    found=f"{array.shape}",
                    expected=f"({grid.n},)",
                )
        finite = np.isfinite(values)
        _refuse_bad_flux(values, finite)
        if weights is None:
            weights = estimate_ivar(values, finite & (bits == 0))
            meta = dataclasses.replace(meta, ivar_source="estimated")
        _refuse_bad_ivar(finite, weights)
        spoilt = np.flatnonzero(~(finite & (weights > 0) & (weights < np.inf)))
        absent = ~finite[spoilt] | (values[spoilt] == 0)
        values[spoilt[absent]] = 0.0
        weights[spoilt] = 0.0
        bits[spoilt] |= np.where(absent, np.uint8(Mask.NO_DATA), np.uint8(Mask.NO_WEIGHT))
        return cls(grid, values, weights, bits, meta)

    def trimmed(self) -> Spectrum:
        """Without the pixels at both ends that hold no data; itself when there are none."""
        data = np.flatnonzero((self.mask & Mask.NO_DATA) == 0)
        if data.size < 2 or (data[0] == 0 and data[-1] == self.grid.n - 1):
            return self
        part = slice(int(data[0]), int(data[-1]) + 1)
        if self.grid.step is not None and self.grid.first is not None:
            length = part.stop - part.start
            grid = Grid.log10_family(self.grid.step, self.grid.first + part.start, length, phase=self.grid.phase)
        else:
            grid = Grid(self.grid.wavelength[part])
        return Spectrum(grid, self.flux[part], self.ivar[part], self.mask[part], self.meta)


def _refuse_bad_flux(flux: NDArray[np.float32], finite: NDArray[np.bool_]) -> None:
    if not finite.any():
        raise ReadError(
            "no pixel has a finite flux",
            reason="bad-flux",
            found="NaN or infinity everywhere",
            expected="numbers",
        )
    good = flux if finite.all() else flux[finite]
    least, most = good.min(), good.max()
    if least == most == 0:
        raise ReadError("the flux is zero everywhere", reason="bad-flux", found="only zeros", expected="a signal")
    if least == most:
        raise ReadError("the flux is the same everywhere", reason="bad-flux", found=str(good[0]), expected="a signal")


def _refuse_bad_ivar(finite: NDArray[np.bool_], ivar: NDArray[np.float32]) -> None:
    negative = ivar < 0
    if negative.any():
        raise ReadError(
            "inverse variances are negative",
            reason="bad-ivar",
            found=f"{int(negative.sum())} pixels, least {float(ivar[negative].min()):g}",
            expected="zero or more",
        )
    if not (finite & (ivar > 0)).any():
        raise ReadError(
            "no pixel has both flux and weight",
            reason="bad-ivar",
            found="ivar zero everywhere",
            expected="weights",
        )


def estimate_ivar(flux: NDArray[np.float32], good: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
    """Inverse variance from the scatter of the flux itself, one value for all pixels.

    Parameters
    ----------
    flux : ndarray, shape (n,)
    good : ndarray of bool, shape (n,), optional
        The pixels to use.

    Returns
    -------
    ndarray of float32, shape (n,)
        Constant; pixels that are not `good` get 0.

    References
    ----------
    DER_SNR: Stoehr et al. 2008, ASP Conf. Ser. 394, 505.
    """
    good = np.isfinite(flux) if good is None else good
    values = np.asarray(flux, dtype=np.float64)[good]
    ivar = np.zeros(flux.shape, dtype=np.float32)
    if values.size < 6:
        ivar[good] = 1.0
        return ivar
    noise = 0.6052697 * np.median(np.abs(2.0 * values[2:-2] - values[:-4] - values[4:]))
    floor = 1e-6 * max(float(np.abs(values).max()), 1e-30)
    ivar[good] = 1.0 / max(float(noise), floor) ** 2
    return ivar


@dataclasses.dataclass(frozen=True, slots=True)
class SpectrumBlock:
    """Many spectra on one grid: what archives store and recipes are applied to.

    `flux`, `ivar` (float32) and `mask` (uint8) have the shape (spectra, grid.n); `meta` has one entry a spectrum.
    """

    grid: Grid
    flux: NDArray[np.float32]
    ivar: NDArray[np.float32]
    mask: NDArray[np.uint8]
    meta: Sequence[Metadata]

    def __len__(self) -> int:
        return len(self.meta)

    def __getitem__(self, row: int) -> Spectrum:
        return Spectrum(self.grid, self.flux[row], self.ivar[row], self.mask[row], self.meta[row])

    @property
    def identifiers(self) -> list[str]:
        """The spectra's identifiers, in row order."""
        return [meta.identifier for meta in self.meta]

    @classmethod
    def stack(cls, spectra: Iterable[Spectrum]) -> SpectrumBlock:
        """Put spectra of one grid family together; shorter ones are padded with `Mask.NO_DATA`.

        Raises
        ------
        ValueError
            The spectra neither share a grid nor a logarithmic grid family, or there are none.
        """
        items = list(spectra)
        if not items:
            raise ValueError("no spectra to stack")
        grid = _union([item.grid for item in items])
        shape = (len(items), grid.n)
        flux, ivar = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        mask = np.full(shape, Mask.NO_DATA, np.uint8)
        for row, item in enumerate(items):
            start = 0 if item.grid.first is None or grid.first is None else item.grid.first - grid.first
            part = slice(start, start + item.grid.n)
            flux[row, part], ivar[row, part], mask[row, part] = item.flux, item.ivar, item.mask
        return cls(grid, flux, ivar, mask, [item.meta for item in items])


def _union(grids: Sequence[Grid]) -> Grid:
    """The one grid that holds all of `grids`."""
    one = grids[0]
    if all(grid is one for grid in grids) or len({grid.key for grid in grids}) == 1:
        return one
    if one.step is None or any((grid.step, grid.phase) != (one.step, one.phase) for grid in grids):
        raise ValueError("spectra on different grids cannot be stacked")
    firsts = [grid.first for grid in grids if grid.first is not None]
    ends = [grid.first + grid.n for grid in grids if grid.first is not None]
    return Grid.log10_family(one.step, min(firsts), max(ends) - min(firsts), phase=one.phase)
