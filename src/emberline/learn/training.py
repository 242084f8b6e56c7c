"""Train a network on few labels: split by object, balance, fit with early stopping, calibrate, measure."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from emberline.config import to_mapping
from emberline.errors import ModelError
from emberline.learn.balance import balance
from emberline.learn.calibrate import fit_temperature
from emberline.learn.config import TrainConfig
from emberline.learn.fitting import Member, fit_all
from emberline.learn.metrics import evaluate
from emberline.learn.model import Model
from emberline.learn.networks import Committee, SpectrumNetwork, build
from emberline.learn.split import split_objects
from emberline.learn.threads import threads
from emberline.progress import Progress, silent
from emberline.provenance import provenance

__all__ = ["train"]

_FEWEST_HELD_OUT = 8
_THREADS = {"ember": 1}
"""The small network's steps are too short to share: on a busy machine two threads wait for each other at every layer,
which took 14 times the processor time of one. Fixing the number also makes a training the same on any machine."""


def train(
    values: NDArray[np.floating],
    labels: NDArray[np.integer],
    objects: NDArray[Any],
    classes: tuple[str, ...],
    config: TrainConfig | None = None,
    *,
    rng: np.random.Generator,
    recipe_hash: str,
    init: Model | None = None,
    progress: Progress = silent,
) -> Model:
    """Train a classifier of feature vectors.

    Parameters
    ----------
    values : (n, d) float
        Feature vectors, finite.
    labels : (n,) int
        The class of each, an index into `classes`. Not every class needs an example.
    objects : (n,) str or int
        The object of each; held-out objects are never learnt from.
    classes : tuple of str
        The names of all classes.
    config : TrainConfig, optional
        How to train.
    rng : numpy.random.Generator
        The only source of randomness: the same state, input and number of threads give the same weights, bit by bit,
        on a processor.
    recipe_hash : str
        The recipe that made the features.
    init : Model, optional
        Start from its weights; classes are matched by name, new ones start fresh.
    progress : Progress
        Told of each epoch; what it raises ends the training.

    Returns
    -------
    Model
        With the weights of the lowest validation loss. With fewer than 8 spectra to hold out it is trained on all
        labels for half of the epochs, uncalibrated, and its validation metrics are None.

    Raises
    ------
    ModelError
        When the arrays do not fit each other, a feature is not finite, a single class has labels, or the loss
        becomes infinite.
    """
    config = config or TrainConfig()
    started = time.perf_counter()
    values, labels = _checked(values, labels, objects, classes)
    if init is not None:
        _check_start(init, config, values.shape[1], recipe_hash)
    members: list[Member] = []
    for number in range(config.members):
        members.append(_member(number, members, values, labels, objects, classes, config, rng, init))
    with threads(_THREADS.get(config.network)) as granted:
        fit_all(members, config, granted if config.network in _THREADS else 1, progress)
    network = members[0].network if len(members) == 1 else Committee([member.network.cpu() for member in members])
    model = Model(network, classes, values.shape[1], recipe_hash, config)
    model.metrics = {**_measure(model, members, values, labels), **_history(members)}
    model.metrics |= _counts(members, labels, classes, config)
    model.metrics["seconds"] = time.perf_counter() - started
    model.provenance = provenance(recipe_hash=recipe_hash, config=to_mapping(config), threads=torch.get_num_threads())
    return model


def _checked(
    values: NDArray[np.floating], labels: NDArray[np.integer], objects: NDArray[Any], classes: tuple[str, ...]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    features, known = np.ascontiguousarray(values, dtype=np.float32), np.asarray(labels, dtype=np.int64)
    if features.ndim != 2 or not len(features) == len(known) == len(objects):
        found = f"values {features.shape}, {len(known)} labels, {len(objects)} objects"
        raise ModelError("the training arrays do not fit each other", found=found, expected="(n, d), n and n")
    if not np.isfinite(features).all():
        row = int(np.flatnonzero(~np.isfinite(features).all(axis=1))[0])
        raise ModelError("the features of a training spectrum are not finite", where=f"row {row}")
    wrong = np.flatnonzero((known < 0) | (known >= len(classes)))
    if wrong.size:
        found, expected = str(known[wrong[0]]), f"0 to {len(classes) - 1}"
        raise ModelError("a label is no class", where=f"row {wrong[0]}", found=found, expected=expected)
    present = np.unique(known)
    if present.size < 2:
        found = f"{len(known)} of {classes[present[0]]!r}" if present.size else "no labels at all"
        action = "Label some spectra of another class."
        raise ModelError("nothing to tell apart", found=found, expected="labels of two classes", action=action)
    return features, known


def _member(
    number: int,
    earlier: list[Member],
    values: NDArray[np.float32],
    labels: NDArray[np.int64],
    objects: NDArray[Any],
    classes: tuple[str, ...],
    config: TrainConfig,
    rng: np.random.Generator,
    init: Model | None,
) -> Member:
    """Hold out other objects than the members before it, as far as there are any, and draw fresh weights."""
    before = np.zeros(len(labels), dtype=bool)
    for one in earlier:
        before[one.held_out] = True
    training, held_out = _split(labels, objects, config, rng, before)
    balanced = balance(values[training], labels[training], len(classes), config.balance, rng)
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    network = build(config.network, values.shape[1], len(classes), dropout=config.dropout, generator=generator)
    if init is not None:
        _take_over(network, number, init, classes)
    elif earlier:  # a committee has one centre and one scale
        network.centre.copy_(earlier[0].network.centre)
        network.scale.copy_(earlier[0].network.scale)
    else:
        _standardise(network, values if config.members > 1 else values[training])
    return Member(network, generator, training, held_out, balanced, (values[held_out], labels[held_out]), {})


def _split(
    labels: NDArray[np.int64],
    objects: NDArray[Any],
    config: TrainConfig,
    rng: np.random.Generator,
    before: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Hold out objects, unless they would be too few to stop or calibrate by."""
    training, held_out = split_objects(labels, objects, config.validation_fraction, rng, before=before)
    if held_out.size < _FEWEST_HELD_OUT or np.unique(labels[held_out]).size < 2:
        return np.arange(len(labels)), np.empty(0, dtype=np.int64)
    return training, held_out


def _check_start(init: Model, config: TrainConfig, pixels: int, recipe_hash: str) -> None:
    """Refuse a model whose weights do not fit."""
    init.check_recipe(recipe_hash)
    if init.config.network != config.network:
        raise ModelError(
            "the model to start from has another network", found=init.config.network, expected=config.network
        )
    if init.pixels != pixels:
        raise ModelError(
            "the model to start from takes features of another length", found=str(init.pixels), expected=str(pixels)
        )


@torch.no_grad()
def _take_over(network: SpectrumNetwork, number: int, init: Model, classes: tuple[str, ...]) -> None:
    """Start from the weights of a model, of a committee's member in turn, wherever they fit."""
    members = init.network.split() if isinstance(init.network, Committee) else [init.network]
    weights = {name: weight.cpu() for name, weight in members[number % len(members)].state_dict().items()}
    for name in ("output.weight", "output.bias"):
        fresh = network.state_dict()[name].clone()
        for new, label in enumerate(classes):
            if label in init.classes:
                fresh[new] = weights[name][init.classes.index(label)]
        weights[name] = fresh
    network.load_state_dict(weights)


def _standardise(network: SpectrumNetwork, values: NDArray[np.float32]) -> None:
    network.centre.fill_(float(values.mean(dtype=np.float64)))
    network.scale.fill_(float(values.std(dtype=np.float64)) or 1.0)


def _history(members: list[Member]) -> dict[str, Any]:
    """How training went; of a committee the longest training, the middle best epoch and the mean loss."""
    losses = [member.history["loss"] for member in members if member.history["loss"] is not None]
    return {
        "epochs": max(member.history["epochs"] for member in members),
        "best_epoch": int(np.median([member.history["best_epoch"] for member in members])),
        "loss": float(np.mean(losses)) if losses else None,
    }


def _measure(
    model: Model, members: list[Member], values: NDArray[np.float32], labels: NDArray[np.int64]
) -> dict[str, Any]:
    """Calibrate on the held-out spectra and say how good the model is on them.

    Of a committee each held-out spectrum is judged by the members that have not learnt from it.
    """
    logits, rows = _held_out_logits(model, members, values)
    if not len(rows):
        empty = np.empty((0, len(model.classes)), dtype=np.float32)
        return {**evaluate(empty, labels[rows], model.classes), "ece_uncalibrated": None, "temperature": 1.0}
    uncalibrated = evaluate(softmax(logits, axis=1), labels[rows], model.classes)["ece"]
    model.temperature = fit_temperature(logits, labels[rows])
    metrics = evaluate(softmax(logits / model.temperature, axis=1), labels[rows], model.classes)
    return {**metrics, "ece_uncalibrated": uncalibrated, "temperature": model.temperature}


def _held_out_logits(
    model: Model, members: list[Member], values: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """For each row that some member has not learnt from, the mean of those members' logits; and the rows."""
    total = np.zeros((len(values), len(model.classes)), dtype=np.float32)
    count = np.zeros(len(values), dtype=np.float32)
    for member in members:
        alone = replace(model, network=member.network)
        if len(member.held_out):
            total[member.held_out] += alone.logits(values[member.held_out])
            count[member.held_out] += 1
    rows = np.flatnonzero(count)
    return total[rows] / count[rows, None], rows


def _counts(
    members: list[Member], labels: NDArray[np.int64], classes: tuple[str, ...], config: TrainConfig
) -> dict[str, Any]:
    def by_class(some: NDArray[np.int64]) -> dict[str, int]:
        return dict(zip(classes, np.bincount(some, minlength=len(classes)).tolist(), strict=True))

    def together(rows: list[NDArray[np.int64]]) -> NDArray[np.int64]:
        return labels[np.unique(np.concatenate(rows))]

    balanced = members[0].balanced
    return {
        "counts": by_class(together([member.training for member in members])),
        "counts_balanced": by_class(balanced.labels),
        "counts_validation": by_class(together([member.held_out for member in members])),
        "balance": {"asked": config.balance, "used": balanced.method, "reason": balanced.reason},
    }
