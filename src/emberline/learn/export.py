"""Write a model as ONNX, so that any runtime can apply it."""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from emberline.errors import MissingExtraError
from emberline.files import atomic_path
from emberline.learn.networks import SpectrumNetwork

if TYPE_CHECKING:
    from emberline.learn.model import Model

__all__ = ["export_onnx"]


def export_onnx(model: Model, path: Path | str) -> None:
    """Write the network, its temperature and the softmax as one ONNX graph, atomically.

    The graph takes ``features``, ``(n, d)`` float32 for any n, and gives ``probabilities``, ``(n, k)`` float32. Classes
    and recipe hash are in its metadata.

    Raises
    ------
    MissingExtraError
        When the extra ``onnx`` is not installed.
    """
    for module in ("onnx", "onnxscript"):
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(module, "onnx")
    wrapped = _Calibrated(copy.deepcopy(model.network).cpu(), model.temperature).eval()
    with _quiet():
        program = torch.onnx.export(
            wrapped,
            (torch.zeros(2, model.pixels),),
            input_names=["features"],
            output_names=["probabilities"],
            dynamic_shapes=({0: torch.export.Dim("n")},),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    metadata = program.model.metadata_props
    metadata["classes"] = "\n".join(model.classes)
    metadata["recipe_hash"] = model.recipe_hash
    with atomic_path(path) as temporary:
        program.save(str(temporary))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns of its own deprecations and of packages that are of no concern here."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


class _Calibrated(nn.Module):
    def __init__(self, network: SpectrumNetwork, temperature: float) -> None:
        super().__init__()
        self.network = network
        self.temperature = temperature

    def forward(self, features: Tensor) -> Tensor:
        return torch.softmax(self.network(features) / self.temperature, dim=1)
