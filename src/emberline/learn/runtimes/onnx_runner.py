"""ONNX Runtime."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from emberline.learn.export import to_onnx
from emberline.learn.runtimes.base import Runner

__all__ = ["PRECISIONS", "compile"]

PRECISIONS = ("fp32",)
_CHUNK = 128


def compile(graph: nn.Module, pixels: int, precision: str, threads: int) -> Runner:
    """See `emberline.learn.runtimes.compile_graph`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads leave the core to others
    with tempfile.TemporaryDirectory(prefix="emberline-") as folder:
        path = Path(folder) / "graph.onnx"
        to_onnx(graph, pixels).save(str(path))
        session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(values: NDArray[np.float32]) -> NDArray[np.float32]:
        starts = range(0, max(len(values), 1), _CHUNK)
        chunks = [session.run(None, {"features": values[start : start + _CHUNK]})[0] for start in starts]
        return np.concatenate(chunks)

    return run
