"""Find rare targets: a mixed batch of the most probable, the most instructive and the strangest spectra."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from emberline.learn.strategies._base import Query, Rows, Strategy
from emberline.learn.strategies._features import Subspace
from emberline.learn.strategies._measures import binary_entropy, farthest_first
from emberline.learn.strategies.cold_start import anomalous_rows

__all__ = ["Seek"]


@dataclasses.dataclass(frozen=True)
class Seek(Strategy):
    """A batch in three parts: exploit, explore, and anomalies.

    Attributes
    ----------
    exploit : float
        Share of the batch with the highest target probability. Half of it in plain order, half farthest-first, so that
        one confident mistake, made on many like spectra, does not take the whole share.
    explore : float
        Share that is most uncertain between target and not target, and diverse.
    anomalies : float
        Share with the most significant lines that the pool's principal components do not explain; it needs `features`,
        and goes to `explore` without them. The three shares are scaled to sum to one.
    hope : float
        Only rows whose target probability reaches `hope` are worth exploiting; what they cannot fill of their share
        goes to the anomalies, so that a model that has never seen a target does not waste a batch.
    shortlist : int
        How many times its share each part looks at before it spreads its choice.
    components, sample : int
        Principal components for the anomalies, and the random rows that they are computed from.
    """

    exploit: float = 0.5
    explore: float = 0.35
    anomalies: float = 0.15
    hope: float = 0.02
    shortlist: int = 10
    components: int = 8
    sample: int = 20_000

    name = "seek"
    summary = "rare targets: most probable, most instructive, strangest"

    def __post_init__(self) -> None:
        if min(self.exploit, self.explore, self.anomalies) < 0 or self.exploit + self.explore + self.anomalies <= 0:
            raise ValueError("the shares exploit, explore and anomalies must not be negative, nor all zero")
        if self.shortlist < 1 or self.components < 1 or self.sample < 2:
            raise ValueError("shortlist and components must be 1 or more, and sample 2 or more")

    def propose(self, query: Query) -> Iterable[int]:
        """Exploit, explore, anomalies; then the most probable of the rest."""
        probability = query.target_probability(self.name)
        hopeful = int(np.count_nonzero(query.available & (probability >= self.hope)))
        exploit, explore, strange = self._quotas(query, hopeful)
        chosen = query.shortlist(probability, (exploit + 1) // 2)
        chosen = np.append(chosen, self._spread(query.without(chosen), probability, exploit - len(chosen)))
        chosen = np.append(chosen, self._anomalies(query.without(chosen), strange))
        doubt = binary_entropy(np.clip(probability, 0, 1))
        chosen = np.append(chosen, self._spread(query.without(chosen), doubt, explore))
        yield from chosen.tolist()
        yield from query.best_first(probability)

    def _quotas(self, query: Query, hopeful: int) -> tuple[int, int, int]:
        """How many rows each part gets, `hopeful` being what can be exploited; they sum to the batch."""
        total = self.exploit + self.explore + self.anomalies
        exploit = round(query.batch * self.exploit / total)
        strange = min(round(query.batch * self.anomalies / total), query.batch - exploit)
        explore = query.batch - exploit - strange
        spare = max(exploit - hopeful, 0)
        if query.features is None:
            return exploit - spare, explore + strange + spare, 0
        return exploit - spare, explore, strange + spare

    def _spread(self, query: Query, scores: NDArray[np.float64], count: int) -> Rows:
        """Rows of high score, unlike one another and unlike what was asked."""
        rows = query.shortlist(scores, self.shortlist * count)
        points, asked = query.embedded(rows, self.name), query.embedded(query.asked, self.name)
        return rows[farthest_first(points, scores[rows], count, asked)]

    def _anomalies(self, query: Query, count: int) -> Rows:
        if count < 1:
            return np.empty(0, dtype=np.int64)
        if "subspace" not in query.memo:
            rows = query.shortlist(np.zeros(len(query)), self.sample)
            if len(rows) == 0:
                return rows
            query.memo["subspace"] = Subspace.fit(query.needed("features", self.name)[rows], self.components)
        return anomalous_rows(query, query.memo["subspace"], count)
