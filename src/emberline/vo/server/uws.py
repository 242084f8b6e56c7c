"""Jobs as UWS 1.1 (https://www.ivoa.net/documents/UWS/) over HTTP: the routes, and how a request is answered."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Awaitable, Callable, Mapping

from starlette.concurrency import run_in_threadpool
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from emberline.errors import EmberlineError
from emberline.jobs import JobDesk, JobNotFoundError, ParameterError, PhaseError
from emberline.vo.server._requests import AccessError, Parameters, RequestError, read_parameters, read_text
from emberline.vo.server._uws_resources import LONGEST_WAIT, PRIVATE, RESOURCES, Call, Handler, Watch

__all__ = ["LONGEST_WAIT", "AccessError", "Endpoint", "refusal", "uws_routes"]

_STATUSES: Mapping[type[EmberlineError], int] = {JobNotFoundError: 404, PhaseError: 409}
"""Errors of the engine that are not a wrong request (400)."""


def uws_routes(
    desk: Callable[[Request], JobDesk],
    *,
    prefix: str = "",
    statuses: Mapping[type[EmberlineError], int] | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> list[BaseRoute]:
    """The routes of one UWS: the list of all jobs, and beneath it one list for each job type.

    Parameters
    ----------
    desk : callable
        Gives whoever asks their jobs; raises `AccessError`. It is called in a thread, once per request.
    prefix : str, optional
        Where the list of jobs lies (``/uws``) when the routes are put into an application as they are. When they are
        mounted, the mount is the prefix; the list's address then ends in a slash.
    statuses : mapping, optional
        HTTP statuses of the errors that the desk's methods raise (an error for what a role does not allow: 403).
    stopping : callable, optional
        Whether the server is about to stop: whoever waits for a job then gets it as it is.

    Returns
    -------
    list of starlette.routing.BaseRoute
    """
    watch, statuses = Watch(stopping), {**_STATUSES, **(statuses or {})}
    routes: list[BaseRoute] = []
    for base in (f"{prefix}/{{type:job_type}}", prefix):  # a type's list before /{id}, which would match it too
        for path, handlers in RESOURCES:
            endpoint = Endpoint(desk, watch, prefix, handlers, statuses)
            places = {f"{base}{path}"} if path else {base, f"{base}/"} - {""}
            routes += [Route(place, endpoint.answer, methods=list(handlers)) for place in sorted(places)]
    return routes


class _JobTypeConvertor(Convertor[str]):
    """The name of a job type in an address: it begins with a letter, a job's identifier with a digit."""

    regex = "[a-z][a-z0-9_-]*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("job_type", _JobTypeConvertor())


def refusal(status: int, message: str, headers: Mapping[str, str]) -> Response:
    """An error as plain text."""
    return PlainTextResponse(message.rstrip() + "\n", status_code=status, headers={**PRIVATE, **headers})


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """One resource: reads the request, calls the method's handler, and says in a sentence what was wrong.

    Attributes
    ----------
    desk, watch, prefix
        As in `uws_routes`.
    handlers : mapping of str to Handler
        By HTTP method.
    statuses : mapping
        HTTP statuses of errors.
    only : str, optional
        The one job type of the list, where its address does not name it.
    read : callable
        Reads a request's parameters.
    refuse : callable
        Makes the answer to a request that is refused, of a status, a sentence, and headers.
    """

    desk: Callable[[Request], JobDesk]
    watch: Watch
    prefix: str
    handlers: Mapping[str, Handler]
    statuses: Mapping[type[EmberlineError], int] = dataclasses.field(default_factory=lambda: _STATUSES)
    only: str | None = None
    read: Callable[[Request], Awaitable[Parameters]] = read_parameters
    refuse: Callable[[int, str, Mapping[str, str]], Response] = refusal

    async def answer(self, request: Request) -> Response:
        """The answer to a request, or why there is none: as plain text, never with a traceback."""
        handler = self.handlers["GET" if request.method == "HEAD" else request.method]
        try:
            return await self._handle(request, handler)
        except RequestError as error:
            return self.refuse(error.status, error.message, error.headers)
        except HTTPException as error:
            return self.refuse(error.status_code, error.detail, error.headers or {})
        except ParameterError as error:
            lines = (f"{name}: {text}" if name else text for name, text in error.fields.items())
            return self.refuse(400, "\n".join(lines), {})
        except EmberlineError as error:
            status = next((status for kind, status in self.statuses.items() if isinstance(error, kind)), 400)
            return self.refuse(status, str(error), {})

    async def _handle(self, request: Request, handler: Handler) -> Response:
        desk = await run_in_threadpool(self.desk, request)
        only = request.path_params.get("type", self.only)
        if only is not None and only not in desk.types:
            raise RequestError(
                404, f"there is no such list of jobs (found {only[:40]}, expected {', '.join(desk.types)})"
            )
        put = request.method == "PUT"
        call = Call(
            request=request,
            desk=desk,
            parameters=Parameters() if put else await self.read(request),
            text=await read_text(request) if put else "",
            base=self._address(request),
            type=only,
            watch=self.watch,
        )
        answer = handler(call) if inspect.iscoroutinefunction(handler) else await run_in_threadpool(handler, call)
        return await answer if inspect.isawaitable(answer) else answer

    def _address(self, request: Request) -> str:
        """The address of the list as the client sees it: behind a mount, and a proxy that says what it is."""
        path = request.scope.get("root_path", "").rstrip("/") + self.prefix
        if "type" in request.path_params:
            path += f"/{request.path_params['type']}"
        return str(request.url.replace(path=path, query="", fragment=""))
