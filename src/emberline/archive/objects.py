"""Objects on the sky: which spectra show the same one, and its name by its position."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from emberline.sky import chord_of_angle, unit_vectors

__all__ = [
    "HEALPIX_ORDER",
    "OBJECT_RADIUS_ARCSEC",
    "group_positions",
    "healpix_of",
    "is_placed",
    "leaders_of",
    "position_name",
    "position_names",
]

HEALPIX_ORDER = 29

OBJECT_RADIUS_ARCSEC = 1.5
"""Spectra nearer than this show the same object; chains of such pairs are one object."""

_ZONE_ROWS = 262_144

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def is_placed(ra: Floats, dec: Floats) -> NDArray[np.bool_]:
    """Which rows have a position; files use NaN and impossible numbers for "unknown"."""
    return np.asarray(np.isfinite(ra) & (np.abs(dec) <= 90.0))


def healpix_of(ra: Floats, dec: Floats) -> Integers:
    """HEALPix pixels (nested, order 29) of positions in ICRS degrees; -1 where there is none."""
    from astropy import units
    from astropy.coordinates import Latitude, Longitude
    from cdshealpix.nested import lonlat_to_healpix

    pixels = np.full(ra.shape, -1, np.int64)
    known = is_placed(ra, dec)
    if known.any():
        longitude, latitude = Longitude(ra[known], units.deg), Latitude(dec[known], units.deg)
        pixels[known] = np.asarray(lonlat_to_healpix(longitude, latitude, HEALPIX_ORDER)).astype(np.int64)
    return pixels


def leaders_of(ra: Floats, dec: Floats) -> Integers:
    """For each row, in the order of ingestion, the first member of its object; -1 without a position."""
    placed = np.flatnonzero(is_placed(ra, dec))
    leader = np.full(ra.size, -1, np.int64)
    leader[placed] = placed[group_positions(ra[placed], dec[placed])]
    return leader


def group_positions(ra: Floats, dec: Floats, radius_arcsec: float = OBJECT_RADIUS_ARCSEC) -> Integers:
    """Connect positions nearer than `radius_arcsec`; everything that hangs together gets one number.

    Pairs are sought zone by zone of declination, so that memory is bounded by what the result takes.

    Parameters
    ----------
    ra, dec : ndarray of float64, shape (n,)
        Degrees, finite.
    radius_arcsec : float

    Returns
    -------
    ndarray of int64, shape (n,)
        The index of the first member of each position's group.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    leader = np.arange(ra.size, dtype=np.int64)
    links = list(_links(ra, dec, radius_arcsec))
    if not links:
        return leader
    pairs = np.concatenate(links)
    members, ends = np.unique(pairs, return_inverse=True)
    one, other = ends.reshape(pairs.shape).T
    graph = coo_array((np.ones(len(pairs), np.int8), (one, other)), shape=(len(members), len(members)))
    _, group = connected_components(graph, directed=False)
    _, first = np.unique(group, return_index=True)  # members ascend: the first of a group is the first ingested
    leader[members] = members[first[group]]
    return leader


def _links(ra: Floats, dec: Floats, radius_arcsec: float) -> Iterator[Integers]:
    """Pairs of rows that show one object, shape (m, 2): enough of them to connect it."""
    from scipy.spatial import cKDTree

    order = np.lexsort((ra, dec))
    chord = float(chord_of_angle(radius_arcsec / 3600.0))
    reach = radius_arcsec / 3600.0 * (1 + 1e-9) + 1e-12
    start = 0
    while start < order.size:
        end = min(start + _ZONE_ROWS, order.size)
        above = int(np.searchsorted(dec, dec[order[end - 1]] + reach, side="right", sorter=order))
        rows = order[start:above]
        new = np.ones(rows.size, bool)
        new[1:] = (ra[rows[1:]] != ra[rows[:-1]]) | (dec[rows[1:]] != dec[rows[:-1]])
        places = rows[new]  # thousands of spectra of one star are one place
        if places.size < rows.size:
            yield np.stack([places[np.cumsum(new) - 1], rows], axis=1)[~new]
        tree = cKDTree(unit_vectors(ra[places], dec[places]), balanced_tree=False, compact_nodes=False)
        near = tree.query_pairs(chord, output_type="ndarray")
        if len(near):
            yield places[near]
        start = end


def position_names(ra: Floats, dec: Floats) -> pa.Array:
    """Names after the IAU's recommendation, ``JHHMMSS.ss+DDMMSS.s``: ICRS, truncated, never rounded.

    Parameters
    ----------
    ra, dec : ndarray of float64, shape (n,)
        Degrees, finite.

    Returns
    -------
    pyarrow.StringArray, shape (n,)
    """
    seconds = (ra % 360.0 / 15.0 * 360_000 + 1e-6).astype(np.int64) % 8_640_000
    arcseconds = (np.abs(dec) * 36_000 + 1e-6).astype(np.int64)
    hours, time = np.divmod(seconds, 360_000)
    degrees, arc = np.divmod(arcseconds, 36_000)
    text = np.empty((ra.size, 19), np.uint8)
    text[:] = np.frombuffer(b"J000000.00+000000.0", np.uint8)
    text[:, 10] = np.where(dec < 0, ord("-"), ord("+"))
    fields = (
        (1, hours), (3, time // 6000), (5, time % 6000 // 100), (8, time % 100),
        (11, degrees), (13, arc // 600), (15, arc % 600 // 10),
    )  # fmt: skip
    for place, number in fields:
        text[:, place] += (number // 10).astype(np.uint8)
        text[:, place + 1] += (number % 10).astype(np.uint8)
    text[:, 18] += (arc % 10).astype(np.uint8)
    bounds = np.arange(0, 19 * ra.size + 1, 19, dtype=np.int32)
    return pa.StringArray.from_buffers(ra.size, pa.py_buffer(bounds), pa.py_buffer(text))


def position_name(ra: float, dec: float) -> str:
    """The name of one position, see `position_names`."""
    return str(position_names(np.array([ra]), np.array([dec]))[0].as_py())
