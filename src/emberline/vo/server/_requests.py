"""The parameters of a DALI request: names in any case, from the address and the body, within limits."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import AsyncGenerator, Iterable, Mapping

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from emberline.jobs import JobError, parse_time

__all__ = [
    "AccessError",
    "Parameters",
    "RequestError",
    "address_items",
    "checked",
    "read_parameters",
    "read_text",
    "whole",
]

MAX_BODY = 1 << 20
"""Bytes of one request."""
MAX_PARAMETERS = 1000
MAX_NAME = 200
"""Characters of a parameter's name."""
MAX_VALUE = 1 << 16
"""Characters of a parameter's value."""


class RequestError(Exception):
    """A request that is refused: an HTTP status and one sentence for whoever asked.

    Parameters
    ----------
    status : int
        400, 401, 403, 404, …
    message : str
        Shown as plain text.
    headers : mapping, optional
        Further headers of the answer (``WWW-Authenticate``).
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})


class AccessError(RequestError):
    """Whoever asks is not known, or may not do what was asked."""


class Parameters:
    """The parameters of one request, in their order; a name matches in any case."""

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        self._values: dict[str, list[str]] = {}
        self._spelled: dict[str, str] = {}
        for name, value in items:
            self._values.setdefault(name.upper(), []).append(value)
            self._spelled.setdefault(name.upper(), name)

    def all(self, name: str) -> list[str]:
        """Every value of one parameter."""
        return list(self._values.get(name.upper(), ()))

    def one(self, name: str) -> str | None:
        """The value of a parameter that may be given once; None when it is not given.

        Raises
        ------
        RequestError
            If it is given twice.
        """
        values = self.all(name)
        if len(values) > 1:
            raise RequestError(400, f"{name}: given {len(values)} times (expected once)")
        return values[0] if values else None

    def time(self, name: str) -> str | None:
        """A parameter that is a time, in UTC as the engine writes times."""
        value = self.one(name)
        try:
            return None if value is None else parse_time(value)
        except JobError as error:
            raise RequestError(400, f"{name}: {error}") from None

    def number(self, name: str, *, least: int) -> int | None:
        """A parameter that is a whole number, not below `least`."""
        value = self.one(name)
        return None if value is None else whole(name, value, least=least)

    def required(self, name: str) -> str:
        """The value of a parameter that must be there."""
        value = self.one(name)
        if value is None:
            raise RequestError(400, f"{name}: is missing")
        return value

    def rest(self, *names: str) -> dict[str, list[str]]:
        """All parameters except these, by their names as they were spelled first."""
        without = {name.upper() for name in names}
        return {self._spelled[key]: list(values) for key, values in self._values.items() if key not in without}


def whole(name: str, value: str, *, least: int) -> int:
    """The whole number that the parameter's text means.

    Raises
    ------
    RequestError
        If it is none, or too small.
    """
    if not re.fullmatch(r"[+-]?[0-9]{1,9}", value.strip()) or int(value) < least:
        raise RequestError(400, f"{name}: not a whole number of at least {least} (found {value[:40]!r})")
    return int(value)


async def read_parameters(request: Request) -> Parameters:
    """The parameters in the address and, when there is a body, in that: a form, URL-encoded or multipart.

    Raises
    ------
    RequestError
        If there are too many, one is too long, or the body is something else.
    """
    items = address_items(request)
    if request.method == "POST":
        items += await _form(request)
    return checked(items)


def address_items(request: Request) -> list[tuple[str, str]]:
    """The parameters in the address."""
    return _urlencoded(request.scope["query_string"])


def checked(items: list[tuple[str, str]]) -> Parameters:
    """Parameters, if they are not too many and none is too long."""
    if len(items) > MAX_PARAMETERS:
        raise RequestError(413, f"too many parameters (found {len(items)}, expected at most {MAX_PARAMETERS})")
    for name, value in items:
        if len(name) > MAX_NAME:
            raise RequestError(413, f"a parameter's name is too long (expected at most {MAX_NAME} characters)")
        if len(value) > MAX_VALUE:
            raise RequestError(413, f"{name}: the value is too long (expected at most {MAX_VALUE} characters)")
    return Parameters(items)


async def read_text(request: Request) -> str:
    """The body as text: one value.

    Raises
    ------
    RequestError
        If it is too long, or not UTF-8.
    """
    try:
        text = (await _read_body(request)).decode()
    except UnicodeDecodeError:
        raise RequestError(400, "the value is not text in UTF-8") from None
    if len(text) > MAX_VALUE:
        raise RequestError(413, f"the value is too long (expected at most {MAX_VALUE} characters)")
    return text


async def _read_body(request: Request, limit: int = MAX_BODY) -> bytes:
    """The body of a request; never more than `limit` bytes are held."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise RequestError(413, f"the request is too large (expected at most {limit} bytes)")
    return bytes(body)


async def _form(request: Request) -> list[tuple[str, str]]:
    body = await _read_body(request)
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if not body:
        return []
    if kind == "application/x-www-form-urlencoded":
        return _urlencoded(body)
    if kind == "multipart/form-data":
        return await _multipart(request, body)
    raise RequestError(
        415,
        f"the body's type cannot be read (found {kind or 'none'}, "
        "expected application/x-www-form-urlencoded or multipart/form-data)",
    )


def _urlencoded(text: bytes) -> list[tuple[str, str]]:
    try:
        return urllib.parse.parse_qsl(
            text.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS
        )
    except UnicodeError:
        raise RequestError(400, "the parameters are not URL-encoded UTF-8") from None
    except ValueError:
        raise RequestError(413, f"too many parameters (expected at most {MAX_PARAMETERS})") from None


async def _multipart(request: Request, body: bytes) -> list[tuple[str, str]]:
    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    parser = MultiPartParser(
        request.headers, stream(), max_files=0, max_fields=MAX_PARAMETERS, max_part_size=4 * MAX_VALUE
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        message = error.message
        if "files" in message:
            message = "files cannot be sent with a job. Put them into the workspace and name their paths"
        raise RequestError(400, message) from None
    return [(name, value) for name, value in form.multi_items() if not isinstance(value, UploadFile)]
