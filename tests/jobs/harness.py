"""A store with supervisors that can be stopped or killed, and nothing of which is left behind."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from emberline.jobs import Job, JobStore, Phase, Supervisor
from emberline.jobs._crew import Limits
from emberline.jobs.processes import MARK, kill_tree, tree
from tests.jobs.job_types import JOB_TYPES

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 30.0  # s after which a test is stuck; nothing is asserted on how long anything takes below that
LIMITS = Limits(concurrency=2, retry_delay=0.05, memory_interval=0.1)
_SUPERVISOR = """
import json, logging, signal, sys, threading
from emberline.jobs import JobStore, Supervisor
from emberline.jobs._crew import Limits
from tests.jobs.job_types import JOB_TYPES
logging.basicConfig()
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
with JobStore(sys.argv[1], JOB_TYPES) as store:
    Supervisor(store, limits=Limits(**json.loads(sys.argv[2]))).run(stop)
"""


class House:
    """A store in a folder; supervisors of it in threads of this process or in processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.store = JobStore(folder / "jobs", JOB_TYPES)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._processes: list[subprocess.Popen[bytes]] = []

    def submit(self, kind: str, **parameters: Any) -> str:
        return self.store.create(kind, parameters, run=True).id

    def supervise(self, **limits: Any) -> None:
        """Start a supervisor in a thread."""
        supervisor = Supervisor(self.store, limits=dataclasses.replace(LIMITS, **limits))
        thread = threading.Thread(target=supervisor.run, args=(self._stop,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def stop(self) -> None:
        """Stop the supervisors in threads, in good order."""
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "the supervisor does not end"
        self._threads.clear()
        self._stop = threading.Event()

    def spawn(self, **limits: Any) -> subprocess.Popen[bytes]:
        """Start a supervisor in a process."""
        text = json.dumps(dataclasses.asdict(dataclasses.replace(LIMITS, **limits)))
        command = [sys.executable, "-c", _SUPERVISOR, str(self.store.folder), text]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, env=environment, start_new_session=True)
        self._processes.append(process)
        return process

    def until(self, what: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE
        while not what():
            assert time.monotonic() < end, [job.to_mapping() for job in self.store.jobs()]
            time.sleep(0.01)

    def until_phase(self, job: str, *phases: Phase) -> Job:
        self.until(lambda: self.store.job(job).phase in phases)
        return self.store.job(job)

    def until_progress(self, job: str, fraction: float = 0.0) -> None:
        self.until(lambda: (self.store.job(job).progress or 0.0) > fraction)

    def worker(self, job: str) -> int | None:
        """The process number of a job's worker, as the data base has it."""
        with self.store.database.read() as connection:
            row = connection.execute("SELECT worker FROM jobs WHERE id = ?", (job,)).fetchone()
        return json.loads(row[0])["pid"] if row and row[0] else None

    def execute(self, statement: str, *values: Any) -> None:
        with self.store.database.transaction() as connection:
            connection.execute(statement, values)

    def results(self, job: str) -> Path:
        return self.store.job_folder(job) / "results"

    def living(self) -> set[int]:
        """All processes of all jobs that there ever were in this store."""
        found: set[int] = set()
        for folder in self.store.folder.iterdir():
            if folder.is_dir():
                found |= {process.pid for process in tree(folder.name)}
        return found

    def close(self) -> None:
        self.stop()
        for process in self._processes:
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
            process.wait()
        for folder in self.store.folder.iterdir():
            if folder.is_dir():
                kill_tree(folder.name, None, grace=0)
        self.store.close()


__all__ = ["LIMITS", "MARK", "PATIENCE", "ROOT", "House"]
