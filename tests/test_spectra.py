"""Wavelengths, grids, masks and blocks."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emberline.errors import ReadError
from emberline.spectra import (
    Grid,
    Mask,
    Metadata,
    Spectrum,
    SpectrumBlock,
    air_to_vacuum,
    estimate_ivar,
    vacuum_to_air,
)

META = Metadata(identifier="one")
PUBLISHED = [  # air, vacuum: the table of lines of the Sloan Digital Sky Survey
    (3933.663, 3934.777),
    (4861.363, 4862.721),
    (5006.843, 5008.239),
    (6548.05, 6549.86),
    (6562.801, 6564.614),
    (6730.82, 6732.68),
]


@pytest.mark.parametrize(("air", "vacuum"), PUBLISHED)
def test_published_pairs_of_wavelengths(air, vacuum):
    assert air_to_vacuum(air) == pytest.approx(vacuum, abs=3e-3)
    assert vacuum_to_air(vacuum) == pytest.approx(air, abs=3e-3)


def test_the_formula_agrees_with_ciddor():
    """Refraction index of dry standard air (15 °C, 450 ppm CO2): Ciddor 1996, equation 1."""
    vacuum = np.linspace(3000, 10000, 500)
    s2 = (1e4 / vacuum) ** 2
    index = 1 + 0.05792105 / (238.0185 - s2) + 0.00167917 / (57.362 - s2)
    assert vacuum_to_air(vacuum) == pytest.approx(vacuum / index, abs=1e-4)


@settings(deadline=None, max_examples=50)
@given(st.floats(2000, 30000))
def test_air_and_vacuum_are_inverse(wavelength):
    assert vacuum_to_air(air_to_vacuum(wavelength)) == pytest.approx(wavelength, abs=1e-9)
    assert air_to_vacuum(vacuum_to_air(wavelength)) == pytest.approx(wavelength, abs=1e-9)
    assert air_to_vacuum(wavelength) > wavelength


@pytest.mark.parametrize(
    ("wavelength", "words"),
    [
        ([5000.0], "two pixels or more"),
        ([[5000.0, 5001.0]], "one dimension"),
        ([5000.0, np.nan], "finite"),
        ([-1.0, 5.0], "finite positive"),
        ([5000.0, 5002.0, 5001.0], r"5002.0000 Å then 5001.0000 Å at pixel 1"),
        ([5000.0, 5000.0], "strictly increasing"),
    ],
)
def test_what_is_no_grid_is_refused(wavelength, words):
    with pytest.raises(ReadError, match=words) as caught:
        Grid(np.array(wavelength))
    assert caught.value.reason == "bad-wavelength"


def test_edges_lie_between_centres():
    linear = Grid.linear(5000, 2, 3)
    assert linear.edges == pytest.approx([4999, 5001, 5003, 5005])
    log = Grid.log10(3.7, 1e-4, 50)
    assert np.diff(np.log10(log.edges)) == pytest.approx(1e-4, abs=1e-12)
    assert np.sqrt(log.edges[1:] * log.edges[:-1]) == pytest.approx(log.wavelength)


def test_grids_are_equal_when_their_wavelengths_are():
    one, two = Grid.log10(3.5682, 1e-4, 100), Grid(10 ** (3.5682 + 1e-4 * np.arange(100)))
    assert one == two
    assert hash(one) == hash(two)
    assert one != Grid.log10(3.5683, 1e-4, 100)
    assert one != "grid"
    assert pickle.loads(pickle.dumps(one)) == one
    assert not one.wavelength.flags.writeable


def test_coverage_counts_whole_pixels():
    grid = Grid.linear(5000, 2, 3)
    assert grid.covers(4999, 5005)
    assert not grid.covers(4998.9, 5001)
    assert not grid.covers(5001, 5005.1)


def test_checked_turns_what_is_not_finite_into_no_data():
    flux, ivar = [1.0, np.nan, np.inf, 0.0, 3.0], [1.0, 1.0, 1.0, 0.0, 1.0]
    spectrum = Spectrum.checked(Grid.linear(5000, 1, 5), flux, ivar, [Mask.SKY, 0, 0, 0, 0], META)
    assert spectrum.mask.tolist() == [Mask.SKY, *[Mask.NO_DATA] * 3, 0]
    assert spectrum.flux.tolist() == [1, 0, 0, 0, 3]
    assert spectrum.ivar.tolist() == [1, 0, 0, 0, 1]
    assert spectrum.meta.ivar_source == "file"


def test_a_flux_without_weight_is_kept_and_marked():
    """LAMOST gives no weight to the emission lines that it took for cosmic rays."""
    ivar = [1.0, 0.0, np.nan, np.inf, 1.0]
    spectrum = Spectrum.checked(Grid.linear(5000, 1, 5), [1.0, 2, 3, 4, 5], ivar, [0, Mask.SKY, 0, 0, 0], META)
    assert spectrum.flux.tolist() == [1, 2, 3, 4, 5]
    assert spectrum.ivar.tolist() == [1, 0, 0, 0, 1]
    assert spectrum.mask.tolist() == [0, Mask.SKY | Mask.NO_WEIGHT, Mask.NO_WEIGHT, Mask.NO_WEIGHT, 0]


@pytest.mark.parametrize(
    ("flux", "ivar", "reason"),
    [
        ([np.nan] * 3, None, "bad-flux"),
        ([0.0] * 3, None, "bad-flux"),
        ([4.0] * 3, None, "bad-flux"),
        ([1.0, 2.0, 3.0], [1.0, -2.0, 1.0], "bad-ivar"),
        ([1.0, 2.0, 3.0], [0.0, 0.0, 0.0], "bad-ivar"),
        ([1.0, 2.0], None, "no-spectrum"),
        ([1.0, 2.0, 3.0], [1.0], "no-spectrum"),
    ],
)
def test_checked_refuses_what_is_no_spectrum(flux, ivar, reason):
    with pytest.raises(ReadError) as caught:
        Spectrum.checked(Grid.linear(5000, 1, 3), flux, ivar, None, META)
    assert caught.value.reason == reason


def test_noise_is_estimated_from_the_scatter():
    rng = np.random.default_rng(8)
    flux = (100 + 3 * rng.normal(size=5000) + np.linspace(0, 500, 5000)).astype(np.float32)
    assert estimate_ivar(flux)[0] ** -0.5 == pytest.approx(3, rel=0.05)
    spectrum = Spectrum.checked(Grid.linear(4000, 1, 5000), flux, None, None, META)
    assert spectrum.meta.ivar_source == "estimated"
    assert META.ivar_source == "file"


@pytest.mark.parametrize("grid", [Grid.log10(3.7, 1e-4, 6), Grid.linear(5000, 1, 6)])
def test_trimming_drops_only_the_ends(grid):
    flux, ivar = [0, 1, 0, 3, 4, 0], [0, 1, 0, 1, 1, 0]
    trimmed = Spectrum.checked(grid, flux, ivar, None, META).trimmed()
    assert trimmed.wavelength == pytest.approx(grid.wavelength[1:5])
    assert trimmed.flux.tolist() == [1, 0, 3, 4]
    assert trimmed.trimmed() is trimmed


def spectrum(start: float, n: int, value: float) -> Spectrum:
    flux = value + np.arange(n)
    return Spectrum.checked(Grid.log10(start, 1e-4, n), flux, np.ones(n), None, META)


def test_spectra_of_one_family_are_stacked():
    block = SpectrumBlock.stack([spectrum(3.7000, 4, 10), spectrum(3.7002, 4, 20), spectrum(3.6999, 3, 30)])
    assert block.grid == Grid.log10(3.6999, 1e-4, 7)
    assert block.flux[1].tolist() == [0, 0, 0, 20, 21, 22, 23]
    assert (block.mask[1] > 0).tolist() == [True] * 3 + [False] * 4
    assert len(block) == 3
    assert block[2].trimmed().flux.tolist() == [30, 31, 32]
    assert block.identifiers == ["one"] * 3


def test_other_grids_cannot_be_stacked():
    linear = Spectrum.checked(Grid.linear(5000, 1, 4), [1, 2, 3, 4], None, None, META)
    with pytest.raises(ValueError, match="different grids"):
        SpectrumBlock.stack([linear, spectrum(3.7, 4, 1)])
    with pytest.raises(ValueError, match="no spectra"):
        SpectrumBlock.stack([])
    assert len(SpectrumBlock.stack([linear, linear])) == 2
