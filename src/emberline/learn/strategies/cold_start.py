"""Ask without any model: the kinds of spectra there are, and the strangest."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from emberline.learn.strategies._base import Query, Rows, Strategy
from emberline.learn.strategies._features import Subspace, line_anomaly, running_mean, without_spikes
from emberline.learn.strategies._measures import distance_to, farthest_first

__all__ = ["ColdStart"]


_MOST_KINDS = 300


@dataclasses.dataclass(frozen=True)
class ColdStart(Strategy):
    """A diverse sample of the features: one spectrum near each k-means centre, and a share of anomalies.

    Asked again, it takes the centres that are farthest from what was asked, and the next anomalies: a campaign may
    repeat it until its labels show every class it needs.

    Attributes
    ----------
    anomalies : float
        The share of the batch that is given to the strangest spectra: those whose residual from the principal
        components has the most significant line, farthest first among them.
    components : int
        Principal components of the feature vectors.
    sample : int
        How many random rows the components and the centres are computed from, whatever the size of the pool.
    """

    anomalies: float = 0.5
    components: int = 8
    sample: int = 20_000

    name = "cold_start"
    summary = "no model: typical spectra of every kind, and anomalies"

    def __post_init__(self) -> None:
        if not 0 <= self.anomalies <= 1:
            raise ValueError(f"anomalies is {self.anomalies}: choose a share between 0 and 1")
        if self.components < 1 or self.sample < 2:
            raise ValueError("components must be 1 or more and sample 2 or more")

    def propose(self, query: Query) -> Iterable[int]:
        """Anomalies first, then the centres."""
        features = query.needed("features", self.name)
        rows = query.shortlist(np.zeros(len(query)), self.sample)
        if len(rows) == 0:
            return
        space = Subspace.fit(features[rows], self.components)
        strange = anomalous_rows(query, space, round(self.anomalies * query.batch))
        yield from strange.tolist()
        yield from self._centres(query.without(strange.tolist()), rows, space, query.batch - len(strange))

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
