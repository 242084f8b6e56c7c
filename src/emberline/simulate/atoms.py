"""Absorption lines of cool and warm stars: a short line list and how line strengths follow temperature and gravity."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emberline.spectra import air_to_vacuum

__all__ = ["SPECIES", "line_list", "relative_strength"]

Floats = NDArray[np.float64]

_EV_PER_KELVIN = 8.617333262e-5

SPECIES: dict[str, tuple[float, float, int]] = {
    # name: ionisation energy of the neutral atom, of the ion (eV; NIST Atomic Spectra Database), which of the two
    "NaI": (5.14, 47.29, 0),
    "MgI": (7.65, 15.04, 0),
    "MgII": (7.65, 15.04, 1),
    "CaI": (6.11, 11.87, 0),
    "CaII": (6.11, 11.87, 1),
    "FeI": (7.90, 16.20, 0),
    "FeII": (7.90, 16.20, 1),
    "TiI": (6.83, 13.58, 0),
    "CrI": (6.77, 16.49, 0),
    "NiI": (7.64, 18.17, 0),
    "SiII": (8.15, 16.35, 1),
    "BaII": (5.21, 10.00, 1),
    "SrII": (5.69, 11.03, 1),
    "LiI": (5.39, 75.64, 0),
    "OI": (13.62, 35.12, 0),
    "CII": (11.26, 24.38, 1),
    "HeI": (24.59, 54.42, 0),
}

_REFERENCE = {"HeI": 20000.0, "OI": 9000.0, "SiII": 12000.0, "MgII": 11000.0, "CII": 20000.0, "FeII": 7500.0}
"""Effective temperature at which the list's equivalent widths hold; 5772 K (the Sun) for all others."""

# air wavelength (Å), species, lower level (eV), equivalent width (mÅ) in the disk-averaged reference star.
# Cool-star lines: solar values, rounded, after Moore, Minnaert & Houtgast 1966 (NBS Monograph 61);
# hot-star lines: typical values for B and A stars, read off published atlases. Good to a few tenths.
_LINES = """
3820.4 FeI 0.86 1700|3825.9 FeI 0.91 1500|3829.4 MgI 2.71 900|3832.3 MgI 2.71 1700|3838.3 MgI 2.72 1900
3856.4 FeI 0.05 650|3859.9 FeI 0.00 1550|3878.0 FeI 0.96 800|3886.3 FeI 0.05 920|3895.7 FeI 0.11 420
3899.7 FeI 0.09 440|3905.5 FeI 3.2 800|3920.3 FeI 0.12 340|3922.9 FeI 0.05 410|3927.9 FeI 0.11 190|3930.3 FeI 0.09 110
3933.66 CaII 0.0 20200|3944.0 FeI 0.0 490|3961.5 FeI 0.0 620|3968.47 CaII 0.0 15500|4005.2 FeI 1.56 430
4030.8 FeI 0.0 330|4033.1 FeI 0.0 300|4045.8 FeI 1.48 1170|4063.6 FeI 1.56 790|4071.7 FeI 1.61 720|4077.7 SrII 0.0 430
4132.1 FeI 1.61 400|4143.9 FeI 1.56 470|4202.0 FeI 1.48 330|4215.5 SrII 0.0 230|4226.73 CaI 0.0 1480
4233.2 FeII 2.58 180|4250.8 FeI 1.56 400|4254.3 CrI 0.0 390|4260.5 FeI 2.40 590|4271.8 FeI 1.48 760|4274.8 CrI 0.0 230
4289.7 CrI 0.0 180|4307.9 FeI 1.56 720|4325.8 FeI 1.61 790|4351.8 FeII 2.70 180|4383.5 FeI 1.48 1010
4404.8 FeI 1.56 900|4415.1 FeI 1.61 420|4434.9 CaI 1.89 200|4454.8 CaI 1.90 220|4481.2 MgII 8.86 380
4508.3 FeII 2.86 130|4515.3 FeII 2.84 110|4522.6 FeII 2.84 120|4528.6 FeI 2.18 280|4549.5 FeII 2.83 260
4554.0 BaII 0.0 160|4583.8 FeII 2.81 200|4668.1 FeI 3.27 130|4703.0 MgI 4.35 330|4736.8 FeI 3.21 140
4871.3 FeI 2.87 240|4890.8 FeI 2.88 220|4891.5 FeI 2.85 310|4920.5 FeI 2.83 470|4923.9 FeII 2.89 260
4934.1 BaII 0.0 210|4957.6 FeI 2.81 700|5018.4 FeII 2.89 280|5041.8 FeI 1.49 200|5110.4 FeI 0.0 130
5167.3 MgI 2.71 900|5169.0 FeII 2.89 320|5172.7 MgI 2.71 1260|5183.6 MgI 2.72 1580|5204.5 CrI 0.94 180
5206.0 CrI 0.94 200|5208.4 CrI 0.94 220|5227.2 FeI 1.56 300|5232.9 FeI 2.94 350|5266.6 FeI 3.00 250
5269.5 FeI 0.86 480|5270.4 FeI 1.61 380|5316.6 FeII 3.15 220|5328.0 FeI 0.92 380|5328.5 FeI 1.56 200
5341.0 FeI 1.61 200|5371.5 FeI 0.96 280|5397.1 FeI 0.92 240|5405.8 FeI 0.99 270|5429.7 FeI 0.96 290
5434.5 FeI 1.01 180|5446.9 FeI 0.99 240|5455.6 FeI 1.01 230|5528.4 MgI 4.35 290|5572.8 FeI 3.40 220
5586.8 FeI 3.37 220|5588.8 CaI 2.53 150|5594.5 CaI 2.52 130|5615.6 FeI 3.33 260|5658.8 FeI 3.40 130
5682.6 NaI 2.10 110|5688.2 NaI 2.10 130|5711.1 MgI 4.35 110|5763.0 FeI 4.21 120|5857.5 CaI 2.93 130
5889.95 NaI 0.0 750|5895.92 NaI 0.0 560|6024.1 FeI 4.55 110|6065.5 FeI 2.61 120|6102.7 CaI 1.88 140
6122.2 CaI 1.89 220|6136.6 FeI 2.45 140|6137.7 FeI 2.59 130|6141.7 BaII 0.70 120|6162.2 CaI 1.90 240
6169.6 CaI 2.53 110|6191.6 FeI 2.43 130|6219.3 FeI 2.20 90|6230.7 FeI 2.56 160|6246.3 FeI 3.60 120|6252.6 FeI 2.40 120
6265.1 FeI 2.18 86|6301.5 FeI 3.65 125|6302.5 FeI 3.69 83|6318.0 FeI 2.45 105|6335.3 FeI 2.20 96|6336.8 FeI 3.69 105
6347.1 SiII 8.12 240|6358.7 FeI 0.86 83|6371.4 SiII 8.12 180|6393.6 FeI 2.43 130|6400.0 FeI 3.60 170
6408.0 FeI 3.69 98|6411.6 FeI 3.65 130|6421.4 FeI 2.28 110|6430.8 FeI 2.18 110|6439.1 CaI 2.53 155|6449.8 CaI 2.52 95
6456.4 FeII 3.90 85|6462.6 CaI 2.52 180|6471.7 CaI 2.53 90|6475.6 FeI 2.56 60|6482.8 NiI 1.93 40|6491.6 TiI 2.06 45
6493.8 CaI 2.52 125|6495.0 FeI 2.40 165|6496.9 BaII 0.60 98|6498.9 FeI 0.96 45|6499.7 CaI 2.52 85|6516.1 FeII 2.89 60
6518.4 FeI 2.83 60|6546.2 FeI 2.76 105|6569.2 FeI 4.73 70|6572.8 CaI 0.0 28|6574.2 FeI 0.99 27|6575.0 FeI 2.59 60
6581.2 FeI 1.48 20|6586.3 NiI 1.95 40|6592.9 FeI 2.73 115|6593.9 FeI 2.43 85|6604.6 FeI 4.83 35|6609.1 FeI 2.56 65
6627.5 FeI 4.55 28|6633.8 FeI 4.56 70|6643.6 NiI 1.68 95|6663.4 FeI 2.42 82|6677.99 FeI 2.69 130|6703.6 FeI 2.76 36
6705.1 FeI 4.61 46|6707.8 LiI 0.0 6|6717.7 CaI 2.71 110|6750.2 FeI 2.42 74|6767.8 NiI 1.83 79|6978.9 FeI 2.48 80
7148.1 CaI 2.71 140|7326.1 CaI 2.93 110|7445.8 FeI 4.26 90|7495.1 FeI 4.22 100|7511.0 FeI 4.18 130|7771.9 OI 9.15 450
7774.2 OI 9.15 380|7775.4 OI 9.15 300|8183.3 NaI 2.10 220|8194.8 NaI 2.10 300|8327.1 FeI 2.20 170|8387.8 FeI 2.18 190
8446.5 OI 9.52 500|8498.0 CaII 1.69 1400|8514.1 FeI 2.20 120|8542.1 CaII 1.70 3700|8662.1 CaII 1.69 2800
8688.6 FeI 2.18 200|8736.0 MgI 5.95 180|8806.8 MgI 4.35 480|8824.2 FeI 2.20 220|3819.6 HeI 20.97 900
3867.5 HeI 20.96 300|3964.7 HeI 20.62 330|4009.3 HeI 21.22 550|4026.2 HeI 20.97 1300|4120.8 HeI 20.96 270
4143.8 HeI 21.22 700|4267.2 CII 18.05 250|4387.9 HeI 21.22 800|4471.5 HeI 20.97 1350|4713.2 HeI 20.96 320
4921.9 HeI 21.22 820|5015.7 HeI 20.62 370|5875.6 HeI 20.97 850|6578.1 CII 14.45 170|6582.9 CII 14.45 110
6678.2 HeI 21.22 800|7065.2 HeI 20.97 600|4128.1 SiII 9.84 150|4130.9 SiII 9.84 160|5041.0 SiII 10.07 110
5056.0 SiII 10.07 130|4233.2 FeII 2.58 50
""".strip()


@functools.lru_cache(maxsize=1)
def line_list() -> tuple[Floats, NDArray[np.str_], Floats, Floats]:
    """All lines: vacuum Å, species, lower level in eV, equivalent width in Å in the species' reference star.

    The named lines are joined by a statistical forest of weak Fe I and Ti I lines, denser in the blue, that stands for
    the tens of thousands not listed; it is the same in every survey.
    """
    entries = [line.split() for row in _LINES.splitlines() for line in row.split("|")]
    wavelength = air_to_vacuum([float(entry[0]) for entry in entries])
    species = np.array([entry[1] for entry in entries])
    level = np.array([float(entry[2]) for entry in entries])
    width = np.array([float(entry[3]) for entry in entries]) * 1e-3
    more = _forest()
    return (
        np.concatenate([wavelength, more[0]]),
        np.concatenate([species, more[1]]),
        np.concatenate([level, more[2]]),
        np.concatenate([width, more[3]]),
    )


def _forest() -> tuple[Floats, NDArray[np.str_], Floats, Floats]:
    """Weak lines at fixed pseudo-random places, exponentially rarer and weaker to the red."""
    rng = np.random.default_rng(20240)
    n = 8000
    wavelength = 2900.0 - 900.0 * np.log(1.0 - rng.random(n) * (1.0 - np.exp(-6200.0 / 900.0)))
    species = np.where(rng.random(n) < 0.75, "FeI", "TiI")
    level = rng.uniform(0.0, 4.0, n)
    width = 0.027 * np.exp(rng.normal(0.0, 0.9, n)) * np.clip((5200.0 / wavelength) ** 2.2, 0.25, 4.0)
    return wavelength, species, level, np.minimum(width, 0.35)


def relative_strength(species: str, level: float, teff: ArrayLike, logg: ArrayLike) -> Floats:
    """Line-to-continuum opacity relative to the species' reference star (logg 4.4), at solar abundance.

    Saha and Boltzmann equations at T = 0.92 Teff over a continuous opacity that is the sum of H⁻ and H bound-free
    (Gray 2005, The Observation and Analysis of Stellar Photospheres, ch. 8, 13 and 16), one layer.

    Parameters
    ----------
    species : str
        A key of `SPECIES`.
    level : float
        Excitation energy of the lower level, eV.
    teff, logg : array_like
        Kelvin and log10 of cm/s².

    Returns
    -------
    ndarray of float64
    """
    here = _opacity_ratio(species, level, np.asarray(teff, np.float64), np.asarray(logg, np.float64))
    there = _opacity_ratio(species, level, np.float64(_REFERENCE.get(species, 5772.0)), np.float64(4.4))
    return np.asarray(np.exp(np.clip(here - there, -60.0, 60.0)))


def _opacity_ratio(species: str, level: float, teff: ArrayLike, logg: ArrayLike) -> Floats:
    """Natural logarithm of (population of the lower level / continuous opacity), up to a constant."""
    first, second, stage = SPECIES[species]
    temperature = 0.92 * np.asarray(teff, np.float64)
    pressure = electron_pressure(teff, logg)
    one = _saha(temperature, pressure, first)
    two = _saha(temperature, pressure, second)
    total = 1.0 + one + one * two
    fraction = (np.ones_like(one), one)[stage] / total
    excited = -level / (_EV_PER_KELVIN * temperature)
    return np.asarray(np.log(np.maximum(fraction, 1e-300)) + excited - np.log(continuous_opacity(teff, logg)))


def electron_pressure(teff: ArrayLike, logg: ArrayLike) -> Floats:
    """Electron pressure at the depth where lines form, dyn/cm²: the run of published model atmospheres, roughly."""
    nodes = [2800.0, 3500, 4000, 5000, 5800, 6500, 7500, 8500, 10000, 15000, 20000, 30000, 42000]
    values = [-1.2, -0.5, -0.1, 0.6, 1.2, 1.7, 2.2, 2.5, 2.7, 3.0, 3.2, 3.4, 3.5]
    teff = np.asarray(teff, np.float64)
    slope = np.where(teff > 9000.0, 0.6, 0.4)
    return np.asarray(10.0 ** (np.interp(teff, nodes, values) + slope * (np.asarray(logg, np.float64) - 4.4)))


def _saha(temperature: Floats, pressure: Floats, energy: float) -> Floats:
    """Ratio of ionised to neutral; partition functions taken as equal."""
    exponent = -energy / (_EV_PER_KELVIN * temperature)
    return np.asarray(0.6667 * temperature**2.5 * np.exp(np.maximum(exponent, -600.0)) / pressure)


def continuous_opacity(teff: ArrayLike, logg: ArrayLike) -> Floats:
    """Continuous opacity per hydrogen nucleus near 5500 Å, arbitrary unit: H⁻ plus Paschen bound-free."""
    temperature = 0.92 * np.asarray(teff, np.float64)
    pressure = electron_pressure(teff, logg)
    neutral = 1.0 / (1.0 + _saha(temperature, pressure, 13.6))
    theta = 5040.0 / temperature
    negative = 4.2e-26 * pressure * theta**2.5 * 10.0 ** (0.754 * theta) * neutral
    paschen = 1.0e-17 * 9.0 * 10.0 ** (-12.09 * theta) * neutral
    scattering = 0.665e-24
    return np.asarray(negative + paschen + scattering)
