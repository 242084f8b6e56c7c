"""The published query rule: the highest entropy over the whole pool."""

from __future__ import annotations

import dataclasses

from emberline.learn.strategies.entropy import Entropy

__all__ = ["PublishedEntropy"]


@dataclasses.dataclass(frozen=True)
class PublishedEntropy(Entropy):
    """The rule by which the oracle was asked for training labels in Škoda, Podsztavek & Tvrdík (2020, A&A 643, A122).

    It is the strategy `entropy` under a name of its own, so that a campaign that repeats the publication says so.
    Here, as everywhere, a batch shows each object once.
    """

    name = "published_entropy"
    summary = "published rule: highest entropy over the whole pool"
