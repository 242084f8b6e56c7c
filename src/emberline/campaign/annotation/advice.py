"""Whether to go on labelling: three rules on numbers that a campaign has, and silence where it has none."""

from __future__ import annotations

import dataclasses
from typing import Literal

from emberline.campaign.annotation.agreement import Share, wilson
from emberline.campaign.wording import expected_of_next, worth_of_next
from emberline.learn.stopping import Gain, outlook

__all__ = ["DRY", "ENOUGH", "FEWEST", "SETTLED", "Advice", "Reason", "advise"]

DRY = 0.05
"""Labels bring little when, with 95 % confidence, fewer than this share of them are new targets."""

SETTLED = 0.95
"""The list of candidates has settled when two rounds share at least this part of all that either lists."""

ENOUGH = 0.90
"""The completeness is enough when the lower end of its 95 % interval reaches this."""

FEWEST = 50
"""Of fewer query labels in two rounds nothing is concluded."""

Verdict = Literal["go on", "stop", "check", "too early"]


@dataclasses.dataclass(frozen=True)
class Reason:
    """One rule.

    Attributes
    ----------
    rule : str
        ``yield``, ``candidates`` or ``completeness``.
    value, limit : float or None
        The number that was judged, and what it is held against; None where it is not known.
    met : bool or None
        Whether the rule speaks for stopping; None where nothing can be said.
    text : str
    """

    rule: str
    value: float | None
    limit: float
    met: bool | None
    text: str


@dataclasses.dataclass(frozen=True)
class Advice:
    """What the rules come to.

    Attributes
    ----------
    verdict : str
        ``go on``; ``stop``; ``check``: labels bring little more, but a larger control sample should say first how
        complete the catalogue is; ``too early``.
    text : str
    reasons : tuple of Reason
    """

    verdict: Verdict
    text: str
    reasons: tuple[Reason, ...]


def advise(
    labels: int,
    targets: int,
    rounds: int,
    overlap: float | None,
    completeness: Share | None,
    gain: Gain | None = None,
    worth: float = 100 * DRY,
) -> Advice:
    """Whether to go on.

    Parameters
    ----------
    labels, targets : int
        Query labels of the last two rounds that asked, and how many of them were targets.
    rounds : int
        Finished rounds that asked and had a network.
    overlap : float or None
        Of the candidates of either of the last two rounds, the share that both list.
    completeness : Share or None
        Estimated from control labels.
    gain : Gain, optional
        New targets expected of the next 100 labels; where there is one it takes the place of the yield so far.
    worth : float
        How many new targets 100 labels must bring to be worth the work.
    """
    reasons = (
        _yield(labels, targets) if gain is None else _gain(gain, worth),
        _candidates(overlap),
        _completeness(completeness),
    )
    dry, settled, complete = (reason.met for reason in reasons)
    if rounds < 2 or dry is None or settled is None:
        return Advice("too early", "Too little is known yet to say whether to stop: label another round.", reasons)
    if complete and (dry or settled):
        return Advice(
            "stop", "The catalogue is as complete as asked for, and labels change little: stop here.", reasons
        )
    if dry and (settled or gain is not None):
        text = (
            "More queries bring little. How many targets are missed is not known well enough to stop on it: label a"
            " control sample in a closing round first."
        )
        return Advice("check", text, reasons)
    return Advice("go on", "Labels still change what is found: go on.", reasons)


def _yield(labels: int, targets: int) -> Reason:
    share = wilson(targets, labels)
    if labels < FEWEST or share.high is None or share.value is None:
        text = f"{labels} query labels in the last two rounds are too few to tell how much another one brings."
        return Reason("yield", None, DRY, None, text)
    text = (
        f"New targets per 100 query labels in the last two rounds: {100 * share.value:.1f}, with 95 % confidence"
        f" fewer than {100 * share.high:.1f}."
    )
    return Reason("yield", share.high, DRY, share.high < DRY, text)


def _gain(gain: Gain, worth: float) -> Reason:
    text = f"{expected_of_next(gain)} {worth_of_next(gain, worth)}"
    found = outlook(gain, worth)
    if found == "too early":
        return Reason("yield", None, worth / 100, None, text)
    bound = gain.high if gain.bound is None else gain.bound
    return Reason("yield", bound / 100, worth / 100, found == "stop", text)


def _candidates(overlap: float | None) -> Reason:
    if overlap is None:
        return Reason("candidates", None, SETTLED, None, "There are no two lists of candidates to compare yet.")
    text = f"Of all candidates of the last two rounds, {100 * overlap:.1f} % are in both lists."
    return Reason("candidates", overlap, SETTLED, overlap >= SETTLED, text)


def _completeness(found: Share | None) -> Reason:
    if found is None or found.low is None:
        text = "The completeness has not been estimated: there are too few control labels."
        return Reason("completeness", None, ENOUGH, None, text)
    text = f"At least {100 * found.low:.1f} % of the targets are found, with 97.5 % confidence."
    return Reason("completeness", found.low, ENOUGH, found.low >= ENOUGH, text)
