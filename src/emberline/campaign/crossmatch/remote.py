"""Match positions with a table behind TAP: by upload in blocks, each kept on disk as soon as it is done."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from emberline.archive.crossmatch import separations
from emberline.archive.positions import Positions
from emberline.archive.tables import arrow_table, columns_of, positions_in
from emberline.campaign.crossmatch.catalogues import RemoteTable, columns_needed, quoted_column
from emberline.campaign.crossmatch.found import Found
from emberline.errors import EmberlineError
from emberline.files import atomic_path
from emberline.progress import Progress, silent
from emberline.provenance import hash_of

if TYPE_CHECKING:
    from emberline.vo.client.session import Session
    from emberline.vo.client.tap import TapLimits

__all__ = ["BLOCK_ROWS", "match_remote"]

BLOCK_ROWS = 500
"""Positions that are sent together: services allow from a thousand on."""
_FASTEST = 10_500.0
"""mas a year: no star moves faster on the sky (Barnard's star: 10,393)."""
_GAIA_YEARS, _OTHER_YEARS = (2015.0, 2017.5), (1950.0, 2025.0)
"""Between which years the positions hold, where a column will say it: how far is looked, no more."""
_TRIES = 2
_POINT = "POINT('ICRS', {ra}, {dec})"


@dataclasses.dataclass(frozen=True)
class _Job:
    """What is the same for all blocks of one match."""

    session: Session
    table: RemoteTable
    positions: Positions
    radius: float
    folder: Path | None
    max_age: float
    most_rows: int | None


def match_remote(
    session: Session,
    table: RemoteTable,
    positions: Positions,
    radius_arcsec: float,
    *,
    folder: Path | None = None,
    max_age_days: float = math.inf,
    block_rows: int = BLOCK_ROWS,
    step: str = "match",
    progress: Progress = silent,
) -> Found:
    """The nearest row of a remote table for each position, and how many are within the radius.

    The service looks as far as the fastest star can have moved between the epochs, lets through what can be a match by
    its own proper motion, and what it sends is then compared at the epoch of each position.

    Parameters
    ----------
    session : Session
    table : RemoteTable
    positions : Positions
        Those that are not finite match nothing.
    radius_arcsec : float
    folder : Path, optional
        Finished blocks are kept here, by a hash of what was asked, and not asked again: a run that was killed goes on.
    max_age_days : float
        Blocks that are older are asked again.
    block_rows : int
        Positions that are sent together, unless the service takes fewer.

    Raises
    ------
    ServiceError
        A block failed, twice; those that were done are kept.
    """
    limits = _limits(session, table)
    block_rows = min(block_rows, limits.upload_rows or block_rows)
    job = _Job(session, table, positions, radius_arcsec, folder, max_age_days, limits.output_rows)
    placed = np.flatnonzero(np.isfinite(positions.ra) & (np.abs(positions.dec) <= 90.0))
    parts: list[pa.Table] = []
    progress(step, 0, placed.size)
    for start in range(0, placed.size, block_rows):
        parts.append(_block(job, placed[start : start + block_rows]))
        progress(step, min(start + block_rows, placed.size), placed.size)
    return _found(parts, len(positions))


def _limits(session: Session, table: RemoteTable) -> TapLimits:
    """How many positions the service takes at a time, and how many rows it gives at most.

    Raises
    ------
    ServiceError
        It takes no positions at all.
    """
    from emberline.vo.client import tap
    from emberline.vo.client.errors import ServiceError

    try:
        limits = tap.limits(session, table.url)
    except ServiceError:  # what was asked before is on the disk all the same, and what was not will say it again
        return tap.TapLimits()
    if limits.uploads is False:
        raise ServiceError("the service takes no uploads of positions", url=table.url)
    return limits


def _found(parts: list[pa.Table], size: int) -> Found:
    if not parts:
        return Found.nothing(size)
    whole = pa.concat_tables(parts, promote_options="permissive")
    rows = whole["em_row"].to_numpy()
    moved = any(part.schema.metadata and part.schema.metadata.get(b"moved") == b"yes" for part in parts)
    place = np.full(size, -1, np.int64)
    place[rows] = np.arange(len(rows))
    return Found(
        place=place,
        separation=_spread(size, rows, whole["em_sep"].to_numpy()),
        matches=_spread(size, rows, whole["em_matches"].to_numpy()).astype(np.int64),
        columns=whole.drop_columns(["em_row", "em_sep", "em_matches"]),
        moved=moved,
    )


def _spread(size: int, rows: NDArray[np.int64], values: NDArray[Any]) -> NDArray[Any]:
    whole = np.full(size, np.nan if values.dtype.kind == "f" else 0, values.dtype)
    whole[rows] = values
    return whole


def _block(job: _Job, rows: NDArray[np.int64]) -> pa.Table:
    """One block, from the disk if it is there and young enough; with the rows' numbers in the whole table."""
    query = adql(job.table, job.radius, _years(job, rows))
    place = None
    if job.folder is not None:
        sent = [column[rows].tolist() for column in (job.positions.ra, job.positions.dec)]
        epoch = None if job.positions.epoch is None else job.positions.epoch[rows].tolist()
        asked = [job.table.url, query, job.radius, repr(job.table.positions), repr([*sent, epoch])]
        place = job.folder / f"{hash_of(asked)}.parquet"
        kept = _read_kept(place, job.max_age)
        if kept is not None:
            return kept.set_column(0, "em_row", pa.array(rows[kept["em_row"].to_numpy()]))
    found = _ask(job, rows, query)
    if place is not None:
        place.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(place) as temporary:
            pq.write_table(found, temporary)
    return found.set_column(0, "em_row", pa.array(rows[found["em_row"].to_numpy()]))


def _read_kept(path: Path, max_age_days: float) -> pa.Table | None:
    import time

    try:
        if time.time() - path.stat().st_mtime > max_age_days * 86_400:
            return None
        return pq.read_table(path)
    except (OSError, pa.ArrowException):
        return None


def _years(job: _Job, rows: NDArray[np.int64]) -> float:
    """The longest time that a star can have moved, for the block; 0 when motions are not known or no epoch is."""
    epoch = job.positions.epoch
    if not job.table.positions.moves or epoch is None:
        return 0.0
    known = epoch[rows][np.isfinite(epoch[rows])]
    if not known.size:
        return 0.0
    year = job.table.positions.year
    there = _GAIA_YEARS if job.table.positions.epoch == "ref_epoch" else _OTHER_YEARS
    there = (year, year) if math.isfinite(year) else there
    return float(math.ceil(max(abs(known.max() - there[0]), abs(there[1] - known.min())) * 10) / 10)


def adql(table: RemoteTable, radius_arcsec: float, years: float) -> str:
    """The query for one block: rows within the radius, or as far beyond it as their own motion takes them."""
    at = table.positions
    names = {name: f"t.{quoted_column(name)}" for name in columns_needed(table)}
    there, here = _POINT.format(ra=names[at.ra], dec=names[at.dec]), _POINT.format(ra="u.em_ra", dec="u.em_dec")
    reach = (radius_arcsec + years * _FASTEST / 1000) / 3600
    query = (
        f"SELECT u.em_row, {', '.join(names.values())} FROM TAP_UPLOAD.places AS u "
        f"JOIN {table.table} AS t ON 1 = CONTAINS({there}, CIRCLE('ICRS', u.em_ra, u.em_dec, {reach:.9f}))"
    )
    if not years:
        return query
    apart, near = f"DISTANCE({there}, {here})", f"{radius_arcsec / 3600:.9f}"
    speed = f"SQRT({names[at.pmra]} * {names[at.pmra]} + {names[at.pmdec]} * {names[at.pmdec]})"
    per_degree = years * at.pm_scale / 3.6e6
    return f"{query} WHERE {apart} <= {near} OR {apart} <= {near} + {speed} * {per_degree:.12f}"


def _ask(job: _Job, rows: NDArray[np.int64], query: str) -> pa.Table:
    """Ask for a block, again once if it fails; in halves when the answer was cut off. Rows count within the block."""
    answer = _answer(job, rows, query)
    if answer.meta.get("overflow"):
        if len(rows) == 1:
            raise EmberlineError(
                "the service sends no more rows than it has sent for a single position",
                where=job.table.url,
                found=f"{len(answer):,} rows",
                action="Choose a smaller radius.",
            )
        half = len(rows) // 2
        first, second = _ask(job, rows[:half], query), _ask(job, rows[half:], query)
        second = second.set_column(0, "em_row", pa.array(second["em_row"].to_numpy() + half))
        return pa.concat_tables([first, second], promote_options="permissive").replace_schema_metadata(
            first.schema.metadata
        )
    return _nearest(job, rows, arrow_table(answer))


def _answer(job: _Job, rows: NDArray[np.int64], query: str) -> Any:
    from astropy.table import Table

    from emberline.vo.client import tap
    from emberline.vo.client.errors import OfflineError, RefusedAddressError, ServiceDownError, ServiceError

    places = Table()
    places["em_row"] = np.arange(len(rows), dtype=np.int32)
    places["em_ra"], places["em_dec"] = job.positions.ra[rows] % 360.0, job.positions.dec[rows]
    for left in reversed(range(_TRIES)):
        try:
            return tap.query(job.session, job.table.url, query, uploads={"places": places}, limit=job.most_rows)
        except (OfflineError, RefusedAddressError, ServiceDownError):
            raise
        except ServiceError:
            if not left:
                raise
    raise AssertionError


def _nearest(job: _Job, rows: NDArray[np.int64], answer: pa.Table) -> pa.Table:
    """Of what a service sent the nearest within the radius at the position's own epoch, with their number."""
    table = job.table
    by_name = {name.lower(): name for name in answer.column_names}
    try:
        names = {name: by_name[name.lower()] for name in columns_needed(table)}
        sent = answer[by_name["em_row"]].cast(pa.int64()).to_numpy()
    except KeyError as error:
        raise EmberlineError(f"the answer has no column {error}", where=table.url) from None
    answer = answer.select(list(names.values())).rename_columns(list(names))
    theirs = positions_in(answer, table.positions)
    ours = _rows_of(job.positions, rows)
    apart = separations(ours, sent, theirs, np.arange(len(sent)))
    near = np.flatnonzero(apart <= job.radius)
    order = near[np.lexsort((near, apart[near], sent[near]))]
    which, start, counts = np.unique(sent[order], return_index=True, return_counts=True)
    best = order[start]
    found = answer.take(pa.array(best)).select(list(table.take))
    fields = [pa.field(f.name, f.type, metadata=dict(_said(f))) for f in found.schema]
    return pa.table(
        [pa.array(which), pa.array(apart[best]), pa.array(counts.astype(np.int64)), *found.columns],
        schema=pa.schema(
            [("em_row", pa.int64()), ("em_sep", pa.float64()), ("em_matches", pa.int64()), *fields],
            metadata={"moved": "yes" if _moved(ours, theirs) else "no"},
        ),
    )


def _said(field: pa.Field) -> Iterator[tuple[str, str]]:
    (column,) = columns_of(pa.schema([field]))
    yield from ((key, value) for key, value in vars(column).items() if key != "name" and value)


def _rows_of(positions: Positions, rows: NDArray[np.int64]) -> Positions:
    return Positions(**{name: value[rows] for name, value in vars(positions).items() if value is not None})


def _moved(ours: Positions, theirs: Positions) -> bool:
    known = ours.epoch is not None and bool(np.isfinite(ours.epoch).any())
    return known and theirs.epoch is not None and theirs.pmra is not None
