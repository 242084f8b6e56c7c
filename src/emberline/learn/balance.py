"""Make rare classes count: synthetic minority examples, class weights, or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberline.learn.config import Balance

__all__ = ["Balanced", "balance"]

_NEIGHBOURS = 5


@dataclass(frozen=True)
class Balanced:
    """A training set after balancing.

    Attributes
    ----------
    values : (m, d) float32
        The spectra, the synthetic ones last.
    labels : (m,) int64
        Their classes.
    weights : (k,) float32
        What an example of each class counts in the loss; the mean over the spectra is 1.
    method : str
        The method used, which is not the one asked for when that could not be applied.
    reason : str
        Why not, or how it was adapted; empty otherwise.
    """

    values: NDArray[np.float32]
    labels: NDArray[np.int64]
    weights: NDArray[np.float32]
    method: Balance
    reason: str = ""


def balance(
    values: NDArray[np.float32], labels: NDArray[np.int64], classes: int, method: Balance, rng: np.random.Generator
) -> Balanced:
    """Balance a training set.

    SMOTE (Chawla et al. 2002) puts synthetic spectra between neighbours of a rare class until all classes are as large
    as the largest; ADASYN (He et al. 2008) puts more of them where the classes meet. ADASYN that finds no such place
    falls back to SMOTE, SMOTE with a class of one spectrum to class weights; the reason is recorded.
    """
    values = np.ascontiguousarray(values, dtype=np.float32)
    even = np.ones(classes, dtype=np.float32)
    if method == "none":
        return Balanced(values, labels, even, "none")
    counts = np.bincount(labels, minlength=classes)
    present = counts[counts > 0]
    if method == "weights" or present.min() == present.max():
        return Balanced(values, labels, _weights(counts), method)
    if present.min() < 2:
        reason = f"{method} needs 2 spectra of each class, and one class has 1: class weights instead"
        return Balanced(values, labels, _weights(counts), "weights", reason)
    return _oversample(values, labels, even, method, int(present.min()), rng)


def _oversample(
    values: NDArray[np.float32],
    labels: NDArray[np.int64],
    even: NDArray[np.float32],
    method: Balance,
    smallest: int,
    rng: np.random.Generator,
) -> Balanced:
    from imblearn.over_sampling import ADASYN, SMOTE

    neighbours = min(_NEIGHBOURS, smallest - 1)
    reason = f"{neighbours} neighbours: a class has {smallest} spectra" if neighbours < _NEIGHBOURS else ""
    seed = int(rng.integers(2**31))
    if method == "adasyn":
        try:
            return _resample(ADASYN(n_neighbors=neighbours, random_state=seed), values, labels, even, method, reason)
        except (ValueError, RuntimeError) as error:
            reason = f"ADASYN could not be applied ({str(error).split('.')[0]}): SMOTE instead. {reason}".strip()
    return _resample(SMOTE(k_neighbors=neighbours, random_state=seed), values, labels, even, "smote", reason)


def _resample(
    sampler: Any,
    values: NDArray[np.float32],
    labels: NDArray[np.int64],
    even: NDArray[np.float32],
    method: Balance,
    reason: str,
) -> Balanced:
    more, more_labels = sampler.fit_resample(values, labels)
    return Balanced(
        np.ascontiguousarray(more, dtype=np.float32), np.asarray(more_labels, np.int64), even, method, reason
    )


def _weights(counts: NDArray[np.intp]) -> NDArray[np.float32]:
    """Inverse frequencies over the classes present, so that the mean over spectra is one."""
    present = counts > 0
    weights = np.ones(counts.size)
    weights[present] = counts.sum() / (present.sum() * counts[present])
    return weights.astype(np.float32)
