"""Scale each feature vector by its own good pixels."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["fill_gaps", "scale"]

_CONSTANT = 2e-6  # relative spread below which float32 cannot tell a spectrum from a constant

Float32 = NDArray[np.float32]


def scale(
    values: Float32, good: NDArray[np.bool_] | None, kind: Literal["standard", "minmax", "none"]
) -> tuple[Float32, Float32, NDArray[np.bool_]]:
    """Shift and scale rows so that their statistics over the good pixels are fixed.

    Parameters
    ----------
    values : ndarray of float32, shape (n, d)
    good : ndarray of bool, shape (n, d), or None
        The pixels that count; None for all.
    kind : "standard", "minmax" or "none"
        To mean 0 and (population) standard deviation 1; to minimum 0 and maximum 1; or not at all.

    Returns
    -------
    scaled : ndarray of float32, shape (n, d)
        Finite: rows that are constant, not finite, or without good pixels become 0 everywhere.
    factor : ndarray of float32, shape (n,)
        By which the row was multiplied, for scaling its uncertainties; 0 for failed rows.
    failed : ndarray of bool, shape (n,)
        The rows that could not be scaled.
    """
    with np.errstate(all="ignore"):
        if kind == "none":
            shift, spread = np.zeros(len(values)), np.ones(len(values))
            failed: NDArray[np.bool_] = np.asarray(~np.isfinite(values).all(axis=1))
        else:
            statistics = _mean_and_deviation if kind == "standard" else _minimum_and_range
            shift, spread, size = statistics(values, good)
            failed = np.asarray(~(spread > _CONSTANT * size) | ~np.isfinite(spread))
        if good is not None:
            failed = failed | ~good.any(axis=1)
        factor = np.where(failed, 0.0, 1.0 / spread)
        scaled = values - shift[:, None].astype(np.float32)
        scaled *= factor[:, None].astype(np.float32)
    scaled[failed] = 0.0
    return scaled, factor.astype(np.float32), failed


_Statistics = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def _mean_and_deviation(values: Float32, good: NDArray[np.bool_] | None) -> _Statistics:
    """Per row: mean, standard deviation, and the size of its values."""
    if good is None:
        mean = values.mean(axis=1, dtype=np.float64)
        centred = values - mean[:, None].astype(np.float32)
        square = np.einsum("ij,ij->i", centred, centred).astype(np.float64) / values.shape[1]
    else:
        weight = good.astype(np.float32)
        count = np.maximum(weight.sum(axis=1), 1)
        rough = np.einsum("ij,ij->i", values, weight) / count
        centred = (values - rough[:, None]) * weight
        shift = centred.mean(axis=1, dtype=np.float64) * (values.shape[1] / count)
        mean = rough + shift
        square = np.einsum("ij,ij->i", centred, centred).astype(np.float64) / count - shift**2
    extreme = np.flatnonzero(~((square > 1e-30) & (square < 1e30)))
    if extreme.size:  # squares that float32 cannot hold
        square[extreme] = (centred[extreme].astype(np.float64) ** 2).sum(axis=1)
        square[extreme] /= values.shape[1] if good is None else count[extreme]
    return mean, np.sqrt(square), np.abs(mean)


def _minimum_and_range(values: Float32, good: NDArray[np.bool_] | None) -> _Statistics:
    """Per row: minimum, range, and the size of its values."""
    if good is None:
        low, high = values.min(axis=1), values.max(axis=1)
    else:
        low = np.where(good, values, np.float32(np.inf)).min(axis=1)
        high = np.where(good, values, np.float32(-np.inf)).max(axis=1)
    low64, high64 = low.astype(np.float64), high.astype(np.float64)
    return low64, high64 - low64, np.maximum(np.abs(low64), np.abs(high64))


def fill_gaps(values: Float32, good: NDArray[np.bool_]) -> None:
    """Replace bad pixels by straight lines between the nearest good ones, in place; ends repeat the last good value.

    Rows without any good pixel become 0.

    Parameters
    ----------
    values : ndarray of float32, shape (n, d)
        Contiguous in C order.
    good : ndarray of bool, shape (n, d)
    """
    d = values.shape[1]
    at = np.flatnonzero(~good)
    begins = np.flatnonzero((np.diff(at, prepend=-2) != 1) | (at % d == 0))
    length = np.diff(begins, append=at.size)
    first = np.repeat(at[begins], length)
    last = first + np.repeat(length, length) - 1
    no_left, no_right = first % d == 0, last % d == d - 1
    left = np.where(no_left, last + 1, first - 1)
    right = np.where(no_right, first - 1, last + 1)
    nothing = no_left & no_right
    left[nothing] = right[nothing] = 0
    flat = values.reshape(-1)
    along = ((at - left) / np.maximum(right - left, 1)).astype(np.float32)
    filled = flat[left] * (1 - along) + flat[right] * along
    flat[at] = np.where(nothing, np.float32(0), filled)
