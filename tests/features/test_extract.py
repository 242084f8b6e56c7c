"""From blocks of spectra to feature vectors."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emberline.features import Continuum, Recipe, extract
from emberline.spectra import Grid, Mask, SpectrumBlock

HALPHA = Recipe.load("halpha-140")


def test_clean_spectra_give_standardised_vectors(noisy):
    result = extract(HALPHA, noisy)
    assert result.values.shape == result.ivar.shape == (60, 140)
    assert result.values.dtype == result.ivar.dtype == np.float32
    assert result.values.mean(axis=1) == pytest.approx(0, abs=1e-4)
    assert result.values.std(axis=1) == pytest.approx(1, abs=1e-4)
    assert not result.flagged.any()
    assert not result.bad_fraction.any()


def test_ivar_is_scaled_with_the_values(block):
    rng = np.random.default_rng(3)
    line = 100 + 50 * np.exp(-0.5 * ((block([0]).grid.wavelength - 6564.6) / 6) ** 2)
    realisations = line + rng.normal(0, 2, (4000, line.size))
    spectra = block(realisations, ivar=0.25)
    result = extract(dataclasses.replace(HALPHA, scaling="standard"), spectra)
    scatter = result.values.var(axis=0)
    assert np.median(scatter * result.ivar.mean(axis=0)) == pytest.approx(1, rel=0.06)
    assert extract(HALPHA, spectra, ivar=False).ivar.shape == (4000, 0)


def test_a_block_equals_its_spectra_one_by_one(noisy):
    rng = np.random.default_rng(4)
    noisy.mask[rng.random(noisy.mask.shape) < 0.02] = Mask.COSMIC
    meta = [
        dataclasses.replace(m, resolving_power=[1800.0, 3000.0, float("nan")][i % 3], redshift=[0, 0.001][i % 2])
        for i, m in enumerate(noisy.meta)
    ]
    mixed = dataclasses.replace(noisy, meta=meta)
    for recipe in (HALPHA, dataclasses.replace(HALPHA, frame="rest", continuum=Continuum(degree=1))):
        whole = extract(recipe, mixed)
        for row in range(len(mixed)):
            part = slice(row, row + 1)
            single = SpectrumBlock(mixed.grid, mixed.flux[part], mixed.ivar[part], mixed.mask[part], [meta[row]])
            alone = extract(recipe, single)
            assert alone.values[0] == pytest.approx(whole.values[row], abs=2e-4)
            assert alone.ivar[0] == pytest.approx(whole.ivar[row], rel=1e-3)
            assert alone.bad_fraction[0] == pytest.approx(whole.bad_fraction[row], abs=1e-6)
            assert alone.flagged[0] == whole.flagged[row]


def test_rows_keep_their_order_across_chunks(block):
    n = 2500
    wave = block([0]).grid.wavelength
    heights = np.arange(n)[:, None]
    recipe = dataclasses.replace(HALPHA, scaling="none", resolving_power=None)
    result = extract(recipe, block(np.broadcast_to(heights, (n, wave.size))))
    assert result.values[:, 70] == pytest.approx(np.arange(n), rel=1e-5)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 999), st.floats(0, 0.9), st.sampled_from(["standard", "minmax", "none"]), st.booleans())
def test_values_are_always_finite(block, seed, share, scaling, continuum):
    rng = np.random.default_rng(seed)
    grid = Grid.linear(6480, 1.3, 200)
    flux = rng.normal(rng.choice([0, 100]), 5, (8, grid.n)).astype(np.float32)
    ivar = rng.uniform(0.1, 1, flux.shape).astype(np.float32)
    mask = (rng.random(flux.shape) < share).astype(np.uint8)
    flux[rng.random(flux.shape) < share / 10] = np.nan
    flux[0], flux[1] = 3.0, 1e38
    ivar[2] = 0.0
    recipe = dataclasses.replace(HALPHA, scaling=scaling, continuum=Continuum(degree=1) if continuum else None)
    result = extract(recipe, block(flux, grid, ivar=ivar, mask=mask))
    for array in (result.values, result.ivar, result.bad_fraction):
        assert np.isfinite(array).all()
    assert ((result.bad_fraction >= 0) & (result.bad_fraction <= 1)).all()
    assert (result.ivar >= 0).all()
    assert result.flagged[2]
    assert result.bad_fraction[2] == 1
    if scaling != "none" and not continuum:
        assert result.flagged[0]
        assert not result.values[0].any()


def test_the_share_of_bad_pixels_is_counted_and_judged(noisy):
    wave = noisy.grid.wavelength
    noisy.mask[1, (wave > 6519) & (wave < 6519 + 0.1 * 213)] = 1
    noisy.mask[2, (wave > 6519) & (wave < 6519 + 0.3 * 213)] = 1
    result = extract(HALPHA, noisy)
    assert result.bad_fraction[:3] == pytest.approx([0, 0.1, 0.3], abs=0.01)
    assert result.flagged[:4].tolist() == [False, False, True, False]
    assert not result.ivar[1, :12].any()
    assert result.ivar[1, 20:].all()
    lenient = dataclasses.replace(HALPHA, max_bad_fraction=0.5)
    assert not extract(lenient, noisy).flagged.any()


def test_a_bad_pixel_hardly_changes_a_smooth_spectrum(block):
    wave = block([0]).grid.wavelength
    flux = 100 + 50 * np.exp(-0.5 * ((wave - 6564.6) / 8) ** 2)
    clean = extract(HALPHA, block(flux)).values[0]
    spoilt = block(flux)
    hit = int(np.argmin(abs(wave - 6570)))
    spoilt.flux[0, hit], spoilt.mask[0, hit] = 9e4, Mask.COSMIC
    result = extract(HALPHA, spoilt)
    assert not result.flagged[0]
    assert np.abs(result.values[0] - clean).max() < 0.3 < 0.1 * np.ptp(clean)


@pytest.mark.parametrize(("first", "last", "lost"), [(6519, 6625, 0.5), (4000, 5000, 1.0), (6000, 6900, 0.0)])
def test_a_window_outside_the_coverage_is_bad_and_flagged(block, first, last, lost):
    grid = Grid.linear(first, 1.0, int(last - first))
    rng = np.random.default_rng(0)
    result = extract(HALPHA, block(rng.normal(10, 1, (3, grid.n)), grid))
    assert result.bad_fraction == pytest.approx(lost, abs=0.02)
    assert (result.flagged == (lost > 0.2)).all()
    assert np.isfinite(result.values).all()
    if lost == 1:
        assert not result.values.any()
        assert not result.ivar.any()


def test_a_constant_spectrum_becomes_zeros_and_is_flagged(block):
    for scaling in ("standard", "minmax"):
        result = extract(dataclasses.replace(HALPHA, scaling=scaling), block(np.full((2, 3909), 37.1)))
        assert result.flagged.all()
        assert not result.values.any()
        assert not result.bad_fraction.any()


def test_the_rest_frame_brings_redshifted_lines_together(block):
    wave = block([0]).grid.wavelength
    redshifts = [-0.0008, 0.0, 0.0011, 0.004]
    flux = [100 + 80 * np.exp(-0.5 * ((wave / (1 + z) - 6600) / 5) ** 2) for z in redshifts]
    spectra = block(flux)
    meta = [dataclasses.replace(m, redshift=z) for m, z in zip(spectra.meta, redshifts, strict=True)]
    spectra = dataclasses.replace(spectra, meta=meta)
    rest = extract(dataclasses.replace(HALPHA, frame="rest"), spectra).values
    observed = extract(HALPHA, spectra).values
    assert np.abs(rest - rest[1]).max() < 0.15
    assert np.abs(observed - observed[1]).max() > 1
    assert extract(HALPHA, spectra).values[1] == pytest.approx(rest[1], abs=1e-5)


def test_without_a_redshift_there_is_no_rest_frame(noisy):
    result = extract(dataclasses.replace(HALPHA, frame="rest"), noisy)
    assert result.flagged.all()
    assert (result.bad_fraction == 1).all()
    assert not result.values.any()


def test_redshifts_are_rounded_to_the_velocity_step():
    recipe = dataclasses.replace(HALPHA, frame="rest")
    assert recipe.velocity_bin(0.0) == 0
    assert recipe.velocity_bin(2.4 / 299792.458) == 0
    assert recipe.velocity_bin(2.6 / 299792.458) == 1
    grid = Grid.log10(3.80, 1e-4, 500)
    assert recipe.operator(grid, 1800.0, 1e-6) is recipe.operator(grid, 1800.0, 2e-6)


def test_dividing_by_the_continuum_gives_a_rectified_spectrum(block):
    wave = block([0]).grid.wavelength
    slope = 100 * (1 + (wave - 6600) / 300)
    line = 1 + 1.5 * np.exp(-0.5 * ((wave - 6564.6) / 4) ** 2)
    recipe = dataclasses.replace(
        HALPHA, scaling="none", continuum=Continuum(degree=1, windows=((6519.0, 6540.0), (6590.0, 6732.0)))
    )
    result = extract(recipe, block([slope * line, 7 * slope * line], ivar=0.04))
    assert result.values[0] == pytest.approx(result.values[1], rel=1e-4)
    assert result.values[0, 60:] == pytest.approx(1, abs=1e-3)
    assert result.values[0].max() == pytest.approx(2.5, abs=0.15)
    noise = 1 / np.sqrt(result.ivar[0, 100])
    level = np.interp(recipe.grid.wavelength[100], wave, slope)
    assert 2 / level < noise * 2 < 2 * 5 / level


def test_subtracting_the_continuum_undoes_slope_and_offset(block):
    wave = block([0]).grid.wavelength
    line = 40 * np.exp(-0.5 * ((wave - 6564.6) / 4) ** 2)
    recipe = dataclasses.replace(
        HALPHA, continuum=Continuum(degree=1, mode="subtract", windows=((6519.0, 6540.0), (6590.0, 6732.0)))
    )
    result = extract(recipe, block([line + 100, 3 * line - 20 + (wave - 6600) * 0.3]))
    assert not result.flagged.any()
    assert result.values[0] == pytest.approx(result.values[1], abs=2e-3)


def test_a_negative_continuum_cannot_divide(block):
    rng = np.random.default_rng(0)
    spectra = block(rng.normal([[-5.0], [5.0]], 0.1, (2, 3909)))
    result = extract(dataclasses.replace(HALPHA, continuum=Continuum(degree=1)), spectra)
    assert result.flagged.tolist() == [True, False]
    assert not result.values[0].any()


def test_coarser_spectra_are_kept_or_flagged_as_told(noisy):
    meta = [dataclasses.replace(m, resolving_power=900.0) for m in noisy.meta]
    coarse = dataclasses.replace(noisy, meta=meta)
    assert not extract(HALPHA, coarse).flagged.any()
    assert extract(dataclasses.replace(HALPHA, coarser_input="flag"), coarse).flagged.all()


def test_an_empty_block_gives_no_rows(noisy):
    empty = SpectrumBlock(noisy.grid, noisy.flux[:0], noisy.ivar[:0], noisy.mask[:0], [])
    assert extract(HALPHA, empty).values.shape == (0, 140)


def test_an_emission_line_without_weight_is_seen_and_doubted(block):
    """LAMOST gives ivar 0 to all of the Hα of BT CMi, mask 0, and a flux that is right."""
    wave = block([0]).grid.wavelength
    flux = 100 + 150 * np.exp(-0.5 * ((wave - 6564.6) / 5) ** 2)
    clean = extract(HALPHA, block(flux))
    spoilt = block(flux)
    hit = np.abs(wave - 6564.6) < 8
    spoilt.ivar[0, hit], spoilt.mask[0, hit] = 0, Mask.NO_WEIGHT
    used = extract(HALPHA, spoilt)
    assert used.values == pytest.approx(clean.values, abs=1e-5)
    assert not used.flagged[0]
    assert used.bad_fraction[0] == pytest.approx(16 / 213, abs=0.015)
    assert not used.ivar[0, np.abs(HALPHA.grid.wavelength - 6564.6) < 8].any()
    assert used.ivar[0, :20] == pytest.approx(clean.ivar[0, :20], rel=1e-4)
    masked = extract(dataclasses.replace(HALPHA, without_weight="mask"), spoilt)
    assert np.abs(masked.values - clean.values).max() > 1
    spoilt.mask[0, hit] |= np.uint8(Mask.COSMIC)
    assert extract(HALPHA, spoilt).values == pytest.approx(masked.values, abs=1e-5)


def test_a_spectrum_without_any_weight_is_flagged(noisy):
    noisy.ivar[3], noisy.mask[3] = 0, Mask.NO_WEIGHT
    result = extract(HALPHA, noisy)
    assert result.bad_fraction[3] == pytest.approx(1, abs=1e-4)
    assert result.flagged.sum() == 1
    assert result.values[3].any()
