"""The catalogue: one row per spectrum, sorted by HEALPix, with spectra within 1.5″ grouped into objects."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from emberline.archive.objects import (
    HEALPIX_ORDER,
    OBJECT_RADIUS_ARCSEC,
    group_positions,
    healpix_of,
    leaders_of,
    position_name,
    position_names,
)
from emberline.archive.schema import CATALOGUE_SCHEMA
from emberline.engine.memory import is_want_of_memory
from emberline.errors import ArchiveError
from emberline.files import atomic_path

__all__ = [
    "HEALPIX_ORDER",
    "OBJECT_RADIUS_ARCSEC",
    "ROWS_PER_GROUP",
    "catalogue_of",
    "catalogue_writer",
    "finished_rows",
    "group_positions",
    "healpix_of",
    "position_name",
    "read_catalogue",
    "rows_at",
    "write_catalogue",
]

ROWS_PER_GROUP = 65_536
_PAGE_BYTES = 65_536
_OF_ITS_OWN = {"identifier", "object", "name", "ra", "dec", "healpix", "row", "snr", "redshift", "sha256"}
"""Columns in which hardly a value comes twice: a dictionary of them is in the way."""
_PLAIN = {"ra", "dec", "healpix", "row", "snr", "redshift", "mjd", "survey_class", "survey_subclass"}
_LIGHT = {"identifier", "object"}
"""What conditions ask for is not compressed, and what they give but lightly: half of a query was decompression."""


def finished_rows(
    rows: pa.Table, at: NDArray[np.int64], ra: NDArray[np.float64], dec: NDArray[np.float64], leader: NDArray[np.int64]
) -> pa.Table:
    """Some rows with all columns of the catalogue.

    Parameters
    ----------
    rows : pyarrow.Table
        All columns but `object` and `healpix` (which are replaced when there).
    at : ndarray of int64, shape (len(rows),)
        Where the rows stand in the order of ingestion.
    ra, dec, leader : ndarray, shape (n,)
        Positions of the whole archive in that order, and the first member of each one's object, see `leaders_of`.
    """
    own = leader[at]
    lead = own[own >= 0]
    named = position_names(ra[lead], dec[lead])
    objects = named if len(lead) == len(at) else _with_survey_names(rows, own, named)
    new = {"object": objects, "healpix": pa.array(healpix_of(ra[at], dec[at]))}
    columns = [new[name] if name in new else rows[name] for name in CATALOGUE_SCHEMA.names]
    return pa.Table.from_arrays(columns, names=CATALOGUE_SCHEMA.names).cast(CATALOGUE_SCHEMA)


def _with_survey_names(rows: pa.Table, leader: NDArray[np.int64], named: pa.Array) -> pa.Array:
    """Names of objects where some have no position."""
    survey, name, identifier = (rows[column].to_pylist() for column in ("survey", "name", "identifier"))
    by_position = iter(named.to_pylist())
    return pa.array(
        [
            next(by_position) if placed else f"{survey[i]} {name[i]}".strip() if name[i] else identifier[i]
            for i, placed in enumerate(leader >= 0)
        ],
        pa.string(),
    )


def catalogue_of(rows: pa.Table) -> pa.Table:
    """Build the catalogue: group objects, find HEALPix pixels, sort.

    Parameters
    ----------
    rows : pyarrow.Table
        All columns of the catalogue but `object` and `healpix` (which are replaced when there).

    Returns
    -------
    pyarrow.Table
        With `CATALOGUE_SCHEMA`, sorted by `healpix`, then `identifier`. An object is named by the position of the
        member that was ingested first (or the survey's name, or the identifier, where no position is known).
    """
    rows = rows.sort_by([("part", "ascending"), ("row", "ascending")])
    ra, dec = (rows[name].to_numpy(zero_copy_only=False).astype(np.float64) for name in ("ra", "dec"))
    table = finished_rows(rows, np.arange(len(rows)), ra, dec, leaders_of(ra, dec))
    return table.sort_by([("healpix", "ascending"), ("identifier", "ascending")])


def write_catalogue(path: Path, table: pa.Table) -> None:
    """Write a catalogue, atomically: readers see the old one or the new one."""
    with atomic_path(path) as temporary, contextlib.closing(catalogue_writer(temporary, table.schema)) as writer:
        writer.write_table(table, row_group_size=ROWS_PER_GROUP)


def catalogue_writer(path: Path, schema: pa.Schema = CATALOGUE_SCHEMA) -> pq.ParquetWriter:
    """Open a new catalogue file, to which sorted rows are written, `ROWS_PER_GROUP` at a time."""
    packed = {name: "NONE" if name in _PLAIN else "LZ4" if name in _LIGHT else "ZSTD" for name in schema.names}
    return pq.ParquetWriter(
        path,
        schema,
        compression=packed,
        compression_level={name: 1 for name, codec in packed.items() if codec == "ZSTD"},
        use_dictionary=[name for name in schema.names if name not in _OF_ITS_OWN],
        data_page_size=_PAGE_BYTES,
    )


def read_catalogue(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a catalogue or another table of the archive.

    Raises
    ------
    ArchiveError
        The file is missing or damaged, or a column is not there.
    """
    try:
        file = pq.ParquetFile(path)
        unknown = [name for name in columns or () if name not in file.schema_arrow.names]
        if unknown:
            raise ArchiveError(
                "there is no such column",
                where=str(path),
                found=unknown[0],
                expected=f"one of {', '.join(file.schema_arrow.names)}",
            )
        return file.read(columns=None if columns is None else list(columns)).combine_chunks()
    except FileNotFoundError as error:
        raise ArchiveError(
            "a file of the archive is missing", where=str(path), action="Restore it from a copy."
        ) from error
    except (OSError, pa.ArrowException) as error:
        if is_want_of_memory(error):
            raise
        raise ArchiveError(
            f"a file of the archive is damaged: {str(error).splitlines()[0]}",
            where=str(path),
            action="Restore it from a copy.",
        ) from error


def rows_at(table: pa.Table, column: str, wanted: Sequence[str]) -> NDArray[np.int64]:
    """Where each of `wanted` stands in a text column of `table`; -1 where it is not."""
    needles = pa.array(list(wanted), pa.string())
    hits = np.flatnonzero(pc.is_in(table[column], value_set=needles).to_numpy(zero_copy_only=False))
    found = pc.index_in(needles, value_set=table[column].take(pa.array(hits)).combine_chunks())
    local = found.fill_null(-1).to_numpy(zero_copy_only=False)
    rows = np.full(len(needles), -1, np.int64)
    rows[local >= 0] = hits[local[local >= 0]]
    return rows
