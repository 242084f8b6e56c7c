"""The gate before every page: nobody unknown passes, and no change is made that another site has asked for."""

from __future__ import annotations

import hmac
import html
import urllib.parse
from collections.abc import Mapping

import anyio.to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from emberline.web.failures import answer, is_for_programs
from emberline.web.identification import Identifier, SlowDownError
from emberline.web.rendering import render
from emberline.web.sessions import LOCAL_USER
from emberline.web.shared_links import SHARED
from emberline.web.visitors import Site, Visitor, site_of

__all__ = ["Gate", "is_cross_site", "is_public", "safe_target", "set_cookie"]

_SAFE = ("GET", "HEAD", "OPTIONS")
_OPEN = ("/signin", "/favicon.ico")
_OPEN_FOLDERS = ("/static/",)
_FORM = "application/x-www-form-urlencoded"
PUBLIC = "/vo"
"""Where the Virtual Observatory's services are mounted."""


def safe_target(target: str) -> str:
    """A path on this server to go on to; ``/`` for anything that leads elsewhere."""
    bad = not target.startswith("/") or target.startswith(("//", "/\\")) or any(ord(c) < 32 for c in target)
    return "/" if bad else target


def is_cross_site(headers: Mapping[str, str]) -> bool:
    """Whether a browser says that another site, or another port of this machine, has caused the request."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return True
    origin = headers.get("origin")
    if origin is None:
        return False
    # The scheme is left out: behind a proxy that ends TLS this server may not know it.
    there = urllib.parse.urlsplit(origin).netloc
    return not there or there.lower() != headers.get("host", "").lower()


def is_public(path: str) -> bool:
    """Whether everybody may ask, and nobody is asked who they are.

    The services of what has been published, and addresses that carry their permission with them (`shared_links`).
    Nothing under this path knows of accounts, or changes what they own: there is nothing that another site could
    make a browser do in its user's name.
    """
    return path == PUBLIC or path.startswith((f"{PUBLIC}/", f"{SHARED}/"))


def set_cookie(request: Request, response: Response, name: str, value: str, *, seconds: int | None = None) -> None:
    """Set a cookie that scripts cannot read and other sites cannot send."""
    secure = request.url.scheme == "https"
    response.set_cookie(name, value, max_age=seconds, path="/", httponly=True, samesite="strict", secure=secure)


def _is_file(scope: Scope) -> bool:
    """Whether it asks for one of the pages' own files, of which there are many and nothing to be kept from anybody."""
    return scope["method"] in _SAFE and scope["path"].startswith(_OPEN_FOLDERS)


class Gate:
    """Finds out who asks, puts the `Visitor` into the request, and refuses those whom it may not let in."""

    def __init__(self, app: ASGIApp, site: Site) -> None:
        self.app = app
        self.identifier = Identifier(site)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] != "http" or is_public(scope["path"]) or _is_file(scope):
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        scope["emberline.identifier"] = self.identifier
        try:
            visitor = await self.identifier.identify(request)
        except SlowDownError as error:
            await _slow_down(request, error)(scope, receive, send)
            return
        scope["emberline.visitor"] = visitor
        refusal = await self._refusal(request, visitor)
        if refusal is not None:
            await refusal(scope, receive, send)
        elif visitor is not None and visitor.via == "session" and request.method not in _SAFE:
            await self._with_csrf_check(request, visitor, send)
        else:
            await self.app(scope, receive, send)

    async def _refusal(self, request: Request, visitor: Visitor | None) -> Response | None:
        """The answer to those who may not pass, and to those who bring the key of the printed address."""
        path, browser = request.url.path, visitor is None or visitor.via == "session"
        if request.method not in _SAFE and browser and is_cross_site(request.headers):
            return answer(request, 403, "the request was caused by another site, and was not carried out")
        if request.method == "GET" and "token" in request.query_params and not is_for_programs(path):
            return await self._with_key(request, visitor)
        if visitor is not None or path in _OPEN or path.startswith(_OPEN_FOLDERS):
            return None
        return _unknown(request)

    async def _with_key(self, request: Request, visitor: Visitor | None) -> Response | None:
        """Turn the key into a session, and take it out of the address."""
        site, key = site_of(request), request.query_params["token"]
        rest = [(name, value) for name, value in request.query_params.multi_items() if name != "token"]
        query = urllib.parse.urlencode(rest)
        response = RedirectResponse(safe_target(request.url.path) + (f"?{query}" if query else ""), 303)
        if visitor is not None:
            return response
        if not self.identifier.is_key(key):
            return _unknown(request)
        secret = await anyio.to_thread.run_sync(site.accounts.sessions.open, LOCAL_USER)
        set_cookie(request, response, site.cookie, secret, seconds=int(site.accounts.sessions.absolute))
        return response

    async def _with_csrf_check(self, request: Request, visitor: Visitor, send: Send) -> None:
        receive, token = request.receive, request.headers.get("x-csrf-token", "")
        if not token and request.headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM:
            try:
                body = await request.body()
            except HTTPException as error:  # larger than BodyLimit allows, which answers for itself
                await answer(request, error.status_code, error.detail)(request.scope, receive, send)
                return
            receive = _replay(body, receive)
            fields = urllib.parse.parse_qs(body.decode("utf-8", "replace"), max_num_fields=None)
            token = fields.get("csrf_token", [""])[-1]
        if hmac.compare_digest(token.encode("utf-8", "surrogatepass"), visitor.csrf_token.encode()):
            await self.app(request.scope, receive, send)
            return
        message = (
            "the page that this was sent from is out of date: its CSRF token is missing or another session's. "
            "Load it again and repeat what you did"
        )
        await answer(request, 403, message)(request.scope, receive, send)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A body that has been read, once more; then whatever comes after it."""
    waiting = [body]

    async def again() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return again


def _slow_down(request: Request, error: SlowDownError) -> Response:
    return answer(request, 429, str(error), headers={"retry-after": str(error.seconds)})


def _unknown(request: Request) -> Response:
    """What somebody unknown hears."""
    path = request.url.path
    if is_for_programs(path):
        # A browser that reads "Basic" asks for a name and password by itself; for our own pages it must not.
        basic = path.startswith("/uws") or request.headers.get("authorization", "").lower().startswith("basic")
        challenge = 'Basic realm="Emberline", charset="UTF-8"' if basic else 'Bearer realm="Emberline"'
        shown = "authorization" in request.headers
        message = "the token or password is wrong or has expired" if shown else "please sign in, or send a token"
        return answer(request, 401, message, headers={"www-authenticate": challenge})
    if request.method in _SAFE and request.headers.get("sec-fetch-site") == "cross-site":
        return _once_more(request)
    if site_of(request).key:
        return render(request, "locked.html.j2", status=403)
    target = path + (f"?{request.url.query}" if request.url.query else "")
    following = f"?{urllib.parse.urlencode({'next': target})}" if request.method in _SAFE and target != "/" else ""
    return RedirectResponse(f"/signin{following}", 303)


def _once_more(request: Request) -> Response:
    """A page that leads to itself.

    A browser that follows a link from another site keeps a strict cookie back; coming from here, it sends it.
    """
    query = f"?{request.url.query}" if request.url.query else ""
    target = html.escape(safe_target(request.url.path) + query)
    return HTMLResponse(
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Emberline</title>'
        f'<meta http-equiv="refresh" content="0; url={target}"></head><body><a href="{target}">Go on</a></body></html>'
    )
