"""Run a job's function here and now, as the command line does: the same function, the same checks, no store."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emberline.jobs._order import call
from emberline.jobs.context import JobContext
from emberline.jobs.model import JobType
from emberline.jobs.parameters import validate
from emberline.progress import Progress, silent

__all__ = ["run_foreground"]


def run_foreground(
    job_type: JobType, parameters: Any, *, progress: Progress = silent, folder: Path | None = None, engine: Any = None
) -> dict[str, Any]:
    """Do a job in this process and return its summary.

    Paths are relative to the current folder and may lead anywhere. Errors pass through as they are.

    Parameters
    ----------
    job_type : JobType
    parameters : mapping or an instance of the job type's parameters
    progress : Progress
    folder : Path, optional
        Where result files go; without it they are not kept.
    engine : optional
        Where the job's array work runs, see `JobContext.engine`.

    Raises
    ------
    ParameterError
        Parameters are wrong.
    """
    values = validate(job_type, parameters, None) if isinstance(parameters, Mapping) else parameters
    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="emberline-")))
        folder.mkdir(parents=True, exist_ok=True)
        return call(job_type, values, JobContext(folder=folder, progress=progress, engine=engine))
