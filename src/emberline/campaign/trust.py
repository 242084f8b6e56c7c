"""What is said of a candidate beside its probability: do repeated passes agree, is it like anything trained on."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from emberline.campaign.predictions import latest_prediction, model_of_round, stream

if TYPE_CHECKING:
    from emberline.campaign.campaign import Campaign
    from emberline.learn import Model
    from emberline.learn.trust import Reference

__all__ = ["CandidateTrust", "candidate_trust"]

_PASSES = 20
_BLOCK = 4096


@dataclasses.dataclass(frozen=True, eq=False)
class CandidateTrust:
    """Three columns of the candidates.

    Attributes
    ----------
    disagreement : (n,) float32
        Standard deviation of the probability of being a target over 20 passes with dropout on.
    training_distance : (n,) float32
        Distance to the training set in the network's embedding, in units of what is usual within the set; NaN where the
        training set shows a single object.
    unlike_training : (n,) bool
        Whether that is farther than the training set would lead one to expect.
    """

    disagreement: NDArray[np.float32]
    training_distance: NDArray[np.float32]
    unlike_training: NDArray[np.bool_]


def candidate_trust(campaign: Campaign, rows: NDArray[np.int64]) -> CandidateTrust:
    """How far the network that read the pool last is to be trusted on some rows of it.

    Parameters
    ----------
    rows : (n,) int64
        Rows of the pool. One that was itself trained on has itself as a neighbour.

    Raises
    ------
    CampaignError
        No network has read the pool.
    """
    from emberline.learn.trust import disagreement

    number = latest_prediction(campaign)
    model = None if number is None else model_of_round(campaign, number)
    spread, distance = np.full(len(rows), np.nan, np.float32), np.full(len(rows), np.nan, np.float32)
    unlike = np.zeros(len(rows), bool)
    if number is None or model is None:
        return CandidateTrust(spread, distance, unlike)
    passes = model.passes(_PASSES, stream(campaign, number, "stochastic"))
    reference = _reference(campaign, number, model)
    for start in range(0, len(rows), _BLOCK):
        part = slice(start, start + _BLOCK)
        values = np.ascontiguousarray(campaign.pool.values[rows[part]], dtype=np.float32)
        spread[part] = disagreement(passes(values), campaign.config.target_indices)
        if reference is not None:
            distance[part] = reference.distance(model.embed(values))
            unlike[part] = reference.unlike(distance[part])
    return CandidateTrust(spread, distance, unlike)


def _reference(campaign: Campaign, number: int, model: Model) -> Reference | None:
    """What the network of a round was trained on; answers to the round's own questions came later."""
    from emberline.campaign.training import training_set
    from emberline.learn.trust import Reference

    training = training_set(campaign)
    later = {label.identifier for label in campaign.labels() if label.round >= number}
    kept = ~np.isin(training.identifiers, sorted(later))
    if len(np.unique(training.objects[kept])) < 2:
        return None
    return Reference.fit(model.embed(training.values[kept]), training.objects[kept])
