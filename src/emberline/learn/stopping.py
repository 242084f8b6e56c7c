"""When to stop: how many new targets the next labels would bring, and with what certainty."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import gamma

__all__ = ["Gain", "Yield", "expected_gain", "expected_of_best", "gain_of_next", "worth_stopping"]

_PRIOR = 1.0
_FADING = 0.3
_LEAST = 0.05
_FEWEST = 50


@dataclasses.dataclass(frozen=True)
class Yield:
    """One round of queries: how many labels, how many new targets, and how many the scores had promised.

    `promised` is the sum of the highest target probabilities of the spectra that could be asked about, as many as there
    were labels.
    """

    labels: int
    targets: int
    promised: float


@dataclasses.dataclass(frozen=True)
class Gain:
    """Expected new targets per 100 labels of the next round, with a 95 % interval.

    `n` labels are behind it, and the last round brought `last` new targets per 100 labels.
    """

    value: float
    low: float
    high: float
    n: int
    last: float = 0.0


def expected_of_best(scores: NDArray[np.floating], available: NDArray[np.bool_], labels: int) -> float:
    """The sum of the `labels` highest target probabilities among the available spectra; not finite counts as zero."""
    open_scores = np.where(np.isfinite(scores), scores, 0.0)[available]
    count = min(labels, len(open_scores))
    if count == 0:
        return 0.0
    return float(np.partition(open_scores, len(open_scores) - count)[len(open_scores) - count :].sum(dtype=np.float64))


def gain_of_next(rounds: Sequence[Yield], promised: float, level: float = 0.95) -> Gain | None:
    """What the next 100 labels bring, if strategy and network go on as they did.

    New targets of a round are taken as Poisson with mean factor × promised. The factor, by which the network promises
    too much or too little and the strategy takes less than the best, has a gamma prior with mean 1 and the weight of
    one promised target; each earlier round counts 0.3 of the one after it, because networks change.

    Parameters
    ----------
    rounds : sequence of Yield
        The rounds that asked, in order.
    promised : float
        The sum of the 100 highest target probabilities of what has not been asked about.
    level : float
        Of the interval, with equal tails.

    Returns
    -------
    Gain or None
        None before the first round of queries.
    """
    asked = [one for one in rounds if one.labels > 0]
    if not asked:
        return None
    weights = _FADING ** np.arange(len(asked))[::-1]
    # A network that promises next to nothing cannot vouch for it: twentieths of a target count as such.
    shape = _PRIOR + float(sum(w * one.targets for w, one in zip(weights, asked, strict=True)))
    rate = _PRIOR + float(sum(w * max(one.promised, _LEAST) for w, one in zip(weights, asked, strict=True)))
    scale = max(promised, _LEAST) / rate
    tail = (1 - level) / 2
    low, high = (float(gamma.ppf(share, shape, scale=scale)) for share in (tail, 1 - tail))
    most = 100.0
    n = sum(one.labels for one in asked)
    return Gain(
        min(shape * scale, most), min(low, most), min(high, most), n, 100 * asked[-1].targets / asked[-1].labels
    )


def expected_gain(
    rounds: Sequence[Yield], scores: NDArray[np.floating], available: NDArray[np.bool_], level: float = 0.95
) -> Gain | None:
    """`gain_of_next` for the scores of a pool."""
    return gain_of_next(rounds, expected_of_best(scores, available, 100), level)


def worth_stopping(gain: Gain, worth: float) -> bool:
    """Whether the upper end of the expected gain lies below what 100 labels are worth, on 50 labels or more.

    A round that brought more than they are worth is not followed by a stop, whatever is promised of the next.
    """
    return gain.n >= _FEWEST and gain.high < worth and gain.last < worth
