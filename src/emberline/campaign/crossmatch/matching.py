"""Match candidates with catalogues, one after the other; a service that fails takes nothing from the others."""

from __future__ import annotations

import dataclasses
import json
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from emberline.archive.crossmatch import check_radius
from emberline.archive.pairs import Source, match_sources, open_source
from emberline.archive.positions import ArrayShelf, Positions
from emberline.archive.tables import PositionColumns
from emberline.campaign.crossmatch.catalogues import Request, address_of, describe
from emberline.campaign.crossmatch.found import Found, columns_beside
from emberline.campaign.crossmatch.remote import match_remote
from emberline.campaign.crossmatch.summary import Asked, statuses, summarise
from emberline.errors import ConfigError, EmberlineError, MissingExtraError
from emberline.files import write_text
from emberline.progress import Progress, silent
from emberline.provenance import now, plain
from emberline.sky import offset

if TYPE_CHECKING:
    from emberline.vo.client.session import Session

__all__ = ["Crossmatch", "Options", "crossmatch", "write_summary"]

_ASIDE_DEGREES = 60 / 3600
"""Positions moved so far meet what lies there by chance: far beyond any match, near enough to be as crowded."""
_SAMPLE = 200
_SAMPLE_LOCAL = 100_000


@dataclasses.dataclass(frozen=True)
class Options:
    """How candidates are matched.

    Attributes
    ----------
    radius_arcsec : float
        Inclusive.
    types : mapping
        Target class → the types of the catalogues that mean it.
    known_by : tuple of str
        The catalogues that make an object known; SIMBAD where it is asked, otherwise all.
    chance : bool
        Estimate how many matches are by chance.
    max_age_days : float
        Kept blocks that are older are asked again.
    """

    radius_arcsec: float = 3.0
    types: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    known_by: tuple[str, ...] = ()
    chance: bool = True
    max_age_days: float = 7.0


@dataclasses.dataclass(frozen=True)
class Crossmatch:
    """The outcome: the candidates with columns beside them, and the numbers.

    Attributes
    ----------
    table : pyarrow.Table
        The candidates' own columns, then those of each catalogue that answered, then ``crossmatch``, which says
        ``known target``, ``known``, ``new`` or ``not known``.
    summary : dict
        What JSON can hold; ``failed`` names the catalogues that failed.
    """

    table: pa.Table
    summary: dict[str, Any]


def crossmatch(
    table: pa.Table,
    positions: Positions,
    requests: Sequence[Request],
    options: Options | None = None,
    *,
    session: Callable[[], Session] | None = None,
    folder: Path | None = None,
    progress: Progress = silent,
) -> Crossmatch:
    """Put what catalogues know beside candidates.

    Parameters
    ----------
    table : pyarrow.Table
        One row a candidate.
    positions : Positions
        Of its rows, with their epochs where these are known.
    requests : sequence of Request
        See `parse_requests`.
    options : Options
    session : function, optional
        Opens the session when a service is to be asked.
    folder : Path, optional
        Where finished blocks are kept, so that a run that was killed goes on.
    progress : Progress

    Raises
    ------
    ConfigError
        The radius is impossible, or a catalogue is none.
    """
    options = options or Options()
    check_radius(options.radius_arcsec)
    _check_judges(options.known_by, requests)
    opened: list[Session] = []

    def talk() -> Session:
        if not opened:
            if session is None:
                from emberline.vo.client import open_session

                opened.append(open_session())
            else:
                opened.append(session())
        return opened[0]

    with tempfile.TemporaryDirectory(prefix="emberline-") as scratch:
        work = _Work(positions, options, talk, folder, Path(scratch), progress)
        files = {item.name: open_source(item.what, work.scratch, year=item.year) for item in requests if item.local}
        asked = [work.local(item, files[item.name]) if item.local else work.remote(item) for item in requests]
    placed = np.isfinite(positions.ra) & (np.abs(positions.dec) <= 90)
    return _outcome(table, placed, asked, options)


def _check_judges(known_by: Sequence[str], requests: Sequence[Request]) -> None:
    names = [request.name for request in requests]
    strange = [name for name in known_by if name not in names]
    if strange:
        raise ConfigError(
            "is none of the catalogues, so nothing can be known by it", where=strange[0], expected=", ".join(names)
        )


def _outcome(table: pa.Table, placed: NDArray[np.bool_], asked: list[Asked], options: Options) -> Crossmatch:
    fields, columns = list(table.schema), list(table.columns)
    for item in asked:
        if item.found is not None:
            more = columns_beside(item.name, item.found, options.radius_arcsec)
            fields += more[0]
            columns += more[1]
    status = pa.array(statuses(placed, asked, options.types, options.known_by))
    said = {"ucd": "meta.code.class", "description": "Whether it is known, known as a target, or new"}
    fields.append(pa.field("crossmatch", status.type, metadata=said))
    columns.append(status)
    last = {
        field.name: number for number, field in enumerate(fields)
    }  # an earlier cross-match of the table is replaced
    schema = pa.schema([fields[number] for number in last.values()])
    objects = table["object"].to_pylist() if "object" in table.column_names else None
    summary = summarise(placed, asked, options.radius_arcsec, options.types, options.known_by, objects)
    summary = {"made": now(), **summary}
    return Crossmatch(pa.table([columns[number] for number in last.values()], schema=schema), plain(summary))


@dataclasses.dataclass(frozen=True)
class _Work:
    """One run."""

    positions: Positions
    options: Options
    talk: Callable[[], Session]
    folder: Path | None
    scratch: Path
    progress: Progress

    def remote(self, request: Request) -> Asked:
        """Ask a service; whatever goes wrong there is its own failure."""
        address, table = request.what.partition("#")[0], ""
        try:
            session = self.talk()
            address = address_of(session.config.services, request)
            described = describe(session, session.config.services, request)
            address, table = described.url, described.table

            def ask(positions: Positions, step: str) -> Found:
                return match_remote(
                    session,
                    described,
                    positions,
                    self.options.radius_arcsec,
                    folder=self.folder,
                    max_age_days=self.options.max_age_days,
                    step=step,
                    progress=self.progress,
                )

            found = ask(self.positions, request.name)
            chance = self._by_chance(lambda p: ask(p, f"{request.name} aside"), _SAMPLE)
        except MissingExtraError:
            raise
        except EmberlineError as error:
            asked = getattr(error, "url", "")
            message = str(error).replace(asked, address) if asked else str(error)  # without the whole query
            return Asked(request.name, request.kind, address, table, message=message)
        return Asked(request.name, request.kind, address, table, found, chance=chance)

    def local(self, request: Request, source: Source) -> Asked:
        """Match with a file or an archive."""

        def look(positions: Positions) -> Found:
            return _match_local(positions, source, self.options.radius_arcsec, request.name, self.progress)

        found = look(self.positions)
        return Asked(request.name, request.kind, request.what, "", found, chance=self._by_chance(look, _SAMPLE_LOCAL))

    def _by_chance(self, look: Callable[[Positions], Found], most: int) -> tuple[int, int]:
        """How many of a sample of the positions, moved aside in turn to four sides, meet something."""
        if not self.options.chance:
            return 0, 0
        placed = np.flatnonzero(np.isfinite(self.positions.ra) & (np.abs(self.positions.dec) <= 90))
        rows = np.sort(np.random.default_rng(0).permutation(placed)[:most])
        if not rows.size:
            return 0, 0
        reach = max(_ASIDE_DEGREES, 4 * self.options.radius_arcsec / 3600)
        ra, dec = offset(self.positions.ra[rows], self.positions.dec[rows], 90.0 * (np.arange(rows.size) % 4), reach)
        epoch = None if self.positions.epoch is None else self.positions.epoch[rows]
        return int(look(Positions(ra, dec, epoch)).is_there.sum()), rows.size


def _match_local(positions: Positions, source: Source, radius: float, name: str, progress: Progress) -> Found:
    def told(step: str, done: int, total: int | None) -> None:
        progress(name, done, total)

    ours = Source(Path(), ArrayShelf(positions), PositionColumns("ra", "dec"), (), None, None)
    matches, summary = match_sources(ours, source, radius, progress=told)
    size = len(positions)
    place = np.full(size, -1, np.int64)
    place[matches.left] = np.arange(len(matches))
    apart = np.full(size, np.nan)
    apart[matches.left] = matches.separation
    counts = np.zeros(size, np.int64)
    counts[matches.left] = matches.neighbours
    return Found(place, apart, counts, source.take(matches.right), summary.moved)


def write_summary(summary: Mapping[str, Any], path: Path) -> None:
    """Write the numbers as JSON, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(summary, indent=2, ensure_ascii=False) + "\n")


def epochs_or(given: NDArray[np.float64] | None, year: float, size: int) -> NDArray[np.float64] | None:
    """Epochs of candidates, with the year that the user gives where they say none; None when nothing is known."""
    if given is None and not math.isfinite(year):
        return None
    epochs = np.full(size, np.nan) if given is None else given
    return np.where(np.isfinite(epochs), epochs, year)
