"""Stellar spectra on a grid of Teff, logg and [Fe/H], and everything in between by interpolation."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from scipy import fft

from emberline.simulate.atoms import line_list, relative_strength
from emberline.simulate.balmer import hydrogen_transmission
from emberline.simulate.bands import band_shapes, band_strengths
from emberline.simulate.continuum import stellar_continuum
from emberline.simulate.presets import PRESETS, PresetName
from emberline.spectra import SPEED_OF_LIGHT

__all__ = ["Templates", "mixed_spectrum", "preset_sigma", "stellar_templates"]

Floats = NDArray[np.float64]
Float32 = NDArray[np.float32]

_TEFF = np.array(
    [2800, 3000, 3200, 3400, 3600, 3800, 4000, 4250, 4500, 4750, 5000, 5250, 5500, 5750, 6000, 6300, 6600, 7000, 7500,
     8000, 8500, 9000, 9500, 10000, 11000, 12000, 13500, 15000, 17000, 20000, 23000, 26000, 30000, 35000, 42000],
    dtype=np.float64,
)  # fmt: skip
_LOGG = np.array([1.0, 2.5, 3.5, 4.2, 5.0])
_FEH = np.array([-2.0, -1.0, -0.5, 0.0, 0.5])
_BROADENING = 6.0
"""Thermal, micro- and macroturbulent line width b, km/s."""
_DAMPING = 0.02
_FLOOR = 0.12
"""What the strongest lines leave in their cores: the source function is not zero."""


@dataclasses.dataclass(frozen=True)
class Templates:
    """Template spectra on part of a preset's internal grid, blurred to its resolution.

    Attributes
    ----------
    flux : ndarray of float32, shape (templates, points)
        1 at the preset's reference wavelength in the continuum; `pad` points more at either end than the window.
    pad : int
    """

    flux: Float32
    pad: int

    def interpolate(self, teff: Floats, logg: Floats, feh: Floats) -> Float32:
        """Spectra of stars: linear in log Teff, logg and [Fe/H], held at the ends. Shape (n, points)."""
        return np.asarray(weights(teff, logg, feh) @ self.flux, dtype=np.float32)


def weights(teff: Floats, logg: Floats, feh: Floats) -> scipy.sparse.csr_matrix:
    """The share that each template has in each star, as a sparse matrix of shape (stars, templates)."""
    axes = [_bracket(np.log(_TEFF), np.log(teff)), _bracket(_LOGG, logg), _bracket(_FEH, feh)]
    n = len(teff)
    columns = np.empty((n, 8), np.int32)
    shares = np.empty((n, 8), np.float32)
    for corner, (i, j, k) in enumerate(itertools.product((0, 1), repeat=3)):
        (a, fa), (b, fb), (c, fc) = axes
        columns[:, corner] = ((a + i) * _LOGG.size + (b + j)) * _FEH.size + (c + k)
        shares[:, corner] = _share(fa, i) * _share(fb, j) * _share(fc, k)
    starts = np.arange(0, 8 * n + 1, 8)
    shape = (n, _TEFF.size * _LOGG.size * _FEH.size)
    return scipy.sparse.csr_matrix((shares.ravel(), columns.ravel(), starts), shape=shape)


def _bracket(nodes: Floats, values: Floats) -> tuple[NDArray[np.int64], Floats]:
    below = np.clip(np.searchsorted(nodes, values, side="right") - 1, 0, nodes.size - 2)
    fraction = (values - nodes[below]) / (nodes[below + 1] - nodes[below])
    return below, np.clip(fraction, 0.0, 1.0)


def _share(fraction: Floats, upper: int) -> Floats:
    return fraction if upper else 1.0 - fraction


@functools.lru_cache(maxsize=4)
def stellar_templates(name: PresetName, first: int, n: int, pad: int) -> Templates:
    """The templates for internal grid points `first` to `first` + `n` - 1, with `pad` more on either side."""
    return Templates(_computed(name, first - pad, n + 2 * pad, tuple(range(_TEFF.size))), pad)


@functools.lru_cache(maxsize=2)
def mixed_spectrum(name: PresetName, first: int, n: int, parts: tuple[tuple[float, float, float], ...]) -> Float32:
    """Light of a mix of dwarfs or giants of solar metallicity: `parts` are (Teff, logg, share); shape (n,)."""
    indices = tuple(int(np.argmin(np.abs(_TEFF - teff))) for teff, _, _ in parts)
    flux = _computed(name, first, n, indices).reshape(len(parts), _LOGG.size, _FEH.size, n)
    solar = int(np.argmin(np.abs(_FEH)))
    rows = [share * flux[i, int(np.argmin(np.abs(_LOGG - logg))), solar] for i, (_, logg, share) in enumerate(parts)]
    return np.asarray(np.sum(rows, axis=0), dtype=np.float32)


def _computed(name: PresetName, first: int, n: int, temperatures: tuple[int, ...]) -> Float32:
    """Templates at the nodes `temperatures` of the axis of Teff, at all gravities and metallicities."""
    preset = PRESETS[name]
    start, step, _ = preset.work
    fine = max(1, round(step * SPEED_OF_LIGHT / 8.0)) if preset.work_is_grid else 2
    sigma = fine * preset_sigma(preset.resolving_power, step)
    kernel = _gaussian(sigma)
    margin = kernel.size // 2
    points = (n - 1) * fine + 1 + 2 * margin
    log: Floats = np.asarray(start + (step / fine) * (np.arange(points, dtype=np.float64) + (first * fine - margin)))
    wavelength = np.exp(log)
    profiles, lines = _profiles(log)
    bands = band_shapes(wavelength)
    length = fft.next_fast_len(points + kernel.size, real=True)
    transfer = fft.rfft(kernel, length)
    rows = []
    for index in temperatures:
        high = _one_temperature(wavelength, index, profiles, lines, bands, preset.reference)
        smooth = fft.irfft(fft.rfft(high, length, axis=1) * transfer, length, axis=1)
        rows.append(smooth[:, 2 * margin : 2 * margin + points - 2 * margin : fine].astype(np.float32))
    return np.concatenate(rows)


def preset_sigma(resolving_power: float, step: float) -> float:
    """Standard deviation of the line-spread function in units of `step` (in ln λ)."""
    return 1.0 / (resolving_power * math.sqrt(8.0 * math.log(2.0)) * step)


def _gaussian(sigma: float) -> Floats:
    half = math.ceil(4.5 * sigma)
    values = np.exp(-0.5 * (np.arange(-half, half + 1) / sigma) ** 2)
    return np.asarray(values / values.sum())


def _one_temperature(
    wavelength: Floats,
    index: int,
    profiles: scipy.sparse.csr_matrix,
    lines: NDArray[np.int64],
    bands: Float32,
    reference: float,
) -> Float32:
    """All gravities and metallicities at one temperature, not yet blurred; shape (logg · feh, points)."""
    teff = float(_TEFF[index])
    continuum = stellar_continuum(wavelength, teff, reference)
    abundant = line_list()[1][lines] == "HeI"  # helium does not follow the metals
    out = np.empty((_LOGG.size, _FEH.size, wavelength.size), np.float32)
    for j, logg in enumerate(_LOGG):
        smooth = (continuum * hydrogen_transmission(wavelength, teff, float(logg))).astype(np.float32)
        strength = _line_strengths()[index, j, lines] + math.log(10.0) * np.where(abundant, 0.0, _FEH[:, None])
        depth = np.exp(np.minimum(strength, 16.0)).astype(np.float32) @ profiles
        molecules = np.array([band_strengths(teff, float(logg), float(feh)) for feh in _FEH]) @ bands
        left = _FLOOR + (1.0 - _FLOOR) * np.exp(-depth)
        out[j] = smooth * left * np.exp(-molecules)
    return out.reshape(-1, wavelength.size)


@functools.lru_cache(maxsize=1)
def _line_strengths() -> Floats:
    """Natural logarithm of the central optical depth of every line at solar abundance; shape (Teff, logg, lines)."""
    _, species, level, _ = line_list()
    teff, logg = np.meshgrid(_TEFF, _LOGG, indexing="ij")
    nodes = np.linspace(0.0, 25.0, 101)
    change = np.empty((*teff.shape, species.size))
    for name in np.unique(species):
        of = np.flatnonzero(species == name)
        steps = np.log(np.stack([relative_strength(str(name), float(e), teff, logg) for e in nodes], axis=-1))
        above = np.clip(np.searchsorted(nodes, level[of]), 1, nodes.size - 1)
        share = (level[of] - nodes[above - 1]) / (nodes[above] - nodes[above - 1])
        change[:, :, of] = (1.0 - share) * steps[:, :, above - 1] + share * steps[:, :, above]
    return np.asarray(change + np.log(_solar_depths()))


@functools.lru_cache(maxsize=1)
def _solar_depths() -> Floats:
    """Central optical depth that gives each line its listed equivalent width: the curve of growth inverted."""
    wavelength, _, _, width = line_list()
    reduced = width / (wavelength * _BROADENING / SPEED_OF_LIGHT)
    depths = np.logspace(-3, 7, 120)
    x = np.concatenate([np.linspace(0, 6, 400), np.geomspace(6.01, 3e4, 1200)])
    shape = _voigt(x)
    grown = [2.0 * (1.0 - _FLOOR) * np.trapezoid(1.0 - np.exp(-depth * shape), x) for depth in depths]
    return np.asarray(np.exp(np.interp(np.log(reduced), np.log(grown), np.log(depths))))


def _voigt(x: Floats) -> Floats:
    """A Doppler core and Lorentz wings, 1 at the centre; `x` in Doppler widths."""
    return np.asarray(np.exp(-(x**2)) + _DAMPING / math.sqrt(math.pi) * x**2 / (1.0 + x**2) ** 2)


def _profiles(log: Floats) -> tuple[scipy.sparse.csr_matrix, NDArray[np.int64]]:
    """Line profiles on the fine grid as a sparse matrix, and which lines of the list its rows are."""
    wavelength, _, _, width = line_list()
    step = log[1] - log[0]
    reach = np.where(width > 0.6, 9000.0, np.where(width > 0.1, 900.0, 150.0)) / SPEED_OF_LIGHT
    centre = np.log(wavelength)
    low = np.maximum(np.ceil((centre - reach - log[0]) / step), 0).astype(np.int64)
    high = np.minimum(np.floor((centre + reach - log[0]) / step), log.size - 1).astype(np.int64)
    used = np.flatnonzero(high >= low)
    columns = [np.arange(low[i], high[i] + 1) for i in used]
    scale = SPEED_OF_LIGHT / _BROADENING
    values = [_voigt((log[c] - centre[i]) * scale) for i, c in zip(used, columns, strict=True)]
    starts = np.concatenate([[0], np.cumsum([c.size for c in columns])])
    data = np.concatenate(values).astype(np.float32) if values else np.zeros(0, np.float32)
    indices = np.concatenate(columns) if columns else np.zeros(0, np.int64)
    return scipy.sparse.csr_matrix((data, indices, starts), shape=(used.size, log.size)), used
