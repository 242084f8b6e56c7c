"""What is recorded of an annotator's work: one event for everything that he or she does, never changed afterwards."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from typing import Any, Literal

__all__ = ["ADDED", "COLUMNS", "DECISIONS", "Event", "Label", "Purpose", "Question", "event_of", "values_of"]

Purpose = Literal["query", "control"]

ADDED = 1_000_000
"""The least rank of questions that a person added to a round after it had asked its own."""

DECISIONS = ("label", "repeat", "skip", "note", "adjudication")
"""The kinds of events that decide something; ``undo`` and ``redo`` are about these."""

COLUMNS = (
    "id", "time", "who", "action", "kind", "identifier", "class", "purpose", "round", "model", "undoes", "task",
    "silent", "seconds", "shown", "details",
)  # fmt: skip
"""The columns of the table of events."""


@dataclasses.dataclass(frozen=True)
class Event:
    """One thing that somebody did.

    Attributes
    ----------
    kind : str
        ``label``; ``repeat``, an answer to a question that had been answered by the same person and came again;
        ``skip``; ``note`` (quality, flags and comment in `details`); ``adjudication``; ``undo`` and ``redo`` of the
        event `undoes`.
    identifier : str
        The spectrum.
    answer : str or None
        A class, ``not sure`` or ``bad``; None for events that answer nothing.
    purpose, round : str, int
        Of the question.
    model : str
        The newest network at that time; empty before the first.
    action : str
        One for all events of one action, made by whoever sends it: the same action is stored once, however often it
        is delivered.
    task : str
        The token under which the question was handed out; empty when it was opened by its address.
    silent : bool
        It belongs to a repeat, and so never replaces what was said the first time.
    seconds : float or None
        How long it took.
    shown : dict
        What was on the screen: smoothing, panels, whether the model's opinion had been revealed.
    details : dict
        Anything else.
    id, time, who : int, str, str
        Number, UTC time and author; set when it is stored.
    """

    kind: str
    identifier: str
    answer: str | None = None
    purpose: Purpose = "query"
    round: int = 0
    model: str = ""
    undoes: int | None = None
    task: str = ""
    silent: bool = False
    seconds: float | None = None
    shown: dict[str, Any] = dataclasses.field(default_factory=dict)
    details: dict[str, Any] = dataclasses.field(default_factory=dict)
    action: str = ""
    id: int = 0
    time: str = ""
    who: str = ""


@dataclasses.dataclass(frozen=True)
class Label:
    """One decision that holds: who said when that a spectrum is what, asked for which purpose in which round."""

    event: int
    time: str
    who: str
    identifier: str
    answer: str
    purpose: Purpose | Literal["start"]
    round: int
    model: str
    details: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Question:
    """One spectrum that the oracle is asked about; `stratum` belongs to control questions."""

    round: int
    rank: int
    identifier: str
    purpose: Purpose
    reason: str
    stratum: int | None = None

    @property
    def added(self) -> bool:
        """Whether a person added it to the round."""
        return self.rank >= ADDED


def values_of(event: Event) -> tuple[Any, ...]:
    """An event as a row of the table, its number apart."""
    texts = {
        name: json.dumps(getattr(event, name), ensure_ascii=False, sort_keys=True) for name in ("shown", "details")
    }
    row = {**dataclasses.asdict(event), "class": event.answer, "silent": int(event.silent), **texts}
    return tuple(row[name] for name in COLUMNS[1:])


def event_of(row: sqlite3.Row) -> Event:
    """The inverse of `values_of`, with the number."""
    fields = {name: row[name] for name in COLUMNS if name != "class"}
    fields |= {"answer": row["class"], "silent": bool(row["silent"])}
    fields |= {name: json.loads(row[name]) for name in ("shown", "details")}
    return Event(**fields)
