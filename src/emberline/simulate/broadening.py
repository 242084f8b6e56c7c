"""Rotation and Doppler shift of many spectra at once, each with its own kernel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft, special

__all__ = ["broaden", "kernels", "rotation_transfer"]

Floats = NDArray[np.float64]
Float32 = NDArray[np.float32]

_LIMB_DARKENING = 0.6


def rotation_transfer(k: Floats) -> Floats:
    """Fourier transform of the rotational broadening profile, limb darkening 0.6; `k` = 2π · frequency · v sin i.

    Gray 2005, The Observation and Analysis of Stellar Photospheres, eq. 18.14, transformed term by term.
    """
    k = np.maximum(np.abs(k), 1e-4)
    disk = 2.0 * special.j1(k) / k
    small = k < 0.05
    safe = np.where(small, 1.0, k)
    sphere = np.where(small, 1.0 - k**2 / 10.0, 3.0 * (np.sin(safe) - safe * np.cos(safe)) / safe**3)
    e = _LIMB_DARKENING
    return np.asarray(((1.0 - e) * disk + (2.0 * e / 3.0) * sphere) / (1.0 - e / 3.0))


def kernels(velocity: Floats, vsini: Floats, step: float, points: int) -> Float32:
    """Finite kernels that rotate and shift spectra sampled every `step` km/s.

    Parameters
    ----------
    velocity, vsini : ndarray, shape (n,)
        Doppler velocity (positive is red) and projected rotation, km/s.
    step : float
        Kilometres per second per point.
    points : int
        Length, even; the centre is at ``points // 2``.

    Returns
    -------
    ndarray of float32, shape (n, points)
        Each sums to one.
    """
    frequency = np.fft.rfftfreq(points)
    transfer = rotation_transfer(2.0 * np.pi * frequency * (vsini / step)[:, None])
    # Templates are band-limited by the line-spread function: a smooth end at the Nyquist frequency keeps kernels short.
    taper = np.clip((0.5 - frequency) / 0.15, 0.0, 1.0)
    transfer = transfer * np.sin(0.5 * np.pi * taper) ** 2
    shift = (velocity / step)[:, None] + points // 2
    values = np.fft.irfft(transfer * np.exp(-2j * np.pi * frequency * shift), points, axis=1)
    return np.asarray(values / values.sum(axis=1, keepdims=True), dtype=np.float32)


def broaden(flux: Float32, kernel: Float32) -> Float32:
    """Convolve each row of `flux` (n, m + points) with its kernel (n, points); the m valid points in the middle."""
    points = kernel.shape[1]
    length = fft.next_fast_len(flux.shape[1], real=True)
    out = np.empty((flux.shape[0], flux.shape[1] - points), np.float32)
    for start in range(0, len(flux), 64):  # so that the transforms stay in the cache
        rows = slice(start, start + 64)
        product = fft.rfft(flux[rows], length, axis=1) * fft.rfft(kernel[rows], length, axis=1)
        # Output j of the full convolution belongs to input j - points // 2; wrapped values stay below index points.
        out[rows] = fft.irfft(product, length, axis=1)[:, points : points + out.shape[1]]
    return out
