"""Recipes are read, checked and identified."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest

from emberline.errors import RecipeError
from emberline.features import Continuum, Recipe, shipped_recipes

CHANGES = {
    "window_angstrom": (6519.0, 6700.0),
    "pixels": 141,
    "sampling": "log",
    "resolving_power": 1700.0,
    "coarser_input": "flag",
    "frame": "rest",
    "continuum": Continuum(degree=1),
    "scaling": "minmax",
    "without_weight": "mask",
    "max_bad_fraction": 0.3,
}


def test_halpha_140_is_what_was_published():
    recipe = Recipe.load("halpha-140")
    assert recipe.pixels == recipe.grid.n == 140
    assert recipe.grid.wavelength[0] == 6519.0
    assert recipe.grid.wavelength[-1] == pytest.approx(6732.0, abs=1e-9)
    assert np.ptp(np.diff(recipe.grid.wavelength)) < 1e-9
    assert (recipe.resolving_power, recipe.scaling, recipe.continuum) == (1800.0, "standard", None)


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_shipped_recipe_is_complete_and_survives_a_round_trip(name, tmp_path):
    recipe = Recipe.load(name)
    assert recipe.name == name
    assert recipe.description
    path = tmp_path / "copy.toml"
    path.write_text(recipe.to_toml(), encoding="utf-8")
    again = Recipe.load(path)
    assert again == recipe
    assert again.hash == recipe.hash
    assert pickle.loads(pickle.dumps(recipe)) == recipe


def test_the_ondrejov_recipe_stays_inside_what_both_surveys_cover():
    from emberline.spectra import air_to_vacuum

    recipe = Recipe.load("halpha-ondrejov")
    low, high = air_to_vacuum([6463.2, 6662.5])
    assert low < recipe.grid.edges[0]
    assert recipe.grid.edges[-1] < high
    shared = Recipe.load("halpha-140").grid.wavelength[: recipe.pixels]
    assert recipe.grid.wavelength == pytest.approx(shared, abs=0.1)


@pytest.mark.parametrize("key", CHANGES)
def test_the_hash_depends_on_what_changes_numbers(key):
    recipe = Recipe.load("halpha-140")
    assert dataclasses.replace(recipe, **{key: CHANGES[key]}).hash != recipe.hash


def test_every_field_is_known_to_matter_or_not():
    named = {field.name for field in dataclasses.fields(Recipe)}
    assert named == set(CHANGES) | {"name", "description", "velocity_step_kms"}


def test_the_hash_depends_on_nothing_else(monkeypatch):
    recipe = Recipe.load("halpha-140")
    same = {"name": "other", "description": "other", "velocity_step_kms": 7.0}
    for key, value in same.items():
        assert dataclasses.replace(recipe, **{key: value}).hash == recipe.hash
    rest = dataclasses.replace(recipe, frame="rest")
    assert dataclasses.replace(rest, velocity_step_kms=7.0).hash != rest.hash
    monkeypatch.setattr("emberline.features.recipe.OPERATOR_VERSION", 999)
    assert Recipe.load("halpha-140").hash != recipe.hash


def test_logarithmic_sampling_ends_where_it_is_told():
    grid = Recipe(name="r", window_angstrom=(3850.0, 9000.0), pixels=1024, sampling="log").grid
    assert grid.wavelength[[0, -1]] == pytest.approx([3850, 9000], abs=1e-6)
    assert np.ptp(np.diff(np.log(grid.wavelength))) < 1e-12
    assert np.ptp(np.diff(np.log(grid.edges))) < 1e-12


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("window_angstrom = [6700, 6500]\npixels = 10", "two increasing wavelengths"),
        ("window_angstrom = [6500, 6700]\npixels = 1", "pixels = 1"),
        ("window_angstrom = [6500]\npixels = 10", "an array of 2 values"),
        ("window_angstrom = [6500, 6700]", "'pixels' is missing"),
        ("window_angstrom = [6500, 6700]\npixels = 10\nscalling = 'none'", "Did you mean 'scaling'?"),
        ("window_angstrom = [6500, 6700]\npixels = 10\nscaling = 'standart'", "Did you mean 'standard'?"),
        ("window_angstrom = [6500, 6700]\npixels = 10\nresolving_power = 0", "resolving_power = 0"),
        ("window_angstrom = [6500, 6700]\npixels = 10\nmax_bad_fraction = 1.0", "max_bad_fraction = 1.0"),
        ("window_angstrom = [6500, 6700]\npixels = 10\nvelocity_step_kms = 0", "velocity_step_kms = 0"),
        ("window_angstrom = [6500, 6700]\npixels = 10\n[continuum]\ndegree = 12", "degree = 12"),
        ("window_angstrom = [6500, 6700]\npixels = 10\n[continuum]\nwindows = [[6400, 6550]]", "leaves the recipe's"),
        ("window_angstrom = [6500, 6700]\npixels = 10\n[continuum]\nwindows = [[6510, 6530]]", "too few"),
        ("window_angstrom = [6500, 6700]\npixels = 10\n[continuum]\nwindows = [[6530, 6510]]", "must increase"),
        ("window_angstrom = [6500, 6700\npixels = 10", "not valid TOML"),
    ],
)
def test_a_wrong_file_is_refused_in_words(tmp_path, text, words):
    path = tmp_path / "wrong.toml"
    path.write_text('name = "wrong"\n' + text, encoding="utf-8")
    with pytest.raises(RecipeError, match=r"wrong\.toml") as caught:
        Recipe.load(path)
    assert words in str(caught.value)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(RecipeError, match="Did you mean 'halpha-140'"):
        Recipe.load("halpha140")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RecipeError, match=r"absent\.toml: cannot be read"):
        Recipe.load(tmp_path / "absent.toml")
