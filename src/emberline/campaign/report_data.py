"""What a campaign hands to its report: plain frozen records, so that a report can be drawn without a campaign."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from emberline.learn.pool_calibration import Evidence, PoolCalibration
from emberline.learn.stopping import Gain

__all__ = ["EstimateLike", "GalleryItem", "Interval", "Reliability", "ReportData", "RoundSummary", "known"]


class EstimateLike(Protocol):
    """A share from 0 to 1 with its 95 % interval; NaN where it cannot be estimated: `learn.estimate.Estimate`."""

    @property
    def value(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


@dataclasses.dataclass(frozen=True)
class Interval:
    """The simplest `EstimateLike`."""

    value: float
    low: float
    high: float


def known(estimate: EstimateLike | None) -> bool:
    """Whether there is an estimate and its value is a number."""
    return estimate is not None and math.isfinite(estimate.value)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Reliability:
    """How true the stated probabilities are of what nobody has labelled.

    Attributes
    ----------
    stated, value, low, high : ndarray, shape (g,)
        A curve from the stated probability to the one that holds in the pool, with its interval.
    answers_stated, answers_share, answers_count : ndarray, shape (b,)
        The answers behind it in bins: the mean stated probability, the share that are targets, how many they are.
    labels : int
        All of these answers.
    candidates : int
        Candidates that nobody has labelled.
    promised, expected : float
        How many of those are targets: as stated, and as calibrated.
    """

    stated: NDArray[Any]
    value: NDArray[Any]
    low: NDArray[Any]
    high: NDArray[Any]
    answers_stated: NDArray[Any]
    answers_share: NDArray[Any]
    answers_count: NDArray[Any]
    labels: int
    candidates: int
    promised: float
    expected: float

    @classmethod
    def of(
        cls, curve: PoolCalibration, evidence: Evidence, *, candidates: int, promised: float, expected: float
    ) -> Reliability:
        """A curve at 201 stated probabilities, and the evidence that it was fitted to in ten bins."""
        stated = np.linspace(0, 1, 201)
        at, share, count = evidence.binned(10)
        low, high = curve.interval(stated)
        return cls(
            stated=stated,
            value=curve(stated),
            low=low,
            high=high,
            answers_stated=at,
            answers_share=share,
            answers_count=count,
            labels=curve.labels,
            candidates=candidates,
            promised=promised,
            expected=expected,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RoundSummary:
    """One round as it ended.

    Attributes
    ----------
    number : int
    labels_query, labels_control, labels_start : int
        Labels so far (this round's included), by what they were asked for.
    purity, completeness : EstimateLike or None
        Over all target classes, from the control sample.
    purity_by_class : mapping
        Target class → purity.
    candidates : int
        How many the pool holds after this round.
    new_targets : int
        Targets among the query labels of this round.
    seconds : mapping
        Step → wall time.
    metrics : mapping
        Whatever training measured (accuracy, loss, …).
    truth : mapping
        ``purity`` and ``completeness`` by a table of known truth, and ``targets``, how many it knows.
    completeness_from_draw : EstimateLike or None
        Where `completeness` assumes more than the random draw: what the draw alone says.
    gain : Gain or None
        New targets of the next 100 labels.
    worth : float or None
        How many of them make 100 labels worth the work.
    revised, unsure : int
        Control answers that were changed after the network's opinion had been seen; those that name no class.
    """

    number: int
    labels_query: int = 0
    labels_control: int = 0
    labels_start: int = 0
    purity: EstimateLike | None = None
    completeness: EstimateLike | None = None
    purity_by_class: Mapping[str, EstimateLike] = dataclasses.field(default_factory=dict)
    candidates: int = 0
    new_targets: int = 0
    seconds: Mapping[str, float] = dataclasses.field(default_factory=dict)
    metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)
    truth: Mapping[str, float] = dataclasses.field(default_factory=dict)
    completeness_from_draw: EstimateLike | None = None
    gain: Gain | None = None
    worth: float | None = None
    revised: int = 0
    unsure: int = 0

    @property
    def labels(self) -> int:
        """Labels given in this campaign so far; those it started with are not counted."""
        return self.labels_query + self.labels_control


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class GalleryItem:
    """One candidate as the network saw it.

    Attributes
    ----------
    identifier, name : str
    ra, dec : float
        Degrees (ICRS), NaN when unknown.
    predicted : str
        Most probable class.
    probability : float
        Of being a target.
    label : str or None
        What the oracle said; None when it was not asked.
    wavelength, values : ndarray, shape (d,)
        The feature vector on its grid (vacuum Å).
    full_wavelength, full_flux : ndarray, shape (m,), or None
        The whole spectrum.
    note : str
        Anything worth saying.
    """

    identifier: str
    name: str = ""
    ra: float = math.nan
    dec: float = math.nan
    predicted: str = ""
    probability: float = math.nan
    label: str | None = None
    wavelength: NDArray[Any]
    values: NDArray[Any]
    full_wavelength: NDArray[Any] | None = None
    full_flux: NDArray[Any] | None = None
    note: str = ""


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class ReportData:
    """All that a report shows; whatever is left out is shown as not yet known.

    Attributes
    ----------
    name, created, description : str
        Of the campaign; `created` in ISO 8601.
    classes, targets : sequence of str
    pool_size : int
        Spectra in the pool.
    archives : sequence of str
        Names of the archives searched.
    recipe : mapping
        As written in TOML.
    rounds : sequence of RoundSummary
        In order.
    confusion : ndarray of int, shape (k, k)
        Control labels: rows are the oracle's classes, columns the predicted ones.
    confusion_classes : sequence of str
        Its k classes.
    class_balance : mapping
        Class → labels given, query and start and control together.
    probabilities_histogram : (counts, edges)
        Of the probability of being a target over the pool; shapes (b,) and (b + 1,).
    reliability : Reliability or None
        How true the probabilities are; None where no answers tell.
    threshold : float
        A spectrum with this probability or more is a candidate; NaN when candidates are not chosen so.
    best, uncertain : sequence of GalleryItem
    lines : mapping
        Name → vacuum Å of lines to mark in the gallery.
    crossmatch : mapping
        The numbers of the last cross-match of the candidates; empty when there was none.
    method : str
        How this campaign's intervals are made, one sentence or two; a general text stands in for it.
    provenance : mapping
        Anything that JSON can hold.
    """

    name: str
    created: str = ""
    description: str = ""
    classes: Sequence[str] = ()
    targets: Sequence[str] = ()
    pool_size: int = 0
    archives: Sequence[str] = ()
    recipe: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    rounds: Sequence[RoundSummary] = ()
    confusion: NDArray[Any] = dataclasses.field(default_factory=lambda: np.zeros((0, 0), dtype=np.int64))
    confusion_classes: Sequence[str] = ()
    class_balance: Mapping[str, int] = dataclasses.field(default_factory=dict)
    probabilities_histogram: tuple[Sequence[int] | NDArray[Any], Sequence[float] | NDArray[Any]] = ((), ())
    reliability: Reliability | None = None
    threshold: float = math.nan
    best: Sequence[GalleryItem] = ()
    uncertain: Sequence[GalleryItem] = ()
    lines: Mapping[str, float] = dataclasses.field(default_factory=dict)
    crossmatch: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    method: str = ""
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)
