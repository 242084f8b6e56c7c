"""How fast two catalogues are matched, against astropy and one k-d tree. Run: python benchmarks/crossmatch.py

Two catalogues of N rows (``--rows``, 1 million) over the whole sky, the second the first shaken by half an arcsecond
and shuffled, are matched within 3″: as two archives on disk, read and their pairs written; and in memory. The baselines
are astropy's ``match_to_catalog_sky`` and one `scipy.spatial.cKDTree` of all unit vectors, both of which only find the
nearest, and leave rows without a position, motions, ambiguity and reading to the caller. The limits are reading the two
catalogues' positions, and sorting them by HEALPix. Variants run in turn within one run, several times (``--repeats``);
medians of wall time on two threads are printed, with the ratio to the first baseline, and the peak of the memory.

With ``--crowded`` the sources lie in a tenth of the sky.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from emberline import sky
from emberline.archive.catalogue import healpix_of, write_catalogue
from emberline.archive.crossmatch import match, match_shelves
from emberline.archive.pairs import write_pairs
from emberline.archive.positions import FileShelf, Positions
from emberline.archive.schema import CATALOGUE_SCHEMA, ArchiveInfo

RADIUS = 3.0
BASELINE = "astropy match_to_catalog_sky"
Places = tuple[np.ndarray, np.ndarray]


def places(rows: int, crowded: bool, seed: int) -> tuple[Places, Places]:
    """Positions, and the same up to half an arcsecond in another order."""
    rng = np.random.default_rng(seed)
    ra = rng.uniform(0, 36 if crowded else 360, rows)
    dec = np.degrees(np.arcsin(rng.uniform(-1, 1, rows)))
    moved = sky.offset(ra, dec, rng.uniform(0, 360, rows), rng.rayleigh(0.5, rows) / 3600)
    order = rng.permutation(rows)
    return (ra, dec), (moved[0][order], moved[1][order])


def make_archive(folder: Path, where: Places) -> Path:
    """An archive's folder with a catalogue of these positions, and nothing else that a match would look at."""
    folder.mkdir()
    ArchiveInfo.new().save(folder)
    ra, dec = where
    rows = len(ra)
    pixels = healpix_of(ra, dec)
    order = np.argsort(pixels)
    given = {
        "identifier": pa.array(np.char.mod("spec-%09d", np.arange(rows))),
        "ra": pa.array(ra[order]),
        "dec": pa.array(dec[order]),
        "healpix": pa.array(pixels[order]),
        "mjd": pa.array(np.full(rows, 56_000.0)),
    }
    columns = [given.get(field.name, pa.nulls(rows, field.type)) for field in CATALOGUE_SCHEMA]
    write_catalogue(
        folder / "catalogue.parquet", pa.Table.from_arrays(columns, names=CATALOGUE_SCHEMA.names).cast(CATALOGUE_SCHEMA)
    )
    return folder


def astropy_match(left: Places, right: Places) -> int:
    """The baseline."""
    from astropy import units
    from astropy.coordinates import SkyCoord

    one, two = (SkyCoord(*where, unit="deg") for where in (left, right))
    _, apart, _ = one.match_to_catalog_sky(two)
    return int((apart < RADIUS * units.arcsec).sum())


def one_tree(left: Places, right: Places) -> int:
    """The second baseline."""
    from scipy.spatial import cKDTree

    limit = float(sky.chord_of_angle(RADIUS / 3600))
    found, _ = cKDTree(sky.unit_vectors(*right)).query(sky.unit_vectors(*left), distance_upper_bound=limit, workers=2)
    return int(np.isfinite(found).sum())


def shelves(paths: list[Path]) -> list[FileShelf]:
    """The archives' positions, still on disk."""
    return [FileShelf(path / "catalogue.parquet", epoch="mjd", epoch_is_mjd=True) for path in paths]


def read_only(paths: list[Path]) -> int:
    """A limit: what must be read."""
    return sum(len(pq.read_table(path / "catalogue.parquet", columns=["healpix", "ra", "dec"])) for path in paths)


def sort_only(left: Places, right: Places) -> int:
    """A limit of what comes in no order: pixels and their order."""
    return sum(int(np.argsort(healpix_of(*where)).size) for where in (left, right))


def measure(variants: dict[str, Callable[[], int]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each variant in each repeat; they take turns."""
    times: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(repeats):
        for name, variant in variants.items():
            start = time.perf_counter()
            variant()
            times[name].append(time.perf_counter() - start)
    return times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--crowded", action="store_true")
    parser.add_argument("--only-ours", action="store_true", help="Leave the baselines out, to see the memory's peak.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        left, right = places(given.rows, given.crowded, seed=1)
        paths = [make_archive(Path(scratch) / name, where) for name, where in (("one", left), ("two", right))]
        pairs = [Positions.of(*where) for where in (left, right)]
        start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        variants: dict[str, Callable[[], int]] = {
            "two archives, matched and written": lambda: write_pairs(*paths, Path(scratch) / "p.parquet", RADIUS).pairs,
            "two archives, nearest": lambda: len(match_shelves(*shelves(paths), RADIUS)),
            "two archives, mutual": lambda: len(match_shelves(*shelves(paths), RADIUS, keep="mutual")),
            "in memory, unsorted, nearest": lambda: len(match(*pairs, RADIUS)),
            "limit: read the positions": lambda: read_only(paths),
            "limit: sort by HEALPix": lambda: sort_only(left, right),
        }
        if not given.only_ours:
            variants = {
                BASELINE: lambda: astropy_match(left, right),
                "one cKDTree": lambda: one_tree(left, right),
                **variants,
            }
        times = measure(variants, given.repeats)
    print(f"{given.rows:,} × {given.rows:,} rows, {RADIUS:g} arcsec")
    print(f"{'':36}{'median s':>9}{'range':>16}{'baseline / this':>17}")
    for name, found in times.items():
        base = times.get(BASELINE, found)
        ratio = statistics.median(one / two for one, two in zip(base, found, strict=True))
        print(f"{name:36}{statistics.median(found):>9.2f}{f'{min(found):.2f} to {max(found):.2f}':>16}{ratio:>17.1f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"memory: {start / 1024:,.0f} MiB before, {peak / 1024:,.0f} MiB at most")


if __name__ == "__main__":
    main()
