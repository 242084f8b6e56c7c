"""What the best allocation of control labels would reach that knew the truth, for ``benchmarks/estimates.py``.

It draws all of its labels from the last network's scores; it knows how many targets lie in each of sixteen strata; and
of all its ways to split the labels the one that turned out narrowest is taken.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberline.learn.control import Assume, ControlDraw, draw_control
from estimates import Campaign, Outcome, Plan, run_campaign, seeds

INSIDE, OUTSIDE = 4, 12
AIMS: dict[Assume, tuple[str, str]] = {
    "nothing": ("purity", "completeness_from_draw"),
    "scores": ("purity", "completeness"),
}
"""The intervals of a catalogue that should be narrow together."""


@dataclasses.dataclass(frozen=True)
class Told:
    """A split by the truth: `purity` of the labels for predicted targets; of these, and of the others, an even part.

    What is not spread evenly goes where answers differ most (Neyman). An interval is wide where there are no labels.
    """

    purity: float
    even_inside: float
    even: float


SPLITS: dict[Assume, list[Told]] = {
    "nothing": [Told(*each) for each in itertools.product((0.06, 0.12, 0.2, 0.35), (0.4, 0.9), (0.7, 0.95))]
    + [Told(1.0, 0.4, 0.0), Told(1.0, 0.9, 0.0)],
    "scores": [Told(*each) for each in itertools.product((0.12, 0.2, 0.35, 0.55), (0.4, 0.9), (0.0, 0.15, 0.4))]
    + [Told(1.0, 0.4, 0.0), Told(1.0, 0.9, 0.0)],
}


def strata_of(scores: NDArray[np.float64], available: NDArray[np.bool_]) -> NDArray[np.int8]:
    """Four strata of predicted targets and twelve of the others, by falling score; those at the threshold are small."""
    strata = np.full(len(scores), -1, dtype=np.int8)
    inside = available & (scores >= 0.5)
    for side, first, parts in ((inside, 0, INSIDE), (available & ~inside, INSIDE, OUTSIDE)):
        rows = np.flatnonzero(side)
        order = rows[np.argsort(-scores[rows])]
        sizes = np.geomspace(1, 2.0 ** (parts - 1), parts) if first else np.ones(parts)
        ends = np.ceil(len(order) * np.cumsum(sizes) / sizes.sum()).astype(int)
        for part, (a, b) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
            strata[order[a:b]] = first + part
    return strata


def told(
    strata: NDArray[np.int8], truth: NDArray[np.int64], split: Told, n: int, rng: np.random.Generator
) -> ControlDraw:
    """A draw of `n` labels whose split knows the truth."""
    available = strata >= 0
    size = np.bincount(strata[available], minlength=INSIDE + OUTSIDE).astype(float)
    p = np.bincount(strata[available], truth[available], len(size)) / np.maximum(size, 1)
    spread = size * np.sqrt(p * (1 - p))
    shares = np.full(len(size), 1e-6)
    for part, share, even in (
        (slice(0, INSIDE), split.purity, split.even_inside),
        (slice(INSIDE, None), 1 - split.purity, split.even),
    ):
        shares[part] += share * ((1 - even) * _normal(spread[part]) + even * _normal(size[part]))
    return draw_control(np.zeros(len(strata)), available, n, rng, strata=strata, shares=shares.tolist())


def _normal(weight: NDArray[np.float64]) -> NDArray[np.float64]:
    return weight / weight.sum() if weight.sum() > 0 else np.full(len(weight), 1 / len(weight))


def widths(outcomes: list[Outcome], names: tuple[str, ...]) -> NDArray[np.float64]:
    """The width of each named interval in each campaign; 1 where nothing can be said. (campaigns, names)"""
    found = [[getattr(each.found, name) for name in names] for each in outcomes]
    return np.nan_to_num(np.array([[one.high - one.low for one in row] for row in found]), nan=1.0)


def compare(plan: Plan, campaigns: int, seed: int) -> dict[str, Any]:
    """Emberline's widths, the best ones for each aim, and their ratios: of the sum of both widths, and of each."""
    ours: dict[Assume, list[Outcome]] = {"nothing": [], "scores": []}
    tried: dict[Assume, dict[Told, list[Outcome]]] = {a: {split: [] for split in SPLITS[a]} for a in AIMS}
    at_the_end = dataclasses.replace(plan, control=(0,) * len(plan.control))
    for draw, outcomes in ours.items():
        for rng in seeds(plan, campaigns, seed):
            outcomes.append(run_campaign(dataclasses.replace(plan, draw=draw), rng).judge(rng, assume=draw))
    for rng in seeds(plan, campaigns, seed):
        state = run_campaign(at_the_end, rng)
        strata = strata_of(state.score, state.available())
        for draw, splits in tried.items():
            for split, outcomes in splits.items():
                outcomes.append(_redrawn(state, strata, split, sum(plan.control), rng, draw))
    return {"campaigns": campaigns, **{draw: _best(ours[draw], tried[draw], AIMS[draw]) for draw in AIMS}}


def _redrawn(
    state: Campaign, strata: NDArray[np.int8], split: Told, n: int, rng: np.random.Generator, assume: Assume
) -> Outcome:
    """What the campaign's estimates would have been with these control labels."""
    state.draws, state.answers = [], {}
    state.control(told(strata, state.truth, split, n, rng), rng)
    return state.judge(rng, assume=assume)


def _best(ours: list[Outcome], tried: dict[Told, list[Outcome]], aim: tuple[str, str]) -> dict[str, Any]:
    """The narrowest of those tried, for both intervals together and for each alone; the ratio with its error."""
    mine = widths(ours, aim)
    theirs = {split: widths(outcomes, aim) for split, outcomes in tried.items()}
    result: dict[str, Any] = {"ours": dict(zip(aim, mine.mean(axis=0).tolist(), strict=True))}
    for goal, columns in {"both": [0, 1], aim[0]: [0], aim[1]: [1]}.items():
        split = min(theirs, key=lambda each: theirs[each][:, columns].sum(axis=1).mean())
        a, b = mine[:, columns].sum(axis=1), theirs[split][:, columns].sum(axis=1)
        result[goal] = {
            "split": dataclasses.asdict(split),
            "width": dict(zip(aim, theirs[split].mean(axis=0).tolist(), strict=True)),
            # Nothing is as narrow as a census.
            "ratio": float(a.mean() / b.mean()) if b.any() else None,
            "error": float(np.std(a - b * a.mean() / b.mean(), ddof=1) / len(a) ** 0.5 / b.mean())
            if b.any() and len(a) > 1
            else None,
        }
    result["tried"] = [
        {**dataclasses.asdict(split), "width": dict(zip(aim, width.mean(axis=0).tolist(), strict=True))}
        for split, width in theirs.items()
    ]
    return result
