"""The published rule for judging a catalogue: a random choice among what is predicted to be a target."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from emberline.learn.strategies._base import Query, Strategy

__all__ = ["PublishedTargets"]


@dataclasses.dataclass(frozen=True)
class PublishedTargets(Strategy):
    """At random among the spectra whose most probable class is a target; then by falling target probability.

    Škoda, Podsztavek & Tvrdík (2020, A&A 643, A122) judged their candidates by such a sample. It says nothing of the
    targets that were missed: see the page on estimates.
    """

    name = "published_targets"
    summary = "published rule: random among predicted targets"

    def propose(self, query: Query) -> Iterable[int]:
        """Predicted targets in random order, then the most probable of the rest."""
        probability = query.target_probability(self.name)
        predicted = np.isin(query.needed("probabilities", self.name).argmax(axis=1), query.targets)
        return query.best_first(np.where(predicted & np.isfinite(probability), 2.0, probability))
