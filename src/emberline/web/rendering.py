"""Turn templates into pages, with what every page shows."""

from __future__ import annotations

import functools
from typing import Any

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse

from emberline import __version__
from emberline.web.permissions import Action, may, may_submit
from emberline.web.visitors import site_of, visitor_of

__all__ = ["environment", "render"]


@functools.cache
def environment() -> jinja2.Environment:
    """The templates, every value escaped; an unknown name is an error, not an empty place."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("emberline.web", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(request: Request, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
    """A page from ``templates/<template>``.

    Every template is given ``user``, ``role``, ``csrf_token`` (empty for nobody), ``workspace_title``, ``version``,
    ``with_accounts``, ``may_submit``, ``may_harvest``, ``active`` (empty unless given), ``status``, and ``request``.
    """
    shown = base_context(request) | {"status": status} | context
    return HTMLResponse(environment().get_template(template).render(shown), status)


def base_context(request: Request) -> dict[str, Any]:
    """What every page is given."""
    site, visitor = site_of(request), visitor_of(request)
    return {
        "request": request,
        "user": visitor.name if visitor else "",
        "role": str(visitor.role) if visitor else "",
        "csrf_token": visitor.csrf_token if visitor else "",
        "may_submit": visitor is not None and may(visitor.role, Action.CHANGE_JOBS),
        "may_harvest": visitor is not None and may_submit(visitor.role, "harvest"),
        "with_accounts": not site.key,
        "workspace_title": site.title,
        "version": __version__,
        "active": "",
    }
