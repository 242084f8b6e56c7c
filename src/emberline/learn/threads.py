"""How many threads PyTorch computes on, for the length of a block."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

__all__ = ["threads"]


@contextlib.contextmanager
def threads(count: int | None) -> Iterator[int]:
    """Compute each operation on `count` threads at most, or on all when None, and put the setting back.

    Yields the number that was set before, which is how many threads the user grants.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(before if count is None else min(count, before))
    try:
        yield before
    finally:
        torch.set_num_threads(before)
