"""The round's card and second looks as plain values and sentences."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from emberline.campaign import wording as words
from emberline.campaign.annotation import round_card
from emberline.learn.stopping import outlook
from emberline.provenance import plain
from emberline.web.permissions import Action, may, may_submit

if TYPE_CHECKING:
    from emberline.campaign import Campaign
    from emberline.campaign.annotation import Agreement, Desk, RoundCard, SecondLook, Share
    from emberline.web.visitors import Visitor

__all__ = ["card_document", "second_look_document"]

_TITLES = {
    "go on": "Go on",
    "stop": "Stop here",
    "check": "Check before you stop",
    "too early": "Too early to say",
}


def card_document(campaign: Campaign, desk: Desk, visitor: Visitor) -> dict[str, Any]:
    """The card, with what this annotator may do next."""
    card, progress = round_card(campaign), desk.progress()
    last = card.curve[-1] if card.curve else None
    return {
        "title": f"Round {card.open_round} is open" if card.open_round is not None else "No round is open",
        "round": progress.round,
        "open_round": card.open_round,
        "left": progress.left + progress.earlier,
        "others": max(card.asked - card.answered, 0),
        "may_finish": may_submit(visitor.role, "round"),
        "may_adjudicate": may(visitor.role, Action.ADJUDICATE),
        "changes": _changes(card),
        "purity": _share(card.purity),
        "completeness": _share(card.completeness),
        "completeness_from_draw": _share(card.completeness_from_draw),
        "basis": words.basis("nothing" if card.completeness_from_draw is None else "scores"),
        "asides": [*words.asides(card.revised, card.unsure), *_calibrated(card)],
        "gain": _gain(card),
        "control_labels": last.labels_control if last else 0,
        "labels": card.classes,
        "annotators": card.annotators,
        "agreement": _agreement(card.agreement),
        "disputed": card.disputed,
        "curve": [
            {
                "round": point.round,
                "labels": point.labels_query + point.labels_control,
                "candidates": point.candidates,
                "new_targets": point.new_targets,
                "purity": _share(point.purity),
                "completeness": _share(point.completeness),
            }
            for point in card.curve
        ],
        "new_candidates": [dataclasses.asdict(found) for found in card.new_candidates],
        "advice": {
            "title": _TITLES[card.advice.verdict],
            "text": card.advice.text,
            "reasons": [plain(dataclasses.asdict(reason)) for reason in card.advice.reasons],
        },
    }


def _changes(card: RoundCard) -> list[str]:
    changes = card.changes
    if changes is None:
        return ["No round is finished yet: there is nothing to compare."]
    lines = [
        f"Round {card.last_round}: {changes.labels:,} labels, {changes.new_targets:,} new targets among them, "
        f"{card.curve[-1].candidates:,} candidates."
    ]
    if changes.added is not None and changes.removed is not None:
        lines.append(f"Against the round before, {changes.added:,} candidates came and {changes.removed:,} went.")
    return lines


def _gain(card: RoundCard) -> dict[str, Any] | None:
    """What the next 100 labels would bring, in numbers and in words, and the rule's verdict."""
    gain = card.gain
    if gain is None:
        return None
    return {
        **plain(dataclasses.asdict(gain)),
        "expected": words.targets(gain.value),
        "worth": card.worth,
        "outlook": outlook(gain, card.worth),
        "advice": words.worth_of_next(gain, card.worth),
    }


def _calibrated(card: RoundCard) -> list[str]:
    known = card.calibration
    if known is None:
        return []
    return [words.calibrated(known["labels"], known["candidates"], known["promised"], known["expected"])]


def _share(share: Share | None) -> dict[str, Any] | None:
    return None if share is None else plain(dataclasses.asdict(share))


def _agreement(agreement: Agreement) -> list[str]:
    lines = []
    for pair in agreement.pairs:
        lines.append(f"{pair.first} and {pair.second}: {_of(pair.agreed)} agree; Cohen's κ {_kappa(pair.kappa)}.")
    for own in agreement.selves:
        lines.append(f"{own.who}, on questions that came again: {_of(own.agreed)} answered alike.")
    if agreement.disputed:
        lines.append(f"{agreement.disputed:,} spectra are in dispute and trained on by nobody until adjudicated.")
    return lines or ["Nobody has labelled the same spectrum twice yet."]


def _of(share: Share) -> str:
    return f"{round((share.value or 0.0) * share.n)} of {share.n}"


def _kappa(share: Share) -> str:
    if share.value is None or share.low is None or share.high is None:
        return "cannot be told"
    return f"{share.value:.2f} ({share.low:.2f} to {share.high:.2f})"


def second_look_document(look: SecondLook) -> dict[str, Any]:
    """One answer to look at again."""
    if look.reason == "model":
        text = f"the model was sure that it is “{look.suggestion}” ({look.confidence:.0%})"
    else:
        text = f"when it came again you said “{look.suggestion}”"
    return {**plain(dataclasses.asdict(look)), "name": look.identifier, "text": text}
