"""The words of the engine: a job type, a job, its phase, its results, its errors."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any, Literal

from emberline.errors import EmberlineError

__all__ = [
    "ACTIVE",
    "FINAL",
    "Failure",
    "Job",
    "JobError",
    "JobNotFoundError",
    "JobType",
    "ParameterError",
    "Phase",
    "PhaseError",
    "Preset",
    "Result",
]


class Phase(enum.StrEnum):
    """The execution phases of UWS 1.1 (https://www.ivoa.net/documents/UWS/), and when Emberline uses each."""

    PENDING = "PENDING"
    """Made, and may still be edited; waits for somebody to run it."""
    QUEUED = "QUEUED"
    """Waits for a free place."""
    EXECUTING = "EXECUTING"
    """A worker process is at it."""
    COMPLETED = "COMPLETED"
    """Done; the results are there."""
    ERROR = "ERROR"
    """Failed; the error says why."""
    UNKNOWN = "UNKNOWN"
    """Never used here; part of the standard."""
    HELD = "HELD"
    """Cannot start now (the disk is nearly full, or it was interrupted again and again); runs when told to."""
    SUSPENDED = "SUSPENDED"
    """Was executing when the engine stopped; goes on by itself, from where it was, when the engine runs again."""
    ABORTED = "ABORTED"
    """Stopped by a person."""
    ARCHIVED = "ARCHIVED"
    """Its results have been deleted; the record of it is kept."""


ACTIVE = frozenset({Phase.PENDING, Phase.QUEUED, Phase.EXECUTING, Phase.HELD, Phase.SUSPENDED})
"""Phases from which a job may still go on."""
FINAL = frozenset({Phase.COMPLETED, Phase.ERROR, Phase.ABORTED, Phase.ARCHIVED})
"""Phases in which nothing more happens to a job by itself."""


@dataclasses.dataclass(frozen=True)
class Preset:
    """A configuration made beforehand: a name, what it is for, and parameters to begin with."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class JobType:
    """One kind of work, declared on the floor that owns it.

    Attributes
    ----------
    name : str
        Short and lower case: ``ingest``.
    title, description : str
        For people.
    parameters : type
        A frozen dataclass that `emberline.config` reads; its fields are made by `emberline.jobs.parameter`.
    function : str
        ``package.module:function``; called in the worker as ``function(parameters, context)``, with an instance of
        `parameters` and a `JobContext`. It returns a summary as a mapping that JSON can hold. It is called again, in a
        new process, after an interruption, and should then go on from where it was.
    steps : mapping
        The steps that the work's progress names, each with its usual share of the time, in order.
    writes : tuple of str
        Parameters that are paths which the job writes; no two jobs that write the same path run at a time.
    presets : tuple of Preset
    aside : bool
        It waits for others rather than working itself, and so runs beside those whose number is limited.
    """

    name: str
    title: str
    description: str
    parameters: type[Any]
    function: str
    steps: Mapping[str, float] = dataclasses.field(default_factory=dict)
    writes: tuple[str, ...] = ()
    presets: tuple[Preset, ...] = ()
    aside: bool = False


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why a job failed: one sentence, and whether trying again may help; `detail` is the traceback behind it."""

    message: str
    kind: Literal["fatal", "transient"] = "fatal"
    detail: str = ""


@dataclasses.dataclass(frozen=True)
class Result:
    """One file that a job has made; `name` is its path in the job's results folder, with forward slashes."""

    name: str
    media_type: str
    size: int


@dataclasses.dataclass(frozen=True)
class Job:
    """What is known of one job at one moment. Times are UTC in ISO 8601 with a trailing Z, None when not yet.

    Attributes
    ----------
    id : str
        Sorts by creation time.
    type, label, owner : str
        `label` is what the owner calls it (``runId`` in UWS).
    parameters : mapping
        As they were given: paths relative to the workspace.
    progress : float or None
        From 0 to 1; None when it cannot be said.
    message : str
        What it is doing, or why it waits.
    eta : float or None
        Seconds until it is done, as far as can be told; `quote` is the same as a time.
    duration : float
        Seconds that it may run; 0 means no limit.
    destruction : str or None
        When its results will be deleted.
    attempt : int
        How often it has been started.
    clone_of : str or None
        The job that it was made from by running again.
    version : int
        Grows with every change of any job in the same store.
    """

    id: str
    type: str
    label: str
    owner: str
    phase: Phase
    created: str
    queued: str | None
    started: str | None
    ended: str | None
    quote: str | None
    parameters: Mapping[str, Any]
    progress: float | None
    message: str
    eta: float | None
    duration: float
    destruction: str | None
    attempt: int
    failure: Failure | None
    results: tuple[Result, ...]
    clone_of: str | None
    version: int

    def to_mapping(self) -> dict[str, Any]:
        """The job as JSON shows it; the traceback is left out, ``has_detail`` says whether there is one."""
        mapping = {name: getattr(self, name) for name in _NAMES}
        mapping["phase"] = str(self.phase)
        mapping["parameters"] = dict(self.parameters)
        failure = mapping.pop("failure")
        mapping["error"] = failure and {
            "message": failure.message,
            "type": failure.kind,
            "has_detail": bool(failure.detail),
        }
        mapping["results"] = [{"name": r.name, "media_type": r.media_type, "size": r.size} for r in self.results]
        return mapping


_NAMES = tuple(field.name for field in dataclasses.fields(Job))


class JobError(EmberlineError):
    """A job cannot be made, changed or found."""


class JobNotFoundError(JobError):
    """There is no such job, or it belongs to somebody else."""


class PhaseError(JobError):
    """The job's phase does not allow what was asked."""


class ParameterError(JobError):
    """Parameters are wrong.

    Attributes
    ----------
    fields : dict
        For each wrong parameter, what is wrong with it.
    """

    def __init__(self, fields: Mapping[str, str], *, where: str = "") -> None:
        self.fields = dict(fields)
        super().__init__("; ".join(f"{name}: {text}" for name, text in fields.items()), where=where)

    def __reduce__(self) -> tuple[object, ...]:
        return ParameterError, (self.fields,)
