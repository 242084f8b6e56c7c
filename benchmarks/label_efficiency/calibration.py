"""Are the probabilities true of what is left of the pool? Campaigns with control samples, before and after."""

from __future__ import annotations

import argparse
import dataclasses
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.label_efficiency.contestants import contestant
from benchmarks.label_efficiency.interface import Contestant, Known, Rows
from benchmarks.label_efficiency.measures import calibration
from benchmarks.label_efficiency.pools import TARGET, Pool, cached
from benchmarks.label_efficiency.pools import load as load_pool
from benchmarks.label_efficiency.units import Oracle, Unit, _start, append, read
from numpy.typing import NDArray

from emberline._version import __version__
from emberline.files import atomic_path
from emberline.learn.control import ControlDraw, draw_control
from emberline.learn.pool_calibration import Evidence, PoolCalibration, faded

__all__ = ["FORECASTERS", "Moment", "Trace", "binned", "main", "measured", "perfect", "trace"]

_CONTROL_STREAM = 79
_BINS = 20
_SMALL = 1e-7


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


# What is measured --------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, eq=False)
class Moment:
    """A campaign at the end of a round: what is known, and what is left.

    Attributes
    ----------
    trace : Trace
    number : int
        The round whose network read the pool last.
    """

    trace: Trace
    number: int

    @property
    def known(self) -> NDArray[np.bool_]:
        """What the campaign started from and strategies chose, this round's queries included. (N,)"""
        return np.asarray(self.trace.asked <= self.number)

    @property
    def control(self) -> Rows:
        """All rows of control samples so far."""
        return np.unique(self.trace.drawn[: self.number + 1])

    @property
    def left(self) -> NDArray[np.bool_]:
        """What nobody has labelled, but for what shows nothing. (N,)"""
        left = ~self.known & (self.trace.truth >= 0)
        left[self.control] = False
        return left

    @property
    def scores(self) -> NDArray[np.float32]:
        """What the network says of the pool. (N,)"""
        return self.trace.scores[self.number]

    def controlled(self) -> Evidence:
        """The control answers."""
        truth, reached = self.trace.truth.tolist(), range(self.number + 1)
        draws = [ControlDraw(self.trace.strata[turn], self.trace.drawn[turn]) for turn in reached]
        answers, known = (
            {row: truth[row] if truth[row] >= 0 else None for row in rows.tolist()}
            for rows in (self.control, np.flatnonzero(self.known))
        )
        return Evidence.of_control(draws, answers, known, [TARGET], self.scores)

    def queried(self) -> Evidence:
        """Answers to queries with what the network of their round had said."""
        parts = [Evidence.none()]
        for turn in range(self.number + 1):
            rows = np.flatnonzero((self.trace.asked == turn) & (self.trace.truth >= 0))
            is_target = self.trace.truth[rows] == TARGET
            parts.append(Evidence.of_queries(self.trace.scores[turn][rows], is_target, faded(self.number - turn)))
        return Evidence.join(parts)


Forecaster = Callable[[Moment], NDArray[np.floating]]


def _fitted(evidence: Evidence, moment: Moment) -> NDArray[np.float32]:
    return PoolCalibration.fit(evidence)(moment.scores)


def shifted(moment: Moment) -> NDArray[np.float64]:
    """The correction for another share of targets that needs no answers (Saerens, Latinne & Decaestecker 2002)."""
    learnt = (moment.trace.asked < moment.number) & (moment.trace.truth >= 0)
    before = float((moment.trace.truth[learnt] == TARGET).mean())
    stated = moment.scores[~moment.known].astype(np.float64)
    share = before
    for _ in range(100):
        share, last = float(_moved(stated, before, share).mean()), share
        if abs(share - last) < 1e-5 * last:
            break
    return _moved(moment.scores.astype(np.float64), before, share)


def _moved(stated: NDArray[np.float64], before: float, share: float) -> NDArray[np.float64]:
    yes, no = stated * share / before, (1 - stated) * (1 - share) / (1 - before)
    return np.asarray(yes / np.maximum(yes + no, 1e-300))


FORECASTERS: dict[str, Forecaster] = {
    "stated": lambda moment: moment.scores,
    "shift": shifted,
    "queries": lambda moment: _fitted(moment.queried(), moment),
    "control": lambda moment: _fitted(moment.controlled(), moment),
    "calibrated": lambda moment: _fitted(Evidence.join([moment.controlled(), moment.queried()]), moment),
}
"""What is compared: as the network states it, by prior shift, by either kind of answers, and by both (the default)."""


def measured(found: Trace) -> list[dict[str, Any]]:
    """Bins of each forecaster over what is left, after each round and after the closing one."""
    result = []
    for number in range(found.rounds):
        moment = Moment(found, number)
        left = moment.left
        is_target = found.truth[left] == TARGET
        said = {name: forecast(moment)[left] for name, forecast in FORECASTERS.items()}
        result.append(
            {
                "round": number,
                "closing": number == found.rounds - 1,
                "labels": int(moment.known.sum()),
                "control": len(moment.control),
                "left": int(left.sum()),
                "targets": int(is_target.sum()),
                "bins": {name: binned(chance, is_target) for name, chance in said.items()},
                "loss": {name: round(log_loss(chance, is_target), 4) for name, chance in said.items()},
            }
        )
    return result


def log_loss(probability: NDArray[np.floating], is_target: NDArray[np.bool_]) -> float:
    """The sum of -ln of the probability of what is true: low only for what is true *and* says much."""
    chance = np.clip(np.asarray(probability, np.float64), _SMALL, 1 - _SMALL)
    return float(-np.log(np.where(is_target, chance, 1 - chance)).sum())


def binned(probability: NDArray[np.floating], is_target: NDArray[np.bool_]) -> dict[str, list[float]]:
    """The bins of `measures.calibration`, with the variance of the targets in each if the probabilities were true."""
    chance = np.asarray(probability, np.float64)
    place = np.clip((chance * _BINS).astype(np.int64), 0, _BINS - 1)
    spread = np.bincount(place, chance * (1 - chance), _BINS)
    return {**calibration(chance, is_target), "spread": [round(value, 6) for value in spread.tolist()]}


def perfect(bins: dict[str, NDArray[np.float64]], first: int, draws: int = 4000) -> NDArray[np.float64]:
    """The error that a forecaster shows by chance alone whose probabilities are true, on as many rows. (draws,)

    The targets of a bin are binomial with its mean and variance.
    """
    rng, total = np.random.default_rng(0), np.zeros(draws)
    for mean, spread in zip(bins["probability"][first:], bins["spread"][first:], strict=True):
        if mean > 0:
            share = min(max(1 - spread / mean, 1e-9), 1 - 1e-9)
            total += np.abs(rng.binomial(max(round(mean / share), 1), share, draws) - mean)
    return np.asarray(total / max(bins["rows"][first:].sum(), 1.0))


# The command -------------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m benchmarks.label_efficiency.calibration run|table|plot``."""
    here = Path(__file__).parent
    static = here.parents[1] / "docs" / "_static" / "label-efficiency"
    parser = argparse.ArgumentParser(prog="python -m benchmarks.label_efficiency.calibration", description=__doc__)
    parser.add_argument("--results", type=Path, default=here / "results" / "calibration", help="folder of JSON lines")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="do what is not done yet")
    run.add_argument("--pool", default="sim-1")
    run.add_argument("--size", type=int, default=20_000)
    run.add_argument("--contestant", default="seek")
    run.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    run.add_argument("--batch", type=int, default=100)
    run.add_argument("--rounds", type=int, default=5, help="rounds of queries; a closing one follows")
    run.add_argument("--control", type=int, default=50, help="control labels of each round, the closing one included")
    run.add_argument("--cache", type=Path, help="folder of pools and of campaigns that were run")
    printed = commands.add_parser("table", help="print the tables")
    printed.add_argument("--seeds", type=int, nargs="+", default=[], help="of these alone")
    plot = commands.add_parser("plot", help="draw the figure")
    plot.add_argument("--out", type=Path, default=static)
    options = parser.parse_args(arguments)
    if options.command == "run":
        _run(options)
        return 0
    from benchmarks.label_efficiency.calibration_table import draw, table

    if options.command == "table":
        print(table(options.results, options.seeds))
    else:
        print(draw(options.results, options.out)[0])
    return 0


def _run(options: argparse.Namespace) -> None:
    file = options.results / f"{options.pool}.jsonl"
    for seed in options.seeds:
        unit = Unit(options.pool, options.contestant, options.size, 0.0, "few", options.batch, options.rounds, seed)
        key = {"unit": dataclasses.asdict(unit), "control": options.control}
        if any({name: record[name] for name in key} == key for record in read(file)):
            continue
        found = trace(unit, options.control, options.cache)
        made_by = {"emberline": __version__, "python": platform.python_version(), "numpy": np.__version__}
        append(file, {**key, "moments": measured(found), "made_by": made_by})
        print(unit, flush=True)


if __name__ == "__main__":
    sys.exit(main())
