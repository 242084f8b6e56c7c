"""A persistent engine for long work, with the phases of UWS: it is handed functions and knows none of ours."""

from emberline.jobs._schema import parse_time
from emberline.jobs.context import JobContext
from emberline.jobs.desk import JobDesk
from emberline.jobs.foreground import run_foreground
from emberline.jobs.model import (
    ACTIVE,
    FINAL,
    Failure,
    Job,
    JobError,
    JobNotFoundError,
    JobType,
    ParameterError,
    Phase,
    PhaseError,
    Preset,
    Result,
)
from emberline.jobs.parameters import Field, describe, from_text, parameter, validate
from emberline.jobs.store import JobStore
from emberline.jobs.supervisor import Supervisor, start_detached
from emberline.jobs.workspace import Workspace, WorkspaceConfig

__all__ = [
    "ACTIVE",
    "FINAL",
    "Failure",
    "Field",
    "Job",
    "JobContext",
    "JobDesk",
    "JobError",
    "JobNotFoundError",
    "JobStore",
    "JobType",
    "ParameterError",
    "Phase",
    "PhaseError",
    "Preset",
    "Result",
    "Supervisor",
    "Workspace",
    "WorkspaceConfig",
    "describe",
    "from_text",
    "parameter",
    "parse_time",
    "run_foreground",
    "start_detached",
    "validate",
]
