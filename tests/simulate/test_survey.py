"""The survey as a whole: determinism, prevalence, truth, repeats and the window that equals the whole."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import multiprocessing

import numpy as np
import pytest

from emberline import config
from emberline.errors import ConfigError
from emberline.features import Recipe, extract
from emberline.simulate import CLASSES, Survey, feature_block, make_block, survey
from emberline.simulate.population import draw
from emberline.spectra import Mask

SMALL = Survey(spectra=250, seed=7, block=100, prevalence=0.1)


def _same(one, other) -> bool:
    arrays = all(np.array_equal(getattr(one.block, a), getattr(other.block, a)) for a in ("flux", "ivar", "mask"))
    return arrays and repr(one.block.meta) == repr(other.block.meta)


def test_the_same_seed_gives_the_same_survey_and_another_seed_another():
    one, other = make_block(SMALL, 1), make_block(SMALL, 1)
    assert _same(one, other)
    for name, column in one.truth.items():
        np.testing.assert_array_equal(column, other.truth[name])
    assert not np.array_equal(one.block.flux, make_block(dataclasses.replace(SMALL, seed=8), 1).block.flux)


def test_blocks_do_not_depend_on_workers_or_order():
    here = [make_block(SMALL, index) for index in (2, 0)]
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        there = list(pool.map(make_block, [SMALL, SMALL], [2, 0]))
    assert all(_same(one, other) for one, other in zip(here, there, strict=True))


def test_a_smaller_survey_is_the_beginning_of_a_larger_one():
    larger, smaller = make_block(SMALL, 0), make_block(dataclasses.replace(SMALL, spectra=40), 0)
    assert len(smaller.block) == 40
    np.testing.assert_array_equal(smaller.block.flux, larger.block.flux[:40])
    np.testing.assert_array_equal(smaller.truth["kind"], larger.truth["kind"][:40])


def test_blocks_cover_the_survey_with_unique_identifiers_and_finite_arrays():
    blocks = list(survey(SMALL))
    assert [len(part.block) for part in blocks] == [100, 100, 50]
    names = [name for part in blocks for name in part.block.identifiers]
    assert len(set(names)) == SMALL.spectra
    for part in blocks:
        assert part.block.identifiers == list(part.truth["identifier"])
        assert np.isfinite(part.block.flux).all()
        assert (part.block.ivar >= 0).all()
        absent = (part.block.mask & Mask.NO_DATA) > 0
        assert (part.block.ivar[absent] == 0).all()
        assert (part.block.ivar[~absent] > 0).all()
        assert {len(column) for column in part.truth.values()} == {len(part.block)}
    with pytest.raises(IndexError):
        make_block(SMALL, 3)


@pytest.mark.parametrize("share", [0.005, 0.2])
def test_prevalence_holds_within_binomial_error(share):
    settings = Survey(spectra=20000, seed=1, prevalence=share, repeats=0.0)
    found = sum(int((draw(settings, i).kind == CLASSES.index("be")).sum()) for i in range(settings.blocks))
    expected, spread = share * 20000, np.sqrt(share * (1 - share) * 20000)
    assert abs(found - expected) < 4 * spread


def test_repeats_share_the_object_and_its_physics_but_not_noise_or_date():
    block = make_block(Survey(spectra=200, seed=3, block=200, repeats=0.4, prevalence=0.3), 0)
    truth = block.truth
    repeated = np.flatnonzero(truth["object"] != truth["identifier"])
    assert 50 < repeated.size < 110
    first = {name: i for i, name in enumerate(truth["identifier"])}
    owner = np.array([first[name] for name in truth["object"][repeated]])
    for name in ("class", "teff", "inclination", "velocity", "redshift", "target"):
        np.testing.assert_array_equal(truth[name][repeated], truth[name][owner])
    assert [block.block.meta[i].ra for i in repeated] == [block.block.meta[i].ra for i in owner]
    assert all(block.block.meta[i].mjd != block.block.meta[j].mjd for i, j in zip(repeated, owner, strict=True))
    assert not np.isclose(block.block.flux[repeated], block.block.flux[owner]).all(axis=1).any()


def test_truth_is_consistent():
    truth = make_block(
        Survey(spectra=400, seed=2, block=400, prevalence=0.2, nebular=0.1, junk=0.1, quasars=0.1), 0
    ).truth
    disk = truth["class"] == "be"
    np.testing.assert_array_equal(disk, truth["target"])
    assert (truth["emission_width"][disk] > 0.5).all()
    assert (truth["emission_width"][truth["class"] == "star"] == 0).all()
    assert np.isfinite(truth["inclination"]).sum() == disk.sum()
    assert set(truth["label"][truth["class"] == "junk"]) == {"bad"}
    assert np.isnan(truth["teff"][truth["class"] == "quasar"]).all()
    assert (truth["kind"][truth["class"] == "star"] == "absorption").all()
    assert (truth["kind"][disk] != "absorption").mean() > 0.95


def test_ondrejov_labels_are_the_archive_s_classes_in_a_useful_mix():
    truth = make_block(Survey(preset="ondrejov", spectra=500, block=500, seed=4, repeats=0.0), 0).truth
    kinds, counts = np.unique(truth["label"], return_counts=True)
    assert list(kinds) == ["absorption", "double-peak", "emission", "shell"]
    assert (counts > [150, 60, 30, 10]).all()
    np.testing.assert_array_equal(truth["label"], truth["kind"])
    pole_on, edge_on = truth["inclination"] < 25.0, truth["inclination"] > 83.0
    assert (truth["kind"][pole_on] == "emission").mean() > 0.6
    assert (truth["kind"][edge_on] == "shell").mean() > 0.6


@pytest.mark.parametrize("preset", ["lamost", "ondrejov"])
@pytest.mark.parametrize("recipe", ["halpha-140", "halpha-ondrejov"])
def test_feature_blocks_equal_the_recipe_on_whole_spectra(preset, recipe):
    settings = Survey(
        preset=preset, spectra=150, block=150, seed=9, prevalence=0.3, nebular=0.1, quasars=0.1, galaxies=0.1, junk=0.05
    )
    whole, quick = make_block(settings, 0), feature_block(settings, 0, Recipe.load(recipe))
    expected = extract(Recipe.load(recipe), whole.block, ivar=False)
    np.testing.assert_allclose(quick.features.values, expected.values, atol=2e-3)
    np.testing.assert_allclose(quick.features.bad_fraction, expected.bad_fraction, atol=1e-6)
    np.testing.assert_array_equal(quick.features.flagged, expected.flagged)
    np.testing.assert_array_equal(quick.truth["label"], whole.truth["label"])


def test_a_rest_frame_recipe_gets_whole_spectra():
    settings = Survey(spectra=30, block=30, seed=5, quasars=0.2)
    recipe = dataclasses.replace(Recipe.load("halpha-140"), name="rest", frame="rest")
    quick = feature_block(settings, 0, recipe).features
    expected = extract(recipe, make_block(settings, 0).block, ivar=False)
    np.testing.assert_allclose(quick.values, expected.values, atol=1e-4)


def test_configuration_is_checked():
    with pytest.raises(ConfigError, match="prevalence"):
        config.from_mapping(Survey, {"prevalence": 1.5})
    with pytest.raises(ConfigError, match="exceed 1"):
        config.from_mapping(Survey, {"prevalence": 0.9, "quasars": 0.2})
    with pytest.raises(ConfigError, match="prevalence"):
        config.from_mapping(Survey, {"prevalance": 0.1})
    with pytest.raises(ConfigError, match="repeats"):
        config.from_mapping(Survey, {"repeats": 1.0})
