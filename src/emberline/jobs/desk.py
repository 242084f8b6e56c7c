"""One user's view of the jobs: their own and no others, unless they may see all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Unpack

from emberline.jobs._queries import Filters
from emberline.jobs._schema import not_found
from emberline.jobs.model import Job, JobType, Phase
from emberline.jobs.store import JobStore

__all__ = ["JobDesk"]


class JobDesk:
    """The methods of `JobStore` for one user.

    What belongs to somebody else is refused exactly as what does not exist (`JobNotFoundError`): the desk does not
    tell which identifiers are in use.

    Parameters
    ----------
    store : JobStore
    user : str
        Owns the jobs that are made here.
    all : bool
        Whether everybody's jobs are seen and may be changed.
    """

    def __init__(self, store: JobStore, user: str, *, all: bool = False) -> None:
        self.store = store
        self.user = user
        self.all = all

    @property
    def types(self) -> Mapping[str, JobType]:
        """The kinds of jobs that may be made, by name."""
        return self.store.types

    def _mine(self, id: str) -> str:
        if not self.all and self.store.job(id).owner != self.user:
            raise not_found(id)
        return id

    def _filtered(self, filters: Filters) -> Filters | None:
        """The filters with the owner set; None when they ask for somebody else's jobs."""
        if self.all:
            return filters
        if filters.get("owner") not in (None, self.user):
            return None
        return {**filters, "owner": self.user}

    def job(self, id: str) -> Job:
        """One job of the user's."""
        job = self.store.job(id)
        if not self.all and job.owner != self.user:
            raise not_found(id)
        return job

    def jobs(self, *, limit: int | None = None, offset: int = 0, **filters: Unpack[Filters]) -> list[Job]:
        """The user's jobs that pass all filters, newest first; see `JobStore.jobs`."""
        mine = self._filtered(filters)
        return [] if mine is None else self.store.jobs(limit=limit, offset=offset, **mine)

    def count(self, **filters: Unpack[Filters]) -> int:
        """How many of the user's jobs pass the filters."""
        mine = self._filtered(filters)
        return 0 if mine is None else self.store.count(**mine)

    def version(self) -> int:
        """A number that grows with every change of any job, of whomever."""
        return self.store.version()

    def wait(self, id: str, timeout: float | None, phase: Phase | None = None) -> Job:
        """The job, as soon as its phase has changed; see `JobStore.wait`."""
        return self.store.wait(self._mine(id), timeout, phase)

    def log(self, id: str, offset: int = 0, limit: int = 65536) -> tuple[str, int]:
        """A piece of the job's log, and where to go on reading."""
        return self.store.log(self._mine(id), offset, limit)

    def result_path(self, id: str, name: str) -> Path:
        """The file of one of the job's results."""
        return self.store.result_path(self._mine(id), name)

    def create(
        self,
        type: str,
        parameters: Mapping[str, Any],
        *,
        label: str = "",
        run: bool = False,
        duration: float | None = None,
        destruction: str | None = None,
        clone_of: str | None = None,
    ) -> Job:
        """Make a job that belongs to the user; see `JobStore.create`. `clone_of` must be a job that is seen."""
        return self.store.create(
            type,
            parameters,
            owner=self.user,
            label=label,
            run=run,
            duration=duration,
            destruction=destruction,
            clone_of=None if clone_of is None else self.job(clone_of).id,
        )

    def update(
        self,
        id: str,
        *,
        label: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        duration: float | None = None,
        destruction: str | None = None,
    ) -> Job:
        """Change what is given; see `JobStore.update`."""
        return self.store.update(
            self._mine(id), label=label, parameters=parameters, duration=duration, destruction=destruction
        )

    def rerun(
        self, id: str, *, parameters: Mapping[str, Any] | None = None, label: str | None = None, run: bool = True
    ) -> Job:
        """A new job like this one, the user's own; see `JobStore.rerun`."""
        return self.store.rerun(self._mine(id), parameters=parameters, label=label, owner=self.user, run=run)

    def run(self, id: str) -> Job:
        """Queue a job."""
        return self.store.run(self._mine(id))

    def abort(self, id: str) -> Job:
        """Stop a job."""
        return self.store.abort(self._mine(id))

    def archive(self, id: str) -> Job:
        """Delete the results and the log of a job that has ended; its record is kept."""
        return self.store.archive(self._mine(id))

    def delete(self, id: str) -> None:
        """Delete a job with all its files."""
        self.store.delete(self._mine(id))
