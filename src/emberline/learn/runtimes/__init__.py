"""Runtimes that apply a trained network: PyTorch, OpenVINO, ONNX Runtime; one of them is chosen by measurement.

A `Runner` takes rows of features and gives what its graph computes of each. All runners of one graph agree within 1e-4
in fp32; ``docs/explanation/runtimes.md`` says what each is good for.
"""

from __future__ import annotations

from emberline.learn.runtimes.base import FP32, RUNTIMES, Choice, Runner, compile_graph, installed, usable
from emberline.learn.runtimes.choice import choose

__all__ = ["FP32", "RUNTIMES", "Choice", "Runner", "choose", "compile_graph", "installed", "usable"]
