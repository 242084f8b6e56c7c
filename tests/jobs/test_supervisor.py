"""The life of jobs under a supervisor: limits, retries, waiting, stopping, taking over."""

from __future__ import annotations

import datetime
import itertools
import os
import signal
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from emberline.jobs import Job, Phase, Supervisor, start_detached
from emberline.jobs._schema import stamp
from emberline.jobs.processes import tree
from tests.jobs.harness import LIMITS, ROOT, House

DONE = (Phase.COMPLETED, Phase.ERROR, Phase.ABORTED, Phase.HELD)


def events(trace: Path) -> list[tuple[str, str]]:
    """What sleeping jobs noted, in order: begin or end, and which job."""
    lines = [line.split() for line in trace.read_text().splitlines()] if trace.exists() else []
    return [(word, job) for word, job, _ in lines]


def at_a_time(trace: Path) -> int:
    """How many jobs ran at the same time, at most."""
    return max(itertools.accumulate(1 if word == "begin" else -1 for word, _ in events(trace)))


def end(house: House, job: str) -> Job:
    return house.until_phase(job, *DONE)


def failure(job: Job) -> str:
    assert job.phase == Phase.ERROR, job
    assert job.failure is not None
    return job.failure.message


def limit() -> float:
    """Within so many seconds all of a job's processes must be gone: 2, and some slack where others use the cores."""
    return 3.0 if os.getloadavg()[0] > (os.cpu_count() or 1) else 2.0


# Order and number ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("concurrency", [1, 3])
def test_no_more_jobs_run_at_a_time_than_allowed(house: House, tmp_path: Path, concurrency: int) -> None:
    jobs = [house.submit("sleep", seconds=0.5, trace=str(tmp_path / "trace")) for _ in range(2 * concurrency)]
    house.supervise(concurrency=concurrency)
    assert {end(house, job).phase for job in jobs} == {Phase.COMPLETED}
    assert at_a_time(tmp_path / "trace") <= concurrency
    if concurrency == 1:
        assert [job for word, job in events(tmp_path / "trace") if word == "begin"] == jobs, "first come, first served"


def test_two_supervisors_do_not_run_twice_as_many(house: House, tmp_path: Path) -> None:
    jobs = [house.submit("sleep", seconds=0.3, trace=str(tmp_path / "trace")) for _ in range(4)]
    house.supervise(concurrency=1)
    house.supervise(concurrency=1)
    house.spawn(concurrency=1)
    assert {end(house, job).phase for job in jobs} == {Phase.COMPLETED}
    assert at_a_time(tmp_path / "trace") == 1
    assert len(events(tmp_path / "trace")) == 8


def test_when_one_supervisor_is_killed_another_takes_over(house: House) -> None:
    first = house.spawn()
    job = house.submit("count", items=20, seconds=0.05)
    house.until_progress(job, 0.2)
    house.supervise()
    first.kill()
    assert end(house, job).phase == Phase.COMPLETED
    assert house.store.job(job).attempt == 2


def test_jobs_that_write_the_same_path_run_one_after_another(house: House, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    paths = ("archive", "archive", "archive/part", "other")
    jobs = [house.submit("sleep", seconds=0.4, out=str(tmp_path / path), trace=str(trace)) for path in paths]
    house.supervise(concurrency=4)
    house.until(lambda: "Waits for job" in house.store.job(jobs[1]).message)
    assert jobs[0] in house.store.job(jobs[1]).message
    assert {end(house, job).phase for job in jobs} == {Phase.COMPLETED}
    assert at_a_time(trace) == 2, "the one that writes elsewhere need not wait"
    first_three = [event for event in events(trace) if event[1] in jobs[:3]]
    assert [word for word, _ in first_three] == ["begin", "end"] * 3


# Failing -------------------------------------------------------------------------------------------------------------


def test_a_worker_that_dies_is_tried_again(house: House) -> None:
    house.supervise()
    job = end(house, house.submit("fail", how="kill", times=2))
    assert job.phase == Phase.COMPLETED
    assert job.attempt == 3
    assert job.failure is None


def test_a_worker_that_always_dies_is_given_up_with_the_reason(house: House) -> None:
    house.supervise()
    job = end(house, house.submit("fail", how="exit"))
    assert failure(job) == "the worker ended without a word (exit status 0), 4 times in a row"
    assert job.attempt == 4
    assert job.failure is not None
    assert job.failure.kind == "transient"
    assert "about to fail" in job.failure.detail


def test_who_waits_to_be_tried_again_lets_others_pass_and_says_so(house: House) -> None:
    house.supervise(concurrency=1, retry_delay=600.0)
    job = house.submit("fail", how="kill")
    other = house.submit("count")
    assert end(house, other).phase == Phase.COMPLETED
    waiting = house.until_phase(job, Phase.QUEUED)
    assert waiting.message == "The worker was killed (SIGKILL), most likely for want of memory; tried again in 600 s"
    assert house.store.abort(job).phase == Phase.ABORTED


def test_too_much_memory_is_an_error(house: House) -> None:
    house.supervise(memory_bytes=150 << 20)
    jobs = house.submit("eat", mebibytes=240), house.submit("count")
    assert "of memory, more than the 0.15 GiB" in failure(end(house, jobs[0]))
    assert end(house, jobs[1]).phase == Phase.COMPLETED
    house.until(lambda: not house.living())


def test_too_long_is_an_error(house: House) -> None:
    house.supervise()
    job = house.store.create("sleep", {"seconds": 60}, run=True, duration=0.5).id
    assert failure(end(house, job)) == "ran longer than the 0.5 s that it was allowed"
    house.until(lambda: not house.living())


def test_the_limit_of_time_may_be_changed_while_the_job_runs(house: House) -> None:
    house.supervise()
    job = house.submit("sleep")
    house.until_phase(job, Phase.EXECUTING)
    house.store.update(job, duration=0.1)
    assert "ran longer" in failure(end(house, job))


def test_a_type_that_nobody_knows_any_more_is_an_error(house: House) -> None:
    job, good = house.submit("count"), house.submit("count")
    house.execute("UPDATE jobs SET type = 'gone' WHERE id = ?", job)
    house.supervise()
    assert failure(end(house, job)) == "this version of Emberline knows no type of job 'gone'"
    assert end(house, good).phase == Phase.COMPLETED


@pytest.mark.parametrize("column", ["writes", "checkpoint"])
def test_a_damaged_record_is_an_error_and_harms_no_other_job(house: House, column: str) -> None:
    job, good = house.submit("count"), house.submit("count")
    house.execute(f"UPDATE jobs SET {column} = '[' WHERE id = ?", job)
    house.supervise(concurrency=1)
    assert failure(end(house, job)) == "its record is damaged"
    assert end(house, good).phase == Phase.COMPLETED


def test_a_job_that_cannot_be_started_harms_no_other(house: House) -> None:
    job, good = house.submit("count"), house.submit("count")
    (house.store.job_folder(job) / "log.txt").symlink_to("/dev/full")
    house.supervise()
    assert "could not be started" in failure(end(house, job))
    assert end(house, good).phase == Phase.COMPLETED


def test_parameters_that_fit_no_longer_are_an_error(house: House) -> None:
    job = house.submit("count")
    house.execute("""UPDATE jobs SET parameters = '{"itens": 1}' WHERE id = ?""", job)
    house.supervise()
    assert "did you mean 'items'" in failure(end(house, job))


def test_a_log_without_end_is_cut(house: House) -> None:
    house.supervise(log_bytes=50_000)
    job = end(house, house.submit("write", lines=40_000, pause=0.5))
    assert job.phase == Phase.COMPLETED
    log = house.store.job_folder(job.id) / "log.txt"
    assert log.stat().st_size < 150_000
    text = log.read_text()
    assert "line 0\n" in text
    assert "[the log is too long: some of it is left out here]" in text
    assert "Done, with" in text


# Waiting -------------------------------------------------------------------------------------------------------------


def test_on_a_nearly_full_disk_jobs_are_held_until_told_to_run(house: House) -> None:
    house.supervise(minimum_free_bytes=1 << 60)
    job = house.until_phase(house.submit("count"), Phase.HELD)
    assert job.message.startswith("The disk is nearly full: ")
    house.stop()
    house.supervise()
    other = house.submit("count")
    assert end(house, other).phase == Phase.COMPLETED
    assert house.store.job(job.id).phase == Phase.HELD
    house.store.run(job.id)
    house.until_phase(job.id, Phase.COMPLETED)


def test_who_is_interrupted_again_and_again_without_getting_further_is_held(house: House) -> None:
    job = house.submit("sleep")
    house.execute("UPDATE jobs SET interruptions = 3 WHERE id = ?", job)
    supervisor = house.spawn()
    house.until_phase(job, Phase.EXECUTING)
    supervisor.kill()
    supervisor = house.spawn()
    house.until(lambda: house.store.job(job).attempt == 2)
    supervisor.kill()
    house.supervise()
    held = house.until_phase(job, Phase.HELD)
    assert held.message.startswith("Was interrupted 5 times without getting any further")
    house.store.run(job)
    house.until_phase(job, Phase.EXECUTING)


# Stopping ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["ignore", "setsid", "leave"])
def test_an_aborted_job_is_gone_within_two_seconds(
    house: House, way: str, record_property: pytest.RecordProperty
) -> None:
    """All its processes: they ignore the signal to end, have their own session, have left their parent."""
    house.supervise()
    job = house.submit("family", way=way) if way != "leave" else house.submit("family", way=way, stay=True)
    house.until_progress(job)
    assert len(tree(job)) == 2
    begin = time.monotonic()
    house.store.abort(job)
    house.until(lambda: not tree(job))
    taken = time.monotonic() - begin
    record_property("seconds", taken)
    assert taken < limit()
    assert house.store.job(job).phase == Phase.ABORTED


def test_three_jobs_aborted_at_once_are_gone_at_once(house: House) -> None:
    house.supervise(concurrency=3)
    jobs = [house.submit("family", way="ignore") for _ in range(3)]
    for job in jobs:
        house.until_progress(job)
    begin = time.monotonic()
    for job in jobs:
        house.store.abort(job)
    house.until(lambda: not house.living())
    assert time.monotonic() - begin < limit(), "one after another they take longer than 3 s"


def test_a_deleted_job_leaves_neither_processes_nor_files(house: House) -> None:
    house.supervise()
    job = house.submit("family", way="setsid")
    house.until_progress(job)
    house.store.delete(job)
    house.until(lambda: not tree(job) and not house.store.job_folder(job).exists())
    assert end(house, house.submit("count")).phase == Phase.COMPLETED


def test_what_a_job_leaves_behind_ends_with_it(house: House) -> None:
    house.supervise()
    job = end(house, house.submit("family", way="leave"))
    assert job.phase == Phase.COMPLETED
    house.until(lambda: not tree(job.id))


def test_an_aborted_job_blocks_its_place_until_it_is_gone(house: House, tmp_path: Path) -> None:
    house.supervise(concurrency=1)
    job = house.submit("family")
    house.until_progress(job)
    other = house.submit("count")
    house.store.abort(job)
    house.until_phase(other, Phase.EXECUTING, Phase.COMPLETED)
    assert not tree(job)


def test_destruction_times_are_honoured(house: House) -> None:
    house.supervise()
    done, running = house.submit("count"), house.submit("sleep")
    end(house, done)
    house.until_progress(running)
    assert house.store.job(done).results
    for job in (done, running):
        house.store.update(job, destruction=stamp(datetime.datetime.now(datetime.UTC)))
    for job in (done, running):
        gone = house.until_phase(job, Phase.ARCHIVED)
        assert gone.results == ()
        house.until(lambda job=job: not house.results(job).exists() and not tree(job))


def test_an_orderly_stop_suspends_and_the_next_supervisor_goes_on(house: House) -> None:
    house.supervise()
    job = house.submit("count", items=20, seconds=0.05)
    house.until_progress(job, 0.2)
    house.stop()
    assert house.store.job(job).phase == Phase.SUSPENDED
    assert not house.living()
    house.supervise()
    assert end(house, job).phase == Phase.COMPLETED
    assert house.store.job(job).attempt == 2
    lines = (house.results(job) / "done.txt").read_text().splitlines()
    assert len(lines) in (20, 21), "at most the item that was being done is done again"
    row = house.store.database
    with row.read() as connection:
        assert connection.execute("SELECT interruptions FROM jobs").fetchone()[0] == 0


# On its own ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.mark.usefixtures("_importable")
def test_a_detached_supervisor_works_and_ends_by_itself(house: House) -> None:
    jobs = [house.submit("count"), house.submit("fail")]
    assert start_detached(house.store.folder, "tests.jobs.job_types:JOB_TYPES", idle_exit=0.3)
    assert [end(house, job).phase for job in jobs] == [Phase.COMPLETED, Phase.ERROR]
    house.until(lambda: not house.store.supervised())
    assert (house.store.folder / "supervisor.log").read_text() == ""


@pytest.mark.usefixtures("_importable")
def test_a_detached_supervisor_keeps_to_the_limits_of_the_workspace(house: House) -> None:
    (house.store.folder.parent / "workspace.toml").write_text("minimum_free_gib = 1000000\n")
    job = house.submit("count")
    assert start_detached(house.store.folder.parent, "tests.jobs.job_types:JOB_TYPES", idle_exit=0.1)
    assert "1000000.00 GiB must be" in house.until_phase(job, Phase.HELD).message
    house.until(lambda: not house.store.supervised())


@pytest.mark.usefixtures("_importable")
def test_where_one_is_at_work_no_other_is_started(house: House) -> None:
    house.supervise()
    house.until(house.store.supervised)
    assert not start_detached(house.store.folder.parent, "tests.jobs.job_types:JOB_TYPES")
    assert not (house.store.folder / "supervisor.log").exists()


@pytest.mark.usefixtures("_importable")
def test_a_detached_supervisor_that_cannot_work_says_why(house: House) -> None:
    assert start_detached(house.store.folder, "tests.jobs.job_types:NOTHING", idle_exit=0.3)
    log = house.store.folder / "supervisor.log"
    house.until(lambda: log.read_text())
    house.until(lambda: log.read_text().endswith("Is everything installed?\n"))
    assert "Traceback" not in log.read_text()


def test_a_supervisor_that_was_told_to_end_while_it_waited_ends(house: House) -> None:
    house.supervise()
    house.until(house.store.supervised)
    stop = threading.Event()
    other = threading.Thread(target=Supervisor(house.store, limits=LIMITS).run, args=(stop,))
    other.start()
    idle = threading.Thread(target=Supervisor(house.store, limits=LIMITS).run, args=(threading.Event(), 0.2))
    idle.start()
    idle.join(10)
    assert not idle.is_alive(), "it does not wait for ever for nothing to do"
    assert other.is_alive()
    stop.set()
    other.join(10)
    assert not other.is_alive()


def test_a_busy_data_base_is_no_reason_to_give_up(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a while no transaction succeeds; afterwards everything goes on, and no job is to blame."""
    from emberline.jobs import _engine

    real, failing = _engine.move, threading.Event()

    def move(*arguments: Any, **keywords: Any) -> None:
        if failing.is_set():
            raise sqlite3.OperationalError("database is locked")
        real(*arguments, **keywords)

    monkeypatch.setattr(_engine, "move", move)
    failing.set()
    job = house.submit("count")
    house.supervise()
    time.sleep(0.3)
    assert house.store.job(job).phase == Phase.QUEUED
    failing.clear()
    assert end(house, job).phase == Phase.COMPLETED
    assert house.store.job(job).attempt == 1


def test_the_signal_to_end_suspends_in_a_process_of_its_own(house: House) -> None:
    supervisor = house.spawn()
    job = house.submit("sleep")
    house.until_phase(job, Phase.EXECUTING)
    os.kill(supervisor.pid, signal.SIGTERM)
    assert supervisor.wait(20) == 0
    assert house.store.job(job).phase == Phase.SUSPENDED
    assert not house.living()
