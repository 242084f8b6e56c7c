"""Teach a network's trunk the pool before any label: fill the gaps that were cut into its spectra."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from benchmarks.label_efficiency.pools import CLASSES
from numpy.typing import NDArray
from torch import nn

from emberline.learn import Model, TrainConfig
from emberline.learn.networks import build, use_generator

__all__ = ["pretrain"]

_BATCH = 128


def pretrain(
    values: NDArray[Any], config: TrainConfig, recipe_hash: str, seed: int, *, steps: int = 1000, gap: float = 0.15
) -> Model:
    """A network whose trunk has learnt to restore spectra from which two stretches were cut.

    Parameters
    ----------
    values : (n, d) float
        The pool.
    steps : int
        Optimiser steps of 128 spectra.
    gap : float
        The share of the pixels in each stretch.

    Returns
    -------
    Model
        To be given to `emberline.learn.train` as ``init``; its output layer is fresh.
    """
    generator = torch.Generator().manual_seed(seed)
    pixels = values.shape[1]
    network = build(config.network, pixels, len(CLASSES), dropout=config.dropout, generator=generator)
    network.centre.fill_(float(values.mean(dtype=np.float64)))
    network.scale.fill_(float(values.std(dtype=np.float64)) or 1.0)
    use_generator(network, generator)
    restore = nn.Linear(network.width, pixels)
    nn.init.normal_(restore.weight, 0.0, 0.01, generator=generator)
    optimiser = torch.optim.AdamW([*network.parameters(), *restore.parameters()], lr=config.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    data, width = torch.tensor(values), max(int(gap * pixels), 1)
    network.train()
    for _ in range(steps):
        x = data[torch.randint(len(data), (_BATCH,), generator=generator)]
        cut = _gaps(len(x), pixels, width, generator)
        loss = (((restore(network.embed(torch.where(cut, network.centre, x))) - (x - network.centre)) ** 2) * cut).sum()
        optimiser.zero_grad(set_to_none=True)
        (loss / cut.sum() / network.scale**2).backward()
        optimiser.step()
        schedule.step()
    return Model(network, CLASSES, pixels, recipe_hash, config)


def _gaps(rows: int, pixels: int, width: int, generator: torch.Generator) -> torch.Tensor:
    """Two stretches of each row. (rows, pixels) bool"""
    starts = torch.randint(pixels - width + 1, (rows, 2, 1), generator=generator)
    at = torch.arange(pixels)
    return ((at >= starts) & (at < starts + width)).any(dim=1)
