"""Positions of a catalogue in the order of HEALPix, in memory or in a Parquet file, read by pieces of sky."""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from emberline.archive.catalogue import HEALPIX_ORDER, healpix_of
from emberline.errors import ArchiveError
from emberline.sky import julian_year, propagate, unit_vectors

__all__ = ["ArrayShelf", "Block", "FileShelf", "Positions", "Shelf", "cells_near"]

BLOCK_ROWS = 131_072
"""So many rows and those near them fit the cache of a processor core as a tree, and into any memory."""
_CACHED_GROUPS = 64
_REACH = 0.6
"""Times 2^-depth: radians that the neighbours of a HEALPix cell reach at least beyond the cell (0.70 was measured)."""
_MOST_CELLS = 4096

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclasses.dataclass(frozen=True, eq=False)
class Positions:
    """Where the rows of a table stand.

    Attributes
    ----------
    ra, dec : ndarray, shape (n,)
        Degrees, ICRS; NaN, or a declination beyond a pole, where it is not known: such a row matches nothing.
    epoch : ndarray, shape (n,), or None
        Julian years; NaN or None where it is not known.
    pmra, pmdec : ndarray, shape (n,), or None
        Milliarcseconds a year, `pmra` with cos(dec); NaN counts as no motion.
    """

    ra: Floats
    dec: Floats
    epoch: Floats | None = None
    pmra: Floats | None = None
    pmdec: Floats | None = None

    @classmethod
    def of(
        cls,
        ra: ArrayLike,
        dec: ArrayLike,
        *,
        epoch: ArrayLike | None = None,
        pmra: ArrayLike | None = None,
        pmdec: ArrayLike | None = None,
    ) -> Positions:
        """Of anything like an array; a single epoch holds for all rows, masked values are not known."""
        columns = [None if value is None else _plain(value) for value in (ra, dec, epoch, pmra, pmdec)]
        shape = np.broadcast_shapes(*(column.shape for column in columns if column is not None))
        if len(shape) != 1:
            raise ValueError(f"positions have the shape {shape}: one value a row is needed")
        whole = [None if column is None else np.broadcast_to(column, shape) for column in columns]
        assert whole[0] is not None
        assert whole[1] is not None
        return cls(whole[0], whole[1], *whole[2:])

    def __len__(self) -> int:
        return len(self.ra)


def _plain(values: ArrayLike) -> Floats:
    if isinstance(values, np.ma.MaskedArray):
        return np.asarray(np.ma.filled(values.astype(np.float64), np.nan))
    return np.asarray(values, dtype=np.float64)


@dataclasses.dataclass(frozen=True, eq=False)
class Block:
    """Some rows of a catalogue, in the order of HEALPix.

    Attributes
    ----------
    healpix, row : ndarray of int64, shape (n,)
        Pixel (nested, order 29), and the row's place in the table that it comes from.
    ra, dec, epoch, pmra, pmdec : ndarray
        As in `Positions`; the last three are NaN where they are not known, or None throughout.
    """

    healpix: Integers
    row: Integers
    ra: Floats
    dec: Floats
    epoch: Floats | None = None
    pmra: Floats | None = None
    pmdec: Floats | None = None

    def __len__(self) -> int:
        return len(self.row)

    @property
    def moves(self) -> bool:
        """Whether anything is known about motions, so that a position holds for its epoch only."""
        return self.epoch is not None and self.pmra is not None and self.pmdec is not None

    @functools.cached_property
    def vectors(self) -> Floats:
        """Unit vectors, shape (n, 3)."""
        return unit_vectors(self.ra, self.dec)

    @functools.cached_property
    def speed(self) -> Floats:
        """Proper motion, mas a year; 0 where it is not known."""
        if not self.moves or self.epoch is None or self.pmra is None or self.pmdec is None:
            return np.zeros(len(self))
        return np.nan_to_num(np.hypot(self.pmra, self.pmdec)) * np.isfinite(self.epoch)

    def take(self, index: NDArray[np.int64] | slice) -> Block:
        """Some of its rows."""
        columns = {name: value for name, value in vars(self).items() if name in _COLUMNS and value is not None}
        return Block(**{name: value[index] for name, value in columns.items()})

    def at(self, index: Integers, epoch: Floats) -> Floats:
        """Unit vectors of some rows at another epoch (NaN: where they are), shape (n, 3)."""
        vectors = self.vectors[index]
        if self.epoch is None or self.pmra is None or self.pmdec is None:
            return vectors
        years = np.nan_to_num(epoch - self.epoch[index])
        moved = np.flatnonzero((self.speed[index] > 0) & (years != 0))
        if moved.size:
            which = index[moved]
            there = propagate(self.ra[which], self.dec[which], self.pmra[which], self.pmdec[which], years[moved])
            vectors[moved] = unit_vectors(there.ra, there.dec)
        return vectors


_COLUMNS = tuple(field.name for field in dataclasses.fields(Block))


def joined(blocks: list[Block]) -> Block:
    """Several blocks as one."""
    if len(blocks) == 1:
        return blocks[0]
    known = [name for name in _COLUMNS if getattr(blocks[0], name) is not None]
    return Block(**{name: np.concatenate([getattr(block, name) for block in blocks]) for name in known})


class Shelf(Protocol):
    """A catalogue in the order of HEALPix, whatever it lies in.

    `rows` is how many rows its table has, `fastest` the largest proper motion (mas a year), and `epochs` the first and
    last epoch (Julian years, NaN when none is known).
    """

    rows: int
    fastest: float
    epochs: tuple[float, float]

    def blocks(self) -> Iterator[Block]:
        """All rows that have a position, block of sky by block of sky."""

    def near(self, first: Integers, last: Integers) -> Block:
        """The rows in ranges of HEALPix pixels, both ends included; the ranges are sorted and do not overlap."""


def _extent(values: Floats | None) -> tuple[float, float]:
    known = np.zeros(0) if values is None else values[np.isfinite(values)]
    return (float(known.min()), float(known.max())) if known.size else (float("nan"), float("nan"))


class ArrayShelf:
    """Positions in memory."""

    def __init__(self, positions: Positions) -> None:
        self.rows = len(positions)
        pixels = healpix_of(positions.ra, positions.dec)
        order = np.argsort(pixels, kind="stable")
        order = order[int(np.searchsorted(pixels[order], 0)) :]
        known = {name: value for name, value in vars(positions).items() if value is not None}
        self._all = Block(pixels[order], order, **{name: value[order] for name, value in known.items()})
        self.fastest = float(self._all.speed.max(initial=0.0))
        self.epochs = _extent(self._all.epoch)

    def blocks(self) -> Iterator[Block]:
        """See `Shelf`."""
        for start in range(0, len(self._all), BLOCK_ROWS):
            yield self._all.take(slice(start, start + BLOCK_ROWS))

    def near(self, first: Integers, last: Integers) -> Block:
        """See `Shelf`."""
        return _within(self._all, first, last)


def _within(block: Block, first: Integers, last: Integers) -> Block:
    starts = np.searchsorted(block.healpix, first, side="left")
    lengths = np.searchsorted(block.healpix, last, side="right") - starts
    if lengths.sum() == len(block):
        return block
    before = np.cumsum(lengths) - lengths
    return block.take(np.repeat(starts - before, lengths) + np.arange(lengths.sum()))


class FileShelf:
    """A Parquet file whose rows are sorted by a column ``healpix`` (nested, order 29; negative without a position).

    Parameters
    ----------
    path : Path
    epoch, epoch_is_mjd
        The column of epochs, if any, and whether it holds Modified Julian Dates instead of years.
    moving : bool
        There are columns ``pmra`` and ``pmdec``.
    numbered : bool
        A column ``row`` says where each row stands in the table that the file was made from; else it is that one.
    """

    def __init__(
        self,
        path: Path,
        *,
        epoch: str = "",
        epoch_is_mjd: bool = False,
        moving: bool = False,
        numbered: bool = False,
    ) -> None:
        self.path = path
        self._file = pq.ParquetFile(path, memory_map=True)
        self._lock = threading.Lock()
        self._epoch, self._is_mjd, self._moving, self._numbered = epoch, epoch_is_mjd, moving, numbered
        metadata = self._file.metadata
        self.rows = metadata.num_rows
        sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self._bounds = np.array([self._bounds_of(i) for i in range(len(sizes))], np.int64).reshape(-1, 2)
        self._group = functools.lru_cache(maxsize=_CACHED_GROUPS)(self._read_group)
        self.fastest, self.epochs = self._survey()

    def _bounds_of(self, group: int) -> tuple[int, int]:
        at = self._file.schema_arrow.get_field_index("healpix")
        statistics = self._file.metadata.row_group(group).column(at).statistics
        if statistics is not None and statistics.has_min_max:
            return statistics.min, statistics.max
        pixels = self._file.read_row_group(group, columns=["healpix"])["healpix"].to_numpy()
        return (int(pixels.min()), int(pixels.max())) if pixels.size else (-1, -1)

    def _read_group(self, group: int) -> Block:
        names = ["healpix", "ra", "dec", *(["row"] if self._numbered else [])]
        names += [self._epoch] * bool(self._epoch) + ["pmra", "pmdec"] * self._moving
        with self._lock:
            table = self._file.read_row_group(group, columns=names, use_threads=False)
        pixels = table["healpix"].to_numpy().astype(np.int64)
        if (np.diff(pixels) < 0).any():
            raise ArchiveError("the catalogue is not sorted by healpix", where=str(self.path))
        rows = table["row"].to_numpy() if self._numbered else self._starts[group] + np.arange(len(pixels))
        ra, dec = _column(table, "ra"), _column(table, "dec")
        epoch = _column(table, self._epoch) if self._epoch else None
        if epoch is not None and self._is_mjd:
            epoch = julian_year(epoch)
        motion = (_column(table, "pmra"), _column(table, "pmdec")) if self._moving else (None, None)
        block = Block(pixels, rows, ra, dec, epoch, *motion)
        return block.take(slice(int(np.searchsorted(pixels, 0)), None))

    def _survey(self) -> tuple[float, tuple[float, float]]:
        """The largest motion and the first and last epoch: what says how far around one must look."""
        if not self._epoch:
            return 0.0, (float("nan"), float("nan"))
        fastest, ends = 0.0, []
        for group in range(len(self._bounds)):
            block = self._read_group(group)
            fastest = max(fastest, float(block.speed.max(initial=0.0)))
            ends += [value for value in _extent(block.epoch) if np.isfinite(value)]
        return fastest, (min(ends), max(ends)) if ends else (float("nan"), float("nan"))

    def blocks(self) -> Iterator[Block]:
        """See `Shelf`."""
        waiting: list[Block] = []
        for group in range(len(self._bounds)):
            waiting.append(self._group(group))
            if sum(map(len, waiting)) >= BLOCK_ROWS:
                whole = joined(waiting)
                waiting = []
                for start in range(0, len(whole), BLOCK_ROWS):
                    yield whole.take(slice(start, start + BLOCK_ROWS))
        if sum(map(len, waiting)):
            yield joined(waiting)

    def near(self, first: Integers, last: Integers) -> Block:
        """See `Shelf`."""
        at = np.searchsorted(last, self._bounds[:, 0])
        reached = (at < len(first)) & (first[np.minimum(at, len(first) - 1)] <= self._bounds[:, 1])
        groups = [_within(self._group(int(group)), first, last) for group in np.flatnonzero(reached)]
        nothing = Block(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
        found = [group for group in groups if len(group)]
        return joined(found) if found else nothing


def _column(table: pa.Table, name: str) -> Floats:
    return np.asarray(table[name].to_numpy(zero_copy_only=False), dtype=np.float64)


def cells_near(block: Block, radius: float) -> tuple[Integers, Integers]:
    """Ranges of HEALPix pixels, both ends included, that hold everything within `radius` degrees of a block's rows."""
    from cdshealpix.nested import neighbours

    depth = int(np.floor(np.log2(_REACH / np.radians(max(radius, 1e-7)))))
    if depth < 0:
        return np.zeros(1, np.int64), np.full(1, 12 * 4**HEALPIX_ORDER - 1, np.int64)
    depth = min(depth, 24)
    cells = _distinct(block.healpix >> 2 * (HEALPIX_ORDER - depth))
    while len(cells) > _MOST_CELLS and depth > 0:
        depth -= 1
        cells = _distinct(cells >> 2)
    wide = _distinct(np.sort(np.asarray(neighbours(cells.astype(np.uint64), depth)).astype(np.int64), axis=None))
    wide = wide[wide >= 0]
    cuts = np.flatnonzero(np.diff(wide) > 1)
    first, last = wide[np.concatenate([[0], cuts + 1])], wide[np.concatenate([cuts, [len(wide) - 1]])]
    shift = 2 * (HEALPIX_ORDER - depth)
    return first << shift, ((last + 1) << shift) - 1


def _distinct(values: Integers) -> Integers:
    """What `numpy.unique` gives, of sorted values, at a hundredth of its cost."""
    return values[np.flatnonzero(np.diff(values, prepend=values[:1] - 1))]
