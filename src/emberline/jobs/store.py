"""The store of jobs: makes, lists, changes, stops and deletes them, from any number of threads and processes."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

from emberline.confinement import Confinement
from emberline.jobs import _entries, _folders, _orphans
from emberline.jobs._database import Database
from emberline.jobs._orphans import LOCK
from emberline.jobs._queries import Filters, page, selection
from emberline.jobs._schema import (
    archive,
    change,
    check,
    jobs_of,
    move,
    not_found,
    phase_of,
    raise_version,
    remove,
    stamp,
)
from emberline.jobs.model import ACTIVE, Job, JobError, JobType, Phase
from emberline.jobs.parameters import underscored

__all__ = ["LOCK", "JobStore"]

POLL_SECONDS = 0.05


class JobStore:
    """The jobs in one folder. Safe to use from several threads and several processes at a time.

    Parameters
    ----------
    folder : Path
        Holds ``jobs.db`` and a folder for each job; made when it is not there.
    types : sequence of JobType
        The kinds of jobs that may be made.
    confinement : Confinement, optional
        Which files the jobs' parameters may name; without it every path is allowed.
    default_duration, keep_days : float
        Seconds that a job may run, and days until its results are deleted, unless it says otherwise; 0: no limit.
    id_letters : int
        Random letters at the end of an identifier, five bits each: many where to know it is the only key to a job.

    Raises
    ------
    JobError
        The folder or the data base in it cannot be used.
    NewerVersionError
        A newer version of Emberline has made it.
    """

    def __init__(
        self,
        folder: Path | str,
        types: Sequence[JobType],
        confinement: Confinement | None = None,
        *,
        default_duration: float = 0.0,
        keep_days: float = 0.0,
        id_letters: int = 6,
    ) -> None:
        self.folder = Path(folder).absolute()
        self.types: Mapping[str, JobType] = {job_type.name: job_type for job_type in types}
        self.confinement = confinement
        self.default_duration = default_duration
        self.keep_days = keep_days
        self.id_letters = id_letters
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise JobError(f"cannot be made: {error.strerror}", where=str(self.folder)) from error
        self.database = Database(self.folder / "jobs.db")

    def close(self) -> None:
        """Close the data base's connections, those of all threads."""
        self.database.close()

    def __enter__(self) -> JobStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def job_folder(self, id: str) -> Path:
        """Where a job's files lie; `id` is that of a job."""
        if not re.fullmatch(r"[0-9a-z-]{1,64}", id):
            raise not_found(id)
        return self.folder / id

    # Look -----------------------------------------------------------------------------------------------------------

    def job(self, id: str) -> Job:
        """One job.

        Raises
        ------
        JobNotFoundError
            There is no such job.
        """
        with self.database.read() as connection:
            found = jobs_of(connection, "WHERE id = :id", {"id": id})
        if not found:
            raise not_found(id)
        return found[0]

    def jobs(self, *, limit: int | None = None, offset: int = 0, **filters: Unpack[Filters]) -> list[Job]:
        """The jobs that pass all filters, newest first.

        Parameters
        ----------
        phases : iterable of Phase, optional
            Any of these; without them all but the archived ones.
        type, owner : str, optional
        after : str, optional
            UTC in ISO 8601: made strictly later than that.
        last : int, optional
            Only that many, the newest.
        search : str, optional
            Part of the label, type, identifier or owner, in any case.
        limit, offset : int, optional
            One page of what the filters leave.
        """
        where, values = selection(filters)
        values |= page(filters.get("last"), limit, offset)
        with self.database.read() as connection:
            return jobs_of(connection, f"{where} ORDER BY created DESC, id DESC LIMIT :limit OFFSET :offset", values)

    def count(self, **filters: Unpack[Filters]) -> int:
        """How many jobs pass the filters of `jobs`."""
        where, values = selection(filters)
        values |= page(filters.get("last"), None, 0)
        with self.database.read() as connection:
            found = connection.execute(f"SELECT COUNT(*) FROM (SELECT 1 FROM jobs {where} LIMIT :limit)", values)
            return int(found.fetchone()[0])

    def version(self) -> int:
        """A number that grows with every change of any job."""
        with self.database.read() as connection:
            return int(connection.execute("SELECT value FROM meta WHERE key = 'version'").fetchone()[0])

    def changed(self, since: int) -> list[Job]:
        """The jobs that have changed after version `since`, the archived ones too, in the order of their changes."""
        with self.database.read() as connection:
            return jobs_of(connection, "WHERE version > :since ORDER BY version", {"since": since})

    def owners(self) -> dict[str, str]:
        """Every job's identifier and owner: for watchers who want to know which have been deleted."""
        with self.database.read() as connection:
            return dict(connection.execute("SELECT id, owner FROM jobs").fetchall())

    def wait(self, id: str, timeout: float | None, phase: Phase | None = None) -> Job:
        """The job, as soon as its phase is no longer what it is now, or after `timeout` seconds (None: for ever).

        Returns at once when nothing more will happen to the job, or when `phase` is given and is not its phase.

        Raises
        ------
        JobNotFoundError
            There is no such job, or it was deleted meanwhile.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        seen = self.database.data_version()
        job = first = self.job(id)
        if first.phase not in ACTIVE or (phase is not None and first.phase != phase):
            return first
        while job.phase == first.phase:
            left = POLL_SECONDS if deadline is None else min(POLL_SECONDS, deadline - time.monotonic())
            if left <= 0:
                return self.job(id)
            time.sleep(left)
            now = self.database.data_version()
            if now != seen:
                seen, job = now, self.job(id)
        return job

    def log(self, id: str, offset: int = 0, limit: int = 65536) -> tuple[str, int]:
        """A piece of the job's log, and the offset at which to go on reading.

        At most `limit` bytes from byte `offset`; a negative `offset` counts from the end.
        """
        self._check_known(id)
        return _folders.read_log(self.job_folder(id), offset, limit)

    def result_path(self, id: str, name: str) -> Path:
        """The file of one of the job's results.

        Raises
        ------
        JobNotFoundError
            There is no such job or result, or it is no regular file within the job's results.
        """
        self._check_known(id)
        with self.database.read() as connection:
            known = connection.execute("SELECT 1 FROM results WHERE job = ? AND name = ?", (id, name)).fetchone()
        path = _folders.regular_file(self.job_folder(id) / _folders.RESULTS, name) if known else None
        if path is None:
            raise not_found(f"{id}/{name}", "the job has no such result")
        return path

    def _check_known(self, id: str) -> None:
        with self.database.read() as connection:
            phase_of(connection, id)

    # Make and change ------------------------------------------------------------------------------------------------

    def create(
        self,
        type: str,
        parameters: Mapping[str, Any],
        *,
        owner: str = "",
        label: str = "",
        run: bool = False,
        duration: float | None = None,
        destruction: str | None = None,
        clone_of: str | None = None,
    ) -> Job:
        """Make a job, PENDING or with `run` QUEUED.

        Raises
        ------
        ParameterError
            For each wrong parameter (and for a wrong type, label, duration, destruction) what is wrong with it.
        """
        job_type = _entries.type_named(self.types, type)
        columns = _entries.asked(job_type, parameters, self.confinement) | {
            "type": type,
            "label": _entries.label_of(label),
            "owner": owner,
            "clone_of": clone_of,
            "duration": self.default_duration if duration is None else _entries.duration_of(duration),
            "destruction": _entries.days_from_now(self.keep_days)
            if destruction is None
            else _entries.destruction_of(destruction),
        }
        with self._whole() as made, self.database.transaction() as connection:
            created = columns["created"] = _entries.new_time(connection)
            columns |= {"phase": Phase.PENDING, "queued": None, "version": raise_version(connection)}
            if run:
                columns |= {"phase": Phase.QUEUED, "queued": created}
            id = columns["id"] = _entries.new_id(created, self.id_letters)
            names, marks = ", ".join(columns), ", ".join(f":{name}" for name in columns)
            connection.execute(f"INSERT INTO jobs ({names}) VALUES ({marks})", columns)
            made.append(self.folder / id)
            _folders.prepare(self.folder / id, *_entries.effective(job_type, columns))
            return jobs_of(connection, "WHERE id = :id", {"id": id})[0]

    @contextlib.contextmanager
    def _whole(self) -> Iterator[list[Path]]:
        """Folders put into the list are removed again when the transaction within does not come to its end."""
        made: list[Path] = []
        try:
            yield made
        except BaseException as error:
            for folder in made:
                _folders.remove(folder)
            if not isinstance(error, OSError):
                raise
            raise JobError(
                f"cannot be written: {error.strerror or error}", where=str(self.folder), action="Free some space."
            ) from error

    def update(
        self,
        id: str,
        *,
        label: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        duration: float | None = None,
        destruction: str | None = None,
    ) -> Job:
        """Change what is given: the label; the parameters (all of them, while PENDING); the limits.

        `destruction` as the empty text means never. The duration may be changed until the job has ended, the
        destruction time until its results are gone.
        """
        job = self.job(id)
        columns: dict[str, Any] = {} if label is None else {"label": _entries.label_of(label)}
        allowed = frozenset(Phase)
        if destruction is not None:
            columns["destruction"] = _entries.destruction_of(destruction)
            allowed -= {Phase.ARCHIVED}
        if duration is not None:
            columns["duration"] = _entries.duration_of(duration)
            allowed &= ACTIVE
        if parameters is not None:
            job_type = _entries.type_named(self.types, job.type)
            columns |= _entries.asked(job_type, parameters, self.confinement)
            allowed &= {Phase.PENDING}
        with self._whole(), self.database.transaction() as connection:
            check(connection, id, allowed, "that can no longer be changed")
            change(connection, id, **columns)
            if parameters is not None:
                _folders.write_parameters(self.folder / id, *_entries.effective(job_type, columns))
            return jobs_of(connection, "WHERE id = :id", {"id": id})[0]

    def rerun(
        self,
        id: str,
        *,
        parameters: Mapping[str, Any] | None = None,
        label: str | None = None,
        owner: str = "",
        run: bool = True,
    ) -> Job:
        """A new job like this one. `parameters` replace single ones; None takes one back to its default."""
        job = self.job(id)
        merged = {**job.parameters, **underscored(parameters or {})}
        return self.create(
            job.type,
            {name: value for name, value in merged.items() if value is not None},
            owner=owner,
            label=job.label if label is None else label,
            run=run,
            duration=job.duration,
            clone_of=id,
        )

    def run(self, id: str) -> Job:
        """Queue a job that is PENDING, or one that is held or suspended."""
        return self._move(id, "run")

    def abort(self, id: str) -> Job:
        """Stop a job; its processes are gone within 2 s. One that is aborted already stays so."""
        job = self._move(id, "abort", unless=Phase.ABORTED)
        self._stop_unsupervised()
        return job

    def archive(self, id: str) -> Job:
        """Delete the results and the log of a job that has ended; its record is kept."""
        job = self._move(id, "archive", unless=Phase.ARCHIVED)
        _folders.erase(self.job_folder(id))
        return job

    def delete(self, id: str) -> None:
        """Delete a job with all its files; when it is still at work, it is stopped first."""
        with self.database.transaction() as connection:
            remove(connection, id)
        _folders.remove(self.job_folder(id))
        self._stop_unsupervised()

    def expire(self) -> list[str]:
        """Archive the jobs whose destruction time has come, those at work after an abort. Returns their identifiers."""
        query = "SELECT id, phase FROM jobs WHERE destruction <= ? AND phase != 'ARCHIVED'"
        with self.database.read() as connection:
            if not connection.execute(query, (stamp(),)).fetchone():
                return []
        with self.database.transaction() as connection:
            due = connection.execute(query, (stamp(),)).fetchall()
            for id, phase in due:
                if Phase(phase) in ACTIVE:
                    move(connection, id, "abort")
                archive(connection, id, message="its destruction time has come")
        for id, _ in due:
            _folders.erase(self.job_folder(id))
        return [str(id) for id, _ in due]

    def _move(self, id: str, action: str, *, unless: Phase | None = None) -> Job:
        with self.database.transaction() as connection:
            if phase_of(connection, id) != unless:
                (archive if action == "archive" else move)(connection, id, action)
            return jobs_of(connection, "WHERE id = :id", {"id": id})[0]

    # Processes that must end ----------------------------------------------------------------------------------------

    def supervised(self) -> bool:
        """Whether a supervisor is at work on these jobs, in whatever process."""
        return _orphans.supervised(self.folder)

    def stop_orphans(self, grace: float = 1.0) -> None:
        """End the processes of jobs that were aborted or deleted while at work; asked first, killed after `grace` s."""
        _orphans.stop_orphans(self.database, self.folder, grace)

    def _stop_unsupervised(self) -> None:
        if not self.supervised():
            self.stop_orphans()
