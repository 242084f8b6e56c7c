"""The page for spectra of other archives: choose servers, constrain, look, select, fetch, follow."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from emberline.errors import EmberlineError
from emberline.vo.client.config import load_config
from emberline.web._page import page
from emberline.web.permissions import require_type
from emberline.web.visitors import desk_of, required, site_of

__all__ = ["routes"]

WAVEBANDS = ("radio", "millimeter", "infrared", "optical", "uv", "euv", "x-ray", "gamma-ray")


def show(request: Request) -> Response:
    """The page; what it shows comes from the JSON API."""
    require_type(required(request).role, "harvest")
    workspace = site_of(request).workspace
    problem, offline = "", False
    services: tuple[str, ...] = ()
    try:
        config = load_config(workspace.folder)
        services, offline = config.services.ssap, config.offline
    except EmberlineError as error:
        problem = str(error)
    return page(
        request,
        "harvest.html.j2",
        active="harvest",
        since=desk_of(request).version(),
        archives=workspace.archives(),
        archive=request.query_params.get("archive", ""),
        wavebands=WAVEBANDS,
        services=services,
        offline=offline,
        problem=problem,
    )


routes: list[BaseRoute] = [Route("/harvest", show, methods=["GET"], name="harvest")]
