"""The workers of one supervisor: started, watched, held to their limits, and ended with all that belongs to them."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from emberline.confinement import Confinement
from emberline.errors import EmberlineError
from emberline.jobs import _folders
from emberline.jobs._engine import Engine, Orphan, Row
from emberline.jobs._order import Order
from emberline.jobs.model import Failure, JobError, JobNotFoundError, JobType, Phase, PhaseError
from emberline.jobs.processes import GRACE, MARK, Worker, ended_by, kill_tree, memory_of, tree

__all__ = ["Crew", "Limits"]

LOG_LIMIT = 20_000_000  # bytes of a job's log that are kept
_SLACK = 1_000_000  # bytes by which a log may be longer until it is cut
_FAREWELL = 5.0  # s that a worker may take to exit after its last word
_TAIL = 4_000  # bytes of the log that go into the error of a worker that died
_MOST_ATTEMPTS = 100  # even of a job that comes further each time
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Limits:
    """How many jobs run at a time; what each may use; how a worker that died is tried again."""

    concurrency: int = 1
    memory_bytes: int = 0
    minimum_free_bytes: int = 0
    retries: int = 3
    retry_delay: float = 2.0
    interruptions: int = 5
    memory_interval: float = 1.0
    log_bytes: int = LOG_LIMIT


@dataclasses.dataclass
class _Running:
    row: Row
    attempt: int
    popen: subprocess.Popen[str]
    worker: Worker
    began: float
    measured: float = 0.0
    lost: float | None = None
    """When it was first seen that the job is no longer executing."""


class Crew:
    """Starts and ends processes; every decision stands in the data base before a process is touched."""

    def __init__(self, engine: Engine, folder: Path, confinement: Confinement | None, limits: Limits) -> None:
        self._engine, self._folder, self._confinement, self._limits = engine, folder, confinement, limits
        self._running: dict[str, _Running] = {}
        self._burials: dict[str, threading.Thread] = {}

    def __len__(self) -> int:
        return len(self._running)

    def types(self) -> dict[str, str]:
        """The types of the running jobs."""
        return {job: running.row.type for job, running in self._running.items()}

    def writes(self) -> dict[str, frozenset[str]]:
        """What the running jobs write."""
        return {job: running.row.writes or frozenset() for job, running in self._running.items()}

    # Starting -------------------------------------------------------------------------------------------------------

    def start(self, row: Row, job_type: JobType) -> bool:
        """Start a worker for a queued job; False when that was not possible.

        The worker waits for its order, which it gets only when the data base has the job as executing, with it.
        """
        try:
            popen = self._spawn(row.id)
        except OSError as error:
            self._died(row, f"could not be started ({error.strerror})")
            return False
        assert popen.stdin is not None
        try:
            worker = Worker.of(popen.pid)
            if worker is None:
                raise JobError("the worker ended as soon as it was started", where=row.id)
            attempt = self._engine.start(row.id, worker)
            running = self._running[row.id] = _Running(row, attempt, popen, worker, time.monotonic())
            order = Order.of(self._folder, row.id, attempt, job_type, self._confinement)
            with contextlib.suppress(BrokenPipeError):  # it has died already, which is seen in the next turn
                running.popen.stdin.write(order.to_text())  # type: ignore[union-attr]
        except (PhaseError, JobNotFoundError):
            _log.info("Job %s was taken back before it began", row.id)
            if self._engine.row(row.id) is None:
                _folders.remove(self._folder / row.id)
        finally:
            with contextlib.suppress(OSError):
                popen.stdin.close()
            if row.id not in self._running:
                _finish(popen)
        return row.id in self._running

    def _spawn(self, job: str) -> subprocess.Popen[str]:
        folder = self._folder / job
        folder.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        log = os.open(folder / _folders.LOG, flags, 0o644)
        environment = {**os.environ, MARK: job, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8:backslashreplace"}
        try:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "emberline.jobs.worker"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=folder,
                env=environment,
                start_new_session=True,
                text=True,
                encoding="utf-8",
            )
        finally:
            os.close(log)

    # Watching -------------------------------------------------------------------------------------------------------

    def watch(self) -> None:
        """One turn: collect who has ended, hold the others to their limits."""
        for running in list(self._running.values()):
            try:
                self._look_at(running)
            except Exception:  # one job's trouble must not keep us from the others
                _log.exception("Job %s could not be looked after", running.row.id)

    def _look_at(self, running: _Running) -> None:
        job = running.row.id
        status = running.popen.poll()
        if status is not None:
            row = self._engine.row(job, attempt=running.attempt)
            if row is not None:
                self._died(row, ended_by(status), attempt=running.attempt)
            elif tree(job):
                self._engine.orphan(job, running.worker)
            del self._running[job]
            return
        self._cut_log(job)
        row = self._engine.row(job, attempt=running.attempt)
        if row is None:
            self._expect_end(running)
        else:
            self._check_limits(running, row.duration)

    def _expect_end(self, running: _Running) -> None:
        """A worker whose job is over ends by itself, or is an orphan; one that does neither becomes one."""
        now = time.monotonic()
        running.lost = running.lost or now
        known = {orphan.job for orphan in self._engine.orphans()}
        if now - running.lost > _FAREWELL and running.row.id not in known:
            self._engine.orphan(running.row.id, running.worker)

    def _check_limits(self, running: _Running, duration: float) -> None:
        now = time.monotonic()
        if 0 < duration < now - running.began:
            self._stop(running, f"ran longer than the {duration:g} s that it was allowed")
        elif self._limits.memory_bytes and now - running.measured >= self._limits.memory_interval:
            running.measured = now
            used = memory_of(tree(running.row.id, running.worker))
            if used > self._limits.memory_bytes:
                found, allowed = (f"{size / 2**30:.2f} GiB" for size in (used, self._limits.memory_bytes))
                self._stop(running, f"used {found} of memory, more than the {allowed} that it was allowed")

    def _stop(self, running: _Running, reason: str) -> None:
        failure = Failure(reason, "transient", self._tail(running.row.id))
        self._engine.take(running.row.id, "fail", attempt=running.attempt, failure=failure)

    def _died(self, row: Row, reason: str, *, attempt: int | None = None) -> None:
        """A worker ended without a last word: tried again from its checkpoint, unless that has been tried enough."""
        tries = row.crashes + 1
        if tries > self._limits.retries or row.attempt >= _MOST_ATTEMPTS:
            failure = Failure(f"the worker {reason}, {tries} times in a row", "transient", self._tail(row.id))
            self._engine.take(row.id, "fail", attempt=attempt, failure=failure, crashes=tries)
            return
        delay = self._limits.retry_delay * 2 ** (tries - 1)
        message = f"The worker {reason}; tried again in {delay:g} s"
        _log.warning("Job %s: %s", row.id, message)
        columns = {"crashes": tries, "message": message, "not_before": delay}
        if attempt is None:
            self._engine.postpone(row.id, **columns)
        else:
            self._engine.take(row.id, "requeue", attempt=attempt, **columns)

    def _cut_log(self, job: str) -> None:
        """Keep the beginning of a log that grows without bounds; what it says in the end is in the error as well."""
        path, limit = self._folder / job / _folders.LOG, self._limits.log_bytes
        with contextlib.suppress(FileNotFoundError):
            if path.lstat().st_size > limit + min(_SLACK, limit):
                os.truncate(path, limit)
                with open(path, "ab") as stream:
                    stream.write(b"\n[the log is too long: some of it is left out here]\n")

    def _tail(self, job: str) -> str:
        return _folders.read_log(self._folder / job, -_TAIL, _TAIL)[0]

    # Ending ---------------------------------------------------------------------------------------------------------

    def bury(self) -> None:
        """Begin to end the process trees that must die, each in a thread of its own."""
        for orphan in self._engine.orphans():
            thread = self._burials.get(orphan.job)
            if thread is None or not thread.is_alive():
                thread = threading.Thread(target=self._bury, args=(orphan,), name=f"end-{orphan.job}", daemon=True)
                self._burials[orphan.job] = thread
                thread.start()
        self._burials = {job: thread for job, thread in self._burials.items() if thread.is_alive()}

    def _bury(self, orphan: Orphan) -> None:
        try:
            if kill_tree(orphan.job, orphan.worker):
                self._clear(orphan.job, self._engine.buried(orphan.job))
            else:
                _log.error("Processes of job %s cannot be ended: the operating system keeps them", orphan.job)
        except (EmberlineError, OSError) as error:
            _log.warning("The processes of job %s could not be ended: %s", orphan.job, error)

    def _clear(self, job: str, phase: Phase | None) -> None:
        """Remove what a job wrote in its last moments, after it was deleted or archived."""
        if phase in (None, Phase.ARCHIVED):
            (_folders.remove if phase is None else _folders.erase)(self._folder / job)

    def suspend(self) -> None:
        """Stop all workers; their jobs go on when a supervisor runs again."""
        for running in self._running.values():
            with contextlib.suppress(EmberlineError):
                self._engine.take(running.row.id, "suspend", attempt=running.attempt)
        end = time.monotonic() + 10 * GRACE
        while self._running and time.monotonic() < end:
            with contextlib.suppress(EmberlineError):
                self.bury()
            self.watch()
            time.sleep(0.02)
        for running in self._running.values():
            kill_tree(running.row.id, running.worker, grace=0)
        self._running.clear()
        for thread in list(self._burials.values()):
            thread.join(10 * GRACE)


def _finish(popen: subprocess.Popen[str]) -> None:
    """A worker that got no order ends by itself."""
    try:
        popen.wait(5)
    except subprocess.TimeoutExpired:
        popen.kill()
        popen.wait()
