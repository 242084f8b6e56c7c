"""How true the network's probabilities are of the pool, by answers to spectra that it had not learnt from."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from emberline.campaign.annotation.asked import asked_of_round
from emberline.campaign.control import control_draws
from emberline.campaign.predictions import latest_prediction, target_probability
from emberline.campaign.summary import final_classes, judged_rows
from emberline.learn.pool_calibration import Evidence, PoolCalibration, faded

if TYPE_CHECKING:
    from emberline.campaign.campaign import Campaign

__all__ = ["Calibration", "calibration_of", "pool_calibration", "pool_evidence"]


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What the correction makes of the candidates that nobody has labelled.

    Attributes
    ----------
    labels, targets : int
        The answers behind it, and the targets among them.
    intercept, slope : float
        Of the log odds that hold against those that the network states.
    candidates : int
        Candidates that nobody has labelled.
    promised, expected : float
        How many of those are targets: as the network states it, and as calibrated.
    """

    labels: int
    targets: int
    intercept: float
    slope: float
    candidates: int
    promised: float
    expected: float


def calibration_of(
    campaign: Campaign, probabilities: NDArray[np.float32], curve: PoolCalibration | None = None
) -> Calibration | None:
    """How far the probabilities of a campaign's candidates are corrected; None where no answers tell."""
    curve = pool_calibration(campaign, probabilities) if curve is None else curve
    if not curve.corrects:
        return None
    is_candidate = np.isin(final_classes(campaign, probabilities), campaign.config.target_indices)
    names = [label.identifier for label in campaign.labels()] + campaign.start.identifiers.tolist()
    rows = campaign.pool.find(names)
    is_candidate[rows[rows >= 0]] = False
    stated = target_probability(campaign, probabilities)[is_candidate]
    sums = float(stated.sum(dtype=np.float64)), float(curve(stated).sum(dtype=np.float64))
    return Calibration(curve.labels, curve.targets, curve.intercept, curve.slope, len(stated), *sums)


def pool_calibration(campaign: Campaign, probabilities: NDArray[np.float32]) -> PoolCalibration:
    """The correction of what the latest network to read the pool says of spectra that nobody has labelled.

    It changes no class, no threshold and no estimate, and puts no two spectra in another order.

    Parameters
    ----------
    probabilities : (spectra, classes) float32
        What that network said.
    """
    return PoolCalibration.fit(pool_evidence(campaign, probabilities))


def pool_evidence(campaign: Campaign, probabilities: NDArray[np.float32]) -> Evidence:
    """Control answers with what the network says, and answers to queries with what the network of their round said."""
    number = latest_prediction(campaign)
    if number is None:
        return Evidence.none()
    control, known = judged_rows(campaign)
    scores = target_probability(campaign, probabilities)
    drawn = Evidence.of_control(control_draws(campaign), control, known, campaign.config.target_indices, scores)
    return Evidence.join([drawn, *_queries(campaign, number)])


def _queries(campaign: Campaign, number: int) -> list[Evidence]:
    """What strategies chose, round by round; what somebody added by hand was chosen by eye and is left out."""
    classes, targets = campaign.config.classes, campaign.config.targets
    answers = {label.identifier: label.answer for label in campaign.labels() if label.answer in classes}
    found = []
    for earlier in range(number + 1):
        asked = [q.identifier for q in campaign.database.questions(earlier) if q.purpose == "query" and not q.added]
        names = [name for name in dict.fromkeys(asked) if name in answers]
        if not names:
            continue
        kept = asked_of_round(campaign, earlier)
        rows = [kept.places[name] for name in names if name in kept.places]
        if len(kept.probabilities) == 0 or len(rows) < len(names):
            continue  # a cold start, or an older version that kept less
        is_target = np.array([answers[name] in targets for name in names])
        said = target_probability(campaign, kept.probabilities[rows])
        found.append(Evidence.of_queries(said, is_target, faded(number - earlier)))
    return found
