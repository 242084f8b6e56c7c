"""How true and how narrow the intervals of purity and completeness are, over simulated campaigns.

``python benchmarks/estimates.py --out benchmarks/results`` measures everything that ``docs/explanation/estimates.md``
claims and writes ``estimates.json``; ``--part`` does one part of it, ``--campaigns`` fewer. ``--document`` writes the
document's tables and its plot again from that file. No network is trained: the scores of a pool set targets apart by a
random amount, are badly calibrated by a random power, and get better round by round.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberline.files import atomic_path
from emberline.learn.answers import Twice
from emberline.learn.control import Assume, ControlDraw, ask, draw_control
from emberline.learn.estimate import Estimates, estimate
from emberline.learn.strategies import Query, strategy
from estimates_report import write_document

SEED = 20261120
"""The campaigns that the document quotes; nothing was chosen by looking at them."""
TRIAL = 8
"""The campaigns by which shares and forms were chosen."""

PREVALENCES = (0.001, 0.005, 0.01)
KINDS = {
    "linear": "log odds linear in the score",
    "heavy": "scores with heavy tails (Student's t, 4 degrees)",
    "hidden": "one target in ten looks like anything else to the network",
}
BLIND = "blind"
"""One kind more, for the estimates alone: half of the targets look like anything else to the network."""
HIDDEN = {"hidden": 0.1, BLIND: 0.5}
SEEK = strategy("seek")
NAMES = ("purity", "completeness", "completeness_from_draw")

Rows = dict[str, dict[str, float]]


@dataclasses.dataclass(frozen=True)
class Plan:
    """Campaigns of one kind: size of the pool, prevalence, control labels and queries of each round.

    `draw` is the assumption that the control labels are drawn for, `wrong` the chance of a wrong answer, and `repeats`
    the share of control labels that are asked for twice.
    """

    prevalence: float
    kind: str = "linear"
    n: int = 100_000
    control: tuple[int, ...] = (50, 50, 50, 250)
    batch: int = 100
    draw: Assume = "nothing"
    wrong: float = 0.0
    repeats: float = 0.0


@dataclasses.dataclass(frozen=True)
class Outcome:
    """One campaign's estimates and the truth."""

    found: Estimates
    purity: float
    completeness: float


class World:
    """One pool with its truth, and what the network of each round says of it."""

    def __init__(self, plan: Plan, rng: np.random.Generator) -> None:
        self.plan, self.rng = plan, rng
        self.truth = (rng.random(plan.n) < plan.prevalence).astype(np.int64)
        noise = rng.standard_t(4, plan.n) / np.sqrt(2.0) if plan.kind == "heavy" else rng.normal(size=plan.n)
        self.lasting = noise
        self.seen = self.truth.copy()
        if plan.kind in HIDDEN:
            self.seen[rng.random(plan.n) < HIDDEN[plan.kind]] = 0
        self.quality = rng.uniform(4.0, 6.5)
        self.power, self.shift = np.exp(rng.normal(0.7, 0.4)), rng.normal(0.0, 0.4)

    def scores(self, share: float) -> NDArray[np.float64]:
        """Target probabilities of the network when this share of the campaign is done."""
        quality = self.quality * (0.7 + 0.3 * share)
        evidence = quality * self.seen + 0.9 * self.lasting + np.sqrt(1 - 0.81) * self.rng.normal(size=self.plan.n)
        count = max(int(self.truth.sum()), 3)
        edge = np.partition(evidence, -count)[-count] + self.shift
        return np.asarray(1 / (1 + np.exp(-self.power * (evidence - edge))))


@dataclasses.dataclass
class Campaign:
    """A campaign at its end: what was drawn, answered and learnt, and the last network's scores."""

    truth: NDArray[np.int64]
    score: NDArray[np.float64]
    wrong: float
    known: dict[int, int | None]
    answers: dict[int, int | None]
    draws: list[ControlDraw]
    twice: Twice

    def say(self, rows: NDArray[np.int64], rng: np.random.Generator) -> dict[int, int | None]:
        """What the oracle answers."""
        answers = self.truth[rows] ^ (rng.random(len(rows)) < self.wrong) if self.wrong else self.truth[rows]
        return dict(zip(rows.tolist(), answers.tolist(), strict=True))

    def available(self) -> NDArray[np.bool_]:
        """The rows that are not known."""
        free = np.ones(len(self.truth), dtype=bool)
        free[list(self.known)] = False
        return free

    def control(self, draw: ControlDraw, rng: np.random.Generator) -> None:
        """Answer a control draw; a row that was drawn before keeps its answer."""
        self.draws.append(draw)
        self.answers = self.say(draw.rows, rng) | self.answers

    def judge(self, rng: np.random.Generator, **options: Any) -> Outcome:
        """The estimates of the catalogue that took over every answer, and the truth."""
        predicted = (self.score >= 0.5).astype(np.int64)
        predicted[list(self.known)] = list(self.known.values())
        found = estimate(
            self.draws, self.answers, predicted, self.known, [1], rng=rng, corrected=True, scores=self.score, **options
        )
        predicted[list(self.answers)] = list(self.answers.values())
        hits = np.count_nonzero(predicted & self.truth)
        return Outcome(found, hits / max(predicted.sum(), 1), hits / max(self.truth.sum(), 1))


def ask_best(plan: Plan, state: Campaign, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What `seek` asks about, and the control rows that it meets.

    It is shown the most probable rows and the known ones: it would choose no others, and takes long to look at all.
    """
    free = state.available()
    best = np.argpartition(np.where(free, -state.score, 1.0), min(40 * plan.batch, plan.n - 1))[: 40 * plan.batch]
    rows = np.union1d(best, np.array(sorted(state.known), dtype=np.int64))
    score = state.score[rows]
    query = Query(
        objects=rows, available=free[rows], batch=plan.batch, rng=rng, targets=(1,), asked=np.flatnonzero(~free[rows]),
        probabilities=np.stack([1 - score, score], axis=1), embeddings=score[:, None],
    )  # fmt: skip
    hidden = np.flatnonzero(np.isin(rows, list(state.answers)))
    new, met = ask(SEEK, query, hidden)
    return rows[new], rows[met]


def run_campaign(plan: Plan, rng: np.random.Generator) -> Campaign:
    """Rounds of queries by `seek` and control draws."""
    rng, apart = rng.spawn(2)
    world = World(plan, apart)
    state = Campaign(world.truth, world.truth.astype(float), plan.wrong, {}, {}, [], Twice())
    for number, control in enumerate(plan.control):
        state.score = score = world.scores((number + 1) / len(plan.control))
        available = state.available()
        if control:
            state.control(draw_control(score, available, control, rng, assume=plan.draw), rng)
        if number + 1 < len(plan.control):
            new, met = ask_best(plan, state, rng)
            state.known |= state.say(new, rng) | {row: state.answers[row] for row in met.tolist()}
    if plan.repeats:
        rows = np.array(sorted(state.answers), dtype=np.int64)
        again = state.say(rng.choice(rows, round(plan.repeats * len(rows)), replace=False), rng)
        state.twice = Twice.of((state.answers[row] == 1, answer == 1) for row, answer in again.items())
    return state


def table(outcomes: Iterable[Outcome]) -> Rows:
    """Of each estimate: coverage, shares of truths above and below, mean width, mean error, mean value and truth.

    `exact` is the share that is known, with no interval at all.
    """
    outcomes = list(outcomes)
    result = {}
    names = ("coverage", "above", "below", "width", "error", "low", "true", "exact")
    for name in NAMES:
        rows = []
        for one in outcomes:
            got, true = getattr(one.found, name), one.purity if name == "purity" else one.completeness
            if np.isfinite(got.value):
                above, below = true > got.high + 1e-9, true < got.low - 1e-9
                width = got.high - got.low
                rows.append((not (above or below), above, below, width, got.value - true, got.low, true, width == 0))
        means = np.array(rows, float).mean(axis=0) if rows else np.full(len(names), np.nan)
        result[name] = {"campaigns": len(rows), **dict(zip(names, map(float, means), strict=True))}
    return result


def seeds(plan: Plan, campaigns: int, seed: int) -> Iterator[np.random.Generator]:
    """A generator for each campaign; all allocations see the same pools."""
    return (np.random.default_rng([seed, round(1e5 * plan.prevalence), number]) for number in range(campaigns))


def run(plan: Plan, campaigns: int, seed: int = SEED, **options: Any) -> Rows:
    """The table of so many campaigns, each with its own seed."""
    return table(run_campaign(plan, rng).judge(rng, **options) for rng in seeds(plan, campaigns, seed))


def show(*values: object, rows: Rows) -> None:
    """Lines of a Markdown table."""
    for name, row in rows.items():
        cells = " | ".join(f"{row[key]:.3f}" for key in ("coverage", "above", "below", "width", "error", "true"))
        print("|", " | ".join(map(str, (*values, name))), "|", cells, "|", flush=True)


def coverages(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """How often intervals hold the truth, by what targets look like, what is drawn for, and prevalence."""
    for kind in options.kind:
        draws: Sequence[Assume] = options.draw if kind == "linear" else ("nothing",)
        for draw, prevalence in itertools.product(draws, options.prevalence):
            plan = Plan(prevalence, kind, n=options.pool, draw=draw)
            if kind == "linear":
                rows = run(plan, options.campaigns, options.seed, assume=draw)
            else:
                rows = run(plan, options.few, options.seed)
            show(kind, prevalence, draw, rows=rows)
            yield {"kind": kind, "prevalence": prevalence, "draw": draw, "rows": rows}


def wrong_answers(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The same when the oracle errs, with and without the model of its errors."""
    for wrong in options.wrong:
        for prevalence in options.prevalence:
            plan = Plan(prevalence, n=options.pool, wrong=wrong, repeats=0.1)
            found: dict[bool, list[Outcome]] = {True: [], False: []}
            for rng in seeds(plan, options.few, options.seed):
                state = run_campaign(plan, rng)
                for model, outcomes in found.items():
                    outcomes.append(state.judge(rng, assume=plan.draw, twice=state.twice if model else None))
            for model, outcomes in found.items():
                rows = table(outcomes)
                show(wrong, prevalence, "model" if model else "trusted", rows=rows)
                yield {"wrong": wrong, "prevalence": prevalence, "model": model, "rows": rows}


def labels(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """What more control labels buy, all drawn at the end."""
    for prevalence in options.prevalence:
        for count in (100, 200, 400, 1_000, 3_000, 10_000):
            plan = Plan(prevalence, n=options.pool, control=(0, 0, 0, count))
            rows = {}
            for draw in ("nothing", "scores"):
                rows[draw] = run(dataclasses.replace(plan, draw=draw), options.sweep, options.seed, assume=draw)
                show(count, prevalence, draw, rows=rows[draw])
            yield {"labels": count, "prevalence": prevalence, "rows": rows}


def allocations(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Widths of Emberline's allocation against those of the best that knows the truth."""
    from estimates_oracle import compare

    for prevalence in options.prevalence:
        found = compare(Plan(prevalence, n=options.pool), options.sweep, options.seed)
        for draw in ("nothing", "scores"):
            print(prevalence, draw, found[draw]["ours"], found[draw]["both"], flush=True)
        yield {"prevalence": prevalence, **found}


PARTS: dict[str, Callable[[argparse.Namespace], Iterator[dict[str, Any]]]] = {
    "coverage": coverages, "allocation": allocations, "errors": wrong_answers, "labels": labels,
}  # fmt: skip


def main() -> None:
    """Run what is asked for and write it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--campaigns", type=int, default=300, help="campaigns a prevalence of the kind linear")
    parser.add_argument("--few", type=int, default=100, help="campaigns of other kinds, and with wrong answers")
    parser.add_argument("--sweep", type=int, default=40, help="campaigns to compare allocations and amounts by")
    parser.add_argument("--pool", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--prevalence", type=float, nargs="+", default=PREVALENCES)
    parser.add_argument("--kind", nargs="+", choices=[*KINDS, BLIND], default=[*KINDS, BLIND])
    parser.add_argument("--draw", nargs="+", choices=["nothing", "scores"], default=["nothing", "scores"])
    parser.add_argument("--wrong", type=float, nargs="+", default=[0.0, 0.02, 0.05], help="chances of a wrong answer")
    parser.add_argument("--part", nargs="+", choices=[*PARTS], default=[*PARTS])
    parser.add_argument("--out", type=Path, help="the folder of estimates.json; what is not run stays in it")
    parser.add_argument("--document", action="store_true", help="write docs/explanation/estimates.md from --out only")
    options = parser.parse_args()
    if options.document:
        write_document((options.out or Path(__file__).parent / "results") / "estimates.json")
        return
    for part in options.part:
        for cell in PARTS[part](options):
            if options.out:
                keep(options.out, part, {**cell, "pool": options.pool, "seed": options.seed})


def keep(folder: Path, part: str, cell: dict[str, Any]) -> None:
    """Put a cell into ``estimates.json``, in place of an earlier one of the same kind."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "estimates.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    cells = {_name(earlier): earlier for earlier in found.get(part, [])}
    cells[_name(cell)] = cell
    found[part] = list(cells.values())
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _name(cell: dict[str, Any]) -> tuple[Any, ...]:
    """What a cell is of."""
    return tuple(cell.get(key) for key in ("kind", "draw", "wrong", "labels", "model", "prevalence"))


if __name__ == "__main__":
    main()
