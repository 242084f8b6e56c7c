"""The steps of a round: train, predict, ask. Each writes its files, and only then says that it is done."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from emberline.campaign.predictions import (
    latest_model,
    load_probabilities,
    model_file,
    model_of_round,
    pool_changed,
    round_folder,
    stream,
)
from emberline.campaign.questions import ask_round
from emberline.campaign.scoring import Predictor
from emberline.campaign.training import training_set
from emberline.engine import Engine, LocalEngine, Matrix, matrix_of
from emberline.errors import CampaignError
from emberline.files import atomic_path, forget_pages, sha256_of, write_text
from emberline.learn.config import Choice
from emberline.progress import Progress

if TYPE_CHECKING:
    from emberline.campaign.campaign import Campaign

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
    partial = _Partial(folder, len(pool), classes, _made_by(campaign, number))
    progress("predict", partial.done, len(pool))
    choice = partial.choice or model.choose(pool.values, campaign.config.predict)
    partial.choice = choice
    predictor = Predictor(engine.share(model_file(campaign.path, number).read_bytes()), campaign.recipe.hash, choice)
    source = Matrix(pool.values, start=partial.done, rows=_BLOCK)
    for batch in engine.map_batches(predictor, source, schema=Predictor.schema(classes)):
        block = slice(batch["row"][0].as_py(), batch["row"][-1].as_py() + 1)
        partial.write(block, matrix_of(batch["probabilities"]))
        forget_pages(pool.values)
        progress("predict", block.stop, len(pool))
    write_text(folder / "runtime.json", json.dumps(choice.to_mapping()))
    partial.publish(folder / "probabilities.npy")
    write_text(folder / "pool.txt", pool.fingerprint)


def _made_by(campaign: Campaign, number: int) -> dict[str, str]:
    """What probabilities come from: the network and the pool."""
    return {"model": sha256_of(model_file(campaign.path, number)), "pool": campaign.pool.fingerprint}


class _Partial:
    """Probabilities on their way to the disk: what an interrupted run has written of them is kept and continued.

    It is continued by the same runtime in the same precision: `choice` is None for a run that begins.
    """

    def __init__(self, folder: Path, rows: int, classes: int, made_by: dict[str, str]) -> None:
        self._file, self._note = folder / ".probabilities.part", folder / ".probabilities.json"
        self._made_by = made_by
        self.choice: Choice | None = None
        self.done = self._rows_done((rows, classes))
        mode: Literal["r+", "w+"] = "r+" if self.done else "w+"
        self._values = np.lib.format.open_memmap(self._file, mode=mode, dtype=np.float32, shape=(rows, classes))

    def _rows_done(self, shape: tuple[int, int]) -> int:
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            fits = np.load(self._file, mmap_mode="r").shape == shape
            choice = Choice(**note["choice"])
        except (OSError, ValueError, EOFError, TypeError, KeyError):
            return 0
        if not fits or note["made_by"] != self._made_by:
            return 0
        self.choice = choice
        return int(note["rows"])

    def write(self, block: slice, values: NDArray[np.float32]) -> None:
        """Keep some rows, and then note that they are kept."""
        self._values[block] = values
        self._values.flush()
        choice = None if self.choice is None else self.choice.to_mapping()
        write_text(self._note, json.dumps({"made_by": self._made_by, "rows": block.stop, "choice": choice}))

    def publish(self, path: Path) -> None:
        """Give the complete file its name."""
        del self._values
        with atomic_path(path) as temporary:
            self._file.rename(temporary)
        self._note.unlink(missing_ok=True)


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
