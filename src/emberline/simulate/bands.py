"""Molecular bands of cool stars: TiO, CaH, VO, MgH and CH."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["band_shapes", "band_strengths"]

Floats = NDArray[np.float64]
Float32 = NDArray[np.float32]

# Band heads, Å (vacuum, to 1 Å; degraded to the red), relative strength, length of the tail in Å.
# Heads after Pearse & Gaydon 1976, The Identification of Molecular Spectra; strengths by eye from public M spectra.
_TIO = (
    (4585.0, 0.3, 60.0), (4763.0, 0.6, 70.0), (4956.0, 0.9, 80.0), (5168.5, 0.9, 80.0), (5450.0, 0.6, 70.0),
    (5599.0, 0.3, 60.0), (5761.0, 0.5, 60.0), (5811.0, 0.5, 60.0), (5849.0, 0.6, 60.0), (6160.0, 1.2, 70.0),
    (6217.0, 0.5, 60.0), (6323.0, 0.2, 40.0), (6386.0, 0.4, 50.0), (6653.0, 0.9, 70.0), (6683.0, 0.7, 60.0),
    (6716.0, 0.7, 70.0), (6785.0, 0.4, 60.0), (7056.0, 1.3, 60.0), (7090.0, 1.1, 80.0), (7127.0, 1.2, 110.0),
    (7591.0, 0.5, 80.0), (7668.0, 0.8, 110.0), (8208.0, 0.2, 80.0), (8434.0, 0.7, 60.0), (8454.0, 0.4, 60.0),
    (8862.0, 0.7, 80.0),
)  # fmt: skip
_VO = ((7336.0, 1.0, 90.0), (7400.0, 1.0, 90.0), (7855.0, 1.0, 80.0), (7942.0, 0.9, 80.0), (8527.0, 0.5, 80.0))
# Centre, half-width, strength of bands without a sharp head.
_CAH = ((6385.0, 12.0, 0.6), (6775.0, 45.0, 0.7), (6908.0, 50.0, 0.9), (6970.0, 25.0, 0.6))
_MGH = ((5180.0, 45.0, 0.9), (4780.0, 35.0, 0.4))
_CH = ((4300.0, 9.0, 1.0), (4312.0, 5.0, 0.6))


def band_shapes(wavelength: Floats) -> Float32:
    """Optical depth of TiO, VO, CaH, MgH and CH at unit strength, shape (5, m); `wavelength` in vacuum Å."""
    degraded = [_degraded(wavelength, heads) for heads in (_TIO, _VO)]
    symmetric = [_symmetric(wavelength, bands) for bands in (_CAH, _MGH, _CH)]
    return np.array(degraded + symmetric, dtype=np.float32)


def band_strengths(teff: float, logg: float, feh: float) -> Float32:
    """How strong TiO, VO, CaH, MgH and CH are, shape (5,).

    TiO grows below 4100 K and VO below 3200 K; the hydrides need pressure and show dwarfs; CH (the G band) peaks
    near 5000 K.
    """
    metal = 10.0**feh
    pressure = 10.0 ** (0.3 * (logg - 4.6))
    tio = 0.5 * max(0.0, (4080.0 - teff) / 600.0) ** 1.3 * metal**0.6
    vanadium = 0.5 * max(0.0, (3250.0 - teff) / 300.0) * metal**0.5
    hydride = 0.42 * math.exp(-0.5 * ((teff - 3500.0) / 500.0) ** 2) * metal**0.3 * pressure
    mgh = 0.35 * math.exp(-0.5 * ((teff - 4100.0) / 450.0) ** 2) * metal**0.5 * pressure
    ch = 0.65 * math.exp(-0.5 * ((teff - 4900.0) / 750.0) ** 2) * metal**0.4
    return np.array([tio, vanadium, hydride, mgh, ch], dtype=np.float32)


def _degraded(wavelength: Floats, heads: tuple[tuple[float, float, float], ...]) -> Floats:
    total = np.zeros_like(wavelength)
    for head, strength, tail in heads:
        beyond = np.maximum(wavelength - head, 0.0)
        edge = 1.0 / (1.0 + np.exp(np.clip(-(wavelength - head) / 1.5, -50.0, 50.0)))
        total += strength * edge * np.exp(-beyond / tail)
    return total


def _symmetric(wavelength: Floats, bands: tuple[tuple[float, float, float], ...]) -> Floats:
    total = np.zeros_like(wavelength)
    for centre, half, strength in bands:
        total += strength * np.exp(-0.5 * ((wavelength - centre) / half) ** 2)
    return total
