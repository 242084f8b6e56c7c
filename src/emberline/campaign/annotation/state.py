"""What holds now: a pure function of the events, one after the other, with consensus, disputes and undo."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from emberline.campaign.annotation.events import Event, Label

__all__ = ["State", "replay"]

_Stacks = dict[str, dict[str, list[int]]]


@dataclasses.dataclass
class State:
    """Everything that follows from the events so far; `apply` takes in the next one.

    Attributes
    ----------
    last : int
        The newest event's number.
    events : dict
        Number → event, for those that decide something.
    undone : set of int
        Events that have been taken back and not been brought back.
    actions : dict
        Action → its events.
    done, redoable : dict
        Annotator → actions that `undo` and `redo` take, the next one last.
    labels_by, skips_by, notes_by : dict
        Spectrum → annotator → events, in order.
    repeats_by : dict
        Annotator → task → events.
    adjudications : dict
        Spectrum → events.
    """

    last: int = 0
    events: dict[int, Event] = dataclasses.field(default_factory=dict)
    undone: set[int] = dataclasses.field(default_factory=set)
    actions: dict[str, list[int]] = dataclasses.field(default_factory=dict)
    done: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    redoable: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    labels_by: _Stacks = dataclasses.field(default_factory=dict)
    skips_by: _Stacks = dataclasses.field(default_factory=dict)
    notes_by: _Stacks = dataclasses.field(default_factory=dict)
    repeats_by: _Stacks = dataclasses.field(default_factory=dict)
    adjudications: dict[str, list[int]] = dataclasses.field(default_factory=dict)

    # Taking in events -------------------------------------------------------------------------------------------

    def apply(self, event: Event) -> None:
        """Take in the next event."""
        self.last = event.id
        if event.kind in ("undo", "redo"):
            self._turn(event)
            return
        self.events[event.id] = event
        self.actions.setdefault(event.action, []).append(event.id)
        _add_once(self.done.setdefault(event.who, []), event.action)
        self.redoable[event.who] = []
        stack = self._stack(event)
        if stack is not None:
            stack.append(event.id)

    def _stack(self, event: Event) -> list[int] | None:
        """Where an event of this kind is kept; silent skips and notes count for nothing but the history."""
        if event.kind == "adjudication":
            return self.adjudications.setdefault(event.identifier, [])
        if event.kind == "repeat":
            return self.repeats_by.setdefault(event.who, {}).setdefault(event.task, [])
        if event.silent:
            return None
        kinds = {"label": self.labels_by, "skip": self.skips_by, "note": self.notes_by}
        return kinds[event.kind].setdefault(event.identifier, {}).setdefault(event.who, [])

    def _turn(self, event: Event) -> None:
        """Take in an undo or a redo."""
        target = self.events[event.undoes or 0]
        done, redoable = (stacks.setdefault(target.who, []) for stacks in (self.done, self.redoable))
        if event.kind == "redo":
            self.undone.discard(target.id)
            _remove(redoable, target.action)
            _add_once(done, target.action)
            return
        self.undone.add(target.id)
        if not any(number not in self.undone for number in self.actions[target.action]):
            _remove(done, target.action)
            if event.who == target.who:
                _add_once(redoable, target.action)

    # What holds -------------------------------------------------------------------------------------------------

    def holding(self, stack: Sequence[int]) -> Event | None:
        """The last event of a stack that has not been taken back."""
        for number in reversed(stack):
            if number not in self.undone:
                return self.events[number]
        return None

    def opinions(self, identifier: str) -> dict[str, Event]:
        """Annotator → the label that holds, in the order of the annotators' first labels."""
        stacks = self.labels_by.get(identifier)
        if stacks is None:
            return {}
        found = {who: self.holding(stack) for who, stack in stacks.items()}
        return {who: event for who, event in found.items() if event is not None}

    def opinion(self, who: str, identifier: str) -> Event | None:
        """One annotator's label of one spectrum."""
        return self.holding(self.labels_by.get(identifier, {}).get(who, []))

    def note(self, who: str, identifier: str) -> Event | None:
        """One annotator's note on one spectrum."""
        return self.holding(self.notes_by.get(identifier, {}).get(who, []))

    def skipped(self, who: str, identifier: str) -> Event | None:
        """The last skip of one annotator, when there has been no label."""
        skip = self.holding(self.skips_by.get(identifier, {}).get(who, []))
        return None if skip is None or self.opinion(who, identifier) else skip

    def repeat(self, who: str, task: str) -> Event | None:
        """The answer to one question that came again."""
        return self.holding(self.repeats_by.get(who, {}).get(task, []))

    def adjudication(self, identifier: str) -> Event | None:
        """The adjudicator's word, where there is one."""
        return self.holding(self.adjudications.get(identifier, []))

    def disputed(self, identifier: str) -> bool:
        """Whether annotators disagree and nobody has adjudicated."""
        answers = {event.answer for event in self.opinions(identifier).values()}
        return len(answers) > 1 and self.adjudication(identifier) is None

    def label(self, identifier: str) -> Label | None:
        """The label of a spectrum: the adjudicator's, else what all who labelled it agree upon; None in dispute."""
        final = self.adjudication(identifier)
        if final is not None:
            return _label(final, final.who)
        opinions = self.opinions(identifier)
        if len({event.answer for event in opinions.values()}) != 1:
            return None
        return _label(max(opinions.values(), key=lambda event: event.id), ", ".join(sorted(opinions)))

    def labels(self) -> list[Label]:
        """The labels that hold, one a spectrum, in the order they were given."""
        names = self.labels_by.keys() | self.adjudications.keys()
        found = (self.label(name) for name in names)
        return sorted((label for label in found if label is not None), key=lambda label: label.event)

    def disputes(self) -> list[str]:
        """Spectra in dispute, in the order of their first labels."""
        return [name for name in self.labels_by if self.disputed(name)]

    def answered(self) -> set[str]:
        """Spectra that somebody has labelled, disputed ones included."""
        names = self.labels_by.keys() | self.adjudications.keys()
        return {name for name in names if self.opinions(name) or self.adjudication(name)}


def replay(events: Iterable[Event]) -> State:
    """The state after some events: the same events always give the same state."""
    state = State()
    for event in events:
        state.apply(event)
    return state


def _label(event: Event, who: str) -> Label:
    return Label(
        event.id, event.time, who, event.identifier, event.answer or "", event.purpose, event.round, event.model,
        event.details,
    )  # fmt: skip


def _add_once(stack: list[str], action: str) -> None:
    if action not in stack[-1:] and action not in stack:
        stack.append(action)


def _remove(stack: list[str], action: str) -> None:
    if stack[-1:] == [action]:
        stack.pop()
    elif action in stack:
        stack.remove(action)
