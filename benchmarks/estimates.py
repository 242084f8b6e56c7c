"""How true and how narrow the intervals of purity and completeness are, over simulated campaigns.

``python benchmarks/estimates.py --out folder`` runs 300 campaigns at each prevalence and writes ``estimates.json`` and
``estimates.svg``; ``--plot estimates.json`` draws the plot again. No network is trained: the scores of a pool set
targets apart by a random amount, are badly calibrated by a random power, and get better round by round.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberline.learn.control import ControlDraw, ask, draw_control
from emberline.learn.estimate import Estimates, estimate
from emberline.learn.strategies import Query, strategy

PREVALENCES = (0.001, 0.005, 0.01)
KINDS = {
    "linear": "log odds linear in the score",
    "heavy": "scores with heavy tails (Student's t, 4 degrees)",
    "hidden": "one target in ten looks like anything else to the network",
}

Draw = Callable[[NDArray[np.float64], NDArray[np.bool_], int, np.random.Generator, NDArray[np.int64]], ControlDraw]


@dataclasses.dataclass(frozen=True)
class Plan:
    """Campaigns of one kind: size of the pool, prevalence, control labels and queries of each round."""

    prevalence: float
    kind: str = "linear"
    n: int = 200_000
    control: tuple[int, ...] = (50, 50, 50, 250)
    batch: int = 100


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
        if plan.kind == "hidden":
            self.seen[rng.random(plan.n) < 0.1] = 0
        self.quality = rng.uniform(4.0, 6.5)
        self.power, self.shift = np.exp(rng.normal(0.7, 0.4)), rng.normal(0.0, 0.4)

    def scores(self, share: float) -> NDArray[np.float64]:
        """Target probabilities of the network when this share of the campaign is done."""
        quality = self.quality * (0.7 + 0.3 * share)
        evidence = quality * self.seen + 0.9 * self.lasting + np.sqrt(1 - 0.81) * self.rng.normal(size=self.plan.n)
        count = max(int(self.truth.sum()), 3)
        edge = np.partition(evidence, -count)[-count] + self.shift
        return np.asarray(1 / (1 + np.exp(-self.power * (evidence - edge))))


def ours(
    scores: NDArray[np.float64],
    available: NDArray[np.bool_],
    n: int,
    rng: np.random.Generator,
    truth: NDArray[np.int64],
) -> ControlDraw:
    """The allocation that Emberline makes, which does not know the truth."""
    return draw_control(scores, available, n, rng)


def told(purity: float, rest: float) -> Draw:
    """Neyman's allocation with the true share of targets of twenty strata a side; `purity` goes to the predicted ones.

    Without regard to its spread the lowest of the strata gets `rest`: intervals are wide there, whatever was seen.
    """

    def draw(scores, available, n, rng, truth):  # type: ignore[no-untyped-def]
        strata = np.full(len(scores), -1, dtype=np.int8)
        inside = available & (scores >= 0.5)
        for side, first, parts in ((inside, 0, 4), (available & ~inside, 4, 12)):
            rows = np.flatnonzero(side)
            order = rows[np.argsort(-scores[rows])]
            # Geometric sizes: the strata next to the threshold are small.
            sizes = np.geomspace(1, 3.0 ** (parts - 1), parts) if first else np.ones(parts)
            ends = np.ceil(len(order) * np.cumsum(sizes) / sizes.sum()).astype(int)
            for part, (a, b) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
                strata[order[a:b]] = first + part
        size = np.bincount(strata[available], minlength=16).astype(float)
        p = np.bincount(strata[available], truth[available], 16) / np.maximum(size, 1)
        weight = size * np.sqrt(p * (1 - p))
        shares = np.full(16, 1e-6)
        shares[:4] += purity * _normal(weight[:4])
        shares[4:] += (1 - purity - rest) * _normal(weight[4:])
        shares[15] += rest
        return draw_control(scores, available, n, rng, strata=strata, shares=shares.tolist())

    return draw


def _normal(weight: NDArray[np.float64]) -> NDArray[np.float64]:
    return weight / weight.sum() if weight.sum() > 0 else np.full(len(weight), 1 / len(weight))


def campaign(plan: Plan, rng: np.random.Generator, draw: Draw = ours, **options: Any) -> Outcome:
    """Rounds of queries by `seek` and control draws; the estimates at the end, and the truth."""
    world = World(plan, rng)
    truth = world.truth
    known: dict[int, int | None] = {}
    answers: dict[int, int | None] = {}
    draws: list[ControlDraw] = []
    objects = np.arange(plan.n)
    for number, control in enumerate(plan.control):
        score = world.scores((number + 1) / len(plan.control))
        available = np.ones(plan.n, dtype=bool)
        available[list(known)] = False
        if control:
            draws.append(draw(score, available, control, rng, truth))
            answers |= {row: int(truth[row]) for row in draws[-1].rows.tolist()}
        if number + 1 < len(plan.control):
            query = Query(
                objects=objects, available=available, batch=plan.batch, rng=rng, targets=(1,),
                probabilities=np.stack([1 - score, score], axis=1), embeddings=score[:, None],
                asked=np.array(sorted(known), dtype=np.int64),
            )  # fmt: skip
            chosen = np.concatenate(ask(strategy("seek"), query, np.array(sorted(answers), dtype=np.int64)))
            known |= {row: int(truth[row]) for row in chosen.tolist()}
    predicted = (score >= 0.5).astype(np.int64)
    predicted[list(known)] = list(known.values())
    found = estimate(draws, answers, predicted, known, [1], rng=rng, corrected=True, scores=score, **options)
    predicted[list(answers)] = list(answers.values())
    hits = np.count_nonzero(predicted & truth)
    return Outcome(found, hits / max(predicted.sum(), 1), hits / max(truth.sum(), 1))


def table(outcomes: Iterable[Outcome]) -> dict[str, dict[str, float]]:
    """Of each estimate: coverage, shares of truths above and below, mean width, mean error, mean value and truth."""
    outcomes = list(outcomes)
    result = {}
    for name in ("purity", "completeness", "completeness_from_draw"):
        rows = []
        for one in outcomes:
            got, true = getattr(one.found, name), one.purity if name == "purity" else one.completeness
            if np.isfinite(got.value):
                above, below = true > got.high + 1e-9, true < got.low - 1e-9
                rows.append((not (above or below), above, below, got.high - got.low, got.value - true, got.low, true))
        names = ("coverage", "above", "below", "width", "error", "low", "true")
        means = (
            np.array(rows, dtype=float).reshape(-1, len(names)).mean(axis=0) if rows else np.full(len(names), np.nan)
        )
        result[name] = {"campaigns": len(rows), **dict(zip(names, map(float, means), strict=True))}
    return result


def run(plan: Plan, campaigns: int, draw: Draw = ours, **options: Any) -> dict[str, dict[str, float]]:
    """The table of so many campaigns, each with its own seed."""
    seeds = (np.random.default_rng([8, int(1e5 * plan.prevalence), number]) for number in range(campaigns))
    return table(campaign(plan, rng, draw, **options) for rng in seeds)


def show(title: str, prevalence: float, rows: dict[str, dict[str, float]]) -> None:
    """Lines of a Markdown table."""
    for name, row in rows.items():
        cells = " | ".join(f"{row[key]:.3f}" for key in ("coverage", "above", "below", "width", "error", "true"))
        print(f"| {title} | {prevalence:.1%} | {name} | {cells} |", flush=True)


def allocations(prevalence: float, campaigns: int, n: int) -> dict[str, Any]:
    """Widths of Emberline's allocation against the best of those that know the truth, in the same campaigns."""
    plan = Plan(prevalence, n=n)
    mine = run(plan, campaigns)
    best: dict[str, Any] = {}
    for purity in (0.2, 0.35, 0.5):
        for rest in (0.0, 0.3):
            rows = run(plan, campaigns, told(purity, rest))
            width = rows["purity"]["width"] + rows["completeness"]["width"]
            if not best or width < best["width"]:
                best = {"width": width, "purity_share": purity, "rest_share": rest, "rows": rows}
    width = mine["purity"]["width"] + mine["completeness"]["width"]
    return {"ours": mine, "best": best, "ratio": width / best["width"]}


def main() -> None:
    """Run what is asked for and write it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--campaigns", type=int, default=300)
    parser.add_argument("--few", type=int, default=60, help="campaigns to compare allocations by")
    parser.add_argument("--pool", type=int, default=200_000)
    parser.add_argument("--prevalence", type=float, nargs="+", default=PREVALENCES)
    parser.add_argument("--kind", nargs="+", choices=[*KINDS], default=[*KINDS])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--plot", type=Path, help="draw estimates.svg beside this JSON file, and do nothing else")
    options = parser.parse_args()
    if options.plot:
        plot(json.loads(options.plot.read_text(encoding="utf-8")), options.plot.with_suffix(".svg"))
        return
    begun = time.perf_counter()
    result: dict[str, Any] = {"campaigns": options.campaigns, "pool": options.pool, "coverage": [], "allocation": []}
    print("| campaigns | prevalence | estimate | coverage | truth above | truth below | width | error | truth |")
    print("|---|---|---|---|---|---|---|---|---|")
    for kind in options.kind:
        for prevalence in options.prevalence:
            rows = run(Plan(prevalence, kind, n=options.pool), options.campaigns)
            show(kind, prevalence, rows)
            result["coverage"].append({"kind": kind, "prevalence": prevalence, "rows": rows})
    for prevalence in options.prevalence if options.few else ():
        found = allocations(prevalence, options.few, options.pool)
        print(
            f"{prevalence:.1%}: width against the best allocation that knows the truth {found['ratio']:.2f}", flush=True
        )
        for name in ("purity", "completeness"):
            print(f"    {name}: {found['ours'][name]['width']:.3f} against {found['best']['rows'][name]['width']:.3f}")
        result["allocation"].append({"prevalence": prevalence, **found})
    result["seconds"] = time.perf_counter() - begun
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "estimates.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
        plot(result, options.out / "estimates.svg")


def plot(result: dict[str, Any], path: Path) -> None:
    """Coverage and width against prevalence."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    names = {"purity": "purity", "completeness": "completeness", "completeness_from_draw": "completeness, draw alone"}
    for (name, label), colour in zip(names.items(), ("#0072b2", "#d55e00", "#7f7f7f"), strict=True):
        for kind, style in zip(KINDS, ("o-", "s--", "^:"), strict=True):
            cells = [row for row in result["coverage"] if row["kind"] == kind]
            x = [100 * row["prevalence"] for row in cells]
            for axis, key in zip(axes, ("coverage", "width"), strict=True):
                axis.plot(x, [row["rows"][name][key] for row in cells], style, color=colour, label=f"{label}, {kind}")
    axes[0].axhspan(0.93, 0.97, color="#dddddd", zorder=0)
    for axis, title in zip(axes, ("Coverage of 95 % intervals", "Mean width"), strict=True):
        axis.set(title=title, xlabel="Targets in the pool / %", xscale="log")
    axes[1].legend(fontsize=6)
    figure.savefig(path)
    plt.close(figure)


if __name__ == "__main__":
    main()
