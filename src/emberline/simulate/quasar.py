"""Quasars: a power law, broad and narrow lines and iron, redshifted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["quasar_flux"]

Floats = NDArray[np.float64]

# Rest wavelength (vacuum Å), equivalent width (Å), sigma (Å): Vanden Berk et al. 2001, AJ 122, 549, table 2, rounded.
_LINES = np.array(
    [
        (1033.0, 9.8, 7.8), (1216.2, 92.9, 19.5), (1239.9, 1.1, 2.7), (1305.4, 1.7, 5.4), (1336.6, 0.7, 3.9),
        (1396.8, 8.1, 14.3), (1546.2, 23.8, 14.3), (1637.9, 2.5, 9.0), (1664.7, 0.9, 5.3), (1857.0, 0.3, 5.0),
        (1905.9, 21.2, 23.6), (2800.3, 32.3, 35.0), (3426.8, 1.2, 3.0), (3728.3, 1.6, 3.3), (3869.8, 1.4, 5.3),
        (4102.7, 5.1, 18.6), (4346.4, 12.6, 20.3), (4853.1, 46.2, 40.4), (4960.4, 3.5, 3.9), (5008.2, 13.2, 6.0),
        (5877.4, 4.9, 23.5), (6564.9, 194.5, 47.4), (6585.6, 2.0, 3.0), (6718.9, 1.7, 2.1), (6733.7, 1.5, 2.5),
    ]
)  # fmt: skip
# Blends of Fe II: centre, equivalent width, sigma; by eye from the composite of the same paper.
_IRON = np.array(
    [(2080.0, 10.0, 45.0), (2350.0, 40.0, 90.0), (2500.0, 35.0, 80.0), (3200.0, 25.0, 120.0), (4570.0, 20.0, 55.0),
     (5270.0, 21.0, 65.0)]
)  # fmt: skip


def quasar_flux(wavelength: Floats, redshift: Floats, extra: Floats, reference: float) -> Floats:
    """Flux of quasars, 1 at `reference` Å in the continuum; shape (n, m).

    Parameters
    ----------
    wavelength : ndarray, shape (m,)
        Observed vacuum Å.
    redshift : ndarray, shape (n,)
    extra : ndarray, shape (n, 4)
        Standard normal numbers: slope, line strength, line width, iron.
    """
    slope = -1.56 + 0.25 * extra[:, 0]  # f_λ; Vanden Berk et al. 2001, section 4.1
    flux = (wavelength / reference) ** slope[:, None]
    stretch = 1.0 + redshift[:, None]
    total = np.zeros_like(flux)
    strength = np.exp(0.35 * extra[:, 1])[:, None]
    for lines, factor in ((_LINES, strength), (_IRON, strength * np.exp(0.5 * extra[:, 3])[:, None])):
        for centre, width, sigma in lines:
            broad = sigma * np.exp(0.25 * extra[:, 2])[:, None] if sigma > 7.0 else sigma
            near = np.abs(wavelength / stretch - centre) < 6.0 * broad
            if near.any():
                offset = (wavelength / stretch - centre) / broad
                area = width / (np.sqrt(2.0 * np.pi) * broad)
                total += np.where(near, factor * area * np.exp(-0.5 * offset**2), 0.0)
    forest = np.clip(0.12 * (stretch - 1.0), 0.0, 0.6)
    left = np.where(wavelength / stretch < 1215.67, 1.0 - forest, 1.0)
    return np.asarray(flux * (1.0 + total) * left)
