"""Emission lines on top of a star: where each line lies, how strong it is, and its profile on any wavelength grid."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from emberline.simulate.balmer import H_ALPHA, H_BETA, H_DELTA, H_GAMMA
from emberline.simulate.disk import Disks, emission_profile, shell_depth, velocity_axis
from emberline.spectra import SPEED_OF_LIGHT

__all__ = [
    "DISK_LINES",
    "DWARF_LINES",
    "NEBULAR_LINES",
    "N_II",
    "S_II",
    "add_profiles",
    "disk_light",
    "narrow_lines",
    "nebular_widths",
]

Floats = NDArray[np.float64]

N_II = (6549.86, 6585.27)
S_II = (6718.29, 6732.67)
O_III = (4960.30, 5008.24)
"""Vacuum Å (NIST Atomic Spectra Database)."""

# Line, equivalent width relative to Hα, orbital velocity scale: higher lines form further in.
DISK_LINES = (
    (H_ALPHA, 1.0, 1.0),
    (H_BETA, 0.16, 1.35),
    (H_GAMMA, 0.05, 1.5),
    (6679.99, 0.012, 1.9),
    (5877.25, 0.012, 1.9),
)
"""Disk lines. Hβ : Hα of Be stars as in Dachs et al. 1990, A&A 238, 258 (typical); He I inside, where disks are hot."""

# Line, equivalent width relative to Hα for an M dwarf (continuum included, hence large in the blue).
DWARF_LINES = (
    (H_ALPHA, 1.0), (H_BETA, 1.1), (H_GAMMA, 1.2), (H_DELTA, 1.2), (3934.78, 3.0), (3969.6, 2.4), (5877.25, 0.12),
    (6679.99, 0.04), (8500.36, 0.05), (8544.44, 0.06), (8664.52, 0.05),
)  # fmt: skip
NEBULAR_LINES = (H_ALPHA, H_BETA, H_GAMMA, *N_II, *S_II, *O_III)


def nebular_widths(alpha: Floats, nitrogen: Floats, sulphur: Floats, oxygen: Floats, density: Floats) -> Floats:
    """Line fluxes in the order of `NEBULAR_LINES`, in the unit of the Hα flux `alpha`; shape (n, lines).

    Hα : Hβ : Hγ = 2.86 : 1 : 0.468 (case B, 10⁴ K: Osterbrock & Ferland 2006, table 4.4); [N II] 6585 : 6550 = 3.05 and
    [O III] 5008 : 4960 = 2.98 (Storey & Zeippen 2000, MNRAS 312, 813); [S II] 6718 : 6733 = `density` (0.44 dense to
    1.44 thin, Osterbrock & Ferland 2006, fig. 5.8).

    Parameters
    ----------
    alpha, nitrogen, sulphur, oxygen, density : ndarray, shape (n,)
        Hα; [N II] 6585 / Hα; [S II] both / Hα; [O III] 5008 / Hβ; [S II] ratio.
    """
    beta = alpha / 2.86
    strong = nitrogen * alpha
    red = sulphur * alpha / (1.0 + density)
    bright = oxygen * beta
    columns = [alpha, beta, 0.468 * beta, strong / 3.05, strong, red * density, red, bright / 2.98, bright]
    return np.stack(columns, axis=1)


def add_profiles(
    out: Floats, wavelength: Floats, centre: float, velocity: Floats, axis: Floats, profile: Floats, amount: Floats
) -> None:
    """Add line profiles to `out` in place.

    Parameters
    ----------
    out : ndarray, shape (n, m)
    wavelength : ndarray, shape (m,)
        Vacuum Å.
    centre : float
        Rest wavelength.
    velocity : ndarray, shape (n,)
        Of each source, km/s.
    axis, profile : ndarray, shape (v,) and (n, v)
        Profiles of unit area per km/s, or any profile, on even velocities.
    amount : ndarray, shape (n,)
        Factor.
    """
    edge = 1.0 + (axis[-1] + np.abs(velocity).max(initial=0.0)) / SPEED_OF_LIGHT
    reach = slice(*np.searchsorted(wavelength, [centre / edge, centre * edge]))
    if reach.stop <= reach.start:
        return
    speed = SPEED_OF_LIGHT * np.log(wavelength[reach] / centre)[None, :] - velocity[:, None]
    place = (speed - axis[0]) / (axis[1] - axis[0])
    inside = (place >= 0.0) & (place < axis.size - 1)
    below = np.where(inside, place, 0.0).astype(np.int64)
    part = place - below
    left = np.take_along_axis(profile, below, axis=1)
    right = np.take_along_axis(profile, below + 1, axis=1)
    out[:, reach] += np.where(inside, amount[:, None] * (left + part * (right - left)), 0.0)


def narrow_lines(
    wavelength: Floats, centres: tuple[float, ...], widths: Floats, velocity: Floats, sigma: Floats
) -> Floats:
    """Gaussian lines; `widths` (n, lines) are areas in Å, `sigma` (n,) in km/s. Shape (n, m)."""
    n = len(velocity)
    out = np.zeros((n, wavelength.size))
    axis = velocity_axis(float(max(sigma.min(initial=1e3) / 8.0, 0.5)), 6.0 * float(sigma.max(initial=1.0)))
    profile = np.exp(-0.5 * (axis / sigma[:, None]) ** 2) / (np.sqrt(2.0 * np.pi) * sigma[:, None])
    for column, centre in enumerate(centres):
        per_angstrom = SPEED_OF_LIGHT / centre
        add_profiles(out, wavelength, centre, velocity, axis, profile, widths[:, column] * per_angstrom)
    return out


def disk_light(
    wavelength: Floats, disks: Disks, velocity: Floats, width: Floats, shell: Floats, instrument: float
) -> tuple[Floats, Floats]:
    """Emission (in units of the continuum) and the share that passes the shell, both of shape (n, m).

    Parameters
    ----------
    wavelength : ndarray, shape (m,)
    disks : Disks
    velocity, width, shell : ndarray, shape (n,)
        Velocity of the star in km/s, equivalent width of the emission in Hα in Å, depth of the shell absorption.
    instrument : float
        Standard deviation of the line-spread function, km/s.
    """
    n = len(disks)
    emission, passed = np.zeros((n, wavelength.size)), np.ones((n, wavelength.size))
    axis = velocity_axis(min(10.0, instrument / 3.0))
    seen = np.flatnonzero(disks.inclination > 65.0)
    lines = [line for line in DISK_LINES if wavelength[0] / 1.015 < line[0] < wavelength[-1] * 1.015]
    for centre, ratio, scale in lines:
        inner = dataclasses.replace(disks, outer=np.maximum(disks.outer / scale**2, 2.0))
        profile = emission_profile(inner, axis, instrument)
        add_profiles(emission, wavelength, centre, velocity, axis, profile, width * ratio * SPEED_OF_LIGHT / centre)
        if seen.size:
            depth = shell[seen] * (1.0 if ratio > 0.03 else 0.3)
            hidden = np.zeros((seen.size, wavelength.size))
            veil = shell_depth(inner.take(seen), axis, instrument, depth)
            add_profiles(hidden, wavelength, centre, velocity[seen], axis, veil, np.ones(seen.size))
            passed[seen] *= 1.0 - hidden
    return emission, passed
