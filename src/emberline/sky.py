"""Angles on the sky: separations, position angles, unit vectors, and where a star stands at another epoch."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Place",
    "angle_of_chord",
    "chord_of_angle",
    "julian_year",
    "mjd_of_year",
    "offset",
    "position_angle",
    "positions_of",
    "propagate",
    "separation",
    "unit_vectors",
]

Floats: TypeAlias = NDArray[np.float64]

_MAS = np.pi / 180 / 3600 / 1000
_J2000_MJD = 51544.5


class Place(NamedTuple):
    """Where sources stand at one epoch, and how they move there.

    Attributes
    ----------
    ra, dec : ndarray
        Degrees, ICRS.
    pmra, pmdec : ndarray
        Milliarcseconds a year; `pmra` is along the great circle, so it includes cos(dec), as in Hipparcos and Gaia.
    """

    ra: Floats
    dec: Floats
    pmra: Floats
    pmdec: Floats


def unit_vectors(ra: ArrayLike, dec: ArrayLike) -> Floats:
    """Directions as vectors of length 1.

    Parameters
    ----------
    ra, dec : array_like, shape (...)
        Degrees.

    Returns
    -------
    ndarray of float64, shape (..., 3)
        NaN where a coordinate is not finite.
    """
    longitude, latitude = np.radians(_floats(ra)), np.radians(_floats(dec))
    across = np.cos(latitude)
    return np.stack([across * np.cos(longitude), across * np.sin(longitude), np.sin(latitude)], axis=-1)


def positions_of(vectors: ArrayLike) -> tuple[Floats, Floats]:
    """The inverse of `unit_vectors` for vectors of any length, shape (..., 3): degrees, `ra` in [0, 360)."""
    x, y, z = np.moveaxis(_floats(vectors), -1, 0)
    ra = np.degrees(np.arctan2(y, x)) % 360.0
    return np.where(ra == 360.0, 0.0, ra), np.degrees(np.arctan2(z, np.hypot(x, y)))


def separation(ra1: ArrayLike, dec1: ArrayLike, ra2: ArrayLike, dec2: ArrayLike) -> Floats:
    """Angle between two directions, degrees, good at all angles from nothing to 180° (Vincenty's formula).

    Parameters
    ----------
    ra1, dec1, ra2, dec2 : array_like
        Degrees; they are broadcast.
    """
    step, south, north = np.radians(_floats(ra2) - _floats(ra1)), np.radians(_floats(dec1)), np.radians(_floats(dec2))
    # cos(south) sin(north) - sin(south) cos(north) cos(step), written so that nothing is lost where both are near
    lift = 2 * np.sin(step / 2) ** 2
    up = np.sin(north - south) + np.sin(south) * np.cos(north) * lift
    east = np.cos(north) * np.sin(step)
    ahead = np.cos(north - south) - np.cos(south) * np.cos(north) * lift
    return np.asarray(np.degrees(np.arctan2(np.hypot(east, up), ahead)))


def position_angle(ra1: ArrayLike, dec1: ArrayLike, ra2: ArrayLike, dec2: ArrayLike) -> Floats:
    """The direction in which the second position is seen from the first: degrees in [0, 360), north through east."""
    step, south, north = np.radians(_floats(ra2) - _floats(ra1)), np.radians(_floats(dec1)), np.radians(_floats(dec2))
    lift = 2 * np.sin(step / 2) ** 2
    up = np.sin(north - south) + np.sin(south) * np.cos(north) * lift
    angle = np.degrees(np.arctan2(np.cos(north) * np.sin(step), up)) % 360.0
    return np.where(angle == 360.0, 0.0, angle)


def offset(ra: ArrayLike, dec: ArrayLike, angle: ArrayLike, distance: ArrayLike) -> tuple[Floats, Floats]:
    """The position that lies `distance` degrees away in the direction `angle` (degrees, north through east)."""
    toward, far = np.radians(_floats(angle)), np.radians(_floats(distance))
    ahead, east, north = _axes(_floats(ra), _floats(dec))
    direction = np.cos(toward)[..., None] * north + np.sin(toward)[..., None] * east
    return positions_of(np.cos(far)[..., None] * ahead + np.sin(far)[..., None] * direction)


def propagate(ra: ArrayLike, dec: ArrayLike, pmra: ArrayLike, pmdec: ArrayLike, years: ArrayLike) -> Place:
    """Where sources stand after some time, when each moves uniformly along a straight line in space.

    Position and proper motion turn together, so the result is right at the poles too. The change of distance is not
    known here and left out; it matters for a handful of the nearest stars.

    Parameters
    ----------
    ra, dec : array_like
        Degrees, ICRS.
    pmra, pmdec : array_like
        Milliarcseconds a year, `pmra` with cos(dec). Not known (NaN) counts as no motion.
    years : array_like
        Julian years to go on; negative to go back.

    References
    ----------
    ESA SP-1200 (1997), The Hipparcos and Tycho Catalogues, volume 1, section 1.5.5, with a radial motion of zero.
    """
    ahead, east, north = _axes(_floats(ra), _floats(dec))
    mu_east, mu_north = (np.nan_to_num(_floats(value)) * _MAS for value in (pmra, pmdec))
    time = _floats(years)
    motion = mu_east[..., None] * east + mu_north[..., None] * north
    squared = mu_east**2 + mu_north**2
    shrink = 1.0 / np.sqrt(1.0 + squared * time**2)
    there = (ahead + motion * time[..., None]) * shrink[..., None]
    moved = (motion - ahead * (squared * time)[..., None]) * (shrink**3)[..., None]
    new_ra, new_dec = positions_of(there)
    _, east, north = _axes(new_ra, new_dec)
    new_pmra, new_pmdec = ((moved * axis).sum(axis=-1) / _MAS for axis in (east, north))
    return Place(new_ra, new_dec, new_pmra, new_pmdec)


def _axes(ra: Floats, dec: Floats) -> tuple[Floats, Floats, Floats]:
    """The normal triad of each position: towards it, to the east, to the north; shapes (..., 3)."""
    longitude, latitude = np.radians(ra), np.radians(dec)
    longitude, latitude = np.broadcast_arrays(longitude, latitude)
    sa, ca, sd, cd = np.sin(longitude), np.cos(longitude), np.sin(latitude), np.cos(latitude)
    ahead = np.stack([cd * ca, cd * sa, sd], axis=-1)
    east = np.stack([-sa, ca, np.zeros_like(sa)], axis=-1)
    north = np.stack([-sd * ca, -sd * sa, cd], axis=-1)
    return ahead, east, north


def chord_of_angle(degrees: ArrayLike) -> Floats:
    """The distance in space of two unit vectors that are `degrees` apart."""
    return np.asarray(2.0 * np.sin(0.5 * np.radians(_floats(degrees))))


def angle_of_chord(chord: ArrayLike) -> Floats:
    """The inverse of `chord_of_angle`, degrees."""
    return np.asarray(np.degrees(2.0 * np.arcsin(np.minimum(0.5 * _floats(chord), 1.0))))


def julian_year(mjd: ArrayLike) -> Floats:
    """A Modified Julian Date as a Julian epoch: 51544.5 is 2000.0."""
    return np.asarray(2000.0 + (_floats(mjd) - _J2000_MJD) / 365.25)


def mjd_of_year(year: ArrayLike) -> Floats:
    """The inverse of `julian_year`."""
    return np.asarray(_J2000_MJD + (_floats(year) - 2000.0) * 365.25)


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)
