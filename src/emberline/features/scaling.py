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
) -> tuple[Float32, NDArray[np.bool_]]:
    """Shift and scale rows, in place, so that their statistics over the good pixels are fixed.

    Parameters
    ----------
    values : ndarray of float32, shape (n, d)
        Finite afterwards: rows that are constant, not finite, or without good pixels become 0 everywhere.
    good : ndarray of bool, shape (n, d), or None
        The pixels that count; None for all.
    kind : "standard", "minmax" or "none"
        To mean 0 and (population) standard deviation 1; to minimum 0 and maximum 1; or not at all.

    Returns
    -------
    factor : ndarray of float32, shape (n,)
        By which the row was multiplied, for scaling its uncertainties; 0 for failed rows.
    failed : ndarray of bool, shape (n,)
        The rows that could not be scaled.
    """
    with np.errstate(all="ignore"):
        if kind == "none":
            spread, size = np.isfinite(values).all(axis=1).astype(np.float64), np.zeros(len(values))
        else:
            shift = _centre if kind == "standard" else _to_minimum
            spread, size = shift(values, good)
        failed = np.asarray(~(spread > _CONSTANT * size) | ~np.isfinite(spread))
        if good is not None:
            failed = failed | ~good.any(axis=1)
        factor = np.where(failed, 0.0, 1.0 / spread).astype(np.float32)
        values *= factor[:, None]
    if failed.any():
        values[failed] = 0.0
    return factor, failed


def _centre(values: Float32, good: NDArray[np.bool_] | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Subtract the mean of each row; return its standard deviation and the size of its values."""
    d = values.shape[1]
    weight = None if good is None else good.astype(np.float32)
    count = np.float32(d) if weight is None else np.maximum(weight @ np.ones(d, np.float32), 1)
    mean = _sums(values, weight) / count
    values -= mean[:, None]
    rest = _sums(values, weight) / count  # what rounding left of the mean
    kept = values if weight is None else values * weight
    square = np.einsum("ij,ij->i", kept, kept).astype(np.float64) / count - rest.astype(np.float64) ** 2
    extreme = np.flatnonzero(~((square > 1e-30) & (square < 1e30)))
    if extreme.size:  # squares that float32 cannot hold
        large = kept[extreme].astype(np.float64)
        square[extreme] = (large**2).sum(axis=1) / np.broadcast_to(count, len(values))[extreme]
    uneven = np.flatnonzero(rest.astype(np.float64) ** 2 > 1e-10 * square)
    if uneven.size:
        values[uneven] -= rest[uneven, None]
    return np.sqrt(square), np.abs(mean).astype(np.float64)


def _sums(values: Float32, weight: Float32 | None) -> Float32:
    """The (weighted) sum of each row."""
    if weight is None:
        return values @ np.ones(values.shape[1], np.float32)
    return np.asarray(np.einsum("ij,ij->i", values, weight))


def _to_minimum(values: Float32, good: NDArray[np.bool_] | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Subtract the minimum of each row; return its range and the size of its values."""
    if good is None:
        low, high = values.min(axis=1), values.max(axis=1)
    else:
        low = np.where(good, values, np.float32(np.inf)).min(axis=1)
        high = np.where(good, values, np.float32(-np.inf)).max(axis=1)
    values -= low[:, None]
    return high.astype(np.float64) - low, np.maximum(np.abs(low), np.abs(high)).astype(np.float64)


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
