"""What is written down when a job is made or changed: its identifier, its times, its limits, checked parameters."""

from __future__ import annotations

import datetime
import difflib
import json
import math
import secrets
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emberline._version import __version__
from emberline.confinement import Confinement
from emberline.jobs._schema import parse_time, stamp
from emberline.jobs.model import JobError, JobType, ParameterError
from emberline.jobs.parameters import describe, is_printable, underscored, validate, writes
from emberline.provenance import hash_of, plain

__all__ = ["asked", "destruction_of", "duration_of", "effective", "label_of", "new_id", "new_time", "type_named"]

LABEL_LENGTH = 200
PARAMETERS_BYTES = 1 << 20
LONGEST = 1e9
"""The longest duration that may be asked for, in seconds: thirty years."""
_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"


def new_time(connection: sqlite3.Connection) -> str:
    """When a job is made: now, or a millisecond after the newest one, so that no two are made at the same time."""
    moment = datetime.datetime.now(datetime.UTC)
    newest = connection.execute("SELECT MAX(created) FROM jobs").fetchone()[0]
    if newest is not None and stamp(moment) <= newest:
        after = datetime.datetime.fromisoformat(newest) + datetime.timedelta(milliseconds=1)
        if after - moment < datetime.timedelta(minutes=1):  # a clock that was wrong by more is not followed
            moment = after
    return stamp(moment)


def new_id(created: str, letters: int = 6) -> str:
    """``20300131-115959-123-k3x9ab``: sorts by time, tells it, and does not collide when a clock is set back."""
    digits = "".join(letter for letter in created if letter.isdigit())
    return f"{digits[:8]}-{digits[8:14]}-{digits[14:]}-{''.join(secrets.choice(_LETTERS) for _ in range(letters))}"


def type_named(types: Mapping[str, JobType], name: str) -> JobType:
    """The job type of that name; `ParameterError` at ``type`` when there is none."""
    if isinstance(name, str) and name in types:
        return types[name]
    near = difflib.get_close_matches(str(name).lower(), list(types), n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(types) or 'none'}"
    raise ParameterError({"type": f"there is no type of job {str(name)[:40]!r}; {hint}"})


def asked(job_type: JobType, parameters: Mapping[str, Any], confinement: Confinement | None) -> dict[str, Any]:
    """The columns that hold what was asked, once it has been checked."""
    instance = validate(job_type, parameters, confinement)
    given = plain(underscored(parameters))
    text = json.dumps(given, ensure_ascii=False)
    if len(text.encode()) > PARAMETERS_BYTES:
        raise ParameterError({"": f"are too long: more than {PARAMETERS_BYTES >> 20} MiB"}, where=job_type.name)
    return {
        "parameters": text,
        "parameters_hash": hash_of(given),
        "writes": json.dumps([str(Path(path).absolute()) for path in writes(job_type, instance)]),
        "emberline": __version__,
    }


def effective(job_type: JobType, columns: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """A line that says what a job is, and its parameters with the defaults that held: for people, in its folder."""
    defaults = {field.name: field.default for field in describe(job_type.parameters)}
    heading = f"{job_type.title}: {job_type.name}, parameters {columns['parameters_hash']}, Emberline {__version__}"
    return heading, {**defaults, **json.loads(columns["parameters"])}


def label_of(text: str) -> str:
    """A label in one line; `ParameterError` when it is too long or not text."""
    if not isinstance(text, str) or not is_printable(text):
        raise ParameterError({"label": "expected text without control characters"})
    label = " ".join(text.split())
    if len(label) > LABEL_LENGTH:
        raise ParameterError({"label": f"has {len(label)} characters, expected {LABEL_LENGTH} at most"})
    return label


def duration_of(seconds: float) -> float:
    """A limit in seconds, 0 for none; `ParameterError` when it is none."""
    fits = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not (fits and math.isfinite(seconds) and 0 <= seconds <= LONGEST):
        raise ParameterError({"duration": f"expected seconds from 0 to {LONGEST:.0f}, found {str(seconds)[:40]}"})
    return float(seconds)


def destruction_of(text: str) -> str | None:
    """A destruction time, None for the empty text, which means never; `ParameterError` when it is no time."""
    if text == "":
        return None
    try:
        return parse_time(text)
    except JobError as error:
        raise ParameterError({"destruction": str(error)}) from error


def days_from_now(days: float) -> str | None:
    """The moment after so many days; None for 0, which means never."""
    return stamp(datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)) if days else None
