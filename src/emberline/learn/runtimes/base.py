"""What every runtime offers, and how one is asked for by name."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from emberline.errors import ConfigError, MissingExtraError
from emberline.learn.config import FP32, Choice

__all__ = ["FP32", "RUNTIMES", "Choice", "Runner", "compile_graph", "installed", "precisions", "usable"]

_MODULES = {
    "openvino": "emberline.learn.runtimes.openvino_runner",
    "onnxruntime": "emberline.learn.runtimes.onnx_runner",
    "torch": "emberline.learn.runtimes.torch_runner",
}
RUNTIMES = tuple(_MODULES)
_EXTRAS = {"openvino": "openvino", "onnxruntime": "onnx"}


Runner = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""A compiled graph: what it computes of ``(n, d)`` rows in C order, ``(n, …)``; n may be 0."""


def installed(name: str) -> bool:
    """Whether a runtime can be used here."""
    wanted = {"torch": ("torch",), "openvino": ("openvino",), "onnxruntime": ("onnxruntime", "onnx", "onnxscript")}
    return all(importlib.util.find_spec(module) is not None for module in wanted[name])


def compile_graph(graph: nn.Module, pixels: int, runtime: str, precision: str, *, threads: int) -> Runner:
    """Make a graph ready to run.

    Parameters
    ----------
    graph : nn.Module
        Takes ``(n, pixels)``; in evaluation mode, on the processor.
    runtime, precision : str
        See `Choice`; not ``mixed``.
    threads : int
        How many processor threads it may use.

    Raises
    ------
    MissingExtraError
        The runtime is not installed.
    ConfigError
        There is no such runtime, or it has no such precision.
    """
    module = _module(runtime)
    if precision not in module.PRECISIONS:
        raise ConfigError(
            f"{runtime} cannot compute in this precision here", found=precision, expected=", ".join(module.PRECISIONS)
        )
    runner: Runner = module.compile(graph.eval(), pixels, precision, threads)
    return runner


def precisions(runtime: str) -> tuple[str, ...]:
    """What numbers a runtime can compute with; raises as `compile_graph` does."""
    found: tuple[str, ...] = _module(runtime).PRECISIONS
    return found


def usable(choice: Choice) -> bool:
    """Whether what was chosen, perhaps elsewhere or long ago, can be had here."""
    if choice.runtime not in _MODULES or not installed(choice.runtime):
        return False
    return ("bf16" if choice.precision == "mixed" else choice.precision) in precisions(choice.runtime)


def _module(runtime: str) -> Any:
    if runtime not in _MODULES:
        raise ConfigError("there is no such runtime", found=repr(runtime), expected=", ".join(_MODULES))
    if not installed(runtime):
        raise MissingExtraError(runtime, _EXTRAS[runtime])
    return importlib.import_module(_MODULES[runtime])
