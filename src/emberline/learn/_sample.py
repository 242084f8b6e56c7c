"""Control labels as an estimate sees them: groups of rows of equal chance, split by today's prediction."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from emberline.errors import CampaignError
from emberline.learn.control import ControlDraw
from emberline.learn.strategies import Rows

__all__ = ["SAMPLES", "Cell", "Counts", "Sample", "moved_to_known"]

SAMPLES = 10_000
"""Monte Carlo draws behind every interval."""

_SURELY_HIDDEN = 20.0
_FEW_GROUPS = 12


@dataclasses.dataclass(frozen=True)
class Counts:
    """Known rows: predicted (true and false) targets, missed ones, and all of them."""

    hits: int
    predicted: int
    missed: int
    known: int


@dataclasses.dataclass(frozen=True)
class Cell:
    """One group of unknown rows.

    Its size, how many of these were drawn and how many of them are positive; the effective number of its control labels
    and their weighted share of positives, which speak for the rest; and how many labels these are.
    """

    size: int
    drawn: int
    positives: int
    effective: float
    rate: float
    labels: int

    def mean(self) -> float:
        """The estimated number of positives in the group."""
        return self.positives + (self.size - self.drawn) * self.rate

    def totals(self, more: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float64]:
        """Draws from the exact confidence distributions of the number of positives. (SAMPLES,)

        From the upper one where `more`, else from the lower. An even mixture of both is the mid-p distribution, as long
        as all groups that are added up share `more`: groups without any positive would otherwise never sum to none. The
        tail of a hypergeometric distribution over the population's positives is that of a beta-binomial one, so no test
        need be inverted. Without a sample the bounds are none and all.
        """
        rest = self.size - self.drawn
        if rest == 0:
            return np.full(SAMPLES, float(self.positives))
        if self.labels == 0:
            return np.where(more, float(rest), 0.0)
        yes = self.rate * self.effective + more
        no = (1 - self.rate) * self.effective + 1 - more
        tiny = 1e-12
        share = rng.beta(np.maximum(yes, tiny), np.maximum(no, tiny))
        share = np.where(yes < tiny, 0.0, np.where(no < tiny, 1.0, share))
        return np.asarray(self.positives + rng.binomial(rest, share), dtype=np.float64)


@dataclasses.dataclass(frozen=True, eq=False)
class Sample:
    """The pool as an estimate sees it.

    `truth` is -1 where it is not known; `group` is -1 for known rows and rows outside of the pool; `chance` is the
    probability of having been drawn and answered; `drawn` are the answered control rows that are not known.
    """

    predicted: NDArray[np.int64]
    truth: NDArray[np.int64]
    known: NDArray[np.bool_]
    group: NDArray[np.int64]
    chance: NDArray[np.float64]
    drawn: Rows

    @classmethod
    def gather(
        cls,
        draws: Sequence[ControlDraw],
        answers: Mapping[int, int | None],
        predicted: NDArray[np.int64],
        known: Mapping[int, int | None],
    ) -> Sample:
        """Take the known rows out of every draw, and work out the chances of the others.

        Raises
        ------
        CampaignError
            When the known rows show that control rows were kept from the strategies.
        """
        truth = np.full(len(predicted), -1, dtype=np.int64)
        asked = np.zeros(len(predicted), dtype=bool)
        asked[list(known)] = True
        _refuse_hidden(draws, asked)
        for row, answer in (*answers.items(), *known.items()):
            truth[row] = -1 if answer is None else answer
        missed = np.ones(len(predicted))
        drawn: list[Rows] = []
        for draw in draws:
            rows = draw.rows[~asked[draw.rows] & (truth[draw.rows] >= 0)]
            inside = (draw.assignment >= 0) & ~asked
            size = np.bincount(draw.assignment[inside], minlength=len(draw.sizes))
            took = np.bincount(draw.assignment[rows], minlength=len(draw.sizes))
            missed[inside] *= (1 - took / np.maximum(size, 1))[draw.assignment[inside]]
            drawn.append(rows)
        pool = np.zeros(len(predicted), dtype=bool)
        for draw in draws:
            pool |= (draw.assignment >= 0) & ~asked
        group = np.where(pool, _groups(1 - missed, pool), -1)
        rows = np.unique(np.concatenate(drawn)) if drawn else np.empty(0, dtype=np.int64)
        return cls(predicted, truth, asked & (truth >= 0), group, 1 - missed, rows)

    def counts(self, positive: NDArray[np.bool_], true: NDArray[np.bool_]) -> Counts:
        """What the known rows add to the sums."""
        parts = (positive & true, positive, ~positive & true, np.ones_like(true))
        return Counts(*(int(np.count_nonzero(self.known & part)) for part in parts))

    def cells(self, positive: NDArray[np.bool_], true: NDArray[np.bool_], side: bool) -> list[Cell]:
        """The groups of unknown rows on one side of the prediction; a group without sample borrows the nearest rate."""
        groups = self.group.max(initial=-1) + 1
        members = self.group[(positive == side) & (self.group >= 0)]
        sizes = np.bincount(members, minlength=groups)
        rows = self.drawn[positive[self.drawn] == side]
        where, yes, weight = self.group[rows], true[rows], 1 / self.chance[rows]
        n = np.bincount(where, minlength=groups)
        positives = np.bincount(where, yes, groups)
        sums, squares = np.bincount(where, weight, groups), np.bincount(where, weight**2, groups)
        rates = np.bincount(where, weight * yes, groups) / np.maximum(sums, 1e-300)
        effective = sums**2 / np.maximum(squares, 1e-300)
        sampled = np.flatnonzero(n)
        cells = []
        for g in np.flatnonzero(sizes).tolist():
            near = sampled[np.argmin(np.abs(sampled - g))] if len(sampled) else -1
            rate = float(rates[near]) if near >= 0 else 0.5
            cells.append(Cell(int(sizes[g]), int(n[g]), int(positives[g]), float(effective[g]), rate, int(n[g])))
        return cells


def _groups(chance: NDArray[np.float64], pool: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Number the rows by chance: one group a distinct value, neighbours within a factor of two joined when many.

    A chance of one (a census) and of zero stay by themselves.
    """
    values, inverse = np.unique(np.round(chance, 12), return_inverse=True)
    if len(np.unique(inverse[pool])) <= _FEW_GROUPS:
        return inverse.astype(np.int64)
    number = np.zeros(len(values), dtype=np.int64)
    start = values[0]
    for i in range(1, len(values)):
        apart = values[i] > 2 * start or values[i] == 1.0
        number[i] = number[i - 1] + apart
        start = values[i] if apart else start
    return number[inverse]


def _refuse_hidden(draws: Sequence[ControlDraw], asked: NDArray[np.bool_]) -> None:
    """Stop when strategies asked about many rows of sampled strata and never met a control row."""
    expected, met = 0.0, 0
    for draw in draws:
        took, sizes = np.bincount(draw.stratum, minlength=len(draw.sizes)), draw.sizes
        later = asked & (draw.assignment >= 0)
        expected += float((took / np.maximum(sizes, 1))[draw.assignment[later]].sum())
        met += int(np.count_nonzero(asked[draw.rows]))
    if met == 0 and expected > _SURELY_HIDDEN:
        raise CampaignError(
            "the strategies were kept from control rows, so the control sample does not stand for the rest of the pool",
            found="no control row among the rows asked about since the draw",
            expected=f"about {expected:.0f}",
            action="Choose queries by emberline.learn.control.ask, and pass the control rows that it meets as known.",
        )


def moved_to_known(inside: list[Cell], outside: list[Cell], counts: Counts) -> tuple[list[Cell], list[Cell], Counts]:
    """Move the control rows from the groups to the known rows, as hits or as true negatives."""
    found = sum(cell.positives for cell in (*inside, *outside))
    drawn = sum(cell.drawn for cell in (*inside, *outside))

    def rest(cells: list[Cell]) -> list[Cell]:
        return [dataclasses.replace(cell, size=cell.size - cell.drawn, drawn=0, positives=0) for cell in cells]

    moved = Counts(counts.hits + found, counts.predicted + found, counts.missed, counts.known + drawn)
    return rest(inside), rest(outside), moved
