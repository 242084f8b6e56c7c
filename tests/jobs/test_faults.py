"""kill -9 of workers and supervisors in every phase, twenty times: nothing is lost, stuck, wrong or done twice."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from emberline.jobs import FINAL, Phase
from tests.jobs.harness import PATIENCE, House

ITEMS = 12
SECONDS = 0.03
KILLS = 4  # in each of the five phases
LIMITS = {"concurrency": 2, "retries": 10, "interruptions": 30}


class Killer:
    """Runs jobs under a supervisor process, kills it or a worker, and starts the supervisor anew."""

    def __init__(self, house: House, seed: int) -> None:
        self.house = house
        self.rng = random.Random(seed)
        self.jobs: list[str] = []
        self.supervisor: subprocess.Popen[bytes] | None = None

    def submit(self) -> str:
        job = self.house.submit("count", items=ITEMS, seconds=SECONDS, files=300)
        self.jobs.append(job)
        return job

    def supervise(self) -> None:
        if self.supervisor is None or self.supervisor.poll() is not None:
            self.supervisor = self.house.spawn(**LIMITS)

    def pause(self, longest: float) -> None:
        time.sleep(self.rng.uniform(0, longest))

    def kill_supervisor(self) -> None:
        assert self.supervisor is not None
        self.supervisor.kill()
        self.supervisor.wait()

    def kill_worker(self, job: str) -> None:
        pid = self.house.worker(job)
        if pid is not None:  # it may have ended meanwhile
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def passed(self, job: str, fraction: float) -> None:
        """Wait until the job is so far, or has ended."""
        self.house.until(lambda: self._has_passed(job, fraction))

    def _has_passed(self, job: str, fraction: float) -> bool:
        found = self.house.store.job(job)
        return found.phase in FINAL or (found.phase == Phase.EXECUTING and (found.progress or 0.0) >= fraction)


def queued(killer: Killer, job: str) -> None:
    """The supervisor is killed when it begins, or as it is about to start the job."""
    killer.supervise()
    killer.pause(0.5)
    killer.kill_supervisor()


def early(killer: Killer, job: str) -> None:
    """As soon as it is executing: its worker is still being started."""
    killer.supervise()
    killer.passed(job, 0.0)
    killer.pause(0.2)


def late(killer: Killer, job: str) -> None:
    """Somewhere in the middle of the work."""
    killer.supervise()
    killer.passed(job, 1 / ITEMS)
    killer.pause(ITEMS * SECONDS)


def finishing(killer: Killer, job: str) -> None:
    """When all the work is done, and the results are being registered."""
    killer.supervise()
    killer.passed(job, 1.0)
    killer.pause(0.05)


def suspended(killer: Killer, job: str) -> None:
    """When it was suspended, and the next supervisor is about to go on with it."""
    killer.supervise()
    killer.passed(job, 2 / ITEMS)
    assert killer.supervisor is not None
    os.kill(killer.supervisor.pid, signal.SIGTERM)
    assert killer.supervisor.wait(PATIENCE) == 0
    assert killer.house.store.job(job).phase in FINAL | {Phase.SUSPENDED}
    killer.supervise()
    killer.pause(0.5)
    killer.kill_supervisor()


@pytest.mark.parametrize("approach", [queued, early, late, finishing, suspended])
def test_kill_minus_nine(house: House, approach: Callable[[Killer, str], None]) -> None:
    killer = Killer(house, seed=[queued, early, late, finishing, suspended].index(approach))
    for number in range(KILLS):
        job = killer.submit()
        approach(killer, job)
        if approach in (early, late, finishing):
            killer.kill_worker(job) if number % 2 else killer.kill_supervisor()
    killer.supervise()
    for job in killer.jobs:
        check(house, job)
    house.until(lambda: not house.living())


def check(house: House, job: str) -> None:
    """The job is done, its result is right, and what stood in a checkpoint was done once."""
    house.until_phase(job, Phase.COMPLETED, Phase.ERROR, Phase.HELD, Phase.ABORTED)
    found = house.store.job(job)
    assert found.phase == Phase.COMPLETED, found.to_mapping()
    assert {f"{number}.txt" for number in range(300)} | {"done.txt", "summary.json"} == {
        result.name for result in found.results
    }
    summary = json.loads(house.store.result_path(job, "summary.json").read_text())
    assert summary["sum"] == sum(range(ITEMS))
    lines = (house.results(job) / "done.txt").read_text().splitlines()
    done = [tuple(map(int, line.split())) for line in lines]
    assert {item for item, _ in done} == set(range(ITEMS))
    for attempt in {attempt for _, attempt in done}:
        before = {item for item, other in done if other < attempt}
        items = [item for item, other in done if other == attempt]
        assert not before & set(items[1:]), "only the item at which it was interrupted may be done again"


def test_a_job_survives_any_number_of_kills_as_long_as_it_gets_further(house: House) -> None:
    """One after another: more crashes than are allowed without a checkpoint between them."""
    killer = Killer(house, seed=11)
    job = killer.submit()
    for number in range(6):
        killer.supervise()
        killer.passed(job, (2 * number + 1) / ITEMS)
        killer.kill_worker(job)
        house.until(lambda: house.worker(job) is None or house.store.job(job).phase in FINAL)
    check(house, job)
    assert house.store.job(job).attempt >= 4
