"""Fit and remove the continuum of many spectra at once: least squares by normal equations, with outliers rejected."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["ContinuumRules", "fit_continuum"]

_RIDGE = 1e-9  # keeps the normal equations of hopeless rows solvable; far below the float32 of the data

Float64 = NDArray[np.float64]


class ContinuumRules(Protocol):
    """What `fit_continuum` reads of `emberline.features.Continuum`."""

    @property
    def degree(self) -> int: ...
    @property
    def iterations(self) -> int: ...
    @property
    def reject_below(self) -> float: ...
    @property
    def reject_above(self) -> float: ...


def fit_continuum(
    values: NDArray[np.float32], good: NDArray[np.bool_], rules: ContinuumRules
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Fit a polynomial to each row, rejecting pixels too far below or above the fit, and repeat.

    Parameters
    ----------
    values : ndarray of float32, shape (n, d)
    good : ndarray of bool, shape (n, d)
        The pixels to fit: good and inside the continuum windows.
    rules : Continuum
        Degree, number of repetitions, and the two limits in standard deviations.

    Returns
    -------
    continuum : ndarray of float32, shape (n, d)
    failed : ndarray of bool, shape (n,)
        Rows with too few pixels for the degree, or whose fit is not finite; their continuum is 0.
    """
    size = np.abs(values).max(axis=1, keepdims=True, where=good, initial=0.0).astype(np.float64)
    data = np.where(good, values, np.float32(0)) / np.where(size > 0, size, 1.0)
    x = np.linspace(-1.0, 1.0, values.shape[1])
    basis = np.asarray(np.polynomial.legendre.legvander(x, rules.degree), dtype=np.float64)
    used = good.copy()
    failed = used.sum(axis=1) <= rules.degree
    fit = _solve(data, used, basis)
    for _ in range(rules.iterations):
        residual = data - fit
        sigma = np.sqrt(
            (residual**2 * used).sum(axis=1, keepdims=True) / np.maximum(used.sum(axis=1, keepdims=True), 1)
        )
        kept = good & (residual >= -rules.reject_below * sigma) & (residual <= rules.reject_above * sigma)
        enough = kept.sum(axis=1, keepdims=True) > rules.degree + 1
        kept = np.where(enough, kept, used)
        if (kept == used).all():
            break
        used = kept
        fit = _solve(data, used, basis)
    continuum = fit * size
    failed |= ~np.isfinite(continuum).all(axis=1)
    continuum[failed] = 0.0
    return continuum.astype(np.float32), failed


def _solve(data: Float64, used: NDArray[np.bool_], basis: Float64) -> Float64:
    """Least squares of every row on `basis` (d, k): one product makes all normal matrices, one call solves them."""
    d, k = basis.shape
    weight = used.astype(np.float64)
    products = (basis[:, :, None] * basis[:, None, :]).reshape(d, k * k)
    normal = (weight @ products).reshape(-1, k, k) + _RIDGE * np.eye(k)
    right = (data * weight) @ basis
    coefficients = np.linalg.solve(normal, right[:, :, None])[:, :, 0]
    return np.asarray(coefficients @ basis.T)
