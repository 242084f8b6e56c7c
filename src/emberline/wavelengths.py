"""Wavelengths: the conversion between air and vacuum, and the grids on which spectra are sampled."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emberline.errors import ReadError

__all__ = ["SPEED_OF_LIGHT", "Grid", "air_to_vacuum", "vacuum_to_air"]

SPEED_OF_LIGHT = 299792.458
"""Kilometres per second."""


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
