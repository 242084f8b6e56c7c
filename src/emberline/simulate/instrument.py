"""From noise-free light to a detector's counts: dust, air, calibration errors, noise and defects."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
from numpy.typing import NDArray

from emberline.simulate.atmosphere import SKY_LINES, sky_profiles, telluric_depths
from emberline.simulate.config import Survey
from emberline.simulate.continuum import extinction
from emberline.simulate.population import CLASSES, Population
from emberline.simulate.presets import PRESETS, PresetName, Window
from emberline.spectra import Mask

__all__ = ["observe"]

Floats = NDArray[np.float64]
Float32 = NDArray[np.float32]
Bits = NDArray[np.uint8]

_SEGMENT = 64
"""Pixels that share a stream of random numbers, so that a window needs only its own."""
_HITS = 4


@dataclasses.dataclass(frozen=True)
class _Circumstances:
    """What goes wrong in each exposure; (n, k) factors of the basis in `_basis`, and lists of hits and gaps."""

    factors: Float32
    sky: Float32
    fringe: Floats
    hits: Floats
    gaps: Floats
    trust: Floats


def observe(
    config: Survey, index: int, window: Window, population: Population, light: Float32
) -> tuple[Float32, Float32, Bits]:
    """Flux, inverse variance and mask of all rows, each of shape (n, pixels).

    Parameters
    ----------
    config, index : Survey, int
        Which block: its random streams are used.
    window : Window
        The pixels of `light`.
    population : Population
    light : ndarray of float32, shape (n, pixels)
        From `emberline.simulate.render.render`; destroyed.
    """
    now = _draw(config, index, population)
    _, _, background, sky = _basis(window.preset.name, window.first, window.n)
    light *= transmission(window, now.factors)
    _fringes(window, now.fringe, light)
    n = population.kind.size
    faint = (1.0 / population.snr).astype(np.float32)
    share = (1.0 / (1.0 + population.snr / 25.0)).astype(np.float32)
    share[population.kind == CLASSES.index("junk")] = 1.0
    shape = _basis(window.preset.name, window.first, window.n)[1]
    variance = share[:, None] * background
    variance += (1.0 - share)[:, None] * np.maximum(light, 0.0) * shape
    deviation = np.sqrt(variance, out=variance)
    deviation *= faint[:, None]
    np.maximum(deviation, 1e-6, out=deviation)
    noise = _noise(config, index, window, config.block)[:n]
    noise *= deviation
    light += noise
    if config.defects > 0.0:
        light += (now.sky * (faint * np.sqrt(share))[:, None]) @ sky
    mask = np.zeros(light.shape, np.uint8)
    _cosmic_rays(window, now.hits, deviation, light, mask)
    ivar = (now.trust.astype(np.float32)[:, None] / deviation) ** 2
    _gaps(window, now.gaps, light, ivar, mask)
    scale = population.scale.astype(np.float32)[:, None]
    light *= scale
    ivar /= scale**2
    return light, ivar, mask


def transmission(window: Window, factors: Float32) -> Float32:
    """What dust, air and wrong calibration leave of the light: the exponential of a linear combination; (n, pixels)."""
    return np.asarray(np.exp(factors @ _basis(window.preset.name, window.first, window.n)[0]), np.float32)


@functools.lru_cache(maxsize=8)
def _basis(name: PresetName, first: int, n: int) -> tuple[Float32, Float32, Float32, Float32]:
    """Shapes on the pixels: of the transmission (7, n), of photon noise (n,), of the background's (n,), of sky lines.

    The transmission's are dust for E(B-V) = 1, oxygen, water, a slope and a curvature of the flux calibration, and a
    step and a hump where the blue and the red arm of the spectrograph meet.
    """
    preset = PRESETS[name]
    wavelength = Window(preset, first, n).grid.wavelength
    dust = -0.4 * np.log(10.0) * 3.1 * (extinction(wavelength) - extinction(preset.reference))
    air = telluric_depths(wavelength, preset.resolving_power)
    ends = preset.grid.wavelength[[0, -1]]
    x = 2.0 * (wavelength - ends[0]) / (ends[1] - ends[0]) - 1.0
    step = -0.5 * np.tanh((wavelength - 5900.0) / 60.0) * np.exp(-0.5 * ((wavelength - 5900.0) / 350.0) ** 2)
    hump = np.exp(-0.5 * ((wavelength - 6010.0) / 55.0) ** 2)
    shapes = np.stack([dust, *air, x, 1.5 * x**2 - 0.5, step * preset.arms, hump * preset.arms])
    throughput = _throughput(name, wavelength)
    lines = sky_profiles(wavelength, preset.resolving_power)
    background = (1.0 + 1.2 * lines.sum(axis=0)) / throughput**2
    return tuple(array.astype(np.float32) for array in (shapes, 1.0 / throughput, background, lines))  # type: ignore[return-value]


def _throughput(name: PresetName, wavelength: Floats) -> Floats:
    """Relative efficiency, 1 at the reference; LAMOST's follows the S/N by wavelength of public spectra."""
    if name == "ondrejov":
        return np.asarray(1.0 - 0.25 * ((wavelength - 6520.0) / 260.0) ** 2)
    nodes = [3600.0, 3750, 3900, 4200, 4700, 5200, 5600, 5850, 6000, 6200, 6500, 7200, 8000, 8500, 8900, 9100, 9300]
    values = [0.03, 0.06, 0.13, 0.32, 0.60, 0.68, 0.60, 0.52, 0.80, 1.0, 1.5, 2.4, 2.4, 2.1, 1.3, 1.2, 0.5]
    return np.interp(wavelength, nodes, values)


def _draw(config: Survey, index: int, population: Population) -> _Circumstances:
    """All that goes wrong in a block, drawn for whole blocks and whole spectra whatever part is wanted."""
    rng = np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=(index, 1)))
    n, size, preset, defects = config.block, population.kind.size, config.instrument, config.defects
    normal = rng.standard_normal((n, 6))
    vapour = rng.lognormal(0.0, 0.6, n)
    factors = np.zeros((n, 7))
    if preset.telluric < 0.5:  # corrected by the pipeline: residuals of either sign
        factors[:, 1:3] = defects * preset.telluric * normal[:, :2] * np.array([1.0, 0.7])
    else:
        factors[:, 1], factors[:, 2] = preset.telluric * (1.0 + 0.2 * np.abs(normal[:, 0])), preset.telluric * vapour
    slopes = np.array([0.10, 0.04]) if preset.arms else np.array([0.02, 0.012])
    bad = np.where(rng.random(n) < 0.05, 3.0, 1.0)[:, None]
    factors[:, 3:5] = defects * bad * slopes * normal[:, 2:4]
    joint = np.where(rng.random(n) < 0.15, 3.0, 1.0)[:, None]
    factors[:, 5:7] = defects * joint * np.array([0.03, 0.02]) * normal[:, 4:6]
    fringe = np.stack([0.012 * defects * rng.random(n), rng.uniform(14.0, 20.0, n), rng.uniform(0, 6.3, n)], axis=1)
    fringe[rng.random(n) >= (0.1 if preset.arms else 0.06), 0] = 0.0
    chosen = rng.standard_normal((n, SKY_LINES.size)) * np.where(rng.random(n) < 0.1, 1.5, 0.5)[:, None]
    hits, gaps = (
        _hits(rng, n, preset.pixels, preset.cosmics * defects),
        _hits(rng, n, preset.pixels, preset.dead * defects),
    )
    trust = np.exp(0.05 * min(1.0, defects) * rng.standard_normal(n))
    factors = factors[:size]
    factors[:, 0] = 0.0 if preset.rectified else population.reddening
    return _Circumstances(
        factors.astype(np.float32),
        (defects * chosen[:size]).astype(np.float32),
        fringe[:size],
        hits[:size],
        gaps[:size],
        trust[:size],
    )


def _hits(rng: np.random.Generator, n: int, pixels: int, rate: float) -> Floats:
    """Pixel (negative when absent), three uniform numbers, of up to four events in each spectrum; shape (n, 4, 4)."""
    count = np.minimum(rng.poisson(rate, n), _HITS)
    events = rng.random((n, _HITS, 4))
    events[:, :, 0] = np.where(np.arange(_HITS) < count[:, None], np.floor(events[:, :, 0] * pixels), -1e6)
    return events


def _noise(config: Survey, index: int, window: Window, rows: int) -> Float32:
    """Standard normal numbers, the same for a pixel of a block whatever window is looked at."""
    first, last = window.first // _SEGMENT, (window.first + window.n - 1) // _SEGMENT
    parts = []
    for segment in range(first, last + 1):
        sequence = np.random.SeedSequence(config.seed, spawn_key=(index, 2, segment))
        rng = np.random.Generator(np.random.SFC64(sequence))
        parts.append(rng.standard_normal((rows, _SEGMENT), dtype=np.float32))
    start = window.first - first * _SEGMENT
    return np.ascontiguousarray(np.concatenate(parts, axis=1)[:, start : start + window.n])


def _fringes(window: Window, fringe: Floats, light: Float32) -> None:
    """Interference in the thinned chip, growing to the red: sin(4π n d / λ) with n d in µm."""
    rows = np.flatnonzero(fringe[:, 0] > 0.0)
    wave = window.grid.wavelength
    phase = 4e4 * np.pi * fringe[rows, 1, None] / wave + fringe[rows, 2, None]
    growth = np.clip((wave - 6000.0) / 1500.0, 0.3, 2.0) if window.preset.arms else 1.0
    light[rows] *= (1.0 + fringe[rows, 0, None] * growth * np.sin(phase)).astype(np.float32)


def _cosmic_rays(window: Window, hits: Floats, deviation: Float32, light: Float32, mask: Bits) -> None:
    """One to three pixels, 5 to 200 times the noise high; the pipeline notices two of three."""
    for event in range(hits.shape[1]):
        place, power, extent, noticed = hits[:, event].T
        for offset, share in ((0, 1.0), (1, 0.45), (-1, 0.2)):
            column = place.astype(np.int64) - window.first + offset
            rows = np.flatnonzero(
                (column >= 0) & (column < window.n) & (extent > abs(offset) * 0.3 + (offset < 0) * 0.2)
            )
            at = column[rows]
            light[rows, at] += (share * 10.0 ** (0.7 + 1.6 * power[rows])) * deviation[rows, at]
            seen = rows[noticed[rows] < 0.67]
            mask[seen, column[seen]] |= np.uint8(Mask.COSMIC)


def _gaps(window: Window, gaps: Floats, light: Float32, ivar: Float32, mask: Bits) -> None:
    """Dead pixels: runs of one to five without light; three of four are masked, the others look like narrow lines."""
    for event in range(gaps.shape[1]):
        place, length, noticed, depth = gaps[:, event].T
        for offset in range(5):
            column = place.astype(np.int64) - window.first + offset
            inside = (column >= 0) & (column < window.n) & (length * 5.0 >= offset)
            known = np.flatnonzero(inside & (noticed < 0.75))
            light[known, column[known]] = 0.0
            ivar[known, column[known]] = 0.0
            mask[known, column[known]] |= np.uint8(Mask.BAD | Mask.NO_DATA)
            unknown = np.flatnonzero(inside & (noticed >= 0.75) & (offset < 2))
            light[unknown, column[unknown]] *= depth[unknown].astype(np.float32)
