"""Geometry on the sphere for queries: HEALPix cells that cover a region, and a polygon's edges and area."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emberline import sky
from emberline.archive.catalogue import HEALPIX_ORDER

__all__ = [
    "LARGEST_COVERED_RADIUS",
    "LARGEST_JOINED_RADIUS",
    "Outline",
    "arc_vectors",
    "box_vertices",
    "cell_of",
    "cells_around",
    "cone_ranges",
    "join_depth",
    "outline",
    "polygon_ranges",
    "separation",
]

LARGEST_COVERED_RADIUS = 60.0
"""Degrees; a larger region is most of the sky, and no range of HEALPix pixels spares any reading."""
LARGEST_JOINED_RADIUS = 10.0
_MOST_RANGES = 4
_SMALLEST_GAP = 12 * 4**HEALPIX_ORDER // 2048
"""A range costs a comparison for each row read; a gap is worth that if whole row groups may lie in it."""
_SMALLEST_CELL = 0.70
"""Times 2^-depth: radians that a cell and its neighbours reach at least beyond any point of the cell."""

Vector = NDArray[np.float64]


def separation(ra1: float, dec1: float, ra2: float, dec2: float) -> float:
    """Angle between two positions in degrees."""
    return float(sky.separation(ra1, dec1, ra2, dec2))


@functools.lru_cache(maxsize=4096)
def cone_ranges(ra: float, dec: float, radius: float) -> tuple[tuple[int, int], ...]:
    """Ranges (both ends included) of HEALPix pixels of order 29 that hold all positions of a cone.

    Parameters
    ----------
    ra, dec, radius : float
        Degrees; the radius up to `LARGEST_COVERED_RADIUS`.
    """
    from astropy import units
    from astropy.coordinates import Latitude, Longitude
    from cdshealpix.nested import cone_search

    # A position on the rim must not be lost to rounding, here or in the pixel that the catalogue stores.
    widened = radius * (1 + 1e-9) + 1e-9
    cells, depths, _ = cone_search(
        Longitude(ra % 360.0, units.deg), Latitude(dec, units.deg), widened * units.deg, _depth(radius)
    )
    return _ranges(cells, depths)


@functools.lru_cache(maxsize=256)
def polygon_ranges(vertices: tuple[tuple[float, float], ...], radius: float) -> tuple[tuple[int, int], ...]:
    """The same for a polygon of at most `radius` degrees about its middle."""
    from astropy import units
    from astropy.coordinates import Latitude, Longitude
    from cdshealpix.nested import polygon_search

    ra, dec = np.array(vertices).T
    cells, depths, _ = polygon_search(
        Longitude(ra % 360.0, units.deg), Latitude(dec, units.deg), _depth(radius, finer=2)
    )
    return _ranges(cells, depths)


def _depth(radius: float, finer: int = 1) -> int:
    """The depth whose cells are about as large as the region."""
    return min(max(math.floor(math.log2(58.6 / max(radius, 1e-5))) + finer, 0), 24)


def _ranges(cells: NDArray[np.integer], depths: NDArray[np.integer]) -> tuple[tuple[int, int], ...]:
    """Merge cells into few ranges, with the largest gaps between them."""
    shift = 2 * (HEALPIX_ORDER - depths.astype(np.int64))
    first = cells.astype(np.int64) << shift
    last = ((cells.astype(np.int64) + 1) << shift) - 1
    order = np.argsort(first)
    first, last = first[order], last[order]
    gaps = first[1:] - last[:-1] - 1
    cuts = np.flatnonzero(gaps > _SMALLEST_GAP)
    cuts = np.sort(cuts[np.argsort(gaps[cuts], kind="stable")[::-1][: _MOST_RANGES - 1]])
    starts, ends = np.r_[0, cuts + 1], np.r_[cuts, first.size - 1]
    return tuple((int(first[start]), int(last[end])) for start, end in zip(starts, ends, strict=True))


def join_depth(radius: float) -> int:
    """The depth at which two positions within `radius` degrees lie in the same cell or in neighbours."""
    return min(max(math.floor(math.log2(_SMALLEST_CELL / math.radians(max(radius, 1e-7) * 1.001))), 0), 24)


def cells_around(ra: Vector, dec: Vector, depth: int) -> NDArray[np.int64]:
    """The cells at `depth` of positions and of their neighbours, shape (n, 9); -3, which is no cell, where none is."""
    from cdshealpix.nested import neighbours

    placed = np.isfinite(ra) & (np.abs(dec) <= 90.0)
    cells = np.full((ra.size, 9), -3, np.int64)
    if placed.any():
        own = _cells(ra[placed], dec[placed], depth)
        cells[placed] = np.asarray(neighbours(own.astype(np.uint64), depth)).astype(np.int64)
    cells[cells < 0] = -3
    return cells


def cell_of(ra: Vector, dec: Vector, depth: int) -> NDArray[np.int64]:
    """The cell at `depth` of each position; -2, which no `cells_around` holds, where there is none."""
    placed = np.isfinite(ra) & (np.abs(dec) <= 90.0)
    cells = np.full(ra.size, -2, np.int64)
    if placed.any():
        cells[placed] = _cells(ra[placed], dec[placed], depth)
    return cells


def _cells(ra: Vector, dec: Vector, depth: int) -> NDArray[np.int64]:
    from astropy import units
    from astropy.coordinates import Latitude, Longitude
    from cdshealpix.nested import lonlat_to_healpix

    pixels = lonlat_to_healpix(Longitude(ra, units.deg), Latitude(dec, units.deg), depth)
    return np.atleast_1d(np.asarray(pixels)).astype(np.int64)


@dataclasses.dataclass(frozen=True)
class Outline:
    """What tests about a polygon need.

    Attributes
    ----------
    edges : tuple of tuple
        For each edge, run eastwards: longitudes of its ends in [0, 360), and the normal of its great circle.
    odd_is_inside : bool
        Whether a position is inside when it has an odd number of edges north of it.
    area : float
        Of the inside, in steradians.
    centre, centroid : tuple of float
        The middle of the vertices, and of the inside.
    radius : float
        Of a circle about `centre` that holds all vertices, degrees.
    """

    edges: tuple[tuple[float, float, float, float, float], ...]
    odd_is_inside: bool
    area: float
    centre: tuple[float, float]
    centroid: tuple[float, float]
    radius: float


def _vector(ra: float, dec: float) -> Vector:
    return sky.unit_vectors(ra, dec)


def outline(vertices: Sequence[tuple[float, float]]) -> Outline | None:
    """Edges and inside of a polygon; None when two neighbouring vertices are antipodes, or all lie on a line."""
    edges, turned, northern, moment = [], 0.0, 0.0, np.zeros(3)
    for (ra1, dec1), (ra2, dec2) in zip(vertices, [*vertices[1:], vertices[0]], strict=True):
        if separation(ra1, dec1, ra2, dec2) > 179.99:
            return None
        step = (ra2 - ra1 + 180.0) % 360.0 - 180.0
        turned += step
        northern += _northern_triangle(dec1, dec2, step)
        start, end = ((ra1, dec1), (ra2, dec2)) if step >= 0 else ((ra2, dec2), (ra1, dec1))
        normal = np.cross(_vector(*start), _vector(*end))
        length = float(np.linalg.norm(normal))
        if length:
            angle = math.radians(separation(ra1, dec1, ra2, dec2))
            moment += normal * (angle / length * (1 if step >= 0 else -1))
        if step:
            x, y, z = (float(part) for part in normal)
            edges.append((start[0] % 360.0, end[0] % 360.0, x, y, z))
    around_a_pole = abs(turned) > 180.0
    area = 4 * math.pi - abs(northern) if around_a_pole else abs(northern)
    middle = np.sum([_vector(*vertex) for vertex in vertices], axis=0)
    if area == 0.0 or not np.any(np.abs(middle) > 1e-9):
        return None
    centre = _position(middle)
    radius = max(separation(*centre, *vertex) for vertex in vertices)
    centroid = _position(moment if moment @ middle > 0 else -moment)
    smaller = min(area, 4 * math.pi - area)
    return Outline(tuple(edges), area <= 2 * math.pi, smaller, centre, centroid, radius)


def _position(vector: Vector) -> tuple[float, float]:
    x, y, z = (float(part) for part in vector)
    return math.degrees(math.atan2(y, x)) % 360.0, math.degrees(math.atan2(z, math.hypot(x, y)))


def arc_vectors(first: tuple[float, float], second: tuple[float, float]) -> tuple[float, ...]:
    """The normal of a great circle, and the normals of the planes at right angles to it through both ends: an arc
    is nearest to a position in its middle, rather than at an end, where the latter two see it on their inner side."""
    start, end = _vector(*first), _vector(*second)
    normal = np.cross(start, end)
    normal /= np.linalg.norm(normal)
    return tuple(float(part) for part in (*normal, *np.cross(normal, start), *np.cross(end, normal)))


def _northern_triangle(dec1: float, dec2: float, step: float) -> float:
    """Area, signed by direction, between an edge and the North Pole."""
    product = math.tan(math.radians(90.0 - dec1) / 2) * math.tan(math.radians(90.0 - dec2) / 2)
    angle = math.radians(step)
    return 2 * math.atan2(product * math.sin(angle), 1 + product * math.cos(angle))


def box_vertices(ra: float, dec: float, width: float, height: float) -> tuple[tuple[float, float], ...]:
    """Corners of ADQL's BOX: great circles at right angles through the ends of a cross about the centre."""
    ahead = _vector(ra, dec)
    east = _vector(ra + 90.0, 0.0)
    north = np.cross(ahead, east)
    across, along = math.tan(math.radians(width) / 2), math.tan(math.radians(height) / 2)
    corners = []
    for right, up in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        corner = ahead + right * across * east + up * along * north
        corners.append(_position(corner))
    return tuple(corners)
