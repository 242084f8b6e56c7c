"""Purity and completeness of a catalogue, with intervals, from control samples and from what is known."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from emberline.learn._sample import SAMPLES, Cell, Counts, Sample, moved_to_known, totals
from emberline.learn._tail import Scored, local_weights, log_odds, missed_targets
from emberline.learn.answers import Errors, Twice, errors_of_answers
from emberline.learn.control import Assume, ControlDraw

__all__ = ["Assume", "Estimate", "Estimates", "estimate"]

_FEWEST_POSITIVES = 3


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
    completeness_from_draw : Estimate
        Completeness from the draw alone, whatever is assumed for `completeness`.
    assumed : "scores" or "nothing"
        What `completeness` rests on; ``nothing`` where scores were asked for and there were too few positives to learn
        from.
    miss, false : float or None
        The chances, as estimated, that the oracle misses a target, and calls something else a target; None when
        nothing was answered twice and the answers were taken as true.
    """

    purity: Estimate
    completeness: Estimate
    purity_by_class: dict[int, Estimate]
    labels: int
    unsure: int
    completeness_from_draw: Estimate
    assumed: Assume = "nothing"
    miss: float | None = None
    false: float | None = None


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
    scores: NDArray[np.floating] | None = None,
    threshold: float = 0.5,
    assume: Assume = "scores",
    unseen: float = 0.05,
    twice: Twice | None = None,
) -> Estimates:
    """Estimate purity and completeness of the catalogue `predicted` over the pool.

    The pool is what is known, which is counted, and the rest, which the control sample stands for: its rows are grouped
    by their chance of being in any draw, split by prediction, and within a group the sample is a simple random one. The
    number of targets in each group has a mid-p confidence distribution; intervals are the shortest that hold `level` of
    their sum (Fay, Proschan & Brittain 2015 for the melding). With `scores`, the number of missed targets comes from a
    model of their odds instead, learnt from the same control labels.

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
        Confidence level of the intervals.
    corrected : bool
        Judge the catalogue in which control rows have their answers in place of the model's opinion.
    scores : (N,) float, optional
        The current target probabilities; without them nothing is assumed.
    threshold : float
        From here on a row is a predicted target.
    assume : "scores" or "nothing"
        Whether the missed targets are counted by the scores' odds (see `emberline.learn._tail`).
    unseen : float
        The share of targets that are expected to look like anything else to the network.
    twice : Twice, optional
        What the oracle said to spectra answered twice; the intervals then have room for wrong answers.

    Raises
    ------
    CampaignError
        When the known rows show that control rows were kept from the strategies: the sample then no longer stands for
        the rest of the pool.
    """
    sample = Sample.gather(draws, answers, np.asarray(predicted), known)
    wanted = list(targets)
    total = _judge(sample, wanted, corrected)
    errors = None if twice is None else errors_of_answers(twice, rng, elsewhere=_elsewhere(total.outside))
    purity = total.purity(errors, rng, level)
    by_class = dict.fromkeys(wanted, purity)
    if len(wanted) > 1:
        by_class = {each: _judge(sample, [each], corrected).purity(errors, rng, level) for each in wanted}
    from_draw = total.completeness(errors, rng, level)
    best, assumed = from_draw, "nothing"
    if scores is not None and assume == "scores" and not math.isnan(from_draw.value):
        scored = _scored(sample, wanted, log_odds(scores, threshold), total, unseen)
        if scored is not None:
            missed = missed_targets(scored, rng) + total.drawn_outside
            best, assumed = total.completeness(errors, rng, level, missed), "scores"
    return Estimates(
        purity=purity,
        completeness=best,
        purity_by_class=by_class,
        labels=sum(answer is not None for answer in answers.values()),
        unsure=sum(answer is None for answer in answers.values()),
        completeness_from_draw=from_draw,
        assumed="scores" if assumed == "scores" else "nothing",
        miss=None if errors is None else float(errors.miss.mean()),
        false=None if errors is None else float(errors.false.mean()),
    )


@dataclasses.dataclass(frozen=True)
class _Judged:
    """The groups of unknown rows that are predicted (`inside`) and that are not, and what is known."""

    inside: list[Cell]
    outside: list[Cell]
    counts: Counts

    @property
    def drawn_outside(self) -> int:
        """Targets among the control rows that are not predicted and still count as such."""
        return sum(cell.positives for cell in self.outside)

    def found(
        self, errors: Errors | None, more: NDArray[np.bool_], rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Draws of the targets in the catalogue, and of those that are known to the oracle by another name."""
        inside = totals(self.inside, more, rng)
        if errors is None:
            return inside + self.counts.hits, np.zeros(SAMPLES)
        right, wrong = errors.split(float(self.counts.hits + self.counts.missed), self.counts.known, rng)
        hits = right * (self.counts.hits / max(self.counts.hits + self.counts.missed, 1))
        return hits + errors.truth(inside, sum(cell.size for cell in self.inside), rng), wrong

    def purity(self, errors: Errors | None, rng: np.random.Generator, level: float) -> Estimate:
        """The interval with errors in the answers holds the one without: that there are none is never excluded."""
        trusted = self._purity(None, rng, level)
        return trusted if errors is None else _hull(self._purity(errors, rng, level), trusted)

    def _purity(self, errors: Errors | None, rng: np.random.Generator, level: float) -> Estimate:
        total = self.counts.predicted + sum(cell.size for cell in self.inside)
        n = sum(cell.labels for cell in self.inside)
        if total == 0 or (n == 0 and any(cell.size for cell in self.inside)):
            return _nothing(n)
        found, _ = self.found(errors, rng.random(SAMPLES) < 0.5, rng)
        value = (self.counts.hits + sum(cell.mean() for cell in self.inside)) / total
        return _interval(value if errors is None else None, found / total, n, level)

    def completeness(
        self,
        errors: Errors | None,
        rng: np.random.Generator,
        level: float,
        modelled: NDArray[np.float64] | None = None,
    ) -> Estimate:
        """The interval with errors in the answers holds the one without."""
        trusted = self._completeness(None, rng, level, modelled)
        return trusted if errors is None else _hull(self._completeness(errors, rng, level, modelled), trusted)

    def _completeness(
        self,
        errors: Errors | None,
        rng: np.random.Generator,
        level: float,
        modelled: NDArray[np.float64] | None = None,
    ) -> Estimate:
        n = sum(cell.labels for cell in (*self.inside, *self.outside))
        mean = self.counts.hits + sum(cell.mean() for cell in self.inside)
        mean_missed = self.counts.missed + sum(cell.mean() for cell in self.outside)
        if mean + mean_missed == 0 or (self.outside and not any(cell.labels for cell in self.outside)):
            return _nothing(n)
        more = rng.random(SAMPLES) < 0.5
        found, wrong = self.found(errors, more, rng)
        missed = modelled
        if missed is None:
            missed = totals(self.outside, ~more, rng)
        if errors is not None:
            missed = errors.truth(missed, sum(cell.size for cell in self.outside), rng)
        missed = missed + wrong + self.counts.missed
        plain = errors is None and modelled is None
        # Half a target up or down: the interval ends between whole numbers of missed targets, not always beyond them.
        certain = not any(cell.size > cell.drawn for cell in self.outside) and errors is None
        blurred = missed if certain else np.maximum(missed + rng.random(SAMPLES) - 0.5, 0.0)
        ratio = np.where(found + blurred > 0, found / np.maximum(found + blurred, 1e-9), rng.random(SAMPLES))
        return _interval(mean / (mean + mean_missed) if plain else None, ratio, n, level, shortest=modelled is not None)


def _judge(sample: Sample, classes: list[int], corrected: bool) -> _Judged:
    positive, true = np.isin(sample.predicted, classes), np.isin(sample.truth, classes)
    cells = sample.cells(positive, true, True), sample.cells(positive, true, False)
    counts = sample.counts(positive, true)
    return _Judged(*moved_to_known(*cells, counts)) if corrected else _Judged(*cells, counts)


def _elsewhere(outside: list[Cell]) -> tuple[int, int]:
    """Control answers that name a target, and all of them, among spectra that are not predicted."""
    labels = sum(cell.labels for cell in outside)
    return min(labels, round(sum(cell.rate * cell.labels for cell in outside))), labels


def _scored(sample: Sample, wanted: list[int], x: NDArray[np.float64], total: _Judged, unseen: float) -> Scored | None:
    """The control labels with their scores; None when they hold too few targets, or nothing else, to learn from."""
    true = np.isin(sample.truth, wanted)
    y = true[sample.drawn]
    if np.count_nonzero(y) < _FEWEST_POSITIVES or y.all():
        return None
    open_rows = sample.group >= 0
    open_rows[sample.drawn] = False
    rest = x[open_rows & ~np.isin(sample.predicted, wanted)]
    found = total.counts.hits + sum(cell.mean() for cell in total.inside)
    background = unseen * max(found, 1.0) / max(len(rest), 1)
    weight = local_weights(x[sample.drawn], sample.chance[sample.drawn])
    return Scored(x[sample.drawn], y, weight, rest, min(background, 0.5))


def _interval(
    value: float | None, draws: NDArray[np.float64], n: int, level: float, *, shortest: bool = False
) -> Estimate:
    """The interval with equal tails, or the shortest, that holds `level` of the draws; `value` is made to lie in it."""
    value = float(np.median(draws)) if value is None else float(value)
    ordered = np.sort(draws)
    width = min(math.ceil(level * len(ordered)), len(ordered) - 1)
    begin = (len(ordered) - width) // 2
    if shortest:
        begin = int(np.argmin(ordered[width:] - ordered[: len(ordered) - width]))
    low, high = float(ordered[begin]), float(ordered[min(begin + width, len(ordered) - 1)])
    return Estimate(value, min(low, value), max(high, value), n)


def _hull(estimate: Estimate, other: Estimate) -> Estimate:
    """The estimate with an interval that holds the other's too."""
    return dataclasses.replace(estimate, low=min(estimate.low, other.low), high=max(estimate.high, other.high))


def _nothing(n: int) -> Estimate:
    return Estimate(math.nan, math.nan, math.nan, n)
