"""Errors as answers: one shape for programs, a page for people, and never a traceback."""

from __future__ import annotations

import http
import logging
import secrets
from collections.abc import Mapping
from typing import Any

import jinja2
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from emberline.campaign.database import NotStoredError
from emberline.confinement import OutsideError
from emberline.errors import EmberlineError, MissingExtraError, NewerVersionError
from emberline.jobs import JobNotFoundError, ParameterError, PhaseError
from emberline.web.accounts import AccountError, AccountNotFoundError
from emberline.web.campaigns import CampaignNotFoundError
from emberline.web.harvest_searches import SearchNotFoundError
from emberline.web.identification import SlowDownError
from emberline.web.permissions import ForbiddenError
from emberline.web.rendering import render
from emberline.web.tokens import TokenNotFoundError

__all__ = ["Faults", "answer", "install"]

_LOG = logging.getLogger("emberline.web")
_STATUS: tuple[tuple[type[EmberlineError], int], ...] = (
    (ForbiddenError, 403),
    (JobNotFoundError, 404),
    (AccountNotFoundError, 404),
    (TokenNotFoundError, 404),
    (CampaignNotFoundError, 404),
    (SearchNotFoundError, 404),
    (PhaseError, 409),
    (SlowDownError, 429),
    (OutsideError, 400),
    (MissingExtraError, 501),
    (NewerVersionError, 500),
    (NotStoredError, 503),
)
_TITLES = {
    401: "Please sign in",
    403: "Not allowed",
    404: "Not here",
    409: "Not possible now",
    413: "Too large",
    421: "Wrong address",
    429: "Too many attempts",
}


def install(application: FastAPI) -> None:
    """Answer every error that a handler raises."""
    application.add_exception_handler(EmberlineError, _known)
    application.add_exception_handler(RequestValidationError, _invalid)
    application.add_exception_handler(HTTPException, _http)


def answer(
    request: Request,
    status: int,
    message: str,
    fields: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An error as JSON under ``/api``, as text under ``/uws`` and ``/vo``, as a page elsewhere."""
    if request.url.path.startswith(("/uws", "/vo/")):
        return PlainTextResponse(message + "\n", status, headers=headers)
    if is_for_programs(request.url.path):
        body = {"error": {"message": message, "fields": dict(fields or {})}}
        return JSONResponse(body, status, headers=headers)
    title = _TITLES.get(status) or ("Something went wrong" if status >= 500 else "This cannot be done")
    try:
        page: Response = render(request, "error.html.j2", status=status, title=title, message=message)
        page.headers.update(headers or {})
    except jinja2.TemplateError:
        _LOG.exception("the page for errors cannot be made")
        page = PlainTextResponse(f"{status} {title}: {message}", status, headers=headers)
    return page


def is_for_programs(path: str) -> bool:
    """Whether answers under this path are read by programs."""
    return path.startswith(("/api/", "/uws/")) or path in ("/api", "/uws")


async def _known(request: Request, error: Exception) -> Response:
    assert isinstance(error, EmberlineError)
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 400)
    if status >= 500:
        _LOG.error("%s %s: %s", request.method, request.url.path, error)
    fields: Mapping[str, str] = {}
    if isinstance(error, ParameterError):
        fields = error.fields
    elif isinstance(error, AccountError) and error.field:
        fields = {error.field: str(error)}
    headers = {"retry-after": str(error.seconds)} if isinstance(error, SlowDownError) else None
    return answer(request, status, str(error), fields, headers)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    fields = {_place(item["loc"]): _sentence(item) for item in error.errors()}
    return answer(request, 422, "; ".join(f"{name}: {text}" for name, text in fields.items()), fields)


def _place(location: tuple[Any, ...]) -> str:
    """``("body", "parameters", "name")`` → ``parameters.name``."""
    return ".".join(str(part) for part in location[1:]) or str(location[0])


def _sentence(item: Mapping[str, Any]) -> str:
    if item["type"] == "extra_forbidden":
        return "is not known here"
    if item["type"] == "json_invalid":
        return f"is not valid JSON: {item.get('ctx', {}).get('error', item['msg'])}"
    return str(item["msg"])


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = error.detail
    if error.status_code == 404 and message == http.HTTPStatus.NOT_FOUND.phrase:
        message = f"there is nothing at {request.url.path[:200]}"
    return answer(request, error.status_code, message, headers=error.headers)


class Faults:
    """The outermost door: an error that nobody expected becomes a 500 with a number that is in the log."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception:
            number = secrets.token_hex(4)
            _LOG.exception("error %s at %s %s", number, scope["method"], scope["path"])
            if started:
                raise  # the connection is cut, so that nobody takes half an answer for a whole one
            message = f"an error inside the server; its number {number} finds it in the server's log"
            await answer(Request(scope), 500, message)(scope, receive, send)
