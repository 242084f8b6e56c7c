"""Sets of spectra that a person brings: found in the pool by name or place, and added to the open round's questions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emberline.archive.tables import PositionColumns, TableColumn, find_positions
from emberline.campaign.annotation.asked import add_asked
from emberline.campaign.annotation.events import ADDED, Question
from emberline.campaign.annotation.state import State
from emberline.campaign.predictions import load_probabilities, model_of_round
from emberline.errors import CampaignError, ConfigError
from emberline.sky import separation, unit_vectors

if TYPE_CHECKING:
    from astropy.table import Table

    from emberline.campaign.campaign import Campaign

__all__ = ["AskedSet", "Matched", "ask_about", "match_table"]

RADIUS = 3.0
"""Arcseconds within which a row of a table and a spectrum are the same source: a fibre's width."""

_REASON = 200
_MOST = 100_000
_SAME_PLACE = 0.1
_NAMES = ("identifier", "spectrum", "spectrum_id", "obs_id", "obs_publisher_did", "publisher_did", "name")


@dataclasses.dataclass(frozen=True)
class AskedSet:
    """What became of a set; each spectrum of it stands in one of these.

    Attributes
    ----------
    round : int
        To whose questions it was added.
    asked : tuple of str
        They wait for an answer now.
    before : tuple of str
        They were asked about before, or have a label already, and are not asked again.
    flagged : tuple of str
        The campaign leaves them out, for bad pixels.
    unknown : tuple of str
        They are not in the pool.
    """

    round: int
    asked: tuple[str, ...]
    before: tuple[str, ...]
    flagged: tuple[str, ...]
    unknown: tuple[str, ...]


def ask_about(campaign: Campaign, identifiers: Iterable[str], reason: str) -> AskedSet:
    """Add spectra to the open round's questions, before those that wait already.

    They are queries: learnt from, and for the estimates known like what a strategy chose. A control spectrum among them
    stays one: it keeps its place in the sample and is not learnt from, but it is noted that a person chose it, so that
    the sample goes on standing for the rest of the pool. That holds as long as the set was not chosen by what control
    labels say. Nothing is asked twice.

    Parameters
    ----------
    identifiers : iterable of str
    reason : str
        Why, for the record; annotators read it once they have answered.

    Raises
    ------
    CampaignError
        No round has asked its questions yet or is open, another run works on the campaign, or no spectrum is named.
    """
    names = tuple(dict.fromkeys(str(name).strip() for name in identifiers if str(name).strip()))
    reason = " ".join(reason.split())[:_REASON]
    if not names or not reason:
        raise CampaignError("a set needs spectra and a reason", where=str(campaign.path))
    if len(names) > _MOST:
        raise CampaignError("the set is too large to label", found=f"{len(names):,}", expected=f"at most {_MOST:,}")
    with campaign.alone():
        number = _open_round(campaign)
        sorted_out, new, noted = _sort(campaign, number, names)
        if new or noted:
            _add(campaign, number, [*new, *noted], reason)
        return sorted_out


def _open_round(campaign: Campaign) -> int:
    current = campaign.current_round()
    if current is None or "query" not in campaign.database.steps(int(current["number"])):
        raise CampaignError(
            "no round waits for answers, so nothing can be added to its questions",
            where=str(campaign.path),
            action=f"Make one first: emberline campaign round {campaign.path}",
        )
    return int(current["number"])


def _sort(campaign: Campaign, number: int, names: Sequence[str]) -> tuple[AskedSet, list[str], list[str]]:
    """What becomes of each; which are new questions; which control spectra are noted."""
    rows = dict(zip(names, campaign.pool.find(names).tolist(), strict=True))
    questions = campaign.database.questions()
    queries = {q.identifier for q in questions if q.purpose == "query"}
    control = {q.identifier for q in questions if q.purpose == "control"}
    answered = campaign.database.look(State.answered)
    start = set(campaign.start.identifiers.tolist())
    unknown = [name for name in names if rows[name] < 0]
    flagged = [name for name in names if rows[name] >= 0 and not campaign.pool.usable[rows[name]]]
    left = [name for name in names if name not in {*unknown, *flagged, *start, *queries}]
    noted = [name for name in left if name in control]
    new = [name for name in left if name not in control]
    asked = tuple(name for name in left if name not in answered)
    before = tuple(name for name in names if name not in {*unknown, *flagged, *asked})
    return AskedSet(number, asked, before, tuple(flagged), tuple(unknown)), new, noted


def _add(campaign: Campaign, number: int, names: Sequence[str], reason: str) -> None:
    """Keep what annotators will see, and then ask."""
    there = {q.identifier: q for q in campaign.database.questions(number)}
    model = model_of_round(campaign, number)
    probabilities = None if model is None else np.asarray(load_probabilities(campaign, number))
    add_asked(campaign, number, names, model, probabilities)
    first = max([ADDED, *(q.rank + 1 for q in there.values() if q.rank >= ADDED)])
    ranked = enumerate(names, first)
    campaign.database.ask([Question(number, rank, name, "query", reason) for rank, name in ranked])


# From a table to spectra of the pool ---------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Matched:
    """Which spectra of the pool the rows of a table are.

    Attributes
    ----------
    identifiers : tuple of str
        Each once, in the order of the rows.
    by : str
        How they were found, in words.
    rows : int
        Of the table.
    missed : int
        Rows for which there is no spectrum.
    by_row : tuple of str
        The spectrum of each row; empty where there is none.
    """

    identifiers: tuple[str, ...]
    by: str
    rows: int
    missed: int
    by_row: tuple[str, ...]


def match_table(campaign: Campaign, table: Table, *, radius: float = RADIUS) -> Matched:
    """Find the spectra of the pool that a table's rows are about: by a column of identifiers, else by position.

    By position a row is the nearest spectrum within `radius`; of several at one place, that with the best
    signal-to-noise ratio.

    Parameters
    ----------
    table : astropy Table
    radius : float
        Arcseconds.

    Raises
    ------
    CampaignError
        The table has neither, or none of its rows is in the pool.
    """
    if not len(table):
        raise CampaignError("the table has no rows", where=str(table.meta.get("name", "")))
    found, by = _by_name(campaign, table)
    if not any(found):
        place = _columns_of_place(table)
        if place is not None:
            found, by = (
                _by_place(campaign, table, place, radius),
                f"position, within {radius:g}″ ({place.ra} and {place.dec})",
            )
    if not any(found):
        raise CampaignError(
            "no row of the table is a spectrum of the pool",
            found=f"{len(table):,} rows with the columns {', '.join(table.colnames)[:300]}",
            expected="a column of spectrum identifiers, or right ascension and declination in degrees",
        )
    names = tuple(dict.fromkeys(name for name in found if name))
    return Matched(names, by, len(table), sum(not name for name in found), tuple(found))


def _by_name(campaign: Campaign, table: Table) -> tuple[list[str], str]:
    """The spectrum of each row by the column of which most are in the pool; empty strings where there is none."""
    best: tuple[int, list[str], str] = (0, [""] * len(table), "")
    ordered = sorted(table.colnames, key=lambda name: _NAMES.index(name.lower()) if name.lower() in _NAMES else 99)
    for column in ordered:
        texts = _texts(table[column])
        if texts is None:
            continue
        for shorten in (str, _local_part):
            names = [shorten(text) for text in texts]
            rows = campaign.pool.find(names)
            hits = int((rows >= 0).sum())
            if hits > best[0]:
                best = hits, [n if row >= 0 else "" for n, row in zip(names, rows.tolist(), strict=True)], column
    return best[1], f"the column {best[2]}"


def _texts(column: Any) -> list[str] | None:
    """The texts of a column; None for one of numbers that are no whole ones."""
    values = np.ma.filled(np.ma.asarray(column), "" if np.asarray(column).dtype.kind in "SUO" else 0)
    kind = values.dtype.kind
    if values.ndim != 1 or kind not in "SUOiu":
        return None
    texts = values.tolist()
    return [(t.decode("utf-8", "replace") if isinstance(t, bytes) else str(t)).strip() for t in texts]


def _local_part(text: str) -> str:
    """What stands behind the question mark of a publisher's dataset identifier."""
    return text.rpartition("?")[2] if text.startswith("ivo://") else text


def _columns_of_place(table: Table) -> PositionColumns | None:
    """The columns of right ascension and declination; None when there are none that can be used."""
    described = []
    for name in table.colnames:
        info = table[name].info
        ucd = str((info.meta or {}).get("ucd", ""))
        described.append(TableColumn(name, str(info.unit or ""), ucd, str(info.description or "")))
    try:
        return find_positions(described)
    except ConfigError:
        return None


def _by_place(campaign: Campaign, table: Table, place: PositionColumns, radius: float) -> list[str]:
    from scipy.spatial import cKDTree

    ra, dec = _numbers(table[place.ra]) * place.ra_scale, _numbers(table[place.dec]) * place.dec_scale
    catalogue = campaign.pool.catalogue(["ra", "dec", "snr"])
    there_ra, there_dec, snr = (np.asarray(catalogue[n].to_numpy(), np.float64) for n in ("ra", "dec", "snr"))
    known = np.flatnonzero(np.isfinite(there_ra) & np.isfinite(there_dec))
    wanted = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
    found = [""] * len(table)
    if not len(known) or not len(wanted):
        return found
    tree = cKDTree(unit_vectors(there_ra[known], there_dec[known]))
    chord = 2 * np.sin(np.radians(radius / 3600) / 2)
    near = tree.query_ball_point(unit_vectors(ra[wanted], dec[wanted]), chord)
    for row, places in zip(wanted.tolist(), near, strict=True):
        if places:
            rows = known[np.asarray(places)]
            apart = 3600 * separation(ra[row], dec[row], there_ra[rows], there_dec[rows])
            nearest = rows[apart <= apart.min() + _SAME_PLACE]
            found[row] = str(campaign.pool.identifiers[nearest[np.argmax(np.nan_to_num(snr[nearest], nan=-1.0))]])
    return found


def _numbers(column: Any) -> NDArray[np.float64]:
    """A column's values; NaN where nothing is known, or where it holds no numbers."""
    try:
        return np.asarray(np.ma.filled(np.ma.asarray(column, dtype=np.float64), np.nan), np.float64)
    except (TypeError, ValueError):
        return np.full(len(column), np.nan)


def lines_of(asked: AskedSet) -> Iterator[str]:
    """What became of a set, in words."""
    count = len(asked.asked)
    yield f"{count:,} {'spectrum was' if count == 1 else 'spectra were'} added to the questions of round {asked.round}."
    for names, one, many in (
        (asked.before, "was asked about before, or labelled", "were asked about before, or labelled"),
        (asked.flagged, "is left out by the campaign, for bad pixels", "are left out by the campaign, for bad pixels"),
        (asked.unknown, "is not in the pool", "are not in the pool"),
    ):
        if names:
            example = f" ({names[0]}{' …' if len(names) > 1 else ''})"
            yield f"{len(names):,} {one if len(names) == 1 else many}{example}."
