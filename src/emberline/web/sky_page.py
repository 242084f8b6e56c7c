"""Aladin Lite beside a spectrum, in a sandboxed page of its own: its script has no part in the oracle's page."""

from __future__ import annotations

import secrets

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from emberline.errors import EmberlineError
from emberline.vo.client.config import ClientConfig, load_config
from emberline.web.permissions import Action
from emberline.web.rendering import render
from emberline.web.security import sky_policy
from emberline.web.visitors import Site, required, site_of

__all__ = ["ADDRESS", "aladin_address", "routes"]

ADDRESS = "/sky"


def _config(site: Site) -> ClientConfig | None:
    try:
        return load_config(site.workspace.folder)
    except EmberlineError:
        return None  # whoever asks the services says what is wrong with it


def aladin_address(site: Site) -> str:
    """Where the page that shows Aladin Lite lies; empty when none is configured, or nobody is to be asked."""
    config = _config(site)
    return ADDRESS if config is not None and config.services.aladin and not config.offline else ""


def show(request: Request) -> Response:
    """The page: it says to the one around it that it is ready, and goes where it is told."""
    required(request, Action.LABEL)
    config = _config(site_of(request))
    if config is None or config.offline or not config.services.aladin:
        raise HTTPException(404, "Aladin Lite is not configured")
    services, nonce = config.services, secrets.token_urlsafe(16)
    page = render(request, "sky.html.j2", script=services.aladin, survey=services.hips, nonce=nonce)
    page.headers["content-security-policy"] = sky_policy(services.aladin, services.hips, nonce)
    page.headers["referrer-policy"] = "no-referrer"
    return page


routes: list[BaseRoute] = [Route(ADDRESS, show, methods=["GET"], name="sky")]
