"""What a runtime computes: a trained network with its softmax, whole or in stochastic passes, as one module."""

from __future__ import annotations

import copy
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from emberline.errors import ModelError
from emberline.learn.networks import Committee, Dropout, SpectrumNetwork

__all__ = ["Calibrated", "Passes"]


class Calibrated(nn.Module):
    """Calibrated probabilities: ``(n, d)`` features in, ``(n, k)`` out."""

    def __init__(self, network: SpectrumNetwork, temperature: float) -> None:
        super().__init__()
        self.network = _copy(network)
        self.temperature = temperature

    def forward(self, features: Tensor) -> Tensor:
        return torch.softmax(self.network(features) / self.temperature, dim=1)


class Passes(nn.Module):
    """Probabilities of repeated passes with dropout on: ``(n, d)`` features in, ``(n, passes, k)`` out.

    The units that a pass silences are drawn once and are the same for every spectrum, so that each pass is one network
    of an ensemble (consistent dropout: Kirsch, van Amersfoort & Gal 2019, arXiv:1906.08158) and a spectrum's result
    does not depend on its neighbours. So they can be folded into the weights: the passes are one matrix product after
    the trunk, which is computed once a spectrum, and no random number is drawn for any spectrum. A hidden unit that a
    pass silences is not computed at all.

    The passes of a `Committee` go round its members, each pass one member with its dropout, so that they differ both by
    what is silenced and by what was learnt (Lakshminarayanan, Pritzel & Blundell 2017, arXiv:1612.01474).

    Parameters
    ----------
    network : SpectrumNetwork
    temperature : float
    passes : int
    rng : numpy.random.Generator
        Draws the silenced units.
    """

    def __init__(self, network: SpectrumNetwork, temperature: float, passes: int, rng: np.random.Generator) -> None:
        super().__init__()
        network = _copy(network)
        self.trunk = network.trunk
        self.centre, self.scale = float(network.centre), float(network.scale)
        self.passes, self.classes, self.temperature = passes, network.output.out_features, temperature
        last = _kept(network.dropout, passes, network.width, rng)
        bias = network.output.bias.detach().expand(passes, -1)
        if isinstance(network, Committee):
            last = last * _turns(network, passes)
            bias = network.member_bias[torch.arange(passes) % network.members]
        self.first = None if len(list(network.hidden.children())) == 0 else _silenced(network, last, rng)
        weight = network.output.weight.detach()
        if self.first is None:
            folded = weight[None] * last[:, None, :]  # (passes, k, width)
            self.output: nn.Module = _linear(folded.reshape(-1, network.width), bias.reshape(-1))
        else:
            self.output = _Grouped(_alive(weight, last), bias)

    def forward(self, x: Tensor) -> Tensor:
        features = self.trunk(((x - self.centre) / self.scale)[:, None, None, :])
        if self.first is not None:
            features = torch.relu(self.first(features))
        logits = self.output(features).reshape(-1, self.passes, self.classes)
        return torch.softmax(logits / self.temperature, dim=2)


class _Grouped(nn.Module):
    """The last layer of every pass on its own hidden units."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight.transpose(1, 2).contiguous())  # (passes, alive, k)
        self.register_buffer("bias", bias[:, None, :].contiguous())  # (passes, 1, k)

    def forward(self, hidden: Tensor) -> Tensor:
        weight, bias = cast(Tensor, self.weight), cast(Tensor, self.bias)
        by_pass = hidden.reshape(-1, weight.shape[0], weight.shape[1]).transpose(0, 1)
        return (torch.bmm(by_pass, weight) + bias).transpose(0, 1)


def _copy(network: SpectrumNetwork) -> SpectrumNetwork:
    return copy.deepcopy(network).cpu().eval()


def _kept(dropout: Dropout, passes: int, width: int, rng: np.random.Generator) -> Tensor:
    """What each pass multiplies each unit by: zero, or what makes up for the silenced ones. (passes, width)"""
    kept = rng.random((passes, width)) >= dropout.rate
    return torch.from_numpy((kept / (1.0 - dropout.rate)).astype(np.float32))


def _turns(committee: Committee, passes: int) -> Tensor:
    """Which units belong to the member whose turn a pass is, made up for the mean over members. (passes, width)"""
    turn = torch.arange(passes) % committee.members
    owner = torch.arange(committee.width) // (committee.width // committee.members)
    return (turn[:, None] == owner[None, :]).to(torch.float32) * committee.members


def _order(last: Tensor) -> tuple[Tensor, Tensor]:
    """For each pass its units that live, padded to one number with silent ones, and what they are multiplied by."""
    alive = int((last > 0).sum(dim=1).max())
    order = torch.argsort((last == 0).to(torch.int8), dim=1, stable=True)[:, : max(alive, 1)]
    return order, torch.gather(last, 1, order)


def _alive(weight: Tensor, last: Tensor) -> Tensor:
    """The last layer's weights for the units that live in each pass. (passes, k, alive)"""
    order, factor = _order(last)
    return weight.T[order].transpose(1, 2) * factor[:, None, :]


def _silenced(network: SpectrumNetwork, last: Tensor, rng: np.random.Generator) -> nn.Linear:
    """The hidden layer of all passes as one, without the units that are silenced after it."""
    parts = list(network.hidden.children())
    if len(parts) != 3 or not isinstance(parts[0], Dropout) or not isinstance(parts[1], nn.Linear):
        raise ModelError("this network's hidden part cannot be passed stochastically", found=str(network.hidden))
    layer = parts[1]
    order, _ = _order(last)
    first = _kept(parts[0], len(last), layer.in_features, rng)
    weight = layer.weight.detach()[order] * first[:, None, :]  # (passes, alive, in)
    return _linear(weight.reshape(-1, layer.in_features), layer.bias.detach()[order].reshape(-1))


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
    layer.bias = nn.Parameter(bias.contiguous(), requires_grad=False)
    return layer
