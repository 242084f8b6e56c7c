"""What an expert would call an Hα profile: emission, double-peak, shell or absorption."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["KINDS", "kind_of"]

Floats = NDArray[np.float64]

KINDS = ("absorption", "emission", "double-peak", "shell")


def kind_of(velocity: Floats, profile: Floats, photosphere: Floats) -> str:
    """The visible kind of one noise-free profile.

    ``absorption``: the emission adds less than 8 % of the continuum. ``shell``: a core that is deeper than the star's
    own line and than the continuum lies between emission peaks. ``double-peak``: two peaks whose valley is lower than
    the lesser one by 5 % of its height above the star. ``emission``: all others.

    Parameters
    ----------
    velocity, profile, photosphere : ndarray, shape (v,)
        km/s from the line; flux over the continuum with and without the disk.
    """
    excess = profile - photosphere
    near = np.abs(velocity) < 700.0
    profile, photosphere, excess = profile[near], photosphere[near], excess[near]
    if excess.max() < 0.08:
        return "absorption"
    inner = (profile[1:-1] > profile[:-2]) & (profile[1:-1] >= profile[2:]) & (excess[1:-1] > 0.3 * excess.max())
    peaks = np.flatnonzero(inner) + 1
    if peaks.size < 2:
        return "emission"
    best = peaks[np.argsort(profile[peaks])[::-1][:2]]
    low, high = int(best.min()), int(best.max())
    valley = low + int(np.argmin(profile[low : high + 1]))
    if profile[valley] < 0.85 and excess[valley] < -0.03:
        return "shell"
    height = float(excess[best].min())
    return "double-peak" if float(profile[best].min() - profile[valley]) > 0.05 * height else "emission"
