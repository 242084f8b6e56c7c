"""How a network is trained: a frozen dataclass that can be read from TOML without loading PyTorch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["FP32", "Balance", "Choice", "NetworkName", "Precision", "PredictConfig", "RuntimeName", "TrainConfig"]

NetworkName = Literal["ember", "vgg"]
Balance = Literal["smote", "adasyn", "weights", "none"]


@dataclass(frozen=True)
class TrainConfig:
    """How a network is trained; the defaults are chosen by the measurements in ``docs/explanation/network.md``.

    Parameters
    ----------
    network : {"ember", "vgg"}
        Emberline's small network, or the published one.
    members : int
        So many networks are trained, each with other objects held out, and the mean of their logits counts.
    balance : {"smote", "adasyn", "weights", "none"}
        How rare classes are made to count.
    epochs : int
        The most passes over the balanced training set; over them the learning rate falls to nothing.
    epoch_steps : int
        The fewest optimiser steps that count as one epoch, so that a handful of labels is still learnt.
    batch : int
        Spectra in one optimiser step.
    learning_rate, weight_decay : float
        Of the optimiser.
    optimiser : {"adamw", "adam"}
        Adam with decoupled weight decay (Loshchilov & Hutter 2019), or Adam.
    patience : int
        Stop after so many epochs without a lower validation loss.
    validation_fraction : float
        The share of objects held out for early stopping, calibration and metrics.
    dropout : float
        The share of units silenced in training and in stochastic passes.
    label_smoothing : float
        The probability spread evenly over all classes in the training target.
    shift_pixels : float
        Each training spectrum is shifted by a uniform random amount up to this, at each use.
    noise : float
        Standard deviation of the Gaussian noise added at each use, in units of the features' own deviation.
    """

    network: NetworkName = "ember"
    members: int = 3
    balance: Balance = "weights"
    epochs: int = 24
    epoch_steps: int = 25
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    optimiser: Literal["adamw", "adam"] = "adamw"
    patience: int = 10
    validation_fraction: float = 0.2
    dropout: float = 0.5
    label_smoothing: float = 0.0
    shift_pixels: float = 0.0
    noise: float = 0.0

    @classmethod
    def published(cls) -> TrainConfig:
        """The published network and protocol: VGG, SMOTE, Adam, early stopping on the validation loss, nothing else."""
        return cls(
            network="vgg",
            members=1,
            balance="smote",
            optimiser="adam",
            learning_rate=1e-3,
            weight_decay=0,
            shift_pixels=0,
        )

    def __post_init__(self) -> None:
        for name in ("members", "epochs", "epoch_steps", "batch", "patience"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        _require(self.learning_rate > 0, "learning_rate", self.learning_rate, "above 0")
        for name in ("weight_decay", "shift_pixels", "noise"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        for name in ("validation_fraction", "dropout", "label_smoothing"):
            _require(0 <= getattr(self, name) < 1, name, getattr(self, name), "from 0 to below 1")


def _require(holds: bool, name: str, found: object, expected: str) -> None:
    if not holds:
        raise ValueError(f"{name} = {found}: expected {expected}")


RuntimeName = Literal["auto", "torch", "openvino", "onnxruntime"]
Precision = Literal["auto", "fp32", "bf16", "mixed"]


@dataclass(frozen=True)
class PredictConfig:
    """How a network reads a pool; ``docs/explanation/runtimes.md`` has the measurements behind the defaults.

    Parameters
    ----------
    runtime : {"auto", "torch", "openvino", "onnxruntime"}
        What computes: PyTorch (the only one on a GPU), OpenVINO or ONNX Runtime. ``auto`` takes PyTorch on a GPU and
        for small pools, and otherwise the fastest of those installed, by a measurement on the pool itself.
    precision : {"auto", "fp32", "bf16", "mixed"}
        The numbers that it computes with. ``mixed`` reads all in bf16 and then again in fp32 whatever is not plainly of
        the commonest class, so that what is asked and what is a candidate is decided in fp32. ``auto`` is ``mixed``
        where bf16 is faster and agrees within 0.01 on a sample of the pool, otherwise ``fp32``.
    """

    runtime: RuntimeName = "auto"
    precision: Precision = "auto"


@dataclass(frozen=True)
class Choice:
    """A runtime and the numbers it computes with; plain values, so that it can be written down and sent to others.

    Attributes
    ----------
    runtime : {"torch", "openvino", "onnxruntime"}
    precision : {"fp32", "bf16", "mixed"}
    background : int
        With ``mixed``, the commonest class: rows that are not plainly of it are read again in fp32.
    """

    runtime: str = "torch"
    precision: str = "fp32"
    background: int = -1

    def __post_init__(self) -> None:
        if self.precision == "mixed" and self.background < 0:
            raise ValueError("mixed precision needs the commonest class")

    def to_mapping(self) -> dict[str, Any]:
        """The choice as JSON can hold it; ``Choice(**mapping)`` brings it back."""
        return asdict(self)


FP32 = Choice()
"""PyTorch in fp32: what all others are compared with."""
