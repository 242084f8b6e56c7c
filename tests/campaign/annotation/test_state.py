"""Any sequence of actions, with crashes between, replays to the same state, and to what a simple model says."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from emberline.campaign import Campaign
from emberline.campaign.annotation.desk import Desk
from emberline.campaign.annotation.events import Event, event_of
from emberline.campaign.annotation.state import State, replay
from tests.campaign.annotation.conftest import MakeCampaign, ask

PEOPLE = ("ann", "bob", "cid")
SPECTRA = tuple(f"s5-{i:05d}" for i in range(5))
ANSWERS = ("none", "emission", "not sure", "bad")
people, spectra, answers = st.sampled_from(PEOPLE), st.sampled_from(SPECTRA), st.sampled_from(ANSWERS)

Deed = tuple[str, str, dict[str, str | None]]
"""Who, what kind, and spectrum → answer."""


class Annotators(RuleBasedStateMachine):
    """Several annotators at work on one campaign, beside a model that keeps lists of what they did."""

    template: Path

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.copies = 0
        self.done: list[Deed] = []
        self.undone: dict[str, list[Deed]] = {who: [] for who in PEOPLE}
        self.last: tuple[str, str, str, str] | None = None
        shutil.copytree(self.template, self.folder / "0")
        self.campaign = Campaign(self.folder / "0")
        ask(self.campaign, 0, 3, 2)

    def teardown(self) -> None:
        self.campaign.close()
        shutil.rmtree(self.folder)

    def _do(self, deed: Deed) -> None:
        self.done.append(deed)
        self.undone[deed[0]].clear()

    @rule(who=people, name=spectra, answer=answers)
    def label(self, who: str, name: str, answer: str) -> None:
        receipt = Desk(self.campaign, who).answer(name, answer)
        self.last = (who, name, answer, receipt.action)
        self._do((who, "label", {name: answer}))

    @rule(who=people, answer=answers)
    def label_many(self, who: str, answer: str) -> None:
        given = dict.fromkeys(SPECTRA[1:4], answer)
        Desk(self.campaign, who).answer_many(given)
        self._do((who, "label", {**given}))

    @rule(who=people, name=spectra)
    def skip(self, who: str, name: str) -> None:
        Desk(self.campaign, who).skip(name)
        self._do((who, "skip", {name: None}))

    @rule(who=people, name=spectra, quality=st.integers(1, 4))
    def note(self, who: str, name: str, quality: int) -> None:
        Desk(self.campaign, who).note(name, quality=quality)
        self._do((who, "note", {name: str(quality)}))

    @rule(who=people, name=spectra, answer=answers)
    def adjudicate(self, who: str, name: str, answer: str) -> None:
        if self._opinions(name):
            Desk(self.campaign, who).adjudicate(name, answer)
            self._do((who, "adjudication", {name: answer}))

    @rule(who=people)
    def undo(self, who: str) -> None:
        own = [deed for deed in self.done if deed[0] == who]
        assert (Desk(self.campaign, who).undo() is None) == (not own)
        if own:
            # The last of equal deeds: lists compare by content, so find it from the end.
            place = max(i for i, deed in enumerate(self.done) if deed is own[-1])
            self.undone[who].append(self.done.pop(place))

    @rule(who=people)
    def redo(self, who: str) -> None:
        assert (Desk(self.campaign, who).redo() is None) == (not self.undone[who])
        if self.undone[who]:
            self.done.append(self.undone[who].pop())

    @rule()
    def deliver_again(self) -> None:
        if self.last:
            who, name, answer, action = self.last
            before = len(self.campaign.database.events())
            assert Desk(self.campaign, who).answer(name, answer, action=action).action == action
            assert len(self.campaign.database.events()) == before

    @rule(who=people, n=st.integers(1, 3))
    def ask_for_questions(self, who: str, n: int) -> None:
        for task in Desk(self.campaign, who).queue(n):
            assert who not in self._opinions(task.identifier)

    @rule(within=st.booleans())
    def crash(self, within: bool) -> None:
        """The process ends between two writes, or within one: what lies on the disk then is all there is."""
        database = self.campaign.database
        self.copies += 1
        to = self.folder / str(self.copies)
        try:
            with database.transaction():
                if within:
                    lost = Event("label", SPECTRA[0], "bad")
                    database.append(lambda _: [lost, lost], who="ann")
                shutil.copytree(self.campaign.path, to)
                raise KeyboardInterrupt
        except KeyboardInterrupt:
            self.campaign.close()
        (to / "campaign.db-shm").unlink(missing_ok=True)
        self.campaign = Campaign(to)

    def _opinions(self, name: str) -> dict[str, str | None]:
        return {who: said[name] for who, kind, said in self._in_order() if kind == "label" and name in said}

    def _in_order(self) -> list[Deed]:
        """What is done, in the order in which it was first done: to redo is not to do it anew."""
        return sorted(self.done, key=lambda deed: self._first[id(deed)])

    @property
    def _first(self) -> dict[int, int]:
        self._numbers: dict[int, int] = getattr(self, "_numbers", {})
        self._kept: list[Deed] = getattr(self, "_kept", [])
        for deed in self.done:
            if id(deed) not in self._numbers:
                self._kept.append(deed)
                self._numbers[id(deed)] = len(self._numbers)
        return self._numbers

    @invariant()
    def the_model_agrees(self) -> None:
        if not hasattr(self, "campaign"):
            return
        state = self.campaign.database.state()
        expected, disputed = {}, set()
        for name in SPECTRA:
            opinions = self._opinions(name)
            assert {who: event.answer for who, event in state.opinions(name).items()} == opinions
            final = [said[name] for _, kind, said in self._in_order() if kind == "adjudication" and name in said]
            if final or len(set(opinions.values())) == 1:
                expected[name] = final[-1] if final else next(iter(opinions.values()))
            elif opinions:
                disputed.add(name)
            for who in PEOPLE:
                notes = [s[name] for w, kind, s in self._in_order() if (w, kind) == (who, "note") and name in s]
                note = state.note(who, name)
                assert (None if note is None else str(note.details["quality"])) == (notes[-1] if notes else None)
                skips = [1 for w, kind, s in self._in_order() if (w, kind) == (who, "skip") and name in s]
                assert (state.skipped(who, name) is not None) == (bool(skips) and who not in opinions)
        assert {label.identifier: label.answer for label in self.campaign.labels()} == expected
        assert set(state.disputes()) == disputed

    @invariant()
    def replaying_gives_the_same(self) -> None:
        if hasattr(self, "campaign"):
            rows = self.campaign.database.read("SELECT * FROM events ORDER BY id")
            assert replay(event_of(row) for row in rows) == self.campaign.database.state()


def test_any_sequence_of_actions_with_crashes_between(empty_campaign: Path) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    Annotators.template = empty_campaign
    run_state_machine_as_test(Annotators, settings=settings(max_examples=25, stateful_step_count=25, deadline=None))


_PROGRAM = """
import sys
from emberline.campaign import Campaign
from emberline.campaign.annotation import Desk
desk = Desk(Campaign(sys.argv[1]), "ann")
print("ready", flush=True)
for number in range(10_000):
    name = f"s5-{number % 16:05d}"
    action = f"{sys.argv[2]}-{number}"
    if number % 3 == 2:
        desk.undo(action=action)
    else:
        desk.answer(name, "none", action=action)
    print(action, flush=True)
"""


@pytest.mark.slow
def test_nothing_that_was_confirmed_is_lost_when_the_process_is_killed(make_campaign: MakeCampaign) -> None:
    path = make_campaign().path
    confirmed: list[str] = []
    for run in range(3):
        command = [sys.executable, "-c", _PROGRAM, str(path), str(run)]
        stop = random.Random(run).randrange(5, 40)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for count, line in enumerate(process.stdout):
                confirmed += [] if line.strip() == "ready" else [line.strip()]
                if count == stop:
                    os.kill(process.pid, signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
    database = Campaign(path).database
    stored = [event["action"] for event in database.events()]
    assert set(confirmed) <= set(stored)
    assert len(stored) == len(set(stored))
    assert len(set(stored) - set(confirmed)) <= 3 * 2, "at most what was being written, and what the pipe still held"
    assert isinstance(database.state(), State)
