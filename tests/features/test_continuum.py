"""The continuum is found under lines, noise and bad pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emberline.features import Continuum
from emberline.features.continuum import fit_continuum

X = np.linspace(-1, 1, 200)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 99), st.integers(0, 4), st.sampled_from([1e-17, 1.0, 1e6]))
def test_a_polynomial_is_found_exactly(seed, degree, size):
    rng = np.random.default_rng(seed)
    truth = size * np.polynomial.legendre.legval(X, rng.normal(size=(degree + 1, 3)))
    good = rng.random(truth.shape) > 0.2
    fit, failed = fit_continuum(truth.astype(np.float32), good, Continuum(degree=degree, iterations=0))
    assert not failed.any()
    assert fit == pytest.approx(truth, abs=1e-5 * size * max(1, np.abs(truth / size).max()))


@pytest.mark.parametrize("height", [-0.8, 3.0])
def test_a_line_hardly_moves_it(height):
    rng = np.random.default_rng(2)
    truth = 1.0 + 0.2 * X
    line = height * np.exp(-0.5 * ((X - 0.1) / 0.06) ** 2)
    rows = (truth + line + rng.normal(0, 0.01, (20, X.size))).astype(np.float32)
    rules = Continuum(degree=1, iterations=8)
    fit, _ = fit_continuum(rows, np.ones(rows.shape, bool), rules)
    naive, _ = fit_continuum(rows, np.ones(rows.shape, bool), Continuum(degree=1, iterations=0))
    assert np.abs(fit - truth).max() < 0.03
    assert np.abs(naive - truth).max() > 0.08


def test_a_row_does_not_depend_on_its_neighbours():
    rng = np.random.default_rng(3)
    rows = rng.normal(10, 1, (30, X.size)).astype(np.float32)
    rows[::3, 50:60] += 30
    good = rng.random(rows.shape) > 0.1
    together, _ = fit_continuum(rows, good, Continuum(degree=3))
    for row in range(30):
        alone, _ = fit_continuum(rows[row : row + 1], good[row : row + 1], Continuum(degree=3))
        assert alone[0] == pytest.approx(together[row], rel=1e-5)


def test_too_few_pixels_are_reported():
    rows, good = np.ones((2, X.size), np.float32), np.ones((2, X.size), bool)
    good[1, 3:] = False
    fit, failed = fit_continuum(rows, good, Continuum(degree=3))
    assert failed.tolist() == [False, True]
    assert np.isfinite(fit).all()
