"""Is what a network was never taught flagged? Classes are left out of training, and looked for afterwards."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.label_efficiency.pools import CLASSES
from benchmarks.label_efficiency.units import append, read
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from emberline._version import __version__
from emberline.features import Recipe
from emberline.learn import train
from emberline.learn.trust import Reference, disagreement
from emberline.simulate import Survey, feature_block

__all__ = ["LEFT_OUT", "evaluate", "evaluate_all"]

LEFT_OUT = ("bad", "galaxy", "quasar", "nebular", "m-dwarf-emission")
_SHARE = 0.03
_STARS, _TARGETS = 250, 60
_PASSES = 20


def evaluate_all(path: Path, size: int, seeds: list[int]) -> None:
    """Do what is not in the file yet."""
    for seed in seeds:
        unit = {"size": size, "seed": seed}
        if not any(record["unit"] == unit for record in read(path)):
            record = {"unit": unit, **evaluate(size, seed)}
            append(path, record)
            print(unit, {name: round(value, 3) for name, value in record["auroc"]["distance"].items()}, flush=True)


def evaluate(size: int, seed: int) -> dict[str, Any]:
    """Train on stars with and without disks alone, and see what is said of everything else.

    Returns
    -------
    dict
        ``auroc`` by measure and class left out, against spectra of the classes taught, of other objects;
        ``flagged``, the share of each class beyond the threshold; ``false_flags``, the share of the classes taught.
    """
    values, kinds, objects = _survey(size, seed)
    rng = np.random.default_rng(seed)
    taught = np.concatenate(
        [rng.permutation(np.flatnonzero(kinds == kind))[:many] for kind, many in (("star", _STARS), ("be", _TARGETS))]
    )
    labels = (kinds[taught] == "be").astype(np.int64)
    model = train(values[taught], labels, objects[taught], CLASSES, rng=rng, recipe_hash="benchmark")
    rest = np.flatnonzero(~np.isin(objects, objects[taught]))
    reference = Reference.fit(model.embed(values[taught]), objects[taught])
    distance = reference.distance(model.embed(values[rest]))
    passes = model.stochastic(values[rest], _PASSES, np.random.default_rng(seed))
    chance = model.predict(values[rest])[:, 1]
    measures = {
        "distance": distance,
        "disagreement": disagreement(passes, (1,)),
        "doubt": 0.5 - np.abs(chance - 0.5),
    }
    known = np.isin(kinds[rest], ("star", "be"))
    return {
        "auroc": {
            name: {kind: _auroc(values, kinds[rest], known, kind) for kind in LEFT_OUT}
            for name, values in measures.items()
        },
        "flagged": {kind: float(reference.unlike(distance)[kinds[rest] == kind].mean()) for kind in LEFT_OUT},
        "false_flags": float(reference.unlike(distance)[known].mean()),
        "false_flags_targets": float(reference.unlike(distance)[kinds[rest] == "be"].mean()),
        "called_target": {kind: float((chance[kinds[rest] == kind] >= 0.5).mean()) for kind in LEFT_OUT},
        "made_by": {"emberline": __version__, "python": platform.python_version(), "numpy": np.__version__},
    }


def _survey(size: int, seed: int) -> tuple[NDArray[np.float32], NDArray[Any], NDArray[Any]]:
    """Features, kinds and objects of a survey in which every class is common enough to be measured."""
    config = Survey(
        spectra=size,
        seed=5000 + seed,
        prevalence=_SHARE,
        nebular=_SHARE,
        dwarf_emission=_SHARE,
        quasars=_SHARE,
        galaxies=_SHARE,
        junk=_SHARE,
    )
    recipe = Recipe.load("halpha-140")
    blocks = [feature_block(config, index, recipe) for index in range(config.blocks)]
    kinds, objects = (np.concatenate([block.truth[key] for block in blocks]) for key in ("label", "object"))
    return np.concatenate([block.features.values for block in blocks]), kinds, objects


def _auroc(values: NDArray[Any], kinds: NDArray[Any], known: NDArray[np.bool_], kind: str) -> float:
    compared = known | (kinds == kind)
    return float(roc_auc_score(~known[compared], values[compared]))
