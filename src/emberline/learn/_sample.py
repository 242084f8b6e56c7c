"""Control labels as an estimate sees them: groups of rows of equal chance, split by today's prediction."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from emberline.errors import CampaignError
from emberline.learn.control import ControlDraw
from emberline.learn.strategies import Rows

__all__ = ["SAMPLES", "Cell", "Counts", "Sample", "moved_to_known", "totals"]

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

    def unseen(self) -> float:
        """How many positives the cell could hold, at 95 %, if its labels had found none."""
        return (self.size - self.drawn) * (1 - 0.05 ** (1 / self.effective)) if self.labels else 0.0

    def draws(self, more: NDArray[np.bool_], worst: bool, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draws from a confidence distribution of the number of positives; see `totals`. (SAMPLES,)

        The tail of a hypergeometric distribution over the population's positives is that of a beta-binomial one, so no
        test need be inverted. Where the cell is not the worst, the beta distribution has the mean and the unbiased
        variance of the sampled share. Without a sample the bounds are none and all.
        """
        rest = self.size - self.drawn
        if rest == 0:
            return np.full(SAMPLES, float(self.positives))
        if self.labels == 0:
            return np.where(more, float(rest), 0.0)
        n = self.effective
        if worst:
            yes, no = self.rate * n + more, (1 - self.rate) * n + ~more
        else:
            counted = max(n - 2, 1e-3)
            yes, no = np.full(SAMPLES, self.rate * counted), np.full(SAMPLES, (1 - self.rate) * counted)
        tiny = 1e-12
        share = rng.beta(np.maximum(yes, tiny), np.maximum(no, tiny))
        share = np.where(yes < tiny, 0.0, np.where(no < tiny, 1.0, share))
        return np.asarray(self.positives + rng.binomial(rest, share), dtype=np.float64)


def totals(cells: Sequence[Cell], more: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float64]:
    """Draws from the confidence distributions of the number of positives in all cells together. (SAMPLES,)

    From the upper one where `more`, else from the lower; an even mixture of both is the mid-p distribution. Of one cell
    it is the exact one. Of several, the bound of each would add one positive (or one negative) that was not seen to
    every cell, which is far too wide: it is added once, to the cell where it counts for the most, the worst place where
    it could be (Fay & Feuer 1997; Fay & Kim 2017 for mid-p).
    """
    worst = int(np.argmax([cell.unseen() for cell in cells])) if cells else 0
    return sum((cell.draws(more, place == worst, rng) for place, cell in enumerate(cells)), np.zeros(SAMPLES))


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
        group = np.where(pool, _groups(draws, 1 - missed, pool), -1)
        rows = np.unique(np.concatenate(drawn)) if drawn else np.empty(0, dtype=np.int64)
        return cls(predicted, truth, asked & (truth >= 0), group, 1 - missed, rows)

    def counts(self, positive: NDArray[np.bool_], true: NDArray[np.bool_]) -> Counts:
        """What the known rows add to the sums."""
        parts = (positive & true, positive, ~positive & true, np.ones_like(true))
        return Counts(*(int(np.count_nonzero(self.known & part)) for part in parts))

    def cells(self, positive: NDArray[np.bool_], true: NDArray[np.bool_], side: bool) -> list[Cell]:
        """The groups of unknown rows on one side of the prediction; one without labels is joined to a neighbour.

        A group for which no neighbour has labels borrows the nearest rate for its value.
        """
        groups = self.group.max(initial=-1) + 1
        rows = np.flatnonzero((positive == side) & (self.group >= 0))
        drawn = self.drawn[positive[self.drawn] == side]
        sizes, n = np.bincount(self.group[rows], minlength=groups), np.bincount(self.group[drawn], minlength=groups)
        chances = np.bincount(self.group[rows], self.chance[rows], groups) / np.maximum(sizes, 1)
        block = _joined(sizes, n, chances)
        count = int(block.max(initial=-1)) + 1
        where, weight = block[self.group[drawn]], 1 / self.chance[drawn]
        sizes, n = np.bincount(block, sizes, count).astype(int), np.bincount(block, n, count).astype(int)
        positives = np.bincount(where, true[drawn], count)
        sums, squares = np.bincount(where, weight, count), np.bincount(where, weight**2, count)
        rates = np.bincount(where, weight * true[drawn], count) / np.maximum(sums, 1e-300)
        effective = sums**2 / np.maximum(squares, 1e-300)
        sampled = np.flatnonzero(n)
        cells = []
        for g in np.flatnonzero(sizes).tolist():
            near = sampled[np.argmin(np.abs(sampled - g))] if len(sampled) else -1
            rate = float(rates[near]) if near >= 0 else 0.5
            cells.append(Cell(int(sizes[g]), int(n[g]), int(positives[g]), float(effective[g]), rate, int(n[g])))
        return cells


def _joined(sizes: NDArray[np.int64], n: NDArray[np.int64], chances: NDArray[np.float64]) -> NDArray[np.int64]:
    """The block of each group: one without labels is joined to a neighbour whose chance is within a factor of four.

    Groups that were labelled whole, and those of chance zero, stay by themselves.
    """
    block = np.zeros(len(sizes), dtype=np.int64)
    number, labels, first = -1, 0, 0.0
    for g in np.flatnonzero(sizes).tolist():
        near = first > 0 and chances[g] <= 4 * first and n[g] < sizes[g]
        if number < 0 or not (near and (labels == 0 or n[g] == 0)):
            number, labels, first = number + 1, 0, float(chances[g]) if n[g] < sizes[g] else 0.0
        labels += int(n[g])
        block[g] = number
    return block


def _groups(draws: Sequence[ControlDraw], chance: NDArray[np.float64], pool: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Number the rows by chance: one group a distinct value, neighbours within a factor of two joined when many.

    A chance of one (a census) and of zero stay by themselves. Rows that lay in the same strata have the same chance, so
    that only one row of each combination need be looked at.
    """
    combination = np.zeros(len(pool), dtype=np.int64)
    for draw in draws:
        combination = combination * (len(draw.sizes) + 1) + draw.assignment + 1
        present = np.zeros(int(combination.max(initial=0)) + 1, dtype=np.int64)
        present[combination] = 1
        combination = (np.cumsum(present) - 1)[combination]
    values = np.zeros(int(combination.max(initial=0)) + 1)
    values[combination[pool]] = chance[pool]
    used = np.bincount(combination[pool], minlength=len(values)) > 0
    levels, inverse = np.unique(np.round(values, 12), return_inverse=True)
    number = np.arange(len(levels))
    if len(np.unique(inverse[used])) > _FEW_GROUPS:
        number[0], start = 0, levels[0]
        for i in range(1, len(levels)):
            apart = levels[i] > 2 * start or levels[i] == 1.0
            number[i] = number[i - 1] + apart
            start = levels[i] if apart else start
    return np.asarray(number[inverse][combination], dtype=np.int64)


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
