"""Which processes belong to a job, what memory they hold, and how all of them end."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import psutil

__all__ = ["MARK", "Worker", "ended_by", "kill_tree", "memory_of", "send", "tree"]

MARK = "EMBERLINE_JOB"
"""The environment variable by which a job's processes are known, whatever became of their parents and sessions."""
_SAME = 5.0  # s by which two readings of one process's start may differ: the clock may have been set meanwhile
GRACE = 1.0  # s from the polite signal to the one that cannot be refused


@dataclasses.dataclass(frozen=True)
class Worker:
    """A worker process as the store remembers it: a number alone may since belong to another process."""

    pid: int
    started: float
    pgid: int

    @classmethod
    def of(cls, pid: int) -> Worker | None:
        """The process `pid` in its own group, None when there is no such process."""
        try:
            return cls(pid, psutil.Process(pid).create_time(), pid)
        except psutil.Error:
            return None

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any] | None) -> Worker | None:
        """The inverse of `dataclasses.asdict`; None for what is no record of a worker."""
        try:
            return cls(int(mapping["pid"]), float(mapping["started"]), int(mapping["pgid"])) if mapping else None
        except (KeyError, TypeError, ValueError):
            return None

    def process(self) -> psutil.Process | None:
        """The living process, None when it has ended."""
        try:
            process = psutil.Process(self.pid)
            return process if self._is(process) and _lives(process) else None
        except psutil.Error:
            return None

    def _is(self, process: psutil.Process) -> bool:
        return process.pid == self.pid and abs(process.create_time() - self.started) < _SAME

    def leads(self, process: psutil.Process) -> bool:
        """Whether `process` is in the worker's group, and the group is still that of the worker."""
        if os.getpgid(process.pid) != self.pgid or process.create_time() < self.started - _SAME:
            return False
        if self.started < psutil.boot_time() - _SAME:
            return False  # the machine was restarted: the number means another group
        return self.pid != process.pid or self._is(process)


def _lives(process: psutil.Process) -> bool:
    return process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)


def tree(job: str, worker: Worker | None = None) -> set[psutil.Process]:
    """The living processes of a job, this one apart.

    They are the worker, its descendants, its process group, and all that carry the job's mark in their environment:
    a process that left its parent, its group and its session is found by one of these, unless it also emptied its
    environment.
    """
    found = {process for process in _all() if _belongs(process, job, worker)}
    root = worker.process() if worker else None
    for process in {root, *found} - {None}:
        with contextlib.suppress(psutil.Error):
            found |= {process, *process.children(recursive=True)} if process is not None else set()
    return {process for process in found if process.pid != os.getpid() and _still(process)}


def _all() -> Iterator[psutil.Process]:
    """All processes; `psutil.process_iter` keeps a cache that threads would share."""
    for pid in psutil.pids():
        with contextlib.suppress(psutil.Error):
            yield psutil.Process(pid)


def _belongs(process: psutil.Process, job: str, worker: Worker | None) -> bool:
    try:
        if worker is not None and worker.leads(process):
            return True
        return process.environ().get(MARK) == job
    except (psutil.Error, OSError):
        return False


def _still(process: psutil.Process) -> bool:
    try:
        return process.is_running() and _lives(process)
    except psutil.Error:
        return False


def send(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    """Send a signal to each process that is still there and ours."""
    for process in processes:
        with contextlib.suppress(psutil.Error, OSError):
            process.send_signal(number)


def kill_tree(
    job: str,
    worker: Worker | None,
    *,
    grace: float = GRACE,
    limit: float = 10.0,
    reap: Callable[[], object] = lambda: None,
) -> bool:
    """End all processes of a job and wait for that: asked first, killed after `grace` seconds.

    `reap` is called now and then, to collect children that have ended. False when some are still there after `limit`
    seconds, which only the operating system can cause.
    """
    begin = time.monotonic()
    left = tree(job, worker)
    send(left, signal.SIGTERM if grace > 0 else signal.SIGKILL)
    while left:
        elapsed = time.monotonic() - begin
        if elapsed > limit:
            return False
        if elapsed >= grace:
            send(left, signal.SIGKILL)
        reap()
        time.sleep(0.02)
        left = tree(job, worker)
    return True


def memory_of(processes: Iterable[psutil.Process]) -> int:
    """Bytes that the processes hold together, what they share counted once (where the system can tell)."""
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.Error, OSError):
            full = process.memory_full_info()
            total += getattr(full, "pss", 0) or full.rss
    return total


def ended_by(status: int) -> str:
    """What an exit status, negative for a signal, means in words."""
    if status >= 0:
        return f"ended without a word (exit status {status})"
    name = signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"
    if name == "SIGKILL":
        return "was killed (SIGKILL), most likely for want of memory"
    return f"was told to end ({name})" if name in ("SIGTERM", "SIGHUP", "SIGINT") else f"crashed ({name})"
