"""The steps of a round: train, predict, ask. Each writes its files, and only then says that it is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from emberline.campaign.predictions import model_file, model_of_round, pool_changed, round_folder, stream
from emberline.campaign.questions import ask_round
from emberline.campaign.training import training_set
from emberline.files import atomic_path
from emberline.learn import train
from emberline.progress import Progress

if TYPE_CHECKING:
    from emberline.campaign.campaign import Campaign

__all__ = ["run_steps"]

_BLOCK = 65_536


def run_steps(campaign: Campaign, current: dict[str, Any], *, progress: Progress) -> None:
    """Run those steps of a round that are not done yet; a pool that has grown since is read again."""
    campaign.prepare(progress=progress)
    number = int(current["number"])
    done = campaign.database.steps(number)
    steps: dict[str, Callable[[Campaign, dict[str, Any], Progress], None]] = {
        "train": _train,
        "predict": _predict,
        "query": ask_round,
    }
    for step, work in steps.items():
        if step in done and not (step == "predict" and pool_changed(campaign, number)):
            continue
        begun = time.perf_counter()
        work(campaign, current, progress)
        campaign.database.finish_step(number, step, time.perf_counter() - begun)


def _train(campaign: Campaign, current: dict[str, Any], progress: Progress) -> None:
    number = int(current["number"])
    training = training_set(campaign)
    is_target = np.isin(training.labels, campaign.config.target_indices)
    if not is_target.any() or is_target.all():
        # Nothing to tell apart yet: the round asks by the cold start, which goes on until a target has been labelled.
        progress("train", 0, 0)
        return
    model = train(
        training.values,
        training.labels,
        training.objects,
        campaign.config.classes,
        campaign.config.train,
        rng=stream(campaign, number, "train"),
        recipe_hash=campaign.recipe.hash,
        progress=progress,
    )
    model.save(model_file(campaign.path, number))


def _predict(campaign: Campaign, current: dict[str, Any], progress: Progress) -> None:
    number = int(current["number"])
    model = model_of_round(campaign, number)
    if model is None:
        return
    pool = campaign.pool
    folder = round_folder(campaign.path, number)
    folder.mkdir(parents=True, exist_ok=True)
    shape = (len(pool), len(campaign.config.classes))
    with atomic_path(folder / "probabilities.npy") as temporary:
        result = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float32, shape=shape)
        for start in range(0, len(pool), _BLOCK):
            block = slice(start, min(start + _BLOCK, len(pool)))
            result[block] = model.predict(np.ascontiguousarray(pool.values[block], dtype=np.float32))
            progress("predict", block.stop, len(pool))
        result.flush()
        del result
    with atomic_path(folder / "pool.txt") as temporary:
        temporary.write_text(pool.fingerprint, encoding="utf-8")
