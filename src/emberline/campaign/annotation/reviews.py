"""What deserves a second look: one's answers against the model and against oneself, and what annotators dispute."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal

from emberline.campaign.annotation.asked import find_asked
from emberline.campaign.annotation.events import Event
from emberline.campaign.annotation.state import State
from emberline.campaign.annotation.view import opinion_of
from emberline.errors import CampaignError

if TYPE_CHECKING:
    from emberline.campaign.campaign import Campaign

__all__ = ["CONFIDENT", "Dispute", "SecondLook", "disputes_of", "second_looks_of"]

CONFIDENT = 0.9
"""From this probability on the model's disagreement is worth a second look."""


@dataclasses.dataclass(frozen=True)
class SecondLook:
    """An answer of one's own to look at again.

    Attributes
    ----------
    identifier, answer : str
        The label that holds.
    reason : str
        ``model``: the network was sure of another class. ``repeat``: it was answered otherwise when it came again.
    suggestion : str
        The network's class, or the other answer.
    confidence : float or None
        The network's probability of its class.
    """

    identifier: str
    answer: str
    reason: Literal["model", "repeat"]
    suggestion: str
    confidence: float | None


@dataclasses.dataclass(frozen=True)
class Dispute:
    """A spectrum that annotators disagree about: annotator → answer, and annotator → comment where there is one."""

    identifier: str
    answers: dict[str, str]
    comments: dict[str, str]


def second_looks_of(campaign: Campaign, who: str, number: int | None) -> list[SecondLook]:
    """See `emberline.campaign.annotation.Desk.second_looks`."""
    own, repeats = campaign.database.look(lambda state: (_to_look_at(state, who), _inconsistent(state, who)))
    looks = [
        SecondLook(event.identifier, event.answer or "", "repeat", repeats[event.identifier], None)
        for event in own
        if event.identifier in repeats
    ]
    found = (
        _against_the_model(campaign, event)
        for event in own
        if event.purpose == "query" and event.identifier not in repeats and number in (None, event.round)
    )
    sure = sorted((look for look in found if look is not None), key=lambda look: -(look.confidence or 0.0))
    return [*sure, *looks]


def _to_look_at(state: State, who: str) -> list[Event]:
    """An annotator's labels that hold and do not come from a second look already."""
    found = (state.opinion(who, name) for name, by in state.labels_by.items() if who in by)
    return [event for event in found if event is not None and not event.shown.get("second_look")]


def _inconsistent(state: State, who: str) -> dict[str, str]:
    """Spectrum → the answer given when it came again, where that is not the label."""
    found: dict[str, str] = {}
    for stack in state.repeats_by.get(who, {}).values():
        again = state.holding(stack)
        label = state.opinion(who, again.identifier) if again else None
        if again and label and again.answer != label.answer:
            found[again.identifier] = again.answer or ""
    return found


def _against_the_model(campaign: Campaign, event: Event) -> SecondLook | None:
    """A label of which the network was sure that it is another; it had not learnt from this label."""
    if event.answer not in campaign.config.classes:
        return None
    try:
        opinion = opinion_of(campaign, *find_asked(campaign, event.identifier))
    except (CampaignError, KeyError):
        return None
    if opinion is None or opinion.suggestion == event.answer:
        return None
    confidence = opinion.probabilities[opinion.suggestion]
    if confidence < CONFIDENT:
        return None
    return SecondLook(event.identifier, event.answer, "model", opinion.suggestion, confidence)


def disputes_of(campaign: Campaign) -> list[Dispute]:
    """See `emberline.campaign.annotation.Desk.adjudication_queue`."""
    return campaign.database.look(lambda state: [_dispute(state, name) for name in state.disputes()])


def _dispute(state: State, name: str) -> Dispute:
    answers = {who: event.answer or "" for who, event in state.opinions(name).items()}
    notes = {who: state.note(who, name) for who in answers}
    comments = {who: note.details["comment"] for who, note in notes.items() if note and note.details.get("comment")}
    return Dispute(name, answers, comments)
