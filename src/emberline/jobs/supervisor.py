"""The supervisor: at most one for each store, it starts queued jobs and sees to it that none is lost or stuck."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePath

from emberline.errors import EmberlineError
from emberline.jobs._crew import Crew, Limits
from emberline.jobs._engine import Engine, Row
from emberline.jobs._orphans import LOCK
from emberline.jobs.model import Failure, Phase
from emberline.jobs.processes import MARK
from emberline.jobs.store import JobStore
from emberline.jobs.workspace import WorkspaceConfig

__all__ = ["Supervisor", "start_detached"]

TURN = 0.1  # s between two turns
_LOCK_TURN = 0.2  # s between two tries to become the supervisor
_ASIDE = 2  # jobs at a time that wait for others rather than working themselves
_EXPLAINED = 20  # of the jobs that wait, those whose message says for which other
_REST = 1.0  # s until the next turn when something went wrong, a full disk for example
_CHORES = 1.0  # s between two looks at destruction times
_LOG_NAME = "supervisor.log"
_LOG_BYTES = 1_000_000
_log = logging.getLogger(__name__)


class Supervisor:
    """Runs the jobs of a store, each in processes of its own; when it stops in good order they are suspended.

    Parameters
    ----------
    store : JobStore
    concurrency : int
        How many jobs run at a time.
    memory_bytes : int
        What one job may use, with all its processes; 0 means no limit.
    minimum_free_bytes : int
        With less free space on the disk no job starts: it is HELD.
    limits : Limits, optional
        The same and more, in place of the three.
    """

    def __init__(
        self,
        store: JobStore,
        *,
        concurrency: int = 1,
        memory_bytes: int = 0,
        minimum_free_bytes: int = 1 << 30,
        limits: Limits | None = None,
    ) -> None:
        self._store = store
        self._limits = limits or Limits(concurrency, memory_bytes, minimum_free_bytes)
        self._chores = -_CHORES
        self._engine = Engine(store.database)
        self._crew = Crew(self._engine, store.folder, store.confinement, self._limits)

    @classmethod
    def of(cls, store: JobStore, config: WorkspaceConfig) -> Supervisor:
        """With the limits that a workspace's configuration sets."""
        return cls(
            store,
            concurrency=config.concurrency,
            memory_bytes=round(config.memory_gib * 2**30),
            minimum_free_bytes=round(config.minimum_free_gib * 2**30),
        )

    def run(self, stop: threading.Event, idle_exit: float | None = None) -> None:
        """Supervise until `stop` is set, or until there has been nothing to do for `idle_exit` seconds.

        While another supervisor is at work this one waits, and takes over when that one ends or dies.
        """
        while not stop.is_set():
            with _lock(self._store.folder / LOCK, stop, idle_exit) as held:
                if not held:
                    return
                self._supervise(stop, idle_exit)
            # A job that was queued while the lock was still held relied on us; one that came later starts another.
            if not self._engine.some_queued():
                return

    def _supervise(self, stop: threading.Event, idle_exit: float | None) -> None:
        busy = time.monotonic()
        self._safely("take over", self._recover)
        try:
            while not stop.is_set():
                well = self._turn()
                if self._has_work():
                    busy = time.monotonic()
                elif idle_exit is not None and time.monotonic() - busy >= idle_exit:
                    return
                stop.wait(TURN if well else _REST)
        finally:
            self._safely("stop", self._crew.suspend)

    def _has_work(self) -> bool:
        try:
            return bool(len(self._crew)) or self._engine.some_queued() or bool(self._engine.orphans())
        except EmberlineError:
            return True

    def _safely(self, what: str, step: Callable[[], object]) -> bool:
        """One job's trouble, or a full disk, must not end the supervisor; says whether all went well."""
        try:
            step()
        except Exception:
            _log.exception("Could not %s", what)
            return False
        return True

    # One turn -------------------------------------------------------------------------------------------------------

    def _turn(self) -> bool:
        well = self._safely("end processes", self._crew.bury)
        well &= self._safely("watch workers", self._crew.watch)
        now = time.monotonic()
        if now - self._chores >= _CHORES:
            self._chores = now
            well &= self._safely("destroy results", self._store.expire)
        return self._safely("start jobs", self._start_jobs) and well

    def _start_jobs(self) -> None:
        orphans = self._engine.orphans()
        if any(orphan.writes is None for orphan in orphans):
            return
        types = self._crew.types()
        beside = {job for job, name in types.items() if self._is_aside(name)}
        free = {
            False: self._limits.concurrency - len({*types, *(orphan.job for orphan in orphans)} - beside),
            True: _ASIDE - len(beside),
        }
        taken = self._crew.writes() | {orphan.job: orphan.writes or frozenset() for orphan in orphans}
        for place, row in enumerate(self._engine.waiting()):
            if max(free.values()) <= 0:
                return
            aside = self._is_aside(row.type)
            if free[aside] <= 0:
                continue
            try:
                if self._start(row, taken, explain=place < _EXPLAINED):
                    free[aside] -= 1
            except EmberlineError:  # a busy data base or a full disk: nothing that the job is to blame for
                raise
            except Exception as error:
                _log.exception("Job %s could not be started", row.id)
                self._engine.take(row.id, "fail", failure=Failure(f"it could not be started: {error}"))

    def _is_aside(self, name: str) -> bool:
        """Whether jobs of this type run beside those whose number is limited."""
        job_type = self._store.types.get(name)
        return job_type is not None and job_type.aside

    def _start(self, row: Row, taken: dict[str, frozenset[str]], *, explain: bool) -> bool:
        """Start a job if nothing speaks against it; `taken` is what the jobs now at work write."""
        reason = self._obstacle(row)
        if reason is not None:
            self._engine.take(row.id, "fail", failure=Failure(reason))
            return False
        other = next((job for job, paths in taken.items() if _meet(row.writes or (), paths)), None)
        if other is not None:
            message = f"Waits for job {other}, which writes the same files"
            if explain and row.message != message:
                self._engine.say(row.id, message)
            return False
        full = self._full_disk()
        if full is not None:
            self._engine.take(row.id, "hold", message=full)
            return False
        taken[row.id] = row.writes or frozenset()
        return self._crew.start(row, self._store.types[row.type])

    def _obstacle(self, row: Row) -> str | None:
        if row.type not in self._store.types:
            return f"this version of Emberline knows no type of job {row.type!r}"
        return "its record is damaged" if row.writes is None else None

    def _full_disk(self) -> str | None:
        free, least = shutil.disk_usage(self._store.folder).free, self._limits.minimum_free_bytes
        if free >= least:
            return None
        return f"The disk is nearly full: {free / 2**30:.2f} GiB are free, {least / 2**30:.2f} GiB must be"

    # Taking over ----------------------------------------------------------------------------------------------------

    def _recover(self) -> None:
        """Go on from what another supervisor has left, in good order or not."""
        for row in self._engine.in_phase(Phase.EXECUTING):
            times = row.interruptions + 1
            if times >= self._limits.interruptions:
                message = f"Was interrupted {times} times without getting any further; run it to try once more"
                self._engine.take(row.id, "hold", attempt=row.attempt, interruptions=times, message=message)
            else:
                message = "Was interrupted; goes on"
                self._engine.take(row.id, "requeue", attempt=row.attempt, interruptions=times, message=message)
        for row in self._engine.in_phase(Phase.SUSPENDED):
            self._engine.take(row.id, "requeue")


def _meet(one: Iterable[str], other: Iterable[str]) -> bool:
    """Whether a path of the one is, contains or lies in a path of the other."""
    pairs = [(PurePath(a), PurePath(b)) for a in one for b in other]
    return any(a.is_relative_to(b) or b.is_relative_to(a) for a, b in pairs)


@contextlib.contextmanager
def _lock(path: Path, stop: threading.Event, patience: float | None) -> Iterator[bool]:
    """Wait for the lock, which dies with the process that holds it; False when stopped or out of patience."""
    begin = time.monotonic()
    with open(path, "a+b") as stream:
        while not _try_lock(stream.fileno()):
            if stop.wait(_LOCK_TURN) or (patience is not None and time.monotonic() - begin > patience):
                yield False
                return
        yield True


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_held(path: Path) -> bool:
    """Whether a supervisor has the lock, and not just somebody for a moment who asks the same."""
    with open(path, "a+b") as stream:
        for _ in range(3):
            if _try_lock(stream.fileno()):
                return False
            time.sleep(0.02)
    return True


def start_detached(folder: Path | str, types: str, *, idle_exit: float = 10.0) -> bool:
    """Start a supervisor in a process of its own, unless one is at work; it ends when nothing is left to do.

    Parameters
    ----------
    folder : Path
        The workspace, or the folder of its jobs.
    types : str
        ``package.module:NAME`` of the job types.
    idle_exit : float
        Seconds without work after which it ends.

    Returns
    -------
    bool
        Whether one was started.
    """
    folder = jobs_folder(Path(folder).absolute())
    folder.mkdir(parents=True, exist_ok=True)
    if _is_held(folder / LOCK):
        return False
    path = folder / _LOG_NAME
    fresh = path.exists() and path.stat().st_size > _LOG_BYTES
    environment = {name: value for name, value in os.environ.items() if name != MARK}
    command = [sys.executable, "-P", "-m", "emberline.jobs", str(folder), "--types", types]
    with open(path, "wb" if fresh else "ab") as log:
        popen = subprocess.Popen(
            [*command, "--until-idle", str(idle_exit)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=environment,
            start_new_session=True,
        )
    threading.Thread(target=popen.wait, daemon=True).start()  # or it would stay as a zombie where we live longer
    return True


def jobs_folder(folder: Path) -> Path:
    """The folder of the jobs, given that or the workspace."""
    return folder if folder.name == "jobs" or (folder / "jobs.db").exists() else folder / "jobs"
