"""What a campaign's networks say of the pool: where they are kept, and how they are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from emberline.errors import CampaignError
from emberline.files import write_text
from emberline.learn.config import FP32, Choice

if TYPE_CHECKING:
    from emberline.campaign.campaign import Campaign
    from emberline.learn import Model

__all__ = [
    "latest_model",
    "latest_prediction",
    "load_probabilities",
    "model_file",
    "model_of_round",
    "note_runtime",
    "pool_changed",
    "round_folder",
    "runtime_of_round",
    "stream",
    "target_probability",
]

_RUNTIME = "runtime.json"
_STREAMS = {"train": 0, "control": 1, "query": 2, "estimate": 3, "stochastic": 4}


def stream(campaign: Campaign, number: int, use: str) -> np.random.Generator:
    """A random generator of its own for each round and use, so that resuming changes nothing."""
    return np.random.default_rng(np.random.SeedSequence(campaign.config.seed, spawn_key=(number, _STREAMS[use])))


def round_folder(path: Path, number: int) -> Path:
    """Where a round keeps its files."""
    return path / "rounds" / f"{number:03d}"


def model_file(path: Path, number: int) -> Path:
    """Where the network of a round is."""
    return path / "models" / f"round-{number:03d}.model"


def latest_model(path: Path) -> Path | None:
    """The newest network of a campaign, or None before the first."""
    found = sorted((path / "models").glob("round-*.model"))
    return found[-1] if found else None


def model_of_round(campaign: Campaign, number: int) -> Model | None:
    """The network of a round, or None when there was too little to train on."""
    file = model_file(campaign.path, number)
    if not file.exists():
        return None
    from emberline.learn import Model

    model = Model.load(file)
    model.check_recipe(campaign.recipe.hash)
    return model


def runtime_of_round(campaign: Campaign, number: int) -> Choice:
    """What read the pool in a round; PyTorch in fp32 where no note says so."""
    try:
        note = (round_folder(campaign.path, number) / _RUNTIME).read_text(encoding="utf-8")
        return Choice(**json.loads(note))
    except (OSError, ValueError, TypeError):
        return FP32


def note_runtime(campaign: Campaign, number: int, choice: Choice) -> None:
    """Write down what read the pool in a round."""
    write_text(round_folder(campaign.path, number) / _RUNTIME, json.dumps(choice.to_mapping()))


def latest_prediction(campaign: Campaign) -> int | None:
    """The newest round whose network has read the whole pool; None before the first."""
    read = [row["number"] for row in campaign.rounds() if "predict" in campaign.database.steps(row["number"])]
    found = [number for number in read if (round_folder(campaign.path, number) / "pool.txt").is_file()]
    return found[-1] if found else None


def pool_changed(campaign: Campaign, number: int) -> bool:
    """Whether the pool is another one than a round's network has read."""
    note = round_folder(campaign.path, number) / "pool.txt"
    return note.is_file() and note.read_text(encoding="utf-8", errors="replace") != campaign.pool.fingerprint


def load_probabilities(campaign: Campaign, number: int | None = None) -> NDArray[np.float32]:
    """Class probabilities of the pool in the latest round that has them, or in round `number`.

    Raises
    ------
    CampaignError
        No network has been trained yet, or the pool has changed since.
    """
    number = latest_prediction(campaign) if number is None else number
    if number is None or not (round_folder(campaign.path, number) / "pool.txt").is_file():
        raise CampaignError("no network has read the pool yet", where=str(campaign.path), action="Run a round first.")
    file = round_folder(campaign.path, number) / "probabilities.npy"
    if pool_changed(campaign, number):
        raise CampaignError(
            "the pool has changed since this round was predicted",
            where=str(file.parent),
            action="Run another round to read the new spectra.",
        )
    try:
        probabilities: NDArray[np.float32] = np.load(file, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise CampaignError(
            f"the probabilities cannot be read: {error}", where=str(file), action="Run another round to make new ones."
        ) from error
    return probabilities


def target_probability(campaign: Campaign, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """The probability of being any target, shape (spectra,)."""
    return np.asarray(probabilities[:, list(campaign.config.target_indices)].sum(axis=1), dtype=np.float32)
