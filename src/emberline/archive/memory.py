"""What is said when memory runs out."""

from __future__ import annotations

import contextlib
from pathlib import Path

from emberline.engine.memory import want_of_memory_as
from emberline.errors import EmberlineError

__all__ = ["naming_want_of_memory"]


def naming_want_of_memory(where: Path) -> contextlib.AbstractContextManager[None]:
    """Turn "no more memory", whoever says it, into one error that names the archive; what is written stays as it is.

    Raises
    ------
    EmberlineError
    """
    action = "Close other programs, or use fewer --workers, and run the same command again; it resumes."
    return want_of_memory_as(lambda: EmberlineError("memory ran out", where=str(where), action=action))
