"""The metrics of a known confusion."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, precision_score, recall_score

from emberline.learn.metrics import evaluate


def test_metrics_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 200)
    probabilities = rng.dirichlet([1, 1, 1], 200)
    predicted = probabilities.argmax(axis=1)
    metrics = evaluate(probabilities, labels, ("a", "b", "c"))
    assert metrics["accuracy"] == pytest.approx((predicted == labels).mean())
    assert metrics["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, predicted))
    for name, score in (("precision", precision_score), ("recall", recall_score), ("f1", f1_score)):
        expected = score(labels, predicted, average=None)
        assert [metrics["per_class"][c][name] for c in "abc"] == pytest.approx(list(expected))


def test_what_cannot_be_said_is_none():
    metrics = evaluate(np.array([[1.0, 0.0, 0.0]]), np.array([0]), ("a", "b", "c"))
    assert metrics["per_class"]["b"] == {"precision": None, "recall": None, "f1": None, "support": 0}
    assert metrics["balanced_accuracy"] == 1.0
    assert evaluate(np.empty((0, 2)), np.empty(0, np.int64), ("a", "b"))["accuracy"] is None
