"""The steps of a round: train, predict, ask. Each writes its files, and only then says that it is done."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from emberline.campaign.partial import Partial
from emberline.campaign.predictions import (
    latest_model,
    load_probabilities,
    model_file,
    model_of_round,
    note_runtime,
    pool_changed,
    round_folder,
    stream,
)
from emberline.campaign.questions import ask_round
from emberline.campaign.scoring import Predictor, runtimes_of
from emberline.campaign.training import training_set
from emberline.engine import Engine, LocalEngine, Matrix, matrix_of
from emberline.errors import CampaignError, NotFiniteError
from emberline.files import forget_pages, sha256_of, write_text
from emberline.learn.config import Choice
from emberline.progress import Progress

if TYPE_CHECKING:
    from emberline.campaign.campaign import Campaign
    from emberline.learn import Model

__all__ = ["predict_pool", "run_steps"]

_BLOCK = 65_536


def run_steps(campaign: Campaign, current: dict[str, Any], *, engine: Engine | None = None, progress: Progress) -> None:
    """Run those steps of a round that are not done yet; a pool that has grown since is read again."""
    campaign.prepare(engine=engine, progress=progress)
    number = int(current["number"])
    done = campaign.database.steps(number)
    steps: dict[str, Callable[[Campaign, dict[str, Any], Progress], None]] = {
        "train": _train,
        "predict": functools.partial(_predict, engine=engine),
        "query": ask_round,
    }
    for step, work in steps.items():
        if step in done and not (step == "predict" and pool_changed(campaign, number)):
            continue
        begun = time.perf_counter()
        work(campaign, current, progress)
        campaign.database.finish_step(number, step, time.perf_counter() - begun)


def _train(campaign: Campaign, current: dict[str, Any], progress: Progress) -> None:
    from emberline.learn import train

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


def _predict(campaign: Campaign, current: dict[str, Any], progress: Progress, *, engine: Engine | None = None) -> None:
    number = int(current["number"])
    model = model_of_round(campaign, number)
    if model is None:
        return
    pool, engine = campaign.pool, LocalEngine() if engine is None else engine
    folder = round_folder(campaign.path, number)
    folder.mkdir(parents=True, exist_ok=True)
    classes = len(campaign.config.classes)
    partial = Partial(folder, len(pool), classes, _made_by(campaign, number))
    progress("predict", partial.done, len(pool))
    choice = _runtime(campaign, model, partial, engine)
    predictor = Predictor(engine.share(model_file(campaign.path, number).read_bytes()), campaign.recipe.hash, choice)
    source = Matrix(pool.values, start=partial.done, rows=_BLOCK)
    try:
        for batch in engine.map_batches(predictor, source, schema=Predictor.schema(classes)):
            partial.append(matrix_of(batch["probabilities"]))
            forget_pages(pool.values)
            progress("predict", partial.done, len(pool))
    except NotFiniteError as error:
        raise _damaged(campaign, error.row) from error
    note_runtime(campaign, number, choice)
    partial.publish(folder / "probabilities.npy")
    write_text(folder / "pool.txt", pool.fingerprint)


def _runtime(campaign: Campaign, model: Model, partial: Partial, engine: Engine) -> Choice:
    """What reads the pool: what has begun to, if that can be had still, or what suits it best."""
    from emberline.learn.runtimes import usable

    there = runtimes_of(engine)
    begun = partial.choice
    if begun is not None and begun.runtime in there and usable(begun):
        return begun
    choice = model.choose(campaign.pool.values, campaign.config.predict, among=there)
    partial.begin(choice)
    return choice


def _damaged(campaign: Campaign, row: int) -> NotFiniteError:
    pool = campaign.pool
    archive = pool.archives[pool.archive_index[row]]
    return NotFiniteError(
        row,
        where=f"{campaign.identifiers([row])[0]}, row {row} of the pool",
        action=f"Remove {archive.path / 'features' / campaign.recipe.hash} and build the features again.",
    )


def _made_by(campaign: Campaign, number: int) -> dict[str, str]:
    """What probabilities come from: the network and the pool."""
    return {"model": sha256_of(model_file(campaign.path, number)), "pool": campaign.pool.fingerprint}


def predict_pool(campaign: Campaign, *, engine: Engine | None = None, progress: Progress) -> bool:
    """See `Campaign.predict`.

    Raises
    ------
    CampaignError
        No network has been trained yet.
    """
    campaign.prepare(engine=engine, progress=progress)
    newest = latest_model(campaign.path)
    if newest is None:
        raise CampaignError("no network has been trained yet", where=str(campaign.path), action="Run a round first.")
    number = int(newest.stem.removeprefix("round-"))
    if _has_read(campaign, number):
        return False
    begun = time.perf_counter()
    _predict(campaign, {"number": number}, progress, engine=engine)
    if "predict" not in campaign.database.steps(number):
        campaign.database.finish_step(number, "predict", time.perf_counter() - begun)
    return True


def _has_read(campaign: Campaign, number: int) -> bool:
    try:
        probabilities = load_probabilities(campaign, number)
    except CampaignError:
        return False
    shape = (len(campaign.pool), len(campaign.config.classes))
    return "predict" in campaign.database.steps(number) and probabilities.shape == shape
