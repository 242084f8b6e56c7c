"""Which predictions to trust: how far repeated passes disagree, and how unlike the training set a spectrum is."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Reference", "disagreement"]

_NEIGHBOURS = 3
_BLOCK = 1024
_WIDE = 2_000_000
"""Distances in memory at once."""


def disagreement(passes: NDArray[Any], targets: tuple[int, ...]) -> NDArray[np.float32]:
    """How far stochastic passes, or members of an ensemble, differ on the probability of being a target.

    Parameters
    ----------
    passes : (t, n, k) float
        Class probabilities of t passes (`emberline.learn.Model.passes`) or networks.
    targets : tuple of int
        The columns that are searched for.

    Returns
    -------
    (n,) float32
        The standard deviation over the passes of the summed probability of the targets: 0 when all agree, at most 0.5.
    """
    chance = np.asarray(passes)[:, :, list(targets)].sum(axis=2, dtype=np.float64)
    return np.asarray(chance.std(axis=0), dtype=np.float32)


@dataclasses.dataclass(frozen=True, eq=False)
class Reference:
    """What a network was trained on, in its embedding space, as the measure of what is like it.

    Attributes
    ----------
    points : (l, e) float64
        Embeddings of the training spectra (`emberline.learn.Model.embed`).
    scale : float
        The median distance of a training spectrum to its nearest of other objects: the unit of distances.
    threshold : float
        The distance beyond which a spectrum is called unlike the training set.
    """

    points: NDArray[np.float64]
    scale: float
    threshold: float

    @classmethod
    def fit(cls, points: NDArray[Any], objects: NDArray[Any], *, false_flags: float = 0.01) -> Reference:
        """Take the measure of a training set.

        The threshold is the conformal quantile (Vovk, Gammerman & Shafer 2005; Laxhammar & Falkman 2010) of the
        distances of the training spectra to those of *other* objects. Were the pool like the training set, at
        most `false_flags` of it would be flagged; with fewer than 1 / `false_flags` spectra the threshold is the
        largest of these distances, and the promise is 1 / (l + 1) instead. A training set that was chosen to be
        diverse or hard lies wider than the pool, and then fewer are flagged.

        Parameters
        ----------
        points : (l, e) float
            Embeddings of the training spectra.
        objects : (l,) str or int
            The object of each: another spectrum of the same star is no neighbour.
        false_flags : float
            The share of ordinary spectra that may be flagged, between 0 and 1.

        Raises
        ------
        ValueError
            The arrays do not fit each other, show fewer than two objects, or `false_flags` is no share.
        """
        points = np.asarray(points, dtype=np.float64)
        _, names = np.unique(objects, return_inverse=True)
        if points.ndim != 2 or len(points) != len(names) or not len(points) or names.max() == 0:
            found = f"{points.shape} and {len(names)} objects"
            raise ValueError(f"points and objects must be (l, e) and (l,), of two objects or more: found {found}")
        if not 0.0 < false_flags < 1.0:
            raise ValueError(f"false_flags = {false_flags}: choose a share between 0 and 1")
        apart = np.sort(_nearest(points, points, names, names))
        scale = float(np.median(apart)) or float(apart[-1]) or 1.0
        place = min(math.ceil((len(apart) + 1) * (1.0 - false_flags)), len(apart))
        return cls(points, scale, float(apart[place - 1]) / scale)

    def distance(self, points: NDArray[Any]) -> NDArray[np.float32]:
        """The mean distance to the three nearest training spectra, in units of `scale`.

        Parameters
        ----------
        points : (n, e) float
            Embeddings by the same network.

        Returns
        -------
        (n,) float32
            About 1 for what is like the training set.
        """
        return np.asarray(_nearest(np.asarray(points, np.float64), self.points) / self.scale, dtype=np.float32)

    def unlike(self, distance: NDArray[Any]) -> NDArray[np.bool_]:
        """Which of these distances are beyond anything that the training set would lead one to expect. (n,)"""
        return np.asarray(np.asarray(distance) > np.float32(self.threshold))


def _nearest(
    points: NDArray[np.float64],
    others: NDArray[np.float64],
    names: NDArray[np.intp] | None = None,
    other_names: NDArray[np.intp] | None = None,
) -> NDArray[np.float64]:
    """The mean Euclidean distance to the three nearest of the others, or to all where there are fewer. (n,)

    With names, only others of another name count.
    """
    size = np.einsum("ij,ij->i", others, others)
    found = np.empty(len(points))
    block = max(1, min(_BLOCK, _WIDE // len(others)))
    for start in range(0, len(points), block):
        part = points[start : start + block]
        square = np.einsum("ij,ij->i", part, part)[:, None] - 2 * part @ others.T + size
        if names is not None and other_names is not None:
            square[names[start : start + block, None] == other_names] = np.inf
        count = min(_NEIGHBOURS, len(others))
        near = np.sqrt(np.maximum(np.partition(square, count - 1, axis=1)[:, :count], 0.0))
        there = np.isfinite(near)
        found[start : start + block] = np.where(there, near, 0.0).sum(axis=1) / there.sum(axis=1)
    return found
