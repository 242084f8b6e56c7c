"""The oracle's page: one campaign, one spectrum after the other."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from emberline.web.permissions import Action
from emberline.web.rendering import render
from emberline.web.security import SAMP_POLICY
from emberline.web.sky_page import aladin_address
from emberline.web.sky_page import routes as sky_routes
from emberline.web.visitors import required, site_of

__all__ = ["routes"]

_MODULES = sorted(path.name for path in (Path(__file__).parent / "static" / "js" / "label").glob("*.js"))
"""Named beforehand, so that the browser fetches them at once and not one after the other as they import each other."""


def show(request: Request) -> Response:
    """The page; what it shows comes from the JSON API."""
    required(request, Action.LABEL)
    path = request.path_params["campaign"]
    campaign = site_of(request).campaigns.open(path)
    place = quote(path)
    page = render(
        request,
        "label.html.j2",
        active="label",
        api=f"/api/campaigns/{place}",
        modules=_MODULES,
        sky=aladin_address(site_of(request)),
        campaign={"path": path, "name": campaign.config.name},
    )
    page.headers["content-security-policy"] = SAMP_POLICY
    return page


routes: list[BaseRoute] = [*sky_routes, Route("/label/{campaign:path}", show, methods=["GET"], name="label")]
