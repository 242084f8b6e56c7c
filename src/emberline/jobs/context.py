"""What a job's function is given beside its parameters: where to write, how to say how far it is, where to go on."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from emberline.confinement import Confinement
from emberline.progress import Progress, silent
from emberline.provenance import plain

__all__ = ["JobContext"]


def _forget(checkpoint: Mapping[str, Any]) -> None:
    """In the foreground nobody asks for a checkpoint."""


@dataclasses.dataclass
class JobContext:
    """The surroundings of one attempt at a job.

    Attributes
    ----------
    folder : Path
        Files put here become the job's results.
    progress : Progress
        To be called often; it costs next to nothing.
    attempt : int
        1 at first, more after an interruption.
    checkpoint : dict or None
        What `save_checkpoint` was given last, in this or an earlier attempt.
    log : logging.Logger
        Its records go into the job's log with the time; so does what is printed.
    confinement : Confinement or None
        None in the foreground, where the user's own rights are the limit.
    engine : optional
        Where array work runs (`emberline.engine.Engine`); None, as always in a workspace, means on this machine.
    """

    folder: Path
    progress: Progress = silent
    attempt: int = 1
    checkpoint: dict[str, Any] | None = None
    log: logging.Logger = dataclasses.field(default_factory=lambda: logging.getLogger("emberline.job"))
    confinement: Confinement | None = None
    engine: Any = None
    save: Callable[[Mapping[str, Any]], None] = dataclasses.field(default=_forget, repr=False)

    def save_checkpoint(self, checkpoint: Mapping[str, Any]) -> None:
        """Keep what is needed to go on from here, a mapping that JSON can hold; it replaces the one before.

        It is on disk when this returns.
        """
        kept = plain(checkpoint)
        self.save(kept)
        self.checkpoint = kept

    def path(self, path: Path | str, *, write: bool = False) -> Path:
        """The absolute path of a file that the job may reach.

        Raises
        ------
        OutsideError
            It leads out of the workspace.
        """
        if self.confinement is None:
            return Path(path).absolute()
        return self.confinement.resolve(path, write=write)
