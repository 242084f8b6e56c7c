"""Whether the stopping rule stops where it should, over simulated campaigns.

``python benchmarks/stopping.py --out folder`` writes ``stopping.json``. Each target that a label finds counts 1, each
label costs ``worth / 100``. The best point is the round after which targets less costs are most. A campaign stopped
well when it has at least nine tenths of what it would have at its best point.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberline.learn.stopping import Yield, expected_of_best, gain_of_next, worth_stopping
from emberline.learn.strategies import Query, strategy
from estimates import Plan, World


def campaign(
    prevalence: float, kind: str, n: int, rounds: int, worth: float, rng: np.random.Generator
) -> dict[str, Any]:
    """All rounds of one campaign, and the round after which the rule would have stopped it."""
    world = World(Plan(prevalence, kind, n=n), rng)
    available = np.ones(n, dtype=bool)
    found, history, stopped, covered = [0], [], None, []
    objects = np.arange(n)
    for number in range(rounds):
        score: NDArray[np.float64] = world.scores(min((number + 1) / 5, 1.0))
        query = Query(
            objects=objects, available=available, batch=100, rng=rng, targets=(1,),
            probabilities=np.stack([1 - score, score], axis=1), embeddings=score[:, None],
            asked=np.flatnonzero(~available),
        )  # fmt: skip
        chosen = strategy("seek").select(query)
        promised = expected_of_best(score, available, len(chosen))
        available[chosen] = False
        targets = int(world.truth[chosen].sum())
        if covered:
            covered[-1] = (covered[-1][0], targets)
        history.append(Yield(len(chosen), targets, promised))
        gain = gain_of_next(history, expected_of_best(score, available, 100))
        assert gain is not None
        covered.append((gain, None))
        found.append(found[-1] + targets)
        if stopped is None and worth_stopping(gain, worth):
            stopped = number + 1
    net = np.array(found) - worth * np.arange(len(found))
    best = int(np.argmax(net))
    at = rounds if stopped is None else stopped
    # The yield of the next round is Poisson about its expectation: it may leave the interval by its own spread.
    inside = [g.low - 2 * np.sqrt(g.low) <= y <= g.high + 2 * np.sqrt(g.high) for g, y in covered[:-1]]
    return {
        "best": best, "stopped": at, "net_best": float(net[best]), "net": float(net[at]), "never": stopped is None,
        "well": bool(net[at] >= net[best] - 0.1 * abs(net[best])), "predicted": float(np.mean(inside)),
        "targets": int(world.truth.sum()), "found_best": found[best], "found": found[at],
    }  # fmt: skip


def main() -> None:
    """Run campaigns at each prevalence, and write them down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--campaigns", type=int, default=100)
    parser.add_argument("--pool", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--worth", type=float, default=5.0)
    parser.add_argument("--prevalence", type=float, nargs="+", default=(0.001, 0.005, 0.01))
    parser.add_argument("--kind", nargs="+", default=["linear", "hidden"])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    lines = []
    print("| campaigns | prevalence | stopped well | mean best round | mean stop | never | next yield predicted |")
    print("|---|---|---|---|---|---|---|")
    for kind in options.kind:
        for prevalence in options.prevalence:
            rows = [
                campaign(prevalence, kind, options.pool, options.rounds, options.worth, np.random.default_rng([9, i]))
                for i in range(options.campaigns)
            ]
            keys = ("well", "best", "stopped", "never", "predicted")
            means = {key: float(np.mean([row[key] for row in rows])) for key in keys}
            print(
                f"| {kind} | {prevalence:.1%} | " + " | ".join(f"{means[key]:.2f}" for key in keys) + " |", flush=True
            )
            lines.append({"kind": kind, "prevalence": prevalence, "means": means, "campaigns": rows})
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "stopping.json").write_text(json.dumps(lines, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
