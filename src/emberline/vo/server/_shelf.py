"""Published tables laid out for fast answers: Arrow files in memory maps, sorted by HEALPix, with an index of names.

Parquet is made to be read whole: a cone of a dozen rows costs it tens of milliseconds. The same rows lie here
uncompressed, so that an answer touches only the pages it needs, and no process holds a table in its own memory.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from emberline.archive.catalogue import healpix_of
from emberline.vo.server._cells import is_ascii, needs_escape
from emberline.vo.server.adql._sphere import LARGEST_COVERED_RADIUS, cone_ranges

__all__ = ["Cone", "Keep", "Shelf", "ShelfTable"]

_LAYOUT = 2
"""Raised when the files' layout changes, so that none of an older one is read."""
_BATCH = 262_144
_FIRST_PIECE = 256
"""Rows of the first piece of a long answer: small, so that its first byte leaves early."""
_PIECE = 8_192

Keep = Callable[[pa.RecordBatch], Any]
"""Which rows of a batch to keep: a boolean Arrow array."""


@dataclasses.dataclass(frozen=True)
class Cone:
    """A circle on the sky, ICRS degrees."""

    ra: float
    dec: float
    radius: float


class ShelfTable:
    """One table, open for reading; safe to use from several threads.

    Attributes
    ----------
    schema : pyarrow.Schema
    unicode, special : frozenset of str
        Columns of text that is not all ASCII, and those with characters that XML must escape.
    """

    def __init__(self, folder: Path) -> None:
        with pa.memory_map(str(folder / "rows.arrow")) as source:
            reader = pa.ipc.open_file(source)
            self.schema = reader.schema
            self._batches = [reader.get_batch(index) for index in range(reader.num_record_batches)]
        counts = [batch.num_rows for batch in self._batches]
        self._starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        # As plain arrays over the same maps: numpy's memmap class costs time at every access.
        self._healpix, self._positions, self._order = (
            np.load(folder / f"{name}.npy", mmap_mode="r").view(np.ndarray)
            for name in ("healpix", "positions", "order")
        )
        self.unicode = self._noted(b"emberline.unicode")
        self.special = self._noted(b"emberline.special")

    def _noted(self, key: bytes) -> frozenset[str]:
        names = (self.schema.metadata or {}).get(key, b"").decode()
        return frozenset(names.split("\n")) if names else frozenset()

    def __len__(self) -> int:
        return int(self._starts[-1])

    def around(self, cone: Cone) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Rows within a cone, the nearest first, and their distances in degrees."""
        rows = self._covered(cone)
        near = self._positions[rows]
        distances = _distances(cone, near[:, 0], near[:, 1])
        inside = np.flatnonzero(distances <= cone.radius * (1 + 1e-12) + 1e-12)
        inside = inside[np.argsort(distances[inside], kind="stable")]
        return rows[inside], distances[inside]

    def _covered(self, cone: Cone) -> NDArray[np.int64]:
        if cone.radius > LARGEST_COVERED_RADIUS:
            return np.arange(int(np.searchsorted(self._healpix, 0)), len(self), dtype=np.int64)
        ranges = np.array(cone_ranges(cone.ra, cone.dec, cone.radius), np.int64)
        first = np.searchsorted(self._healpix, ranges[:, 0])
        last = np.searchsorted(self._healpix, ranges[:, 1], side="right")
        return np.concatenate([np.arange(low, high) for low, high in zip(first, last, strict=True)]).astype(np.int64)

    def take(self, rows: NDArray[np.int64], columns: Sequence[str] | None = None) -> pa.RecordBatch:
        """Rows in the order asked, with some of the columns or all."""
        if len(self._batches) == 1:
            return _chosen(self._batches[0], columns).take(pa.array(rows))
        where = np.searchsorted(self._starts, rows, side="right") - 1
        pieces = []
        for start, stop in _runs(where):
            number = int(where[start])
            batch = _chosen(self._batches[number], columns)
            pieces.append(batch.take(pa.array(rows[start:stop] - self._starts[number])))
        return _one(pieces) if pieces else _chosen(self._batches[0], columns).slice(0, 0)

    def search(self, cone: Cone | None = None, keep: Keep | None = None) -> Iterator[pa.RecordBatch]:
        """Rows within `cone` (the nearest first) or all rows, of which `keep` leaves some, in small batches."""
        for batch in self._all() if cone is None else self._near(cone):
            kept = batch if keep is None else batch.filter(keep(batch))
            if kept.num_rows:
                yield kept

    def _near(self, cone: Cone) -> Iterator[pa.RecordBatch]:
        rows, _ = self.around(cone)
        for start, stop in _steps(len(rows)):
            yield self.take(rows[start:stop])

    def _all(self) -> Iterator[pa.RecordBatch]:
        small = True
        for batch in self._batches:
            for start, stop in _steps(batch.num_rows, _FIRST_PIECE if small else _PIECE):
                yield batch.slice(start, stop - start)
            small = False

    def row_of(self, identifier: str) -> int | None:
        """Where the row of this identifier is."""
        low, high = 0, len(self._order)
        while low < high:
            middle = (low + high) // 2
            if self.value(int(self._order[middle]), "identifier") < identifier:
                low = middle + 1
            else:
                high = middle
        if low < len(self._order) and self.value(int(self._order[low]), "identifier") == identifier:
            return int(self._order[low])
        return None

    def value(self, row: int, column: str) -> Any:
        """One value, null as None."""
        batch, local = self._place(row)
        return batch.column(column)[local].as_py()

    def _place(self, row: int) -> tuple[pa.RecordBatch, int]:
        if len(self._batches) == 1:
            return self._batches[0], row
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        return self._batches[number], row - int(self._starts[number])

    def row(self, row: int) -> dict[str, Any]:
        """One row, null as None."""
        batch, local = self._place(row)
        return {name: batch.column(index)[local].as_py() for index, name in enumerate(self.schema.names)}

    def unplaced(self, keep: Keep) -> pa.RecordBatch:
        """Rows without a position that `keep` leaves."""
        count = int(np.searchsorted(self._healpix, 0))
        rows = np.arange(count, dtype=np.int64)
        pieces = [self.take(rows[start:stop]) for start, stop in _steps(count)]
        kept = [piece.filter(keep(piece)) for piece in pieces]
        return _one(kept) if kept else self._batches[0].slice(0, 0)


def _chosen(batch: pa.RecordBatch, columns: Sequence[str] | None) -> pa.RecordBatch:
    return batch if columns is None else batch.select(list(columns))


def _one(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    if len(batches) == 1:
        return batches[0]
    combined = pa.Table.from_batches(batches).combine_chunks().to_batches()
    return combined[0] if combined else batches[0].slice(0, 0)


def _runs(numbers: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Stretches of equal numbers."""
    if not len(numbers):
        return
    changes = np.flatnonzero(np.diff(numbers)) + 1
    bounds = [0, *changes.tolist(), len(numbers)]
    yield from itertools.pairwise(bounds)


def _steps(count: int, first: int = _FIRST_PIECE) -> Iterator[tuple[int, int]]:
    start, size = 0, first
    while start < count:
        yield start, min(start + size, count)
        start, size = start + size, _PIECE


def _distances(cone: Cone, ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angles in degrees by the haversine, which is good at small ones."""
    step, across = np.radians(ra - cone.ra) / 2, np.radians(dec - cone.dec) / 2
    square = np.sin(across) ** 2 + np.cos(np.radians(dec)) * np.cos(np.radians(cone.dec)) * np.sin(step) ** 2
    return np.asarray(np.degrees(2 * np.arcsin(np.sqrt(np.clip(square, 0.0, 1.0)))))


# --- making ----------------------------------------------------------------------------------------------------------


class Shelf:
    """The tables of a workspace, each made from its Parquet file when first asked for and when that has changed.

    Parameters
    ----------
    folder : Path
        Where the files may be kept; when it cannot be written, a temporary folder stands for it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._making: dict[str, threading.Lock] = {}
        self._open: dict[str, tuple[str, ShelfTable]] = {}

    def table(self, name: str, path: Path, columns: Sequence[str] | None = None) -> ShelfTable:
        """The table called `name`, from the Parquet file `path` as it is now; that of an older file is deleted."""
        key = _signature(path)
        known = self._open.get(name)
        if known is not None and known[0] == key:
            return known[1]
        with self._lock:
            making = self._making.setdefault(name, threading.Lock())
        with making:
            known = self._open.get(name)
            if known is None or known[0] != key:
                self._open[name] = known = key, ShelfTable(self._made(name, path, key, columns))
            return known[1]

    def ready(self, name: str, path: Path) -> bool:
        """Whether the table is open as it is now, so that it costs no time to get it."""
        known = self._open.get(name)
        return known is not None and known[0] == _signature(path)

    def _made(self, name: str, path: Path, key: str, columns: Sequence[str] | None) -> Path:
        place = self._place() / name / key
        if not (place / "order.npy").exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=place.parent, prefix=".making-") as temporary:
                _lay_out(path, Path(temporary), columns)
                made = Path(temporary) / "made"
                made.mkdir()
                for item in Path(temporary).iterdir():
                    if item != made:
                        item.rename(made / item.name)
                try:
                    made.rename(place)
                except OSError:  # another process was faster
                    if not (place / "order.npy").exists():
                        raise
            for old in place.parent.iterdir():
                if old != place and not old.name.startswith(".making-"):
                    shutil.rmtree(old, ignore_errors=True)
        return place

    def _place(self) -> Path:
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.access(self._folder, os.W_OK):
            return self._folder
        return _temporary()


@functools.cache
def _temporary() -> Path:
    import atexit

    folder = tempfile.mkdtemp(prefix="emberline-vo-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _signature(path: Path) -> str:
    status = path.stat()
    return f"{_LAYOUT}-{status.st_mtime_ns:x}-{status.st_size:x}-{status.st_ino:x}"


def _lay_out(path: Path, folder: Path, columns: Sequence[str] | None) -> None:
    """Write the files of a table, reading no more than a batch of it at a time."""
    file = pq.ParquetFile(path)
    names = list(columns or file.schema_arrow.names)
    unicode: set[str] = set()
    special: set[str] = set()
    placed = []
    schema = pa.schema([_plain(file.schema_arrow.field(name)) for name in names])
    with pa.OSFile(str(folder / "all.arrow"), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for batch in file.iter_batches(_BATCH, columns=names, use_threads=False):
            batch = pa.RecordBatch.from_arrays(
                [_finite(batch.column(name).cast(schema.field(name).type)) for name in names], schema=schema
            )
            texts = [name for name in names if pa.types.is_string(schema.field(name).type)]
            unicode |= {name for name in texts if not is_ascii(batch.column(name))}
            special |= {name for name in texts if needs_escape(batch.column(name))}
            placed.append(_places(batch))
            writer.write_batch(batch)
    positions = np.concatenate([item[0] for item in placed]) if placed else np.zeros((0, 2))
    healpix = np.concatenate([item[1] for item in placed]) if placed else np.zeros(0, np.int64)
    notes = {"emberline.unicode": "\n".join(sorted(unicode)), "emberline.special": "\n".join(sorted(special))}
    _sorted(folder, schema.with_metadata(notes), positions, healpix)
    (folder / "all.arrow").unlink()


def _sorted(folder: Path, schema: pa.Schema, positions: NDArray[np.float64], healpix: NDArray[np.int64]) -> None:
    """Bring the rows into the order of their pixels, and make the index of identifiers."""
    order = None if (np.diff(healpix) >= 0).all() else np.argsort(healpix, kind="stable")
    with pa.memory_map(str(folder / "all.arrow")) as source:
        table = pa.ipc.open_file(source).read_all()
        with pa.OSFile(str(folder / "rows.arrow"), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            for start in range(0, max(len(table), 1), _BATCH):
                piece = table.slice(start, _BATCH)
                if order is not None:
                    piece = table.take(pa.array(order[start : start + _BATCH]))
                piece = piece.combine_chunks()
                for batch in piece.to_batches() or [pa.RecordBatch.from_pylist([], schema=schema)]:
                    writer.write_batch(batch.replace_schema_metadata(schema.metadata))
        by_name = np.zeros(0, np.int64)
        if "identifier" in table.column_names:
            names = table["identifier"] if order is None else table["identifier"].take(pa.array(order))
            by_name = np.asarray(pc.sort_indices(names)).astype(np.int64)
    if order is not None:
        positions, healpix = positions[order], healpix[order]
    np.save(folder / "positions.npy", positions)
    np.save(folder / "healpix.npy", healpix)
    np.save(folder / "order.npy", by_name)


def _plain(field: pa.Field) -> pa.Field:
    kind = field.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        kind = pa.string()
    return field.with_type(kind)


def _finite(values: Any) -> Any:
    """NaN and infinity as null: unknown either way."""
    if pa.types.is_floating(values.type):
        return pc.if_else(pc.is_finite(values), values, pa.scalar(None, values.type))
    return values


def _places(batch: pa.RecordBatch) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Positions (NaN where there is none) and their pixels."""
    n = batch.num_rows
    if not {"ra", "dec"} <= set(batch.schema.names):
        return np.full((n, 2), np.nan), np.full(n, -1, np.int64)
    pair = [
        batch.column(name).cast(pa.float64()).fill_null(np.nan).to_numpy(zero_copy_only=False) for name in ("ra", "dec")
    ]
    return np.stack(pair, axis=1), healpix_of(pair[0], pair[1])
