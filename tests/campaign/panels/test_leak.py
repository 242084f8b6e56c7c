"""Light of neighbours in a fibre: the profile holds all light, falls, and Pleione is caught."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberline.campaign.panels.leak import fraction_in_fibre, leak, star_profile

SEEING = st.floats(0.5, 5.0)


@given(SEEING)
def test_the_profile_holds_all_the_light_within_a_degree(seeing: float) -> None:
    radius = np.geomspace(1e-4, 3600, 20_000)
    middle = np.sqrt(radius[1:] * radius[:-1])
    whole = np.sum(2 * np.pi * middle * star_profile(middle, seeing) * np.diff(radius))
    assert whole == pytest.approx(1.0, abs=2e-3)


@given(SEEING)
def test_the_profile_falls_everywhere_and_has_its_width(seeing: float) -> None:
    radius = np.geomspace(0.01, 1000, 500)
    values = star_profile(radius, seeing)
    assert (np.diff(values) < 0).all()
    half = star_profile(seeing / 2, seeing) / star_profile(0.0, seeing)
    assert half == pytest.approx(0.5, abs=0.01)


def test_the_wings_are_those_that_were_measured() -> None:
    """Inverse square far out, at King's 5 % of the light between the core and a degree."""
    far = star_profile(np.array([200.0, 400.0]), 2.0)
    assert far[0] / far[1] == pytest.approx(4.0, rel=0.02)
    assert far[0] * 200**2 == pytest.approx(0.05 / (math.pi * math.log1p((3600 / 10) ** 2)), rel=0.05)


@pytest.mark.parametrize(
    ("separation", "diameter", "seeing"), [(0, 3.3, 3.0), (2, 2.0, 1.5), (22, 3.3, 3.0), (5, 1.5, 1.1)]
)
def test_the_fraction_is_the_integral_over_the_fibre(separation: float, diameter: float, seeing: float) -> None:
    side = np.linspace(-diameter / 2, diameter / 2, 1201)
    x, y = np.meshgrid(side, side)
    inside = np.hypot(x, y) <= diameter / 2
    values = star_profile(np.hypot(x - separation, y), seeing)
    area = math.pi * diameter**2 / 4
    expected = values[inside].mean() * area
    assert fraction_in_fibre(separation, diameter, seeing) == pytest.approx(expected, rel=2e-3)


@given(st.floats(0, 60), st.floats(0.5, 5), SEEING)
def test_a_fraction_is_one(separation: float, diameter: float, seeing: float) -> None:
    assert 0 < fraction_in_fibre(separation, diameter, seeing) < 1


@given(st.floats(5, 55), SEEING)
def test_what_is_farther_away_leaks_less(separation: float, seeing: float) -> None:
    assert fraction_in_fibre(separation, 3.3, seeing) > fraction_in_fibre(separation + 1, 3.3, seeing)


@pytest.mark.parametrize("target", [13.0, 14.0, 15.0])
def test_pleione_is_caught(target: float) -> None:
    """V = 5.05 at 22″ from a LAMOST fibre; a Gaussian of 3″ would say 10⁻⁶⁵ of its light."""
    assert leak(5.05, target, 22.0, 3.3, 3.0) > 0.09
    gaussian = math.exp(-0.5 * (22 / (3 / 2.3548)) ** 2)
    assert gaussian < 1e-60


def test_a_neighbour_as_faint_as_the_target_does_not_leak_from_afar() -> None:
    assert leak(15.0, 15.0, 10.0, 3.3, 3.0) < 1e-3
    assert leak(15.0, 15.0, 0.0, 3.3, 3.0) == pytest.approx(1.0)
