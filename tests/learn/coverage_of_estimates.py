"""Simulated surveys: how often the intervals of `emberline.learn.estimate` hold the truth.

They are small, for the tests; ``benchmarks/estimates.py`` makes the table in ``docs/explanation/estimates.md``.
"""

from __future__ import annotations

import argparse
import dataclasses

import numpy as np
from numpy.typing import NDArray

from emberline.learn.control import ControlDraw, ask, draw_control
from emberline.learn.estimate import Estimates, estimate
from emberline.learn.strategies import Query, strategy


@dataclasses.dataclass(frozen=True)
class Plan:
    """A survey of `n` spectra, a model whose scores set targets `quality` standard deviations apart, and the labels."""

    prevalence: float
    quality: float
    control: tuple[int, ...]
    batch: int
    n: int = 20_000
    clump: int = 1
    corrected: bool = False


def scores(truth: NDArray[np.int64], quality: float, hidden: NDArray[np.float64], rng: np.random.Generator):
    """Target probabilities: what the model always gets wrong (`hidden`) and what changes from round to round."""
    logit = truth * quality + 0.8 * hidden + 0.6 * rng.normal(size=len(truth))
    count = max(int(truth.sum()), 3)
    return 1 / (1 + np.exp(-2 * (logit - np.partition(logit, -count)[-count]))), logit


def survey(plan: Plan, rng: np.random.Generator) -> tuple[Estimates, float, float]:
    """Rounds of queries by `seek`, with control draws; the estimates at the end, true purity, true completeness."""
    objects = np.arange(plan.n) // plan.clump
    truth = (rng.random(objects.max() + 1) < plan.prevalence).astype(np.int64)[objects]
    hidden = rng.normal(size=plan.n)
    known: dict[int, int] = {}
    answers: dict[int, int | None] = {}
    draws: list[ControlDraw] = []
    for number, control in enumerate(plan.control):
        better = plan.quality * (0.6 + 0.4 * (number + 1) / len(plan.control))
        probability, inner = scores(truth, better, hidden, rng)
        available = np.ones(plan.n, dtype=bool)
        available[list(known)] = False
        if control:
            draws.append(draw_control(probability, available, control, rng))
            answers |= {row: int(truth[row]) for row in draws[-1].rows.tolist()}
        if number + 1 < len(plan.control):
            query = Query(
                objects=objects,
                available=available,
                batch=plan.batch,
                rng=rng,
                probabilities=np.stack([1 - probability, probability], axis=1),
                targets=(1,),
                embeddings=inner[:, None],
                asked=np.array(sorted(known), dtype=np.int64),
            )
            chosen = np.concatenate(ask(strategy("seek"), query, np.array(sorted(answers), dtype=np.int64)))
            known |= {row: int(truth[row]) for row in chosen.tolist()}
    predicted = (probability >= 0.5).astype(np.int64)
    predicted[list(known)] = list(known.values())
    found = estimate(draws, answers, predicted, known, [1], rng=rng, corrected=plan.corrected)
    if plan.corrected:
        predicted[list(answers)] = list(answers.values())
    hits = np.count_nonzero(predicted & truth)
    return found, hits / max(predicted.sum(), 1), hits / max(truth.sum(), 1)


def coverage(plan: Plan, surveys: int, seed: int = 1) -> dict[str, NDArray[np.float64]]:
    """For purity and completeness: covered, truth above, truth below, width, error; a row a survey with an estimate."""
    table: dict[str, list[tuple[float, ...]]] = {"purity": [], "completeness": []}
    for number in range(surveys):
        found, *true = survey(plan, np.random.default_rng([seed, number]))
        for name, value in zip(table, true, strict=True):
            got = getattr(found, name)
            if np.isfinite(got.value):
                above, below = value > got.high + 1e-9, value < got.low - 1e-9
                table[name].append((not (above or below), above, below, got.high - got.low, got.value - value))
    return {name: np.array(rows, dtype=float).reshape(-1, 5) for name, rows in table.items()}


_PLANS = {
    "one draw of 200": {"control": (200,), "batch": 0},
    "200 in round 1 of 4, 30 queries a round": {"control": (200, 0, 0, 0), "batch": 30},
    "40 in each of 5 rounds, 30 queries a round": {"control": (40,) * 5, "batch": 30},
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--surveys", type=int, default=300)
    parser.add_argument("--plan", choices=[*map(str, range(len(_PLANS)))], default=None)
    parser.add_argument("--quality", type=float, nargs="+", default=[4.0, 6.0])
    parser.add_argument("--corrected", action="store_true")
    parser.add_argument("--clump", type=int, default=1)
    options = parser.parse_args()
    chosen = _PLANS if options.plan is None else dict([list(_PLANS.items())[int(options.plan)]])
    print("| labels | prevalence | quality | estimate | coverage | truth above | truth below | width | error |")
    print("|---|---|---|---|---|---|---|---|---|")
    for title, labels in chosen.items():
        for prevalence in (0.001, 0.005, 0.01):
            for quality in options.quality:
                plan = Plan(prevalence, quality, corrected=options.corrected, clump=options.clump, **labels)
                for name, rows in coverage(plan, options.surveys).items():
                    cells = " | ".join(f"{value:.3f}" for value in rows.mean(axis=0))
                    print(f"| {title} | {prevalence:.1%} | {quality:g} | {name} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
