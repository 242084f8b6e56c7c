"""Which runtime and precision suit a pool: by a measurement of a second or two on a sample of it."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from emberline.errors import ConfigError
from emberline.learn.config import PredictConfig
from emberline.learn.networks import device
from emberline.learn.runtimes.base import RUNTIMES, Choice, Runner, compile_graph, installed, precisions

__all__ = ["AGREEMENT", "PLAIN", "choose", "sieve"]

AGREEMENT = {"fp32": 1e-4, "bf16": 1e-2}
"""How far probabilities may be from PyTorch's in fp32."""
PLAIN = 0.999
"""From this probability of the commonest class on, a row is plainly of it, and what bf16 says of it is kept."""
_WORTH_A_CHOICE = 50_000  # rows: fewer are read before a choice has been made
_SAMPLE = 4096
_WORTH_BF16 = 1.25  # mixed precision must be so much faster, or fp32 stays
_TURNS = 3
_LOG = logging.getLogger(__name__)


def choose(
    graph: nn.Module,
    values: NDArray[np.floating],
    config: PredictConfig,
    *,
    rows: int,
    among: Sequence[str] | None = None,
) -> Choice:
    """See `emberline.learn.Model.choose`; `graph` gives calibrated probabilities.

    Raises
    ------
    MissingExtraError, ConfigError
        What the configuration asks for is not installed, or does not exist here.
    """
    runtimes = _runtimes(config, rows, among)
    decided = config.precision == "fp32" or (config.precision == "auto" and not _worth(rows))
    if len(runtimes) == 1 and decided:
        return Choice(runtimes[0])
    if config.precision == "bf16" and len(runtimes) == 1:
        return Choice(runtimes[0], "bf16")
    sample = _sample(values)
    if not len(sample):  # no vector is finite: whoever reads them will say so
        return Choice()
    exact = _working(graph, sample, runtimes, config.runtime == "auto")
    reference = _compile(graph, sample, "torch", "fp32")(sample)
    agreeing = {name: run for name, run in exact.items() if _differ(run(sample), reference) <= AGREEMENT["fp32"]}
    seconds = _race(agreeing or {"torch": _compile(graph, sample, "torch", "fp32")}, sample)
    best = min(seconds, key=lambda name: seconds[name])
    if decided or config.precision == "bf16":
        return Choice(best, "fp32" if decided else "bf16")
    background = int(np.bincount(reference.argmax(axis=1)).argmax())
    if config.precision == "mixed":
        return Choice(best, "mixed", background)
    able = [name for name in agreeing if "bf16" in precisions(name)]
    if able:
        mixed = Choice(min(able, key=lambda name: seconds[name]), "mixed", background)
        if _bf16_pays(graph, sample, mixed, agreeing, agreeing[best], reference):
            return mixed
    return Choice(best)


def sieve(fast: Runner, exact: Runner, values: NDArray[np.float32], background: int) -> NDArray[np.float32]:
    """Probabilities in bf16 for rows that are plainly of the commonest class, and in fp32 for all others."""
    probabilities = fast(values)
    doubtful = np.flatnonzero(~(probabilities[:, background] >= PLAIN))
    if len(doubtful):
        probabilities[doubtful] = exact(np.ascontiguousarray(values[doubtful]))
    return probabilities


def _runtimes(config: PredictConfig, rows: int, among: Sequence[str] | None) -> Sequence[str]:
    if config.runtime != "auto":
        if among is not None and config.runtime not in among:
            raise ConfigError(
                "the runtime that is asked for is missing where the pool is read",
                where="predict.runtime",
                found=config.runtime,
                expected=f"one of {', '.join(among)}",
                action="Install it there, or choose auto.",
            )
        return [config.runtime]
    if device().type != "cpu" or not _worth(rows):
        return ["torch"]
    wanted = "bf16" if config.precision in ("bf16", "mixed") else "fp32"
    here = [name for name in RUNTIMES if installed(name) and wanted in precisions(name)]
    return [name for name in here if among is None or name in among]


def _working(graph: nn.Module, sample: NDArray[np.float32], runtimes: Sequence[str], spare: bool) -> dict[str, Runner]:
    """The runtimes that take the graph; with `spare` one that does not is left out, whatever it says."""
    found = {}
    for name in runtimes:
        try:
            found[name] = _compile(graph, sample, name, "fp32")
        except Exception as error:
            if not spare:
                raise
            _LOG.warning("%s is left out: %s", name, error)
    return found


def _worth(rows: int) -> bool:
    return rows >= _WORTH_A_CHOICE


def _sample(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Rows from all over the pool: neighbours in a sorted archive are alike."""
    rows = np.unique(np.linspace(0, len(values) - 1, min(_SAMPLE, len(values))).astype(np.int64))
    sample = np.ascontiguousarray(values[rows], dtype=np.float32)
    return sample[np.isfinite(sample).all(axis=1)]


def _compile(graph: nn.Module, sample: NDArray[np.float32], name: str, precision: str) -> Runner:
    return compile_graph(graph, sample.shape[1], name, precision, threads=torch.get_num_threads())


def _differ(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    return float(np.abs(found - expected).max(initial=0.0))


def _race(runners: dict[str, Runner], sample: NDArray[np.float32]) -> dict[str, float]:
    """Seconds that each needs for the sample; they take turns, for the machine may be busy."""
    times: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(_TURNS if len(runners) > 1 else 0):
        for name, run in runners.items():
            begun = time.perf_counter()
            run(sample)
            times[name].append(time.perf_counter() - begun)
    return {name: statistics.median(values) if values else 0.0 for name, values in times.items()}


def _bf16_pays(
    graph: nn.Module,
    sample: NDArray[np.float32],
    mixed: Choice,
    exact: dict[str, Runner],
    best: Runner,
    reference: NDArray[np.float32],
) -> bool:
    """Whether mixed precision is right on the sample, and faster there than the best of fp32."""
    fast = _compile(graph, sample, mixed.runtime, "bf16")

    def run(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return sieve(fast, exact[mixed.runtime], values, mixed.background)

    if _differ(run(sample), reference) > AGREEMENT["bf16"]:
        return False
    seconds = _race({"fp32": best, "mixed": run}, sample)
    return seconds["fp32"] > _WORTH_BF16 * seconds["mixed"]
