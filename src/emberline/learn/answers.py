"""Wrong answers of the oracle: how frequent they are, from questions answered twice, and what they do to counts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from emberline.learn._sample import SAMPLES

__all__ = ["Errors", "Twice", "errors_of_answers"]

_PRIOR = (1.0, 9.0)
_PROPOSALS = 40_000


@dataclasses.dataclass(frozen=True)
class Twice:
    """Spectra that were answered twice, independently: both times a target, once, never."""

    both: int = 0
    once: int = 0
    neither: int = 0

    @classmethod
    def of(cls, pairs: Iterable[tuple[bool, bool]]) -> Twice:
        """Count pairs of answers, each whether it names a target."""
        sums = [first + second for first, second in pairs]
        return cls(sums.count(2), sums.count(1), sums.count(0))

    @property
    def n(self) -> int:
        """All of them."""
        return self.both + self.once + self.neither


@dataclasses.dataclass(frozen=True, eq=False)
class Errors:
    """Draws of the chances of a wrong answer.

    Attributes
    ----------
    miss : (SAMPLES,) float
        That a target is called something else.
    false : (SAMPLES,) float
        That something else is called a target.
    """

    miss: NDArray[np.float64]
    false: NDArray[np.float64]

    def truth(
        self, positives: NDArray[np.float64] | float, total: float, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """How many of `total` spectra are targets if the oracle would call `positives` of them so. (SAMPLES,)"""
        right, missed = self.split(positives, total, rng)
        return right + missed

    def split(
        self, positives: NDArray[np.float64] | float, total: float, rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Targets among those called so, and among the others; the share of all by Rogan & Gladen (1978)."""
        called = np.broadcast_to(np.asarray(positives, dtype=np.float64), (SAMPLES,))
        if total <= 0:
            return np.zeros(SAMPLES), np.zeros(SAMPLES)
        p = np.clip((called / total - self.false) / np.maximum(1 - self.miss - self.false, 1e-9), 0.0, 1.0)
        kept = p * (1 - self.miss) / np.maximum(p * (1 - self.miss) + (1 - p) * self.false, 1e-12)
        lost = p * self.miss / np.maximum(p * self.miss + (1 - p) * (1 - self.false), 1e-12)
        whole = np.rint(called).astype(np.int64)
        others = np.maximum(np.rint(total - called), 0).astype(np.int64)
        return rng.binomial(whole, kept).astype(np.float64), rng.binomial(others, lost).astype(np.float64)


def errors_of_answers(twice: Twice, rng: np.random.Generator, *, elsewhere: tuple[int, int] = (0, 0)) -> Errors | None:
    """The chances of wrong answers, from spectra answered twice: a latent-class model (Dawid & Skene 1979).

    Two answers to one question are taken to err independently, with equal chances, given the truth. What is not seen
    twice over, an error that is made both times, is not in the numbers.

    Parameters
    ----------
    twice : Twice
    rng : numpy.random.Generator
    elsewhere : (int, int)
        Control answers that name a target, and all of them, where targets are not expected: there cannot be more false
        ones among them than these, which bounds the chance of a false answer far better than repeats do.

    Returns
    -------
    Errors or None
        None when nothing was answered twice: the answers are then taken as true.
    """
    if twice.n == 0:
        return None
    miss, false = rng.beta(*_PRIOR, _PROPOSALS), rng.beta(*_PRIOR, _PROPOSALS)
    # Half of the proposals of the false chance lie where it is small: rare targets make that the part that matters.
    small = rng.random(_PROPOSALS) < 0.5
    tight = (1.0, 9.0 + elsewhere[1] + twice.neither)
    false = np.where(small, rng.beta(*tight, _PROPOSALS), false)
    share = rng.random(_PROPOSALS)
    both = share * (1 - miss) ** 2 + (1 - share) * false**2
    once = 2 * (share * miss * (1 - miss) + (1 - share) * false * (1 - false))
    neither = np.maximum(1 - both - once, 1e-300)
    log_weight = sum(
        count * np.log(np.maximum(chance, 1e-300))
        for count, chance in ((twice.both, both), (twice.once, once), (twice.neither, neither))
    )
    log_weight = log_weight + _log_at_most(elsewhere, false) + _log_prior_over_proposal(false, tight)
    weight = np.exp(log_weight - log_weight.max())
    chosen = rng.choice(_PROPOSALS, SAMPLES, p=weight / weight.sum())
    return Errors(miss[chosen], false[chosen])


def _log_at_most(elsewhere: tuple[int, int], false: NDArray[np.float64]) -> NDArray[np.float64]:
    """The log of the chance of no more false answers than there were positive ones."""
    from scipy.stats import binom

    return np.asarray(np.maximum(binom.logcdf(elsewhere[0], max(elsewhere[1], elsewhere[0]), false), -1e3))


def _log_prior_over_proposal(false: NDArray[np.float64], tight: tuple[float, float]) -> NDArray[np.float64]:
    from scipy.stats import beta

    prior = beta.pdf(false, *_PRIOR)
    proposal = 0.5 * prior + 0.5 * beta.pdf(false, *tight)
    return np.asarray(np.log(np.maximum(prior, 1e-300)) - np.log(np.maximum(proposal, 1e-300)))
