"""What a campaign's network is trained on: the labels it started from and the answers to its queries."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emberline.campaign.pool import TrainingSet
from emberline.errors import CampaignError
from emberline.features import Recipe
from emberline.files import atomic_path

if TYPE_CHECKING:
    from emberline.campaign.campaign import Campaign

__all__ = ["join_sets", "load_training_set", "save_training_set", "training_set"]


def join_sets(sets: Sequence[TrainingSet], recipe: Recipe) -> TrainingSet:
    """Put training sets together; none at all gives an empty one."""
    if not sets:
        names = np.zeros(0, "<U1")
        return TrainingSet(np.zeros((0, recipe.pixels), np.float32), np.zeros(0, np.int64), names, names)
    columns = zip(*(dataclasses.astuple(one) for one in sets), strict=True)
    return TrainingSet(*(np.concatenate(column) for column in columns))


def save_training_set(path: Path, training: TrainingSet) -> None:
    """Write a training set as one compressed NumPy file, atomically."""
    arrays = {field.name: getattr(training, field.name) for field in dataclasses.fields(training)}
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        np.savez_compressed(stream, **arrays)


def load_training_set(path: Path) -> TrainingSet:
    """Read what `save_training_set` wrote."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return TrainingSet(*(stored[field.name] for field in dataclasses.fields(TrainingSet)))
    except (OSError, ValueError, KeyError) as error:
        raise CampaignError(f"the starting labels cannot be read: {error}", where=str(path)) from error


def training_set(campaign: Campaign) -> TrainingSet:
    """Everything that may be trained on now: the start and the query labels that are classes, never control labels."""
    classes = campaign.config.classes
    labels = sorted(
        (label for label in campaign.labels() if label.purpose == "query" and label.answer in classes),
        key=lambda label: label.identifier,
    )
    rows = campaign.pool.rows([label.identifier for label in labels])
    asked = TrainingSet(
        np.ascontiguousarray(campaign.pool.values[rows], dtype=np.float32),
        np.array([classes.index(label.answer) for label in labels], np.int64),
        campaign.pool.objects[rows],
        campaign.pool.identifiers[rows],
    )
    return join_sets([campaign.start, asked], campaign.recipe)
