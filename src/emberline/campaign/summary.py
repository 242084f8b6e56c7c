"""What a round came to: the catalogue's classes, purity and completeness with intervals, counts and timings."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emberline.campaign.annotation.listings import save_candidates
from emberline.campaign.annotation.state import State
from emberline.campaign.control import control_draws, revised_answers, twice_answered
from emberline.campaign.predictions import load_probabilities, model_of_round, stream, target_probability
from emberline.campaign.questions import known_rows
from emberline.learn.estimate import Estimates, estimate
from emberline.learn.stopping import Gain, Yield, gain_of_next, highest_first, worth_stopping, yield_of_round

if TYPE_CHECKING:
    from emberline.campaign.campaign import Campaign

__all__ = ["answers_by_row", "dry", "final_classes", "judged_rows", "network_classes", "summarise"]


def network_classes(campaign: Campaign, probabilities: NDArray[np.float32]) -> NDArray[np.int64]:
    """The class that the catalogue gives each spectrum of the pool: by the network at the campaign's threshold."""
    config = campaign.config
    targets = list(config.target_indices)
    others = [index for index in range(len(config.classes)) if index not in targets]
    is_target = target_probability(campaign, probabilities) >= config.candidates.threshold
    best_target = np.asarray(targets)[np.argmax(probabilities[:, targets], axis=1)]
    best_other = np.asarray(others)[np.argmax(probabilities[:, others], axis=1)]
    return np.asarray(np.where(is_target, best_target, best_other), dtype=np.int64)


def answers_by_row(campaign: Campaign, purpose: str) -> dict[int, int | None]:
    """Pool row → class index of each label given for `purpose`; None where it is no class, or is in dispute."""
    classes = campaign.config.classes
    answers = {
        label.identifier: classes.index(label.answer) if label.answer in classes else None
        for label in campaign.labels()
        if label.purpose == purpose
    }
    answers |= dict.fromkeys(_disputed(campaign, purpose))
    return {int(row): answer for row, answer in zip(campaign.pool.rows(answers), answers.values(), strict=True)}


def _disputed(campaign: Campaign, purpose: str) -> list[str]:
    """Spectra asked about for `purpose` on which annotators disagree."""

    def find(state: State) -> list[str]:
        first = {name: next(iter(state.opinions(name).values())) for name in state.disputes()}
        return [name for name, event in first.items() if event.purpose == purpose]

    return campaign.database.look(find)


def judged_rows(campaign: Campaign) -> tuple[dict[int, int | None], dict[int, int | None]]:
    """Control answers by row as an estimate takes them, and the rows that it counts as known: see `learn.estimate`."""
    control = answers_by_row(campaign, "control")
    revised = campaign.database.look(revised_answers)
    classes = campaign.config.classes
    for row, first in zip(campaign.pool.rows(revised), revised.values(), strict=True):
        control[int(row)] = classes.index(first) if first in classes else None
    known = _start_rows(campaign) | answers_by_row(campaign, "query")
    # Control spectra that a strategy chose are known too; a query without an answer is as if it had not been asked.
    known |= {int(row): control[int(row)] for row in known_rows(campaign) if int(row) in control}
    return control, known


def estimates(campaign: Campaign, number: int, probabilities: NDArray[np.float32]) -> Estimates:
    """Purity and completeness of the catalogue as it is published, from the control labels."""
    control, known = judged_rows(campaign)
    predicted = network_classes(campaign, probabilities)
    for row, answer in known.items():
        if answer is not None:
            predicted[row] = answer
    return estimate(
        control_draws(campaign),
        control,
        predicted,
        known,
        campaign.config.target_indices,
        rng=stream(campaign, number, "estimate"),
        # The published catalogue has the control answers in place of the network's opinion (`final_classes`).
        corrected=True,
        scores=target_probability(campaign, probabilities),
        threshold=campaign.config.candidates.threshold,
        assume=campaign.config.control.assume,
        unseen=campaign.config.control.unseen,
        twice=campaign.database.look(lambda state: twice_answered(state, campaign.config.targets)),
    )


def gain(campaign: Campaign, current: dict[str, Any], probabilities: NDArray[np.float32]) -> tuple[Yield, Gain | None]:
    """What the round's queries brought against what its network promised, and what the next 100 would bring.

    Both sums are of the round's own network: before its questions were answered, and now.
    """
    number = int(current["number"])
    mine = {label.identifier: label.answer for label in campaign.labels() if label.purpose == "query"}
    questions = campaign.database.questions(number)
    asked = list(dict.fromkeys(q.identifier for q in questions if q.purpose == "query" and not q.added))
    scores = target_probability(campaign, probabilities)
    objects, known = campaign.pool.objects, known_rows(campaign)
    available = campaign.pool.usable.copy()
    available[known] = False
    left = highest_first(scores, available, objects, known)
    rows = campaign.pool.find(asked)
    before = np.setdiff1d(known, rows)
    available[rows[rows >= 0]] = True
    chance = np.where(rows >= 0, scores[rows], 0.0)
    answered = np.array([name in mine for name in asked], dtype=bool)
    target = np.array([mine.get(name) in campaign.config.targets for name in asked], dtype=bool)
    could = highest_first(scores, available, objects, before)
    here = yield_of_round(could, chance, chance[answered], target[answered])
    earlier = [row["summary"]["yield"] for row in campaign.rounds() if (row["summary"] or {}).get("yield")]
    return here, gain_of_next([*(Yield(**row) for row in earlier), here], left)


def dry(campaign: Campaign) -> bool:
    """Whether fewer new targets than `[stop]` asks for are expected of the next 100 labels, with 90 % confidence."""
    summaries = [row["summary"] for row in campaign.rounds() if row["summary"]]
    found = summaries[-1].get("gain") if summaries else None
    return found is not None and worth_stopping(Gain(**found), campaign.config.stop.worth)


def _start_rows(campaign: Campaign) -> dict[int, int | None]:
    """Rows of the pool that the campaign started from, with their classes."""
    rows = campaign.pool.find(campaign.start.identifiers.tolist())
    labels = zip(rows.tolist(), campaign.start.labels.tolist(), strict=True)
    return {row: label for row, label in labels if row >= 0}


def summarise(campaign: Campaign, current: dict[str, Any], truth: Mapping[str, str] | None) -> dict[str, Any]:
    """What a round came to, as plain values that JSON can hold."""
    number = int(current["number"])
    labels = campaign.labels()
    mine = [label for label in labels if label.round == number]
    summary: dict[str, Any] = {
        "number": number,
        "labels_start": len(campaign.start.labels),
        "labels_query": sum(label.purpose == "query" for label in labels),
        "labels_control": sum(label.purpose == "control" for label in labels),
        "new_targets": sum(label.answer in campaign.config.targets and label.purpose == "query" for label in mine),
        "unanswered": len(campaign.open_questions()),
        "disputed": len(campaign.database.look(State.disputes)),
        "pool": len(campaign.pool),
        "flagged": int((~campaign.pool.usable).sum()),
        "seconds": campaign.database.steps(number),
        "candidates": 0,
        "metrics": {},
        "truth": {},
    }
    model = model_of_round(campaign, number)
    if model is None:
        nothing: dict[str, Any] = {
            "purity": None,
            "completeness": None,
            "completeness_from_draw": None,
            "purity_by_class": {},
        }
        return {**summary, **nothing, "gain": None, "yield": None, "worth": campaign.config.stop.worth}
    probabilities = np.asarray(load_probabilities(campaign, number))
    begun = time.perf_counter()
    found = estimates(campaign, number, probabilities)
    summary["seconds"] = {**summary["seconds"], "estimate": time.perf_counter() - begun}
    classes = campaign.config.classes
    brought, next_gain = gain(campaign, current, probabilities)
    listed = final_classes(campaign, probabilities)
    save_candidates(campaign, number, listed, probabilities)
    return {
        **summary,
        "candidates": int(np.isin(listed, campaign.config.target_indices).sum()),
        "metrics": model.metrics,
        "purity": _plain(found.purity),
        "completeness": _plain(found.completeness),
        "completeness_from_draw": _plain(found.completeness_from_draw),
        "assumed": found.assumed,
        "oracle": None if found.miss is None else {"miss": found.miss, "false": found.false},
        "revised": len(campaign.database.look(revised_answers)),
        "unsure": found.unsure,
        "yield": dataclasses.asdict(brought),
        "gain": None if next_gain is None else _plain(next_gain),
        "worth": campaign.config.stop.worth,
        "calibration": _calibration(campaign, probabilities),
        "purity_by_class": {classes[index]: _plain(value) for index, value in found.purity_by_class.items()},
        "truth": {} if truth is None else true_quality(campaign, listed, truth),
    }


def final_classes(campaign: Campaign, probabilities: NDArray[np.float32]) -> NDArray[np.int64]:
    """The class of each spectrum in the catalogue: its label where it has one, the network's opinion elsewhere.

    Spectra that may not take part (flagged) or whose label is no class have -1.
    """
    result = network_classes(campaign, probabilities)
    result[~campaign.pool.usable] = -1
    labels = _start_rows(campaign) | answers_by_row(campaign, "query") | answers_by_row(campaign, "control")
    for row, answer in labels.items():
        result[row] = -1 if answer is None else answer
    return result


def _calibration(campaign: Campaign, probabilities: NDArray[np.float32]) -> dict[str, Any] | None:
    from emberline.campaign.pool_probability import calibration_of

    found = calibration_of(campaign, probabilities)
    return None if found is None else dataclasses.asdict(found)


def _plain(value: Any) -> dict[str, Any]:
    """An estimate as JSON has it: None where it cannot be told."""
    fields = dataclasses.asdict(value)
    return {key: None if isinstance(item, float) and not np.isfinite(item) else item for key, item in fields.items()}


def true_quality(campaign: Campaign, listed: NDArray[np.int64], truth: Mapping[str, str]) -> dict[str, float]:
    """Purity and completeness by a table that knows all of the usable pool; empty when it does not."""
    names = campaign.pool.identifiers[campaign.pool.usable]
    if not all(str(name) in truth for name in names):
        return {}
    targets = campaign.config.targets
    is_target = np.array([truth[str(name)] in targets for name in names])
    is_listed = np.isin(listed[campaign.pool.usable], campaign.config.target_indices)
    both = int((is_target & is_listed).sum())
    return {
        "targets": int(is_target.sum()),
        "purity": both / max(int(is_listed.sum()), 1),
        "completeness": both / max(int(is_target.sum()), 1),
    }
