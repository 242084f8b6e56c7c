"""What is common in the feature vectors, and what stands out from it as a line."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberline.files import forget_pages
from emberline.learn.strategies._base import Rows

__all__ = ["Subspace", "extremeness", "line_anomaly", "running_mean", "without_spikes"]

_BLOCK = 65_536


@dataclasses.dataclass(frozen=True, eq=False)
class Subspace:
    """The mean (d,) and the leading principal directions (c, d) of a sample of feature vectors."""

    mean: NDArray[np.float64]
    directions: NDArray[np.float64]

    @classmethod
    def fit(cls, values: NDArray[Any], components: int) -> Subspace:
        """Principal components by the covariance matrix; the sign of each makes its largest element positive."""
        values = np.asarray(values, dtype=np.float64)
        mean = values.mean(axis=0)
        covariance = (values - mean).T @ (values - mean)
        directions = np.linalg.eigh(covariance)[1][:, ::-1].T[:components]
        largest = np.abs(directions).argmax(axis=1)
        signs = np.sign(directions[np.arange(len(directions)), largest])
        return cls(mean, directions * signs[:, None])

    def coordinates(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Position within the subspace. (m, c)"""
        return (np.asarray(values, dtype=np.float64) - self.mean) @ self.directions.T

    def residuals(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """What the subspace does not explain, in the precision of features. (m, d)"""
        directions = self.directions.astype(np.float32)
        centred = np.asarray(values, dtype=np.float32) - self.mean.astype(np.float32)
        return np.asarray(centred - (centred @ directions.T) @ directions, dtype=np.float32)


def extremeness(
    features: NDArray[Any], space: Subspace, rows: Rows, sample: Rows
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far out each row lies along the direction of the subspace in which it is farthest out.

    What is rare and strong is part of what varies most: it lies within the leading components, far from the rest, and
    not in what they leave over.

    Parameters
    ----------
    features : (n, d) array
        Feature vectors; read in blocks.
    space : Subspace
        The leading directions.
    rows : (m,) int64
        Rows to look at.
    sample : (s,) int64
        Rows whose median and robust scatter (1.4826 × median absolute deviation) are the measure along each direction.

    Returns
    -------
    scores : (n,) float
        The largest absolute deviation; minus infinity for the rows that were not asked for.
    deviations : (n, c) float
        Along each direction; zero for those.
    """
    known = space.coordinates(features[sample])
    middle = np.median(known, axis=0)
    scatter = np.maximum(1.4826 * np.median(np.abs(known - middle), axis=0), 1e-9)
    scores, deviations = np.full(len(features), -np.inf), np.zeros((len(features), len(middle)))
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        deviations[block] = (space.coordinates(features[block]) - middle) / scatter
        scores[block] = np.abs(deviations[block]).max(axis=1)
        forget_pages(features)
    return scores, deviations


def line_anomaly(features: NDArray[Any], space: Subspace, rows: Rows, width: int = 3) -> NDArray[np.float64]:
    """The significance of the strongest line in each row's residual.

    Noise averages out over `width` pixels and single-pixel spikes are taken out; a line stays.

    Parameters
    ----------
    features : (n, d) array
        Feature vectors along wavelength; read in blocks.
    space : Subspace
        What is common.
    rows : (m,) int64
        Rows to look at.
    width : int
        Running mean in pixels.

    Returns
    -------
    (n,) float
        The largest absolute smoothed residual over the residual's robust scatter (1.4826 × median absolute value);
        minus infinity for the rows that were not asked for.
    """
    scores = np.full(len(features), -np.inf)
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        residuals = space.residuals(features[block])
        scatter = 1.4826 * _row_medians(np.abs(residuals))
        lines = running_mean(without_spikes(residuals), width)
        forget_pages(features)
        scores[block] = np.abs(lines).max(axis=1) * np.sqrt(width) / np.maximum(scatter, 1e-9)
    return scores


def _row_medians(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The median of each row; of an even number the upper of the two in the middle, which spares a second partition."""
    middle = values.shape[1] // 2
    return np.asarray(np.partition(values, middle, axis=1)[:, middle])


def without_spikes(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each pixel's median with its two neighbours: a cosmic ray or dead pixel goes, a resolved line stays. (m, d)"""
    left, right = np.empty_like(values), np.empty_like(values)
    left[:, 1:], left[:, 0] = values[:, :-1], values[:, 0]
    right[:, :-1], right[:, -1] = values[:, 1:], values[:, -1]
    low, high = np.minimum(left, right), np.maximum(left, right, out=left)
    return np.maximum(low, np.minimum(high, values, out=high), out=low)


def running_mean(values: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Means over `width` neighbouring pixels, where all are within. (m, d - width + 1)"""
    wide = min(width, values.shape[1])
    length = values.shape[1] - wide + 1
    total = values[:, :length].copy()
    for shift in range(1, wide):
        total += values[:, shift : shift + length]
    return np.asarray(total / np.float32(wide))
