"""Ask where the most probable class is least probable."""

from __future__ import annotations

import dataclasses
from typing import Any

from numpy.typing import NDArray

from emberline.learn.strategies._base import Query, Ranked

__all__ = ["LeastConfidence"]


@dataclasses.dataclass(frozen=True)
class LeastConfidence(Ranked):
    """The lowest probability of the predicted class (Lewis & Gale 1994)."""

    name = "least_confidence"
    summary = "lowest probability of the predicted class"

    def scores(self, query: Query) -> NDArray[Any]:
        """Minus the highest probability. (n,)"""
        scores: NDArray[Any] = -query.needed("probabilities", self.name).max(axis=1)
        return scores
