"""Control samples: stratified random draws from the whole pool, made so that nobody who asks knows of them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from emberline.learn.strategies import Query, Rows, Strategy

__all__ = ["Assume", "ControlDraw", "ask", "control_strata", "draw_control", "fine_strata"]

_OLD = 4
_INSIDE, _OUTSIDE = 2, 5
_HIDDEN = 0.03
_BINS = 1 << 16

Assume = Literal["scores", "nothing"]
"""What is believed of the unlabelled spectra: that the scores order them, or nothing but that the sample is random."""


@dataclasses.dataclass(frozen=True)
class Split:
    """How the labels of a draw are split: `purity`, a share for predicted targets; of the others, `even`, a share.

    That one is drawn evenly over the rows that are not predicted, so that no row's chance is far below the mean; what
    is left goes to the strata in equal numbers: a defensive mixture (Hesterberg 1995).
    """

    purity: float
    even: float


SPLITS: dict[Assume, Split] = {"nothing": Split(0.2, 0.8), "scores": Split(0.3, 0.1)}
"""The split of the labels that goes with each assumption; see ``docs/explanation/estimates.md`` for what they buy."""


@dataclasses.dataclass(frozen=True, eq=False)
class ControlDraw:
    """One stratified random sample, with all that is needed to know each row's chance of being in it.

    Attributes
    ----------
    assignment : (N,) int8
        The stratum of every row of the pool; -1 for rows that could not be drawn.
    rows : (m,) int64
        The rows drawn, in random order: the first few answered are a smaller sample of the same kind.
    """

    assignment: NDArray[np.int8]
    rows: Rows

    def __post_init__(self) -> None:
        if len(self.rows) and self.assignment[self.rows].min() < 0:
            raise ValueError("a row was drawn that is in no stratum")
        if len(np.unique(self.rows)) != len(self.rows):
            raise ValueError("a row was drawn twice")

    @functools.cached_property
    def sizes(self) -> NDArray[np.int64]:
        """How many rows of the pool each stratum has. (H,)"""
        return np.bincount(self.assignment + np.int8(1))[1:]

    @property
    def stratum(self) -> NDArray[np.int8]:
        """The stratum of each drawn row. (m,)"""
        return self.assignment[self.rows]


def control_strata(
    scores: NDArray[Any], available: NDArray[np.bool_], *, threshold: float = 0.5, near: float = 0.1, tail: float = 0.02
) -> NDArray[np.int8]:
    """Split the pool by target probability: 0 predicted targets, 1 near the threshold, 2 top of the rest, 3 the rest.

    Parameters
    ----------
    scores : (N,) float
        Probability of being a target under the current model; not finite counts as zero.
    available : (N,) bool
        Rows that can be drawn.
    threshold : float
        From here on a row is a predicted target.
    near : float
        Rows below the threshold but not below `near` × threshold are stratum 1.
    tail : float
        The share of the available rows that is stratum 2; ties at its lower edge go to stratum 3.

    Returns
    -------
    (N,) int8
        -1 where a row is not available.
    """
    scores = np.where(np.isfinite(scores), scores, 0.0)
    strata = np.full(len(scores), 3, dtype=np.int8)
    rest = scores[available & (scores < near * threshold)]
    count = min(int(tail * np.count_nonzero(available)), len(rest) - 1)
    if count > 0:
        edge = np.partition(rest, len(rest) - count - 1)[len(rest) - count - 1]
        strata[scores > edge] = 2
    strata[scores >= near * threshold] = 1
    strata[scores >= threshold] = 0
    strata[~available] = -1
    return strata


def fine_strata(scores: NDArray[Any], available: NDArray[np.bool_], *, threshold: float = 0.5) -> NDArray[np.int8]:
    """Split the pool where labels say most: 4 and 5 predicted targets, 6 to 10 the others, by falling probability.

    The spread of one answer is √(p (1 − p)). Each side is cut so that its strata hold equal sums of it, and equal
    numbers of labels in them are then the best allocation (Dalenius & Hodges 1959; Neyman 1934), as far as p is right.
    Below, p is never taken for less than a small part of a target a pool: how sure the network is there is not known.

    Parameters
    ----------
    scores : (N,) float
        Probability of being a target under the current model; not finite counts as zero.
    available : (N,) bool
        Rows that can be drawn.
    threshold : float
        From here on a row is a predicted target.

    Returns
    -------
    (N,) int8
        -1 where a row is not available. Equal scores share a stratum.
    """
    scores = np.where(np.isfinite(scores), scores, 0.0).astype(np.float64)
    strata = np.full(len(scores), -1, dtype=np.int8)
    least = _HIDDEN / max(int(np.count_nonzero(available)), 1)
    inside = available & (scores >= threshold)
    outside = available & (scores < threshold)
    strata[inside] = _OLD + _cut(scores[inside], _INSIDE, least)
    strata[outside] = _OLD + _INSIDE + _cut(scores[outside], _OUTSIDE, least)
    return strata


def _cut(scores: NDArray[np.float64], parts: int, least: float) -> NDArray[np.int8]:
    """The part of each score, 0 the highest; parts hold equal sums of the spread of an answer.

    Scores are told apart to 1/65536 of their range in log odds.
    """
    if len(scores) == 0:
        return np.empty(0, dtype=np.int8)
    p = np.clip(scores, 1e-12, 1 - 1e-12)
    odds = np.log(p / (1 - p))
    top, bottom = odds.max(), odds.min()
    step = max(top - bottom, 1e-9) / (_BINS - 1)
    place = ((top - odds) / step).astype(np.int64)
    count = np.bincount(place)
    p = np.clip(expit(top - step * (np.arange(len(count)) + 0.5)), least, max(1 - 1e-2, least))
    spread = count * np.sqrt(p * (1 - p))
    before = np.cumsum(spread) - spread / 2
    part = np.minimum((parts * before / max(spread.sum(), 1e-300)).astype(np.int8), parts - 1)
    # Whatever is the lowest is the last part: the rest.
    return np.asarray((part + (parts - 1 - part[-1]))[place], dtype=np.int8)


def _shares(assignment: NDArray[np.int8], split: Split) -> NDArray[np.float64]:
    """The share of the labels of each of `fine_strata`; the first four numbers belong to `control_strata`."""
    sizes = np.bincount(assignment[assignment >= 0], minlength=_OLD + _INSIDE + _OUTSIDE).astype(float)
    shares = np.zeros(len(sizes))
    shares[_OLD : _OLD + _INSIDE] = split.purity / _INSIDE
    others = sizes[_OLD + _INSIDE :]
    even = others / max(others.sum(), 1.0)
    shares[_OLD + _INSIDE :] = (1 - split.purity) * (split.even * even + (1 - split.even) / _OUTSIDE)
    return shares


def draw_control(
    scores: NDArray[Any],
    available: NDArray[np.bool_],
    n: int,
    rng: np.random.Generator,
    *,
    threshold: float = 0.5,
    assume: Assume = "nothing",
    shares: Sequence[float] | None = None,
    strata: NDArray[np.int8] | None = None,
) -> ControlDraw:
    """Draw a control sample without replacement within strata.

    Which rows a draw can take, and how many of each stratum, may depend on the model and on everything that was asked
    for by a strategy, but on no control answer: draws stay independent, and the chance of being in any is known.

    Parameters
    ----------
    scores : (N,) float
        Probability of being a target under the current model.
    available : (N,) bool
        Every row that no strategy has asked about and no start set has labelled. Rows of earlier control draws
        stay available: draws are independent, and a row drawn again costs nothing.
    n : int
        How many rows; all available rows when they are fewer.
    rng : numpy.random.Generator
        The only source of chance.
    threshold : float
        From here on a row is a predicted target.
    assume : "scores" or "nothing"
        What the estimate will rest on. The draw serves either; it is best for this one.
    shares : sequence of float
        The share of `n` of each stratum. What a small stratum cannot take goes to the others; each gets at least two.
        By default those that go with `fine_strata`; with `strata` of one's own, their sizes.
    strata : (N,) int8, optional
        Other strata than those of `fine_strata`; it must not depend on who is in an earlier draw.
    """
    assignment = fine_strata(scores, available, threshold=threshold) if strata is None else strata
    assignment = np.where(available, assignment, -1).astype(np.int8)
    if shares is None and strata is None:
        shares = _shares(assignment, SPLITS[assume]).tolist()
    elif shares is None:
        shares = np.bincount(assignment[assignment >= 0]).tolist()
    sizes = np.bincount(assignment[assignment >= 0], minlength=len(shares))
    counts = _allocate(sizes, np.asarray(shares, dtype=float), n)
    drawn = [
        rng.choice(np.flatnonzero(assignment == h), count, replace=False) for h, count in enumerate(counts) if count
    ]
    rows = rng.permutation(np.concatenate(drawn)) if drawn else np.empty(0, dtype=np.int64)
    return ControlDraw(assignment, rows.astype(np.int64))


def _allocate(sizes: NDArray[np.int64], shares: NDArray[np.float64], n: int) -> NDArray[np.int64]:
    """Split `n` by shares, at least two a stratum where it can be, no stratum above its size."""
    if len(sizes) != len(shares):
        raise ValueError(f"{len(shares)} shares were given for {len(sizes)} strata")
    counts: NDArray[np.int64] = np.minimum(sizes, 2 if n >= 2 * np.count_nonzero(sizes) else 0)
    while (left := n - int(counts.sum())) > 0 and (counts < sizes).any():
        wanted = np.where(counts < sizes, np.maximum(shares, 1e-9), 0.0)
        gap = np.maximum(n * wanted / wanted.sum() - counts, 0) * (counts < sizes)
        part = np.floor(gap * min(1.0, left / max(gap.sum(), 1e-9))).astype(np.int64)
        if part.sum() == 0:
            part[int(np.argmax(np.where(counts < sizes, gap + wanted * 1e-6, -1)))] = 1
        counts = np.minimum(counts + part, sizes)
    return counts


def ask(strategy: Strategy, query: Query, control: Rows) -> tuple[Rows, Rows]:
    """Let a strategy choose without knowing which rows are control rows.

    An estimate stays right while queries go on only if the strategy treats control rows like any others. So they are
    available to it; one that it chooses is not asked about again but counts as asked, and the strategy chooses on until
    the batch is full.

    Returns
    -------
    new : (batch,) int64
        Rows to ask the oracle about, in order of interest.
    passed : (p,) int64
        Control rows that the strategy chose. From now on they belong to `known` of `estimate`, with their control
        answer, and to `query.asked`; they are still not learnt from.
    """
    new: list[int] = []
    passed: list[int] = []
    hidden = set(control.tolist())
    while len(new) < query.batch:
        need = dataclasses.replace(query.without([*new, *passed]), batch=query.batch - len(new))
        chosen = strategy.select(need).tolist()
        if not chosen:
            break
        new += [row for row in chosen if row not in hidden]
        passed += [row for row in chosen if row in hidden]
    return np.asarray(new, dtype=np.int64), np.asarray(passed, dtype=np.int64)
