"""Who may do what: the one table of roles, actions and job types."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType

from emberline.errors import EmberlineError

__all__ = ["ACTIONS", "JOB_TYPES", "Action", "ForbiddenError", "Role", "may", "may_submit", "require", "require_type"]


class Role(enum.StrEnum):
    """What a person is trusted with; each role may do all that the ones before it may."""

    READER = "reader"
    ANNOTATOR = "annotator"
    MANAGER = "manager"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        """Its place in the order of trust, from 0."""
        return list(Role).index(self)

    def least(self, other: Role) -> Role:
        """The lesser of two roles."""
        return min(self, other, key=lambda role: role.rank)


class Action(enum.StrEnum):
    """What can be asked for; the value completes the sentence "you may not …"."""

    LOOK = "look at this workspace"
    KEEP_TOKENS = "keep tokens for scripts"
    LABEL = "label spectra"
    ADJUDICATE = "adjudicate what annotators dispute"
    CHANGE_JOBS = "make or change jobs"
    SEE_ALL_JOBS = "see everybody's jobs"
    MANAGE_ACCOUNTS = "manage accounts"


ACTIONS: Mapping[Action, Role] = MappingProxyType(
    {
        Action.LOOK: Role.READER,
        Action.KEEP_TOKENS: Role.READER,
        Action.LABEL: Role.ANNOTATOR,
        Action.ADJUDICATE: Role.MANAGER,
        Action.CHANGE_JOBS: Role.ANNOTATOR,
        Action.SEE_ALL_JOBS: Role.MANAGER,
        Action.MANAGE_ACCOUNTS: Role.ADMIN,
    }
)
"""The least role for each action. Who sees everybody's jobs may also change them."""

JOB_TYPES: Mapping[str, Role] = MappingProxyType(
    {
        "round": Role.ANNOTATOR,
        "predict": Role.ANNOTATOR,
        "candidates": Role.ANNOTATOR,
        "crossmatch": Role.ANNOTATOR,
        "report": Role.ANNOTATOR,
        "context": Role.ANNOTATOR,
        "ingest": Role.MANAGER,
        "harvest": Role.MANAGER,
        "features": Role.MANAGER,
        "simulate": Role.MANAGER,
    }
)
"""The least role for each type of job; one that is not named here needs a manager."""


class ForbiddenError(EmberlineError):
    """The role does not allow what was asked."""


def may(role: Role, action: Action) -> bool:
    """Whether somebody with this role may do this."""
    return role.rank >= ACTIONS[action].rank


def may_submit(role: Role, job_type: str) -> bool:
    """Whether somebody with this role may run jobs of this type."""
    needed = JOB_TYPES.get(job_type, Role.MANAGER)
    return may(role, Action.CHANGE_JOBS) and role.rank >= needed.rank


def require(role: Role, action: Action) -> None:
    """Refuse what the role does not allow.

    Raises
    ------
    ForbiddenError
        It names the role that is needed.
    """
    if not may(role, action):
        raise _forbidden(role, action, ACTIONS[action])


def require_type(role: Role, job_type: str) -> None:
    """Refuse a type of job that the role does not allow; raises `ForbiddenError`."""
    require(role, Action.CHANGE_JOBS)
    if not may_submit(role, job_type):
        raise _forbidden(role, f"run jobs of the type {job_type!r}", JOB_TYPES.get(job_type, Role.MANAGER))


def _forbidden(role: Role, what: str, needed: Role) -> ForbiddenError:
    return ForbiddenError(
        f"you may not {what}", found=f"the role {role}", expected=f"{needed} or more", action="Ask an administrator."
    )
