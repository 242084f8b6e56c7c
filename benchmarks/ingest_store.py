"""How fast survey files become an archive and come out of it again, against astropy and against plain files.

Run as ``python benchmarks/ingest_store.py [FOLDER] [--copies N] [--repeats R] [--spectra M]``. FOLDER holds LAMOST
``.fits.gz`` files (the pack of real spectra without it); each is copied N times with another spectrograph's number,
so that every copy is a spectrum of its own. Variants run in turn; medians over the repeats are printed, with ratios
to a named baseline. Wall time includes starting the workers and writing to disk; CPU time is this process's with its
workers.
"""

from __future__ import annotations

import argparse
import gzip
import os
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from astropy.io import fits

from emberline.archive import ingest, ingest_blocks, open_archive
from emberline.archive.readers import find_sources, open_source, read
from emberline.features import Recipe
from emberline.spectra import Grid, Metadata, SpectrumBlock


def copies_of(folder: Path, into: Path, copies: int) -> list[str]:
    """LAMOST files under other identifiers: the card SPID is changed."""
    for number, path in enumerate(sorted(folder.rglob("*.fits.gz"))):
        data = gzip.decompress(path.read_bytes())
        at = data.find(b"SPID    =")
        if at < 0:
            continue
        value = int(data[at + 10 : at + 40].split(b"/")[0])
        for copy in range(copies):
            card = b"SPID    = %20d" % (value + 20 * (copy + 1))
            changed = data[:at] + card + data[at + 30 :]
            (into / f"{number:05d}-{copy}.fits.gz").write_bytes(gzip.compress(changed, 6))
    return list(find_sources(into))


def astropy_reads(paths: list[str]) -> None:
    """The baseline for files: `astropy.io.fits.open` and a full read, nothing stored."""
    for path in paths:
        with fits.open(path, memmap=False) as hdus:
            for hdu in hdus:
                if isinstance(hdu, fits.BinTableHDU):
                    [np.array(hdu.data[name], np.float32) for name in hdu.columns.names]
                elif hdu.data is not None:
                    np.array(hdu.data, np.float32)


def emberline_reads(paths: list[str]) -> None:
    """Readers alone, nothing stored."""
    for path in paths:
        read(open_source(path))


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds of `work`."""

    def cpu() -> float:
        uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(use.ru_utime + use.ru_stime for use in uses)

    wall, before = time.perf_counter(), cpu()
    work()
    return time.perf_counter() - wall, cpu() - before


def show(title: str, results: dict[str, list[tuple[float, float]]], amount: float, unit: str) -> None:
    """Medians and ratios to the first entry, which is the baseline."""
    print(f"\n{title}")
    base: tuple[float, float] | None = None
    for name, times in results.items():
        wall, cpu = (statistics.median(column) for column in zip(*times, strict=True))
        base = base or (wall, cpu)
        ratios = f"{base[0] / wall:6.2f}× wall, {base[1] / cpu if cpu else float('nan'):6.2f}× CPU"
        print(f"  {name:<34} {amount / wall:10.2f} {unit}/s wall  {amount / cpu:10.2f} {unit}/s CPU  {ratios}")


def in_turn(variants: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[tuple[float, float]]]:
    """Each variant once a round."""
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in variants}
    for _ in range(repeats):
        for name, work in variants.items():
            results[name].append(seconds(work))
    return results


def files(folder: Path, work: Path, copies: int, repeats: int) -> None:
    """From FITS files to an archive."""
    (work / "files").mkdir()
    paths = copies_of(folder, work / "files", copies)

    def into_archive(workers: int) -> None:
        shutil.rmtree(work / "archive", ignore_errors=True)
        summary = ingest(work / "files", work / "archive", workers=workers)
        assert summary.ingested == len(paths), summary

    variants: dict[str, Callable[[], object]] = {
        "astropy open + full read": lambda: astropy_reads(paths),
        "readers alone": lambda: emberline_reads(paths),
        "ingest, 1 worker": lambda: into_archive(1),
        "ingest, 2 workers": lambda: into_archive(2),
    }
    into_archive(1)  # imports, page cache
    show(f"{len(paths):,} LAMOST .fits.gz files", in_turn(variants, repeats), len(paths), "files")


def made(spectra: int) -> tuple[list[SpectrumBlock], int]:
    """Blocks of noise in LAMOST's shape, and their bytes."""
    grid, rng = Grid.log10(3.5682, 1e-4, 3909), np.random.default_rng(1)
    flux = rng.normal(100, 10, (1000, grid.n)).astype(np.float32)
    mask = (rng.random(flux.shape) < 0.02).astype(np.uint8)
    sky = rng.uniform(0, 1, (spectra, 2))
    blocks = []
    for first in range(0, spectra, 1000):
        meta = [
            Metadata(
                identifier=f"s{i:09d}", ra=360 * u, dec=float(np.degrees(np.arcsin(2 * v - 1))), resolving_power=1800
            )
            for i, (u, v) in enumerate(sky[first : first + 1000], first)
        ]
        blocks.append(SpectrumBlock(grid, flux, flux, mask, meta))
    return blocks, spectra * grid.n * 9


def storage(work: Path, spectra: int, repeats: int) -> None:
    """Arrays to disk and back."""
    blocks, size = made(spectra)

    def raw_write() -> None:
        with open(work / "raw", "wb") as stream:
            for block in blocks:
                for array in (block.flux, block.ivar, block.mask):
                    stream.write(memoryview(array))
            stream.flush()
            os.fsync(stream.fileno())

    def store() -> None:
        shutil.rmtree(work / "stored", ignore_errors=True)
        ingest_blocks(iter(blocks), work / "stored", survey="noise")

    def raw_read() -> None:
        buffer = bytearray(64 << 20)
        with open(work / "raw", "rb", buffering=0) as stream:
            while stream.readinto(buffer):
                pass

    def scan() -> int:
        return sum(int(block.mask[0, 0]) for block in open_archive(work / "stored").blocks())

    gigabytes = size / 1e9
    writing: dict[str, Callable[[], object]] = {"raw file write + fsync": raw_write, "ingest_blocks": store}
    show(f"Writing {spectra:,} spectra, {gigabytes:.2f} GB", in_turn(writing, repeats), gigabytes, "GB")
    reading: dict[str, Callable[[], object]] = {"raw file read": raw_read, "Archive.blocks": scan}
    show("Reading them", in_turn(reading, repeats), gigabytes, "GB")
    one_by_one(work / "stored", spectra)


def one_by_one(path: Path, spectra: int) -> None:
    """Latency of single spectra, and the rate of feature vectors."""
    archive = open_archive(path)
    rng = np.random.default_rng(0)
    times = []
    for number in rng.integers(0, spectra, 200):
        times.append(seconds(lambda number=number: archive.spectrum(f"s{number:09d}"))[0])  # type: ignore[misc]
    print(f"\nOne spectrum by identifier: median {1e3 * statistics.median(times):.2f} ms, of {spectra:,}")
    recipe = Recipe.load("halpha-140")
    scanned = seconds(lambda: sum(len(block) for block in archive.blocks()))
    features = seconds(lambda: archive.build_features(recipe, workers=1))
    results = {"Archive.blocks alone": [scanned], "build_features, 1 worker": [features]}
    show("Feature vectors", results, spectra, "spectra")


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    default = os.environ.get("EMBERLINE_DATA", str(Path(__file__).parents[1] / ".." / "shared" / "data"))
    parser.add_argument("folder", nargs="?", type=Path, default=Path(default) / "lamost")
    parser.add_argument("--copies", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--spectra", type=int, default=20_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.folder.is_dir():
            files(arguments.folder, Path(folder), arguments.copies, arguments.repeats)
        storage(Path(folder), arguments.spectra, arguments.repeats)


if __name__ == "__main__":
    main()
