"""What a worker is told to do, and how it finds the function that does it."""

from __future__ import annotations

import dataclasses
import importlib
import json
import operator
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from emberline.confinement import Confinement
from emberline.jobs.context import JobContext
from emberline.jobs.model import JobError, JobType
from emberline.provenance import plain

__all__ = ["Order", "call", "load"]


@dataclasses.dataclass(frozen=True)
class Order:
    """One attempt at one job, in words that JSON can hold: nothing is imported before the worker is ready for errors.

    Attributes
    ----------
    folder, job : str
        The folder of all jobs, and the job's identifier.
    attempt : int
    parent : int
        The process without which the worker must not go on.
    type : dict
        The job type, its parameters named as ``module:class``.
    root, readable : str or None, list of str
        Its confinement.
    path : list of str
        The folders from which the supervisor imports.
    """

    folder: str
    job: str
    attempt: int
    parent: int
    type: dict[str, Any]
    root: str | None
    readable: list[str]
    path: list[str]

    @classmethod
    def of(cls, folder: Path, job: str, attempt: int, job_type: JobType, confinement: Confinement | None) -> Order:
        """The order that this process gives."""
        names = ("name", "title", "description", "function")
        kind = job_type.parameters
        told: dict[str, Any] = {name: getattr(job_type, name) for name in names}
        told |= {"parameters": f"{kind.__module__}:{kind.__qualname__}"}
        told |= {"steps": dict(job_type.steps), "writes": list(job_type.writes)}
        root = str(confinement.root) if confinement else None
        readable = [str(folder) for folder in confinement.readable] if confinement else []
        path = [entry for entry in sys.path if os.path.isabs(entry)]
        return cls(str(folder), job, attempt, os.getpid(), told, root, readable, path)

    def to_text(self) -> str:
        """As one line."""
        return json.dumps(dataclasses.asdict(self)) + "\n"

    @classmethod
    def from_text(cls, line: str) -> Order:
        """The inverse of `to_text`."""
        return cls(**json.loads(line))

    @property
    def job_type(self) -> JobType:
        """The job type, its parameter class imported."""
        parameters = cast(type[Any], load(self.type["parameters"]))
        return JobType(**{**self.type, "parameters": parameters, "writes": tuple(self.type["writes"])})

    @property
    def confinement(self) -> Confinement | None:
        """Which files the job may reach."""
        return Confinement(Path(self.root), tuple(map(Path, self.readable))) if self.root else None


def call(job_type: JobType, parameters: Any, context: JobContext) -> dict[str, Any]:
    """Call a job type's function and check what it returns: a mapping, given back as JSON can hold it."""
    summary = load(job_type.function)(parameters, context)
    if summary is None:
        return {}
    if not isinstance(summary, Mapping):
        raise TypeError(f"{job_type.function} returned {type(summary).__name__}, not a mapping")
    return cast(dict[str, Any], plain(summary))


def load(name: str) -> Callable[..., Any]:
    """The object that ``package.module:name`` means.

    Raises
    ------
    JobError
        There is no such thing.
    """
    module, _, path = name.partition(":")
    try:
        return cast(Callable[..., Any], operator.attrgetter(path)(importlib.import_module(module)))
    except (ImportError, AttributeError, ValueError) as error:
        raise JobError(f"cannot be found: {error}", where=name, action="Is everything installed?") from error
