"""How uncertain class probabilities are, and how to spread a choice over a space."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberline.learn.strategies._base import Rows

__all__ = ["binary_entropy", "distance_to", "entropy", "farthest_first"]


def entropy(probabilities: NDArray[Any]) -> NDArray[Any]:
    """Shannon entropy in nats over the last axis; a zero probability counts nothing."""
    terms = probabilities * np.log(np.where(probabilities > 0, probabilities, 1))
    return np.asarray(-terms.sum(axis=-1))


def binary_entropy(probability: NDArray[Any]) -> NDArray[Any]:
    """Entropy in nats of yes against no."""
    return entropy(np.stack([probability, 1 - probability], axis=-1))


def distance_to(points: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """The Euclidean distance from each point to the nearest of the others; infinite when there are none. (m,)"""
    nearest = np.full(len(points), np.inf)
    squares = np.einsum("ij,ij->i", points, points)
    for start in range(0, len(others), 256):
        block = others[start : start + 256]
        square = squares[:, None] - 2 * points @ block.T + np.einsum("ij,ij->i", block, block)
        nearest = np.minimum(nearest, square.min(axis=1))
    return np.asarray(np.sqrt(np.maximum(nearest, 0)))


def farthest_first(
    points: NDArray[np.float64], weights: NDArray[Any], count: int, others: NDArray[np.float64] | None = None
) -> Rows:
    """Choose points one by one, each the largest weight times distance to all chosen ones (Gonzalez 1985, weighted).

    Parameters
    ----------
    points : (m, e) float
    weights : (m,) float
        Not negative. A weight of zero, and a copy of a chosen point, come last.
    count : int
    others : (l, e) float, optional
        Points that count as chosen before the first.

    Returns
    -------
    (min(count, m),) int64
        Positions, in order of choice. Without `others` the first is the point of the highest weight.
    """
    near = distance_to(points, points[:0] if others is None else others)
    left = np.ones(len(points), dtype=bool)
    order: list[int] = []
    for _ in range(min(count, len(points))):
        gain = weights * (near if np.isfinite(near).all() else 1.0)
        best = int(np.argmax(np.where(left, gain, -1.0)))
        order.append(best)
        left[best] = False
        near = np.minimum(near, np.linalg.norm(points - points[best], axis=1))
    return np.asarray(order, dtype=np.int64)
