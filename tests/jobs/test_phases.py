"""A job moves from phase to phase as the one table says, or not at all."""

from __future__ import annotations

import itertools
import os
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from emberline.jobs import (
    ACTIVE,
    JobNotFoundError,
    JobStore,
    ParameterError,
    Phase,
    PhaseError,
)
from emberline.jobs._schema import ACTIONS, change, move
from tests.jobs.clerk import TYPES, do, register


def test_the_life_of_a_job(store):
    job = store.create("count", {})
    assert store.run(job.id).phase == Phase.QUEUED
    started = do(store, job.id, "start")
    assert (started.phase, started.attempt) == (Phase.EXECUTING, 1)
    assert started.started >= started.queued >= started.created
    do(store, job.id, "suspend", "requeue")
    again = do(store, job.id, "start")
    assert (again.attempt, again.started) == (2, started.started)
    done = do(store, job.id, "complete")
    assert done.phase == Phase.COMPLETED
    assert done.progress == 1
    assert done.ended >= done.started
    with pytest.raises(PhaseError, match=r"cannot abort this job \(found COMPLETED, expected PENDING or QUEUED"):
        store.abort(job.id)
    with pytest.raises(PhaseError, match="Run it again as a new job"):
        store.run(job.id)


def test_held_jobs_run_when_told_to(store):
    job = store.create("count", {}, run=True)
    held = do(store, job.id, "hold", message="the disk is nearly full", interruptions=5)
    assert held.message == "the disk is nearly full"
    assert store.run(job.id).message == ""
    with store.database.read() as connection:
        assert connection.execute("SELECT interruptions FROM jobs").fetchone()[0] == 0


def test_abort_and_archive_may_be_repeated(store):
    job = store.create("count", {})
    with pytest.raises(PhaseError, match="cannot archive"):
        store.archive(job.id)
    first = store.abort(job.id)
    assert first.phase == Phase.ABORTED
    assert first.ended
    assert store.abort(job.id) == first
    assert store.archive(job.id).phase == Phase.ARCHIVED
    archived = store.job(job.id)
    assert store.archive(job.id) == archived
    with pytest.raises(PhaseError):
        store.abort(job.id)


def test_archiving_deletes_the_results_and_keeps_the_record(store):
    job = store.create("count", {"items": 1}, run=True)
    do(store, job.id, "start", "complete")
    register(store, job.id, "deep/a.txt")
    folder = store.job_folder(job.id)
    (folder / "log.txt").write_text("done")
    assert store.job(job.id).results[0].name == "deep/a.txt"
    archived = store.archive(job.id)
    assert archived.results == ()
    assert archived.parameters == {"items": 1}
    assert os.listdir(folder) == ["parameters.toml"]
    assert store.log(job.id) == ("", 0)


def test_deleting_removes_everything(store):
    job = store.create("count", {}, run=True)
    register(store, job.id, "a.txt")
    before = store.version()
    assert store.delete(job.id) is None
    assert not store.job_folder(job.id).exists()
    assert store.version() > before
    with store.database.read() as connection:
        assert connection.execute("SELECT COUNT(*) FROM results").fetchone()[0] == 0


def test_a_late_worker_resurrects_nothing(store):
    job = store.create("count", {}, run=True)
    do(store, job.id, "start")
    store.abort(job.id)
    with pytest.raises(PhaseError), store.database.transaction() as connection:
        move(connection, job.id, "complete", attempt=1)
    again = store.create("count", {}, run=True)
    do(store, again.id, "start", "requeue", "start")
    for act in (move, change):
        arguments = ("complete",) if act is move else ()
        with pytest.raises(PhaseError, match="no longer this worker's"), store.database.transaction() as connection:
            act(connection, again.id, *arguments, attempt=1)
    store.delete(again.id)
    with pytest.raises(JobNotFoundError), store.database.transaction() as connection:
        change(connection, again.id, attempt=2, progress=0.5)
    assert store.job(job.id).phase == Phase.ABORTED


def test_jobs_are_changed_while_that_makes_sense(store):
    job = store.create("count", {"items": 1})
    changed = store.update(job.id, label="new", parameters={"out": "b"}, duration=60, destruction="2030-01-01")
    assert (changed.label, changed.parameters, changed.duration) == ("new", {"out": "b"}, 60)
    with pytest.raises(ParameterError):
        store.update(job.id, parameters={"items": "x"})
    store.run(job.id)
    with pytest.raises(PhaseError, match=r"can no longer be changed \(found QUEUED, expected PENDING\)"):
        store.update(job.id, parameters={"items": 2}, label="not this either")
    assert store.job(job.id).label == "new"
    do(store, job.id, "start", "complete")
    with pytest.raises(PhaseError, match="found COMPLETED"):
        store.update(job.id, duration=3)
    assert store.update(job.id, destruction="2031-01-01", label="").destruction.startswith("2031")
    store.archive(job.id)
    with pytest.raises(PhaseError, match="found ARCHIVED"):
        store.update(job.id, destruction="2032-01-01")
    assert store.update(job.id, label="kept").label == "kept"


def test_running_again_makes_a_new_job(store):
    job = store.create(
        "count", {"items": 1, "out": "a"}, owner="eve", label="one", duration=5, destruction="2030-01-01"
    )
    clone = store.rerun(job.id, parameters={"items": 2, "out": None}, owner="adam")
    assert (clone.parameters, clone.clone_of, clone.owner, clone.label) == ({"items": 2}, job.id, "adam", "one")
    assert (clone.phase, clone.duration, clone.destruction) == (Phase.QUEUED, 5, None)
    edited = store.rerun(job.id, run=False, label="two")
    assert (edited.phase, edited.label, edited.parameters) == (Phase.PENDING, "two", job.parameters)
    with pytest.raises(ParameterError, match="itmes"):
        store.rerun(job.id, parameters={"itmes": 1})


def test_results_are_deleted_when_their_time_has_come(store):
    kept = store.create("count", {}, destruction="2999-01-01")
    forever = store.create("count", {})
    done = store.create("count", {}, destruction="2020-01-01", run=True)
    do(store, done.id, "start", "complete")
    register(store, done.id, "a.txt")
    waiting = store.create("count", {}, destruction="2020-01-01")
    assert sorted(store.expire()) == [done.id, waiting.id]
    assert store.expire() == []
    for job in (done, waiting):
        found = store.job(job.id)
        assert (found.phase, found.message) == (Phase.ARCHIVED, "its destruction time has come")
    assert os.listdir(store.job_folder(done.id)) == ["parameters.toml"]
    assert store.job(kept.id).phase == store.job(forever.id).phase == Phase.PENDING


def test_no_illegal_phase_is_reached(tmp_path):
    numbers = itertools.count()
    users = ("run", "abort", "archive")
    engine = tuple(name for name in ACTIONS if name not in users)

    class Phases(RuleBasedStateMachine):
        """Whatever is done to a job, in whatever order, it moves along `ACTIONS` or not at all."""

        @initialize(run=st.booleans())
        def make(self, run: bool) -> None:
            self.store = JobStore(tmp_path / str(next(numbers)), TYPES)
            self.job = self.store.create("count", {}, run=run)
            self.expected = Phase.QUEUED if run else Phase.PENDING
            self.attempts = 0

        def attempt(self, action: str, repeat: Phase | None, act: Any) -> None:
            allowed, target = ACTIONS[action]
            before = self.store.version()
            if self.expected in allowed:
                act()
                self.expected = target
                self.attempts += action == "start"
                assert self.store.version() > before
            elif self.expected == repeat:
                assert act().phase == repeat
                assert self.store.version() == before
            else:
                with pytest.raises(PhaseError):
                    act()
                assert self.store.version() == before

        @rule(action=st.sampled_from(users))
        def by_a_user(self, action: str) -> None:
            repeat = None if action == "run" else ACTIONS[action][1]
            self.attempt(action, repeat, lambda: getattr(self.store, action)(self.job.id))

        @rule(action=st.sampled_from(engine))
        def by_the_engine(self, action: str) -> None:
            self.attempt(action, None, lambda: do(self.store, self.job.id, action))

        @rule(action=st.sampled_from(("complete", "fail", "hold")), behind=st.integers(0, 2))
        def by_a_worker(self, action: str, behind: int) -> None:
            number = self.attempts - behind
            if self.expected == Phase.EXECUTING and behind == 0:
                self.attempt(action, None, lambda: do(self.store, self.job.id, action, attempt=number))
            else:
                with pytest.raises(PhaseError):
                    do(self.store, self.job.id, action, attempt=number)

        @invariant()
        def as_expected(self) -> None:
            if not hasattr(self, "store"):
                return
            found = self.store.job(self.job.id)
            assert found.phase == self.expected
            assert found.phase != Phase.UNKNOWN
            assert found.attempt == self.attempts
            assert (found.ended is None) == (found.phase in ACTIVE)
            assert found.phase != Phase.EXECUTING or found.started

        def teardown(self) -> None:
            if hasattr(self, "store"):
                self.store.close()

    run_state_machine_as_test(Phases, settings=settings(max_examples=40, stateful_step_count=15, deadline=None))
