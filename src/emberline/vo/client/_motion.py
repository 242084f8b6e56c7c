"""Where stars are at another epoch: proper motion as a straight line on the sphere's tangent."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["moved", "separation"]

_MAS = np.pi / 180 / 3.6e6

Floats = NDArray[np.float64]


def moved(ra: ArrayLike, dec: ArrayLike, pmra: ArrayLike, pmdec: ArrayLike, years: ArrayLike) -> tuple[Floats, Floats]:
    """Positions `years` later.

    Parameters
    ----------
    ra, dec : array_like
        ICRS degrees.
    pmra, pmdec : array_like
        mas/yr, the first with cos(dec); what is masked or NaN does not move.
    years : array_like
        Julian years, negative for the past.

    Returns
    -------
    ra, dec : ndarray
        Degrees. Without parallax and radial velocity: good to milliarcseconds over decades for all but a few stars.
    """
    a, d = np.radians(_plain(ra)), np.radians(_plain(dec))
    east, north = _plain(pmra) * _plain(years) * _MAS, _plain(pmdec) * _plain(years) * _MAS
    east, north = (np.where(np.isfinite(value), value, 0.0) for value in (east, north))
    sa, ca, sd, cd = np.sin(a), np.cos(a), np.sin(d), np.cos(d)
    x = cd * ca - east * sa - north * sd * ca
    y = cd * sa + east * ca - north * sd * sa
    z = sd + north * cd
    return np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arctan2(z, np.hypot(x, y)))


def separation(ra: ArrayLike, dec: ArrayLike, ra2: ArrayLike, dec2: ArrayLike) -> Floats:
    """Distances between positions in degrees, good at all angles (Vincenty's formula on the sphere)."""
    a, d, b, e = (np.radians(_plain(value)) for value in (ra, dec, ra2, dec2))
    turn = b - a
    across = np.hypot(np.cos(e) * np.sin(turn), np.cos(d) * np.sin(e) - np.sin(d) * np.cos(e) * np.cos(turn))
    found: Floats = np.degrees(np.arctan2(across, np.sin(d) * np.sin(e) + np.cos(d) * np.cos(e) * np.cos(turn)))
    return found


def _plain(value: ArrayLike) -> Floats:
    """Floats, with NaN where something is masked."""
    return np.asarray(np.ma.filled(np.ma.asarray(value, dtype=np.float64), np.nan), np.float64)
