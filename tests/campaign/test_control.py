"""Control answers that an estimate may use, and what was answered twice."""

from __future__ import annotations

from typing import Any

from emberline.campaign.annotation.events import Event
from emberline.campaign.annotation.state import State, replay
from emberline.campaign.control import revised_answers, twice_answered
from emberline.learn.answers import Twice


def state_of(*given: tuple[str, str, str, dict[str, Any]]) -> State:
    """Spectrum, who, answer, other fields: one event each."""
    events = []
    for number, (name, who, answer, fields) in enumerate(given, start=1):
        event = {"kind": "label", "purpose": "control", "id": number, "action": str(number), "who": who, **fields}
        events.append(Event(identifier=name, answer=answer, **event))
    return replay(events)


BLIND, SEEN = {"shown": {"revealed": False}}, {"shown": {"revealed": True}}


def test_an_answer_changed_after_the_opinion_was_seen_counts_as_it_was_before() -> None:
    state = state_of(
        ("changed", "ann", "none", BLIND),
        ("changed", "ann", "emission", SEEN),
        ("kept", "ann", "none", BLIND),
        ("kept", "ann", "none", SEEN),
        ("blindly", "ann", "none", BLIND),
        ("blindly", "ann", "emission", BLIND),
        ("query", "ann", "none", {**BLIND, "purpose": "query"}),
        ("query", "ann", "emission", {**SEEN, "purpose": "query"}),
        ("only seen", "ann", "emission", SEEN),
    )
    assert revised_answers(state) == {"changed": "none"}


def test_an_answer_taken_back_and_given_again_with_the_opinion_in_view_is_revised_too() -> None:
    state = state_of(("a", "ann", "none", BLIND))
    state.apply(Event("undo", "a", undoes=1, id=2, action="2", who="ann"))
    assert revised_answers(state) == {}, "what was taken back is no answer"
    state.apply(Event("label", "a", "emission", "control", shown={"revealed": True}, id=3, action="3", who="ann"))
    assert revised_answers(state) == {"a": "none"}


def test_overlaps_and_repeats_are_pairs_of_answers() -> None:
    repeat = {"kind": "repeat", "task": "t"}
    state = state_of(
        ("both", "ann", "emission", BLIND),
        ("both", "ben", "emission", BLIND),
        ("differ", "ann", "emission", BLIND),
        ("differ", "ben", "none", BLIND),
        ("unsure", "ann", "emission", BLIND),
        ("unsure", "ben", "not sure", BLIND),
        ("again", "ann", "none", BLIND),
        ("again", "ann", "none", {**repeat}),
        ("alone", "ann", "none", BLIND),
    )
    assert twice_answered(state, ("emission",)) == Twice(both=1, once=1, neither=1)
