"""How fast LAMOST .fits.gz files become spectra, against astropy and against the bare inflate, in one process.

Run as ``python benchmarks/ingest_read.py [FOLDER] [--files N] [--repeats R]``; without a folder the pack of real
spectra is used. All variants run in turn over the same files and medians over the repeats are printed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from astropy.io import fits
from isal import igzip_lib

from emberline.archive.readers import find_sources, open_source, read


def emberline_reads(path: str) -> None:
    """Detection, checks, metadata and all: what ingest does before it writes."""
    read(open_source(path))


def astropy_reads(path: str) -> None:
    """`astropy.io.fits.open`, every card of every header parsed, every array in memory in native byte order."""
    with fits.open(path, memmap=False) as hdus:
        for hdu in hdus:
            dict(hdu.header)
            if isinstance(hdu, fits.BinTableHDU):
                [np.array(hdu.data[name], np.float32) for name in hdu.columns.names]
            elif hdu.data is not None:
                np.array(hdu.data, np.float32)


def astropy_opens(path: str) -> None:
    """`astropy.io.fits.open` and the data touched, nothing else: the least that astropy can do."""
    with fits.open(path, memmap=False) as hdus:
        for hdu in hdus:
            _ = hdu.data


def inflates(path: str) -> None:
    """Read and inflate by ISA-L with a buffer that fits: the limit."""
    with open(path, "rb") as stream:
        raw = stream.read()
    igzip_lib.decompress(raw, flag=igzip_lib.DECOMP_GZIP, bufsize=int.from_bytes(raw[-4:], "little") + 4096)


VARIANTS: dict[str, Callable[[str], None]] = {
    "emberline": emberline_reads,
    "astropy open + full read": astropy_reads,
    "astropy open + .data": astropy_opens,
    "bare inflate (isal)": inflates,
}


def rate(function: Callable[[str], None], paths: list[str]) -> float:
    """Files per second of this process's own CPU time, which a busy machine disturbs less than the wall clock."""
    start = time.process_time()
    for path in paths:
        function(path)
    return len(paths) / (time.process_time() - start)


def main() -> None:
    """Print the rates, the ratio to astropy and the fraction of the inflate rate."""
    parser = argparse.ArgumentParser(description=__doc__)
    pack = os.environ.get("EMBERLINE_DATA", str(Path(__file__).resolve().parents[2] / "shared" / "data"))
    parser.add_argument("folder", nargs="?", default=str(Path(pack) / "lamost"))
    parser.add_argument("--files", type=int, default=300, help="files, spread evenly over the folder")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    found = [path for path in find_sources(options.folder) if path.endswith(".fits.gz")]
    if not found:
        sys.exit(f"{options.folder} holds no .fits.gz files")
    paths = found[:: max(1, len(found) // options.files)]
    for function in VARIANTS.values():
        rate(function, paths[:20])
    rates: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for _ in range(options.repeats):
        for name, function in VARIANTS.items():
            rates[name].append(rate(function, paths))
    median = {name: statistics.median(values) for name, values in rates.items()}
    print(f"{len(paths)} files, {options.repeats} interleaved repeats, medians (least to most), files per CPU second")
    for name, values in rates.items():
        print(f"{name:26s} {median[name]:8.0f}  ({min(values):.0f} to {max(values):.0f})")
    for name in ("astropy open + full read", "astropy open + .data"):
        ratios = [ours / theirs for ours, theirs in zip(rates["emberline"], rates[name], strict=True)]
        print(f"emberline / {name}: {statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})")
    print(f"fraction of the bare inflate rate: {median['emberline'] / median['bare inflate (isal)']:.2f}")


if __name__ == "__main__":
    main()
