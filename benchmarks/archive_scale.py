"""How an archive bears a survey: files at a steady rate in bounded memory, killed half-way; a catalogue of millions.

    python benchmarks/archive_scale.py files FOLDER [--files 100000] [--pixels 0] [--data DATA] [--workers 2]
    python benchmarks/archive_scale.py catalogue FOLDER [--rows 10000000]

`files` copies LAMOST ``.fits.gz`` files of DATA under other spectrographs' numbers into FOLDER (each copy is a spectrum
of its own, of the real size or cut to so many `--pixels`, where a disk has no room for a million real ones), ingests
them in a process that is killed when half are read, goes on in another, and prints the rate of every 10,000 files with
the memory of the process. `catalogue` writes one of ROWS made-up rows in
LAMOST's shape and asks it for regions, dates and classes, through `Archive.catalogue` and DuckDB, warm and from a disk
whose pages were forgotten. What is made is kept in FOLDER for the next run.
"""

from __future__ import annotations

import argparse
import gzip
import io
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

STEP = 10_000
CLASSES, SHARES = ("STAR", "GALAXY", "QSO", "UNKNOWN"), (0.9, 0.05, 0.01, 0.04)
QUESTIONS = {
    "a square degree": "ra BETWEEN 10 AND 11 AND dec BETWEEN 0 AND 1",
    "a cone of 0.5 degrees": "ra BETWEEN 149.4 AND 150.8 AND dec BETWEEN 1.7 AND 2.7 AND "
    "degrees(acos(least(1, sin(radians(dec)) * sin(radians(2.2)) + cos(radians(dec)) * cos(radians(2.2)) "
    "* cos(radians(ra - 150.1))))) < 0.5",
    "ten nights, a class, a signal": "mjd BETWEEN 56000 AND 56010 AND survey_class = 'QSO' AND snr > 20",
    "a class and a signal": "survey_class = 'QSO' AND snr > 200",
}


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("files", "catalogue", "one-run"))
    parser.add_argument("folder", type=Path)
    default = os.environ.get("EMBERLINE_DATA", str(Path(__file__).parents[1] / ".." / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=Path(default) / "lamost")
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--pixels", type=int, default=0, help="cut each spectrum to so many; 0 leaves it whole")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    if options.what == "one-run":
        one_run(source_of(options), options.folder / "archive", options.workers)
    elif options.what == "files":
        files(options)
    else:
        catalogue(options.folder / f"catalogue-{options.rows}", options.rows)


# Files -----------------------------------------------------------------------------------------------------------


def source_of(options: argparse.Namespace) -> Path:
    """Where the copies are."""
    folder: Path = options.folder
    return folder / (f"files-{options.files}" + (f"-{options.pixels}" if options.pixels else ""))


def files(options: argparse.Namespace) -> None:
    """Copies of real files, ingested by a process that is killed half-way and by one that goes on."""
    folder = source_of(options)
    if not folder.exists():
        begun = time.time()
        copy_files(options.data, folder, options.files, options.pixels, options.workers)
        print(f"{options.files} files made in {time.time() - begun:.0f} s", flush=True)
    shutil.rmtree(options.folder / "archive", ignore_errors=True)
    command = [sys.executable, __file__, "one-run", str(options.folder), "--workers", str(options.workers)]
    command += ["--files", str(options.files), "--pixels", str(options.pixels)]
    for kill_at in (options.files // 2, None):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            if kill_at is not None and line.startswith("ingest") and int(line.split()[1]) >= kill_at:
                process.send_signal(signal.SIGKILL)
                print("killed")
                break
        process.wait()


def one_run(source: Path, archive: Path, workers: int) -> None:
    """Ingest, and say every 10,000 files how fast and in how much memory."""
    from emberline.archive import ingest

    begun, last, done_last = time.time(), time.time(), 0

    def say(step: str, done: int, total: int | None) -> None:
        nonlocal last, done_last
        if step == "ingest" and done - done_last < STEP and done != total:
            return
        now = time.time()
        rate = f"{(done - done_last) / max(now - last, 1e-9):7.0f} files/s" if step == "ingest" else ""
        print(f"{step} {done} {rate} {resident('VmRSS'):.0f} MB, at most {resident('VmHWM'):.0f} MB", flush=True)
        last, done_last = now, done

    summary = ingest(source, archive, workers=workers, progress=say)
    child = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = resource.getrusage(resource.RUSAGE_SELF)
    cpu = child.ru_utime + child.ru_stime + own.ru_utime + own.ru_stime
    print(
        f"{summary.ingested} new, {summary.already} there before, {summary.rejected} refused, {summary.total} in all: "
        f"{time.time() - begun:.0f} s"
    )
    print(
        f"{1e3 * cpu / max(summary.found, 1):.2f} ms of processor a file; a worker at most {child.ru_maxrss / 1e3} MB"
    )


_CARD, _BLOCK, _COPIES = b"SPID    =", 2880, 1000


def copy_files(source: Path, into: Path, wanted: int, pixels: int, workers: int) -> None:
    """LAMOST files under other identifiers, made by several processes; a folder gets its name when it is complete."""
    made = into.with_name(f".{into.name}.part")
    shutil.rmtree(made, ignore_errors=True)
    starts = range(0, wanted, _COPIES)
    shared = [item for path in sorted(source.rglob("*.fits.gz")) if (item := prepared(path, pixels)) is not None]
    with ProcessPoolExecutor(workers, initializer=ORIGINALS.extend, initargs=(shared,)) as pool:
        done = pool.map(copy_some, [made] * len(starts), starts, [wanted] * len(starts))
        for start, _ in zip(starts, done, strict=True):
            if (start + _COPIES) % (10 * STEP) == 0:
                print(f"made {start + _COPIES}", flush=True)
    made.rename(into)


def prepared(path: Path, pixels: int) -> tuple[bytes, bytes, int, bytes] | None:
    """What all copies of a file share, compressed: the block with the card SPID alone is compressed for each copy."""
    data = gzip.decompress(path.read_bytes())
    data = cut(data, pixels) if pixels else data
    at = data.find(_CARD)
    start = at // _BLOCK * _BLOCK
    before, block, after = data[:start], data[start : start + _BLOCK], data[start + _BLOCK :]
    return (
        (gzip.compress(before, 6) if before else b"", block, at - start, gzip.compress(after, 6)) if at >= 0 else None
    )


ORIGINALS: list[tuple[bytes, bytes, int, bytes]] = []
"""In a worker, of each original: all before the block with its card, the block, where the card is, all behind it."""


def copy_some(into: Path, start: int, wanted: int) -> None:
    """One folder of copies."""
    folder = into / f"{start // _COPIES:04d}"
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(start, min(start + _COPIES, wanted)):
        before, block, at, after = ORIGINALS[number % len(ORIGINALS)]
        value = int(block[at + 10 : at + 30]) + 20 * (number // len(ORIGINALS) + 1)
        changed = block[:at] + b"SPID    = %20d" % value + block[at + 30 :]
        (folder / f"{number:07d}.fits.gz").write_bytes(before + gzip.compress(changed, 1) + after)


def cut(data: bytes, pixels: int) -> bytes:
    """A file with the first pixels of its arrays, in the same layout."""
    from astropy.io import fits

    with fits.open(io.BytesIO(data)) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cards that the survey wrote in a manner of its own
        made = fits.HDUList()
        for hdu in file:
            if isinstance(hdu, fits.BinTableHDU):
                columns = [(name, hdu.data[name][:, :pixels]) for name in hdu.columns.names]
                table = np.rec.fromarrays(
                    [values for _, values in columns],
                    dtype=[(name, values.dtype.str, values.shape[1:]) for name, values in columns],
                )
                kept = fits.BinTableHDU(table, name=hdu.name)
            else:
                kept = fits.PrimaryHDU(None if hdu.data is None else hdu.data[:, :pixels], hdu.header)
            made.append(kept)
        stream = io.BytesIO()
        made.writeto(stream, output_verify="silentfix")
    return stream.getvalue()


def resident(key: str) -> float:
    """Megabytes of this process."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1000
    return float("nan")


# The catalogue -----------------------------------------------------------------------------------------------------


def catalogue(folder: Path, rows: int) -> None:
    """Write it when it is not there, and ask."""
    import duckdb

    from emberline.archive import open_archive

    if not (folder / "catalogue.parquet").exists():
        write(folder, rows)
    path = folder / "catalogue.parquet"
    archive = open_archive(folder)
    print(f"{rows:,} rows, {path.stat().st_size / 1e9:.2f} GB; milliseconds: least, median; of processor: least")
    with duckdb.connect() as connection:
        for name, where in QUESTIONS.items():
            sql = f"SELECT identifier FROM '{path}' WHERE {where} ORDER BY healpix, identifier"
            count = f"SELECT count(*) FROM '{path}' WHERE {where}"
            asked = {
                "Archive.catalogue": lambda w=where: archive.catalogue(["identifier"], where=w),
                "DuckDB": lambda q=sql: connection.sql(q).to_arrow_table(),
                "DuckDB, count": lambda q=count: connection.sql(q).to_arrow_table(),
            }
            for how, ask in asked.items():
                for cold in (False, True):
                    times = [measured(ask, path if cold else None) for _ in range(7)]
                    wall, cpu = zip(*times, strict=True)
                    temperature = "cold" if cold else "warm"
                    print(
                        f"{name:32s}{how:20s}{temperature:6s}"
                        f"{min(wall):8.0f}{statistics.median(wall):8.0f}{min(cpu):8.0f}",
                        flush=True,
                    )


def measured(ask: Any, forget: Path | None) -> tuple[float, float]:
    """Milliseconds on the clock and of the processors."""
    if forget is not None:
        descriptor = os.open(forget, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
    wall, cpu = time.perf_counter(), time.process_time()
    ask()
    return 1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu)


def write(folder: Path, rows: int) -> None:
    """A catalogue over LAMOST's part of the sky, in the order of HEALPix, written as an ingest writes it."""
    from emberline.archive.catalogue import ROWS_PER_GROUP, catalogue_writer
    from emberline.archive.objects import healpix_of
    from emberline.archive.schema import ArchiveInfo

    (folder / "spectra").mkdir(parents=True)
    ArchiveInfo.new().save(folder)
    rng = np.random.default_rng(0)
    ra, dec = rng.uniform(0, 360, rows), np.degrees(np.arcsin(rng.uniform(-0.17, 0.9, rows)))
    pixel = np.concatenate([healpix_of(ra[i : i + 500_000], dec[i : i + 500_000]) for i in range(0, rows, 500_000)])
    order, number = np.argsort(pixel), rng.permutation(rows)
    writer = catalogue_writer(folder / "catalogue.parquet")
    for start in range(0, rows, ROWS_PER_GROUP):
        here = order[start : start + ROWS_PER_GROUP]
        table = made_up(rng, ra[here], dec[here], pixel[here], number[start : start + ROWS_PER_GROUP])
        writer.write_table(table, row_group_size=ROWS_PER_GROUP)
    writer.close()


def made_up(rng: np.random.Generator, ra: Any, dec: Any, pixel: Any, number: Any) -> Any:
    """One row group."""
    import pyarrow as pa

    from emberline.archive.objects import position_names
    from emberline.archive.schema import CATALOGUE_SCHEMA

    n, mjd = len(ra), 55800.0 + rng.integers(0, 2500, len(ra))
    columns = {
        "identifier": list(identifiers(mjd, number)),
        "object": position_names(ra, dec),
        "name": [f"LAMOST J{value}" for value in number],
        "ra": ra,
        "dec": dec,
        "healpix": pixel,
        "mjd": mjd,
        "snr": rng.lognormal(3, 1, n).astype("f4"),
        "redshift": rng.normal(0, 1e-4, n).astype("f4"),
        "survey_class": rng.choice(CLASSES, n, p=SHARES),
        "survey_subclass": rng.choice(("A5", "F0", "G2", "K3", "M1", "Non", "B6"), n),
        "part": [f"part-{value // 16000 + 1:08d}-00-abcdef01.parquet" for value in number],
        "row": (number % 16000).astype("i4"),
        "source_file": [f"/data/lamost/dr9/{value // 9000:06d}/spec-{value}.fits.gz" for value in number],
        "sha256": [value.hex() for value in np.frombuffer(rng.bytes(32 * n), "V32").tolist()],
    }
    same: dict[str, Any] = {
        "survey": "LAMOST DR9 LRS", "exposure": 5400.0, "medium": "vacuum", "velocity_frame": "heliocentric",
        "resolving_power": 1800.0, "flux_unit": "", "ivar_source": "file", "grid": "10ec4895f1eb206a", "start": 0,
        "pixels": 3909, "wavelength_min": 3690.0, "wavelength_max": 9100.0,
    }  # fmt: skip
    columns |= {name: [value] * n for name, value in same.items()}
    return pa.table({field.name: pa.array(columns[field.name]).cast(field.type) for field in CATALOGUE_SCHEMA}).cast(
        CATALOGUE_SCHEMA
    )


def identifiers(mjd: Any, number: Any) -> Iterator[str]:
    """In LAMOST's manner."""
    for day, value in zip(mjd.tolist(), number.tolist(), strict=True):
        yield f"spec-{int(day)}-HD{value // 9000:06d}_sp{value // 250 % 16 + 1:02d}-{value % 250 + 1:03d}-{value}"


if __name__ == "__main__":
    main()
