"""Galaxies: an old or a young mix of stars, redshifted, with the narrow lines of their gas."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from emberline.simulate.emission import NEBULAR_LINES, narrow_lines, nebular_widths
from emberline.simulate.presets import Window
from emberline.simulate.templates import mixed_spectrum
from emberline.spectra import SPEED_OF_LIGHT

__all__ = ["galaxy_flux"]

Floats = NDArray[np.float64]

_OLD = ((4500.0, 2.5, 0.55), (5000.0, 3.5, 0.25), (6000.0, 4.2, 0.20))
_YOUNG = ((9500.0, 4.2, 0.30), (7000.0, 4.2, 0.30), (4750.0, 2.5, 0.40))
_LARGEST_REDSHIFT = 0.26
_DISPERSION = 170.0
"""Of the stars' velocities, km/s."""


def galaxy_flux(window: Window, redshift: Floats, extra: Floats, instrument: float) -> Floats:
    """Flux of galaxies on the internal grid of `window`, about 1 at the preset's reference; shape (n, points).

    Parameters
    ----------
    window : Window
    redshift : ndarray, shape (n,)
        Up to 0.26; the stars' spectrum is moved by whole points of the grid.
    extra : ndarray, shape (n, 4)
        Standard normal numbers: share of young stars, line strength, [N II]/Hα, spare.
    instrument : float
        Standard deviation of the line-spread function, km/s.
    """
    preset = window.preset
    _, step, total = preset.work
    margin = int(np.log1p(_LARGEST_REDSHIFT) / step) + 2
    smooth = _DISPERSION / (step * SPEED_OF_LIGHT)
    old, young = (
        ndimage.gaussian_filter1d(mixed_spectrum(preset.name, -margin, total + margin, mix).astype(np.float64), smooth)
        for mix in (_OLD, _YOUNG)
    )
    share = 1.0 / (1.0 + np.exp(-1.5 * extra[:, 0]))
    shift = np.clip(np.round(np.log1p(redshift) / step).astype(np.int64), 0, margin)
    place = margin + window.work[0] + np.arange(window.work[1])[None, :] - shift[:, None]
    stars = share[:, None] * young[place] + (1.0 - share[:, None]) * old[place]
    wavelength = window.work_wavelength
    alpha = 18.0 * share**2 * np.exp(0.5 * extra[:, 1])
    ratios = 0.4 * np.exp(0.3 * extra[:, 2])
    widths = nebular_widths(alpha, ratios, 0.8 * ratios, 1.0 / ratios, np.full_like(ratios, 1.35))
    velocity = np.asarray(SPEED_OF_LIGHT * step * shift, np.float64)
    sigma = np.full(velocity.size, np.hypot(instrument, 100.0), np.float64)
    gas = narrow_lines(wavelength, NEBULAR_LINES, widths * (1.0 + redshift[:, None]), velocity, sigma)
    return np.asarray(stars + gas)
