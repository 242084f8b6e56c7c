"""The catalogue: one row per spectrum, sorted by HEALPix, with spectra within 1.5″ grouped into objects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from emberline.archive.schema import CATALOGUE_SCHEMA
from emberline.errors import ArchiveError
from emberline.files import atomic_path
from emberline.sky import chord_of_angle, unit_vectors

__all__ = [
    "HEALPIX_ORDER",
    "OBJECT_RADIUS_ARCSEC",
    "catalogue_of",
    "group_positions",
    "healpix_of",
    "position_name",
    "read_catalogue",
    "rows_at",
    "write_catalogue",
]

HEALPIX_ORDER = 29
OBJECT_RADIUS_ARCSEC = 1.5
"""Spectra nearer than this show the same object; chains of such pairs are one object."""

_ROWS_PER_GROUP = 65_536


def healpix_of(ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.int64]:
    """HEALPix pixels (nested, order 29) of positions in ICRS degrees; -1 where there is none."""
    from astropy import units
    from astropy.coordinates import Latitude, Longitude
    from cdshealpix.nested import lonlat_to_healpix

    pixels = np.full(ra.shape, -1, np.int64)
    known = _placed(ra, dec)
    if known.any():
        longitude, latitude = Longitude(ra[known], units.deg), Latitude(dec[known], units.deg)
        pixels[known] = np.asarray(lonlat_to_healpix(longitude, latitude, HEALPIX_ORDER)).astype(np.int64)
    return pixels


def _placed(ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which rows have a position; files use NaN and impossible numbers for "unknown"."""
    return np.asarray(np.isfinite(ra) & (np.abs(dec) <= 90.0))


def group_positions(
    ra: NDArray[np.float64], dec: NDArray[np.float64], radius_arcsec: float = OBJECT_RADIUS_ARCSEC
) -> NDArray[np.int64]:
    """Connect positions nearer than `radius_arcsec`; everything that hangs together gets one number.

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
    from scipy.spatial import cKDTree

    if not ra.size:
        return np.zeros(0, np.int64)
    places, of_row = np.unique(unit_vectors(ra, dec), axis=0, return_inverse=True)
    chord = float(chord_of_angle(radius_arcsec / 3600.0))
    pairs = cKDTree(places).query_pairs(chord, output_type="ndarray")
    links = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(len(places), len(places)))
    _, component = connected_components(links, directed=False)
    _, first, inverse = np.unique(component[of_row.ravel()], return_index=True, return_inverse=True)
    return first[inverse].astype(np.int64)


def position_name(ra: float, dec: float) -> str:
    """A name after the IAU's recommendation, ``JHHMMSS.ss+DDMMSS.s``: ICRS, truncated, never rounded."""
    seconds = int((ra % 360.0) / 15.0 * 360_000 + 1e-6) % 8_640_000
    arcseconds = int(abs(dec) * 36_000 + 1e-6)
    hours, rest = divmod(seconds, 360_000)
    degrees, arc_rest = divmod(arcseconds, 36_000)
    return (
        f"J{hours:02d}{rest // 6000:02d}{rest % 6000 // 100:02d}.{rest % 100:02d}"
        f"{'-' if dec < 0 else '+'}{degrees:02d}{arc_rest // 600:02d}{arc_rest % 600 // 10:02d}.{arc_rest % 10}"
    )


def _objects(table: pa.Table) -> pa.Array:
    """The object of each row; rows in the order of ingestion, so that names last when spectra are appended."""
    ra = table["ra"].to_numpy(zero_copy_only=False)
    dec = table["dec"].to_numpy(zero_copy_only=False)
    placed = np.flatnonzero(_placed(ra, dec))
    names = np.array(
        [
            f"{survey} {name}".strip() if name else identifier
            for survey, name, identifier in zip(
                table["survey"].to_pylist(), table["name"].to_pylist(), table["identifier"].to_pylist(), strict=True
            )
        ]
        if placed.size < len(table)
        else [""] * len(table),
        dtype=object,
    )
    first = group_positions(ra[placed], dec[placed])
    leaders, inverse = np.unique(first, return_inverse=True)
    labels = [position_name(float(ra[row]), float(dec[row])) for row in placed[leaders]]
    names[placed] = np.array(labels, dtype=object)[inverse] if labels else []
    return pa.array(names, pa.string())


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
    new = {"object": _objects(rows), "healpix": pa.array(healpix_of(ra, dec))}
    columns = [new[name] if name in new else rows[name] for name in CATALOGUE_SCHEMA.names]
    table = pa.Table.from_arrays(columns, names=CATALOGUE_SCHEMA.names).cast(CATALOGUE_SCHEMA)
    return table.sort_by([("healpix", "ascending"), ("identifier", "ascending")])


def write_catalogue(path: Path, table: pa.Table) -> None:
    """Write a catalogue, atomically: readers see the old one or the new one."""
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, row_group_size=_ROWS_PER_GROUP, compression="ZSTD", compression_level=1)


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
