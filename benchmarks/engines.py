"""The local engine against Spark on the same functions, and how large a cluster is. Run: python benchmarks/engines.py

A million synthetic feature vectors of 140 pixels lie in a memory map. Each engine has two cores (``local[2]``) read
them with a network, and with a function that only adds up what it reads. The engines take turns within one run; the
medians and the ratios of neighbours in time are printed, and written as JSON. Spark's start and its first job, in which
Java compiles itself, stand apart. ``--size`` prints instead how long a cluster takes for 10⁷, 10⁸ and 10⁹ spectra.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from emberline.campaign.scoring import Predictor
from emberline.engine import Engine, LocalEngine, Matrix, SparkEngine, matrix_of
from emberline.learn import Model, TrainConfig
from emberline.learn.networks import build

PIXELS, CLASSES, RECIPE = 140, 2, "0" * 16
SUMS = pa.schema([("row", pa.int64()), ("sum", pa.float32())])
RATES = {"ingest": 1590.0, "features": 47_700.0, "predict": 15_800.0}
"""Spectra a second and core, from docs/explanation/speed.md; ``--rates FILE`` takes others."""
BYTES = {"files": 55_600, "archive": 31_700, "features": 4 * PIXELS, "predictions": 4 * CLASSES}
"""Bytes a spectrum: a LAMOST .fits.gz, its row of a part, its feature vector, its probabilities."""


TASKS = {"ingest": 4096, "features": 4096, "predict": 65_536}
"""Spectra a task."""
READS = {"ingest": "files", "features": "archive", "predict": "features"}


def sums(batch: pa.RecordBatch) -> pa.RecordBatch:
    """What reading costs."""
    total = matrix_of(batch["values"]).sum(axis=1)
    return pa.RecordBatch.from_arrays([batch["row"], pa.array(total)], schema=SUMS)


def write_matrix(path: Path, rows: int) -> None:
    """Random feature vectors, written in blocks."""
    rng = np.random.default_rng(0)
    values = np.lib.format.open_memmap(path, mode="w+", dtype="<f4", shape=(rows, PIXELS))
    for start in range(0, rows, 65_536):
        values[start : start + 65_536] = rng.standard_normal((len(values[start : start + 65_536]), PIXELS), np.float32)
    values.flush()


def seconds(engine: Engine, function: Any, matrix: Matrix, schema: pa.Schema) -> float:
    """How long an engine takes for all rows."""
    begun = time.perf_counter()
    rows = sum(len(batch) for batch in engine.map_batches(function, matrix, schema=schema))
    assert rows == len(matrix.values)
    return time.perf_counter() - begun


def compare(rows: int, repeat: int, cores: int, network: str, folder: Path) -> dict[str, Any]:
    """Both engines in turn."""
    torch.set_num_threads(cores)
    torch.manual_seed(0)
    config = TrainConfig(network=network)  # type: ignore[arg-type]
    model = Model(build(network, PIXELS, CLASSES, dropout=config.dropout), ("no", "yes"), PIXELS, RECIPE, config)
    model.save(folder / "it.model")
    write_matrix(folder / "values.npy", rows)
    matrix = Matrix(np.load(folder / "values.npy", mmap_mode="r"))
    local = LocalEngine()
    begun = time.perf_counter()
    spark = SparkEngine(f"local[{cores}]")
    result: dict[str, Any] = {"rows": rows, "cores": cores, "network": network}
    result["spark_start_s"] = time.perf_counter() - begun
    result["spark_first_job_s"] = seconds(spark, sums, Matrix(matrix.values[: 2 * cores], rows=1), SUMS)
    data = (folder / "it.model").read_bytes()
    functions = {
        "no-op": lambda engine: (sums, SUMS),
        "predict": lambda engine: (Predictor(engine.share(data), RECIPE), Predictor.schema(CLASSES)),
    }
    with spark:
        for name, make in functions.items():
            work: dict[str, tuple[Engine, Any, pa.Schema]] = {
                kind: (engine, *make(engine)) for kind, engine in (("local", local), ("spark", spark))
            }
            warm = Matrix(matrix.values[: 8192 * cores], rows=8192)
            for engine, function, schema in work.values():
                seconds(engine, function, warm, schema)
            times: dict[str, list[float]] = {kind: [] for kind in work}
            for _ in range(repeat):
                for kind, (engine, function, schema) in work.items():
                    times[kind].append(seconds(engine, function, matrix, schema))
            ratios = [b / a for a, b in zip(times["local"], times["spark"], strict=True)]
            result[name] = {
                **{f"{kind}_s": statistics.median(values) for kind, values in times.items()},
                "ratio": statistics.median(ratios),
                "ratio_range": [min(ratios), max(ratios)],
                "spectra_a_second": rows / statistics.median(times["spark"]),
            }
            print(name, json.dumps(result[name]), flush=True)
    return result


def size_table(
    rates: dict[str, float], storage: float, pools: Iterable[int], clusters: Iterable[int]
) -> list[dict[str, Any]]:
    """Hours of each step on clusters of some cores, and terabytes of what they read and write.

    A step takes what its cores need, or what storage of `storage` bytes a second needs to be read, whichever is longer.
    Work is done in whole tasks, so that a small pool cannot use all cores of a large cluster. It is supposed that cores
    are as fast as those that were measured.
    """
    table = []
    for spectra in pools:
        for cores in clusters:
            hours = {}
            for name, rate in rates.items():
                computed = math.ceil(math.ceil(spectra / TASKS[name]) / cores) * TASKS[name] / rate
                hours[name] = max(computed, spectra * BYTES[READS[name]] / storage) / 3600
            table.append(
                {
                    "spectra": spectra,
                    "cores": cores,
                    **{f"{name}_h": value for name, value in hours.items()},
                    **{f"{name}_tb": spectra * size / 1e12 for name, size in BYTES.items()},
                }
            )
    return table


def print_sizes(table: list[dict[str, Any]]) -> None:
    """The table as Markdown."""
    print("| spectra | cores | ingest | features | one prediction of all | size of archive | size of features |")
    print("|---|---|---|---|---|---|---|")
    for row in table:
        times = " | ".join(_duration(row[f"{name}_h"]) for name in ("ingest", "features", "predict"))
        sizes = " | ".join(_bytes(row[f"{name}_tb"]) for name in ("archive", "features"))
        power = len(str(row["spectra"])) - 1
        print(f"| 10^{power} | {row['cores']:,} | {times} | {sizes} |")


def _duration(hours: float) -> str:
    for size, unit in ((24.0, "d"), (1.0, "h"), (1 / 60, "min")):
        if hours >= size:
            return f"{hours / size:.1f} {unit}"
    return f"{hours * 3600:.0f} s"


def _bytes(terabytes: float) -> str:
    return f"{terabytes:.1f} TB" if terabytes >= 1 else f"{terabytes * 1000:.0f} GB"


def main() -> None:
    """Compare, or print sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--network", default="ember")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--size", action="store_true", help="print sizes of clusters instead")
    parser.add_argument(
        "--rates", type=Path, help="a JSON object of spectra a second and core: ingest, features, predict"
    )
    parser.add_argument("--storage", type=float, default=5.0, help="gigabytes a second that storage gives in all")
    given = parser.parse_args()
    if given.size:
        rates = json.loads(given.rates.read_text()) if given.rates else RATES
        result: Any = size_table(rates, 1e9 * given.storage, (10**7, 10**8, 10**9), (16, 64, 256))
        print_sizes(result)
    else:
        with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
            result = compare(given.rows, given.repeat, given.cores, given.network, Path(folder))
        print(f"Spark's start {result['spark_start_s']:.1f} s, its first job {result['spark_first_job_s']:.1f} s")
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
