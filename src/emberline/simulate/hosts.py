"""Emission put onto real stars' spectra: the truth of the simulation, the noise and the defects of the survey."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emberline.simulate.balmer import H_ALPHA, H_BETA, H_DELTA, H_GAMMA
from emberline.simulate.config import Survey
from emberline.simulate.population import CLASSES, Population
from emberline.simulate.render import instrument_sigma, line_light
from emberline.spectra import SPEED_OF_LIGHT, Grid, Mask, Metadata, SpectrumBlock

__all__ = ["HostSample", "choose_hosts", "host_spectra"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_SMALLEST = 1e-4
"""Emission below this share of the continuum is left out, so that pixels away from the lines stay as they were."""
_BIN = 60.0
_BESIDE = 45.0


@dataclasses.dataclass(frozen=True)
class HostSample:
    """Real spectra that carry simulated emission.

    Attributes
    ----------
    grid : Grid
    flux, ivar : ndarray of float32, shape (n, m)
    mask : ndarray of uint8, shape (n, m)
    meta : sequence of Metadata, length n
        The redshift moves the lines, the resolving power (1800 when unknown) blurs them.
    teff : ndarray, shape (n,), optional
        Kelvin, NaN when unknown: disks then go to the hottest stars and active dwarfs to the coolest.
    """

    grid: Grid
    flux: NDArray[np.float32]
    ivar: NDArray[np.float32]
    mask: NDArray[np.uint8]
    meta: Sequence[Metadata]
    teff: Floats | None = None

    def __post_init__(self) -> None:
        shape = (len(self.meta), self.grid.n)
        for name in ("flux", "ivar", "mask"):
            if getattr(self, name).shape != shape:
                raise ValueError(f"hosts: {name} has shape {getattr(self, name).shape}, expected {shape}")
        if shape[0] == 0:
            raise ValueError("hosts: the sample is empty; give at least one spectrum")
        if self.teff is not None and self.teff.shape != shape[:1]:
            raise ValueError(f"hosts: teff has shape {self.teff.shape}, expected {shape[:1]}")

    @classmethod
    def from_block(cls, block: SpectrumBlock, teff: Floats | None = None) -> HostSample:
        """All spectra of a block."""
        return cls(block.grid, block.flux, block.ivar, block.mask, block.meta, teff)

    def __len__(self) -> int:
        return len(self.meta)


def choose_hosts(
    config: Survey, index: int, population: Population, hosts: HostSample
) -> tuple[Population, NDArray[np.int64]]:
    """Which host each row uses, and the population with what is real taken from the hosts.

    Quasars, galaxies and junk become plain stars; each row is its own exposure of its host, which is its object.
    """
    rng = np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=(index, 3)))
    pick = rng.random(config.block)[: population.kind.size]
    lines = [CLASSES.index(name) for name in ("be", "nebular", "m-dwarf-emission")]
    kind = np.where(np.isin(population.kind, lines), population.kind, CLASSES.index("star"))
    chosen = np.floor(pick * len(hosts)).astype(np.int64)
    for name, order in (("be", -1.0), ("m-dwarf-emission", 1.0)):
        rows = np.flatnonzero(kind == CLASSES.index(name))
        suitable = _extreme(hosts, order)
        chosen[rows] = suitable[np.floor(pick[rows] * suitable.size).astype(np.int64)]
    redshift = np.array([hosts.meta[i].redshift for i in chosen])
    teff = population.teff if hosts.teff is None else hosts.teff[chosen]
    real = dataclasses.replace(
        population,
        kind=kind,
        object=chosen,
        teff=np.where(np.isfinite(teff), teff, population.teff),
        velocity=np.where(np.isfinite(redshift) & (np.abs(redshift) < 0.01), redshift, 0.0) * SPEED_OF_LIGHT,
        zero_point=np.zeros(kind.size),
        snr=np.array([hosts.meta[i].snr for i in chosen]),
    )
    return real, chosen


def _extreme(hosts: HostSample, order: float) -> Integers:
    """The hottest (`order` -1) or coolest (+1) tenth of the hosts, or those beyond 9000 K or below 4200 K if more."""
    everything = np.arange(len(hosts))
    if hosts.teff is None or not np.isfinite(hosts.teff).any():
        return everything
    known = everything[np.isfinite(hosts.teff)]
    fit = known[hosts.teff[known] > 9000.0] if order < 0 else known[hosts.teff[known] < 4200.0]
    tenth = known[np.argsort(order * hosts.teff[known], kind="stable")[: max(1, known.size // 10)]]
    return fit if fit.size > tenth.size else tenth


def host_spectra(
    population: Population, hosts: HostSample, chosen: Integers, meta: Sequence[Metadata]
) -> SpectrumBlock:
    """The chosen hosts with the emission of `population`; noise, inverse variance and mask are the hosts' own."""
    flux = hosts.flux[chosen]
    wavelength = hosts.grid.wavelength
    powers = np.array([hosts.meta[i].resolving_power for i in chosen])
    powers = np.where(np.isfinite(powers) & (powers > 0.0), powers, 1800.0)
    for name in ("be", "nebular", "m-dwarf-emission"):
        of_class = population.rows(name)
        for power in np.unique(powers[of_class]):
            rows = of_class[powers[of_class] == power]
            light, passed = line_light(wavelength, population, rows, instrument_sigma(float(power)))
            light[np.abs(light) < _SMALLEST] = 0.0
            passed[passed > 1.0 - _SMALLEST] = 1.0
            present = (hosts.mask[chosen[rows]] & Mask.NO_DATA) == 0
            light *= local_continuum(wavelength, flux[rows], present)
            changed = present & ((light != 0.0) | (passed != 1.0))
            flux[rows] = np.where(changed, (flux[rows] + light) * passed, flux[rows]).astype(np.float32)
    return SpectrumBlock(hosts.grid, flux, hosts.ivar[chosen], hosts.mask[chosen], meta)


def local_continuum(wavelength: Floats, flux: NDArray[np.float32], present: NDArray[np.bool_]) -> Floats:
    """Medians of the flux in bins of 60 Å away from hydrogen, joined by straight lines; shape (n, m)."""
    edges = np.arange(wavelength[0], wavelength[-1] + _BIN, _BIN)
    lines = np.array([H_ALPHA, H_BETA, H_GAMMA, H_DELTA])
    away = (np.abs(wavelength[:, None] - lines) > _BESIDE).all(axis=1)
    out = np.empty(flux.shape)
    number = np.searchsorted(edges, wavelength, side="right") - 1
    for row, (values, known) in enumerate(zip(flux, present & away, strict=True)):
        bins = [b for b in np.unique(number[known]) if (known & (number == b)).sum() >= 5]
        if not bins:
            out[row] = np.median(values)
            continue
        centres = [wavelength[known & (number == b)].mean() for b in bins]
        medians = [float(np.median(values[known & (number == b)])) for b in bins]
        out[row] = np.interp(wavelength, centres, np.maximum(medians, 0.0))
    return out
