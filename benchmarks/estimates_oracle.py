"""What the best allocation of control labels would reach that knew the truth, for ``benchmarks/estimates.py``.

It may take all of its labels from the last network's scores, when these are best; it knows how many targets lie in each
of sixteen strata; and of all its ways to split the labels the one that turned out narrowest is taken.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberline.learn.control import ControlDraw, draw_control
from estimates import Outcome, Plan, Rows, run, run_campaign, seeds, table

INSIDE, OUTSIDE = 4, 12
PURITY = (0.02, 0.06, 0.12, 0.2, 0.35, 0.6, 1.0)
EVEN = (0.0, 0.15, 0.3, 0.6, 0.8, 0.95)
AIMS = {
    "nothing": ("purity", "completeness_from_draw"),
    "scores": ("purity", "completeness"),
}
"""The intervals of a catalogue that should be narrow together."""


def told(
    scores: NDArray[np.float64],
    available: NDArray[np.bool_],
    n: int,
    rng: np.random.Generator,
    truth: NDArray[np.int64],
    purity: float,
    even: float,
) -> ControlDraw:
    """Neyman's allocation by the true numbers of targets; `purity` of it goes to the predicted ones.

    Of the others' labels `even` are spread evenly over the rows, since an interval is wide where there are none.
    """
    strata = np.full(len(scores), -1, dtype=np.int8)
    inside = available & (scores >= 0.5)
    for side, first, parts in ((inside, 0, INSIDE), (available & ~inside, INSIDE, OUTSIDE)):
        rows = np.flatnonzero(side)
        order = rows[np.argsort(-scores[rows])]
        # Geometric sizes: the strata next to the threshold are small.
        sizes = np.geomspace(1, 2.0 ** (parts - 1), parts) if first else np.ones(parts)
        ends = np.ceil(len(order) * np.cumsum(sizes) / sizes.sum()).astype(int)
        for part, (a, b) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
            strata[order[a:b]] = first + part
    size = np.bincount(strata[available], minlength=INSIDE + OUTSIDE).astype(float)
    p = np.bincount(strata[available], truth[available], len(size)) / np.maximum(size, 1)
    weight = size * np.sqrt(p * (1 - p))
    shares = np.full(len(size), 1e-6)
    shares[:INSIDE] += purity * _normal(weight[:INSIDE])
    shares[INSIDE:] += (1 - purity) * ((1 - even) * _normal(weight[INSIDE:]) + even * _normal(size[INSIDE:]))
    return draw_control(scores, available, n, rng, strata=strata, shares=shares.tolist())


def _normal(weight: NDArray[np.float64]) -> NDArray[np.float64]:
    return weight / weight.sum() if weight.sum() > 0 else np.full(len(weight), 1 / len(weight))


def splits(plan: Plan, campaigns: int, seed: int) -> Iterator[tuple[tuple[float, float], Rows]]:
    """The table of each way to split the labels, in the same campaigns."""
    at_the_end = dataclasses.replace(plan, control=(0,) * len(plan.control))
    found: dict[tuple[float, float], list[Outcome]] = {(a, b): [] for a in PURITY for b in EVEN if a < 1 or b == 0}
    for rng in seeds(plan, campaigns, seed):
        state = run_campaign(at_the_end, rng)
        for (purity, even), outcomes in found.items():
            state.draws, state.answers = [], {}
            drawn = told(state.score, state.available(), sum(plan.control), rng, state.truth, purity, even)
            state.control(drawn, rng)
            outcomes.append(state.judge(rng, assume="nothing" if even > 0.7 else "scores"))
    for split, outcomes in found.items():
        yield split, table(outcomes)


def compare(plan: Plan, campaigns: int, seed: int) -> dict[str, Any]:
    """Emberline's widths, the best ones for each aim, and their ratios: of the sum of both widths, and of each."""
    tried = dict(splits(plan, campaigns, seed))
    result: dict[str, Any] = {"campaigns": campaigns, "ours": {}, "best": {}, "ratio": {}, "tried": []}
    for draw, aim in AIMS.items():
        assumed: Any = draw
        ours = run(dataclasses.replace(plan, draw=assumed), campaigns, seed)
        widths = {name: ours[name]["width"] for name in aim}
        result["ours"][draw] = widths
        result["best"][draw], result["ratio"][draw] = {}, {}
        for goal, names in {"both": aim, **{name: (name,) for name in aim}}.items():
            split, best = min(tried.items(), key=lambda item: sum(item[1][name]["width"] for name in names))
            reached = {name: best[name]["width"] for name in aim}
            result["best"][draw][goal] = {"purity_share": split[0], "even_share": split[1], "width": reached}
            total = sum(reached[name] for name in names)
            # Nothing is as narrow as a census.
            result["ratio"][draw][goal] = sum(widths[name] for name in names) / total if total else None
    result["tried"] = [
        {"purity_share": a, "even_share": b, "width": {name: row["width"] for name, row in rows.items()}}
        for (a, b), rows in tried.items()
    ]
    return result
