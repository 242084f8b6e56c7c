"""The simulated survey: blocks of spectra with their truth, or of feature vectors only."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emberline.simulate.balmer import H_ALPHA
from emberline.simulate.config import Survey
from emberline.simulate.continuum import stellar_continuum
from emberline.simulate.hosts import HostSample, choose_hosts, host_spectra
from emberline.simulate.instrument import observe
from emberline.simulate.kinds import kind_of
from emberline.simulate.population import CLASSES, Population, draw
from emberline.simulate.presets import PRESETS, Window
from emberline.simulate.render import instrument_sigma, line_light, photospheres, render
from emberline.spectra import SPEED_OF_LIGHT, Metadata, SpectrumBlock

if TYPE_CHECKING:
    from emberline.features import FeatureBlock, Recipe

__all__ = ["SimulatedBlock", "SimulatedFeatures", "feature_block", "make_block", "survey"]

Truth = dict[str, NDArray[Any]]


@dataclasses.dataclass(frozen=True)
class SimulatedBlock:
    """Spectra, and columns of truth in the same order (see `truth_table`)."""

    block: SpectrumBlock
    truth: Truth


@dataclasses.dataclass(frozen=True)
class SimulatedFeatures:
    """Feature vectors, and columns of truth in the same order."""

    features: FeatureBlock
    truth: Truth


def survey(config: Survey, *, hosts: HostSample | None = None) -> Iterator[SimulatedBlock]:
    """All blocks in order. For several workers call `make_block` with the numbers 0 to ``config.blocks - 1``."""
    for index in range(config.blocks):
        yield make_block(config, index, hosts=hosts)


def make_block(config: Survey, index: int, *, hosts: HostSample | None = None) -> SimulatedBlock:
    """Block `index` of the survey: whole spectra.

    Depends on ``config.seed``, the rates and `index` only, so blocks may be made by any worker in any order.

    Parameters
    ----------
    config : Survey
    index : int
        0 to ``config.blocks - 1``.
    hosts : HostSample, optional
        Real spectra: the emission goes onto them, and nothing else is simulated.
    """
    population = draw(config, index)
    if hosts is not None:
        return _on_hosts(config, index, population, hosts)
    block = _spectra(config, index, population, Window.whole(config.instrument))
    return SimulatedBlock(block, truth_table(config, index, population))


def _on_hosts(config: Survey, index: int, population: Population, hosts: HostSample) -> SimulatedBlock:
    real, chosen = choose_hosts(config, index, population, hosts)
    names = _identifiers(config, index, np.arange(chosen.size), "host")
    meta = [
        dataclasses.replace(hosts.meta[i], identifier=name, survey=f"simulated on {hosts.meta[i].survey}")
        for i, name in zip(chosen, names, strict=True)
    ]
    truth = truth_table(config, index, real)
    truth["identifier"] = np.array(names)
    truth["object"] = np.array([hosts.meta[i].identifier for i in chosen])
    for unknown in ("logg", "feh", "vsini", "reddening"):
        truth[unknown] = np.full(chosen.size, np.nan)
    if hosts.teff is None:
        truth["teff"] = np.full(chosen.size, np.nan)
    return SimulatedBlock(host_spectra(real, hosts, chosen, meta), truth)


def feature_block(config: Survey, index: int, recipe: Recipe) -> SimulatedFeatures:
    """Block `index` as feature vectors: only the pixels that `recipe` looks at are simulated, with the same draws.

    Equal, to rounding, to extracting `recipe` from ``make_block(config, index).block``.
    """
    from emberline.features import extract

    population = draw(config, index)
    block = _spectra(config, index, population, _window(config, recipe))
    return SimulatedFeatures(extract(recipe, block, ivar=False), truth_table(config, index, population))


def _window(config: Survey, recipe: Recipe) -> Window:
    """The pixels that can reach the recipe's window through its blur; all of them in the rest frame."""
    preset = config.instrument
    if recipe.frame == "rest":
        return Window.whole(preset)
    low, high = float(recipe.grid.edges[0]), float(recipe.grid.edges[-1])
    sharpness = min(recipe.resolving_power or preset.resolving_power, preset.resolving_power)
    blur = 6.0 * high / (2.3548 * sharpness) + 4.0 * float(np.diff(preset.grid.wavelength[-2:])[0])
    return Window.covering(preset, low - blur, high + blur)


def _spectra(config: Survey, index: int, population: Population, window: Window) -> SpectrumBlock:
    light = render(window, population)
    light[population.rows("junk")] = 0.0
    flux, ivar, mask = observe(config, index, window, population, light)
    return SpectrumBlock(window.grid, flux, ivar, mask, _metadata(config, index, population))


def _identifiers(config: Survey, index: int, rows: NDArray[np.int64], what: str = "") -> list[str]:
    first = index * config.block
    return [f"sim-{what or config.preset}-{config.seed}-{first + int(row):08d}" for row in rows]


def _metadata(config: Survey, index: int, population: Population) -> list[Metadata]:
    """Catalogue columns as a pipeline would fill them; the pipeline sees no emission."""
    rows = np.arange(population.kind.size)
    names = _identifiers(config, index, rows)
    objects = _identifiers(config, index, population.object, f"object-{config.preset}")
    pipeline = {"quasar": "QSO", "galaxy": "GALAXY", "junk": "Unknown"}
    classes = [pipeline.get(CLASSES[kind], "STAR") for kind in population.kind]
    velocity = population.velocity / SPEED_OF_LIGHT
    preset = config.instrument
    return [
        Metadata(
            identifier=names[i],
            survey=preset.survey,
            name=objects[i],
            ra=float(population.ra[i]),
            dec=float(population.dec[i]),
            mjd=float(population.mjd[i]),
            exposure=1800.0,
            snr=1.0 if classes[i] == "Unknown" else float(population.snr[i]),
            survey_class=classes[i],
            survey_subclass=_letter(float(population.teff[i])) if classes[i] == "STAR" else "",
            redshift=_catalogue_redshift(classes[i], float(velocity[i]), float(population.redshift[i])),
            medium=preset.medium,
            velocity_frame="heliocentric",
            resolving_power=preset.resolving_power,
        )
        for i in rows
    ]


def _catalogue_redshift(survey_class: str, star: float, distant: float) -> float:
    return {"STAR": star, "Unknown": float("nan")}.get(survey_class, distant)


def _letter(teff: float) -> str:
    """Spectral class with its decimal, on the temperature scale of dwarfs."""
    edges = (2300.0, 3900.0, 5300.0, 5950.0, 7300.0, 9900.0, 30000.0, 50000.0)
    for letter, low, high in zip("MKGFABO", edges[:-1], edges[1:], strict=True):
        if teff < high:
            return f"{letter}{min(9, int(10.0 * max(0.0, high - teff) / (high - low)))}"
    return "O3"


def truth_table(config: Survey, index: int, population: Population) -> Truth:
    """The truth by column.

    - ``identifier``; ``object``: the identifier of the object's first spectrum;
    - ``class``: see `CLASSES`; ``target``: whether the star has an emitting disk;
    - ``kind``: the Hα profile of a star as seen at R = 13,000 (see `KINDS`), empty for the others;
    - ``label``: what an oracle would answer: the kind for the preset ``ondrejov``, else the class, ``bad`` for junk;
    - ``emission_width``: equivalent width of the emission in Hα, Å, 0 without; ``inclination`` of the disk, degrees;
    - ``teff``, ``logg``, ``feh``, ``vsini``, ``velocity`` (km/s), ``reddening`` (E(B-V)): NaN where there is no star;
    - ``redshift``, ``snr``.
    """
    rows = np.arange(population.kind.size)
    kinds = _visible_kinds(population)
    classes = np.array(CLASSES)[population.kind]
    label = kinds if config.preset == "ondrejov" else np.where(classes == "junk", "bad", classes)
    disk = population.kind == CLASSES.index("be")
    gas = population.kind == CLASSES.index("nebular")
    stellar = ~np.isin(classes, ["quasar", "galaxy", "junk"])
    return {
        "identifier": np.array(_identifiers(config, index, rows)),
        "object": np.array(_identifiers(config, index, population.object)),
        "class": classes,
        "kind": kinds,
        "label": label,
        "target": disk,
        "emission_width": np.where(gas, population.nebula[:, 0], population.width),
        "inclination": np.where(disk, population.disks.inclination, np.nan),
        "redshift": np.where(stellar, population.velocity / SPEED_OF_LIGHT, population.redshift),
        "snr": population.snr,
        **{
            name: np.where(stellar, getattr(population, name), np.nan)
            for name in ("teff", "logg", "feh", "vsini", "velocity", "reddening")
        },
    }


def _visible_kinds(population: Population) -> NDArray[np.str_]:
    """The kind of every stellar row: only disks need a look at the profile."""
    kinds = np.full(population.kind.size, "absorption", dtype="<U12")
    kinds[np.isin(population.kind, [CLASSES.index(name) for name in ("nebular", "m-dwarf-emission")])] = "emission"
    kinds[np.isin(population.kind, [CLASSES.index(name) for name in ("quasar", "galaxy", "junk")])] = ""
    rows = population.rows("be")
    if rows.size == 0:
        return kinds
    preset = PRESETS["ondrejov"]
    window = Window.covering(preset, H_ALPHA - 22.0, H_ALPHA + 22.0)
    wavelength = window.work_wavelength
    still = dataclasses.replace(population, velocity=np.zeros(kinds.size), zero_point=np.zeros(kinds.size))
    photosphere = photospheres(window, still, rows) / stellar_continuum(wavelength, still.teff[rows], preset.reference)
    light, passed = line_light(wavelength, still, rows, instrument_sigma(preset.resolving_power))
    velocity = SPEED_OF_LIGHT * np.log(wavelength / H_ALPHA)
    profiles = (photosphere + light) * passed
    kinds[rows] = [kind_of(velocity, *pair) for pair in zip(profiles, photosphere, strict=True)]
    return kinds
