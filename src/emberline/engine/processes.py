"""Run a function on many inputs in worker processes, in order, with bounded look-ahead and a clean end."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from emberline.errors import EngineError

__all__ = ["available_cores", "ordered_map"]

_Input = TypeVar("_Input")
_Output = TypeVar("_Output")
_AHEAD = 2  # inputs in the queue for each worker: enough that none waits, few enough that results do not pile up


def available_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ordered_map(function: Callable[[_Input], _Output], inputs: Iterable[_Input], workers: int) -> Iterator[_Output]:
    """Yield ``function(item)`` for each of `inputs`, in their order.

    With one worker the work is done in this process. Otherwise `function` must be importable by name; workers are
    fresh processes, which also end by themselves when this one is killed.

    Raises
    ------
    EngineError
        A worker process died, most often because memory ran out.
    """
    if workers <= 1:
        yield from map(function, inputs)
        return
    executor = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_start_worker)
    waiting: deque[Future[_Output]] = deque()
    try:
        for item in inputs:
            with _plain_main():
                waiting.append(executor.submit(function, item))
            if len(waiting) >= _AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise EngineError(
            "a worker process died, most likely for want of memory",
            action="Run the same command again with fewer --workers; it resumes where it stopped.",
        ) from error
    finally:
        for future in waiting:
            future.cancel()
        executor.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, and do not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)


@contextlib.contextmanager
def _plain_main() -> Iterator[None]:
    """Keep new processes from running the user's script again.

    A spawned process imports the parent's main module, so that a script without ``if __name__ == "__main__"`` would
    start itself over and over. Ours need nothing of it.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
