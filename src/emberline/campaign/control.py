"""Control samples on disk: who could have been drawn with what chance, whatever becomes of the pool."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from emberline.campaign.annotation.events import Event
from emberline.campaign.annotation.state import State
from emberline.campaign.config import ANSWERS
from emberline.campaign.pool import Pool
from emberline.campaign.predictions import round_folder
from emberline.errors import CampaignError
from emberline.files import atomic_path
from emberline.learn.answers import Twice
from emberline.learn.control import ControlDraw

if TYPE_CHECKING:
    from emberline.campaign.campaign import Campaign

__all__ = ["control_draws", "revised_answers", "save_draw", "twice_answered"]


def save_draw(campaign: Campaign, number: int, draw: ControlDraw) -> None:
    """Keep the strata of a round's control sample, and once for each pool the identifiers that they belong to."""
    names = _names_file(campaign.path, campaign.pool)
    if not names.exists():
        names.parent.mkdir(exist_ok=True)
        with atomic_path(names) as temporary:
            pq.write_table(pa.table({"identifier": campaign.pool.identifiers.tolist()}), temporary, compression="zstd")
    folder = round_folder(campaign.path, number)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / "control.npz") as temporary, open(temporary, "wb") as stream:
        np.savez_compressed(
            stream, assignment=draw.assignment, rows=draw.rows, pool=np.array(campaign.pool.fingerprint)
        )


def revised_answers(state: State) -> dict[str, str]:
    """Control spectra whose answer was changed once the network's opinion had been seen → the answer before that.

    An estimate that took the second answer would judge the network by answers that it had a say in.
    """
    found = {}
    for name, stacks in state.labels_by.items():
        if state.adjudication(name) is None and len(state.opinions(name)) == 1:
            [(who, holding)] = state.opinions(name).items()
            blind = [state.events[n] for n in stacks[who] if n < holding.id and not _revealed(state.events[n])]
            if holding.purpose == "control" and _revealed(holding) and blind and blind[-1].answer != holding.answer:
                found[name] = blind[-1].answer or ""
    return found


def _revealed(event: Event) -> bool:
    return bool(event.shown.get("revealed"))


def twice_answered(state: State, targets: Collection[str]) -> Twice:
    """What was said to spectra that two annotators labelled, or one twice, unmarked; for chances of wrong answers.

    Of several annotators' answers the first two count, and a repeat only where nobody else has answered. ``not sure``
    and ``bad`` are no answers.
    """
    pairs = []
    for name in state.labels_by:
        answers = [event.answer or "" for event in state.opinions(name).values() if event.answer not in ANSWERS]
        if len(answers) > 1:
            pairs.append((answers[0] in targets, answers[1] in targets))
    for who, tasks in state.repeats_by.items():
        for stack in tasks.values():
            second = state.holding(stack)
            if second is None or len(state.opinions(second.identifier)) > 1:
                continue
            first = state.holding([n for n in state.labels_by.get(second.identifier, {}).get(who, []) if n < stack[0]])
            if first is not None and not {first.answer, second.answer} & set(ANSWERS):
                pairs.append((first.answer in targets, second.answer in targets))
    return Twice.of(pairs)


def control_draws(campaign: Campaign) -> list[ControlDraw]:
    """All control samples whose questions have been asked, on the rows of the pool as it is now."""
    asked = {q.round for q in campaign.database.questions() if q.purpose == "control"}
    return [_load(campaign, number) for number in sorted(asked)]


def _load(campaign: Campaign, number: int) -> ControlDraw:
    file = round_folder(campaign.path, number) / "control.npz"
    try:
        with np.load(file, allow_pickle=False) as stored:
            assignment, rows, fingerprint = stored["assignment"], stored["rows"], str(stored["pool"])
    except (OSError, ValueError, KeyError) as error:
        raise CampaignError(f"a control sample cannot be read: {error}", where=str(file)) from error
    if fingerprint == campaign.pool.fingerprint:
        return ControlDraw(assignment, rows)
    return _moved(campaign, assignment, rows, campaign.path / "pools" / f"{fingerprint}.parquet")


def _names_file(path: Path, pool: Pool) -> Path:
    return path / "pools" / f"{pool.fingerprint}.parquet"


def _moved(campaign: Campaign, assignment: NDArray[np.int8], rows: NDArray[np.int64], names: Path) -> ControlDraw:
    """A draw from an earlier pool, on today's rows: spectra that came later could not have been drawn."""
    old = pq.read_table(names)["identifier"].to_numpy(zero_copy_only=False).astype(np.str_)
    order = np.argsort(old, kind="stable")
    places = order[np.minimum(np.searchsorted(old, campaign.pool.identifiers, sorter=order), len(old) - 1)]
    there = old[places] == campaign.pool.identifiers
    moved = np.where(there, assignment[places], -1).astype(np.int8)
    row_of = {int(places[row]): int(row) for row in np.flatnonzero(there & np.isin(places, rows))}
    # In the order of the draw: the first few of it are a smaller sample of the same kind.
    return ControlDraw(moved, np.array([row_of[row] for row in rows.tolist() if row in row_of], np.int64))
