"""The epochs of a training: shuffled batches, early stopping on what was held out, several networks at once."""

from __future__ import annotations

import contextlib
import math
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from emberline.errors import ModelError
from emberline.learn.balance import Balanced
from emberline.learn.config import TrainConfig
from emberline.learn.networks import SpectrumNetwork, device, use_generator
from emberline.progress import Progress

__all__ = ["Member", "fit_all", "shifted"]


@dataclass
class Member:
    """One network of a committee, or the only one, with what it learns from and what was held out from it."""

    network: SpectrumNetwork
    generator: torch.Generator
    training: NDArray[np.int64]
    held_out: NDArray[np.int64]
    balanced: Balanced
    validation: tuple[NDArray[np.float32], NDArray[np.int64]]
    history: dict[str, Any]


def fit_all(members: Sequence[Member], config: TrainConfig, workers: int, progress: Progress) -> None:
    """Fit each member; on a processor several at once, which changes nothing but the time."""
    with torch.backends.cudnn.flags(deterministic=True, benchmark=False):
        _fit_in_turn_or_at_once(members, config, workers, progress)


def _fit_in_turn_or_at_once(members: Sequence[Member], config: TrainConfig, workers: int, progress: Progress) -> None:
    total = config.members * config.epochs
    if len(members) == 1 or workers == 1 or device().type != "cpu":
        for number, member in enumerate(members):
            _fit(member, config, lambda done, at=number * config.epochs: progress("train", at + done, total))  # type: ignore[misc]
        return
    told: queue.SimpleQueue[int] = queue.SimpleQueue()
    stopped = threading.Event()

    def tell(_: int) -> None:
        if stopped.is_set():
            raise _StoppedError
        told.put(1)

    with ThreadPoolExecutor(min(workers, len(members))) as pool:
        running = [pool.submit(_fit, member, config, tell) for member in members]
        try:
            done = 0
            while not all(one.done() for one in running):
                with contextlib.suppress(queue.Empty):
                    done += told.get(timeout=0.05)
                    progress("train", done, total)
        except BaseException:
            stopped.set()
            raise
    for one in running:
        one.result()
    progress("train", total, total)


class _StoppedError(Exception):
    """Told to a member whose training is no longer wanted."""


def _fit(member: Member, config: TrainConfig, progress: Callable[[int], None]) -> None:
    """Run epochs until the validation loss stops falling, and leave the best weights in the network."""
    where, network = device(), member.network
    network.to(where)
    measured = len(member.held_out) > 0
    epochs = config.epochs if measured else max(config.epochs // 2, 1)
    held_out = torch.tensor(member.validation[0], device=where), torch.tensor(member.validation[1], device=where)
    loop = _Loop(network, member.balanced, config, epochs, member.generator, where)
    best = _Best()
    while loop.epoch < epochs and not (measured and loop.epoch - best.epoch >= config.patience):
        loop.run_epoch()
        if measured:
            best.see(loop.epoch, _loss(network, *held_out), network)
        progress(loop.epoch)
    member.history = {"epochs": loop.epoch, "best_epoch": loop.epoch, "loss": None}
    if measured:
        network.load_state_dict(best.weights)
        member.history |= {"best_epoch": best.epoch, "loss": best.loss}


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
