"""Purity and completeness of a catalogue, with intervals, from control samples and from what is known."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from emberline.errors import CampaignError
from emberline.learn.control import ControlDraw
from emberline.learn.strategies import Rows

__all__ = ["Estimate", "Estimates", "estimate"]

_SAMPLES = 20_000
_SURELY_HIDDEN = 20.0


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A value with its interval, and the number `n` of control labels behind it; nan where nothing can be said."""

    value: float
    low: float
    high: float
    n: int


@dataclasses.dataclass(frozen=True)
class Estimates:
    """What the control labels say of the catalogue.

    Attributes
    ----------
    purity : Estimate
        The share of the spectra predicted as any target that are a target of any class.
    completeness : Estimate
        The share of all targets that are predicted as a target.
    purity_by_class : dict of int to Estimate
        For each target class, the share of the spectra predicted as this class that are of this class.
    labels : int
        Control answers that name a class, asked-for control rows included.
    unsure : int
        Control answers that name none; they are left out, as if not drawn.
    """

    purity: Estimate
    completeness: Estimate
    purity_by_class: dict[int, Estimate]
    labels: int
    unsure: int


def estimate(
    draws: Sequence[ControlDraw],
    answers: Mapping[int, int | None],
    predicted: NDArray[np.int64],
    known: Mapping[int, int | None],
    targets: Collection[int],
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    corrected: bool = False,
) -> Estimates:
    """Estimate purity and completeness of the catalogue `predicted` over the pool.

    The pool is what is known, which is counted, and the rest, which the control sample stands for: its rows are grouped
    by their chance of being in any draw, split by prediction, and within a group the sample is a simple random one. The
    interval melds the exact hypergeometric confidence distributions of the groups (Fay, Proschan & Brittain 2015); for
    one group it is the exact (Clopper–Pearson type) interval for a finite population.

    Parameters
    ----------
    draws : sequence of ControlDraw
        All control draws so far, under whatever strata and models.
    answers : mapping of row to class
        Answers to control questions; a missing row is not yet answered, None is "not sure".
    predicted : (N,) int
        The class of each row in the catalogue to be judged, from the current model; for known rows their label. For
        control rows too it must be the model's, not their answer.
    known : mapping of row to class
        Every row of the pool that was labelled at the start or chosen by a strategy, control rows that a strategy chose
        (see `emberline.learn.control.ask`) included. None, "not sure", takes the row out of the pool.
    targets : collection of int
        The classes that are searched for.
    rng : numpy.random.Generator
        For the Monte Carlo sums.
    level : float
        Confidence level of the intervals, two-sided with equal tails.
    corrected : bool
        Judge the catalogue in which control rows have their answers in place of the model's opinion.

    Raises
    ------
    CampaignError
        When the known rows show that control rows were kept from the strategies: the sample then no longer stands for
        the rest of the pool.
    """
    sample = _Sample.gather(draws, answers, np.asarray(predicted), known)
    wanted = list(targets)

    def judge(classes: list[int]) -> tuple[list[_Cell], list[_Cell], _Counts]:
        positive = np.isin(sample.predicted, classes)
        true = np.isin(sample.truth, classes)
        cells = sample.cells(positive, true, True), sample.cells(positive, true, False)
        counts = sample.counts(positive, true)
        return _corrected(*cells, counts) if corrected else (*cells, counts)

    inside, outside, counts = judge(wanted)
    by_class = {}
    for target in wanted:
        cells, _, own = judge([target])
        by_class[target] = _purity(cells, own, rng, level)
    return Estimates(
        purity=_purity(inside, counts, rng, level),
        completeness=_completeness(inside, outside, counts, rng, level),
        purity_by_class=by_class,
        labels=sum(answer is not None for answer in answers.values()),
        unsure=sum(answer is None for answer in answers.values()),
    )


@dataclasses.dataclass(frozen=True)
class _Counts:
    """Known rows: predicted (true and false) targets, and missed ones."""

    hits: int
    predicted: int
    missed: int


@dataclasses.dataclass(frozen=True)
class _Cell:
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

    def totals(self, more: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draws from the lower (`more` = 0) or upper (1) confidence distribution of the number of positives.

        The tail of a hypergeometric distribution over the population's positives is that of a beta-binomial one, so no
        test need be inverted. Without a sample the bounds are none and all.
        """
        rest = self.size - self.drawn
        if rest == 0:
            return np.full(_SAMPLES, float(self.positives))
        if self.labels == 0:
            return np.full(_SAMPLES, float(rest * more))
        yes = self.rate * self.effective + more
        no = (1 - self.rate) * self.effective + 1 - more
        share = rng.beta(yes, no, _SAMPLES) if min(yes, no) > 0 else np.full(_SAMPLES, float(yes > 0))
        return self.positives + rng.binomial(rest, share).astype(np.float64)


@dataclasses.dataclass(frozen=True, eq=False)
class _Sample:
    """The pool as an estimate sees it.

    `truth` is -1 where it is not known; `group` is -1 for known rows and rows outside of the pool; `chance` is the
    probability of having been drawn and answered.
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
    ) -> _Sample:
        """Take the known rows out of every draw, and work out the chances of the others."""
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

    def counts(self, positive: NDArray[np.bool_], true: NDArray[np.bool_]) -> _Counts:
        """What the known rows add to the sums."""
        parts = (positive & true, positive, ~positive & true)
        return _Counts(*(int(np.count_nonzero(self.known & part)) for part in parts))

    def cells(self, positive: NDArray[np.bool_], true: NDArray[np.bool_], side: bool) -> list[_Cell]:
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
            cells.append(_Cell(int(sizes[g]), int(n[g]), int(positives[g]), float(effective[g]), rate, int(n[g])))
        return cells


def _groups(chance: NDArray[np.float64], pool: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Number the rows by chance: one group a distinct value, neighbours within a factor of two joined when many.

    A chance of one (a census) and of zero stay by themselves.
    """
    values, inverse = np.unique(np.round(chance, 12), return_inverse=True)
    if len(np.unique(inverse[pool])) <= 6:
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


def _corrected(inside: list[_Cell], outside: list[_Cell], counts: _Counts) -> tuple[list[_Cell], list[_Cell], _Counts]:
    """Move the control rows from the groups to the known rows, as hits or as true negatives."""
    found = sum(cell.positives for cell in (*inside, *outside))

    def rest(cells: list[_Cell]) -> list[_Cell]:
        return [dataclasses.replace(cell, size=cell.size - cell.drawn, drawn=0, positives=0) for cell in cells]

    return rest(inside), rest(outside), _Counts(counts.hits + found, counts.predicted + found, counts.missed)


def _purity(cells: list[_Cell], counts: _Counts, rng: np.random.Generator, level: float) -> Estimate:
    total = counts.predicted + sum(cell.size for cell in cells)
    n = sum(cell.labels for cell in cells)
    if total == 0 or (n == 0 and any(cell.size for cell in cells)):
        return _nothing(n)
    low = sum((cell.totals(0, rng) for cell in cells), np.full(_SAMPLES, float(counts.hits)))
    high = sum((cell.totals(1, rng) for cell in cells), np.full(_SAMPLES, float(counts.hits)))
    value = (counts.hits + sum(cell.mean() for cell in cells)) / total
    return _interval(value, low / total, high / total, n, level)


def _completeness(
    inside: list[_Cell], outside: list[_Cell], counts: _Counts, rng: np.random.Generator, level: float
) -> Estimate:
    n = sum(cell.labels for cell in (*inside, *outside))
    found = counts.hits + sum(cell.mean() for cell in inside)
    missed = counts.missed + sum(cell.mean() for cell in outside)
    if found + missed == 0 or (outside and not any(cell.labels for cell in outside)):
        return _nothing(n)

    def ratio(more: int) -> NDArray[np.float64]:
        hits = sum((cell.totals(more, rng) for cell in inside), np.full(_SAMPLES, float(counts.hits)))
        misses = sum((cell.totals(1 - more, rng) for cell in outside), np.full(_SAMPLES, float(counts.missed)))
        return np.where(hits + misses > 0, hits / np.maximum(hits + misses, 1), float(more))

    return _interval(found / (found + missed), ratio(0), ratio(1), n, level)


def _interval(value: float, low: NDArray[np.float64], high: NDArray[np.float64], n: int, level: float) -> Estimate:
    tail = (1 - level) / 2
    bottom, top = float(np.quantile(low, tail)), float(np.quantile(high, 1 - tail))
    return Estimate(float(value), min(bottom, float(value)), max(top, float(value)), n)


def _nothing(n: int) -> Estimate:
    return Estimate(math.nan, math.nan, math.nan, n)
