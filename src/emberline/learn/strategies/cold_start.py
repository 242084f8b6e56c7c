"""Ask without any model: the kinds of spectra there are, the most extreme and the strangest."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from emberline.learn.strategies._base import Query, Rows, Strategy
from emberline.learn.strategies._features import Subspace, extremeness, line_anomaly, running_mean, without_spikes
from emberline.learn.strategies._measures import distance_to, farthest_first

__all__ = ["ColdStart"]


_MOST_KINDS = 300


@dataclasses.dataclass(frozen=True)
class ColdStart(Strategy):
    """A diverse sample of the features: extremes, anomalies, and one spectrum near each k-means centre.

    Asked again, it takes the next extremes and anomalies, and the centres that are farthest from what was asked: a
    campaign may repeat it until its labels show every class it needs.

    Attributes
    ----------
    extremes : float
        The share of the batch that is given to the spectra farthest out along one of the `leading` principal
        directions, farthest first among them. A rare strong line is part of what varies most, and lies there.
    anomalies : float
        The share of the batch that is given to the strangest spectra: those whose residual from the principal
        components has the most significant line, farthest first among them.
    leading : int
        Principal components that are searched for extremes; those that follow are noise's as much as the sky's.
    components : int
        Principal components of the feature vectors, for anomalies and centres.
    sample : int
        How many random rows the components and the centres are computed from, whatever the size of the pool.
    """

    extremes: float = 0.4
    anomalies: float = 0.2
    leading: int = 3
    components: int = 8
    sample: int = 20_000

    name = "cold_start"
    summary = "no model: the most extreme, the strangest, and typical spectra of every kind"

    def __post_init__(self) -> None:
        if min(self.extremes, self.anomalies) < 0 or self.extremes + self.anomalies > 1:
            raise ValueError(
                f"extremes is {self.extremes} and anomalies {self.anomalies}: choose shares that sum to 1 at most"
            )
        if min(self.leading, self.components) < 1 or self.sample < 2:
            raise ValueError("leading and components must be 1 or more and sample 2 or more")

    def propose(self, query: Query) -> Iterable[int]:
        """Extremes first, then anomalies, then the centres."""
        features = query.needed("features", self.name)
        rows = query.shortlist(np.zeros(len(query)), self.sample)
        if len(rows) == 0:
            return
        chosen = self._extremes(query, rows, round(self.extremes * query.batch))
        space = Subspace.fit(features[rows], self.components)
        strange = anomalous_rows(query.without(chosen.tolist()), space, round(self.anomalies * query.batch))
        chosen = np.append(chosen, strange)
        yield from chosen.tolist()
        yield from self._centres(query.without(chosen.tolist()), rows, space, query.batch - len(chosen))

    def _extremes(self, query: Query, sample: Rows, count: int, spread: int = 4) -> Rows:
        """The farthest out of `spread` times as many, unlike one another."""
        if count < 1:
            return np.empty(0, dtype=np.int64)
        features = query.needed("features", self.name)
        space = Subspace.fit(features[sample], self.leading)
        scores, deviations = extremeness(features, space, np.flatnonzero(query.available), sample)
        rows = query.shortlist(scores, spread * count)
        return rows[farthest_first(deviations[rows], scores[rows], count)]

    def _centres(self, query: Query, rows: Rows, space: Subspace, count: int) -> Iterator[int]:
        from sklearn.cluster import MiniBatchKMeans

        if count < 1:
            return
        points = space.coordinates(query.needed("features", self.name)[rows])
        asked = space.coordinates(query.needed("features", self.name)[query.asked])
        kinds = min(count + min(len(asked), _MOST_KINDS), len(rows))
        seed = int(query.rng.integers(2**31))
        kmeans = MiniBatchKMeans(kinds, random_state=seed, n_init=1, batch_size=4096).fit(points)
        centres = kmeans.cluster_centers_.astype(np.float64)
        new = np.argsort(-distance_to(centres, asked), kind="stable")[:count]
        yield from rows[_nearest_unused(points, centres[new])].tolist()


def _nearest_unused(points: NDArray[np.float64], centres: NDArray[np.float64]) -> Rows:
    """The nearest point to each centre that no earlier centre took."""
    left = np.ones(len(points), dtype=bool)
    taken = []
    for centre in centres:
        distance = distance_to(points, centre[None])
        taken.append(int(np.argmin(np.where(left, distance, np.inf))))
        left[taken[-1]] = False
    return np.asarray(taken, dtype=np.int64)


def anomalous_rows(query: Query, space: Subspace, count: int, spread: int = 4) -> Rows:
    """`count` rows with the most significant residual lines, each unlike the others. (count,) or fewer"""
    if count < 1:
        return np.empty(0, dtype=np.int64)
    features = query.needed("features", "anomalies")
    if "anomaly" not in query.memo:
        query.memo["anomaly"] = line_anomaly(features, space, np.flatnonzero(query.available))
    scores = query.memo["anomaly"]
    rows = query.shortlist(scores, spread * count)
    residuals = running_mean(without_spikes(space.residuals(features[rows])), 7)
    shapes = residuals / np.maximum(np.linalg.norm(residuals, axis=1, keepdims=True), 1e-12)
    return rows[farthest_first(shapes, scores[rows], count)]
