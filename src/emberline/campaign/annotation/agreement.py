"""How well annotators agree with one another and with themselves: Cohen's κ, shares, and both by class."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from emberline.campaign.annotation.state import State

if TYPE_CHECKING:
    from emberline.campaign.campaign import Campaign

__all__ = ["Agreement", "PairAgreement", "SelfAgreement", "Share", "agreement", "kappa", "wilson"]

_Z = 1.959963984540054  # the 97.5 % quantile of the normal distribution


@dataclasses.dataclass(frozen=True)
class Share:
    """A share, or κ, with its 95 % interval, of `n` spectra; None where nothing can be said."""

    value: float | None
    low: float | None
    high: float | None
    n: int


@dataclasses.dataclass(frozen=True)
class PairAgreement:
    """Two annotators on the spectra that both have labelled.

    Attributes
    ----------
    first, second : str
    kappa : Share
        Cohen's κ over all answers, ``not sure`` and ``bad`` included.
    agreed : Share
        The share of equal answers.
    by_class : dict
        Answer → specific agreement: of the answers of this kind by either, the share that the other gave too.
    """

    first: str
    second: str
    kappa: Share
    agreed: Share
    by_class: dict[str, float]


@dataclasses.dataclass(frozen=True)
class SelfAgreement:
    """One annotator on the questions that came again, unmarked: see `PairAgreement`; `by_class` by the first answer."""

    who: str
    kappa: Share
    agreed: Share
    by_class: dict[str, Share]


@dataclasses.dataclass(frozen=True)
class Agreement:
    """All of it, and how many spectra are in dispute."""

    pairs: tuple[PairAgreement, ...]
    selves: tuple[SelfAgreement, ...]
    disputed: int


def kappa(pairs: Iterable[tuple[str, str]]) -> Share:
    """Cohen's κ of two raters, with a 95 % interval.

    κ is the agreement beyond chance, (p_o − p_e) / (1 − p_e), after Cohen (1960, Educ. Psychol. Meas. 20, 37). The
    interval is ± 1.96 of the large-sample standard error of Fleiss, Cohen & Everitt (1969, Psychol. Bull. 72, 323),
    cut at −1 and 1. That error is zero when all answers agree; the lower end then is what Wilson's limit for the share
    of agreement gives with p_e held. κ has no value where both raters always gave the same one answer.
    """
    given = list(pairs)
    n = len(given)
    if n == 0:
        return Share(None, None, None, 0)
    names = sorted({name for pair in given for name in pair})
    p = np.zeros((len(names), len(names)))
    for a, b in given:
        p[names.index(a), names.index(b)] += 1 / n
    rows, columns = p.sum(axis=1), p.sum(axis=0)
    observed, chance = float(np.trace(p)), float(rows @ columns)
    if 1 - chance < 1e-12:
        return Share(None, None, None, n)
    value = (observed - chance) / (1 - chance)
    if observed > 1 - 1e-12:
        low = wilson(n, n).low or 0.0
        return Share(1.0, max(-1.0, (low - chance) / (1 - chance)), 1.0, n)
    error = _standard_error(p, rows, columns, value, chance, n)
    return Share(value, max(-1.0, value - _Z * error), min(1.0, value + _Z * error), n)


def _standard_error(
    p: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    rows: np.ndarray[tuple[int], np.dtype[np.float64]],
    columns: np.ndarray[tuple[int], np.dtype[np.float64]],
    value: float,
    chance: float,
    n: int,
) -> float:
    """Fleiss, Cohen & Everitt (1969): the error of κ that holds whatever κ is."""
    diagonal = np.diag(p)
    a = np.sum(diagonal * (1 - (rows + columns) * (1 - value)) ** 2)
    squares = (columns[:, None] + rows[None, :]) ** 2
    b = (1 - value) ** 2 * (np.sum(p * squares) - np.sum(diagonal * np.diag(squares)))
    c = (value - chance * (1 - value)) ** 2
    return math.sqrt(max(0.0, float(a + b - c)) / n) / (1 - chance)


def wilson(successes: int, n: int) -> Share:
    """A share with Wilson's (1927) score interval, 95 %."""
    if n == 0:
        return Share(None, None, None, 0)
    p = successes / n
    centre = (p + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n)
    return Share(p, max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half)), n)


def agreement(campaign: Campaign) -> Agreement:
    """How well the annotators of a campaign agree with one another, and each with himself or herself."""
    return campaign.database.look(_agreement)


def _agreement(state: State) -> Agreement:
    both: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for name in state.labels_by:
        opinions = {who: event.answer or "" for who, event in state.opinions(name).items()}
        for a, b in itertools.combinations(sorted(opinions), 2):
            both.setdefault((a, b), []).append((opinions[a], opinions[b]))
    selves = (_self(who, _again(state, who)) for who in sorted(state.repeats_by))
    return Agreement(
        tuple(_pair(a, b, given) for (a, b), given in sorted(both.items())),
        tuple(one for one in selves if one.agreed.n),
        len(state.disputes()),
    )


def _pair(first: str, second: str, given: Sequence[tuple[str, str]]) -> PairAgreement:
    same = [a for a, b in given if a == b]
    by_class = {
        name: 2 * same.count(name) / sum((a == name) + (b == name) for a, b in given)
        for name in sorted({name for pair in given for name in pair})
    }
    return PairAgreement(first, second, kappa(given), wilson(len(same), len(given)), by_class)


def _again(state: State, who: str) -> list[tuple[str, str]]:
    """First answer and second, of each question that came again; the first as it stood when it did."""
    found = []
    for stack in state.repeats_by[who].values():
        second = state.holding(stack)
        if second is not None:
            earlier = [n for n in state.labels_by.get(second.identifier, {}).get(who, []) if n < stack[0]]
            first = state.holding(earlier)
            if first is not None:
                found.append((first.answer or "", second.answer or ""))
    return found


def _self(who: str, given: Sequence[tuple[str, str]]) -> SelfAgreement:
    by_class = {
        name: wilson(sum(a == b == name for a, b in given), sum(a == name for a, _ in given))
        for name in sorted({a for a, _ in given})
    }
    return SelfAgreement(who, kappa(given), wilson(sum(a == b for a, b in given), len(given)), by_class)
