"""PyTorch: on the processor chunk by chunk on several threads, on a GPU streamed through pinned memory."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from emberline.learn.networks import device
from emberline.learn.runtimes.base import Runner
from emberline.learn.threads import threads as torch_threads

__all__ = ["PRECISIONS", "compile", "run_all", "stream"]

PRECISIONS = ("fp32", "bf16")
CHUNK = 256  # rows on the processor, by measurement: docs/explanation/network.md
GPU_CHUNK = 32_768  # rows on a GPU: enough to fill it, and two of them fit any

Function = Callable[[Tensor], Tensor]


def compile(graph: nn.Module, pixels: int, precision: str, threads: int) -> Runner:
    """See `emberline.learn.runtimes.compile_graph`."""
    where = device()
    if where.type != "cpu":  # a copy: another runtime may be given the same graph
        graph = copy.deepcopy(graph).to(where).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def compute(x: Tensor) -> Tensor:
        with torch.autocast(where.type, torch.bfloat16, enabled=precision == "bf16"):
            result: Tensor = graph(x)
            return result

    return lambda values: run_all(compute, values, threads)


def run_all(function: Function, values: NDArray[np.float32], threads: int) -> NDArray[np.float32]:
    """`function` of all rows, where networks compute: streamed to a GPU, or chunk by chunk on so many threads."""
    if device().type != "cpu":
        return stream(function, values, device())
    with torch_threads(1):
        return run_chunks(function, values, CHUNK, threads)


def run_chunks(function: Function, values: NDArray[np.float32], chunk: int, threads: int) -> NDArray[np.float32]:
    """`function` of each chunk of rows, chunks side by side, each on one thread.

    Sharing every layer among threads instead makes them wait for each other, above all on a busy machine.
    """

    def run(start: int) -> NDArray[np.float32]:
        with torch.inference_mode():
            rows = torch.from_numpy(np.array(values[start : start + chunk], dtype=np.float32, order="C"))
            return function(rows).float().cpu().numpy()

    starts = range(0, max(len(values), 1), chunk)
    if threads == 1 or len(starts) == 1:
        return np.concatenate([run(start) for start in starts])
    with ThreadPoolExecutor(threads) as pool:
        return np.concatenate(list(pool.map(run, starts)))


def stream(
    function: Function, values: NDArray[np.float32], where: torch.device, chunk: int = GPU_CHUNK
) -> NDArray[np.float32]:
    """`function` of all rows on a device, which computes one chunk while the next is on its way from host memory.

    Two pinned buffers take turns on the way in, and the results stay on the device until the end: for probabilities
    they are a hundredth of the features.
    """
    if len(values) == 0:
        with torch.inference_mode():
            return function(torch.zeros((0, values.shape[1]), device=where)).float().cpu().numpy()
    chunk = min(chunk, len(values))
    pinned = where.type == "cuda"
    buffers = [torch.empty((chunk, values.shape[1]), pin_memory=pinned) for _ in range(2)]
    free: list[torch.cuda.Event | None] = [None, None]
    results = []
    with torch.inference_mode(), _copying(where) as copying:
        for turn, start in enumerate(range(0, len(values), chunk)):
            buffer, event = buffers[turn % 2], free[turn % 2]
            if event is not None:
                event.synchronize()
            rows = values[start : start + chunk]
            buffer[: len(rows)].numpy()[...] = rows
            with copying():
                there = buffer[: len(rows)].to(where, non_blocking=True)
            if pinned:
                free[turn % 2] = torch.cuda.current_stream().record_event()
            results.append(function(there).float())
        return torch.cat(results).cpu().numpy()


@contextlib.contextmanager
def _copying(where: torch.device) -> Iterator[Callable[[], contextlib.AbstractContextManager[None]]]:
    """Gives a block in which copies go beside the computation, and are waited for at its end."""
    if where.type != "cuda":
        yield contextlib.nullcontext
        return
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]

    @contextlib.contextmanager
    def copy() -> Iterator[None]:
        with torch.cuda.stream(side):
            yield
        torch.cuda.current_stream().wait_stream(side)

    yield copy
