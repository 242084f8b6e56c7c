"""The jobs' data base: its tables, and the one table of who may go from which phase to which.

How the store and the supervisor meet here, and nowhere else:

- Every change of a job is one transaction that calls `move` (another phase) or `change` (anything else). Both raise the
  counter ``meta.version`` and write it into the job's row, so that watchers see that something happened, and what.
- `move` refuses what `ACTIONS` does not allow. With `attempt` it is conditional: a worker that comes late finds that
  the job is no longer its own (`JobNotFoundError` or `PhaseError`) and can resurrect nothing.
- ``jobs.worker`` is the process tree that works on a job, as JSON; NULL when there is none. Whoever takes a job out of
  EXECUTING by force (abort, delete) puts that tree into ``orphans`` in the same transaction: a tree that must die.
  `JobStore.stop_orphans` kills the trees, then removes what they may have written after their job was deleted or
  archived. The supervisor calls it at every turn; the store calls it itself when no supervisor lives.
- A supervisor that has started a process writes it by `change(…, attempt=…)`; when that raises, the job was aborted or
  deleted in between, and the supervisor kills what it has just started. The same holds whenever it finds that a
  process of its own has no row EXECUTING with its attempt.
- ``checkpoint``, ``writes``, ``worker``, ``crashes``, ``interruptions`` and ``not_before`` are the engine's own and no
  part of a `Job`. ``attempt_started`` is when the present attempt began, ``started`` when the first did.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import sqlite3
from collections.abc import Mapping, Set
from typing import Any, cast

from emberline.errors import EmberlineError
from emberline.jobs.model import ACTIVE, Failure, Job, JobError, JobNotFoundError, Phase, PhaseError, Result

__all__ = [
    "ACTIONS",
    "COLUMNS",
    "SCHEMA",
    "SCHEMA_VERSION",
    "change",
    "jobs_of",
    "move",
    "parse_time",
    "stamp",
]

SCHEMA_VERSION = 1

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE jobs (
    id TEXT PRIMARY KEY, type TEXT NOT NULL, label TEXT NOT NULL, owner TEXT NOT NULL, phase TEXT NOT NULL,
    created TEXT NOT NULL, queued TEXT, started TEXT, ended TEXT, quote TEXT,
    parameters TEXT NOT NULL, progress REAL, message TEXT NOT NULL DEFAULT '', eta REAL,
    duration REAL NOT NULL DEFAULT 0, destruction TEXT, attempt INTEGER NOT NULL DEFAULT 0, failure TEXT,
    clone_of TEXT, version INTEGER NOT NULL,
    attempt_started TEXT, crashes INTEGER NOT NULL DEFAULT 0, interruptions INTEGER NOT NULL DEFAULT 0,
    checkpoint TEXT, writes TEXT NOT NULL DEFAULT '[]', worker TEXT, not_before TEXT,
    emberline TEXT NOT NULL, parameters_hash TEXT NOT NULL);
CREATE INDEX jobs_phase ON jobs (phase, created);
CREATE INDEX jobs_created ON jobs (created);
CREATE INDEX jobs_owner ON jobs (owner, created);
CREATE INDEX jobs_version ON jobs (version);
CREATE TABLE results (
    job TEXT NOT NULL REFERENCES jobs ON DELETE CASCADE, name TEXT NOT NULL, media_type TEXT NOT NULL,
    size INTEGER NOT NULL, PRIMARY KEY (job, name));
CREATE TABLE orphans (job TEXT NOT NULL, worker TEXT, since TEXT NOT NULL);
"""

ACTIONS: Mapping[str, tuple[frozenset[Phase], Phase]] = {
    "run": (frozenset({Phase.PENDING, Phase.HELD, Phase.SUSPENDED}), Phase.QUEUED),
    "abort": (ACTIVE, Phase.ABORTED),
    "archive": (frozenset({Phase.COMPLETED, Phase.ERROR, Phase.ABORTED}), Phase.ARCHIVED),
    "start": (frozenset({Phase.QUEUED}), Phase.EXECUTING),
    "complete": (frozenset({Phase.EXECUTING}), Phase.COMPLETED),
    "fail": (frozenset({Phase.QUEUED, Phase.EXECUTING}), Phase.ERROR),
    "hold": (frozenset({Phase.QUEUED, Phase.EXECUTING}), Phase.HELD),
    "suspend": (frozenset({Phase.EXECUTING}), Phase.SUSPENDED),
    "requeue": (frozenset({Phase.EXECUTING, Phase.SUSPENDED}), Phase.QUEUED),
}
"""What is done to a job: the phases in which that is allowed, and the phase that follows."""

COLUMNS = tuple(field.name for field in dataclasses.fields(Job) if field.name != "results")
"""The columns of a job's row that a `Job` shows, in its order."""

_ENDED = {"quote": None, "eta": None, "worker": None, "not_before": None}
_EFFECTS: Mapping[str, Mapping[str, Any]] = {
    "run": {"message": "", "crashes": 0, "interruptions": 0, "not_before": None},
    "abort": {**_ENDED, "message": "", "checkpoint": None},
    "archive": {"message": "", "checkpoint": None},
    "start": {"message": "", "not_before": None},
    "complete": {**_ENDED, "progress": 1.0, "checkpoint": None, "failure": None},
    "fail": _ENDED,
    "hold": {"quote": None, "eta": None, "worker": None},
    "suspend": {"quote": None, "eta": None, "worker": None},
    "requeue": {"quote": None, "eta": None, "worker": None},
}
"""Columns that an action sets besides the phase and the times, unless the caller says otherwise."""
_TIMES: Mapping[str, str] = {
    "run": "queued = :now",
    "start": "started = COALESCE(started, :now), attempt_started = :now, attempt = attempt + 1",
    **dict.fromkeys(("abort", "complete", "fail"), "ended = :now"),
}


def stamp(moment: datetime.datetime | None = None) -> str:
    """A moment (now without one) in UTC, ISO 8601 to the millisecond with a trailing Z: sorts as text."""
    moment = (moment or datetime.datetime.now(datetime.UTC)).astimezone(datetime.UTC)
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def parse_time(text: str) -> str:
    """Any usual ISO 8601 date or time, UTC unless it names its offset, as `stamp` writes it.

    Raises
    ------
    JobError
        It is no such time.
    """
    try:
        if len(text) < 10 or text[4] != "-" or not text.isascii():
            raise ValueError(text)
        moment = datetime.datetime.fromisoformat(text)
        return stamp(moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC))
    except (ValueError, OverflowError) as error:
        raise JobError("is no time", found=repr(text[:40]), expected="UTC such as 2030-12-31T23:59:59Z") from error


def raise_version(connection: sqlite3.Connection) -> int:
    """Count one more change; inside the transaction that makes it."""
    row = connection.execute("UPDATE meta SET value = value + 1 WHERE key = 'version' RETURNING value").fetchone()
    return int(row[0])


def change(connection: sqlite3.Connection, job: str, *, attempt: int | None = None, **columns: Any) -> None:
    """Set columns of a job, inside a transaction; with `attempt` only while that attempt is executing.

    Raises
    ------
    JobNotFoundError
        There is no such job (any more).
    PhaseError
        That attempt is no longer executing.
    """
    if attempt is not None:
        _check_attempt(connection, job, attempt)
    columns["version"] = raise_version(connection)
    names = ", ".join(f"{name} = :{name}" for name in columns)
    cursor = connection.execute(f"UPDATE jobs SET {names} WHERE id = :id", {**columns, "id": job})
    if not cursor.rowcount:
        raise not_found(job)


def move(connection: sqlite3.Connection, job: str, action: str, *, attempt: int | None = None, **columns: Any) -> None:
    """Do one of `ACTIONS` to a job, inside a transaction, and set further columns with it.

    Raises
    ------
    JobNotFoundError
        There is no such job (any more).
    PhaseError
        Its phase does not allow that, or another attempt than `attempt` is executing.
    """
    allowed, target = ACTIONS[action]
    check(connection, job, allowed, f"cannot {_VERBS.get(action, action)} this job", action)
    if attempt is not None:
        _check_attempt(connection, job, attempt)
    if action == "abort":
        orphan_worker(connection, job)
    values = {**_EFFECTS[action], **columns, "phase": target}
    values["version"] = raise_version(connection)
    names = ", ".join([*(f"{name} = :{name}" for name in values), *filter(None, [_TIMES.get(action)])])
    connection.execute(f"UPDATE jobs SET {names} WHERE id = :id", {**values, "id": job, "now": stamp()})


def archive(connection: sqlite3.Connection, job: str, action: str = "archive", **columns: Any) -> None:
    """`move` to ARCHIVED, and forget the results; their files are for the caller to erase afterwards."""
    move(connection, job, action, **columns)
    connection.execute("DELETE FROM results WHERE job = ?", (job,))


def remove(connection: sqlite3.Connection, job: str) -> None:
    """Delete a job's record, inside a transaction; what still works on it becomes an orphan.

    Raises
    ------
    JobNotFoundError
        There is no such job (any more).
    """
    orphan_worker(connection, job)
    if not connection.execute("DELETE FROM jobs WHERE id = ?", (job,)).rowcount:
        raise not_found(job)
    raise_version(connection)


def orphan_worker(connection: sqlite3.Connection, job: str) -> None:
    """Note that what works on a job must end, inside the transaction that takes the job away from it."""
    connection.execute(
        "INSERT INTO orphans (job, worker, since) SELECT id, worker, ? FROM jobs"
        " WHERE id = ? AND (worker IS NOT NULL OR phase = 'EXECUTING')",
        (stamp(), job),
    )


_VERBS = {"requeue": "queue again"}
_HINTS = {
    ("archive", Phase.EXECUTING): "Abort it first.",
    **{("run", phase): "Run it again as a new job." for phase in (Phase.COMPLETED, Phase.ERROR, Phase.ABORTED)},
}


def check(connection: sqlite3.Connection, job: str, allowed: Set[Phase], refusal: str, action: str = "") -> None:
    """Refuse, with a `PhaseError`, what is `allowed` in other phases than the job's."""
    found = phase_of(connection, job)
    if found not in allowed:
        expected = " or ".join(phase for phase in Phase if phase in allowed)
        hint = _HINTS.get((action, found), "")
        raise PhaseError(refusal, where=job, found=found, expected=expected, action=hint)


def phase_of(connection: sqlite3.Connection, job: str) -> Phase:
    """The phase of a job; `JobNotFoundError` when there is none."""
    row = connection.execute("SELECT phase FROM jobs WHERE id = ?", (job,)).fetchone()
    if row is None:
        raise not_found(job)
    return Phase(row[0])


def _check_attempt(connection: sqlite3.Connection, job: str, attempt: int) -> None:
    row = connection.execute("SELECT phase, attempt FROM jobs WHERE id = ?", (job,)).fetchone()
    if row is None:
        raise not_found(job)
    if tuple(row) != (Phase.EXECUTING, attempt):
        raise PhaseError(
            "the job is no longer this worker's", where=job, found=f"{row[0]}, attempt {row[1]}",
            expected=f"{Phase.EXECUTING}, attempt {attempt}",
        )  # fmt: skip


def not_found(where: str, message: str = "there is no such job") -> JobNotFoundError:
    """The error for a job that is not there, or not there for this user."""
    return JobNotFoundError(message, where=where[:80])


def jobs_of(connection: sqlite3.Connection, query: str, values: Mapping[str, Any]) -> list[Job]:
    """The jobs that ``SELECT columns FROM jobs`` + `query` gives, with their results."""
    rows = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM jobs {query}", values).fetchall()
    results: dict[str, list[Result]] = {}
    for job, *result in connection.execute(
        "SELECT job, name, media_type, size FROM results WHERE job IN (SELECT value FROM json_each(?)) ORDER BY name",
        (json.dumps([row[0] for row in rows]),),
    ):
        results.setdefault(job, []).append(Result(*result))
    parameters = _decoded([row[_PARAMETERS] for row in rows])
    failures = _decoded([row[_FAILURE] or "null" for row in rows])
    jobs = []
    for row, given, failure in zip(rows, parameters, failures, strict=True):
        cells = list(row)
        cells[_PHASE] = _PHASES[row[_PHASE]]
        cells[_PARAMETERS] = given
        cells[_FAILURE] = failure and Failure(**failure)
        cells.insert(_RESULTS, tuple(results.get(row[0], ())))
        jobs.append(Job(*cells))
    return jobs


def _decoded(texts: list[str]) -> list[Any]:
    """Many JSON texts at once, which is three times as fast as one by one: lists of jobs are asked for often."""
    return cast(list[Any], json.loads(f"[{','.join(texts)}]"))


_PHASES = {str(phase): phase for phase in Phase}
_PHASE, _PARAMETERS, _FAILURE = (COLUMNS.index(name) for name in ("phase", "parameters", "failure"))
_RESULTS = [field.name for field in dataclasses.fields(Job)].index("results")


def translated(error: sqlite3.Error, path: str, code: int | None = None) -> EmberlineError:
    """What SQLite says, as one error that a person can act upon."""
    code = (code if code is not None else int(getattr(error, "sqlite_errorcode", 0))) & 0xFF
    message, action = {
        sqlite3.SQLITE_FULL: ("the disk is full", "Free some space; what was stored before is whole."),
        sqlite3.SQLITE_IOERR: ("cannot be written or read", "Look whether the disk is full or failing."),
        sqlite3.SQLITE_READONLY: ("may not be written", "Give yourself the right to write there."),
        sqlite3.SQLITE_CANTOPEN: ("cannot be opened", "Look whether the folder is there and may be written."),
        sqlite3.SQLITE_BUSY: ("is kept busy by another process", "Try again."),
        sqlite3.SQLITE_NOTADB: ("is no data base of jobs", "Move it away, or choose another folder."),
        sqlite3.SQLITE_CORRUPT: ("is damaged", "Restore it from a copy, or move it away."),
    }.get(code, (f"cannot be used: {error}", ""))
    return JobError(message, where=path, action=action)
