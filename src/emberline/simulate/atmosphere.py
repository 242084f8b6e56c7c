"""What the Earth adds and takes away: telluric absorption and the lines of the night sky."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emberline.simulate.templates import preset_sigma
from emberline.spectra import air_to_vacuum

__all__ = ["SKY_LINES", "sky_profiles", "telluric_depths"]

Floats = NDArray[np.float64]

# Strong water lines near Hα, air Å and central optical depth for 10 mm of water at one air mass; positions after Moore,
# Minnaert & Houtgast 1966 (NBS Monograph 61), depths by eye from public spectra at R = 13,000.
_WATER_LINES = (
    (6480.7, 0.10), (6483.3, 0.12), (6486.6, 0.10), (6490.8, 0.13), (6494.9, 0.10), (6496.1, 0.10), (6501.2, 0.06),
    (6504.2, 0.06), (6514.7, 0.15), (6516.6, 0.14), (6519.4, 0.16), (6523.8, 0.12), (6532.4, 0.14), (6534.0, 0.12),
    (6536.7, 0.10), (6542.3, 0.12), (6543.9, 0.24), (6547.7, 0.20), (6548.6, 0.18), (6552.6, 0.22), (6557.2, 0.14),
    (6560.6, 0.08), (6563.5, 0.06), (6564.1, 0.12), (6568.8, 0.07), (6572.1, 0.16), (6574.8, 0.14), (6580.8, 0.04),
    (6586.7, 0.06), (6594.4, 0.03), (6599.3, 0.04), (6612.5, 0.02), (6627.2, 0.02),
)  # fmt: skip
# Bands: first and last air Å, number of lines, mean central optical depth.
_OXYGEN_BANDS = ((6276.5, 6320.0, 32, 0.15), (6867.2, 6945.0, 44, 1.4), (7593.5, 7700.0, 56, 3.5))
_WATER_BANDS = (
    (6470.0, 6540.0, 34, 0.05), (6930.0, 7060.0, 50, 0.10), (7160.0, 7340.0, 110, 0.45), (8120.0, 8350.0, 130, 0.40),
    (8920.0, 9200.0, 160, 0.8),
)  # fmt: skip

SKY_LINES = air_to_vacuum(
    [4358.3, 5460.7, 5577.3, 5889.95, 5895.9, 6300.3, 6363.8, 6498.7, 6533.0, 6553.6, 6562.8, 6577.2, 6604.0, 6863.9,
     6923.2, 7276.4, 7316.3, 7340.9, 7524.0, 7571.7, 7750.6, 7794.1, 7821.5, 7913.7, 7964.6, 7993.3, 8025.7, 8344.6,
     8399.2, 8430.2, 8465.2, 8505.0, 8778.3, 8827.1, 8885.8, 8919.6, 8943.4, 8958.1, 9001.1, 9038.0]
)  # fmt: skip
"""Vacuum Å of mercury, [O I], Na, Hα (geocorona) and OH (Osterbrock et al. 1996, PASP 108, 277)."""
_SKY_STRENGTH = np.array(
    [2, 2, 12, 3, 2, 6, 3, 0.6, 0.6, 0.5, 1.0, 0.5, 0.4, 1.5, 1.5, 3, 4, 4, 3, 3, 4, 4, 4, 5, 5, 4, 4, 5, 6, 6, 5, 4,
     6, 6, 6, 5, 5, 5, 4, 4]
)  # fmt: skip


def telluric_depths(wavelength: Floats, resolving_power: float) -> Floats:
    """Natural logarithm of the transmission of oxygen and of water vapour, blurred; shape (2, m).

    Named lines near Hα; elsewhere lines spread over the bands of Wallace et al. 2011, ApJS 195, 6, at fixed pseudo-
    random places.
    """
    step = min(2e-6, 1.0 / (8.0 * resolving_power))
    blur = preset_sigma(resolving_power, step)
    margin = int(5.0 * blur) + 2
    log = np.log(wavelength[0]) + step * np.arange(-margin, int(np.log(wavelength[-1] / wavelength[0]) / step) + margin)
    rng = np.random.default_rng(71)
    oxygen = np.concatenate([_band_lines(rng, *band) for band in _OXYGEN_BANDS])
    water = np.concatenate([np.array(_WATER_LINES)] + [_band_lines(rng, *band) for band in _WATER_BANDS])
    out = np.empty((2, wavelength.size))
    for row, lines in enumerate((oxygen, water)):
        smooth = _blurred(np.exp(-_line_depths(log, step, lines)), blur)
        out[row] = np.log(np.maximum(np.interp(np.log(wavelength), log, smooth), 0.02))
    return out


def _band_lines(rng: np.random.Generator, low: float, high: float, n: int, depth: float) -> Floats:
    place = low + (high - low) * np.sort(rng.random(n))
    fall = np.exp(-1.5 * (place - low) / (high - low))
    return np.stack([place, depth * fall * rng.uniform(0.3, 1.7, n)], axis=1)


def _line_depths(log: Floats, step: float, lines: Floats) -> Floats:
    depth = np.zeros_like(log)
    width = 1.1e-5  # Doppler and pressure width of a telluric line, Δλ/λ
    for centre, strength in zip(np.log(air_to_vacuum(lines[:, 0])), lines[:, 1], strict=True):
        middle = (centre - log[0]) / step
        reach = slice(max(0, int(middle - 12 * width / step)), max(0, int(middle + 12 * width / step) + 2))
        depth[reach] += strength / (1.0 + ((log[reach] - centre) / width) ** 2)
    return depth


def _blurred(values: Floats, sigma: float) -> Floats:
    from scipy import ndimage

    return np.asarray(ndimage.gaussian_filter1d(values, sigma, mode="nearest", truncate=4.5))


def sky_profiles(wavelength: Floats, resolving_power: float) -> Floats:
    """Night-sky lines at unit noise: strength times a Gaussian of the line-spread function; shape (lines, m)."""
    sigma = SKY_LINES / (resolving_power * 2.3548)
    return np.asarray(_SKY_STRENGTH[:, None] * np.exp(-0.5 * ((wavelength - SKY_LINES[:, None]) / sigma[:, None]) ** 2))
