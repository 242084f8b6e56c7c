"""Small archives for the tests of this folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from emberline.archive import open_archive
from emberline.spectra import Grid, Metadata, SpectrumBlock

GRID = Grid.log10(3.8, 1e-4, 300)


def make_block(n: int, *, seed: int = 0, grid: Grid = GRID, prefix: str = "s", first: int = 0) -> SpectrumBlock:
    """`n` spectra with random arrays, positions and metadata."""
    rng = np.random.default_rng([seed, first, n])
    shape = (n, grid.n)
    meta = [
        Metadata(
            identifier=f"{prefix}{first + i:05d}",
            survey="test",
            ra=float(rng.uniform(0, 360)),
            dec=float(np.degrees(np.arcsin(rng.uniform(-1, 1)))),
            mjd=float(rng.uniform(55000, 60000)),
            snr=float(np.float32(rng.uniform(5, 100))),
            survey_class=str(rng.choice(["STAR", "QSO"])),
            resolving_power=1800.0,
        )
        for i in range(n)
    ]
    return SpectrumBlock(
        grid,
        rng.normal(100, 10, shape).astype(np.float32),
        rng.uniform(0.1, 1, shape).astype(np.float32),
        (rng.random(shape) < 0.05).astype(np.uint8),
        meta,
    )


def write_lamost(path: Path, number: int, *, n: int = 320, seed: int | None = None, ra: float | None = None) -> Path:
    """A small file in LAMOST's 5×N layout, gzipped when `path` says so; `number` makes its identifier."""
    from astropy.io import fits

    rng = np.random.default_rng(number if seed is None else seed)
    start = 3.8 + 1e-4 * (number % 3)
    loglam = start + 1e-4 * np.arange(n)
    rows = np.stack(
        [rng.normal(100, 10, n), rng.uniform(0.1, 1, n), 10**loglam, rng.random(n) < 0.05, rng.random(n) < 0.05]
    )
    hdu = fits.PrimaryHDU(rows.astype(np.float32))
    cards = {"TELESCOP": "LAMOST", "DATA_V": "LAMOST DR9", "LMJD": 57000, "PLANID": "TEST", "SPID": number // 1000,
             "FIBERID": number % 1000, "DESIG": f"LAMOST J{number}", "MJD": 57000,
             "RA": float(rng.uniform(0, 360)) if ra is None else ra, "DEC": float(rng.uniform(-10, 60)),
             "COEFF0": start, "COEFF1": 1e-4, "VACUUM": True, "HELIO": True, "CLASS": "STAR", "SUBCLASS": "G2",
             "Z": 0.0001, "SNRR": float(rng.uniform(5, 100))}  # fmt: skip
    for key, value in cards.items():
        hdu.header[key] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    hdu.writeto(path)
    return path


def write_survey(folder: Path, n: int, *, first: int = 0) -> Path:
    """`n` LAMOST-like files, every second one gzipped."""
    for number in range(first, first + n):
        write_lamost(folder / f"{number:05d}.fits{'.gz' if number % 2 else ''}", number)
    return folder


def content(path: Path) -> dict[str, Any]:
    """Everything that an archive says, without names of parts and times: equal for equal archives."""
    archive = open_archive(path)
    aside = {"part", "row", "grid", "start"}
    rows = [
        {name: value for name, value in row.items() if name not in aside} for row in archive.catalogue().to_pylist()
    ]
    identifiers = [row["identifier"] for row in rows]
    arrays = [
        (s.grid.key, s.flux.tobytes(), s.ivar.tobytes(), s.mask.tobytes(), repr(s.meta))
        for s in archive.spectra(identifiers)
    ]
    rejects = sorted(
        tuple(value for name, value in row.items() if name != "time") for row in archive.rejected().to_pylist()
    )
    truth = path / "truth.csv"
    return {
        "catalogue": rows,
        "arrays": arrays,
        "rejects": rejects,
        "truth": sorted(truth.read_text().splitlines()) if truth.exists() else [],
    }
