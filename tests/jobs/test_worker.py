"""What one attempt leaves behind, and that a late one leaves nothing."""

from __future__ import annotations

import errno
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from emberline.errors import EmberlineError
from emberline.jobs import Failure, JobError, JobNotFoundError, Phase, PhaseError
from emberline.jobs._engine import Engine, Record
from emberline.jobs._meter import Reading
from emberline.jobs._order import Order, load
from emberline.jobs._outcome import collect, failure_of
from emberline.jobs.processes import Worker
from tests.jobs.harness import House
from tests.jobs.job_types import JOB_TYPES

COUNT = next(job_type for job_type in JOB_TYPES if job_type.name == "count")


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that stands for a worker."""
    popen = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    yield popen
    popen.kill()
    popen.wait()


def begin(house: House, job: str, popen: subprocess.Popen[bytes]) -> Record:
    worker = Worker.of(popen.pid)
    assert worker is not None
    return Record(house.store.database, job, Engine(house.store.database).start(job, worker))


def test_results_log_and_summary_of_a_job_that_went_well(house: House) -> None:
    house.supervise()
    job = house.until_phase(house.submit("write", lines=2), Phase.COMPLETED, Phase.ERROR)
    assert job.phase == Phase.COMPLETED
    assert {result.name: result.media_type for result in job.results} == {
        "a.fits": "application/fits",
        "b.parquet": "application/vnd.apache.parquet",
        "c.png": "image/png",
        "d.bin": "application/octet-stream",
        "report.html": "text/html",
        "summary.json": "application/json",
        "t/table.csv": "text/csv",
        "t/table.vot": "application/x-votable+xml",
    }
    summary = json.loads(house.store.result_path(job.id, "summary.json").read_text())
    assert summary["found"] is None
    assert summary["names"] == ["a", "b"]
    assert summary["provenance"]["job"] == job.id
    assert summary["provenance"]["parameters"] == {"lines": 2}
    assert summary["provenance"]["emberline"]
    log = house.store.log(job.id)[0].splitlines()
    assert log[1:3] == ["line 0", "line 1"]
    assert "from a child" in log
    assert any(line.endswith("Z WARNING a warning") and line[:2] == "20" for line in log)
    assert job.progress == 1.0
    assert job.message == ""
    assert job.eta is None
    assert job.attempt == 1
    assert job.ended is not None


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("emberline", "a.fits: is wrong. Repair it."),
        ("value", "failed: ValueError: no good at all"),
        ("quit", "failed: it ended itself (exit status 3)"),
        ("odd", "failed: OSError: cannot read �.fits�"),
    ],
)
def test_an_error_is_told_in_one_sentence_and_explained_on_demand(house: House, how: str, message: str) -> None:
    house.supervise()
    job = house.until_phase(house.submit("fail", how=how), Phase.COMPLETED, Phase.ERROR)
    assert job.failure is not None
    assert job.failure.message == message
    assert job.failure.kind == "fatal"
    assert "Traceback" in job.failure.detail
    assert job.attempt == 1, "the same mistake would be made again"
    assert [result.name for result in job.results] == ["partial.txt"]
    assert "about to fail" in house.store.log(job.id)[0]


def test_a_function_that_is_gone_is_an_error(house: House) -> None:
    house.supervise()
    job = house.until_phase(house.submit("missing"), Phase.COMPLETED, Phase.ERROR)
    assert job.failure is not None
    assert "nothing_such" in job.failure.message


def test_the_last_progress_before_an_error_is_kept(house: House) -> None:
    house.supervise()
    job = house.until_phase(house.submit("count", items=4, bad=2), Phase.COMPLETED, Phase.ERROR)
    assert job.progress == 0.5
    assert job.message == "count: 2 of 4"


def test_a_late_worker_cannot_resurrect_an_aborted_job(house: House, sleeper: subprocess.Popen[bytes]) -> None:
    job = house.submit("count")
    record = begin(house, job, sleeper)
    record.check()
    record.report(Reading(0.5, "half", 3.0))
    house.store.abort(job)
    before = house.store.job(job)
    for late in (
        lambda: record.check(),
        lambda: record.report(Reading(0.9)),
        lambda: record.keep({"done": 1}, Reading(0.9)),
        lambda: record.complete([]),
        lambda: record.fail(Failure("x"), []),
    ):
        with pytest.raises(PhaseError):
            late()
    assert house.store.job(job) == before
    assert before.phase == Phase.ABORTED
    assert sleeper.wait(10) == -signal.SIGTERM, "without a supervisor the store itself ends the processes"


def test_a_worker_of_an_earlier_attempt_is_late_as_well(house: House, sleeper: subprocess.Popen[bytes]) -> None:
    job = house.submit("count")
    first = begin(house, job, sleeper)
    Engine(house.store.database).take(job, "requeue")
    second = begin(house, job, sleeper)
    with pytest.raises(PhaseError):
        first.complete([])
    second.complete([])
    assert house.store.job(job).phase == Phase.COMPLETED
    house.store.delete(job)
    with pytest.raises(JobNotFoundError):
        second.fail(Failure("x"), [])


def test_a_new_checkpoint_or_getting_further_makes_up_for_interruptions(
    house: House, sleeper: subprocess.Popen[bytes]
) -> None:
    job = house.submit("count")
    record = begin(house, job, sleeper)
    engine = Engine(house.store.database)

    def counted() -> tuple[int, int]:
        row = engine.row(job)
        assert row is not None
        return row.crashes, row.interruptions

    def crash() -> None:
        house.execute("UPDATE jobs SET crashes = 2, interruptions = 3 WHERE id = ?", job)

    crash()
    record.report(Reading(0.005))
    assert counted() == (2, 3)
    record.report(Reading(0.5))
    assert counted() == (2, 0)
    record.keep({"done": 1}, Reading(0.5))
    assert counted() == (0, 0)
    crash()
    again = Record(house.store.database, job, 1)
    assert again.checkpoint == {"done": 1}
    again.keep({"done": 1}, Reading(0.1))
    again.report(Reading(0.5))
    assert counted() == (2, 3), "it has only come as far as before"


@pytest.mark.parametrize("way", ["ignore", "setsid"])
def test_when_the_supervisor_dies_a_worker_ends_with_all_it_has_started(house: House, way: str) -> None:
    supervisor = house.spawn()
    job = house.submit("family", way=way)
    house.until_progress(job)
    assert len(house.living()) == 2
    supervisor.kill()
    house.until(lambda: not house.living())
    assert house.store.job(job).phase == Phase.EXECUTING, "which the next supervisor puts right"


def test_a_worker_without_an_order_does_nothing(house: House) -> None:
    command = [sys.executable, "-P", "-m", "emberline.jobs.worker"]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


def test_an_order_survives_the_way_to_the_worker(tmp_path: Path) -> None:
    order = Order.of(tmp_path, "j", 2, COUNT, None)
    again = Order.from_text(order.to_text())
    assert again == order
    assert again.job_type == COUNT
    assert again.confinement is None


def test_what_cannot_be_loaded_is_named() -> None:
    for name in ("no_such_module:x", "emberline.jobs:no_such", "emberline.jobs", ":"):
        with pytest.raises(JobError, match="cannot be found"):
            load(name)


def test_links_and_hidden_files_are_no_results(tmp_path: Path) -> None:
    (tmp_path / "a.TXT").write_text("abc")
    (tmp_path / ".b").write_text("")
    (tmp_path / ".c").mkdir()
    (tmp_path / ".c" / "d.txt").write_text("")
    (tmp_path / "e").symlink_to("/etc")
    (tmp_path / "f.txt").symlink_to("a.TXT")
    assert [(r.name, r.media_type, r.size) for r in collect(tmp_path)] == [("a.TXT", "text/plain", 3)]
    assert collect(tmp_path / "nothing") == []


def test_what_may_go_better_another_time_is_transient() -> None:
    full = EmberlineError("cannot be written")
    full.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert failure_of(full).kind == "transient"
    assert failure_of(MemoryError()).message == "failed: MemoryError"
    assert failure_of(MemoryError()).kind == "transient"
    assert failure_of(OSError(errno.ENOENT, "no")).kind == "fatal"
    assert failure_of(KeyError("a")).message == "failed: KeyError: 'a'"


def test_starting_a_worker_loads_nothing_heavy() -> None:
    heavy = ("numpy", "torch", "pyarrow", "astropy", "click", "rich", "starlette")
    code = f"import sys, emberline.jobs.worker\nprint(sorted(set({heavy!r}) & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.strip() == "[]"


def test_progress_is_written_a_few_times_a_second_however_often_it_is_reported(house: House) -> None:
    house.supervise()
    begun = time.monotonic()
    job = house.submit("chatter", reports=200_000)
    version = house.store.version()
    house.until_phase(job, Phase.COMPLETED)
    assert house.store.version() - version < 10 + (time.monotonic() - begun) / 0.2
