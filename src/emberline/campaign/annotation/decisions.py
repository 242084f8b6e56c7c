"""What an annotator gets back: receipts of actions, and one's own decisions in order; and what may be sent."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from emberline.campaign.annotation.events import Event
from emberline.campaign.annotation.state import State
from emberline.errors import CampaignError

__all__ = [
    "NOTEWORTHY",
    "Decision",
    "Receipt",
    "checked_note",
    "checked_seconds",
    "checked_shown",
    "decision_of",
    "decisions_of",
]

NOTEWORTHY = "noteworthy"
"""The flag for what somebody should look at, whatever it is."""

_MOST_SHOWN = 8192
_MOST_COMMENT = 4000
_MOST_FLAGS = 20
_LONGEST_FLAG = 60


@dataclasses.dataclass(frozen=True)
class Receipt:
    """An action is on the disk.

    Attributes
    ----------
    action : str
        Its identifier, which `Desk.undo` takes.
    kind : str
        ``label``, ``skip``, ``note``, ``adjudication``, ``undo`` or ``redo``.
    time : str
    answers : dict
        Spectrum → answer; None for what answers nothing. After an undo: what was taken back.
    tasks : dict
        Spectrum → token of its question, where it was handed out.
    replaced : dict
        Spectrum → one's earlier answer that this one replaces, perhaps given in another window.
    """

    action: str
    kind: str
    time: str
    answers: dict[str, str | None]
    tasks: dict[str, str]
    replaced: dict[str, str]

    @classmethod
    def of(cls, events: Sequence[Event], replaced: Mapping[str, str]) -> Receipt:
        """For the events of one action."""
        return cls(
            events[0].action,
            _face(events[0].kind),
            events[0].time,
            {event.identifier: event.answer for event in events},
            {event.identifier: event.task for event in events if event.task},
            dict(replaced),
        )


@dataclasses.dataclass(frozen=True)
class Decision:
    """What one annotator said of one spectrum, as it holds now.

    A question that came again has a decision of its own, which looks like any other.

    Attributes
    ----------
    identifier, task : str
        Both together name the place to go back to; `task` is empty when the question was opened by its address.
    answer : str or None
    skipped : bool
    quality : int or None
    flags : tuple of str
    comment : str
    time : str
        Of the last change.
    seconds : float or None
    """

    identifier: str
    task: str
    answer: str | None
    skipped: bool
    quality: int | None
    flags: tuple[str, ...]
    comment: str
    time: str
    seconds: float | None


def _face(kind: str) -> str:
    """A repeat looks like a label: it comes without being marked."""
    return "label" if kind == "repeat" else kind


def decisions_of(state: State, who: str) -> list[Decision]:
    """An annotator's decisions that hold, in the order in which the questions were first dealt with."""
    return [_decision(place) for place in _places(state, who).values() if place]


def decision_of(state: State, who: str, identifier: str, silent_task: str = "") -> Decision | None:
    """What an annotator said of a spectrum, or of a question that came again: nothing of the first time then."""
    place = _places(state, who, identifier).get((identifier, silent_task))
    return _decision(place) if place else None


def _places(state: State, who: str, only: str = "") -> dict[tuple[str, str], dict[str, Event]]:
    """Spectrum and token of a repeat → the last event of each kind that holds; of one spectrum `only`, or of all."""
    places: dict[tuple[str, str], dict[str, Event]] = {}
    for event in state.events.values():
        if event.who == who and event.kind != "adjudication" and only in ("", event.identifier):
            place = places.setdefault((event.identifier, event.task if event.silent else ""), {})
            if event.id not in state.undone:
                place[_face(event.kind)] = event
    return places


def _decision(place: Mapping[str, Event]) -> Decision:
    label, skip, note = (place.get(kind) for kind in ("label", "skip", "note"))
    last = max(place.values(), key=lambda event: event.id)
    said = note.details if note else {}
    task = next((event.task for event in (label, skip, note) if event is not None and event.task), "")
    return Decision(
        identifier=last.identifier,
        task=task,
        answer=label.answer if label else None,
        skipped=skip is not None and label is None,
        quality=said.get("quality"),
        flags=tuple(said.get("flags", ())),
        comment=str(said.get("comment", "")),
        time=last.time,
        seconds=label.seconds if label else None,
    )


def checked_note(identifier: str, quality: int | None, flags: Iterable[str], comment: str) -> dict[str, Any]:
    """The content of a note, or an error that says what is wrong with it."""
    kept = sorted({flag.strip() for flag in flags if flag.strip()})
    if quality is not None and (isinstance(quality, bool) or quality not in (1, 2, 3, 4)):
        raise CampaignError("is no quality", where=identifier, found=repr(quality), expected="1, 2, 3 or 4")
    if len(kept) > _MOST_FLAGS or any(len(flag) > _LONGEST_FLAG for flag in kept):
        raise CampaignError(
            "has too many flags, or too long ones",
            where=identifier,
            found=f"{len(kept)} flags of up to {max(map(len, kept))} characters",
            expected=f"at most {_MOST_FLAGS} of {_LONGEST_FLAG}",
        )
    if len(comment) > _MOST_COMMENT:
        raise CampaignError(
            "has too long a comment",
            where=identifier,
            found=f"{len(comment)} characters",
            expected=f"at most {_MOST_COMMENT}",
        )
    return {"quality": quality, "flags": kept, "comment": comment}


def checked_shown(shown: Mapping[str, Any] | None) -> dict[str, Any]:
    """What was on the screen, when JSON can hold it and it is not too much."""
    kept = dict(shown or {})
    try:
        size = len(json.dumps(kept, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise CampaignError(f"what was shown cannot be kept: {error}", expected="plain values") from error
    if size > _MOST_SHOWN:
        raise CampaignError(
            "what was shown is too long to be kept", found=f"{size} bytes", expected=f"at most {_MOST_SHOWN}"
        )
    return kept


def checked_seconds(seconds: float | None) -> float | None:
    """How long it took, when that can be."""
    if seconds is not None and not (math.isfinite(seconds) and seconds >= 0):
        raise CampaignError("an answer cannot take so long", found=f"{seconds} s", expected="seconds, 0 or more")
    return seconds
