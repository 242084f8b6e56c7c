"""Spectra for the tests of recipes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from emberline.spectra import Grid, Metadata, SpectrumBlock

LAMOST = Grid.log10(3.5682, 1e-4, 3909)


def make_block(
    flux: ArrayLike,
    grid: Grid = LAMOST,
    *,
    ivar: ArrayLike = 1.0,
    mask: ArrayLike = 0,
    **meta: Any,
) -> SpectrumBlock:
    """A block from arrays that broadcast to (n, grid.n); `meta` goes into every spectrum's metadata."""
    values = np.atleast_2d(np.asarray(flux, dtype=np.float32))
    values = np.array(np.broadcast_to(values, (values.shape[0], grid.n)))
    shape = values.shape
    meta.setdefault("resolving_power", 1800.0)
    return SpectrumBlock(
        grid,
        values,
        np.array(np.broadcast_to(np.asarray(ivar, np.float32), shape)),
        np.array(np.broadcast_to(np.asarray(mask, np.uint8), shape)),
        [Metadata(identifier=f"s{i}", **meta) for i in range(shape[0])],
    )


@pytest.fixture
def block() -> Callable[..., SpectrumBlock]:
    """The function `make_block`."""
    return make_block


@pytest.fixture
def noisy() -> SpectrumBlock:
    """Sixty noisy spectra with an absorption line at Hα, on LAMOST's grid."""
    rng = np.random.default_rng(11)
    wave = LAMOST.wavelength
    depth = rng.uniform(-0.5, 0.7, (60, 1))
    flux = 100 * (1 - depth * np.exp(-0.5 * ((wave - 6564.6) / 4) ** 2)) + rng.normal(0, 3, (60, wave.size))
    return make_block(flux, ivar=1 / 9)
