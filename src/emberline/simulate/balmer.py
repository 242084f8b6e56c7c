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

# By Teff, Hα at logg 4: depth and half-width at half depth (Å) of the wings, depth and sigma (Å) of the core.
_PROFILES = np.array(
    [
        (2500, 0.00, 3.0, 0.05, 0.35), (4000, 0.02, 3.0, 0.45, 0.40), (4750, 0.07, 3.7, 0.62, 0.45),
        (5400, 0.14, 4.3, 0.64, 0.50), (5800, 0.20, 4.8, 0.62, 0.55), (6200, 0.255, 5.3, 0.55, 0.63),
        (6650, 0.31, 6.0, 0.49, 0.70), (7100, 0.37, 7.0, 0.42, 0.70), (7550, 0.42, 8.0, 0.36, 0.65),
        (8150, 0.445, 9.0, 0.33, 0.60), (9000, 0.445, 9.6, 0.33, 0.55), (10000, 0.41, 9.6, 0.33, 0.52),
        (12000, 0.38, 7.6, 0.30, 0.50), (15000, 0.34, 5.4, 0.24, 0.50), (20000, 0.30, 3.9, 0.17, 0.50),
        (25000, 0.26, 3.1, 0.12, 0.50), (30000, 0.22, 2.7, 0.09, 0.50), (42000, 0.18, 2.4, 0.05, 0.50),
    ]
)  # fmt: skip
# Depth and width of Hα, Hβ, … H14 relative to those of Hα in A stars.
_BALMER = (
    (1.0, 1.0), (1.36, 1.0), (1.36, 1.0), (1.36, 0.95), (1.38, 0.9), (1.4, 0.85), (1.35, 0.75), (1.25, 0.68),
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
    wing, width, core, sigma = (float(np.interp(teff, _PROFILES[:, 0], _PROFILES[:, k])) for k in (1, 2, 3, 4))
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
