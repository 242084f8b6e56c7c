"""How many targets lie where nobody looked, if the network's scores order the pool as they do among control labels."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from emberline.learn._sample import SAMPLES

__all__ = ["Scored", "local_weights", "log_odds", "missed_targets"]

_FREEDOM = 5.0
_EDGE = 1e-7
_INTERCEPT, _SLOPE, _BEND = 4.0, 1.0, 0.5
_KNOTS = (0.1, 0.3, 0.5, 0.7, 0.9)
_BINS = 200
_PROPOSALS = 4_000
_NEIGHBOURS = 25


def log_odds(scores: NDArray[np.floating], threshold: float) -> NDArray[np.float64]:
    """Log odds of each score against those of the threshold; scores of 0 and 1 are taken as 10⁻⁷ from there. (N,)"""
    clipped = np.clip(np.where(np.isfinite(scores), scores, 0.0).astype(np.float64), _EDGE, 1 - _EDGE)
    return np.asarray(logit(clipped) - logit(threshold), dtype=np.float64)


def local_weights(x: NDArray[np.float64], chance: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weight of each control answer in a likelihood. (n,)

    Among rows of like score, those that earlier draws preferred were likelier targets by an earlier network. Answers
    are therefore weighted by the inverse of their chance of being drawn; in each run of 25 neighbours in score the
    weights sum to their effective number (Kish 1965), so that no run counts for more than its answers.
    """
    weight = 1 / chance
    order = np.argsort(x, kind="stable")
    result = np.empty(len(x))
    for part in np.array_split(order, max(len(x) // _NEIGHBOURS, 1)):
        w = weight[part]
        result[part] = w * w.sum() / np.maximum((w**2).sum(), 1e-300)
    return result


@dataclasses.dataclass(frozen=True, eq=False)
class Scored:
    """Control labels with their scores, and the scores of the unlabelled rows that are not predicted.

    Attributes
    ----------
    x : (n,) float
        Log odds of the control rows, zero at the threshold.
    y : (n,) bool
        Whether each is a target.
    weight : (n,) float
        How many answers each counts for: see `local_weights`.
    rest : (m,) float
        The same of the rows whose targets are to be counted.
    background : float
        The expected share of targets among rows whose score says nothing of them.
    """

    x: NDArray[np.float64]
    y: NDArray[np.bool_]
    weight: NDArray[np.float64]
    rest: NDArray[np.float64]
    background: float

    @functools.cached_property
    def _knots(self) -> NDArray[np.float64]:
        return np.unique(np.quantile(self.x, _KNOTS))

    def _steps(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far each of `x` goes through each piece, from the threshold on: one more piece than knots. (n, pieces)"""
        ends = np.concatenate([[-np.inf], self._knots, [np.inf]])
        steps = np.clip(x[:, None], ends[:-1], ends[1:]) - np.clip(0.0, ends[:-1], ends[1:])
        return np.asarray(steps, dtype=np.float64)

    def _shares(
        self, theta: NDArray[np.float64], background: NDArray[np.float64], steps: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The share of targets at some scores under each of k parameter vectors. (k, n)"""
        odds = theta[:, :1] + np.exp(np.clip(theta[:, 1:], -8, 8)) @ steps.T
        return np.clip(background[:, None] + (1 - background[:, None]) * expit(odds), 1e-12, 1 - 1e-12)

    def _log_posterior(self, theta: NDArray[np.float64], background: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of k vectors of intercept and log slopes; the slopes of neighbouring pieces are alike. (k,)"""
        p = self._shares(theta, background, self._own_steps)
        likelihood = np.log(np.where(self.y[None, :], p, 1 - p)) @ self.weight
        bends = np.diff(theta[:, 1:], axis=1)
        prior = (theta[:, 0] / _INTERCEPT) ** 2 + (theta[:, 1] / _SLOPE) ** 2 + ((bends / _BEND) ** 2).sum(axis=1)
        return np.asarray(likelihood - 0.5 * prior)

    def _gradient(self, theta: NDArray[np.float64], background: float) -> NDArray[np.float64]:
        """Of the log posterior, by intercept and log slopes. (size,)"""
        slopes = np.exp(np.clip(theta[1:], -8, 8))
        rise = expit(theta[0] + self._own_steps @ slopes)
        p = np.clip(background + (1 - background) * rise, 1e-12, 1 - 1e-12)
        by_odds = self.weight * np.where(self.y, 1 / p, -1 / (1 - p)) * (1 - background) * rise * (1 - rise)
        by_slope = slopes * (np.abs(theta[1:]) < 8) * (by_odds @ self._own_steps)
        bends = np.diff(theta[1:]) / _BEND**2
        by_slope += np.append(bends, 0.0) - np.append(0.0, bends)
        by_slope[0] -= theta[1] / _SLOPE**2
        return np.append(by_odds.sum() - theta[0] / _INTERCEPT**2, by_slope)

    @functools.cached_property
    def _own_steps(self) -> NDArray[np.float64]:
        return self._steps(self.x)

    def missed(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draws of the number of targets among `rest`. (SAMPLES,)"""
        theta, background = self._posterior(rng)
        edges = np.linspace(self.rest.min(), self.rest.max() + 1e-9, _BINS + 1)
        count, _ = np.histogram(self.rest, edges)
        middle = np.histogram(self.rest, edges, weights=self.rest)[0] / np.maximum(count, 1)
        middle, count = middle[count > 0], count[count > 0]
        total = rng.binomial(count, self._shares(theta, background, self._steps(middle))).sum(axis=1)
        return rng.choice(total, SAMPLES).astype(np.float64)

    def _posterior(self, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Importance sampling around the mode, by a multivariate t distribution; resampled to equal weights."""
        size = len(self._knots) + 2
        expected = np.array([self.background])

        def cost(theta: NDArray[np.float64]) -> float:
            return -float(self._log_posterior(theta[None], expected)[0])

        def slope(theta: NDArray[np.float64]) -> NDArray[np.float64]:
            return -self._gradient(theta, self.background)

        found = minimize(cost, np.zeros(size), jac=slope)
        spread = np.linalg.cholesky(_positive(np.asarray(found.hess_inv)) * 1.3)
        z = rng.standard_normal((_PROPOSALS, size)) / np.sqrt(rng.chisquare(_FREEDOM, (_PROPOSALS, 1)) / _FREEDOM)
        theta = found.x + z @ spread.T
        background = np.minimum(rng.exponential(self.background, _PROPOSALS), 0.5)
        log_weight = self._log_posterior(theta, background)
        log_weight += (_FREEDOM + size) / 2 * np.log1p((z**2).sum(axis=1) / _FREEDOM)
        weight = np.exp(log_weight - log_weight.max())
        chosen = rng.choice(_PROPOSALS, _PROPOSALS // 2, p=weight / weight.sum())
        return theta[chosen], background[chosen]


def _positive(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The matrix with eigenvalues that are not tiny, negative or absurd."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return np.asarray((vectors * np.clip(values, 1e-4, 16.0)) @ vectors.T)


def missed_targets(scored: Scored, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draws from the posterior of the number of targets among the rows of `scored.rest`. (SAMPLES,)

    The log odds of being a target are taken to rise with those of the score, by a slope that is learnt from the control
    labels and changes slowly (by about e^0.5 from one piece to the next), above a background of targets that the score
    does not see.
    """
    if len(scored.rest) == 0:
        return np.zeros(SAMPLES)
    return scored.missed(rng)
