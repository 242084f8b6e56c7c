"""What is said when memory runs out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from emberline.engine.memory import is_want_of_memory
from emberline.errors import EmberlineError

__all__ = ["naming_want_of_memory"]


@contextlib.contextmanager
def naming_want_of_memory(where: Path) -> Iterator[None]:
    """Turn "no more memory", whoever says it, into one error that names the archive; what is written stays as it is.

    Raises
    ------
    EmberlineError
    """
    try:
        yield
    except Exception as error:
        if not is_want_of_memory(error):
            raise
        raise EmberlineError(
            "memory ran out",
            where=str(where),
            action="Close other programs, or use fewer --workers, and run the same command again; it resumes.",
        ) from error
