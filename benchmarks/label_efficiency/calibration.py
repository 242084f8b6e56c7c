"""Are the probabilities true of what is left of the pool? Campaigns with control samples, before and after."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from benchmarks.label_efficiency.contestants import contestant
from benchmarks.label_efficiency.interface import Contestant, Known, Rows
from benchmarks.label_efficiency.pools import Pool, cached
from benchmarks.label_efficiency.pools import load as load_pool
from benchmarks.label_efficiency.units import Oracle, Unit, _start
from numpy.typing import NDArray

from emberline.files import atomic_path
from emberline.learn.control import draw_control

__all__ = ["Trace", "trace"]

_CONTROL_STREAM = 79


@dataclasses.dataclass(frozen=True, eq=False)
class Trace:
    """All that a campaign's networks said and its oracle answered; R networks have read the pool of N.

    Attributes
    ----------
    truth : (N,) int8
        As in `Pool`.
    scores : (R, N) float32
        The probability of being a target by each network.
    asked : (N,) int8
        The round in which a strategy chose the row; -1 what the campaign started from, R what was never chosen.
    strata : (R, N) int8
        The strata of each round's control sample.
    drawn : (R, m) int64
        Its rows.
    """

    truth: NDArray[np.int8]
    scores: NDArray[np.float32]
    asked: NDArray[np.int8]
    strata: NDArray[np.int8]
    drawn: NDArray[np.int64]

    @property
    def rounds(self) -> int:
        return len(self.scores)


def trace(unit: Unit, control: int, folder: Path | None = None) -> Trace:
    """A campaign of `unit.rounds` rounds of queries and a closing one; kept, so that it is run once."""
    folder = cached() if folder is None else folder
    name = f"trace-{unit.pool}-{unit.size}-{unit.contestant}-{unit.batch}x{unit.rounds}-{control}-{unit.seed}"
    file = folder / f"{name}.npz"
    if not file.is_file():
        found = _search(unit, control, load_pool(unit.pool, unit.size, unit.seed, folder))
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(file) as temporary, open(temporary, "wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **vars(found))
        return found
    with np.load(file, allow_pickle=False) as stored:
        return Trace(*(stored[field.name] for field in dataclasses.fields(Trace)))


def _search(unit: Unit, control: int, pool: Pool) -> Trace:
    oracle = Oracle(pool, unit.noise, unit.seed)
    start = _start(pool, unit)
    asked = np.full(len(pool), unit.rounds + 1, np.int8)
    asked[start] = -1
    known, player = Known(start, oracle(start)), contestant(unit.contestant, pool, unit.seed)
    scores, strata, drawn = [], [], []
    for turn in range(unit.rounds + 1):
        player.begin(known)
        scores.append(np.asarray(player.scores(), np.float32))
        rng = np.random.default_rng(np.random.SeedSequence(unit.seed, spawn_key=(_CONTROL_STREAM, turn)))
        draw = draw_control(scores[-1], asked > turn, control, rng)
        strata.append(draw.assignment)
        drawn.append(draw.rows)
        if turn < unit.rounds:
            new, passed = _ask(player, known, unit.batch, np.unique(np.concatenate(drawn)))
            asked[new], asked[passed] = turn, turn
            # What is never learnt from must not be chosen again either.
            rows = np.concatenate([known.rows, new, passed])
            answers = np.concatenate([known.answers, oracle(new), np.full(len(passed), -1)])
            known = Known(rows, answers)
    return Trace(pool.truth.astype(np.int8), np.array(scores), asked, np.array(strata), np.array(drawn))


def _ask(player: Contestant, known: Known, batch: int, control: Rows) -> tuple[Rows, Rows]:
    """`emberline.learn.control.ask` for a contestant."""
    new, passed = np.empty(0, np.int64), np.empty(0, np.int64)
    while len(new) < batch:
        rows = np.concatenate([known.rows, new, passed])
        so_far = Known(rows, np.concatenate([known.answers, np.full(len(rows) - len(known.rows), -1)]))
        chosen = player.choose(so_far, batch - len(new))
        hidden = np.isin(chosen, control)
        new, passed = np.append(new, chosen[~hidden]), np.append(passed, chosen[hidden])
    return new, passed
