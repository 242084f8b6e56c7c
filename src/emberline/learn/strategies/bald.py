"""Ask where networks that dropout makes different disagree."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberline.learn.strategies._base import Query, Strategy
from emberline.learn.strategies._measures import entropy

__all__ = ["Bald", "mutual_information"]

_BLOCK = 65_536


def mutual_information(passes: NDArray[Any]) -> NDArray[Any]:
    """What the label would tell about the network, in nats: the entropy of the mean less the mean entropy.

    Houlsby et al. (2011); by dropout at prediction, Gal, Islam & Ghahramani (2017).

    Parameters
    ----------
    passes : (t, m, k) float
        Class probabilities of `t` stochastic passes.

    Returns
    -------
    (m,) float
        At least zero, at most log k.
    """
    return np.asarray(np.maximum(entropy(passes.mean(axis=0)) - entropy(passes).mean(axis=0), 0))


@dataclasses.dataclass(frozen=True)
class Bald(Strategy):
    """The highest mutual information between label and network, among the most uncertain rows.

    The mutual information is never above the entropy of the mean pass, so a row that is far from the top in entropy
    cannot lead.

    Attributes
    ----------
    shortlist : int
        So many times the batch are passed: the rows of the highest entropy. With 0 the whole pool is, block by block,
        which costs about as much as reading it.
    """

    shortlist: int = 20

    name = "bald"
    summary = "highest mutual information of label and network, by dropout"

    def __post_init__(self) -> None:
        if self.shortlist < 0:
            raise ValueError(f"shortlist is {self.shortlist}: it must be 1 or more times the batch, or 0 for the pool")

    def propose(self, query: Query) -> Iterable[int]:
        """The shortlist by falling mutual information."""
        stochastic = query.needed("stochastic", self.name)
        if self.shortlist:
            rows = query.shortlist(entropy(query.needed("probabilities", self.name)), self.shortlist * query.batch)
        else:
            rows = np.flatnonzero(query.available)
        information = np.empty(len(rows))
        for start in range(0, len(rows), _BLOCK):
            block = rows[start : start + _BLOCK]
            information[start : start + _BLOCK] = mutual_information(np.asarray(stochastic(block)))
        yield from rows[np.argsort(-information, kind="stable")].tolist()
