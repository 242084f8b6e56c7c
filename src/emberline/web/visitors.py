"""Who asks, and what the application serves: what every handler takes from its request."""

from __future__ import annotations

import dataclasses
import functools
import getpass
import hashlib
import secrets
from typing import TYPE_CHECKING, Literal

from starlette.requests import HTTPConnection, Request

from emberline.jobs import JobStore, Workspace
from emberline.web.accounts import Accounts
from emberline.web.campaigns import Campaigns
from emberline.web.desk import RoleDesk
from emberline.web.permissions import Action, Role, require

if TYPE_CHECKING:
    from emberline.web.events import Hub

__all__ = ["Site", "Visitor", "desk_of", "required", "site_of", "visitor_of"]


@dataclasses.dataclass(frozen=True)
class Site:
    """One workspace as it is served.

    Attributes
    ----------
    accounts : Accounts
    key : str
        The token in the printed address when there are no accounts and the one local user is served; empty otherwise.
    hub : Hub
        Tells of changes.
    """

    workspace: Workspace
    store: JobStore
    accounts: Accounts
    hub: Hub
    key: str

    @functools.cached_property
    def campaigns(self) -> Campaigns:
        """The workspace's campaigns."""
        return Campaigns(self.workspace)

    @property
    def title(self) -> str:
        """The workspace's title, or the name of its folder."""
        return self.workspace.config.title or self.workspace.folder.name

    @property
    def cookie(self) -> str:
        """The session cookie's name: browsers do not tell ports apart, so two workspaces need two names."""
        return f"emberline-{hashlib.sha256(bytes(self.workspace.folder)).hexdigest()[:12]}"


@dataclasses.dataclass(frozen=True)
class Visitor:
    """Somebody who has shown who they are, and how.

    Attributes
    ----------
    name : str
        The owner of the jobs that they make.
    account : str
        The name under which sessions and tokens are kept: `LOCAL_USER` for the local user.
    role : Role
        What they may do in this request: a token may stand for less than its owner.
    via : str
        A session is a browser's, which sends its cookie unasked: only then is a change checked for where it comes from.
    csrf_token : str
        Of the session.
    """

    name: str
    account: str
    role: Role
    via: Literal["session", "token", "password"]
    csrf_token: str = ""


def local_user() -> str:
    """The name of the person who runs this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return "local"


def new_key() -> str:
    """A token for the printed address."""
    return secrets.token_urlsafe(32)


def site_of(request: HTTPConnection) -> Site:
    """What is served."""
    site: Site = request.app.state.site
    return site


def visitor_of(request: HTTPConnection) -> Visitor | None:
    """Who asks; None on the few pages that are open to everybody."""
    visitor: Visitor | None = request.scope.get("emberline.visitor")
    return visitor


def required(request: HTTPConnection, action: Action = Action.LOOK) -> Visitor:
    """Who asks, when they may do this.

    Raises
    ------
    ForbiddenError
        Their role does not allow it.
    """
    visitor = visitor_of(request)
    if visitor is None:
        raise RuntimeError(f"{request.url.path} is open to everybody: nobody is known there")
    require(visitor.role, action)
    return visitor


def desk_of(request: Request) -> RoleDesk:
    """The jobs as the one who asks may see and change them."""
    visitor = required(request)
    return RoleDesk(site_of(request).store, visitor.name, visitor.role)
