"""What comes out of a campaign: its status, the table of candidates, and the data of its report."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emberline.campaign.annotation.state import State
from emberline.campaign.database import Label
from emberline.campaign.pool_probability import calibration_of, pool_calibration, pool_evidence
from emberline.campaign.predictions import (
    latest_prediction,
    load_probabilities,
    runtime_of_round,
    target_probability,
)
from emberline.campaign.report_data import GalleryItem, Interval, Reliability, ReportData, RoundSummary
from emberline.campaign.summary import answers_by_row, final_classes, network_classes
from emberline.campaign.trust import candidate_trust
from emberline.config import to_mapping
from emberline.errors import EmberlineError
from emberline.learn.pool_calibration import PoolCalibration
from emberline.learn.stopping import Gain
from emberline.provenance import hash_of, provenance
from emberline.spectra import Mask

if TYPE_CHECKING:
    from astropy.table import Table

    from emberline.campaign.campaign import Campaign

__all__ = ["campaign_provenance", "candidate_table", "report_data", "status"]

_GALLERY = 24
_CATALOGUE = ["name", "survey", "ra", "dec", "mjd", "snr", "survey_class", "redshift", "source_file"]
_METHOD = (
    "Purity and completeness are estimated from the control sample alone: spectra drawn at random from the whole pool, "
    "stratum by stratum, and never trained on. Labels given to queries are taken as known."
)


def campaign_provenance(campaign: Campaign) -> dict[str, Any]:
    """What produced the results: software, configuration, recipe and pool, with their hashes."""
    config = to_mapping(campaign.stored_config)
    return provenance(
        campaign=campaign.config.name,
        campaign_created=campaign.database.meta("created"),
        configuration=config,
        configuration_hash=hash_of(config),
        recipe_hash=campaign.recipe.hash,
        labels_hash=hash_of([(label.identifier, label.answer, label.purpose) for label in campaign.labels()]),
        rounds=len(campaign.rounds()),
        runtime=_runtime(campaign),
    )


def _runtime(campaign: Campaign) -> dict[str, Any]:
    """What read the pool last; nothing before the first network."""
    number = latest_prediction(campaign)
    return {} if number is None else runtime_of_round(campaign, number).to_mapping()


# Status -----------------------------------------------------------------------------------------------------------


def status(campaign: Campaign) -> dict[str, Any]:
    """Where a campaign stands, as plain values; needs no pool."""
    rounds = campaign.rounds()
    summaries = [row["summary"] for row in rounds if row["summary"]]
    labels = campaign.labels()
    waiting = campaign.open_questions()
    return {
        "name": campaign.config.name,
        "path": str(campaign.path),
        "classes": list(campaign.config.classes),
        "targets": list(campaign.config.targets),
        "pool": summaries[-1]["pool"] if summaries else int(campaign.database.meta("pool") or 0),
        "labels": {
            "start": len(campaign.start.labels),
            "query": sum(label.purpose == "query" for label in labels),
            "control": sum(label.purpose == "control" for label in labels),
        },
        "answers": dict(Counter(label.answer for label in labels)),
        "rounds": [{**summary, "labels": summary["labels_query"] + summary["labels_control"]} for summary in summaries],
        "open_round": rounds[-1]["number"] if rounds and not rounds[-1]["summary"] else None,
        "open_questions": len(waiting),
        "unanswered": len(campaign.unanswered()),
        "disputed": len(campaign.database.look(State.disputes)),
        "next": _next_step(campaign, rounds, len(waiting)),
    }


def _next_step(campaign: Campaign, rounds: list[dict[str, Any]], waiting: int) -> str:
    path = campaign.path
    if not rounds or waiting or rounds[-1]["summary"] is None:
        return f"emberline label {path} (or, with a table of answers: emberline campaign run {path} --oracle TRUTH.csv)"
    if latest_prediction(campaign) is None:
        return f"emberline campaign run {path} --oracle TRUTH.csv --rounds {len(rounds) + 1} (no target labelled yet)"
    return f"emberline candidates {path} --out candidates.vot"


# Candidates -------------------------------------------------------------------------------------------------------


def candidate_table(campaign: Campaign) -> Table:
    """One row a candidate, the most probable first; spectra labelled as something else are left out.

    Raises
    ------
    CampaignError
        No round has trained a network yet.
    """
    from astropy.table import MaskedColumn, Table

    from emberline.campaign.candidate_columns import probability_columns

    probabilities = np.asarray(load_probabilities(campaign))
    chance = target_probability(campaign, probabilities)
    rows = np.flatnonzero(np.isin(final_classes(campaign, probabilities), campaign.config.target_indices))
    rows = rows[np.lexsort((campaign.pool.identifiers[rows], -chance[rows]))]
    classes = campaign.config.classes
    catalogue = campaign.pool.catalogue(_CATALOGUE).take(rows)
    table = Table()
    table["identifier"] = campaign.pool.identifiers[rows]
    table["object"] = campaign.pool.objects[rows]
    for name in _CATALOGUE[:-1]:
        table[name] = catalogue[name].to_numpy(zero_copy_only=False)
    table["predicted"] = np.array(classes)[network_classes(campaign, probabilities)[rows]]
    table["probability"] = chance[rows]
    for index, name in enumerate(probability_columns(classes)):
        table[name] = probabilities[rows, index]
    labels = {label.identifier: label for label in [*_start_labels(campaign), *campaign.labels()]}
    given = [labels.get(name) for name in campaign.identifiers(rows)]
    for name, values in _calibrated(campaign, probabilities, rows, given).items():
        table[name] = values
    table["label"] = np.array([label.answer if label else "" for label in given], dtype=np.str_)
    table["labelled_by"] = np.array([label.who if label else "" for label in given], dtype=np.str_)
    numbers = [label.round if label else -1 for label in given]
    table["label_round"] = MaskedColumn(numbers, mask=[number < 0 for number in numbers], dtype=np.int32)
    table["label_purpose"] = np.array([label.purpose if label else "" for label in given], dtype=np.str_)
    table["purity_stratum"] = _purity_of(campaign, given)
    trust = candidate_trust(campaign, rows)
    for name in ("disagreement", "training_distance", "unlike_training"):
        table[name] = getattr(trust, name)
    table["flagged"] = ~campaign.pool.usable[rows]
    table["bad_fraction"] = campaign.pool.bad_fraction[rows]
    table["source_file"] = catalogue["source_file"].to_numpy(zero_copy_only=False)
    return table


def _calibrated(
    campaign: Campaign, probabilities: NDArray[np.float32], rows: NDArray[np.int64], given: list[Label | None]
) -> dict[str, NDArray[np.float32]]:
    """The probability that is true of the pool, with its interval; a label is certain."""
    curve = pool_calibration(campaign, probabilities)
    stated = target_probability(campaign, probabilities[rows])
    labelled = np.array([label is not None for label in given], bool)
    found = (curve(stated), *curve.interval(stated))
    names = ("calibrated_probability", "calibrated_low", "calibrated_high")
    return {name: np.where(labelled, np.float32(1), values) for name, values in zip(names, found, strict=True)}


def _start_labels(campaign: Campaign) -> list[Label]:
    """The labels that the campaign started from, in the form of the others; they belong to no round."""
    pairs = zip(campaign.start.identifiers.tolist(), campaign.start.labels.tolist(), strict=True)
    classes = campaign.config.classes
    return [Label(0, "", "start", name, classes[index], "start", -1, "", {}) for name, index in pairs]


def _purity_of(campaign: Campaign, given: list[Label | None]) -> NDArray[np.float32]:
    """1 for labelled candidates; for the others the estimated purity of the catalogue, NaN when there is none."""
    summaries = [row["summary"] for row in campaign.rounds() if row["summary"]]
    estimate = summaries[-1]["purity"] if summaries else None
    value = np.nan if not estimate or estimate["value"] is None else estimate["value"]
    return np.array([1.0 if label else value for label in given], dtype=np.float32)


# Report -----------------------------------------------------------------------------------------------------------


def report_data(campaign: Campaign) -> ReportData:
    """Everything that the report shows."""
    from emberline.campaign.crossmatch import kept_summary

    config = campaign.config
    labels = campaign.labels()
    balance = Counter(label.answer for label in labels)
    balance.update(config.classes[index] for index in campaign.start.labels)
    data: dict[str, Any] = {
        "name": config.name,
        "created": str(campaign.database.meta("created")),
        "description": config.description,
        "classes": config.classes,
        "targets": config.targets,
        "pool_size": len(campaign.pool),
        "archives": [archive.path.name for archive in campaign.pool.archives],
        "recipe": to_mapping(campaign.recipe),
        "rounds": [_round_summary(row["summary"]) for row in campaign.rounds() if row["summary"]],
        "class_balance": {name: balance[name] for name in config.answers if balance[name]},
        "threshold": config.candidates.threshold,
        "crossmatch": kept_summary(campaign.path) or {},
        "method": _METHOD,
        "provenance": campaign_provenance(campaign),
    }
    if latest_prediction(campaign) is None:
        return ReportData(**data)
    probabilities = np.asarray(load_probabilities(campaign))
    chance = target_probability(campaign, probabilities)
    return ReportData(
        **data,
        confusion=_confusion(campaign, probabilities),
        confusion_classes=config.classes,
        probabilities_histogram=np.histogram(chance[campaign.pool.usable], bins=50, range=(0.0, 1.0)),
        best=_gallery(campaign, probabilities, _best_rows(campaign, probabilities, chance)),
        uncertain=_gallery(campaign, probabilities, _uncertain_rows(campaign, chance)),
        lines=_lines_in_window(campaign),
        reliability=_reliability(campaign, probabilities),
    )


def _reliability(campaign: Campaign, probabilities: NDArray[np.float32]) -> Reliability | None:
    """How true the probabilities are, and what that makes of the candidates that nobody has labelled."""
    evidence = pool_evidence(campaign, probabilities)
    curve = PoolCalibration.fit(evidence)
    found = calibration_of(campaign, probabilities, curve)
    if found is None:
        return None
    return Reliability.of(
        curve, evidence, candidates=found.candidates, promised=found.promised, expected=found.expected
    )


def _round_summary(summary: dict[str, Any]) -> RoundSummary:
    names = ("number", "labels_query", "labels_control", "labels_start", "candidates", "new_targets", "seconds")
    numbers = {key: value for key, value in summary["metrics"].items() if isinstance(value, int | float)}
    return RoundSummary(
        **{name: summary[name] for name in names},
        metrics=numbers,
        truth=summary["truth"],
        purity=_interval(summary["purity"]),
        completeness=_interval(summary["completeness"]),
        purity_by_class={name: Interval(*_ends(value)) for name, value in summary["purity_by_class"].items()},
        completeness_from_draw=(
            _interval(summary["completeness_from_draw"]) if summary.get("assumed") == "scores" else None
        ),
        gain=Gain(**summary["gain"]) if summary.get("gain") else None,
        **{name: summary[name] for name in ("worth", "revised", "unsure") if name in summary},
    )


def _interval(estimate: dict[str, Any] | None) -> Interval | None:
    return None if estimate is None else Interval(*_ends(estimate))


def _ends(estimate: dict[str, Any]) -> tuple[float, float, float]:
    values = (estimate[key] for key in ("value", "low", "high"))
    value, low, high = (float("nan") if value is None else float(value) for value in values)
    return value, low, high


def _confusion(campaign: Campaign, probabilities: NDArray[np.float32]) -> NDArray[np.int64]:
    """Control labels by what the network says: rows are the oracle's classes, columns the network's."""
    size = len(campaign.config.classes)
    counts = np.zeros((size, size), np.int64)
    predicted = network_classes(campaign, probabilities)
    for row, answer in answers_by_row(campaign, "control").items():
        if answer is not None:
            counts[answer, predicted[row]] += 1
    return counts


def _best_rows(
    campaign: Campaign, probabilities: NDArray[np.float32], chance: NDArray[np.float32]
) -> NDArray[np.int64]:
    """The most probable candidates, one an object, shared evenly among the target classes."""
    listed = final_classes(campaign, probabilities)
    queues = [
        list(np.flatnonzero(listed == target)[np.argsort(-chance[listed == target], kind="stable")])
        for target in campaign.config.target_indices
    ]
    chosen: list[int] = []
    seen: set[str] = set()
    while any(queues) and len(chosen) < _GALLERY:
        for queue in queues:
            while queue and str(campaign.pool.objects[queue[0]]) in seen:
                queue.pop(0)
            if queue and len(chosen) < _GALLERY:
                seen.add(str(campaign.pool.objects[queue[0]]))
                chosen.append(int(queue.pop(0)))
    return np.array(chosen, np.int64)


def _uncertain_rows(campaign: Campaign, chance: NDArray[np.float32]) -> NDArray[np.int64]:
    """Unlabelled spectra whose probability is nearest to the threshold."""
    open_to_doubt = campaign.pool.usable.copy()
    open_to_doubt[campaign.pool.rows([label.identifier for label in campaign.labels()])] = False
    rows = np.flatnonzero(open_to_doubt)
    doubt = np.abs(chance[rows] - campaign.config.candidates.threshold)
    return rows[np.argsort(doubt, kind="stable")[: _GALLERY // 2]]


def _gallery(
    campaign: Campaign, probabilities: NDArray[np.float32], rows: NDArray[np.int64]
) -> tuple[GalleryItem, ...]:
    labels = {label.identifier: label.answer for label in campaign.labels()}
    catalogue = campaign.pool.catalogue(["name", "ra", "dec"]).take(rows).to_pylist()
    predicted = network_classes(campaign, probabilities)
    chance = target_probability(campaign, probabilities)
    items = []
    for row, known in zip(rows, catalogue, strict=True):
        identifier = str(campaign.pool.identifiers[row])
        wavelength, flux = _whole_spectrum(campaign, int(row), identifier)
        items.append(
            GalleryItem(
                identifier=identifier,
                name=known["name"] or "",
                ra=float("nan") if known["ra"] is None else known["ra"],
                dec=float("nan") if known["dec"] is None else known["dec"],
                predicted=campaign.config.classes[predicted[row]],
                probability=float(chance[row]),
                label=labels.get(identifier),
                wavelength=campaign.recipe.grid.wavelength,
                values=np.asarray(campaign.pool.values[row]),
                full_wavelength=wavelength,
                full_flux=flux,
            )
        )
    return tuple(items)


def _whole_spectrum(
    campaign: Campaign, row: int, identifier: str
) -> tuple[NDArray[np.float64] | None, NDArray[np.float32] | None]:
    """The flux where there is one, weightless emission lines included; None when it cannot be read."""
    try:
        spectrum = campaign.pool.archives[int(campaign.pool.archive_index[row])].spectrum(identifier)
    except EmberlineError:
        return None, None
    good = (spectrum.mask & ~np.uint8(Mask.NO_WEIGHT)) == 0
    return spectrum.wavelength[good], spectrum.flux[good]


_LINES = {
    "Hβ": 4862.68,
    "[O III]": 5008.24,
    "He I": 5877.25,
    "[N II]": 6549.86,
    "Hα": 6564.61,
    "[N II] ": 6585.27,
    "He I ": 6679.99,
    "[S II]": 6718.29,
    "[S II] ": 6732.67,
}
"""Vacuum Å, for orientation in the gallery: NIST air values through `air_to_vacuum`."""


def _lines_in_window(campaign: Campaign) -> dict[str, float]:
    low, high = campaign.recipe.window_angstrom
    if (campaign.recipe.frame != "observed" and high - low > 2000) or high - low > 4000:
        return {}
    return {name: value for name, value in _LINES.items() if low <= value <= high}
