"""Temperature scaling finds the temperature, and the calibration error measures what it should."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from emberline.learn.calibrate import expected_calibration_error, fit_temperature


def _drawn(n: int, seed: int, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Logits and labels that are drawn from exactly their probabilities."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n, classes))
    chance = softmax(logits, axis=1).cumsum(axis=1)
    labels = (rng.uniform(size=(n, 1)) > chance[:, :-1]).sum(axis=1)
    return logits, labels


@settings(deadline=None, max_examples=20)
@given(temperature=st.floats(0.3, 4.0), seed=st.integers(0, 100))
def test_the_temperature_of_distorted_logits_is_found(temperature, seed):
    logits, labels = _drawn(4000, seed)
    assert fit_temperature(logits * temperature, labels) == pytest.approx(temperature, rel=0.12)


def test_scaling_lowers_the_calibration_error_of_an_overconfident_network():
    logits, labels = _drawn(5000, 1)
    wild, other = 3 * logits, _drawn(5000, 2)
    temperature = fit_temperature(wild, labels)
    before = expected_calibration_error(softmax(3 * other[0], axis=1), other[1])
    after = expected_calibration_error(softmax(3 * other[0] / temperature, axis=1), other[1])
    assert before > 0.1
    assert after < 0.03


def test_a_few_right_answers_do_not_make_certain():
    logits = np.array([[2.0, 0.0]] * 12)
    assert 0.4 < fit_temperature(logits, np.zeros(12, np.int64)) < 1.0


def test_too_few_spectra_leave_the_temperature_at_one():
    assert fit_temperature(np.array([[9.0, 0.0]] * 9), np.ones(9, np.int64)) == 1.0


@settings(deadline=None, max_examples=20)
@given(scale=st.floats(0, 1e4), seed=st.integers(0, 9))
def test_the_temperature_is_bounded(scale, seed):
    rng = np.random.default_rng(seed)
    temperature = fit_temperature(scale * rng.standard_normal((30, 3)), rng.integers(0, 3, 30))
    assert math.exp(-2.5) <= temperature <= math.exp(2.5)


def test_the_calibration_error_of_known_cases():
    certain = np.array([[1.0, 0.0]] * 10)
    assert expected_calibration_error(certain, np.zeros(10, np.int64)) == 0.0
    assert expected_calibration_error(certain, np.ones(10, np.int64)) == 1.0
    even = np.array([[0.8, 0.2]] * 10)
    assert expected_calibration_error(even, np.array([0] * 8 + [1] * 2)) == pytest.approx(0.0, abs=1e-12)
    assert expected_calibration_error(even, np.array([0] * 5 + [1] * 5)) == pytest.approx(0.3)
    assert math.isnan(expected_calibration_error(np.empty((0, 2)), np.empty(0, np.int64)))
