"""The candidates of each round, kept beside it: what came and what went from one round to the next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from emberline.campaign.predictions import round_folder, target_probability
from emberline.files import atomic_path

if TYPE_CHECKING:
    from emberline.campaign.campaign import Campaign

__all__ = ["candidates_of_round", "save_candidates"]


def save_candidates(
    campaign: Campaign, number: int, listed: NDArray[np.int64], probabilities: NDArray[np.float32]
) -> None:
    """Keep which spectra are candidates at a round's end, with their target probabilities."""
    rows = np.flatnonzero(np.isin(listed, campaign.config.target_indices))
    chance = target_probability(campaign, probabilities[rows])
    with atomic_path(round_folder(campaign.path, number) / "candidates.npz") as temporary, open(temporary, "wb") as out:
        np.savez_compressed(out, identifiers=campaign.pool.identifiers[rows], probabilities=chance)


def candidates_of_round(path: Path, number: int) -> dict[str, float] | None:
    """Spectrum → target probability of a round's candidates; None where no network was, or an older version."""
    try:
        with np.load(round_folder(path, number) / "candidates.npz", allow_pickle=False) as stored:
            return dict(zip(stored["identifiers"].tolist(), stored["probabilities"].tolist(), strict=True))
    except (OSError, ValueError, KeyError):
        return None
