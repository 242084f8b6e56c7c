"""The light between the lines: stellar continua, the Balmer jump, and dust in front."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["balmer_jump", "colour_temperature", "extinction", "planck", "stellar_continuum"]

Floats = NDArray[np.float64]


def planck(wavelength: ArrayLike, temperature: ArrayLike) -> Floats:
    """Planck's law per unit wavelength, arbitrary scale; `wavelength` in Å, `temperature` in K, broadcast."""
    wavelength = np.asarray(wavelength, np.float64)
    return np.asarray((1e4 / wavelength) ** 5 / np.expm1(1.438777e8 / (wavelength * np.asarray(temperature))))


def colour_temperature(teff: ArrayLike) -> Floats:
    """Temperature of the Planck curve that follows the Paschen continuum, K.

    Hydrogen's bound-free opacity makes the Paschen continuum of A and B stars bluer than Planck's law at Teff; the run
    is read off flux-calibrated public spectra by their published Teff and, beyond 11,000 K, off the slopes of model
    continua (Gray 2005, fig. 10.10), to about 10 %.
    """
    nodes = [2500.0, 3300, 3700, 4000, 4300, 4900, 5500, 6000, 6500, 7000, 8000, 9500, 12000, 20000, 42000]
    values = [2200.0, 2900, 3300, 3900, 4500, 5500, 6500, 7400, 8400, 9400, 10900, 12800, 15500, 24000, 42000]
    return np.interp(np.asarray(teff, np.float64), nodes, values)


def balmer_jump(teff: ArrayLike) -> Floats:
    """Height of the Balmer jump in dex for dwarfs (the run of Gray 2005, fig. 10.8; largest near 9000 K)."""
    nodes = [4500.0, 5500, 6500, 7500, 9000, 10500, 12000, 15000, 20000, 30000, 42000]
    values = [0.02, 0.08, 0.2, 0.36, 0.5, 0.44, 0.36, 0.26, 0.17, 0.08, 0.03]
    return np.interp(np.asarray(teff, np.float64), nodes, values)


def stellar_continuum(wavelength: ArrayLike, teff: ArrayLike, reference: float) -> Floats:
    """Line-free flux, 1 at `reference` Å; shape of `teff` + shape of `wavelength` (one dimension)."""
    wave = np.asarray(wavelength, np.float64)
    temperature = np.asarray(teff, np.float64)[..., None]
    colour = colour_temperature(temperature)
    flux = planck(wave, colour) / planck(reference, colour)
    below = 1.0 / (1.0 + np.exp((wave - 3720.0) / 20.0))  # lines merge before the limit itself
    return np.asarray(flux * 10.0 ** (-balmer_jump(temperature) * below))


def extinction(wavelength: ArrayLike, ratio: float = 3.1) -> Floats:
    """A(λ)/A(V) of the mean Galactic dust, 3030 Å to 33,000 Å.

    Cardelli, Clayton & Mathis 1989, ApJ 345, 245, with the optical coefficients of O'Donnell 1994, ApJ 422, 158.

    Parameters
    ----------
    wavelength : array_like
        Vacuum Å.
    ratio : float
        R(V) = A(V) / E(B-V).
    """
    x = 1e4 / np.asarray(wavelength, np.float64)
    y = x - 1.82
    a = np.polynomial.polynomial.polyval(y, [1.0, 0.104, -0.609, 0.701, 1.137, -1.718, -0.827, 1.647, -0.505])
    b = np.polynomial.polynomial.polyval(y, [0.0, 1.952, 2.908, -3.989, -7.985, 11.102, 5.491, -10.805, 3.347])
    infrared = x < 1.1
    a = np.where(infrared, 0.574 * x**1.61, a)
    b = np.where(infrared, -0.527 * x**1.61, b)
    return np.asarray(a + b / ratio)
