"""A standalone cluster of two workers, one of which is killed in the middle of a job."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.archive.archives import write_lamost
from tests.engine.cluster import Cluster
from tests.engine.conftest import QUIET

from emberline.archive import ingest, open_archive
from emberline.archive import ingestion as ingestion_module
from emberline.engine import LocalEngine, Matrix, SparkEngine, matrix_of

SUMS = pa.schema([("row", pa.int64()), ("sum", pa.float64())])


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two workers."""
    pytest.importorskip("pyspark")
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    with Cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture(scope="module")
def spark(cluster: Cluster) -> Iterator[SparkEngine]:
    """An engine on the cluster."""
    settings = {**QUIET, "spark.executor.memory": "480m", "spark.executor.cores": "1"}
    with SparkEngine(cluster.master, settings) as engine:
        yield engine


def wait_for(folder: Path, pattern: str, count: int) -> list[Path]:
    """Files that tasks write; bounded, for a cluster that hangs."""
    limit = time.monotonic() + 300
    while len(found := sorted(folder.glob(pattern))) < count:
        assert time.monotonic() < limit, f"{found} after five minutes"
        time.sleep(0.05)
    return found


def test_a_job_ends_with_the_right_answer_although_a_worker_is_killed(
    cluster: Cluster, spark: SparkEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    barrier = str(tmp_path)

    def held(batch: pa.RecordBatch) -> pa.RecordBatch:
        """The sums of rows, once the test says go; says before where it runs."""
        from pyspark import SparkFiles

        first = batch["row"][0].as_py()
        place = "worker-a" if "worker-a" in SparkFiles.getRootDirectory() + os.getcwd() else "worker-b"
        Path(barrier, f"started-{first:03d}-{place}-{os.getpid()}").touch()
        while not Path(barrier, "go").exists():
            time.sleep(0.05)
        total = matrix_of(batch["values"]).sum(axis=1, dtype=np.float64)
        return pa.RecordBatch.from_arrays([batch["row"], pa.array(total)], schema=SUMS)

    np.save(tmp_path / "values.npy", np.random.default_rng(3).normal(size=(120, 4)).astype("<f4"))
    matrix = Matrix(np.load(tmp_path / "values.npy", mmap_mode="r"), rows=10)
    answers: list[pa.RecordBatch] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            answers.extend(spark.map_batches(held, matrix, schema=SUMS))
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    wait_for(tmp_path, "started-*-worker-a-*", 1)
    (lost,) = wait_for(tmp_path, "started-*-worker-b-*", 1)
    assert not answers, "nothing may be done yet: the job is held"
    cluster.workers["worker-b"].kill()
    (tmp_path / "go").touch()
    thread.join(400)
    assert not thread.is_alive()
    assert failures == []
    again = [path for path in tmp_path.glob(f"{'-'.join(lost.name.split('-')[:2])}-*") if path != lost]
    assert len(again) == 1, "the lost task ran once more"
    assert "worker-a" in again[0].name
    assert answers == list(LocalEngine().map_batches(held, matrix, schema=SUMS))

    # What is left of the cluster goes on.
    for number in range(12):
        write_lamost(tmp_path / "files" / f"spec-{number:05d}.fits.gz", number)
    monkeypatch.setattr(ingestion_module, "_FILES_PER_JOB", (4, 4))
    ingest(tmp_path / "files", tmp_path / "here", workers=1)
    summary = ingest(tmp_path / "files", tmp_path / "there", engine=spark)
    assert (summary.ingested, summary.rejected) == (12, 0)
    here, there = open_archive(tmp_path / "here"), open_archive(tmp_path / "there")
    for mine, theirs in zip(there.blocks(), here.blocks(), strict=True):
        assert mine.identifiers == theirs.identifiers
        assert mine.flux.tobytes() == theirs.flux.tobytes()
