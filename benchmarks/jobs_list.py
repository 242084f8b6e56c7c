"""How fast jobs are listed, against reading one file a job. Run: python benchmarks/jobs_list.py

N jobs (``--jobs``) are queued in a temporary folder; with ``--results R`` each also has R results, and a failure with
a traceback. Variants run in turn within one run, several times; medians of wall time are printed, with the ratio to the
baseline: reading the ``parameters.toml`` of every job's folder, which is what a list costs without a data base.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import tempfile
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

from emberline.jobs import JobStore, JobType, Phase, parameter

BASELINE = "one file a job"


@dataclasses.dataclass(frozen=True)
class Parameters:
    """As many as real jobs have."""

    archive: Path = parameter("An archive.", kind="archive")
    files: tuple[Path, ...] = parameter("What to read.", default=())
    method: str = parameter("How.", default="seek")
    items: int = parameter("How many.", default=100)
    share: float = parameter("Which part.", default=0.5)


JOB_TYPE = JobType("work", "Work", "", Parameters, "none:none", writes=("archive",))


def fill(store: JobStore, number: int, results: int) -> None:
    """Queued jobs of two owners; with `results`, each looks as if it had run and failed before."""
    for index in range(number):
        parameters = {"archive": f"surveys/{index}", "files": [f"night-{index}/*.fits.gz"], "items": index}
        job = store.create("work", parameters, owner=f"user-{index % 2}", label=f"night {index}", run=True)
        failure = json.dumps({"message": "the disk was full", "kind": "transient", "detail": "a line of text\n" * 40})
        with store.database.transaction(durable=False) as connection:
            rows = [(job.id, f"plot-{plot}.svg", "image/svg+xml", 1000) for plot in range(results)]
            connection.executemany("INSERT INTO results VALUES (?, ?, ?, ?)", rows)
            connection.execute("UPDATE jobs SET failure = ? WHERE id = ?", (failure if results else None, job.id))


def read_files(folder: Path) -> int:
    """The baseline."""
    return sum(len(tomllib.loads(path.read_text("utf-8"))) > 0 for path in folder.glob("*/parameters.toml"))


def measure(variants: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Milliseconds of each variant in each repeat; they take turns, and the first turn warms up."""
    times: dict[str, list[float]] = {name: [] for name in variants}
    for repeat in range(repeats + 1):
        for name, variant in variants.items():
            start = time.perf_counter()
            variant()
            if repeat:
                times[name].append(1000 * (time.perf_counter() - start))
    return times


def report(times: dict[str, list[float]], number: int) -> None:
    """Print medians, their range, and how often each goes into the baseline."""
    print(f"{number} queued jobs")
    print(f"{'':30}{'median ms':>10}{'range':>18}{'baseline / this':>17}")
    for name, found in times.items():
        ratio = statistics.median(one / two for one, two in zip(times[BASELINE], found, strict=True))
        spread = f"{min(found):.2f} to {max(found):.2f}"
        print(f"{name:30}{statistics.median(found):>10.2f}{spread:>18}{ratio:>17.1f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--results", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, JobStore(Path(folder), [JOB_TYPE]) as store:
        fill(store, options.jobs, options.results)
        newest = store.jobs(last=1)[0].id
        variants: dict[str, Callable[[], object]] = {
            BASELINE: lambda: read_files(store.folder),
            "all jobs": store.jobs,
            "all jobs, as JSON": lambda: json.dumps([job.to_mapping() for job in store.jobs()]),
            "queued ones of one owner": lambda: store.jobs(phases=[Phase.QUEUED], owner="user-1"),
            "the last 50": lambda: store.jobs(last=50),
            "found by a word": lambda: store.jobs(search="night 7"),
            "counted": store.count,
            "one job": lambda: store.job(newest),
        }
        report(measure(variants, options.repeats), options.jobs)


if __name__ == "__main__":
    main()
