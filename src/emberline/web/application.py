"""The application: one workspace's pages, JSON API and UWS in one ASGI application."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Router
from starlette.staticfiles import StaticFiles

from emberline import __version__
from emberline.campaign.jobs import open_jobs
from emberline.errors import EmberlineError, MissingExtraError
from emberline.jobs import JobStore, Supervisor, Workspace
from emberline.vo.server.tap_limits import LIMITS
from emberline.vo.server.uws import uws_routes
from emberline.web import (
    accounts_api,
    context_api,
    failures,
    harvest_api,
    harvest_pages,
    jobs_api,
    label_pages,
    labels_api,
    pages,
    samp_api,
    signin,
)
from emberline.web.accounts import Accounts
from emberline.web.aside import Aside
from emberline.web.events import Hub
from emberline.web.gate import PUBLIC, Gate
from emberline.web.harvest_searches import Searches
from emberline.web.label_warm import warm
from emberline.web.permissions import ForbiddenError
from emberline.web.samp_api import MOST_BYTES, PREFIX
from emberline.web.security import BodyLimit, HostCheck, RequestLog, SecurityHeaders
from emberline.web.shared_links import SharedLinks
from emberline.web.visitors import Site, desk_of, new_key

if TYPE_CHECKING:
    from emberline.vo.server import Published

__all__ = ["create_app"]

_LOG = logging.getLogger("emberline.web")
_LARGER = {f"{PUBLIC}/tap/": LIMITS.upload_bytes + 1024 * 1024, f"{PREFIX}/": MOST_BYTES}
"""Bytes of a request where tables are uploaded."""
_STATIC = Path(__file__).parent / "static"
_DESCRIPTION = """\
Jobs of one Emberline workspace: make, watch, stop and run them again, and fetch what they have made.

Send a token as `Authorization: Bearer TOKEN`, or a name and password by HTTP Basic. Every error has the same shape:
`{"error": {"message": …, "fields": {name: what is wrong with it}}}`. Times are UTC in ISO 8601. The same jobs are
served by UWS 1.1 under `/uws`.
"""


def create_app(
    workspace: Workspace,
    *,
    store: JobStore | None = None,
    accounts: Accounts | None = None,
    key: str | None = None,
    names: Collection[str] = (),
    any_address: bool = False,
    supervise: bool = True,
    body_limit: int = 1024 * 1024,
) -> FastAPI:
    """The ASGI application that serves a workspace.

    Parameters
    ----------
    workspace : Workspace
    store : JobStore, optional
        The jobs; those of the workspace, with every job type, unless given.
    accounts : Accounts, optional
        Who may come in; those of the workspace unless given.
    key : str, optional
        With it (or when there are no accounts) whoever opens ``/?token=<key>`` is the local user, who may do all.
    names : collection of str
        Host names under which the application is reached, beside ``localhost``.
    any_address : bool
        Whether it may be reached by any IP address, not only by a loopback one.
    supervise : bool
        Whether jobs are run while it is up; otherwise some other process has to.
    body_limit : int
        The largest request in bytes.
    """
    accounts = Accounts.of(workspace.private) if accounts is None else accounts
    store = open_jobs(workspace) if store is None else store
    if key is None:
        key = "" if len(accounts) else new_key()
    site = Site(workspace, store, accounts, Hub(store), key)
    application = FastAPI(
        title=f"Emberline: {site.title}",
        version=__version__,
        description=_DESCRIPTION,
        openapi_url="/api/openapi.json",
        # The pages that FastAPI offers for trying it out load scripts from another host.
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan(supervise),
        middleware=[
            Middleware(RequestLog),
            Middleware(SecurityHeaders),
            Middleware(failures.Faults),
            Middleware(HostCheck, names=names, addresses=any_address),
            Middleware(BodyLimit, limit=body_limit, larger=_LARGER),
            Middleware(Gate, site=site),
        ],
    )
    application.state.site = site
    application.state.shared_links = SharedLinks()
    application.state.searches = Searches(workspace.folder)
    application.state.pools, application.state.services = Aside(2), Aside(16)
    failures.install(application)
    _add_routes(application)
    return application


def _add_routes(application: FastAPI) -> None:
    _add_services(application)
    application.include_router(jobs_api.router)
    application.include_router(accounts_api.router)
    application.include_router(context_api.router)
    application.include_router(labels_api.router)
    application.include_router(samp_api.router)
    application.include_router(harvest_api.router)
    hub = application.state.site.hub
    uws = uws_routes(desk_of, prefix="/uws", statuses={ForbiddenError: 403}, stopping=lambda: hub.closed)
    application.router.routes.extend(uws)
    application.router.routes.extend(signin.routes)
    application.router.routes.extend(pages.routes)
    application.router.routes.extend(samp_api.routes)
    application.router.routes.extend(label_pages.routes)
    application.router.routes.extend(harvest_pages.routes)
    application.mount("/static", StaticFiles(directory=_STATIC), name="static")
    application.add_route("/favicon.ico", _icon, methods=["GET"], include_in_schema=False)


def _add_services(application: FastAPI) -> None:
    """Mount the services of what is published, before all that needs somebody to be known."""
    try:
        from emberline.vo.server import Published, vo_routes

        published = Published(application.state.site.workspace)
        routes = vo_routes(published)
    except (ModuleNotFoundError, MissingExtraError) as error:
        if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("emberline"):
            raise
        _LOG.warning("nothing is published under %s: %s", PUBLIC, error)
        return
    application.mount(PUBLIC, Router(routes), name="vo")
    application.state.published = published


def _lay_out(published: Published) -> None:
    """Prepare the tables of what is published, so that nobody who asks has to wait for it."""
    from emberline.vo.server.database import catalogues_of

    try:
        catalogues_of(published).prepare()
    except (EmberlineError, OSError) as error:
        _LOG.warning("tables of what is published could not be prepared: %s", error)


async def _icon(request: Request) -> Response:
    return RedirectResponse("/static/logo.svg", 308)


def _lifespan(supervise: bool) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @contextlib.asynccontextmanager
    async def lifespan(application: FastAPI) -> AsyncIterator[None]:
        site: Site = application.state.site
        stop = threading.Event()
        application.state.stop = stop
        thread = None
        warm()
        published = getattr(application.state, "published", None)
        if published is not None and any(True for _ in published.snapshot()):
            threading.Thread(target=_lay_out, args=[published], name="tables", daemon=True).start()
        if supervise:
            supervisor = Supervisor.of(site.store, site.workspace.config)
            thread = threading.Thread(target=supervisor.run, args=[stop], name="supervisor")
            thread.start()
        try:
            yield
        finally:
            stop.set()
            site.hub.close()
            site.campaigns.close()
            application.state.searches.close()
            if thread is not None:
                await anyio.to_thread.run_sync(thread.join, 20)

    return lifespan
