"""People at work on a campaign: questions handed out, answers as events, agreement, and what is shown beside."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emberline.campaign.annotation.advice import Advice, Reason
    from emberline.campaign.annotation.agreement import Agreement, PairAgreement, SelfAgreement, Share, kappa
    from emberline.campaign.annotation.card import RoundCard, round_card
    from emberline.campaign.annotation.decisions import Decision, Receipt
    from emberline.campaign.annotation.desk import Desk
    from emberline.campaign.annotation.events import Event
    from emberline.campaign.annotation.export import export_labels
    from emberline.campaign.annotation.guidelines import Guidelines, guidelines_of
    from emberline.campaign.annotation.handout import Task
    from emberline.campaign.annotation.neighbours import Neighbour
    from emberline.campaign.annotation.progress import Progress
    from emberline.campaign.annotation.reviews import Dispute, SecondLook
    from emberline.campaign.annotation.siblings import Sibling, Siblings
    from emberline.campaign.annotation.state import State, replay
    from emberline.campaign.annotation.view import Opinion, SpectrumView, Why, Window

_PUBLIC = {
    "Advice": "advice",
    "Agreement": "agreement",
    "Decision": "decisions",
    "Desk": "desk",
    "Dispute": "reviews",
    "Event": "events",
    "Guidelines": "guidelines",
    "Neighbour": "neighbours",
    "Opinion": "view",
    "PairAgreement": "agreement",
    "Progress": "progress",
    "Reason": "advice",
    "Receipt": "decisions",
    "RoundCard": "card",
    "SecondLook": "reviews",
    "SelfAgreement": "agreement",
    "Share": "agreement",
    "Sibling": "siblings",
    "Siblings": "siblings",
    "SpectrumView": "view",
    "State": "state",
    "Task": "handout",
    "Why": "view",
    "Window": "view",
    "export_labels": "export",
    "guidelines_of": "guidelines",
    "kappa": "agreement",
    "replay": "state",
    "round_card": "card",
}

__all__ = [
    "Advice",
    "Agreement",
    "Decision",
    "Desk",
    "Dispute",
    "Event",
    "Guidelines",
    "Neighbour",
    "Opinion",
    "PairAgreement",
    "Progress",
    "Reason",
    "Receipt",
    "RoundCard",
    "SecondLook",
    "SelfAgreement",
    "Share",
    "Sibling",
    "Siblings",
    "SpectrumView",
    "State",
    "Task",
    "Why",
    "Window",
    "export_labels",
    "guidelines_of",
    "kappa",
    "replay",
    "round_card",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name in _PUBLIC:
        value = getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
