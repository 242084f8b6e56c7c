"""Signing in and out with a browser."""

from __future__ import annotations

import hmac

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from emberline.web._accounts_db import new_secret
from emberline.web.gate import safe_target, set_cookie
from emberline.web.identification import Identifier, SlowDownError, session_cookie
from emberline.web.rendering import render
from emberline.web.sessions import csrf_token
from emberline.web.visitors import site_of, visitor_of

__all__ = ["routes", "start_session"]


async def show(request: Request) -> Response:
    """The form; whoever is signed in already goes on."""
    following = safe_target(request.query_params.get("next", "/"))
    if visitor_of(request) is not None:
        return RedirectResponse(following, 303)
    return _form(request, following)


async def sign_in(request: Request) -> Response:
    """Check the name and password, and begin a new session: an old cookie's value is never taken over."""
    identifier = _identifier(request)
    if site_of(request).key:
        return _form(request, "/")
    form = await request.form(max_files=0, max_fields=20)
    name, password, following, shown = (str(form.get(key, "")) for key in ("user", "password", "next", "csrf_token"))
    following = safe_target(following)
    before = request.cookies.get(_cookie_before(request), "")
    if not before or not hmac.compare_digest(shown.encode("utf-8", "surrogatepass"), csrf_token(before).encode()):
        return _form(request, following, name, "The page had expired. Please try again.", 403)
    address = request.client.host if request.client else ""
    try:
        account = await identifier.by_password(name, password, address)
    except SlowDownError as error:
        response = _form(request, following, name, f"{error}", 429)
        response.headers["retry-after"] = str(error.seconds)
        return response
    if account is None:
        return _form(request, following, name, "The name or the password is wrong.", 403)
    response = RedirectResponse(following, 303)
    await start_session(request, response, account.name)
    response.delete_cookie(_cookie_before(request), path="/")
    return response


async def sign_out(request: Request) -> Response:
    """End the session."""
    site = site_of(request)
    await anyio.to_thread.run_sync(site.accounts.sessions.close, session_cookie(request, site))
    response = RedirectResponse("/signin", 303)
    response.delete_cookie(site.cookie, path="/")
    return response


async def start_session(request: Request, response: Response, user: str) -> None:
    """Begin a session for `user`, end the one that the request came with, and hand out the cookie."""
    site = site_of(request)
    old = session_cookie(request, site)
    if old:
        await anyio.to_thread.run_sync(site.accounts.sessions.close, old)
    secret = await anyio.to_thread.run_sync(site.accounts.sessions.open, user)
    set_cookie(request, response, site.cookie, secret, seconds=int(site.accounts.sessions.absolute))


def _form(request: Request, following: str, name: str = "", error: str = "", status: int = 200) -> Response:
    if site_of(request).key:
        return render(request, "locked.html.j2", status=403)
    cookie = _cookie_before(request)
    secret = request.cookies.get(cookie) or new_secret()
    context = {"next": following, "name": name[:64], "error": error, "csrf_token": csrf_token(secret)}
    response = render(request, "signin.html.j2", status=status, **context)
    set_cookie(request, response, cookie, secret)
    return response


def _cookie_before(request: Request) -> str:
    """The cookie that ties the form to a browser before there is a session."""
    return f"{site_of(request).cookie}-signin"


def _identifier(request: Request) -> Identifier:
    identifier: Identifier = request.scope["emberline.identifier"]
    return identifier


routes = [
    Route("/signin", show, methods=["GET"]),
    Route("/signin", sign_in, methods=["POST"]),
    Route("/signout", sign_out, methods=["POST"]),
]
