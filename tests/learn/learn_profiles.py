"""Quick profiles with known classes: what the tests of this folder train on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CLASSES = ("absorption", "emission", "double-peak")
RECIPE = "0123456789abcdef"


def profiles(
    n: int, seed: int, *, pixels: int = 140, shares: tuple[float, float, float] = (0.7, 0.15, 0.15), noise: float = 0.1
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Standardised spectra (n, pixels), their classes and objects; an object has about two spectra of one class."""
    rng = np.random.default_rng(seed)
    objects = rng.integers(0, max(n // 2, 3), n)
    labels = rng.choice(3, max(n // 2, 3), p=shares)[objects]
    x = np.linspace(-1, 1, pixels)
    depth, centre, width = (rng.uniform(*span, n)[:, None] for span in ((0.3, 1.0), (-0.05, 0.05), (0.05, 0.12)))
    single = np.exp(-0.5 * ((x - centre) / width) ** 2)
    left, right = (np.exp(-0.5 * ((x - centre + side * width) / (0.5 * width)) ** 2) for side in (-1, 1))
    flux = depth * np.choose(labels[:, None], [-single, single, left + right - 0.3 * single])
    flux += noise * rng.standard_normal(flux.shape)
    flux -= flux.mean(axis=1, keepdims=True)
    return (flux / flux.std(axis=1, keepdims=True)).astype(np.float32), labels, objects
