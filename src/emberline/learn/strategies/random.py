"""Ask at random: the yardstick for every other strategy."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberline.learn.strategies._base import Query, Ranked

__all__ = ["Random"]


@dataclasses.dataclass(frozen=True)
class Random(Ranked):
    """Every available spectrum is as likely as any other."""

    name = "random"
    summary = "uniformly at random"

    def scores(self, query: Query) -> NDArray[Any]:
        """All the same: the order of equal scores is random. (n,)"""
        return np.zeros(len(query))
