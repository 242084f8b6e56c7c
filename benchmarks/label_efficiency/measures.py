"""What is measured after each round: the ranking of the whole pool, and whether its probabilities are true."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

__all__ = ["calibration", "calibration_error", "completeness_at", "merge", "ranking"]

_BINS = 20


def ranking(scores: NDArray[Any], rows: NDArray[np.int64], answers: NDArray[np.int64]) -> NDArray[np.float64]:
    """Scores of the whole pool with what was labelled put at the ends: targets first, everything else last. (n,)"""
    span = float(np.ptp(scores)) or 1.0
    placed = (np.asarray(scores, np.float64) - float(np.min(scores))) / span
    placed[rows] = np.where(answers == 1, 2.0, -1.0)
    return placed


def completeness_at(purity: float, scores: NDArray[Any], is_target: NDArray[np.bool_]) -> float:
    """The largest share of the targets in any beginning of the ranking whose purity reaches `purity`.

    Rows of equal score are taken together.
    """
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(is_target[order])
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    good = ends[hits[ends] >= purity * (ends + 1)]
    return float(hits[good].max() / hits[-1]) if good.size else 0.0


def average_precision(scores: NDArray[Any], is_target: NDArray[np.bool_]) -> float:
    """The area under precision against recall."""
    return float(average_precision_score(is_target, scores))


def calibration(probability: NDArray[Any], is_target: NDArray[np.bool_]) -> dict[str, list[float]]:
    """Counts, sums of the probability and targets in equal bins of the probability of being a target."""
    bins = np.clip((probability * _BINS).astype(np.int64), 0, _BINS - 1)
    columns = {"rows": None, "probability": probability, "targets": is_target}
    return {
        key: np.bincount(bins, weights=values, minlength=_BINS).astype(float).tolist()
        for key, values in columns.items()
    }


def merge(tables: list[dict[str, list[float]]]) -> dict[str, NDArray[np.float64]]:
    """The bins of several runs together."""
    return {key: np.sum([table[key] for table in tables], axis=0) for key in ("rows", "probability", "targets")}


def calibration_error(bins: dict[str, NDArray[np.float64]], first: int = 0) -> float:
    """The mean distance of probability and frequency, weighted by rows; from bin `first` on."""
    gap = np.abs(bins["probability"] - bins["targets"])[first:].sum()
    return float(gap / max(bins["rows"][first:].sum(), 1.0))
