"""How much of a neighbour's light enters a fibre: the image of a star with its wings and aureole, seen by a disc."""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["fraction_in_fibre", "leak", "star_profile"]

_AUREOLE = 0.05
_CORE = 5.0
_END = 3600.0
_RADII, _ANGLES = 24, 24


def star_profile(radius: ArrayLike, seeing: float) -> NDArray[np.float64]:
    """The image of a star: its light per square arcsecond, as a fraction of all of it.

    A Gaussian falls to nothing within a few seeing discs; real images do not. Seen through turbulence, a star is
    the sum of two Moffat functions of the same full width at half maximum, 80 % with β = 7 and 20 % with β = 2. Beyond
    some five widths an aureole takes over, by scattering in the air and on the mirrors: it falls as the inverse square
    of the distance and holds 5 % of the light, which is put here between the core and one degree:

        I(r) = 0.95 [0.8 M₇(r) + 0.2 M₂(r)] + 0.05 / (π ln(1 + R²/c²)) / (r² + c²),   c = 5 FWHM, R = 1°
        M_β(r) = (β − 1)/(π α²) (1 + r²/α²)^−β,   α = FWHM / (2 √(2^(1/β) − 1))

    Parameters
    ----------
    radius : array_like
        Arcseconds from the star.
    seeing : float
        Full width at half maximum of a star's image, arcseconds.

    Returns
    -------
    ndarray of float64
        Per square arcsecond.

    References
    ----------
    King 1971, PASP 83, 199 (the aureole: inverse square, 5 % of the light); Racine 1996, PASP 108, 699 (the two Moffat
    functions; where the aureole begins). With clean mirrors it is weaker: the Legacy Surveys subtract 3.3e-4 r⁻² in r
    from stars seen by DECam (their release 9), a quarter of this.
    """
    r2 = np.asarray(radius, float) ** 2
    core = 0.8 * _moffat(r2, seeing, 7.0) + 0.2 * _moffat(r2, seeing, 2.0)
    c2 = (_CORE * seeing) ** 2
    aureole = 1.0 / (math.pi * math.log1p(_END**2 / c2)) / (r2 + c2)
    return np.asarray((1 - _AUREOLE) * core + _AUREOLE * aureole)


def _moffat(r2: NDArray[np.float64], fwhm: float, beta: float) -> NDArray[np.float64]:
    a2 = fwhm**2 / (4 * (2 ** (1 / beta) - 1))
    return np.asarray((beta - 1) / (math.pi * a2) * (1 + r2 / a2) ** -beta)


def fraction_in_fibre(separation: float, diameter: float, seeing: float) -> float:
    """The fraction of a star's light that enters a round fibre whose centre is `separation` arcseconds away.

    The profile is integrated over the fibre by Gauss and Legendre in radius and evenly in angle, to better than 1e-4
    of itself for what fibres and seeing there are.
    """
    r, weight, cosine = _disc()
    r, weight = r * diameter / 2, weight * (diameter / 2) ** 2
    distance2 = separation**2 + r[:, None] ** 2 + 2 * separation * r[:, None] * cosine[None, :]
    mean = star_profile(np.sqrt(np.maximum(distance2, 0.0)), seeing).mean(axis=1)
    return float((weight * mean).sum())


@functools.cache
def _disc() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Nodes and weights on the unit disc: radii, 2π r dr, and cosines of the angles."""
    nodes, weights = np.polynomial.legendre.leggauss(_RADII)
    r = (nodes + 1) / 2
    return r, np.pi * weights * r, np.cos(2 * np.pi * (np.arange(_ANGLES) + 0.5) / _ANGLES)


def leak(neighbour: float, target: float, separation: float, diameter: float, seeing: float) -> float:
    """A neighbour's light in the fibre over the target's own there.

    Parameters
    ----------
    neighbour, target : float
        Magnitudes in one band.
    separation : float
        Arcseconds from the neighbour to the fibre, in whose centre the target is taken to be.
    diameter, seeing : float
        Arcseconds.
    """
    ratio = 10 ** (-0.4 * (neighbour - target))
    return ratio * fraction_in_fibre(separation, diameter, seeing) / fraction_in_fibre(0.0, diameter, seeing)
