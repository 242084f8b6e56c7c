"""Real spectra of two surveys through one recipe: the physics of the recipe, shown on the sky."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from emberline.archive.readers import open_source, read
from emberline.features import Continuum, FeatureBlock, Recipe, extract
from emberline.spectra import Mask, Spectrum, SpectrumBlock

pytestmark = pytest.mark.data

HALPHA = Recipe.load("halpha-140")


def spectra(path: Path) -> list[Spectrum]:
    return read(open_source(str(path)))


def features(recipe: Recipe, spectrum: Spectrum) -> FeatureBlock:
    return extract(recipe, SpectrumBlock.stack([spectrum]))


def bisector(wavelength: NDArray[np.float64], values: NDArray[np.float32], level: float) -> float:
    """The middle of the emission line at `level` of its height above the median, Å."""
    line = values - np.median(values)
    peak = int(np.argmax(line))
    height = level * line[peak]
    left = peak - int(np.argmax(line[peak::-1] < height))
    right = peak + int(np.argmax(line[peak:] < height))
    blue = np.interp(height, line[[left, left + 1]], wavelength[[left, left + 1]])
    red = np.interp(height, line[[right, right - 1]], wavelength[[right, right - 1]])
    return float(0.5 * (blue + red))


@pytest.fixture(scope="module")
def bt_cmi(data: Path) -> tuple[Spectrum, Spectrum]:
    """The Be star BT CMi from Ondřejov (air, R = 13000, 2014) and from LAMOST (vacuum, R = 1800, 2013)."""
    (ondrejov,) = spectra(data / "ondrejov/bt-cmi-ondrejov.fits")
    (lamost,) = spectra(data / "lamost/bt-spectraldl/bt-cmi-lamost.fits.gz")
    assert (ondrejov.meta.medium, ondrejov.meta.resolving_power) == ("air", 13000)
    assert (lamost.meta.medium, lamost.meta.resolving_power) == ("vacuum", 1800)
    return ondrejov, lamost


@pytest.mark.parametrize("name", ["halpha-140", "halpha-ondrejov"])
def test_bt_cmi_looks_the_same_to_both_surveys(bt_cmi, name):
    recipe = Recipe.load(name)
    one, two = (features(recipe, spectrum) for spectrum in bt_cmi)
    assert not one.flagged[0]
    assert not two.flagged[0]
    assert np.corrcoef(one.values[0], two.values[0])[0, 1] > 0.98
    for level in (0.3, 0.5, 0.7):
        centres = [bisector(recipe.grid.wavelength, result.values[0], level) for result in (one, two)]
        assert abs(centres[0] - centres[1]) < 0.5
        assert centres == pytest.approx([6564.61] * 2, abs=1.0)


def test_each_step_of_the_recipe_brings_the_surveys_closer(bt_cmi):
    """Blur to the same resolution, then take the slope of the continuum away: the profiles agree better each time."""
    rectified = dataclasses.replace(
        HALPHA, continuum=Continuum(degree=1, windows=((6519.0, 6540.0), (6600.0, 6665.0), (6695.0, 6732.0)))
    )
    agreement = []
    for recipe in (dataclasses.replace(HALPHA, resolving_power=None), HALPHA, rectified):
        one, two = (features(recipe, spectrum).values[0] for spectrum in bt_cmi)
        agreement.append(np.corrcoef(one, two)[0, 1])
    assert agreement[0] < agreement[1] < agreement[2]
    assert agreement[2] > 0.995


def test_air_taken_for_vacuum_would_be_seen(bt_cmi):
    """The test above can fail: 1.8 Å is what the refraction of air makes at Hα."""
    from emberline.spectra import Grid, vacuum_to_air

    ondrejov, lamost = bt_cmi
    wrong = dataclasses.replace(ondrejov, grid=Grid(vacuum_to_air(ondrejov.wavelength)))
    one, two = (features(HALPHA, spectrum).values[0] for spectrum in (wrong, lamost))
    wavelength = HALPHA.grid.wavelength
    assert abs(bisector(wavelength, one, 0.5) - bisector(wavelength, two, 0.5)) > 1
    assert np.corrcoef(one, two)[0, 1] < 0.98


def test_lamost_gives_the_line_of_bt_cmi_no_weight(bt_cmi):
    """Its pipeline took the emission line for a cosmic ray; masking such pixels would erase what is looked for."""
    _, lamost = bt_cmi
    core = np.abs(lamost.wavelength - 6564.6) < 7
    assert (lamost.mask[core] == Mask.NO_WEIGHT).all()
    masked = features(dataclasses.replace(HALPHA, without_weight="mask"), lamost)
    used = features(HALPHA, lamost)
    assert used.values.max() > 4
    assert masked.values.max() < 3
    assert used.bad_fraction[0] == pytest.approx(masked.bad_fraction[0], abs=1e-3)


def test_every_known_emitter_has_a_vector_that_shows_it(data):
    with open(data / "lamost/halpha_truth.csv", encoding="utf-8") as stream:
        paths = [row["path"] for row in csv.DictReader(stream) if row["label"] == "emission"]
    assert len(paths) == 17
    distance = np.abs(HALPHA.grid.wavelength - 6564.61)
    for path in paths:
        (spectrum,) = spectra(data / path)
        result = features(HALPHA, spectrum)
        assert not result.flagged[0], path
        assert result.bad_fraction[0] < 0.15, path
        assert result.values[0, distance < 5].max() > np.median(result.values[0, (distance > 8) & (distance < 14)]), (
            path
        )


def test_every_labelled_ondrejov_spectrum_has_a_vector(data):
    found = spectra(data / "ondrejov/halpha_labelled.csv")
    recipe = Recipe.load("halpha-ondrejov")
    results = [features(recipe, spectrum) for spectrum in found]
    assert len(results) == 53
    assert not any(result.flagged[0] for result in results)
    assert max(result.bad_fraction[0] for result in results) < 0.02


@pytest.mark.parametrize("name", ["halpha-140", "optical-1024"])
def test_the_aaomega_galaxy_agrees_with_itself(data, name):
    """One galaxy in air and in vacuum, on a linear grid and by the logarithms of its wavelengths."""
    recipe = Recipe.load(name)
    files = ("emlLinearSkyAirHelio", "emlLinearSkyAirHelioCMB", "emlLogVacuumHelioCMB", "emlLogVacuumHelioMultiple")
    vectors = []
    for file in files:
        first = spectra(data / f"aaomega/{file}.fits")[0]
        result = features(recipe, first)
        assert not result.flagged[0]
        vectors.append(result.values[0])
    for vector in vectors[1:]:
        assert np.corrcoef(vectors[0], vector)[0, 1] > 0.9999
        assert np.abs(vector - vectors[0]).max() < 0.05
