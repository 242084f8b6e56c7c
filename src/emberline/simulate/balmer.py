"""Hydrogen in absorption: Balmer and Paschen lines with Stark-like wings and a narrow core."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["H_ALPHA", "H_BETA", "H_DELTA", "H_GAMMA", "hydrogen_lines", "hydrogen_transmission"]

Floats = NDArray[np.float64]

H_ALPHA, H_BETA, H_GAMMA, H_DELTA = 6564.61, 4862.68, 4341.68, 4102.89
"""Vacuum Å (NIST Atomic Spectra Database, centroids)."""

_RYDBERG = 1.0967758e-3
"""Per Å, hydrogen."""

_TEFF = [
    2500.0,
    4000,
    4750,
    5400,
    5800,
    6200,
    6650,
    7100,
    7550,
    8150,
    9000,
    10000,
    12000,
    15000,
    20000,
    25000,
    30000,
    42000,
]
# Hα at logg 4: depth and half-width at half depth (Å) of the wings, depth and sigma (Å) of the core.
_WING = [0.0, 0.02, 0.06, 0.12, 0.17, 0.21, 0.26, 0.30, 0.34, 0.37, 0.38, 0.36, 0.34, 0.32, 0.29, 0.26, 0.22, 0.18]
_WIDTH = [3.0, 3.0, 3.5, 4.0, 4.0, 4.2, 4.5, 5.0, 5.8, 7.0, 8.3, 8.3, 6.8, 5.0, 3.7, 3.1, 2.7, 2.4]
_CORE = [0.05, 0.45, 0.60, 0.62, 0.62, 0.56, 0.50, 0.42, 0.38, 0.36, 0.36, 0.35, 0.30, 0.24, 0.17, 0.12, 0.09, 0.05]
_SIGMA = [0.35, 0.40, 0.45, 0.50, 0.55, 0.65, 0.75, 0.8, 0.75, 0.65, 0.55, 0.52, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]

# Depth and width of Hα, Hβ, … H14 relative to those of Hα in A stars.
_BALMER = (
    (1.0, 1.0), (1.42, 1.05), (1.42, 1.05), (1.42, 1.0), (1.42, 0.92), (1.4, 0.85), (1.35, 0.75), (1.25, 0.68),
    (1.12, 0.62), (1.05, 0.57), (0.95, 0.53), (0.88, 0.49),
)  # fmt: skip


def hydrogen_lines() -> list[tuple[float, float, float]]:
    """All lines simulated: vacuum Å, depth and width of the wings relative to those of Hα in A stars."""
    named = {3: H_ALPHA, 4: H_BETA, 5: H_GAMMA, 6: H_DELTA}
    lines = [(named.get(n, _series(2, n)), *shape) for n, shape in enumerate(_BALMER, start=3)]
    lines += [(_series(2, n), 0.82 - 0.02 * (n - 15), 0.46 - 0.015 * (n - 15)) for n in range(15, 23)]
    lines += [(_series(3, n), 0.6 - 0.04 * (n - 9), 1.2 - 0.07 * (n - 9)) for n in range(9, 20)]
    return lines


def _series(lower: int, upper: int) -> float:
    return 1.0 / (_RYDBERG * (1.0 / lower**2 - 1.0 / upper**2))


def hydrogen_transmission(wavelength: Floats, teff: float, logg: float) -> Floats:
    """What the hydrogen lines leave of the continuum at rest, before any broadening.

    Each line is 1 - D / (1 + (Δλ/w)²) - C exp(-Δλ²/2σ²): a saturating wing and a core. Depths and widths by Teff
    were fitted to Hα and Hβ of public R = 1800 spectra with published Teff between 4500 and 11,500 K and follow the
    decline of Hα of main-sequence B and O stars beyond; the wing's width grows as g^0.2 where the Stark effect rules
    (Gray 2005, ch. 13; Vidal, Cooper & Smith 1973, ApJS 25, 37).

    Parameters
    ----------
    wavelength : ndarray, shape (m,)
        Vacuum Å.
    teff, logg : float

    Returns
    -------
    ndarray, shape (m,)
    """
    wing, width, core, sigma = (float(np.interp(teff, _TEFF, run)) for run in (_WING, _WIDTH, _CORE, _SIGMA))
    stark = float(np.clip((teff - 6500.0) / 1500.0, 0.0, 1.0))
    width *= 10.0 ** (0.2 * stark * (logg - 4.0))
    left = np.ones_like(wavelength)
    for centre, deeper, wider in hydrogen_lines():
        cool = (centre / H_ALPHA) ** (1.0 - stark)
        if centre > 7000.0:
            deeper *= stark
        scale = width * wider * cool
        reach = slice(*np.searchsorted(wavelength, [centre - 40.0 * scale, centre + 40.0 * scale]))
        offset = wavelength[reach] - centre
        squared = (offset / scale) ** 2
        depth = min(0.8, wing * deeper) * np.maximum(1.0 / (1.0 + squared) - 1.0 / 1601.0, 0.0)
        narrow = core * min(1.0, deeper) * np.exp(-0.5 * (offset / (sigma * centre / H_ALPHA)) ** 2)
        left[reach] *= 1.0 - np.minimum(depth + narrow * (1.0 - depth), 0.95)
    return left
