"""Ask about uncertain spectra that differ from one another."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from emberline.learn.strategies._base import Query, Strategy
from emberline.learn.strategies._measures import entropy, farthest_first

__all__ = ["Diverse"]


@dataclasses.dataclass(frozen=True)
class Diverse(Strategy):
    """Uncertain and different: farthest-first in embedding space, weighted by entropy, on a shortlist.

    The `shortlist` × batch most uncertain rows are embedded; each next row is the one of the largest entropy times
    distance to the nearest row that was chosen or asked about before, so a near-duplicate is never worth asking (core
    sets: Sener & Savarese 2018; the weighting by uncertainty after Zhdanov 2019).
    """

    shortlist: int = 20

    name = "diverse"
    summary = "uncertain and unlike one another in embedding space"

    def __post_init__(self) -> None:
        if self.shortlist < 1:
            raise ValueError(f"shortlist is {self.shortlist}: it must be 1 or more times the batch")

    def propose(self, query: Query) -> Iterable[int]:
        """Rows of the shortlist, farthest first."""
        scores = entropy(query.needed("probabilities", self.name))
        rows = query.shortlist(scores, self.shortlist * query.batch)
        points, asked = query.embedded(rows, self.name), query.embedded(query.asked, self.name)
        yield from rows[farthest_first(points, scores[rows], query.batch, asked)].tolist()
