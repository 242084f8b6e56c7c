"""Match two archives, or tables in files, by position, and write the pairs with columns of both."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from emberline.archive.catalogue import healpix_of
from emberline.archive.crossmatch import Keep, Matches, check_radius, match_shelves
from emberline.archive.positions import ArrayShelf, FileShelf, Positions, Shelf
from emberline.archive.tables import PositionColumns, columns_of, find_positions, positions_in, read_table
from emberline.errors import ConfigError
from emberline.files import atomic_path
from emberline.progress import Progress, silent

__all__ = ["PairsSummary", "Source", "match_sources", "open_source", "pairs_table", "write_pairs"]

ARCHIVE_COLUMNS = (
    "identifier", "object", "survey", "name", "ra", "dec", "mjd", "snr", "survey_class", "survey_subclass", "redshift",
)  # fmt: skip
"""Of an archive's catalogue, what goes beside a pair."""
ROWS_IN_MEMORY = 20_000_000
"""The positions of a Parquet table with more rows are sorted on disk."""
_ROWS_PER_GROUP = 65_536
_SEPARATION = {"unit": "arcsec", "ucd": "pos.angDistance", "description": "Separation, at the epoch of comparison"}
_NEIGHBOURS = {"ucd": "meta.number", "description": "Rows of the second table within the radius; 2 or more: ambiguous"}


@dataclasses.dataclass(frozen=True)
class PairsSummary:
    """What a match of two tables found.

    Attributes
    ----------
    rows : tuple of int
        Of the two tables.
    pairs : int
    matched : int
        Rows of the first that have a partner.
    ambiguous : int
        Rows of the first with two partners or more within the radius.
    moved : bool
        Proper motions were used.
    """

    rows: tuple[int, int]
    pairs: int
    matched: int
    ambiguous: int
    moved: bool


@dataclasses.dataclass(frozen=True)
class Source:
    """A table whose rows stand at positions.

    Attributes
    ----------
    path : Path
        An archive's folder, or a file.
    shelf : Shelf
        Its positions in the order of the sky.
    columns : PositionColumns
    names : tuple of str
        The columns that go into a result.
    table : pyarrow.Table or None
        All of it; None where it stays in its Parquet file.
    parquet : Path or None
    """

    path: Path
    shelf: Shelf
    columns: PositionColumns
    names: tuple[str, ...]
    table: pa.Table | None
    parquet: Path | None

    @property
    def schema(self) -> pa.Schema:
        """Of the whole table."""
        return pq.read_schema(self.parquet) if self.table is None else self.table.schema

    def take(self, rows: Any) -> pa.Table:
        """Some rows, by their numbers, with the columns that go into a result."""
        if self.table is None:
            return pq.read_table(self.parquet, columns=list(self.names), memory_map=True).take(pa.array(rows))
        return self.table.select(list(self.names)).take(pa.array(rows))


def open_source(path: Path | str, scratch: Path, *, year: float = float("nan")) -> Source:
    """Open an archive or a table for matching.

    An archive lies in the order of the sky already and is read by pieces. Of any other table the positions are held in
    memory, 32 to 56 bytes a row; those of a very long Parquet table are sorted into a file in `scratch` instead.

    Parameters
    ----------
    path : path
    scratch : Path
        A folder for temporary files, which lasts as long as the source.
    year : float, optional
        The epoch of its positions, where it does not say so itself.

    Raises
    ------
    ConfigError
        It is no table, or has no positions.
    """
    path = Path(path)
    if (path / "archive.toml").exists():
        catalogue = path / "catalogue.parquet"
        columns = PositionColumns("ra", "dec", epoch="mjd")
        return Source(
            path, FileShelf(catalogue, epoch="mjd", epoch_is_mjd=True), columns, ARCHIVE_COLUMNS, None, catalogue
        )
    if path.suffix.lower() == ".parquet" and path.is_file():
        schema = pq.read_schema(path)
        columns = find_positions(columns_of(schema), where=str(path), year=year)
        names = tuple(field.name for field in schema if not pa.types.is_nested(field.type))
        return Source(path, _shelf_of_parquet(path, columns, scratch), columns, names, None, path)
    table = read_table(path)
    columns = find_positions(columns_of(table.schema), where=str(path), year=year)
    return Source(path, ArrayShelf(positions_in(table, columns)), columns, tuple(table.column_names), table, None)


def _shelf_of_parquet(path: Path, columns: PositionColumns, scratch: Path) -> Shelf:
    named = [columns.ra, columns.dec, columns.pmra, columns.pmdec, columns.epoch]
    needed = list(dict.fromkeys(name for name in named if name))
    if pq.read_metadata(path).num_rows <= ROWS_IN_MEMORY:
        return ArrayShelf(positions_in(pq.read_table(path, columns=needed), columns))
    return _sorted_on_disk(path, columns, needed, scratch)


def _sorted_on_disk(path: Path, columns: PositionColumns, needed: Sequence[str], scratch: Path) -> Shelf:
    """The positions alone, in the order of HEALPix, sorted by DuckDB, which needs no more memory than it is given."""
    import duckdb

    loose, done = scratch / f"{path.stem}-loose.parquet", scratch / f"{path.stem}-sorted.parquet"
    row = 0
    writer = None
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=list(needed)):
            positions = positions_in(pa.Table.from_batches([batch]), columns)
            found = _numbered(positions, row)
            row += len(positions)
            writer = writer or pq.ParquetWriter(loose, found.schema)
            writer.write_table(found)
    assert writer is not None
    writer.close()
    with duckdb.connect(config={"threads": 2, "temp_directory": str(scratch)}) as database:
        database.execute(
            f"COPY (SELECT * FROM read_parquet($loose) ORDER BY healpix, row) TO '{_quoted(done)}' "
            f"(FORMAT parquet, ROW_GROUP_SIZE {_ROWS_PER_GROUP})",
            {"loose": str(loose)},
        )
    loose.unlink()
    epoch = "epoch" if "epoch" in pq.read_schema(done).names else ""
    return FileShelf(done, epoch=epoch, moving=columns.moves, numbered=True)


def _numbered(positions: Positions, first: int) -> pa.Table:
    found = {"healpix": healpix_of(positions.ra, positions.dec), "row": first + np.arange(len(positions))}
    found |= {name: value for name, value in vars(positions).items() if value is not None}
    return pa.table({name: np.ascontiguousarray(value) for name, value in found.items()})


def match_sources(
    left: Source,
    right: Source,
    radius_arcsec: float,
    *,
    keep: Keep = "nearest",
    threads: int = 2,
    progress: Progress = silent,
) -> tuple[Matches, PairsSummary]:
    """Match two sources; see `emberline.archive.crossmatch.match` for what the words mean."""
    found = match_shelves(left.shelf, right.shelf, radius_arcsec, keep=keep, threads=threads, progress=progress)
    first = np.flatnonzero(np.diff(found.left, prepend=-1))
    summary = PairsSummary(
        rows=(left.shelf.rows, right.shelf.rows),
        pairs=len(found),
        matched=first.size,
        ambiguous=int((found.neighbours[first] > 1).sum()),
        moved=max(left.shelf.fastest, right.shelf.fastest) > 0
        and bool(np.isfinite([*left.shelf.epochs, *right.shelf.epochs]).all()),
    )
    return found, summary


def write_pairs(
    left: Path | str,
    right: Path | str,
    out: Path | str,
    radius_arcsec: float,
    *,
    keep: Keep = "nearest",
    threads: int = 2,
    progress: Progress = silent,
) -> PairsSummary:
    """Match two archives or tables and write the pairs to a Parquet file, atomically.

    Columns of the first table end in ``_1``, those of the second in ``_2``; ``separation`` is in arcseconds and
    ``matches`` counts the rows of the second table within the radius. Pairs follow the first table's order.

    Raises
    ------
    ConfigError
        A table cannot be used, the radius is impossible, or `out` is no Parquet file.
    """
    out = Path(out)
    if out.suffix.lower() != ".parquet":
        raise ConfigError("pairs are written as Parquet", where=str(out), expected="a name that ends in .parquet")
    check_radius(radius_arcsec)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".emberline-", dir=out.parent) as folder:
        sources = [open_source(path, Path(folder)) for path in (left, right)]
        found, summary = match_sources(
            sources[0], sources[1], radius_arcsec, keep=keep, threads=threads, progress=progress
        )
        with _joined(sources[0], sources[1], found, Path(folder)) as batches, atomic_path(out) as temporary:
            schema = _schema(sources[0], sources[1])
            with pq.ParquetWriter(temporary, schema, compression="zstd", compression_level=1) as writer:
                for done, batch in enumerate(batches):
                    writer.write_table(pa.Table.from_batches([batch]).cast(schema))
                    progress("write", min(done * _ROWS_PER_GROUP, summary.pairs), summary.pairs)
    progress("write", summary.pairs, summary.pairs)
    return summary


def pairs_table(left: Source, right: Source, found: Matches) -> pa.Table:
    """The pairs with columns of both tables, as `write_pairs` writes them."""
    with (
        tempfile.TemporaryDirectory(prefix="emberline-") as folder,
        _joined(left, right, found, Path(folder)) as batches,
    ):
        return pa.Table.from_batches(list(batches)).cast(_schema(left, right))


@contextlib.contextmanager
def _joined(left: Source, right: Source, found: Matches, scratch: Path) -> Iterator[Any]:
    """Batches of the pairs with their columns. DuckDB joins by row number, beyond the memory if it must."""
    import duckdb

    pairs = pa.table({"l": found.left, "r": found.right, "separation": found.separation, "matches": found.neighbours})
    with duckdb.connect(config={"threads": 2, "temp_directory": str(scratch)}) as database:
        database.register("pairs", pairs)
        tables = []
        for number, source in enumerate((left, right), start=1):
            if source.parquet is not None:
                path = _quoted(source.parquet)
                tables.append(
                    f"(SELECT * RENAME (file_row_number AS _row) FROM read_parquet('{path}', file_row_number=true))"
                )
                continue
            assert source.table is not None
            database.register(f"t{number}", source.table.append_column("_row", pa.array(np.arange(len(source.table)))))
            tables.append(f"t{number}")
        names = [
            f'{side}."{_named(name)}" AS "{_named(name)}_{number}"'
            for side, number, source in (("a", 1, left), ("b", 2, right))
            for name in source.names
        ]
        query = (
            f"SELECT {', '.join(names)}, p.separation, p.matches FROM pairs p JOIN {tables[0]} a ON a._row = p.l "
            f"JOIN {tables[1]} b ON b._row = p.r ORDER BY p.l, p.separation, p.r"
        )
        yield database.sql(query).to_arrow_reader(_ROWS_PER_GROUP)


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _named(name: str) -> str:
    return name.replace('"', '""')


def _schema(left: Source, right: Source) -> pa.Schema:
    """Fields with the units and UCDs of both tables; only the first table's positions stay the main ones."""
    fields = []
    for number, source in ((1, left), (2, right)):
        for name in source.names:
            field = source.schema.field(name)
            said = {key.decode(): value.decode() for key, value in (field.metadata or {}).items() if key in _KEYS}
            if number == 2:
                said["ucd"] = said.get("ucd", "").replace(";meta.main", "")
            kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
            fields.append(pa.field(f"{name}_{number}", kind, metadata=said))
    fields.append(pa.field("separation", pa.float64(), metadata=_SEPARATION))
    return pa.schema([*fields, pa.field("matches", pa.int64(), metadata=_NEIGHBOURS)])


_KEYS = (b"unit", b"ucd", b"description")
