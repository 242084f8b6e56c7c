"""Make probabilities mean what they say: temperature scaling on held-out objects, and how far off they are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

__all__ = ["expected_calibration_error", "fit_temperature"]

_FEWEST = 10
_BOUNDS = (-2.5, 2.5)
_PRIOR_WIDTH = 0.5


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The temperature by which logits are divided before the softmax (Guo et al. 2017, arXiv:1706.04599).

    The likelihood of the held-out labels is maximised together with a log-normal prior around 1 (0.5 in ln T). Without
    the prior a small held-out set that happens to be all right would make the network certain of everything.

    Parameters
    ----------
    logits : (n, k) float
        Of held-out spectra.
    labels : (n,) int
        Their true classes.

    Returns
    -------
    float
        Between e^-2.5 and e^2.5; exactly 1 for fewer than 10 spectra.
    """
    logits, labels = np.asarray(logits, dtype=np.float64), np.asarray(labels)
    if labels.size < _FEWEST:
        return 1.0

    def cost(log_temperature: float) -> float:
        likelihood = log_softmax(logits / np.exp(log_temperature), axis=1)[np.arange(labels.size), labels].sum()
        return float(0.5 * (log_temperature / _PRIOR_WIDTH) ** 2 - likelihood)

    return float(np.exp(minimize_scalar(cost, bounds=_BOUNDS, method="bounded", options={"xatol": 1e-5}).x))


def expected_calibration_error(
    probabilities: NDArray[np.floating], labels: NDArray[np.int64], *, bins: int = 15
) -> float:
    """Mean distance between confidence and accuracy over equal bins of confidence, weighted by their spectra.

    Parameters
    ----------
    probabilities : (n, k) float
        Predicted probabilities.
    labels : (n,) int
        True classes.

    Returns
    -------
    float
        0 (perfect) to 1; NaN without spectra.
    """
    labels = np.asarray(labels)
    if labels.size == 0:
        return float("nan")
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    bin_of = np.clip((confidence * bins).astype(np.int64), 0, bins - 1)
    gap = np.bincount(bin_of, weights=right - confidence, minlength=bins)
    return float(np.abs(gap).sum() / labels.size)
