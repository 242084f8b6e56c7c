"""Threads that ask services, and that no end of the process ever waits for: what they were at is asked again."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

__all__ = ["as_they_come", "start"]

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def start(
    function: Callable[[_Item], _Result],
    item: _Item,
    answers: queue.SimpleQueue[tuple[_Result | None, BaseException | None]],
) -> None:
    """Run ``function(item)`` in a thread; its result, or what it raised, is put into `answers`."""

    def run() -> None:
        try:
            answers.put((function(item), None))
        except BaseException as error:
            answers.put((None, error))

    threading.Thread(target=run, name="harvest", daemon=True).start()


def as_they_come(function: Callable[[_Item], _Result], items: Iterable[_Item], at_once: int) -> Iterator[_Result]:
    """``function(item)`` for each of `items`, so many at a time, in the order in which they are done.

    Whatever `function` raises is raised here. When the caller stops early nothing further is begun.
    """
    answers: queue.SimpleQueue[tuple[_Result | None, BaseException | None]] = queue.SimpleQueue()
    waiting, running = iter(items), 0
    for item in waiting:
        start(function, item, answers)
        running += 1
        if running >= at_once:
            break
    while running:
        result, error = answers.get()
        if error is not None:
            raise error
        running -= 1
        for item in waiting:
            start(function, item, answers)
            running += 1
            break
        yield result  # type: ignore[misc]  # there is one where there is no error
