"""Which processes belong to a job, and that all of them end."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator

import psutil
import pytest

from emberline.jobs.processes import MARK, Worker, ended_by, kill_tree, memory_of, tree

SLEEP = "import time; time.sleep(60)"
CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SLEEP!r}])"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); {SLEEP}"
BARE = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SLEEP!r}], env={{}})"
AWAY = f"import os\nif os.fork(): os._exit(0)\nos.setsid()\nprint('away', flush=True)\n{SLEEP}"


@pytest.fixture
def job() -> Iterator[str]:
    name = f"test-{uuid.uuid4().hex}"
    yield name
    kill_tree(name, None, grace=0)


def start(job: str, code: str, *, listen: bool = False) -> subprocess.Popen[bytes]:
    popen = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, MARK: job},
        start_new_session=True,
        stdout=subprocess.PIPE if listen else None,
    )
    if popen.stdout is not None:
        popen.stdout.readline()
        popen.stdout.close()
    return popen


def wait_for(count: int, job: str, worker: Worker | None = None) -> set[psutil.Process]:
    end = time.monotonic() + 20
    while len(found := tree(job, worker)) != count:
        assert time.monotonic() < end, found
        time.sleep(0.01)
    return found


def test_descendants_are_found_and_end(job: str) -> None:
    popen = start(job, CHILD)
    found = wait_for(2, job)
    assert popen.pid in {process.pid for process in found}
    assert kill_tree(job, Worker.of(popen.pid), reap=popen.poll)
    assert popen.wait() == -signal.SIGTERM
    assert not tree(job)


def test_who_ignores_the_signal_to_end_is_killed(job: str) -> None:
    popen = start(job, DEAF, listen=True)
    assert kill_tree(job, None, grace=0.05, reap=popen.poll)
    assert popen.wait() == -signal.SIGKILL


def test_who_left_parent_and_session_is_found_by_the_mark(job: str) -> None:
    start(job, AWAY, listen=True).wait()
    (process,) = wait_for(1, job)
    assert os.getsid(process.pid) == process.pid
    assert kill_tree(job, None)
    assert not tree(job)


def test_who_has_no_mark_is_found_by_parent_and_group(job: str) -> None:
    popen = start(job, BARE)
    worker = Worker.of(popen.pid)
    assert worker is not None
    child = (wait_for(2, job, worker) - {psutil.Process(popen.pid)}).pop()
    assert MARK not in child.environ()
    popen.kill()
    popen.wait()
    assert tree(job, worker) == {child}, "its parent is gone, the group is left"
    assert kill_tree(job, worker)


def test_another_process_with_the_same_number_is_none_of_ours(job: str) -> None:
    """After a restart of the machine the number of a worker belongs to somebody else."""
    popen = start("", SLEEP)
    try:
        worker = Worker.of(popen.pid)
        assert worker is not None
        assert {process.pid for process in tree(job, worker)} == {popen.pid}
        for hours in (-1, -1000):
            earlier = dataclasses.replace(worker, started=worker.started + 3600 * hours)
            assert earlier.process() is None
            assert kill_tree(job, earlier, grace=0)
        assert popen.poll() is None
    finally:
        popen.kill()
        popen.wait()


def test_a_worker_is_remembered_as_json_or_not_at_all() -> None:
    worker = Worker.of(os.getpid())
    assert worker is not None
    assert Worker.from_mapping(dataclasses.asdict(worker)) == worker
    assert Worker.from_mapping({"pid": "x"}) is None
    assert Worker.from_mapping(None) is None


def test_memory_counts_what_is_held(job: str) -> None:
    popen = start(job, f"held = bytearray(b'x') * (64 << 20); print(1, flush=True); {SLEEP}", listen=True)
    assert 64 << 20 < memory_of(tree(job)) < 200 << 20
    popen.kill()
    popen.wait()


@pytest.mark.parametrize(
    ("status", "words"),
    [(0, "without a word"), (3, "exit status 3"), (-9, "SIGKILL"), (-11, "crashed (SIGSEGV)"), (-15, "told to end")],
)
def test_how_a_worker_ended_is_said_in_words(status: int, words: str) -> None:
    assert words in ended_by(status)
