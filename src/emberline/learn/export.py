"""Write a model as ONNX, so that any runtime can apply it."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from emberline.errors import MissingExtraError
from emberline.files import atomic_path
from emberline.learn.graphs import Calibrated

if TYPE_CHECKING:
    from emberline.learn.model import Model

__all__ = ["export_onnx", "to_onnx"]


def export_onnx(model: Model, path: Path | str) -> None:
    """Write the network, its temperature and the softmax as one ONNX graph, atomically.

    The graph takes ``features``, ``(n, d)`` float32 for any n, and gives ``probabilities``, ``(n, k)`` float32. Classes
    and recipe hash are in its metadata.

    Raises
    ------
    MissingExtraError
        When the extra ``onnx`` is not installed.
    """
    program = to_onnx(Calibrated(model.network, model.temperature), model.pixels)
    metadata = program.model.metadata_props
    metadata["classes"] = "\n".join(model.classes)
    metadata["recipe_hash"] = model.recipe_hash
    with atomic_path(path) as temporary:
        program.save(str(temporary))


def to_onnx(graph: nn.Module, pixels: int) -> Any:
    """A graph of ``features``, ``(n, pixels)``, as an ONNX program with the output ``probabilities``.

    Raises
    ------
    MissingExtraError
        When the extra ``onnx`` is not installed.
    """
    for module in ("onnx", "onnxscript"):
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(module, "onnx")
    with _quiet():
        program = torch.onnx.export(
            graph.eval(),
            (torch.zeros(2, pixels),),
            input_names=["features"],
            output_names=["probabilities"],
            dynamic_shapes=({0: torch.export.Dim("n")},),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    return program


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
