"""What an annotator sees of one spectrum: all of it, the network's window, and later why it was asked."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emberline.campaign.annotation.arrays import read_spectrum
from emberline.campaign.annotation.asked import Asked, find_asked
from emberline.campaign.annotation.decisions import Decision, decision_of
from emberline.campaign.annotation.events import Question

if TYPE_CHECKING:
    from emberline.campaign.campaign import Campaign

__all__ = ["STRATA", "Opinion", "SpectrumView", "Why", "Window", "opinion_of", "view_of"]

STRATA = (
    "predicted targets", "near the threshold", "the most probable of the rest", "the rest",
    "the surest predicted targets", "the other predicted targets", "the most probable of what is not predicted",
    "the next probable", "the less probable", "the improbable", "the rest",
)  # fmt: skip
"""The strata of a control sample, by number; see `emberline.learn.control.fine_strata` and `control_strata`."""


@dataclasses.dataclass(frozen=True)
class Opinion:
    """What the network says, before it knew any answer to this question.

    Attributes
    ----------
    probabilities : dict
        Class → probability.
    target : float
        The probability of being any target.
    entropy : float
        From 0, sure, to 1, undecided between all classes.
    margin : float
        Between the two most probable classes.
    rank, pool : int
        Place by target probability among so many spectra; 1 is the most probable.
    """

    probabilities: dict[str, float]
    target: float
    entropy: float
    margin: float
    rank: int
    pool: int

    @property
    def suggestion(self) -> str:
        """The most probable class."""
        return max(self.probabilities, key=lambda name: self.probabilities[name])


@dataclasses.dataclass(frozen=True)
class Why:
    """Why a spectrum was asked about; told only once it has been answered, for control questions must not be known.

    Attributes
    ----------
    purpose : str
        ``query`` or ``control``.
    reason : str
        What the strategy says.
    round : int
    stratum : str
        Of a control question: from which part of the pool it was drawn; else empty.
    """

    purpose: str
    reason: str
    round: int
    stratum: str


@dataclasses.dataclass(frozen=True, eq=False)
class Window:
    """The feature vector that the network sees: `values` at `wavelength` (vacuum Å, in `frame`)."""

    wavelength: NDArray[np.float64]
    values: NDArray[np.float32]
    recipe: str
    frame: str
    bad_fraction: float


@dataclasses.dataclass(frozen=True, eq=False)
class SpectrumView:
    """Everything beside one question.

    Attributes
    ----------
    identifier, object, archive : str
        The archive by the name of its folder.
    wavelength : ndarray of float64, shape (n,)
        Vacuum Å, in the velocity frame that `metadata` names.
    flux, ivar : ndarray of float32, shape (n,)
        In the unit that `metadata` names; ivar is 0 where nothing is known.
    mask : ndarray of uint8, shape (n,)
        0 is good; see `emberline.spectra.Mask`.
    metadata : dict
        Survey, name, position, date, signal-to-noise ratio, medium of the file, velocity frame, unit, …; what is not
        known is left out.
    window : Window
    decision : Decision or None
        What this annotator has said of it.
    opinion : Opinion or None
        None while it is hidden, and before the first network.
    why : Why or None
        None before the answer.
    """

    identifier: str
    object: str
    archive: str
    wavelength: NDArray[np.float64]
    flux: NDArray[np.float32]
    ivar: NDArray[np.float32]
    mask: NDArray[np.uint8]
    metadata: dict[str, Any]
    window: Window
    decision: Decision | None
    opinion: Opinion | None
    why: Why | None


def view_of(
    campaign: Campaign, who: str, identifier: str, question: Question, silent_task: str, reveal: bool
) -> SpectrumView:
    """See `emberline.campaign.annotation.Desk.view`; `silent_task` is the token of a question that came again."""
    asked, index = find_asked(campaign, identifier)
    archive = campaign.config.pool.archives[int(asked.archive[index])]
    spectrum = read_spectrum(archive, identifier, str(asked.part[index]), int(asked.row[index]))
    decision = campaign.database.look(lambda state: decision_of(state, who, identifier, silent_task))
    answered = decision is not None and decision.answer is not None
    open_to_all = reveal or not campaign.config.annotation.blind
    return SpectrumView(
        identifier=identifier,
        object=str(asked.objects[index]),
        archive=archive.name,
        wavelength=spectrum.wavelength,
        flux=spectrum.flux,
        ivar=spectrum.ivar,
        mask=spectrum.mask,
        metadata={key: value for key, value in spectrum.meta.as_dict().items() if _known(value)},
        window=window_of(campaign, asked, index),
        decision=decision,
        opinion=opinion_of(campaign, asked, index) if answered or open_to_all else None,
        why=_why(question) if answered else None,
    )


def _known(value: Any) -> bool:
    return value not in ("", None) and not (isinstance(value, float) and not np.isfinite(value))


def window_of(campaign: Campaign, asked: Asked, index: int) -> Window:
    """The feature vector of one of a round's spectra."""
    recipe = campaign.recipe
    return Window(
        recipe.grid.wavelength, asked.values[index], recipe.name, recipe.frame, float(asked.bad_fraction[index])
    )


def opinion_of(campaign: Campaign, asked: Asked, index: int) -> Opinion | None:
    """What the network says of one of a round's spectra; None before the first network."""
    if not asked.probabilities.size:
        return None
    p = asked.probabilities[index].astype(np.float64)
    ordered = np.sort(p)
    entropy = -np.sum(np.where(p > 0, p * np.log(np.maximum(p, 1e-300)), 0.0)) / np.log(len(p))
    return Opinion(
        probabilities={name: float(value) for name, value in zip(campaign.config.classes, p, strict=True)},
        target=float(p[list(campaign.config.target_indices)].sum()),
        entropy=float(np.clip(entropy, 0, 1)),
        margin=float(ordered[-1] - ordered[-2]),
        rank=int(asked.rank[index]),
        pool=int(asked.pool),
    )


def _why(question: Question) -> Why:
    number = question.stratum
    stratum = "" if number is None else STRATA[number] if 0 <= number < len(STRATA) else f"stratum {number}"
    return Why(question.purpose, question.reason, question.round, stratum)
