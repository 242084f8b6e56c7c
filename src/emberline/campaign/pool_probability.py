"""How true the network's probabilities are of the pool, by answers to spectra that it had not learnt from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from emberline.campaign.annotation.asked import asked_of_round
from emberline.campaign.control import control_draws
from emberline.campaign.predictions import latest_prediction, target_probability
from emberline.campaign.summary import judged_rows
from emberline.learn.pool_calibration import Evidence, PoolCalibration, faded

if TYPE_CHECKING:
    from emberline.campaign.campaign import Campaign

__all__ = ["pool_calibration", "pool_evidence"]


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
