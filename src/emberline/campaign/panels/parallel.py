"""Ask place by place, several at a time, in threads that nobody has to wait for."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

from emberline.campaign.panels.base import Tools

__all__ = ["in_parallel"]

T = TypeVar("T")
_TURN = 0.2  # s between two looks whether the time is over


def in_parallel(items: Iterable[T], work: Callable[[T], None], tools: Tools, *, at_once: int = 4) -> None:
    """Do `work` on each item, `at_once` of them at a time; after an error no further one is begun.

    The threads are daemons: one that hangs at a service keeps no process alive.

    Raises
    ------
    TimeoutError
        The time of `tools` was over first.
    Exception
        The first error of `work`.
    """
    waiting: queue.SimpleQueue[T] = queue.SimpleQueue()
    count = 0
    for item in items:
        waiting.put(item)
        count += 1
    ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
    stop = threading.Event()

    def worker() -> None:
        while not stop.is_set() and not tools.over:
            try:
                item = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                work(item)
            except BaseException as error:
                stop.set()
                ended.put(error)
                return
            ended.put(None)

    for _ in range(min(at_once, count)):
        threading.Thread(target=worker, name="place", daemon=True).start()
    while count:
        try:
            error = ended.get(timeout=_TURN)
        except queue.Empty:
            if tools.over:
                raise TimeoutError from None
            continue
        if error is not None:
            raise error
        count -= 1
