"""Write the catalogue of an archive anew with what was added: in memory that does not grow with the text in it.

Positions and hashes of identifiers, some forty bytes a spectrum, are held for the whole archive. All other columns
pass by: they are read from the old catalogue and from the new parts, some thousand rows at a time, and sorted by
DuckDB, which puts aside on disk what exceeds its share of memory.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from emberline.archive.catalogue import ROWS_PER_GROUP, catalogue_writer, finished_rows
from emberline.archive.index import INDEX_NAME, CatalogueFile, IdentifierIndex, stamp_of
from emberline.archive.names import name_hashes
from emberline.archive.objects import leaders_of
from emberline.archive.parts import PartFile
from emberline.archive.schema import CATALOGUE_SCHEMA
from emberline.errors import EmberlineError
from emberline.files import atomic_path

__all__ = ["ASIDE", "Growth", "write_grown"]

ASIDE = ".sorting"
"""The folder in ``pending/`` for what exceeds memory while the catalogue is sorted."""

_SORT_MEMORY = "1GB"
_IN_MEMORY = 262_144  # rows: fewer are sorted here, before DuckDB has started
_OWN = [name for name in CATALOGUE_SCHEMA.names if name not in ("object", "healpix")]

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False)
class Growth:
    """An archive's old catalogue and the parts that are new, in the order of ingestion.

    Attributes
    ----------
    old : CatalogueFile
    index : IdentifierIndex
        Of `old`.
    folder : Path
        Of the parts.
    names : tuple of str
        The new parts.
    """

    old: CatalogueFile
    index: IdentifierIndex
    folder: Path
    names: tuple[str, ...]

    @functools.cached_property
    def parts(self) -> tuple[str, ...]:
        """All parts, sorted by name."""
        return tuple(sorted({*self.index.parts, *self.names}))

    @functools.cached_property
    def _number_of(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.parts)}

    @functools.cached_property
    def _first(self) -> NDArray[np.int64]:
        """The position of each part's first row in the order of ingestion, and the end."""
        counts = np.zeros(len(self.parts), np.int64)
        if len(self.index):
            rows = np.zeros(len(self.index.parts), np.int64)
            np.maximum.at(rows, self.index.places >> 32, (self.index.places & 0xFFFFFFFF) + 1)
            counts[[self._number_of[name] for name in self.index.parts]] = rows
        for name in self.names:
            counts[self._number_of[name]] = len(PartFile(self.folder / name))
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    def _old_batches(self, columns: list[str]) -> Iterator[tuple[pa.RecordBatch, NDArray[np.int64]]]:
        """Rows of the old catalogue with the part number of each."""
        for batch in self.old.batches([*columns, *({"part", "row"} - set(columns))]):
            coded = batch["part"]
            ranks = np.array([self._number_of[name] for name in coded.dictionary.to_pylist()], np.int64)
            yield batch, ranks[coded.indices.to_numpy(zero_copy_only=False)]

    def _new_batches(self, columns: list[str] | None = None) -> Iterator[tuple[pa.RecordBatch, str]]:
        for name in self.names:
            for batch in PartFile(self.folder / name).rows_table(columns).to_batches(max_chunksize=65_536):
                yield batch, name

    def gather(self) -> tuple[Floats, Floats, IdentifierIndex]:
        """Positions in the order of ingestion, NaN where there are none, and the index of all identifiers."""
        n = int(self._first[-1])
        ra, dec = np.full(n, np.nan), np.full(n, np.nan)
        hashes, places = np.zeros(n, np.uint64), np.full(n, -1, np.int64)
        ranks = np.array([self._number_of[name] for name in self.index.parts], np.int64)
        if len(self.index):
            old = ranks[self.index.places >> 32]
            row = self.index.places & 0xFFFFFFFF
            at = self._first[old] + row
            hashes[at], places[at] = self.index.hashes, old << 32 | row
        for batch, number in self._old_batches(["ra", "dec", "row"]):
            at = self._first[number] + batch["row"].to_numpy(zero_copy_only=False)
            ra[at], dec[at] = _floats(batch["ra"]), _floats(batch["dec"])
        done: dict[str, int] = {}
        for batch, name in self._new_batches(["identifier", "ra", "dec"]):
            row = done.get(name, 0) + np.arange(len(batch))
            done[name] = done.get(name, 0) + len(batch)
            at = self._first[self._number_of[name]] + row
            ra[at], dec[at] = _floats(batch["ra"]), _floats(batch["dec"])
            hashes[at], places[at] = name_hashes(batch["identifier"]), self._number_of[name] << 32 | row
        there = places >= 0
        return ra, dec, IdentifierIndex.of(self.parts, hashes[there], places[there])

    def rows(self) -> Iterator[tuple[pa.Table, NDArray[np.int64]]]:
        """All rows, without object and pixel, and the position of each in the order of ingestion."""
        for batch, number in self._old_batches(_OWN):
            table = pa.Table.from_batches([batch]).select(_OWN)
            yield table, self._first[number] + batch["row"].to_numpy(zero_copy_only=False)
        done: dict[str, int] = {}
        for batch, name in self._new_batches():
            row = done.get(name, 0) + np.arange(len(batch))
            done[name] = done.get(name, 0) + len(batch)
            table = pa.Table.from_batches([batch]).append_column("part", pa.array([name] * len(batch), pa.string()))
            table = table.append_column("row", pa.array(row, pa.int32()))
            yield table.select(_OWN), self._first[self._number_of[name]] + row


def _floats(column: pa.Array) -> Floats:
    return np.asarray(column.to_numpy(zero_copy_only=False), np.float64)


def write_grown(folder: Path, growth: Growth) -> None:
    """Group objects, find pixels, sort, and put the new catalogue and its index in place of the old ones.

    Rows are sorted by `healpix`, then `identifier`. An object is named by the position of the member that was ingested
    first, or the survey's name, or the identifier, where no position is known.

    Raises
    ------
    ArchiveError
        A part or the old catalogue is damaged.
    EmberlineError
        The disk is full.
    """
    ra, dec, index = growth.gather()
    leader = leaders_of(ra, dec)
    tables = (finished_rows(rows, at, ra, dec, leader) for rows, at in growth.rows())
    path = folder / "catalogue.parquet"
    with atomic_path(path) as temporary:
        with contextlib.closing(catalogue_writer(temporary)) as writer:
            for table in _sorted(tables, len(index), folder / "pending"):
                writer.write_table(table, row_group_size=ROWS_PER_GROUP)
        index.write(folder / INDEX_NAME, stamp_of(pa.OSFile(str(temporary))))


def _sorted(tables: Iterable[pa.Table], rows: int, folder: Path) -> Iterator[pa.Table]:
    """The rows in the catalogue's order, a row group at a time."""
    if rows <= _IN_MEMORY:
        table = pa.concat_tables([CATALOGUE_SCHEMA.empty_table(), *tables])
        yield table.sort_by([("healpix", "ascending"), ("identifier", "ascending")])
        return
    yield from _sorted_outside(tables, folder / ASIDE)


def _sorted_outside(tables: Iterable[pa.Table], aside: Path) -> Iterator[pa.Table]:
    """As `_sorted`, of any number of rows: `aside` is a folder for what exceeds memory."""
    import duckdb

    failed: list[Exception] = []

    def stream() -> Iterator[pa.RecordBatch]:
        try:
            for table in tables:
                yield from table.to_batches()
        except Exception as error:
            failed.append(error)
            raise

    try:
        with duckdb.connect(config={"memory_limit": _SORT_MEMORY, "temp_directory": str(aside)}) as connection:
            connection.register("rows", pa.RecordBatchReader.from_batches(CATALOGUE_SCHEMA, stream()))
            result = connection.sql("SELECT * FROM rows ORDER BY healpix, identifier")
            read = getattr(result, "to_arrow_reader", None) or result.fetch_arrow_reader  # an older DuckDB
            for batch in read(ROWS_PER_GROUP):
                yield pa.Table.from_batches([batch]).cast(CATALOGUE_SCHEMA)
    except (duckdb.Error, pa.ArrowException) as error:
        if failed:
            raise failed[0] from None
        raise EmberlineError(
            f"the catalogue cannot be sorted: {str(error).splitlines()[0]}",
            where=str(aside.parent.parent / "catalogue.parquet"),
            action="Free some space on this disk, or some memory, and run the same command again; it resumes.",
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
