"""Ask where the two most probable classes are closest."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberline.learn.strategies._base import Query, Ranked

__all__ = ["Margin"]


@dataclasses.dataclass(frozen=True)
class Margin(Ranked):
    """The smallest difference of the two highest probabilities (Scheffer et al. 2001)."""

    name = "margin"
    summary = "smallest difference between the two most probable classes"

    def scores(self, query: Query) -> NDArray[Any]:
        """Minus the margin. (n,)"""
        top = np.partition(query.needed("probabilities", self.name), -2, axis=1)[:, -2:]
        return top[:, 0] - top[:, 1]
