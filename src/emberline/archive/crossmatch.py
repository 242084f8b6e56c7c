"""Match two catalogues by position: nearest, all or mutual, with proper motions, at millions of rows.

Both catalogues stand in the order of HEALPix. One is gone through in blocks of neighbouring rows; of the other one only
what lies in the HEALPix cells of a block or in cells beside them is fetched, and searched with a k-d tree of unit
vectors, in which the poles and the meridian of 0 h are places like any other.
"""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
from collections.abc import Iterator
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from emberline.archive.positions import ArrayShelf, Block, Positions, Shelf, cells_near
from emberline.errors import ConfigError
from emberline.progress import Progress, silent
from emberline.sky import angle_of_chord, chord_of_angle

__all__ = ["KEEP", "LARGEST_RADIUS_ARCSEC", "Matches", "check_radius", "match", "match_shelves", "separations"]

Keep: TypeAlias = Literal["nearest", "all", "mutual"]
KEEP: tuple[Keep, ...] = ("nearest", "all", "mutual")
LARGEST_RADIUS_ARCSEC = 36_000.0
_MOST_PAIRS = 4_000_000
"""Pairs that are looked at together."""
_ARCSEC = 3600.0
_EDGE = 1e-9
"""The search reaches so much further (relative) than the radius, and the exact separation then decides."""

Integers: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False)
class Matches:
    """Pairs of rows, in the order of the left rows, then of separation.

    Attributes
    ----------
    left, right : ndarray of int64, shape (m,)
        Row numbers in the two tables.
    separation : ndarray of float64, shape (m,)
        Arcseconds, at the epoch of comparison.
    neighbours : ndarray of int64, shape (m,)
        How many rows of the right table lie within the radius of the left row: more than 1 is ambiguous.
    """

    left: Integers
    right: Integers
    separation: Floats
    neighbours: Integers

    def __len__(self) -> int:
        return len(self.left)

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> Matches:
        """Some of the pairs."""
        return Matches(self.left[index], self.right[index], self.separation[index], self.neighbours[index])


def check_radius(radius_arcsec: float) -> float:
    """The radius, when it can be used.

    Raises
    ------
    ConfigError
    """
    if not 0 < radius_arcsec <= LARGEST_RADIUS_ARCSEC:
        raise ConfigError(
            "the radius of a cross-match is wrong",
            found=f"{radius_arcsec:g} arcsec",
            expected=f"more than 0 and at most {LARGEST_RADIUS_ARCSEC:g} arcsec",
        )
    return radius_arcsec


def match(
    left: Positions, right: Positions, radius_arcsec: float, *, keep: Keep = "nearest", threads: int = 2
) -> Matches:
    """Match two lists of positions.

    Where the right position has a proper motion and both epochs are known, it is brought to the epoch of the left one
    before it is compared; otherwise, where the left one has, that one is brought to the epoch of the right. The search
    reaches as much further as the motion asks for, and the separation at the common epoch decides.

    Parameters
    ----------
    left, right : Positions
    radius_arcsec : float
        Inclusive.
    keep : {"nearest", "all", "mutual"}
        The nearest right row of each left row (of equally near ones the first in the table), all within the radius, or
        those pairs in which each is the nearest of the other.
    threads : int

    Raises
    ------
    ConfigError
        The radius cannot be used.
    """
    return match_shelves(ArrayShelf(left), ArrayShelf(right), radius_arcsec, keep=keep, threads=threads)


def match_shelves(
    left: Shelf,
    right: Shelf,
    radius_arcsec: float,
    *,
    keep: Keep = "nearest",
    threads: int = 2,
    progress: Progress = silent,
) -> Matches:
    """See `match`; the catalogues may lie on disk, and only the pairs and a few blocks of sky are held in memory."""
    check_radius(radius_arcsec)
    found = _pass(left, right, radius_arcsec, keep == "all", threads, progress, "match", swapped=False)
    if keep == "mutual":
        back = _pass(right, left, radius_arcsec, False, threads, progress, "match back", swapped=True)
        ours = found.left * max(right.rows, 1) + found.right
        theirs = back.right * max(right.rows, 1) + back.left
        found = found.take(np.isin(ours, theirs))
    return found


def _pass(
    left: Shelf, right: Shelf, radius: float, every: bool, threads: int, progress: Progress, step: str, *, swapped: bool
) -> Matches:
    """Every block of `left` against what is near it in `right`."""
    years = _span(left, right)
    reach = radius / _ARCSEC + (left.fastest + right.fastest) * years / 1000 / _ARCSEC
    work = _Work(right, radius, reach, every, swapped)
    parts, done = [], 0
    for size, part in _in_threads(work, left.blocks(), threads):
        parts.append(part)
        done += size
        progress(step, done, left.rows)
    progress(step, left.rows, left.rows)
    if not parts:
        left_rows, right_rows, separation = _nothing()
        return Matches(left_rows, right_rows, separation, left_rows)
    whole = _joined(parts)
    return whole.take(np.lexsort((whole.right, whole.separation, whole.left)))


def _joined(parts: list[Matches]) -> Matches:
    names = [field.name for field in dataclasses.fields(Matches)]
    return Matches(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def _span(left: Shelf, right: Shelf) -> float:
    """The longest time between an epoch of one and an epoch of the other, years; 0 when one has none."""
    (a, b), (c, d) = left.epochs, right.epochs
    years = max(abs(b - c), abs(d - a))
    return years if np.isfinite(years) else 0.0


def _in_threads(work: _Work, blocks: Iterator[Block], threads: int) -> Iterator[tuple[int, Matches]]:
    """The work on each block, in their order; no more blocks are read ahead than there are threads."""
    if threads < 2:
        yield from ((len(block), work(block)) for block in blocks)
        return
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        waiting: collections.deque[tuple[int, concurrent.futures.Future[Matches]]] = collections.deque()
        for block in blocks:
            waiting.append((len(block), pool.submit(work, block)))
            if len(waiting) > threads:
                size, future = waiting.popleft()
                yield size, future.result()
        for size, future in waiting:
            yield size, future.result()


@dataclasses.dataclass(frozen=True)
class _Work:
    """One block of the left catalogue against the right one.

    `reach` (degrees) is how far a match can lie at the catalogues' own epochs; `swapped` says that the catalogues have
    changed sides, so that the same one is moved as before.
    """

    right: Shelf
    radius: float
    reach: float
    every: bool
    swapped: bool

    def __call__(self, block: Block) -> Matches:
        there = self.right.near(*cells_near(block, self.reach))
        if not len(there):
            return _matches(block, there, *_nothing(), self.every)
        if not self.every and not ((block.moves or there.moves) and self.reach * _ARCSEC > self.radius):
            return _nearest(block, there, self.radius)
        left, right, separation = (np.concatenate(column) for column in zip(*self._pairs(block, there), strict=True))
        return _matches(block, there, left, right, separation, self.every)

    def _pairs(self, block: Block, there: Block) -> Iterator[tuple[Integers, Integers, Floats]]:
        """All pairs within the radius, those that move much apart from those that hardly do."""
        yield _nothing()
        for left, left_reach in _by_motion(block, there, self.radius):
            for right, right_reach in _by_motion(there, block, self.radius):
                wide = self.radius + left_reach + right_reach
                for i, j in _within(block.vectors[left], there.vectors[right], wide):
                    first, second = left[i], right[j]
                    separation = _separations(block, first, there, second, swapped=self.swapped)
                    near = separation <= self.radius
                    yield first[near], second[near], separation[near]


def separations(left: Positions, i: Integers, right: Positions, j: Integers) -> Floats:
    """Arcseconds between rows `i` of one list and rows `j` of another, compared as by `match`; NaN without one."""
    blocks = []
    for positions in (left, right):
        known = {name: value for name, value in vars(positions).items() if value is not None}
        rows = np.arange(len(positions), dtype=np.int64)
        blocks.append(Block(healpix=np.zeros(len(positions), np.int64), row=rows, **known))
    return _separations(blocks[0], i, blocks[1], j, swapped=False)


def _separations(block: Block, i: Integers, there: Block, j: Integers, *, swapped: bool) -> Floats:
    """Arcseconds, at the epoch of the one that does not move."""
    a, b = block.vectors[i], there.vectors[j]
    if block.epoch is not None and there.epoch is not None:
        movers = ("left", "right") if swapped else ("right", "left")
        moving = {"left": block.speed[i] > 0, "right": there.speed[j] > 0}
        moving[movers[1]] &= ~moving[movers[0]]
        which = moving["right"]
        b[which] = there.at(j[which], block.epoch[i[which]])
        which = moving["left"]
        a[which] = block.at(i[which], there.epoch[j[which]])
    return np.asarray(angle_of_chord(np.sqrt(((a - b) ** 2).sum(axis=1))) * _ARCSEC)


def _nothing() -> tuple[Integers, Integers, Floats]:
    return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)


def _by_motion(block: Block, other: Block, radius: float) -> Iterator[tuple[Integers, float]]:
    """Rows by how far they can move between the epochs: at most 0, half a radius, a radius, two, four, … (arcsec)."""
    everything = np.arange(len(block), dtype=np.int64)
    if not block.moves or block.epoch is None or other.epoch is None or not np.isfinite(other.epoch).any():
        yield everything, 0.0
        return
    years = np.fmax(np.abs(block.epoch - np.nanmin(other.epoch)), np.abs(block.epoch - np.nanmax(other.epoch)))
    reach = block.speed * np.nan_to_num(years) / 1000
    classes = np.where(reach > 0, np.maximum(np.ceil(np.log2(np.maximum(reach / radius, 0.5))), -1), -2)
    for name in np.unique(classes):
        yield everything[classes == name], 0.0 if name == -2 else radius * 2.0**name


def _limit(radius_arcsec: float) -> float:
    return float(chord_of_angle(radius_arcsec / _ARCSEC)) * (1 + _EDGE) + 1e-15


def _within(a: Floats, b: Floats, radius_arcsec: float) -> Iterator[tuple[Integers, Integers]]:
    """Pairs of vectors within a radius, some millions at a time however crowded the place is."""
    from scipy.spatial import cKDTree

    limit = _limit(radius_arcsec)
    tree = cKDTree(b, balanced_tree=False, compact_nodes=False)
    counts = np.asarray(tree.query_ball_point(a, limit, return_length=True))
    rows = np.flatnonzero(counts)
    ends = np.cumsum(counts[rows])
    for chunk in np.split(rows, np.flatnonzero(np.diff(ends // _MOST_PAIRS)) + 1):
        if not chunk.size:
            continue
        some = cKDTree(a[chunk], balanced_tree=False, compact_nodes=False)
        pairs = np.asarray(some.sparse_distance_matrix(tree, limit, output_type="ndarray"))
        yield chunk[pairs["i"]], pairs["j"].astype(np.int64)


def _nearest(block: Block, there: Block, radius: float) -> Matches:
    """The nearest without motions. Only rows with two or more about them, which are few, need a closer look."""
    from scipy.spatial import cKDTree

    tree = cKDTree(there.vectors, balanced_tree=False, compact_nodes=False)
    chord, index = map(np.asarray, tree.query(block.vectors, k=2, distance_upper_bound=_limit(radius)))
    separation = angle_of_chord(np.where(np.isfinite(chord), chord, 3.0)) * _ARCSEC
    separation[~np.isfinite(chord)] = np.inf
    inside = separation <= radius
    alone = np.flatnonzero(inside[:, 0] & ~inside[:, 1])
    first = Matches(
        block.row[alone], there.row[index[alone, 0]], separation[alone, 0], np.ones(alone.size, dtype=np.int64)
    )
    crowded = np.flatnonzero(inside[:, 1])
    if not crowded.size:
        return first
    pieces = [first]
    for i, j in _within(block.vectors[crowded], there.vectors, radius):
        rows = crowded[i]
        apart = angle_of_chord(np.sqrt(((block.vectors[rows] - there.vectors[j]) ** 2).sum(axis=1))) * _ARCSEC
        near = apart <= radius
        pieces.append(_matches(block, there, rows[near], j[near], apart[near], every=False))
    return _joined(pieces)


def _matches(block: Block, there: Block, i: Integers, j: Integers, separation: Floats, every: bool) -> Matches:
    """Pairs within the radius as row numbers: all, or the nearest of each left row."""
    order = np.lexsort((there.row[j], separation, i))
    i, j, separation = i[order], j[order], separation[order]
    _, start, counts = np.unique(i, return_index=True, return_counts=True)
    if every:
        return Matches(block.row[i], there.row[j], separation, np.repeat(counts, counts))
    return Matches(block.row[i[start]], there.row[j[start]], separation[start], counts)
