"""Ask where the predicted classes are most evenly mixed."""

from __future__ import annotations

import dataclasses
from typing import Any

from numpy.typing import NDArray

from emberline.learn.strategies._base import Query, Ranked
from emberline.learn.strategies._measures import entropy

__all__ = ["Entropy"]


@dataclasses.dataclass(frozen=True)
class Entropy(Ranked):
    """The highest Shannon entropy of the class probabilities (Settles 2009, section 3.1)."""

    name = "entropy"
    summary = "highest entropy of the class probabilities"

    def scores(self, query: Query) -> NDArray[Any]:
        """Entropy in nats. (n,)"""
        return entropy(query.needed("probabilities", self.name))
