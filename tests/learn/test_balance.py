"""Rare classes are made to count, and what could not be done is said."""

from __future__ import annotations

import numpy as np
import pytest

from emberline.learn.balance import balance

RNG = np.random.default_rng


def _training_set(*sizes: int) -> tuple[np.ndarray, np.ndarray]:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    values = RNG(0).standard_normal((labels.size, 6)) * 0.8 + labels[:, None]
    return values.astype(np.float32), labels


def test_smote_fills_every_class_between_its_own_members():
    values, labels = _training_set(60, 12)
    result = balance(values, labels, 2, "smote", RNG(1))
    assert np.bincount(result.labels).tolist() == [60, 60]
    assert result.values.dtype == np.float32
    np.testing.assert_array_equal(result.values[:72], values)
    synthetic, rare = result.values[72:], values[60:]
    assert (synthetic >= rare.min(axis=0) - 1e-5).all()
    assert (synthetic <= rare.max(axis=0) + 1e-5).all()
    assert (result.method, result.reason) == ("smote", "")


def test_adasyn_adds_where_the_classes_meet():
    values, labels = _training_set(80, 20)
    result = balance(values, labels, 2, "adasyn", RNG(1))
    assert result.method == "adasyn"
    assert np.bincount(result.labels)[1] > 60


def test_adasyn_without_a_border_falls_back_to_smote_and_says_so():
    values, labels = _training_set(60, 12)
    values[labels == 1] += 100
    result = balance(values, labels, 2, "adasyn", RNG(1))
    assert result.method == "smote"
    assert "ADASYN" in result.reason
    assert np.bincount(result.labels).tolist() == [60, 60]


@pytest.mark.parametrize("method", ["smote", "adasyn"])
def test_a_class_of_one_spectrum_falls_back_to_weights_and_says_so(method):
    values, labels = _training_set(30, 1, 5)
    result = balance(values, labels, 3, method, RNG(1))
    assert result.method == "weights"
    assert "2 spectra" in result.reason
    np.testing.assert_array_equal(result.values, values)
    assert result.weights[1] == result.weights.max()


def test_smote_with_few_members_uses_fewer_neighbours_and_says_so():
    values, labels = _training_set(30, 3)
    result = balance(values, labels, 2, "smote", RNG(1))
    assert np.bincount(result.labels).tolist() == [30, 30]
    assert "2 neighbours" in result.reason


def test_weights_are_inverse_frequencies_with_mean_one_and_absent_classes_are_harmless():
    values, labels = _training_set(40, 10)
    result = balance(values, labels, 3, "weights", RNG(1))
    assert result.weights[:2] == pytest.approx([0.625, 2.5])
    assert result.weights[labels].mean() == pytest.approx(1.0)
    assert np.isfinite(result.weights).all()


def test_none_changes_nothing():
    values, labels = _training_set(40, 10)
    result = balance(values, labels, 2, "none", RNG(1))
    assert result.values is values
    assert result.weights.tolist() == [1.0, 1.0]


def test_the_generator_decides():
    values, labels = _training_set(40, 10)
    first, second, other = (balance(values, labels, 2, "smote", RNG(seed)).values for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)
