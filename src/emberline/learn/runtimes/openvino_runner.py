"""OpenVINO: the fastest on processors."""

from __future__ import annotations

import functools
import sys
import threading
import warnings
import weakref
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from emberline.learn.runtimes.base import Runner

__all__ = ["PRECISIONS", "compile"]

PRECISIONS = ("fp32", "bf16")
_HINTS = {"fp32": "f32", "bf16": "bf16"}
_CHUNK = 128  # rows, by measurement: docs/explanation/runtimes.md


@functools.cache
def _openvino() -> Any:
    """The module, without the part of it that reports its use to its makers: Emberline speaks to nobody unasked."""
    known = "openvino_telemetry" in sys.modules
    if not known:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    try:
        import openvino
        import openvino.frontend.pytorch.ts_decoder
    finally:
        if not known:
            sys.modules.pop("openvino_telemetry", None)
    return openvino


def compile(graph: nn.Module, pixels: int, precision: str, threads: int) -> Runner:
    """See `emberline.learn.runtimes.compile_graph`."""
    ov = _openvino()
    model = _converted(ov, graph, pixels)
    settings = {
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": threads,
        "ENABLE_CPU_PINNING": False,  # several processes would be pinned to the same cores
    }
    return _Queue(ov, ov.Core().compile_model(model, "CPU", settings), pixels, threads)


def _converted(ov: Any, graph: nn.Module, pixels: int) -> Any:
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # PyTorch's tracing is deprecated; OpenVINO's reader of its successor is not ready
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            graph, torch.zeros(_CHUNK, pixels), check_trace=False
        )
    frontend = FrontEndManager().load_by_framework("pytorch")
    decoder = TorchScriptPythonDecoder(traced)  # the front end does not keep it alive
    model = frontend.convert(frontend.load(decoder))
    model.reshape([_CHUNK, pixels])
    return model


class _Queue:
    """Requests side by side, each of one chunk on one thread; the last chunk is filled up with zeros."""

    def __init__(self, ov: Any, compiled: Any, pixels: int, threads: int) -> None:
        self._queue = ov.AsyncInferQueue(compiled, 2 * threads)
        itself = weakref.ref(self)

        def finished(request: Any, rows: slice) -> None:
            own = itself()  # the queue is no Python object: were it to hold this one, neither would ever be freed
            if own is not None:
                own._finished(request, rows)

        self._queue.set_callback(finished)
        self._shape = tuple(compiled.output(0).shape)[1:]
        self._pixels = pixels
        self._results = np.empty((0, *self._shape), np.float32)
        self._alone = threading.Lock()

    def _finished(self, request: Any, rows: slice) -> None:
        self._results[rows] = request.get_output_tensor(0).data[: rows.stop - rows.start]

    def __call__(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        with self._alone:
            self._results = np.empty((len(values), *self._shape), np.float32)
            for start in range(0, len(values), _CHUNK):
                chunk = values[start : start + _CHUNK]
                rows = slice(start, start + len(chunk))
                if len(chunk) < _CHUNK:
                    chunk = np.concatenate([chunk, np.zeros((_CHUNK - len(chunk), self._pixels), np.float32)])
                self._queue.start_async([chunk], rows, share_inputs=False)
            self._queue.wait_all()
            results, self._results = self._results, np.empty((0, *self._shape), np.float32)
            return results
