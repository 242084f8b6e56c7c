"""A person's view of the jobs, with what the role allows: pages, the JSON API and UWS all work through it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emberline.jobs import Job, JobDesk, JobStore
from emberline.web.permissions import Action, Role, may, require, require_type

__all__ = ["RoleDesk"]


class RoleDesk(JobDesk):
    """A `JobDesk` that refuses what the role does not allow with `ForbiddenError`.

    Parameters
    ----------
    store : JobStore
    user : str
        Whose jobs are seen; those of everybody when the role allows it.
    role : Role
    """

    def __init__(self, store: JobStore, user: str, role: Role) -> None:
        super().__init__(store, user, all=may(role, Action.SEE_ALL_JOBS))
        self.role = role

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
        """Make a job; see `JobDesk.create`."""
        require_type(self.role, type)
        return super().create(
            type,
            parameters,
            label=label,
            run=run,
            duration=duration,
            destruction=destruction,
            clone_of=clone_of,
        )

    def rerun(
        self, id: str, *, parameters: Mapping[str, Any] | None = None, label: str | None = None, run: bool = True
    ) -> Job:
        """Run a job again as a clone; see `JobStore.rerun`."""
        require_type(self.role, self.job(id).type)
        return super().rerun(id, parameters=parameters, label=label, run=run)

    def run(self, id: str) -> Job:
        """Queue a job; see `JobStore.run`."""
        require_type(self.role, self.job(id).type)
        return super().run(id)

    def update(
        self,
        id: str,
        *,
        label: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        duration: float | None = None,
        destruction: str | None = None,
    ) -> Job:
        """Edit a job; see `JobStore.update`."""
        require(self.role, Action.CHANGE_JOBS)
        return super().update(id, label=label, parameters=parameters, duration=duration, destruction=destruction)

    def abort(self, id: str) -> Job:
        """Stop a job; see `JobStore.abort`."""
        require(self.role, Action.CHANGE_JOBS)
        return super().abort(id)

    def archive(self, id: str) -> Job:
        """Delete a job's results; see `JobStore.archive`."""
        require(self.role, Action.CHANGE_JOBS)
        return super().archive(id)

    def delete(self, id: str) -> None:
        """Delete a job; see `JobStore.delete`."""
        require(self.role, Action.CHANGE_JOBS)
        super().delete(id)
