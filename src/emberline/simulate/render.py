"""From a population to noise-free spectra above the atmosphere, on the detector's pixels."""

from __future__ import annotations

import functools

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from emberline.simulate.bands import band_shapes, band_strengths
from emberline.simulate.broadening import broaden, kernels
from emberline.simulate.continuum import stellar_continuum
from emberline.simulate.emission import DWARF_LINES, NEBULAR_LINES, disk_light, narrow_lines, nebular_widths
from emberline.simulate.galaxy import galaxy_flux
from emberline.simulate.population import CLASSES, Population
from emberline.simulate.presets import PRESETS, PresetName, Window
from emberline.simulate.quasar import quasar_flux
from emberline.simulate.templates import stellar_templates
from emberline.spectra import SPEED_OF_LIGHT

__all__ = ["instrument_sigma", "line_light", "photospheres", "render", "to_pixels"]

Floats = NDArray[np.float64]
Float32 = NDArray[np.float32]

_STELLAR = ("star", "be", "nebular", "m-dwarf-emission")


def instrument_sigma(resolving_power: float) -> float:
    """Standard deviation of a Gaussian line-spread function, km/s."""
    return SPEED_OF_LIGHT / (resolving_power * float(np.sqrt(8.0 * np.log(2.0))))


def photospheres(window: Window, population: Population, rows: NDArray[np.int64]) -> Float32:
    """Stars without emission on the internal grid of `window`, shape (rows, points)."""
    preset = window.preset
    templates = stellar_templates(preset.name, *window.work, preset.kernel // 2)
    flux = templates.interpolate(population.teff[rows], population.logg[rows], population.feh[rows])
    velocity = population.velocity[rows] + population.zero_point[rows]
    kernel = kernels(velocity, population.vsini[rows], preset.velocity_step, preset.kernel)
    return broaden(flux, kernel)


def line_light(
    wavelength: Floats, population: Population, rows: NDArray[np.int64], instrument: float
) -> tuple[Floats, Floats]:
    """Emission of disks, nebulae and active dwarfs over the continuum, and what passes the shell; (rows, m) each.

    `rows` must be of one class.
    """
    velocity = population.velocity[rows] + population.zero_point[rows]
    kind = CLASSES[int(population.kind[rows[0]])]
    if kind == "be":
        disks = population.disks.take(rows)
        return disk_light(wavelength, disks, velocity, population.width[rows], population.shell[rows], instrument)
    if kind == "nebular":
        gas = population.nebula[rows]
        widths = nebular_widths(gas[:, 0], gas[:, 1], gas[:, 2], gas[:, 3], gas[:, 4])
        sigma = np.full(rows.size, np.hypot(instrument, 12.0))
        light = narrow_lines(wavelength, NEBULAR_LINES, widths, gas[:, 5] + population.zero_point[rows], sigma)
    else:
        widths = population.width[rows][:, None] * np.array([ratio for _, ratio in DWARF_LINES])
        sigma = np.full(rows.size, np.hypot(instrument, 35.0))
        light = narrow_lines(wavelength, tuple(line for line, _ in DWARF_LINES), widths, velocity, sigma)
    return light, np.ones_like(light)


def render(window: Window, population: Population) -> Float32:
    """Noise-free flux of all rows on the detector's pixels, 1 in the continuum at the reference; shape (n, pixels)."""
    preset = window.preset
    sigma = instrument_sigma(preset.resolving_power)
    wavelength = window.work_wavelength
    flux = np.zeros((population.kind.size, wavelength.size), np.float32)
    stellar = np.flatnonzero(np.isin(population.kind, [CLASSES.index(name) for name in _STELLAR]))
    flux[stellar] = photospheres(window, population, stellar)
    for name in ("be", "nebular", "m-dwarf-emission"):
        rows = population.rows(name)
        if rows.size:
            base = _continuum(wavelength, population, rows, preset.reference)
            light, passed = line_light(wavelength, population, rows, sigma)
            flux[rows] = (flux[rows] + light * base) * passed
    rows = population.rows("quasar")
    if rows.size:
        flux[rows] = quasar_flux(wavelength, population.redshift[rows], population.extra[rows], preset.reference)
    rows = population.rows("galaxy")
    if rows.size:
        flux[rows] = galaxy_flux(window, population.redshift[rows], population.extra[rows], sigma)
    if preset.rectified:
        flux[stellar] /= stellar_continuum(wavelength, population.teff[stellar], preset.reference)
    return to_pixels(window, flux)


def _continuum(wavelength: Floats, population: Population, rows: NDArray[np.int64], reference: float) -> Floats:
    """The light that equivalent widths refer to: without atomic lines, but with molecular bands; (rows, m)."""
    teff, logg, feh = population.teff[rows], population.logg[rows], population.feh[rows]
    flux = stellar_continuum(wavelength, teff, reference)
    cool = np.flatnonzero(teff < 5500.0)
    if cool.size:
        strengths = np.array([band_strengths(float(teff[i]), float(logg[i]), float(feh[i])) for i in cool])
        flux[cool] *= np.exp(-strengths @ band_shapes(wavelength))
    return flux


@functools.lru_cache(maxsize=8)
def _resampler(name: PresetName, first: int, n: int) -> scipy.sparse.csr_matrix:
    """Cubic Lagrange interpolation from the internal grid to the pixels, shape (points, pixels)."""
    window = Window(PRESETS[name], first, n)
    start, step, _ = window.preset.work
    place = (np.log(window.grid.wavelength) - start) / step - window.work[0]
    below = np.clip(np.floor(place).astype(np.int64), 1, window.work[1] - 3)
    t = place - below
    taps = [
        -t * (t - 1) * (t - 2) / 6,
        (t + 1) * (t - 1) * (t - 2) / 2,
        -(t + 1) * t * (t - 2) / 2,
        (t + 1) * t * (t - 1) / 6,
    ]
    rows = np.concatenate([below + k for k in (-1, 0, 1, 2)])
    values = np.concatenate(taps).astype(np.float32)
    columns = np.tile(np.arange(n), 4)
    return scipy.sparse.csr_matrix((values, (rows, columns)), shape=(window.work[1], n))


def to_pixels(window: Window, flux: Float32) -> Float32:
    """From the internal grid to the detector's pixels; nothing to do where they are the same."""
    if window.preset.work_is_grid:
        return flux
    return np.asarray(flux @ _resampler(window.preset.name, window.first, window.n), dtype=np.float32)
