"""What every request passes on its way in and every answer on its way out: the log, headers, host names, sizes."""

from __future__ import annotations

import ipaddress
import logging
import re
import time
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from emberline.web.failures import answer

__all__ = [
    "SAMP_POLICY",
    "BodyLimit",
    "HostCheck",
    "RequestLog",
    "SecurityHeaders",
    "host_name",
    "is_loopback",
    "masked",
    "sky_policy",
]

PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'self'"
)
"""Scripts and styles from our own files only: what a job or a person has written is never run."""
SAMP_POLICY = f"{PAGE_POLICY}; connect-src 'self' http://localhost:21012 http://127.0.0.1:21012"
"""A page that talks to the SAMP hub on the reader's machine, and to no other address beside ours."""
RESULT_POLICY = (
    "sandbox allow-scripts allow-popups allow-popups-to-escape-sandbox; default-src 'none'; "
    "script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:; "
    "media-src data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
"""A report that a job has made may draw and be clicked, but it has no cookie, reaches no address and posts no form."""
_HIPS_HOSTS = (
    "https://*.cds.unistra.fr",
    "https://alasky.unistra.fr",
    "https://alaskybis.unistra.fr",
    "https://alasky.u-strasbg.fr",
    "https://alaskybis.u-strasbg.fr",
)
"""Where Aladin Lite finds what surveys there are, and the tiles of those that the CDS keeps."""
_HEADERS = {
    "content-security-policy": PAGE_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "SAMEORIGIN",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_PUBLIC_HEADERS = {"access-control-allow-origin": "*", "cross-origin-resource-policy": "cross-origin"}
"""What is published may be read by the pages of other sites, Aladin Lite's for one: it is the same for everybody."""
_DISCARD = 16 * 1024 * 1024
_PATIENCE = 2.0
_SLOWEST = 30.0
"""Seconds that may pass between two pieces of a body."""
_SHARED = re.compile(r"^/shared/[^/]*")
_SECRET = re.compile(r"((?:^|[?&])(?:token|csrf_token|password)=)[^&]*", re.IGNORECASE)


def sky_policy(script: str, survey: str, nonce: str) -> str:
    """What the page around Aladin Lite may do: run that script, and fetch tiles; it has no cookie and posts nothing.

    Parameters
    ----------
    script : str
        Address of Aladin Lite.
    survey : str
        The survey: an identifier, which the CDS resolves, or an address, whose host is then the only other one.
    nonce : str
        Of the page's own script.
    """
    own = _origin(script)
    hosts = (_origin(survey),) if survey.startswith(("http://", "https://")) else _HIPS_HOSTS
    tiles = " ".join(dict.fromkeys((own, *hosts)))
    return (
        f"sandbox allow-scripts; default-src 'none'; script-src 'nonce-{nonce}' 'wasm-unsafe-eval' {own}; "
        f"style-src 'unsafe-inline' {own}; font-src data: {own}; img-src data: blob: {tiles}; "
        f"connect-src data: blob: {tiles}; worker-src blob:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'self'"
    )


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


class SecurityHeaders:
    """Give every answer the headers that keep browsers careful; one that a handler has set stays."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith("/static/"):
                    headers["cache-control"] = "no-cache"
                if scope["path"].startswith("/vo/"):
                    headers.update(_PUBLIC_HEADERS)
            await send(message)

        await self.app(scope, receive, with_headers)


class HostCheck:
    """Refuse requests for a host that this is not: a page elsewhere could let its own name point at this machine.

    Parameters
    ----------
    names : collection of str
        Names under which this server is reached, beside those of this machine's loopback.
    addresses : bool
        Whether any IP address will do; true when the server listens on more than loopback. No name can be turned into
        one by an attacker, so it is safe.
    """

    def __init__(self, app: ASGIApp, names: Collection[str] = (), *, addresses: bool = False) -> None:
        self.app = app
        self.names = {"localhost", *(name.lower().rstrip(".") for name in names)}
        self.addresses = addresses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 421."""
        if scope["type"] == "http":
            sent = Headers(scope=scope).getlist("host")
            if len(sent) != 1 or not self.knows(sent[0]):
                request = Request(scope)
                message = (
                    f"this server is not known as {', '.join(sent)[:200] or 'nothing'}. If it should be, start it "
                    "with that name: emberline serve … --name NAME"
                )
                await answer(request, 421, message)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def knows(self, host: str) -> bool:
        """Whether the value of a Host header, with or without a port, names this server."""
        name = host_name(host)
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return name in self.names
        return self.addresses or address.is_loopback or name in self.names


def host_name(host: str) -> str:
    """``[::1]:80`` → ``::1``; ``Name.org.:80`` → ``name.org``."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:]*))(?::\d*)?", host.strip())
    return (match[1] or match[2]).lower().rstrip(".") if match else ""


def is_loopback(host: str) -> bool:
    """Whether an address, or the name ``localhost``, is reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class BodyLimit:
    """Refuse bodies that are larger than `limit` bytes, whether or not they say so, and those that never end.

    `larger` has other limits for what lies under some paths: tables are uploaded there.
    """

    def __init__(self, app: ASGIApp, limit: int = 1024 * 1024, larger: Mapping[str, int] | None = None) -> None:
        self.app = app
        self.limit = limit
        self.larger = dict(larger or {})

    def _limit_at(self, path: str) -> int:
        return next((limit for start, limit in self.larger.items() if path.startswith(start)), self.limit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 413."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self._limit_at(scope["path"])
        length = Headers(scope=scope).get("content-length", "0")
        if not length.isdecimal() or len(length) > 20 or int(length) > limit:
            await self._refuse(scope, receive, send, _too_large(limit))
            return
        received, complete, started = 0, False, False
        refusal: HTTPException | None = None

        async def counted() -> Message:
            nonlocal received, complete, refusal
            message: Message = {"type": "http.disconnect"}
            with anyio.move_on_after(None if complete else _SLOWEST) as patience:
                message = await receive()
            received += len(message.get("body", b""))
            if patience.cancelled_caught:
                refusal = HTTPException(408, f"nothing more of the request came for {_SLOWEST:.0f} seconds")
            elif received > limit:
                refusal = _too_large(limit)
            if refusal is not None:
                raise refusal
            complete = complete or not message.get("more_body", False)
            return message

        async def guarded(message: Message) -> None:
            nonlocal started
            # Whatever the handler makes of the interruption, the client hears the reason.
            if started or refusal is None:
                started = True
                await send(message)

        try:
            await self.app(scope, counted, guarded)
        except HTTPException as error:
            if error is not refusal:
                raise
        if refusal is not None and not started:
            await self._refuse(scope, receive, send, refusal)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, refusal: HTTPException) -> None:
        """Answer, after reading on for a while: closing on somebody who is still sending would lose the answer."""
        headers = Headers(scope=scope)
        announced = headers.get("content-length", "0")
        waits = (
            refusal.status_code == 408
            or "expect" in headers
            or not announced.isdecimal()
            or int(announced[:20]) > _DISCARD
        )
        left = 0 if waits else _DISCARD
        with anyio.move_on_after(_PATIENCE):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if not message.get("more_body", False):
                    break
        response = answer(Request(scope), refusal.status_code, refusal.detail, headers={"connection": "close"})
        await response(scope, receive, send)


def _too_large(limit: int) -> HTTPException:
    return HTTPException(413, f"the request is larger than {limit:,} bytes")


class RequestLog:
    """One line a request in the log, with nothing in it that opens a door."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.log = logging.getLogger("emberline.web.requests")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and note down how it went; reading is noted at the level DEBUG only."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.monotonic(), 0

        async def watched(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            quiet = scope["method"] in ("GET", "HEAD") and status < 400
            visitor = scope.get("emberline.visitor")
            self.log.log(
                logging.DEBUG if quiet else logging.INFO,
                "%s %s %s %s %d %.0f ms",
                (scope.get("client") or ("-",))[0],
                visitor.name if visitor else "-",
                scope["method"],
                masked(scope["path"], scope["query_string"]),
                status,
                1000 * (time.monotonic() - began),
            )


def masked(path: str, query: bytes) -> str:
    """An address for the log: secrets are masked, and nothing in it can pretend to be another line."""
    path = _SHARED.sub("/shared/***", path)
    text = _SECRET.sub(r"\1***", query.decode("latin-1"))
    return (f"{path}?{text}" if text else path).encode("unicode_escape").decode()[:500]
