"""How good predictions are on held-out spectra."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberline.learn.calibrate import expected_calibration_error

__all__ = ["evaluate"]


def evaluate(
    probabilities: NDArray[np.floating], labels: NDArray[np.int64], classes: tuple[str, ...]
) -> dict[str, Any]:
    """Accuracy, balanced accuracy, calibration error, and precision, recall and F1 of each class.

    Parameters
    ----------
    probabilities : (n, k) float
        Predicted probabilities.
    labels : (n,) int
        True classes.
    classes : tuple of str
        The names of the k classes.

    Returns
    -------
    dict
        JSON-able; what cannot be said (no spectra of a class, no prediction of it) is None.
    """
    labels = np.asarray(labels)
    predicted = probabilities.argmax(axis=1)
    k = len(classes)
    confusion = np.bincount(labels * k + predicted, minlength=k * k).reshape(k, k)
    recalls = [_ratio(confusion[i, i], confusion[i].sum()) for i in range(k)]
    precisions = [_ratio(confusion[i, i], confusion[:, i].sum()) for i in range(k)]
    known = [recall for recall in recalls if recall is not None]
    per_class = {
        name: {
            "precision": precisions[i],
            "recall": recalls[i],
            "f1": _ratio(2 * confusion[i, i], confusion[i].sum() + confusion[:, i].sum()),
            "support": int(confusion[i].sum()),
        }
        for i, name in enumerate(classes)
    }
    return {
        "accuracy": _ratio(int((predicted == labels).sum()), labels.size),
        "balanced_accuracy": float(np.mean(known)) if known else None,
        "ece": expected_calibration_error(probabilities, labels) if labels.size else None,
        "per_class": per_class,
    }


def _ratio(part: int, whole: int) -> float | None:
    return float(part) / float(whole) if whole else None
