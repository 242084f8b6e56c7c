"""Make a probability true of the pool: what the network says, corrected by answers that it had not learnt from."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from emberline.learn._sample import Sample
from emberline.learn._tail import log_odds
from emberline.learn.control import ControlDraw

__all__ = ["Evidence", "PoolCalibration", "faded"]

_FEWEST = 10
_SHIFT, _STRETCH = 4.0, 0.5
_OF_QUERIES, _FADING = 0.3, 0.1
_SIDE = 33
_REFINED = 4
_NEGLIGIBLE = 12.0
_EDGE, _TINY = 16.2, 1e-12
_CELL = 0.02
_STRIP, _MOST = 1.0, 4.0
_POINTS = 325


@dataclasses.dataclass(frozen=True, eq=False)
class Evidence:
    """Answers to spectra of which a network had said something without having learnt from them.

    Attributes
    ----------
    x : (n,) float64
        The log odds of a target that the network had stated.
    y : (n,) bool
        Whether the oracle called it a target.
    weight : (n,) float64
        How many answers each counts for.
    """

    x: NDArray[np.float64]
    y: NDArray[np.bool_]
    weight: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.x)

    @classmethod
    def none(cls) -> Evidence:
        """No answers at all."""
        return cls(np.empty(0), np.empty(0, bool), np.empty(0))

    @classmethod
    def of_control(
        cls,
        draws: Sequence[ControlDraw],
        answers: Mapping[int, int | None],
        known: Mapping[int, int | None],
        targets: Collection[int],
        scores: NDArray[np.floating],
    ) -> Evidence:
        """The control answers that still stand for the rest of the pool, each with its weight.

        How frequently a score was drawn matters not for the share of targets at that score. But earlier draws
        preferred what an earlier network thought likely, and of rows of like score those are likelier targets. So each
        answer counts as the mean chance of being drawn at its score over its own (stabilised weights: Robins, Hernán &
        Brumback 2000), at most four.

        Parameters
        ----------
        draws, answers, known : as for `emberline.learn.estimate.estimate`
        targets : collection of int
            The classes that are searched for.
        scores : (N,) float
            What the network that is to be calibrated says of the pool.

        Raises
        ------
        CampaignError
            When the known rows show that control rows were kept from the strategies.
        """
        sample = Sample.gather(draws, answers, np.zeros(len(scores), np.int64), known)
        rows = sample.drawn
        x = log_odds(scores, 0.5)
        there = sample.group >= 0
        weight = _stabilised(x[there], sample.chance[there], x[rows], sample.chance[rows])
        return cls(x[rows], np.isin(sample.truth[rows], list(targets)), weight)

    @classmethod
    def of_queries(cls, scores: NDArray[np.floating], is_target: NDArray[np.bool_], weight: float = 1.0) -> Evidence:
        """Answers to what a strategy asked, with what the network of that round had said before. (n,) each"""
        return cls(log_odds(scores, 0.5), np.asarray(is_target, bool), np.full(len(scores), weight))

    @classmethod
    def join(cls, parts: Sequence[Evidence]) -> Evidence:
        """All of it."""
        return cls(*(np.concatenate([getattr(one, name) for one in parts]) for name in ("x", "y", "weight")))

    def binned(self, bins: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        """A reliability diagram: in equal bins of the stated probability, those with answers.

        Returns
        -------
        stated, share : (b,) float64
            The mean stated probability and the share of targets, both weighted.
        count : (b,) int64
            The answers.
        """
        stated = expit(self.x)
        at = np.minimum((stated * bins).astype(np.int64), bins - 1)
        count = np.bincount(at, minlength=bins)
        sums = [np.bincount(at, self.weight * values, bins) for values in (np.ones(len(at)), stated, self.y)]
        there = sums[0] > 0
        return sums[1][there] / sums[0][there], sums[2][there] / sums[0][there], count[there]


@dataclasses.dataclass(frozen=True, eq=False)
class PoolCalibration:
    """A rising curve from the probability that a network states to the one that holds in the pool.

    Attributes
    ----------
    x : (g,) float64
        Stated log odds.
    value, low, high : (g,) float64
        The probability of a target there, and its interval: rising all three.
    intercept, slope : float
        Of the log odds that hold against those that were stated, as they are most probable: 0 and 1 where nothing is
        corrected. A negative intercept says that the network states too much, a slope below 1 that it is too sure.
    labels, targets : int
        The answers behind it, and how many were targets.
    """

    x: NDArray[np.float64]
    value: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    intercept: float
    slope: float
    labels: int
    targets: int

    @property
    def corrects(self) -> bool:
        """Whether there were answers enough to correct anything."""
        return self.labels >= _FEWEST

    @classmethod
    def fit(cls, evidence: Evidence, *, background: float = 0.0, level: float = 0.95) -> PoolCalibration:
        """Learn intercept and slope of the log odds from answers (Platt 1999), and keep what they leave uncertain.

        The chance of a target at stated log odds x is ``background + (1 - background) expit(a + b x)``. A priori a is
        normal around 0 with 4, and ln b with 0.5; with fewer than ten answers the curve is what was stated. The value
        is the mean over the posterior, so that it is neither too low nor too high on average over campaigns; the
        interval has equal tails.

        Parameters
        ----------
        evidence : Evidence
        background : float
            The share of targets among spectra of which the network sees nothing.
        level : float
            Of the interval.
        """
        labels, targets = len(evidence), int(np.count_nonzero(evidence.y))
        x = np.linspace(-_EDGE, _EDGE, _POINTS)
        if labels < _FEWEST:
            unknown = np.full(len(x), np.nan)
            return cls(x, expit(x), unknown, unknown, 0.0, 1.0, labels, targets)
        theta, weight = _posterior(evidence, background)
        curves = _chance(theta, background, x)
        low, high = _quantiles(curves, weight, ((1 - level) / 2, (1 + level) / 2))
        value = weight @ curves
        best = theta[int(np.argmax(weight))]
        ends = np.minimum(low, value), np.maximum(high, value)
        return cls(x, value, *ends, float(best[0]), float(best[1]), labels, targets)

    def __call__(self, stated: NDArray[Any]) -> NDArray[np.float32]:
        """The calibrated probability of each stated one; never in another order. (n,)"""
        return self._read(stated, self.value)

    def interval(self, stated: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Between which ends the calibrated probability lies. (n,) each"""
        return self._read(stated, self.low), self._read(stated, self.high)

    def _read(self, stated: NDArray[Any], curve: NDArray[np.float64]) -> NDArray[np.float32]:
        """In log odds, where curves are nearly straight lines."""
        odds = np.interp(log_odds(stated, 0.5), self.x, logit(np.clip(curve, _TINY, 1 - _TINY)))
        return np.asarray(expit(odds), dtype=np.float32)


def _stabilised(
    pool: NDArray[np.float64], chances: NDArray[np.float64], x: NDArray[np.float64], chance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The mean chance of being drawn of rows of the pool at like log odds, over an answer's own. (n,)"""
    edges = np.arange(-_EDGE, _EDGE + _STRIP, _STRIP)
    place, own = (np.digitize(values, edges) for values in (pool, x))
    count = np.bincount(place, minlength=len(edges) + 1)
    mean = np.bincount(place, chances, len(edges) + 1) / np.maximum(count, 1)
    return np.asarray(np.minimum(mean[own] / np.maximum(chance, _TINY), _MOST), dtype=np.float64)


def faded(rounds: int) -> float:
    """How much an answer to a query counts that tested the network of some rounds ago.

    Less than a control answer, since a strategy that asks for unlike spectra asks for unusual ones; and a tenth of that
    for each round since, because networks change.
    """
    return _OF_QUERIES * _FADING**rounds


def _chance(theta: NDArray[np.float64], background: float, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The chance of a target at some log odds under each of k pairs of intercept and slope. (k, n)"""
    return background + (1 - background) * expit(theta[:, :1] + theta[:, 1:] * x)


def _posterior(evidence: Evidence, background: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pairs of intercept and slope on a grid, and their weights. (k, 2) and (k,)

    The grid is over the log odds at the middle of the evidence and the log of the slope, which depend little on each
    other, and is drawn together around what is not negligible.
    """
    evidence = _condensed(evidence)
    middle = _middle(evidence)
    a, s = np.linspace(-24, 24, _SIDE), np.linspace(-2.5, 2.5, _SIDE)
    for _ in range(_REFINED):
        stretch = np.exp(s)
        theta = np.stack([(a[:, None] - stretch * middle).ravel(), np.tile(stretch, len(a))], axis=1)
        log_weight = _log_posterior(theta, evidence, background)
        table = np.reshape(log_weight - log_weight.max(), (len(a), len(s)))
        a, s = _around(a, table.max(axis=1)), _around(s, table.max(axis=0))
    weight = np.exp(log_weight - log_weight.max())
    return theta, weight / weight.sum()


def _condensed(evidence: Evidence) -> Evidence:
    """Answers alike at log odds that differ by less than 0.02, together: thousands cost no more than some hundred."""
    cell = 2 * np.round(evidence.x / _CELL).astype(np.int64) + evidence.y
    cells, place = np.unique(cell, return_inverse=True)
    weight = np.asarray(np.bincount(place, evidence.weight, len(cells)), np.float64)
    x = np.bincount(place, evidence.weight * evidence.x, len(cells)) / np.maximum(weight, _TINY)
    return Evidence(x, cells % 2 == 1, weight)


def _middle(evidence: Evidence) -> float:
    """The log odds where the evidence says most, on what the network states."""
    share = expit(evidence.x)
    weight = evidence.weight * np.maximum(share * (1 - share), 1e-6)
    return float((weight * evidence.x).sum() / weight.sum()) if len(evidence) else 0.0


def _around(axis: NDArray[np.float64], log_weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """As many places between the neighbours of the outermost that are not negligible."""
    there = np.flatnonzero(log_weight > -_NEGLIGIBLE)
    return np.linspace(axis[max(there[0] - 1, 0)], axis[min(there[-1] + 1, len(axis) - 1)], len(axis))


def _log_posterior(theta: NDArray[np.float64], evidence: Evidence, background: float) -> NDArray[np.float64]:
    """Of k pairs of intercept and slope. (k,)"""
    prior = (theta[:, 0] / _SHIFT) ** 2 + (np.log(theta[:, 1]) / _STRETCH) ** 2
    p = np.clip(_chance(theta, background, evidence.x), 1e-12, 1 - 1e-12)
    return np.asarray(np.log(np.where(evidence.y, p, 1 - p)) @ evidence.weight - 0.5 * prior)


def _quantiles(
    curves: NDArray[np.float64], weight: NDArray[np.float64], shares: tuple[float, float]
) -> list[NDArray[np.float64]]:
    """Weighted quantiles of k curves at each of their g points. (g,) each"""
    order = np.argsort(curves, axis=0)
    below = np.cumsum(weight[order], axis=0)
    ends = [np.argmax(below >= share - 1e-12, axis=0) for share in shares]
    return [np.take_along_axis(curves, np.take_along_axis(order, end[None], 0), 0)[0] for end in ends]
