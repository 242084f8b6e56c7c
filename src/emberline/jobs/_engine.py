"""What worker and supervisor say to the data base: each method is one transaction."""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any

from emberline.jobs._database import Database
from emberline.jobs._meter import Reading
from emberline.jobs._outcome import readable
from emberline.jobs._schema import change, move, orphan_worker, raise_version, stamp
from emberline.jobs.model import Failure, JobError, JobNotFoundError, Phase, PhaseError, Result
from emberline.jobs.processes import Worker

__all__ = ["Engine", "Orphan", "Record", "Row"]

_STRIDE = (
    0.01  # of the whole: an interrupted job that came so much further than before has not been interrupted in vain
)


def _after(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    try:
        return stamp(datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds))
    except OverflowError:
        return None


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


class Record:
    """One attempt's own entry, as its worker writes it; refused once the attempt is no longer executing.

    Every method raises `PhaseError` or `JobNotFoundError` then: the job was aborted, deleted or given to another.
    """

    def __init__(self, database: Database, job: str, attempt: int) -> None:
        self._database, self._job, self._attempt = database, job, attempt
        with database.read() as connection:
            query = "SELECT parameters, checkpoint, progress FROM jobs WHERE id = ?"
            row = connection.execute(query, (job,)).fetchone()
        if row is None:
            raise JobNotFoundError("there is no such job", where=job)
        self.parameters: dict[str, Any] = _loaded(row[0], job)
        self.checkpoint: dict[str, Any] | None = None if row[1] is None else _loaded(row[1], job)
        self._mark = float(row[2] or 0.0)

    def check(self) -> None:
        """Raise when the attempt is no longer executing."""
        with self._database.read() as connection:
            row = connection.execute("SELECT phase, attempt FROM jobs WHERE id = ?", (self._job,)).fetchone()
        if row is None or tuple(row) != (Phase.EXECUTING, self._attempt):
            raise PhaseError("the job is no longer this worker's", where=self._job)

    def report(self, reading: Reading) -> None:
        """Write how far the job is; may be lost when the power fails."""
        columns = self._progress(reading)
        with self._database.transaction(durable=False) as connection:
            change(connection, self._job, attempt=self._attempt, **columns)

    def keep(self, checkpoint: Mapping[str, Any], reading: Reading) -> None:
        """Write a checkpoint; a new one is progress, after which crashes are counted anew."""
        columns = self._progress(reading)
        if checkpoint != self.checkpoint:
            columns |= {"crashes": 0, "interruptions": 0}
        text = json.dumps(checkpoint, allow_nan=False)  # as ASCII: it comes back as it was, whatever is in it
        with self._database.transaction() as connection:
            change(connection, self._job, attempt=self._attempt, checkpoint=text, **columns)
        self.checkpoint = dict(checkpoint)

    def _progress(self, reading: Reading) -> dict[str, Any]:
        columns = {"progress": reading.fraction, "message": readable(reading.message)[:500]}
        columns |= {"eta": reading.eta, "quote": _after(reading.eta)}
        if reading.fraction is not None and reading.fraction > self._mark + _STRIDE:
            columns["interruptions"] = 0
        return columns

    def complete(self, results: Sequence[Result]) -> None:
        """The last word: done."""
        with self._database.transaction() as connection:
            move(connection, self._job, "complete", attempt=self._attempt, message="")
            self._results(connection, results)

    def fail(self, failure: Failure, results: Sequence[Result]) -> None:
        """The last word: failed."""
        with self._database.transaction() as connection:
            move(connection, self._job, "fail", attempt=self._attempt, failure=_text(dataclasses.asdict(failure)))
            self._results(connection, results)

    def _results(self, connection: Any, results: Sequence[Result]) -> None:
        connection.execute("DELETE FROM results WHERE job = ?", (self._job,))
        rows = [(self._job, result.name, result.media_type, result.size) for result in results]
        connection.executemany("INSERT INTO results (job, name, media_type, size) VALUES (?, ?, ?, ?)", rows)


def _loaded(text: str, job: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise JobError(f"its record is damaged: {error}", where=job, action="Make the job anew.") from error
    if not isinstance(value, dict):
        raise JobError("its record is damaged", where=job, found=repr(value)[:40], action="Make the job anew.")
    return value


@dataclasses.dataclass(frozen=True)
class Row:
    """What the supervisor needs to know of a job."""

    id: str
    type: str
    attempt: int
    crashes: int
    interruptions: int
    duration: float
    message: str
    writes: frozenset[str] | None
    """None when the record is damaged."""


@dataclasses.dataclass(frozen=True)
class Orphan:
    """A process tree that must die."""

    job: str
    worker: Worker | None
    writes: frozenset[str] | None
    """None when its job has been deleted, and nobody knows what it writes."""


_ROW = (
    "id, type, attempt, crashes, interruptions, duration, message, "
    "CASE WHEN json_valid(parameters) AND json_valid(COALESCE(checkpoint, '{}')) THEN writes END"
)


def _row(values: Sequence[Any]) -> Row:
    return Row(*(*values[:-1], _writes(values[-1])))


def _writes(text: str | None) -> frozenset[str] | None:
    try:
        paths = json.loads(text or "")
    except ValueError:
        return None
    return frozenset(paths) if isinstance(paths, list) and all(isinstance(path, str) for path in paths) else None


def _worker(text: str | None) -> Worker | None:
    try:
        value = json.loads(text or "null")
    except ValueError:
        return None
    return Worker.from_mapping(value) if isinstance(value, dict) else None


class Engine:
    """What the supervisor asks and says."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def waiting(self, limit: int = 1000) -> list[Row]:
        """Jobs that may start now, in the order in which they were queued."""
        query = (
            f"SELECT {_ROW} FROM jobs WHERE phase = ? AND (not_before IS NULL OR not_before <= ?) "
            "AND id NOT IN (SELECT job FROM orphans) ORDER BY queued, id LIMIT ?"
        )
        with self._database.read() as connection:
            rows = connection.execute(query, (Phase.QUEUED, stamp(), limit)).fetchall()
        return [_row(values) for values in rows]

    def some_queued(self) -> bool:
        """Whether any job waits, also one that must wait for its next try."""
        with self._database.read() as connection:
            found = connection.execute("SELECT 1 FROM jobs WHERE phase = ? LIMIT 1", (Phase.QUEUED,)).fetchone()
        return found is not None

    def row(self, job: str, *, attempt: int | None = None) -> Row | None:
        """A job; with `attempt` only while that attempt is executing."""
        query = f"SELECT {_ROW} FROM jobs WHERE id = ?"
        values: tuple[Any, ...] = (job,)
        if attempt is not None:
            query += " AND phase = ? AND attempt = ?"
            values += (Phase.EXECUTING, attempt)
        with self._database.read() as connection:
            row = connection.execute(query, values).fetchone()
        return None if row is None else _row(row)

    def in_phase(self, phase: Phase) -> list[Row]:
        """All jobs in a phase."""
        with self._database.read() as connection:
            rows = connection.execute(f"SELECT {_ROW} FROM jobs WHERE phase = ?", (phase,)).fetchall()
        return [_row(values) for values in rows]

    def start(self, job: str, worker: Worker) -> int:
        """A process has been started for a queued job: the attempt's number."""
        with self._database.transaction() as connection:
            move(connection, job, "start", worker=_text(dataclasses.asdict(worker)))
            return int(connection.execute("SELECT attempt FROM jobs WHERE id = ?", (job,)).fetchone()[0])

    def say(self, job: str, message: str) -> None:
        """Why a queued job waits."""
        with self._database.transaction(durable=False) as connection:
            row = connection.execute("SELECT phase FROM jobs WHERE id = ?", (job,)).fetchone()
            if row is not None and row[0] == Phase.QUEUED:
                change(connection, job, message=message)

    def take(self, job: str, action: str, *, attempt: int | None = None, **columns: Any) -> bool:
        """Take a job out of its phase; its processes, if any, become orphans. False when it was no longer there."""
        if isinstance(columns.get("failure"), Failure):
            columns["failure"] = _text(dataclasses.asdict(columns["failure"]))
        if "not_before" in columns:
            columns["not_before"] = _after(columns["not_before"])
        try:
            with self._database.transaction() as connection:
                if action != "abort":  # which does so by itself
                    orphan_worker(connection, job)
                move(connection, job, action, attempt=attempt, **columns)
        except (PhaseError, JobNotFoundError):
            return False
        return True

    def postpone(self, job: str, **columns: Any) -> None:
        """Let a queued job wait for some seconds (`not_before`)."""
        columns["not_before"] = _after(columns["not_before"])
        with self._database.transaction() as connection:
            row = connection.execute("SELECT phase FROM jobs WHERE id = ?", (job,)).fetchone()
            if row is not None and row[0] == Phase.QUEUED:
                change(connection, job, **columns)

    def orphans(self) -> list[Orphan]:
        """The process trees that must die."""
        query = "SELECT o.job, o.worker, jobs.writes FROM orphans AS o LEFT JOIN jobs ON jobs.id = o.job"
        with self._database.read() as connection:
            rows = connection.execute(query).fetchall()
        return [
            Orphan(job, _worker(worker), None if writes is None else _writes(writes)) for job, worker, writes in rows
        ]

    def orphan(self, job: str, worker: Worker | None) -> None:
        """Note that a process tree must die."""
        with self._database.transaction() as connection:
            text = _text(dataclasses.asdict(worker)) if worker else "{}"
            connection.execute("INSERT INTO orphans (job, worker, since) VALUES (?, ?, ?)", (job, text, stamp()))

    def buried(self, job: str) -> Phase | None:
        """Nothing is left of a job's processes; gives its phase, None when it was deleted."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM orphans WHERE job = ?", (job,))
            raise_version(connection)
            row = connection.execute("SELECT phase FROM jobs WHERE id = ?", (job,)).fetchone()
        return None if row is None else Phase(row[0])
