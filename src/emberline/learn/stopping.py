"""When to stop: how many new targets the next labels would bring, and with what certainty."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Gain",
    "Outlook",
    "Yield",
    "gain_of_next",
    "highest_first",
    "outlook",
    "worth_stopping",
    "yield_of_round",
]

Outlook = Literal["go on", "undecided", "stop", "too early"]
"""What the next labels are worth: the work; perhaps; with 90 % confidence not; nothing can be said."""

_LABELS = 100
_FADING = 0.3
_PRIOR_SHIFT, _PRIOR_SLOPE = 3.0, 1.0
_CHANGE, _EARLY_CHANGE = 0.3, 0.6
_STRATEGY = 0.15
_LAPSE = 0.002, 0.05
_SURE = 0.9
_FEWEST_LABELS, _FEWEST_ROUNDS = 50, 2
_LEAST = 1e-5
_TWENTIETHS = np.linspace(0.0, 1.0, 21)
_DRAWS = 1000
_DEPTH = 20_000


@dataclasses.dataclass(frozen=True)
class Yield:
    """One round of queries: what its network promised, and what the answers were.

    Attributes
    ----------
    labels, targets : int
        Answers, and how many of them named a target.
    promised : float
        The sum of the highest target probabilities of the spectra that could be asked about, as many as there were
        labels.
    answers : sequence of (float, int, int)
        Log odds of being a target, by the round's network; answers at about these odds; targets among them.
    asked : sequence of (int, float)
        Which spectra were asked about: the rank among those that could be, from the most probable one (0) on and for a
        batch of 100, and the log odds, at every twentieth of the batch. Empty means the most probable.
    """

    labels: int
    targets: int
    promised: float
    answers: Sequence[Sequence[float]] = ()
    asked: Sequence[Sequence[float]] = ()


@dataclasses.dataclass(frozen=True)
class Gain:
    """The new targets of the next 100 labels.

    Attributes
    ----------
    value : float
        How many are expected.
    low, high : float
        So many come, with 95 % probability.
    n, rounds : int
        Labels and rounds behind it.
    last : float
        New targets per 100 labels of the last round.
    bound : float or None
        With 90 % confidence fewer than this are expected; None in rounds of older versions.
    """

    value: float
    low: float
    high: float
    n: int
    last: float = 0.0
    bound: float | None = None
    rounds: int = _FEWEST_ROUNDS


def highest_first(
    scores: NDArray[np.floating],
    available: NDArray[np.bool_],
    objects: NDArray[Any] | None = None,
    asked: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """The target probabilities of what may be asked about, from the highest down; at most 20,000.

    Parameters
    ----------
    scores : (N,) float
        Target probabilities; not finite counts as zero.
    available : (N,) bool
    objects : (N,) array, optional
        The object of each spectrum: strategies ask about one spectrum of an object.
    asked : (a,) int, optional
        Rows whose objects are not asked about again.
    """
    chances = np.where(available, np.where(np.isfinite(scores), scores, 0.0), -1.0).astype(np.float64)
    count = min(_DEPTH, len(chances))
    rows = np.argpartition(chances, len(chances) - count)[len(chances) - count :] if count else np.empty(0, np.int64)
    rows = rows[np.argsort(-chances[rows], kind="stable")]
    rows = rows[chances[rows] >= 0]
    if objects is None:
        return chances[rows]
    names = objects[rows]
    first = np.zeros(len(rows), dtype=bool)
    first[np.unique(names, return_index=True)[1]] = True
    if asked is not None:
        first &= ~np.isin(names, objects[asked])
    return chances[rows[first]]


def yield_of_round(
    ordered: NDArray[np.float64], asked: NDArray[np.floating], answered: NDArray[np.floating], target: NDArray[np.bool_]
) -> Yield:
    """What a round promised and brought.

    Parameters
    ----------
    ordered : (m,) float
        `highest_first` of everything that could be asked about.
    asked : (q,) float
        Target probabilities of what was asked about.
    answered : (l,) float
        Those of what was answered, which is all of it as a rule.
    target : (l,) bool
        Which answers name a target.
    """
    odds = _log_odds(answered)
    cell = np.round(odds).astype(np.int64)
    groups = [
        (round(float(odds[cell == one].mean()), 3), int((cell == one).sum()), int(target[cell == one].sum()))
        for one in np.unique(cell)
    ]
    return Yield(
        len(answered), int(target.sum()), float(ordered[: len(answered)].sum()), tuple(groups), _places(ordered, asked)
    )


def _places(ordered: NDArray[np.float64], asked: NDArray[np.floating]) -> tuple[tuple[int, float], ...]:
    """Rank and log odds at every twentieth of what was asked about."""
    if len(asked) == 0:
        return ()
    chances = np.sort(np.where(np.isfinite(asked), asked, 0.0))[::-1]
    # The rows above each, and no two at the same place where probabilities are equal.
    above = len(ordered) - np.searchsorted(ordered[::-1], chances, side="right")
    ranks = np.maximum(above, np.arange(len(chances))) * _LABELS / len(chances)
    at = [np.quantile(values, _TWENTIETHS) for values in (ranks, -_log_odds(chances))]
    return tuple((round(rank), round(-odds, 3)) for rank, odds in zip(*map(np.ndarray.tolist, at), strict=True))


def gain_of_next(rounds: Sequence[Yield], ordered: NDArray[np.float64], level: float = 0.95) -> Gain | None:
    """What the next 100 labels bring, if strategy and network go on as they did.

    The odds of being a target are taken as a power of the network's odds, times a constant: both are learnt from the
    answers (logistic regression, weak normal priors about "the network is right", Laplace's approximation). Answers
    that are 100 labels old count 0.3, because networks change, and the next network may be off by a constant of its
    own. The strategy is taken to ask for the same ranks, or the same odds, again, and to get some 15 % more or less
    from it. Each of those spectra is a target or not.

    Parameters
    ----------
    rounds : sequence of Yield
        The rounds that asked, in order.
    ordered : (m,) float
        `highest_first` of what has not been asked about.
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
    rng = np.random.default_rng(0)
    mean, spread = _calibration(asked)
    # A network changes most while labels are few.
    n = sum(one.labels for one in asked)
    spread[0, 0] += _CHANGE**2 + (_EARLY_CHANGE * min(_LABELS / n, 1.0)) ** 2
    shift, slope = rng.multivariate_normal(mean, spread, _DRAWS, method="cholesky").T[:, :, None]
    x = _log_odds(ordered[_next_places(asked[-1].asked, ordered)])
    chance = 1 / (1 + np.exp(-np.clip(shift + np.maximum(slope, 0.1) * x, -30.0, 30.0)))
    # Few things are certain, whatever the fit: something may be there, and the surest may fail.
    chance = _LAPSE[0] + (1 - _LAPSE[0] - _LAPSE[1]) * chance
    # How many of its places the strategy spends on the likely ones differs from round to round.
    share = np.exp(_STRATEGY * rng.standard_normal(_DRAWS))
    expected = np.minimum(chance.sum(axis=1) * share, _LABELS)
    found = np.minimum(((rng.random(chance.shape) < chance).sum(axis=1) * share).round(), _LABELS)
    tail = (1 - level) / 2
    low, high = np.quantile(found, [tail, 1 - tail], method="inverted_cdf")
    return Gain(
        value=float(expected.mean()),
        low=float(low),
        high=float(high),
        n=n,
        last=_LABELS * asked[-1].targets / asked[-1].labels,
        bound=float(np.quantile(expected, _SURE)),
        rounds=len(asked),
    )


def outlook(gain: Gain, worth: float) -> Outlook:
    """Whether 100 labels more are worth the work.

    Parameters
    ----------
    gain : Gain
    worth : float
        How many new targets 100 labels must bring.

    Returns
    -------
    str
        ``stop`` when, with 90 % confidence, fewer are expected; ``undecided`` when fewer are expected with less
        confidence; ``too early`` on fewer than two rounds or 50 labels.
    """
    if gain.n < _FEWEST_LABELS or gain.rounds < _FEWEST_ROUNDS:
        return "too early"
    if (gain.high if gain.bound is None else gain.bound) < worth:
        return "stop"
    return "undecided" if gain.value < worth else "go on"


def worth_stopping(gain: Gain, worth: float) -> bool:
    """Whether the `outlook` is to stop."""
    return outlook(gain, worth) == "stop"


def _next_places(asked: Sequence[Sequence[float]], ordered: NDArray[np.float64]) -> NDArray[np.int64]:
    """The rows that the next batch of 100 takes, from the most probable (0) on.

    A strategy seeks high ranks, or certain probabilities: for each that was asked, the row of the same rank or of the
    same log odds, whichever is more probable, and no row twice.
    """
    count = min(_LABELS, len(ordered))
    if not len(asked):
        return np.arange(count)
    share = (np.arange(count) + 0.5) / _LABELS
    ranks, odds = (np.interp(share, _TWENTIETHS, column) for column in np.array(asked, dtype=float).T)
    chance = 1 / (1 + np.exp(-odds))
    alike = len(ordered) - np.searchsorted(ordered[::-1], chance, side="right")
    places = np.minimum(ranks.round().astype(np.int64), alike)
    step = np.arange(count)
    # Strictly rising: each at least one after the one before it.
    distinct = np.maximum.accumulate(places - step) + step
    return np.asarray(np.clip(distinct, 0, len(ordered) - 1), dtype=np.int64)


def _log_odds(chance: NDArray[np.floating]) -> NDArray[np.float64]:
    p = np.clip(np.asarray(np.where(np.isfinite(chance), chance, 0.0), dtype=np.float64), _LEAST, 1 - _LEAST)
    return np.asarray(np.log(p / (1 - p)), dtype=np.float64)


def _calibration(rounds: Sequence[Yield]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shift and slope of the true log odds over the network's: mean (2,) and covariance (2, 2)."""
    rows = []
    since = 0
    for one in reversed(rounds):
        weight, since = _FADING ** (since / _LABELS), since + one.labels
        groups = one.answers or [(float(_log_odds(np.array(one.promised / one.labels))), one.labels, one.targets)]
        rows += [(x, weight * labels, weight * targets) for x, labels, targets in groups]
    x, labels, targets = np.array(rows, dtype=np.float64).T
    design = np.stack([np.ones_like(x), x], axis=1)
    prior_mean, prior = np.array([0.0, 1.0]), np.diag([_PRIOR_SHIFT**-2, _PRIOR_SLOPE**-2])
    at = prior_mean.copy()
    for _ in range(50):
        chance = 1 / (1 + np.exp(-np.clip(design @ at, -30.0, 30.0)))
        slope = design.T @ (targets - labels * chance) - prior @ (at - prior_mean)
        curvature = (design * (labels * chance * (1 - chance))[:, None]).T @ design + prior
        step = np.linalg.solve(curvature, slope)
        # Newton's step, shortened: a long one leaves the region where the curvature holds.
        at = at + step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        if float(np.abs(step).max()) < 1e-8:
            break
    return at, np.asarray(np.linalg.inv(curvature))
