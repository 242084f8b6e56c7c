"""Train a network on few labels: split by object, balance, fit with early stopping, calibrate, measure."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from emberline.config import to_mapping
from emberline.errors import ModelError
from emberline.learn.balance import Balanced, balance
from emberline.learn.calibrate import fit_temperature
from emberline.learn.config import TrainConfig
from emberline.learn.metrics import evaluate
from emberline.learn.model import Model
from emberline.learn.networks import SpectrumNetwork, build, device, use_generator
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
    training, held_out = _split(labels, objects, config, rng)
    balanced = balance(values[training], labels[training], len(classes), config.balance, rng)
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    network = _start(config, values.shape[1], classes, recipe_hash, generator, init)
    if init is None:
        _standardise(network, values[training])
    with threads(_THREADS.get(config.network)):
        history = _fit(network, balanced, (values[held_out], labels[held_out]), config, generator, progress)
    model = Model(network, classes, values.shape[1], recipe_hash, config)
    model.metrics = {**_measure(model, values[held_out], labels[held_out]), **history}
    model.metrics |= _counts(labels, training, held_out, balanced, classes, config)
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


def _split(
    labels: NDArray[np.int64], objects: NDArray[Any], config: TrainConfig, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Hold out objects, unless they would be too few to stop or calibrate by."""
    training, held_out = split_objects(labels, objects, config.validation_fraction, rng)
    if held_out.size < _FEWEST_HELD_OUT or np.unique(labels[held_out]).size < 2:
        return np.arange(len(labels)), np.empty(0, dtype=np.int64)
    return training, held_out


def _start(
    config: TrainConfig,
    pixels: int,
    classes: tuple[str, ...],
    recipe_hash: str,
    generator: torch.Generator,
    init: Model | None,
) -> SpectrumNetwork:
    """A network with fresh weights, or with those of `init` wherever they fit."""
    network = build(config.network, pixels, len(classes), dropout=config.dropout, generator=generator)
    if init is None:
        return network
    init.check_recipe(recipe_hash)
    if init.config.network != config.network:
        raise ModelError(
            "the model to start from has another network", found=init.config.network, expected=config.network
        )
    if init.pixels != pixels:
        raise ModelError(
            "the model to start from takes features of another length", found=str(init.pixels), expected=str(pixels)
        )
    weights = {name: weight.cpu() for name, weight in init.network.state_dict().items()}
    for name in ("output.weight", "output.bias"):
        fresh = network.state_dict()[name].clone()
        for new, label in enumerate(classes):
            if label in init.classes:
                fresh[new] = weights[name][init.classes.index(label)]
        weights[name] = fresh
    network.load_state_dict(weights)
    return network


def _standardise(network: SpectrumNetwork, values: NDArray[np.float32]) -> None:
    network.centre.fill_(float(values.mean(dtype=np.float64)))
    network.scale.fill_(float(values.std(dtype=np.float64)) or 1.0)


def _fit(
    network: SpectrumNetwork,
    balanced: Balanced,
    validation: tuple[NDArray[np.float32], NDArray[np.int64]],
    config: TrainConfig,
    generator: torch.Generator,
    progress: Progress,
) -> dict[str, Any]:
    """Run epochs until the validation loss stops falling, and leave the best weights in the network."""
    where = device()
    network.to(where)
    measured = len(validation[1]) > 0
    epochs = config.epochs if measured else max(config.epochs // 2, 1)
    held_out = torch.tensor(validation[0], device=where), torch.tensor(validation[1], device=where)
    loop = _Loop(network, balanced, config, epochs, generator, where)
    best = _Best()
    while loop.epoch < epochs and not (measured and loop.epoch - best.epoch >= config.patience):
        loop.run_epoch()
        if measured:
            best.see(loop.epoch, _loss(network, *held_out), network)
        progress("train", loop.epoch, epochs)
    if not measured:
        return {"epochs": epochs, "best_epoch": epochs, "loss": None}
    network.load_state_dict(best.weights)
    return {"epochs": loop.epoch, "best_epoch": best.epoch, "loss": best.loss}


@dataclass
class _Best:
    """The weights of the lowest validation loss so far."""

    loss: float = float("inf")
    epoch: int = 0

    def see(self, epoch: int, loss: float, network: nn.Module) -> None:
        if not np.isfinite(loss):
            raise _diverged()
        if loss < self.loss:
            self.loss, self.epoch = loss, epoch
            self.weights = {name: weight.clone() for name, weight in network.state_dict().items()}


class _Loop:
    """One epoch after the other: shuffled full batches, each spectrum changed a little when the configuration asks."""

    def __init__(
        self,
        network: SpectrumNetwork,
        balanced: Balanced,
        config: TrainConfig,
        epochs: int,
        generator: torch.Generator,
        where: torch.device,
    ) -> None:
        self.network = network
        self.config = config
        self.epochs = epochs
        self.epoch = 0
        self.shuffle = generator
        self.noise = torch.Generator(where).manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
        use_generator(network, self.noise)
        self.values = torch.tensor(balanced.values, device=where)
        self.labels = torch.tensor(balanced.labels, device=where)
        self.loss = nn.CrossEntropyLoss(
            weight=torch.tensor(balanced.weights, device=where), label_smoothing=config.label_smoothing
        )
        kind = torch.optim.AdamW if config.optimiser == "adamw" else torch.optim.Adam
        self.optimiser = kind(
            network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )

    def run_epoch(self) -> None:
        self.network.train()
        total = torch.zeros((), device=self.values.device)
        batches = self._batches()
        with torch.backends.cudnn.flags(deterministic=True, benchmark=False):
            for step, rows in enumerate(batches):
                self._set_rate(self.epoch + step / len(batches))
                self.optimiser.zero_grad(set_to_none=True)
                loss = self.loss(self.network(self._augmented(self.values[rows])), self.labels[rows])
                loss.backward()
                self.optimiser.step()
                total += loss.detach()
        self.network.eval()
        self.epoch += 1
        if not bool(torch.isfinite(total)):
            raise _diverged()

    def _batches(self) -> list[Tensor]:
        """Row numbers of full batches; a small training set is gone through several times."""
        count, batch = len(self.labels), min(self.config.batch, len(self.labels))
        steps = max(-(-count // batch), self.config.epoch_steps)
        passes = -(-steps * batch // count)
        order = torch.cat([torch.randperm(count, generator=self.shuffle) for _ in range(passes)])
        return list(order[: steps * batch].to(self.labels.device).reshape(steps, batch))

    def _augmented(self, x: Tensor) -> Tensor:
        if self.config.shift_pixels:
            x = shifted(x, self._uniform(len(x)) * self.config.shift_pixels)
        if self.config.noise:
            x = x + self.config.noise * self.network.scale * torch.empty_like(x).normal_(generator=self.noise)
        return x

    def _uniform(self, count: int) -> Tensor:
        return torch.empty(count, device=self.values.device).uniform_(-1.0, 1.0, generator=self.noise)

    def _set_rate(self, progress: float) -> None:
        """Rise over the first half epoch, then fall along a cosine to nothing at the end (Loshchilov & Hutter 2017)."""
        warm = min(1.0, progress / 0.5 + 0.01)
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * warm * 0.5 * (1.0 + math.cos(math.pi * progress / self.epochs))


def shifted(x: Tensor, pixels: Tensor) -> Tensor:
    """Shift each row of ``(n, d)`` to the right by its own fraction of pixels, linearly; the ends are repeated."""
    length = x.shape[1]
    at = (torch.arange(length, device=x.device) - pixels[:, None]).clamp(0, length - 1)
    left = at.floor().long()
    part = at - left
    return x.gather(1, left) * (1 - part) + x.gather(1, (left + 1).clamp(max=length - 1)) * part


@torch.inference_mode()
def _loss(network: SpectrumNetwork, values: Tensor, labels: Tensor) -> float:
    logits = torch.cat([network(chunk) for chunk in torch.chunk(values, -(-len(values) // 256))])
    return float(nn.functional.cross_entropy(logits, labels))


def _diverged() -> ModelError:
    return ModelError(
        "the loss is no longer finite", action="Lower learning_rate, and look at the scale of the features."
    )


def _measure(model: Model, values: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, Any]:
    """Calibrate on the held-out spectra and say how good the model is on them."""
    if not len(labels):
        empty = np.empty((0, len(model.classes)), dtype=np.float32)
        return {**evaluate(empty, labels, model.classes), "ece_uncalibrated": None, "temperature": 1.0}
    uncalibrated = evaluate(model.predict(values), labels, model.classes)["ece"]
    model.temperature = fit_temperature(model.logits(values), labels)
    metrics = evaluate(model.predict(values), labels, model.classes)
    return {**metrics, "ece_uncalibrated": uncalibrated, "temperature": model.temperature}


def _counts(
    labels: NDArray[np.int64],
    training: NDArray[np.int64],
    held_out: NDArray[np.int64],
    balanced: Balanced,
    classes: tuple[str, ...],
    config: TrainConfig,
) -> dict[str, Any]:
    def by_class(some: NDArray[np.int64]) -> dict[str, int]:
        return dict(zip(classes, np.bincount(some, minlength=len(classes)).tolist(), strict=True))

    return {
        "counts": by_class(labels[training]),
        "counts_balanced": by_class(balanced.labels),
        "counts_validation": by_class(labels[held_out]),
        "balance": {"asked": config.balance, "used": balanced.method, "reason": balanced.reason},
    }
