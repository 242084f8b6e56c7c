"""The store under many at a time, without a supervisor, and on damaged or full disks."""

from __future__ import annotations

import concurrent.futures
import datetime
import fcntl
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from emberline.errors import NewerVersionError
from emberline.jobs import (
    Job,
    JobError,
    JobNotFoundError,
    JobStore,
    Phase,
    PhaseError,
)
from emberline.jobs._schema import change, stamp
from tests.jobs.clerk import TYPES, do

# Many at a time -----------------------------------------------------------------------------------------------------

HAMMER = """
import random, sys
from emberline.errors import EmberlineError
from emberline.jobs import JobStore, PhaseError, JobNotFoundError
from tests.jobs.clerk import TYPES
from tests.jobs.test_store_shared import hammer
with JobStore(sys.argv[1], TYPES) as store:
    hammer(store, int(sys.argv[2]), 60)
"""


def hammer(store: JobStore, seed: int, turns: int) -> None:
    """Do anything a user may, to any job there is."""
    import random

    chance = random.Random(seed)
    for _ in range(turns):
        ids = [job.id for job in store.jobs(limit=20)] or [store.create("count", {}).id]
        act = chance.choice(["create", "create", "run", "abort", "archive", "update", "rerun", "delete", "engine"])
        id = chance.choice(ids)
        try:
            if act == "create":
                store.create("count", {"items": seed}, run=chance.random() < 0.5, owner=str(seed))
            elif act == "update":
                store.update(id, label=str(seed))
            elif act == "engine":
                do(store, id, chance.choice(["start", "complete", "fail", "hold", "suspend", "requeue"]))
            else:
                getattr(store, act)(id)
        except (PhaseError, JobNotFoundError):
            pass


def test_threads_and_processes_share_a_store(store):
    root = Path(__file__).parents[2]
    command = [sys.executable, "-W", "error", "-c", HAMMER, str(store.folder)]
    processes = [subprocess.Popen([*command, str(seed)], cwd=root) for seed in (1, 2)]
    seen: list[int] = []
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        working = [pool.submit(hammer, store, seed, 60) for seed in (3, 4, 5)]
        while not all(future.done() for future in working):
            seen.append(store.version())
            time.sleep(0.005)
        for future in working:
            future.result()
    assert [process.wait() for process in processes] == [0, 0]
    assert seen == sorted(seen)
    jobs = store.jobs(phases=list(Phase))
    assert len({job.created for job in jobs}) == len(jobs)
    assert len({job.version for job in jobs}) == len(jobs)
    assert max(job.version for job in jobs) <= store.version()
    folders = {entry.name for entry in os.scandir(store.folder) if entry.is_dir()}
    assert folders == {job.id for job in jobs}
    with store.database.read() as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


def test_a_job_is_claimed_by_one_only(store):
    job = store.create("count", {}, run=True)
    barrier = threading.Barrier(8)

    def claim(_: int) -> bool:
        barrier.wait()
        try:
            do(store, job.id, "start")
        except PhaseError:
            return False
        return True

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(claim, range(8))) == 1
    assert store.job(job.id).attempt == 1


def test_stores_are_made_by_several_at_once(tmp_path):
    barrier = threading.Barrier(6)

    def make(_: int) -> str:
        barrier.wait()
        with JobStore(tmp_path / "jobs", TYPES) as store:
            return store.create("count", {}).id

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        ids = set(pool.map(make, range(6)))
    with JobStore(tmp_path / "jobs", TYPES) as store:
        assert {job.id for job in store.jobs()} == ids


def test_connections_end_with_their_threads(store):
    files = f"/proc/{os.getpid()}/fd"
    store.jobs()
    before = len(os.listdir(files))
    for _ in range(5):
        thread = threading.Thread(target=store.jobs)
        thread.start()
        thread.join()
    assert len(os.listdir(files)) <= before + 1
    store.close()
    assert not [fd for fd in os.listdir(files) if os.path.realpath(f"{files}/{fd}").startswith(str(store.folder))]
    assert store.jobs() == []


def test_a_forked_process_opens_a_connection_of_its_own(store):
    job = store.create("count", {})
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if store.run(job.id).phase == Phase.QUEUED else 1)
        except BaseException:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.job(job.id).phase == Phase.QUEUED
    assert store.abort(job.id).phase == Phase.ABORTED


def test_a_killed_writer_leaves_the_store_whole(store):
    code = (
        "import os, signal, sys\nfrom emberline.jobs import JobStore\n"
        "from emberline.jobs._schema import move\n"
        "store = JobStore(sys.argv[1], ())\n"
        "with store.database.transaction() as connection:\n"
        "    move(connection, sys.argv[2], 'abort')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    job = store.create("count", {})
    result = subprocess.run([sys.executable, "-c", code, str(store.folder), job.id], check=False, timeout=60)
    assert result.returncode == -signal.SIGKILL
    assert store.job(job.id).phase == Phase.PENDING
    assert store.run(job.id).phase == Phase.QUEUED


# Processes that must end --------------------------------------------------------------------------------------------


@pytest.fixture
def worker(store: JobStore) -> Iterator[tuple[Job, psutil.Process, subprocess.Popen[bytes]]]:
    """An executing job with a process that is at work on it."""
    job = store.create("count", {}, run=True)
    environment = {**os.environ, "EMBERLINE_JOB": job.id}
    process = subprocess.Popen(["sleep", "60"], start_new_session=True, env=environment)
    found = psutil.Process(process.pid)
    do(store, job.id, "start")
    record = json.dumps({"pid": process.pid, "started": found.create_time(), "pgid": process.pid})
    with store.database.transaction() as connection:
        change(connection, job.id, attempt=1, worker=record)
    yield job, found, process
    process.kill()
    process.wait()


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("action", ["abort", "delete"])
def test_without_a_supervisor_the_store_ends_the_worker(store, worker, action):
    job, process, _ = worker
    assert alive(process)
    getattr(store, action)(job.id)
    assert not alive(process)
    with store.database.read() as connection:
        assert connection.execute("SELECT COUNT(*) FROM orphans").fetchone()[0] == 0


def test_with_a_supervisor_the_worker_is_left_to_it(store, worker):
    job, process, _ = worker
    assert not store.supervised()
    with open(store.folder / "supervisor.lock", "a+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert store.supervised()
        store.delete(job.id)
        assert alive(process)
    assert not store.supervised()
    late = store.job_folder(job.id) / "results" / "late.txt"
    late.parent.mkdir(parents=True)
    late.write_text("written after the end")
    store.stop_orphans(grace=0.5)
    assert not alive(process)
    assert not store.job_folder(job.id).exists()


def test_what_a_worker_writes_after_the_archiving_is_erased(store, worker):
    job, process, _ = worker
    with open(store.folder / "supervisor.lock", "a+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        store.abort(job.id)
        store.archive(job.id)
        (store.job_folder(job.id) / "late.txt").write_text("x")
    store.stop_orphans()
    assert not alive(process)
    assert os.listdir(store.job_folder(job.id)) == ["parameters.toml"]


# Damage -------------------------------------------------------------------------------------------------------------


def test_a_newer_store_is_refused(tmp_path):
    with JobStore(tmp_path, TYPES) as store, store.database.transaction() as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
    with pytest.raises(NewerVersionError, match=r"jobs\.db.*found schema 99.*Upgrade Emberline"):
        JobStore(tmp_path, TYPES)


@pytest.mark.parametrize(
    "content", [b"this is no data base at all, is it?" * 100, b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_what_is_no_data_base_is_named(tmp_path, content):
    (tmp_path / "jobs.db").write_bytes(content)
    with pytest.raises(JobError, match=r"jobs\.db: is (no data base of jobs|damaged)"):
        JobStore(tmp_path, TYPES)
    assert (tmp_path / "jobs.db").read_bytes() == content


def test_another_data_base_is_named_and_left_alone(tmp_path):
    connection = sqlite3.connect(tmp_path / "jobs.db")
    connection.execute("CREATE TABLE events (id INTEGER)")
    connection.close()
    with pytest.raises(JobError, match=r"jobs\.db: is no data base of jobs"):
        JobStore(tmp_path, TYPES)
    connection = sqlite3.connect(tmp_path / "jobs.db")
    assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("events",)]
    connection.close()


def test_a_folder_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(JobError, match="cannot be made"):
        JobStore(tmp_path / "file" / "jobs", TYPES)
    (tmp_path / "jobs.db").mkdir()
    with pytest.raises(JobError, match=r"jobs\.db: cannot be opened"):
        JobStore(tmp_path, TYPES)


def fill(store: JobStore) -> None:
    """Much more than there is room for."""
    for _ in range(50):
        store.create("greet", {"name": "x" * 20_000})


def test_a_full_disk_gives_one_clear_error_and_loses_nothing(store):
    kept = [store.create("greet", {"name": "x" * 1000}).id for _ in range(3)]
    size = max((store.folder / name).stat().st_size for name in ("jobs.db", "jobs.db-wal"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 4096, before[1]))
        with pytest.raises(JobError, match=r"disk is full|cannot be written"):
            fill(store)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    found = {job.id for job in store.jobs()}
    assert set(kept) <= found
    assert {entry.name for entry in os.scandir(store.folder) if entry.is_dir()} == found
    assert store.create("count", {}).id not in found


def test_time_stamps_sort_as_text():
    moments = [
        datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(milliseconds=n)
        for n in (0, 1, 999, 1000)
    ]
    assert [stamp(moment) for moment in moments] == sorted(stamp(moment) for moment in moments)
    assert stamp(moments[1]) == "2030-01-01T00:00:00.001Z"
