"""How "no more memory" is told from damage: libraries say it in many ways, some of them as an error of a file."""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Callable, Iterator

from emberline.errors import EmberlineError

__all__ = ["is_want_of_memory", "want_of_memory_as"]

_SAID = re.compile(
    r"bad_alloc|out of memory|not enough memory|can't allocate memory|cannot allocate memory", re.IGNORECASE
)


def is_want_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out.

    NumPy and Arrow raise kinds of `MemoryError`, the system ``ENOMEM``, PyTorch and OpenVINO a `RuntimeError` that says
    so, DuckDB an exception of its own.
    """
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    if type(error).__name__ in ("OutOfMemoryError", "OutOfMemoryException"):
        return True
    return isinstance(error, RuntimeError) and _SAID.search(str(error)) is not None


@contextlib.contextmanager
def want_of_memory_as(shortage: Callable[[], EmberlineError]) -> Iterator[None]:
    """Raise `shortage` in place of any error that means that memory ran out; other errors pass."""
    try:
        yield
    except Exception as error:
        if not is_want_of_memory(error):
            raise
        raise shortage() from error
