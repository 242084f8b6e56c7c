"""Speed of ADQL on a catalogue sorted by HEALPix. Run: python benchmarks/adql.py [--rows 5000000]

Each query runs as users send it, and again without HEALPix ranges or cells, that is with the same exact test on every
row (the baseline). Medians of wall and of this process's CPU time; ratios matter, since other work disturbs both.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from emberline.archive.catalogue import healpix_of
from emberline.vo.server.adql import Column, Limits, Position, Runner, Table, TableSet, translate

COLUMNS = (
    Column("id", "long"),
    Column("ra", "double", unit="deg"),
    Column("dec", "double", unit="deg"),
    Column("mag", "float"),
)
CONE = "SELECT id, ra, dec, mag FROM sky.stars WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE({}, {}, {}))"
MATCH = (
    "SELECT m.n, s.id FROM tap_upload.mine AS m JOIN sky.stars AS s ON DISTANCE(m.ra, m.dec, s.ra, s.dec) < 0.000556"
)


def make(path: Path, rows: int) -> None:
    """Positions all over the sky, in row groups as the archive writes them."""
    rng = np.random.default_rng(1)
    ra, dec = rng.uniform(0, 360, rows), np.degrees(np.arcsin(rng.uniform(-1, 1, rows)))
    healpix = healpix_of(ra, dec)
    order = np.argsort(healpix)
    mag = rng.normal(15, 2, rows).astype(np.float32)
    table = pa.table({"id": np.arange(rows), "ra": ra[order], "dec": dec[order], "mag": mag, "healpix": healpix[order]})
    pq.write_table(table, path, row_group_size=65_536, compression="ZSTD", compression_level=1)


def timed(function: Callable[[int], object], times: int) -> dict[str, float]:
    """Median milliseconds, wall and CPU, after one run to warm up."""
    function(0)
    wall, processor = [], []
    for number in range(1, times + 1):
        start = time.perf_counter(), time.process_time()
        function(number)
        wall.append(time.perf_counter() - start[0])
        processor.append(time.process_time() - start[1])
    return {
        "wall_ms": round(statistics.median(wall) * 1e3, 2),
        "cpu_ms": round(statistics.median(processor) * 1e3, 2),
    }


def upload(path: Path, rows: int) -> Table:
    """A user's table: some of the stars, moved by an arcsecond or so."""
    rng = np.random.default_rng(2)
    stars = pq.read_table(path, columns=["ra", "dec"])
    chosen = rng.integers(0, len(stars), rows)
    ra, dec = (stars[name].to_numpy()[chosen] for name in ("ra", "dec"))
    dec = np.clip(dec + rng.normal(0, 0.3 / 3600, rows), -90, 90)
    return Table.of_arrow(
        "tap_upload.mine", pa.table({"n": np.arange(rows), "ra": ra, "dec": dec}), position=Position("ra", "dec")
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--uploaded", type=int, default=5_000)
    parser.add_argument("--times", type=int, default=15)
    options = parser.parse_args()
    rng = np.random.default_rng(3)
    results: dict[str, object] = {"rows": options.rows}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stars.parquet"
        make(path, options.rows)
        table = Table("sky.stars", COLUMNS, files=(path,), rows=options.rows, position=Position("ra", "dec", "healpix"))
        plain = dataclasses.replace(table, name="sky.plain", position=Position("ra", "dec"))
        schema = TableSet((table, plain)).with_tap_schema()
        centres = [(rng.uniform(0, 360), float(np.degrees(np.arcsin(rng.uniform(-1, 1))))) for _ in range(10_000)]
        results["translate a new cone"] = timed(lambda n: translate(CONE.format(*centres[n], 0.5), schema), 200)
        results["translate it again"] = timed(lambda n: translate(CONE.format(*centres[0], 0.5), schema), 200)
        with Runner(schema, Limits(memory="4GB", query_memory="2GB", seconds=600)) as runner:
            for radius in (0.01, 0.1, 0.5, 2.0):
                query = CONE.replace("{}))", f"{radius}))")
                fast = timed(lambda n, q=query: runner.run(q.format(*centres[n])).read_all(), options.times)  # type: ignore[misc]
                slow_query = query.replace("sky.stars", "sky.plain")
                slow = timed(lambda n, q=slow_query: runner.run(q.format(*centres[n])).read_all(), 3)  # type: ignore[misc]
                results[f"cone of {radius} deg"] = {
                    **fast,
                    "baseline_cpu_ms": slow["cpu_ms"],
                    "times_faster": round(slow["cpu_ms"] / fast["cpu_ms"], 1),
                }
            mine = upload(path, options.uploaded)
            match = timed(lambda n: runner.run(MATCH, uploads=[mine]).read_all(), 3)
            results[f"cross-match of {options.uploaded} rows"] = match
            few = upload(path, max(options.uploaded // 500, 1))
            bare = Table("tap_upload.mine", few.columns, data=few.data)
            slow = timed(lambda n: runner.run(MATCH, uploads=[bare]).read_all(), 1)
            results[f"the same for {len(few.data or ())} rows, each with each (baseline)"] = slow
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
