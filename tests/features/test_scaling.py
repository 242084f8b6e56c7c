"""Scaling and the filling of gaps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emberline.features.scaling import fill_gaps, scale

FEW = settings(deadline=None, max_examples=30)


@FEW
@given(st.integers(0, 99), st.floats(-3, 3), st.sampled_from([1e-20, 1e-17, 1.0, 1e4, 1e20]), st.booleans())
def test_standard_gives_mean_0_and_deviation_1_over_the_good_pixels(seed, offset, size, masked):
    rng = np.random.default_rng(seed)
    values = (size * (rng.normal(size=(5, 70)) + offset)).astype(np.float32)
    good = rng.random(values.shape) > 0.2 if masked else None
    scaled = values.copy()
    factor, failed = scale(scaled, good, "standard")
    assert not failed.any()
    for row, kept in enumerate(np.ones_like(values, bool) if good is None else good):
        assert scaled[row][kept].mean() == pytest.approx(0, abs=1e-5)
        assert scaled[row][kept].std() == pytest.approx(1, rel=1e-4)
        assert factor[row] == pytest.approx(1 / values[row][kept].astype(float).std(), rel=1e-4)


@FEW
@given(st.integers(0, 99), st.booleans())
def test_minmax_gives_0_to_1_over_the_good_pixels(seed, masked):
    rng = np.random.default_rng(seed)
    values = rng.normal(50, 3, (5, 70)).astype(np.float32)
    good = rng.random(values.shape) > 0.2 if masked else np.ones(values.shape, bool)
    scaled = values.copy()
    _, failed = scale(scaled, good if masked else None, "minmax")
    assert not failed.any()
    for row in range(5):
        assert scaled[row][good[row]].min() == pytest.approx(0, abs=1e-5)
        assert scaled[row][good[row]].max() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("kind", ["standard", "minmax"])
@pytest.mark.parametrize("masked", [False, True])
def test_rows_without_a_meaning_become_zero_and_are_reported(kind, masked):
    values = np.random.default_rng(1).normal(size=(6, 40)).astype(np.float32)
    values[1] = 7.3
    values[2] = 0.0
    values[3, 5] = np.nan
    values[4, 7] = np.inf
    good = np.ones(values.shape, bool) if masked else None
    scaled = values.copy()
    factor, failed = scale(scaled, good, kind)
    assert failed.tolist() == [False, True, True, True, True, False]
    assert np.isfinite(scaled).all()
    assert not scaled[1:5].any()
    assert not factor[1:5].any()


def test_a_row_without_a_good_pixel_fails():
    values = np.random.default_rng(1).normal(size=(2, 40)).astype(np.float32)
    good = np.ones(values.shape, bool)
    good[1] = False
    for kind in ("standard", "minmax", "none"):
        assert scale(values.copy(), good, kind)[1].tolist() == [False, True]


def test_none_changes_nothing():
    values = np.array([[1.0, 2.0], [3.0, 3.0], [np.nan, 1.0]], np.float32)
    scaled = values.copy()
    factor, failed = scale(scaled, None, "none")
    assert scaled[:2].tolist() == [[1, 2], [3, 3]]
    assert factor.tolist() == [1, 1, 0]
    assert failed.tolist() == [False, False, True]


def test_gaps_are_bridged_by_straight_lines():
    values = np.array([[9, 1, 9, 9, 4, 9], [9, 9, 9, 9, 9, 9], [9, 9, 5, 6, 9, 9]], np.float32)
    good = np.array([[0, 1, 0, 0, 1, 0], [0] * 6, [0, 0, 1, 1, 0, 0]], bool)
    fill_gaps(values, good)
    assert values.tolist() == [[1, 1, 2, 3, 4, 4], [0] * 6, [5, 5, 5, 6, 6, 6]]


@FEW
@given(st.integers(0, 999), st.floats(0, 1))
def test_filled_gaps_equal_interpolation(seed, share):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(4, 23)).astype(np.float32)
    good = rng.random(values.shape) > share
    expected = values.copy()
    x = np.arange(23.0)
    for row in range(4):
        expected[row] = np.interp(x, x[good[row]], values[row][good[row]]) if good[row].any() else 0
    fill_gaps(values, good)
    assert values == pytest.approx(expected, abs=1e-5)
