"""Small archives for the tests of this folder."""

from __future__ import annotations

import numpy as np

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
