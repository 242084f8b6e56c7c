"""Which questions an annotator gets, in which order: mixed, shared out, overlapping, and now and then one again."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Collection, Iterable, Sequence

import numpy as np

from emberline.campaign.annotation.events import Event, Question
from emberline.campaign.annotation.state import State
from emberline.campaign.config import CampaignConfig

__all__ = [
    "Entry",
    "agenda",
    "by_identifier",
    "eligible",
    "mixed",
    "own_labels",
    "repeat_of",
    "repeats_due",
    "still_wanted",
]

APART = 10
"""A question comes again after so many other answers, or more."""

_ORDER, _OVERLAP, _REPEATS = 101, 102, 103


@dataclasses.dataclass(frozen=True)
class Entry:
    """One question of the agenda: how many annotators it is for, and in which round it was asked."""

    question: Question
    round: int
    wanted: int

    @property
    def identifier(self) -> str:
        """The spectrum."""
        return self.question.identifier


def by_identifier(questions: Iterable[Question]) -> dict[str, Question]:
    """One question a spectrum; a control question comes before a query, so that its answer is not learnt from."""
    return {q.identifier: q for q in sorted(questions, key=lambda q: q.purpose == "control")}


def mixed(questions: Sequence[Question], seed: int) -> list[str]:
    """The spectra of one round, control questions and queries mixed so that their places tell nothing.

    Each kind keeps its own order: the queries of most interest come first, and the control sample, which was drawn in
    random order, stays a sample of the same kind when only its beginning is answered.
    """
    control = [q.identifier for q in questions if q.purpose == "control"]
    drawn = set(control)
    query = [q.identifier for q in questions if q.purpose == "query" and q.identifier not in drawn]
    if not questions:
        return []
    turns = _generator(seed, questions[0].round, _ORDER).permutation([True] * len(control) + [False] * len(query))
    lists = {True: iter(control), False: iter(query)}
    return [next(lists[bool(turn)]) for turn in turns]


def _generator(seed: int, number: int, use: int, who: str = "") -> np.random.Generator:
    name = int.from_bytes(hashlib.sha256(who.encode()).digest()[:4], "big")
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number, use, name)))


def agenda(config: CampaignConfig, questions: Sequence[Question], over: Collection[int]) -> dict[str, Entry]:
    """Spectrum → its question, in the order in which they are handed out: the newest round first.

    In a round that is `over` a question needs one answer, whatever the overlap.
    """
    final = by_identifier(questions)
    entries: dict[str, Entry] = {}
    by_round: dict[int, list[Question]] = {}
    for question in questions:
        by_round.setdefault(question.round, []).append(question)
    for number in sorted(by_round, reverse=True):
        # What a person added comes first, and leaves the order and the sharing of the others as they were.
        for question in sorted((q for q in by_round[number] if q.added), key=lambda q: q.rank):
            entries.setdefault(question.identifier, Entry(final[question.identifier], number, 1))
        order = mixed([q for q in by_round[number] if not q.added], config.seed)
        shared = set() if number in over else _overlapping(config, order, number)
        for name in order:
            wanted = config.annotation.annotators if name in shared else 1
            entries.setdefault(name, Entry(final[name], number, wanted))
    return entries


def _overlapping(config: CampaignConfig, order: Sequence[str], number: int) -> set[str]:
    """The spectra of a round that several annotators get."""
    size = round(config.annotation.overlap * len(order))
    if not size:
        return set()
    return {order[index] for index in _generator(config.seed, number, _OVERLAP).choice(len(order), size, replace=False)}


def still_wanted(state: State, entry: Entry, who: str) -> bool:
    """Whether an annotator's answer is still wanted, leases apart."""
    opinions = state.opinions(entry.identifier)
    return who not in opinions and len(opinions) < entry.wanted and state.adjudication(entry.identifier) is None


def eligible(state: State, entry: Entry, who: str, holders: Collection[str]) -> bool:
    """Whether an annotator may get a question that `holders` are looking at."""
    others = (set(state.opinions(entry.identifier)) | set(holders)) - {who}
    return still_wanted(state, entry, who) and len(others) < entry.wanted


def own_labels(state: State, who: str) -> list[Event]:
    """The labels of an annotator that hold, in order."""
    found = (state.opinion(who, name) for name, by in state.labels_by.items() if who in by)
    return sorted((event for event in found if event is not None), key=lambda event: event.id)


def repeats_due(config: CampaignConfig, answered: int, given: int) -> int:
    """How many questions ought to come again to one who has answered so many and has seen so many again."""
    return max(0, math.floor(config.annotation.repeats * answered + 1e-9) - given)


def repeat_of(config: CampaignConfig, own: Sequence[Event], used: Collection[str], who: str) -> Event | None:
    """An earlier answer of an annotator whose question is to come again; None when there is none to choose from.

    Parameters
    ----------
    own : sequence of Event
        The annotator's labels in order.
    used : collection of str
        Spectra that have come again already.
    """
    choice = [event for event in own[: max(0, len(own) - APART)] if event.identifier not in used]
    if not choice:
        return None
    return choice[int(_generator(config.seed, len(used), _REPEATS, who).integers(len(choice)))]
