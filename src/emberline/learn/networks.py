"""The networks: the published 1-D VGG and Emberline's smaller default, each to be read in one sitting.

Both have the same four parts, so that everything else treats them alike::

    spectrum → trunk → hidden → dropout → output → logits
               (no randomness)  ^ the embedding is what enters the last dropout

The trunk is free of dropout on purpose: stochastic passes compute it once and repeat only the cheap rest.
Convolutions along the spectrum are written as 2-D convolutions of height one, because PyTorch's ``channels_last``
kernels exist for images only and are the faster ones on processors.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from emberline.errors import ModelError
from emberline.learn.config import NetworkName

__all__ = ["Committee", "Dropout", "Ember", "SpectrumNetwork", "Vgg1d", "build", "device", "use_generator"]


class Dropout(nn.Module):
    """Dropout that draws from its own generator, so that nothing else in the process can change a result."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0.0:
            return x
        keep = torch.empty_like(x).bernoulli_(1.0 - self.rate, generator=self.generator)
        return x * keep / (1.0 - self.rate)


class SpectrumNetwork(nn.Module):
    """What the networks share: ``(n, pixels)`` feature vectors in, ``(n, classes)`` logits out.

    ``centre`` and ``scale`` bring the features of any recipe to zero mean and unit variance over the training set;
    they are two numbers, so the shape of a spectrum is left alone.
    """

    centre: Tensor
    scale: Tensor

    def __init__(self, trunk: nn.Module, hidden: nn.Module, width: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.trunk = trunk
        self.hidden = hidden
        self.dropout = Dropout(dropout)
        self.output = nn.Linear(width, classes)
        self.width = width
        self.register_buffer("centre", torch.zeros(()))
        self.register_buffer("scale", torch.ones(()))

    def features(self, x: Tensor) -> Tensor:
        """All that comes before the first dropout."""
        return cast(Tensor, self.trunk(((x - self.centre) / self.scale)[:, None, None, :]))

    def embed(self, x: Tensor) -> Tensor:
        """The ``(n, width)`` vectors that the last layer separates."""
        return cast(Tensor, self.hidden(self.features(x)))

    def head(self, features: Tensor) -> Tensor:
        """From the trunk's features to logits; the only part with dropout."""
        return cast(Tensor, self.output(self.dropout(self.hidden(features))))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


class Vgg1d(SpectrumNetwork):
    """The network of published work on these surveys: 39.4 MFLOP for 140 pixels, 2.9 M weights.

    Six convolutions of kernel 3 in three pairs (64, 128, 256 channels), each pair followed by pooling by two, then two
    dense layers of 512 with dropout. After Simonyan & Zisserman (2015, arXiv:1409.1556).
    """

    def __init__(self, pixels: int, classes: int, dropout: float = 0.5) -> None:
        layers: list[nn.Module] = []
        before = 1
        for channels in (64, 128, 256):
            layers += [_conv(before, channels), nn.ReLU(), _conv(channels, channels), nn.ReLU(), nn.MaxPool2d((1, 2))]
            before = channels
        dense = nn.Linear(256 * (pixels // 8), 512)
        trunk = nn.Sequential(*layers, nn.Flatten(), dense, nn.ReLU())
        hidden = nn.Sequential(Dropout(dropout), nn.Linear(512, 512), nn.ReLU())
        super().__init__(trunk, hidden, 512, classes, dropout)


class Ember(SpectrumNetwork):
    """Emberline's default: a small residual network, 4.5 MFLOP for 140 pixels and 0.17 M weights.

    Three stages halve the length and double the channels (24, 48, 96), each with one residual block (He et al. 2016,
    arXiv:1512.03385). The last map is narrowed to 32 channels and flattened, not averaged: a window is fixed in
    wavelength, so where a line lies says as much as how it looks. One dense layer of 128, one dropout.
    """

    def __init__(self, pixels: int, classes: int, dropout: float = 0.5) -> None:
        stages: list[nn.Module] = []
        before, length = 1, pixels
        for channels, kernel in ((24, 7), (48, 3), (96, 3)):
            stages += [_conv(before, channels, kernel, stride=2, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
            stages += [_Residual(channels)]
            before, length = channels, (length + 1) // 2
        narrow = nn.Conv2d(before, 32, 1)
        trunk = nn.Sequential(*stages, narrow, nn.Flatten(), nn.Linear(32 * length, 128), nn.ReLU())
        super().__init__(trunk, nn.Identity(), 128, classes, dropout)


class Committee(SpectrumNetwork):
    """Networks of one kind side by side, read as one whose logits are the mean of theirs.

    Their embeddings stand one behind the other, so that the mean of the logits is one output layer. All have the centre
    and the scale of the first.

    Parameters
    ----------
    members : sequence of SpectrumNetwork
        Two or more, of one kind and shape; their weights are copied.
    """

    member_bias: Tensor

    def __init__(self, members: Sequence[SpectrumNetwork]) -> None:
        first, count = members[0], len(members)
        classes, width = first.output.out_features, first.width
        trunk = _SideBySide([copy.deepcopy(member.trunk) for member in members])
        with torch.random.fork_rng(devices=[]):  # weights that are replaced at once are nobody's chance
            super().__init__(trunk, _hidden_of(members), count * width, classes, first.dropout.rate)
        self.members = count
        self.register_buffer("member_bias", torch.stack([member.output.bias.detach() for member in members]))
        self.output.weight.data = torch.cat([member.output.weight.detach() for member in members], dim=1) / count
        self.output.bias.data = self.member_bias.mean(dim=0)
        self.centre, self.scale = first.centre.detach().clone(), first.scale.detach().clone()

    def split(self) -> list[SpectrumNetwork]:
        """The members, each as a network of its own."""
        width, dense = self.width // self.members, list(self.hidden.children())
        found = []
        for number, trunk in enumerate(cast(_SideBySide, self.trunk).parts):
            own = slice(number * width, (number + 1) * width)
            hidden: nn.Module = nn.Identity()
            with torch.random.fork_rng(devices=[]):
                if dense:
                    hidden = _own_part(cast(nn.Linear, dense[1]), number, self.members, cast(Dropout, dense[0]).rate)
                one = SpectrumNetwork(trunk, hidden, width, self.output.out_features, self.dropout.rate)
            one.output.weight.data = self.output.weight.detach()[:, own] * self.members
            one.output.bias.data = self.member_bias[number]
            one.centre, one.scale = self.centre, self.scale
            found.append(copy.deepcopy(one))
        return found


class _SideBySide(nn.Module):
    """The same input through several trunks; what they make of it one behind the other."""

    def __init__(self, parts: Sequence[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([part(x) for part in self.parts], dim=1)


def _hidden_of(members: Sequence[SpectrumNetwork]) -> nn.Module:
    """The members' hidden parts as one: nothing, or a dropout and a dense layer in which no member sees another's."""
    parts = [list(member.hidden.children()) for member in members]
    if not parts[0]:
        return nn.Identity()
    layers = [cast(nn.Linear, part[1]) for part in parts]
    dense = nn.Linear(sum(layer.in_features for layer in layers), sum(layer.out_features for layer in layers))
    dense.weight.data = torch.block_diag(*(layer.weight.detach() for layer in layers))  # type: ignore[no-untyped-call]
    dense.bias.data = torch.cat([layer.bias.detach() for layer in layers])
    return nn.Sequential(Dropout(cast(Dropout, parts[0][0]).rate), dense, nn.ReLU())


def _own_part(dense: nn.Linear, number: int, members: int, rate: float) -> nn.Module:
    """One member's block of the dense layer that `_hidden_of` made."""
    rows, columns = dense.out_features // members, dense.in_features // members
    layer = nn.Linear(columns, rows)
    out, into = (slice(number * size, (number + 1) * size) for size in (rows, columns))
    layer.weight.data, layer.bias.data = dense.weight.detach()[out, into].clone(), dense.bias.detach()[out].clone()
    return nn.Sequential(Dropout(rate), layer, nn.ReLU())


class _Residual(nn.Module):
    """Two convolutions that correct their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        before = (_conv(channels, channels, bias=False), nn.BatchNorm2d(channels), nn.ReLU())
        self.body = nn.Sequential(*before, _conv(channels, channels, bias=False))
        self.gain = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.gain(self.body(x)))


def _conv(before: int, after: int, kernel: int = 3, *, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(before, after, (1, kernel), (1, stride), (0, kernel // 2), bias=bias)


_NETWORKS: dict[str, type[Ember] | type[Vgg1d]] = {"ember": Ember, "vgg": Vgg1d}
_FEWEST_PIXELS = 8


def build(
    name: NetworkName,
    pixels: int,
    classes: int,
    *,
    dropout: float = 0.5,
    members: int = 1,
    generator: torch.Generator | None = None,
) -> SpectrumNetwork:
    """Make a network with fresh weights drawn from `generator` (He et al. 2015, arXiv:1502.01852).

    Parameters
    ----------
    name : {"ember", "vgg"}
        Which network.
    pixels, classes : int
        The length of a feature vector (8 or more) and the number of classes (2 or more).
    dropout : float
        The share of units that dropout silences.
    members : int
        With two or more, a `Committee` of so many.
    generator : torch.Generator, optional
        Without it all weights are zero, to be filled from a file.

    Raises
    ------
    ModelError
        When the name is unknown or the shape cannot work.
    """
    if name not in _NETWORKS:
        raise ModelError("unknown network", found=repr(name), expected=f"one of {', '.join(_NETWORKS)}")
    if pixels < _FEWEST_PIXELS:
        raise ModelError(
            "the feature vector is too short", found=f"{pixels} pixels", expected=f"{_FEWEST_PIXELS} or more"
        )
    if classes < 2:
        raise ModelError("a classifier needs two classes", found=str(classes), expected="2 or more")
    if members > 1:
        return Committee([build(name, pixels, classes, dropout=dropout, generator=generator) for _ in range(members)])
    with torch.device("meta"):  # the constructors would draw from the process-wide generator
        network = _NETWORKS[name](pixels, classes, dropout)
    network.to_empty(device="cpu")
    _initialise(network, generator)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


@torch.no_grad()
def _initialise(network: SpectrumNetwork, generator: torch.Generator | None) -> None:
    network.centre.zero_()
    network.scale.fill_(1.0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
        elif isinstance(module, nn.Conv2d | nn.Linear):
            if generator is None:
                module.weight.zero_()
            elif module is network.output:  # small, so that the first predictions are near to even
                module.weight.normal_(0.0, 0.01, generator=generator)
            else:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            if module.bias is not None:
                module.bias.zero_()
    for module in network.modules():
        if isinstance(module, _Residual):  # each block begins by changing nothing (Goyal et al. 2017, arXiv:1706.02677)
            module.gain.weight.zero_()


def use_generator(network: nn.Module, generator: torch.Generator | None) -> None:
    """Let every dropout in the network draw from `generator`."""
    for module in network.modules():
        if isinstance(module, Dropout):
            module.generator = generator


def device() -> torch.device:
    """Where networks run: the GPU when PyTorch sees one, otherwise the processor. The one place that decides."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
