"""The spectrum itself: a wavelength grid in vacuum ångström, flux, inverse variance, mask and metadata."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emberline.errors import ReadError
from emberline.wavelengths import SPEED_OF_LIGHT, Grid, air_to_vacuum, vacuum_to_air

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
