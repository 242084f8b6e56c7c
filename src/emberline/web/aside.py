"""Threads for what lasts, beside those that answer pages: a label never waits until a pool has been opened."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread

__all__ = ["Aside"]

_Result = TypeVar("_Result")


class Aside:
    """So many threads, and whoever comes when all are at work waits for one without holding any.

    Parameters
    ----------
    threads : int
        How many are at work at a time.
    """

    def __init__(self, threads: int) -> None:
        self._limiter = anyio.CapacityLimiter(threads)

    async def run(self, function: Callable[..., _Result], *arguments: object) -> _Result:
        """What ``function(*arguments)`` gives, or raises."""
        return await anyio.to_thread.run_sync(function, *arguments, limiter=self._limiter)
