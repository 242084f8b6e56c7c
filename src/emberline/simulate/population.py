"""Which objects a block of the survey shows, and the circumstances of each exposure: all random draws but the noise."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from emberline.simulate.config import Survey
from emberline.simulate.disk import Disks

__all__ = ["CLASSES", "Population", "draw"]

Floats = NDArray[np.float64]

CLASSES = ("star", "be", "nebular", "m-dwarf-emission", "quasar", "galaxy", "junk")

# Lower and upper Teff (K), logg, its scatter, share among the ordinary stars.
_LAMOST_STARS = (
    (2950.0, 3900.0, 4.8, 0.10, 0.05), (3900.0, 5200.0, 4.6, 0.10, 0.10), (3900.0, 5200.0, 2.4, 0.50, 0.11),
    (5200.0, 6000.0, 4.35, 0.20, 0.28), (6000.0, 7400.0, 4.15, 0.20, 0.31), (7400.0, 10000.0, 4.0, 0.20, 0.12),
    (10000.0, 32000.0, 3.9, 0.25, 0.03),
)  # fmt: skip
_ONDREJOV_STARS = (
    (3800.0, 5200.0, 2.2, 0.50, 0.12), (5200.0, 7400.0, 4.0, 0.40, 0.18), (7400.0, 10500.0, 3.8, 0.30, 0.35),
    (10500.0, 30000.0, 3.6, 0.40, 0.35),
)  # fmt: skip
_CLEAR = 0.85
"""Share of the ambiguous profiles that are made clear ones; the rest stay hard."""


@dataclasses.dataclass(frozen=True)
class Population:
    """The truth about n spectra; arrays of shape (n,) unless said otherwise.

    `kind` numbers `CLASSES`; `object` is the row, within the block, of the object's first spectrum. Velocities in km/s,
    equivalent widths in Å, `shell` 0 to 1, `nebula` (n, 6) is Hα width, [N II]/Hα, [S II]/Hα, [O III]/Hβ, the [S II]
    ratio and the velocity; `extra` (n, 4) are standard normal numbers for quasars and galaxies.
    """

    kind: NDArray[np.int64]
    object: NDArray[np.int64]
    teff: Floats
    logg: Floats
    feh: Floats
    vsini: Floats
    velocity: Floats
    zero_point: Floats
    reddening: Floats
    redshift: Floats
    width: Floats
    shell: Floats
    disks: Disks
    nebula: Floats
    extra: Floats
    snr: Floats
    scale: Floats
    ra: Floats
    dec: Floats
    mjd: Floats

    def rows(self, name: str) -> NDArray[np.int64]:
        """Row numbers of the class `name`."""
        return np.flatnonzero(self.kind == CLASSES.index(name))


def draw(config: Survey, index: int) -> Population:
    """All draws of block `index`; the same for any window, worker or number of spectra."""
    rng = np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=(index, 0)))
    n = config.block
    first = rng.random(n) >= config.repeat_share
    first[0] = True
    owner = np.maximum.accumulate(np.where(first, np.arange(n), 0))
    kind = _classes(config, rng, n)
    stars = _stars(config, rng, kind)
    disk, width, shell = _disks(rng, stars["teff"], n)
    stars["vsini"] = np.where(
        kind == 1, 0.8 * disk["orbital"] * np.sin(np.radians(disk["inclination"])), stars["vsini"]
    )
    dwarf = np.clip(4.0 * np.exp(0.5 * rng.standard_normal(n)), 0.8, 15.0)
    width = np.where(kind == CLASSES.index("m-dwarf-emission"), dwarf, np.where(kind == 1, width, 0.0))
    shared = {
        **stars,
        "shell": np.where(kind == 1, shell, 0.0),
        "nebula": _nebulae(rng, n),
        "extra": rng.standard_normal((n, 4)),
        "redshift": np.where(kind == CLASSES.index("galaxy"), rng.uniform(0.02, 0.25, n), rng.uniform(0.15, 3.2, n)),
        "ra": rng.uniform(0.0, 360.0, n),
        "dec": np.degrees(np.arcsin(rng.uniform(-0.17, 0.87, n))),
    }
    shared = {name: values[owner] for name, values in shared.items()}
    disk = {name: values[owner] for name, values in disk.items()}
    exposure = _exposures(config, rng, owner, disk, width[owner])
    rows = slice(0, config.rows(index))
    fields = {"kind": kind[owner], "object": owner, **shared, **exposure}
    cut = {name: values[rows] for name, values in fields.items()}
    return Population(disks=Disks(**{name: values[rows] for name, values in disk.items()}), **cut)


def _classes(config: Survey, rng: np.random.Generator, n: int) -> NDArray[np.int64]:
    shares = {"be": config.target_share, **config.other_shares}
    edges = np.cumsum(list(shares.values()))
    numbers = np.array([CLASSES.index(name) for name in shares] + [0])
    return np.asarray(numbers[np.searchsorted(edges, rng.random(n), side="right")])


def _stars(config: Survey, rng: np.random.Generator, kind: NDArray[np.int64]) -> dict[str, Floats]:
    """Teff, logg, [Fe/H], v sin i, radial velocity and reddening of the star in (or before) each object."""
    n = kind.size
    mix = np.array(_LAMOST_STARS if config.preset == "lamost" else _ONDREJOV_STARS)
    part = mix[np.searchsorted(np.cumsum(mix[:-1, 4]) / mix[:, 4].sum(), rng.random(n), side="right")]
    place = rng.random(n)
    teff = part[:, 0] * (part[:, 1] / part[:, 0]) ** place ** np.where(part[:, 0] > 9000.0, 2.0, 1.0)
    logg = part[:, 2] + part[:, 3] * rng.standard_normal(n)
    disk, dwarf = kind == CLASSES.index("be"), kind == CLASSES.index("m-dwarf-emission")
    teff = np.where(disk, 10500.0 * (28000.0 / 10500.0) ** place, np.where(dwarf, 3000.0 + 850.0 * place, teff))
    logg = np.where(disk, 3.8 + 0.2 * rng.standard_normal(n), np.where(dwarf, 4.85, logg))
    halo = rng.random(n) < 0.05
    feh = np.where(halo, -1.3, -0.15) + np.where(halo, 0.4, 0.25) * rng.standard_normal(n)
    hot = np.clip((teff - 6200.0) / 1500.0, 0.0, 1.0)
    slow, fast = np.abs(rng.standard_normal(n)), np.clip(rng.normal(140.0, 75.0, n), 5.0, 330.0)
    dust = rng.exponential(1.0, n)
    return {
        "teff": teff,
        "logg": np.clip(logg, 0.8, 5.0),
        "feh": np.clip(np.where(disk, 0.0, feh), -2.0, 0.5),
        "vsini": 3.0 + 6.0 * slow + hot * fast,
        "velocity": np.clip(np.where(halo & ~disk, 130.0, 28.0) * rng.standard_normal(n), -420.0, 420.0),
        "reddening": np.minimum(dust * np.where(teff > 9500.0, 0.18, 0.07), 2.0),
    }


def _disks(rng: np.random.Generator, teff: Floats, n: int) -> tuple[dict[str, Floats], Floats, Floats]:
    """Disk parameters, equivalent width of the emission in Hα (Å) and depth of the shell absorption."""
    inclination = np.degrees(np.arccos(rng.random(n)))
    critical = np.interp(teff, [9000.0, 12000.0, 20000.0, 30000.0], [360.0, 400.0, 480.0, 560.0])
    size = rng.standard_normal(n)
    width = np.clip(14.0 * np.exp(0.8 * size), 2.0, 75.0)
    outer = np.clip(8.0 * np.exp(0.3 * size + 0.3 * rng.standard_normal(n)), 2.5, 30.0)
    tilted = np.cos(np.radians(inclination))
    disk = {
        "inclination": inclination,
        "orbital": critical * rng.uniform(0.9, 1.0, n),
        "outer": outer,
        "slope": rng.uniform(1.6, 2.4, n),
        "thickness": rng.random(n),
        "asymmetry": np.where(rng.random(n) < 0.2, rng.uniform(-0.45, 0.45, n), 0.06 * rng.standard_normal(n)),
        "turbulence": rng.uniform(18.0, 95.0, n),
        "electrons": rng.uniform(0.1, 0.4, n),
        "electron_width": rng.uniform(300.0, 600.0, n),
    }
    disk["turbulence"] = _clearer(Disks(**disk), rng.random(n) < _CLEAR)
    return disk, np.maximum(width * (0.35 + 0.65 * tilted), 2.5), rng.uniform(0.6, 0.97, n)


def _clearer(disks: Disks, chosen: NDArray[np.bool_]) -> Floats:
    """Local broadening that takes the `chosen` disks away from the border between one peak and two.

    Half-parted peaks are nobody's clear case, and peaks parted by less than 150 km/s show at R = 13,000 alone.
    """
    parted = disks.outer_velocity / np.hypot(disks.turbulence, 10.0)
    border = np.where((parted > 1.15) & (parted < 1.9), np.where(parted < 1.5, 1.55, 0.6), 1.0)
    broadened = np.where(
        (disks.outer_velocity < 75.0) & (parted > 1.0), disks.outer_velocity, disks.turbulence * border
    )
    return np.where(chosen, np.maximum(broadened, 10.0), disks.turbulence)


def _nebulae(rng: np.random.Generator, n: int) -> Floats:
    """Hα width, line ratios and velocity of the gas around or before a star; shape (n, 6)."""
    normal = rng.standard_normal((n, 5))
    alpha = np.clip(2.5 * np.exp(1.0 * normal[:, 0]), 0.6, 60.0)
    nitrogen = np.clip(0.35 * np.exp(0.5 * normal[:, 1]), 0.08, 1.5)
    sulphur = np.clip(0.35 * np.exp(0.45 * normal[:, 2]), 0.05, 1.5)
    oxygen = np.clip(0.4 * np.exp(1.2 * normal[:, 3]), 0.02, 8.0)
    density = np.clip(1.44 - 0.15 * rng.exponential(1.0, n), 0.5, 1.44)
    return np.stack([alpha, nitrogen, sulphur, oxygen, density, 15.0 * normal[:, 4]], axis=1)


def _exposures(
    config: Survey, rng: np.random.Generator, owner: NDArray[np.int64], disk: dict[str, Floats], width: Floats
) -> dict[str, Floats]:
    """What differs between two spectra of one object; V/R is varied in `disk` in place."""
    n, preset = owner.size, config.instrument
    mjd = 53500.0 + 6000.0 * rng.random(n) if config.preset == "ondrejov" else 56000.0 + 3500.0 * rng.random(n)
    period, phase = rng.uniform(1500.0, 4000.0, n)[owner], rng.random(n)[owner]
    disk["asymmetry"] = disk["asymmetry"] * np.cos(2.0 * np.pi * (mjd / period + phase))
    median = preset.snr_median if config.snr_median is None else config.snr_median
    brightness, exposure = rng.standard_normal(n)[owner], rng.standard_normal(n)
    snr = median * np.exp(preset.snr_scatter * (0.9 * brightness + 0.436 * exposure))
    gross = np.where(rng.random(n) < 0.03 * config.defects, 4.0, 1.0)
    return {
        "mjd": mjd,
        "width": width * np.exp(0.08 * rng.standard_normal(n)),
        "snr": np.clip(snr, 4.0, 900.0),
        "zero_point": preset.zero_point * min(1.0, config.defects) * gross * rng.standard_normal(n),
        "scale": 10.0 ** (2.5 + 0.5 * brightness + 0.2 * rng.standard_normal(n)),
    }
