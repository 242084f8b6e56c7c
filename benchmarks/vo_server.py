"""How fast the VO services answer: one connection per request, four clients, cones of 1° on 100,000 spectra.

``python benchmarks/vo_server.py [--spectra N] [--seconds S] [--baseline]`` makes a workspace in a temporary folder,
serves it from a process of its own, and asks from four processes. The ceiling of each rate is a bare Starlette route
on the same machine in the same run; the baseline of the long answer is astropy's VOTable writer.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa

PIXELS = 3909
CENTRE = (150.0, 20.0)
GOALS = {"ssap": 300, "scs": 400, "datalink": 500, "soda": 200, "tap": 150}
SETTINGS = {
    "title": "Benchmark",
    "creators": ["Doe, J."],
    "subjects": ["spectra"],
    "publisher": "Example",
    "contact_name": "Jane Doe",
    "contact_email": "jane@example.org",
    "authority": "example.org",
    "description": "Spectra for a benchmark.",
}


def positions(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Uniform over a cap in which a circle of 1° holds about 14 of 100,000 spectra."""
    rng = np.random.default_rng(seed)
    area = count * np.pi / 14.0  # square degrees
    cap = 1 - area / (2 * np.pi) * (np.pi / 180) ** 2
    dec = np.degrees(np.arcsin(rng.uniform(max(cap, -1.0), 1.0, count)))
    return rng.uniform(0, 360, count), dec


def make_archive(folder: Path, count: int) -> None:
    """An archive of `count` spectra of which a few thousand have arrays; the others' rows point to these."""
    import pyarrow.parquet as pq

    from emberline.archive import ingest_blocks
    from emberline.archive.catalogue import catalogue_of, read_catalogue, write_catalogue
    from emberline.spectra import Grid, Metadata, SpectrumBlock

    rng = np.random.default_rng(1)
    real = min(count, 4000)
    grid = Grid.log10(3.5682, 1e-4, PIXELS)
    ra, dec = positions(count, 2)

    def meta(i: int) -> Metadata:
        return Metadata(
            identifier=f"spec-{i:07d}", survey="Benchmark DR1", name=f"Star {i}", ra=float(ra[i]), dec=float(dec[i]),
            mjd=57000.0 + i % 1000, exposure=900.0, snr=float(10 + i % 90), survey_class="STAR", redshift=0.001,
            resolving_power=1800.0, flux_unit="", velocity_frame="heliocentric",
        )  # fmt: skip

    for start in range(0, real, 1000):
        flux = rng.normal(1, 0.05, (1000, PIXELS)).astype("f4")
        ivar, mask = np.full(flux.shape, 400, "f4"), np.zeros(flux.shape, "u1")
        block = SpectrumBlock(grid, flux, ivar, mask, [meta(i) for i in range(start, start + 1000)])
        ingest_blocks([block], folder, survey="Benchmark DR1")
    if count > real:
        base = read_catalogue(folder / "catalogue.parquet").slice(0, real)
        pieces = [base]
        for start in range(real, count, real):
            numbers = np.arange(start, min(start + real, count))
            piece = base.slice(0, len(numbers))
            new = {"identifier": [f"spec-{i:07d}" for i in numbers], "ra": ra[numbers], "dec": dec[numbers]}
            for name, values in new.items():
                at = piece.schema.get_field_index(name)
                piece = piece.set_column(at, piece.schema.field(name), pa.array(values, piece.schema.field(name).type))
            pieces.append(piece)
        write_catalogue(folder / "catalogue.parquet", catalogue_of(pa.concat_tables(pieces)))
    assert pq.read_metadata(folder / "catalogue.parquet").num_rows == count


_CONE = "SELECT * FROM bench.spectra WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE({ra}, {dec}, 1))"

_SERVE = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from emberline.jobs import Workspace
from emberline.vo.server import datalink, scs, soda, spectrum_files, ssap, tap
from emberline.vo.server.published import Published

async def hello(request):
    return PlainTextResponse("hello")

published = Published(Workspace(sys.argv[1]))
routes = [r for m in (tap, ssap, scs, datalink, soda, spectrum_files) for r in m.routes(published)]
app = Starlette(routes=[Route("/hello", hello), Mount("/vo", routes=routes)])
uvicorn.run(app, port=int(sys.argv[2]), log_level="error")
"""


def fetch(port: int, path: str) -> int:
    """One request on a connection of its own; the bytes of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, (answer.status, body[:300])
        return len(body)
    finally:
        connection.close()


def ask(port: int, paths: Sequence[str], seconds: float, results: multiprocessing.Queue[list[float]]) -> None:
    """Ask for the paths in turn until the time is over; the latencies."""
    latencies: list[float] = []
    end = time.perf_counter() + seconds
    index = 0
    while time.perf_counter() < end:
        begin = time.perf_counter()
        fetch(port, paths[index % len(paths)])
        latencies.append(time.perf_counter() - begin)
        index += 1
    results.put(latencies)


def rate(port: int, paths: Callable[[int], list[str]], seconds: float) -> tuple[float, float, float]:
    """Requests a second by four clients, the median latency and the 95th percentile in milliseconds."""
    results: multiprocessing.Queue[list[float]] = multiprocessing.Queue()
    clients = [multiprocessing.Process(target=ask, args=(port, paths(seed), seconds, results)) for seed in range(4)]
    begin = time.perf_counter()
    for client in clients:
        client.start()
    latencies = sorted(latency for _ in clients for latency in results.get())
    elapsed = time.perf_counter() - begin
    for client in clients:
        client.join()
    return (
        len(latencies) / elapsed,
        1e3 * statistics.median(latencies),
        1e3 * latencies[int(0.95 * len(latencies))],
    )


def queries(count: int) -> dict[str, Callable[[int], list[str]]]:
    """The addresses that each client asks for."""
    ra, dec = positions(count, 2)
    did = urllib.parse.quote("ivo://example.org/bench?", safe="")

    def cones(template: str) -> Callable[[int], list[str]]:
        def make(seed: int) -> list[str]:
            rows = np.random.default_rng(seed).integers(0, count, 5000)
            return [template.format(ra=ra[row], dec=dec[row]) for row in rows]

        return make

    def identifiers(template: str, most: int) -> Callable[[int], list[str]]:
        def make(seed: int) -> list[str]:
            return [
                template.format(id=f"{did}spec-{row:07d}")
                for row in np.random.default_rng(seed).integers(0, most, 5000)
            ]

        return make

    return {
        "hello": lambda seed: ["/hello"],
        "ssap": cones("/vo/bench/ssa?REQUEST=queryData&POS={ra},{dec}&SIZE=2"),
        "scs": cones("/vo/bench/scs?RA={ra}&DEC={dec}&SR=1"),
        "datalink": identifiers("/vo/bench/datalink?ID={id}", count),
        "tap": cones(f"/vo/tap/sync?LANG=ADQL&QUERY={urllib.parse.quote(_CONE, safe='{}')}"),
        "soda": identifiers("/vo/bench/soda/sync?ID={id}&BAND=6.5e-7+6.6e-7", min(count, 4000)),
    }


def long_answer(port: int, rows: int, process: psutil.Process) -> dict[str, float]:
    """All rows by SSAP: first byte, whole, the server's resident memory and what of it are not mapped files."""
    begin = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    connection.request("GET", f"/vo/bench/ssa?REQUEST=queryData&MAXREC={rows}")
    answer = connection.getresponse()
    size = len(answer.read(1))
    first = time.perf_counter() - begin
    resident = own = 0
    while chunk := answer.read(1 << 20):
        size += len(chunk)
        memory = process.memory_info()
        resident, own = max(resident, memory.rss), max(own, memory.rss - memory.shared)
    elapsed = time.perf_counter() - begin
    connection.close()
    return {
        "first_ms": 1e3 * first,
        "seconds": elapsed,
        "MB": size / 1e6,
        "rss_MB": resident / 1e6,
        "own_MB": own / 1e6,
    }


def astropy_writer(folder: Path, rows: int) -> float:
    """Seconds that astropy takes to write as many rows and columns as a VOTable."""
    from astropy.io.votable import from_table
    from astropy.table import Table

    table = Table.read(io.BytesIO(b"a\n"), format="ascii") if not rows else Table()
    for column in range(23):
        table[f"c{column}"] = (
            np.arange(rows, dtype="f8") if column % 2 else np.char.add("text-", np.arange(rows).astype(str))
        )
    begin = time.perf_counter()
    from_table(table).to_xml(str(folder / "astropy.xml"))
    return time.perf_counter() - begin


def main() -> None:
    """Run everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spectra", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--baseline", action="store_true", help="also astropy's writer (slow)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "bench"
        make_archive(folder, options.spectra)
        from emberline.vo.server.publication import publish

        publish(folder, **SETTINGS)
        report = measure(Path(temporary), options)
    print(
        json.dumps(report, indent=2)
        if options.json
        else "\n".join(f"{key:<12} {value}" for key, value in report.items())
    )


def measure(folder: Path, options: argparse.Namespace) -> dict[str, str]:
    """All measurements, as text by name."""
    port = 20_000 + os.getpid() % 20_000
    command = [sys.executable, "-c", _SERVE, str(folder), str(port)]
    server = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    report: dict[str, str] = {}
    try:
        wait_for(port)
        asked = queries(options.spectra)
        fetch(port, asked["ssap"](0)[0])
        process = psutil.Process(server.pid)
        runs = [long_answer(port, options.spectra, process) for _ in range(3)]
        best = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        report["long"] = ", ".join(f"{key} {value:.1f}" for key, value in best.items())
        ceiling = 0.0
        for name, paths in asked.items():
            found, median, slow = rate(port, paths, options.seconds)
            ceiling = ceiling or found
            goal = f", goal {GOALS[name]}" if name in GOALS else ", the ceiling"
            share = f"{found / ceiling:.2f} of the ceiling"
            report[name] = f"{found:.0f} requests/s{goal}; {share}; median {median:.1f} ms, 95 % {slow:.1f} ms"
        if options.baseline:
            baseline = astropy_writer(folder, options.spectra)
            report["astropy"] = f"{baseline:.1f} s for as many rows: {baseline / best['seconds']:.0f} times as long"
    finally:
        server.terminate()
        server.wait(20)
    return report


def wait_for(port: int) -> None:
    """Until the server answers."""
    for _ in range(600):
        try:
            fetch(port, "/hello")
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the server does not start")


if __name__ == "__main__":
    main()
