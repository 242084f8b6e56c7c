"""TAP's asynchronous queries over HTTP: UWS for strangers, with tables that come along."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import IO

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from emberline.errors import EmberlineError
from emberline.jobs import JobDesk, JobNotFoundError, PhaseError, from_text
from emberline.vo.server._requests import RequestError
from emberline.vo.server._tap_query import read_uploads
from emberline.vo.server._uws_resources import PRIVATE, RESOURCES, Call, Handler, Watch
from emberline.vo.server.dali import DaliError
from emberline.vo.server.published import Published
from emberline.vo.server.tap_jobs import BusyError, Sent, TapDesk, TapJobParameters, tap_jobs_of
from emberline.vo.server.uploads import TapParameters, read_tap_parameters
from emberline.vo.server.uws import Endpoint
from emberline.vo.server.votable import MEDIA_TYPE, error_document

__all__ = ["async_routes"]

_LOG = logging.getLogger(__name__)
_PREFIX = "/tap/async"
_RESERVED = ("PHASE", "RUNID", "ACTION")


def async_routes(published: Published) -> list[BaseRoute]:
    """The routes beneath ``/tap/async``."""
    place = str(published.workspace.folder)

    def desk(request: Request) -> JobDesk:
        return TapDesk(tap_jobs_of(published))

    def refuse(status: int, message: str, headers: Mapping[str, str]) -> Response:
        if place in message:
            _LOG.error("%s", message)
            status, message = 500, "The service cannot do this at present."
        return Response(error_document(message), status, {**PRIVATE, **headers}, MEDIA_TYPE)

    watch = Watch(lambda: False)
    routes: list[BaseRoute] = []
    for path, handlers in RESOURCES:
        mine: dict[str, Handler] = {**handlers, **_OWN.get(path, {})}
        endpoint = Endpoint(desk, watch, _PREFIX, mine, _STATUSES, only="tap", read=read_tap_parameters, refuse=refuse)
        places = [f"{_PREFIX}{path}"] if path else [_PREFIX, f"{_PREFIX}/"]
        routes += [Route(place, endpoint.answer, methods=list(mine)) for place in places]
    return routes


_STATUSES: Mapping[type[EmberlineError], int] = {JobNotFoundError: 404, PhaseError: 409, BusyError: 503}


def _desk(call: Call) -> TapDesk:
    assert isinstance(call.desk, TapDesk)
    return call.desk


def _create(call: Call) -> Response:
    """A new job; ``PHASE=RUN`` queues it at once. What is wrong with the query shows when it is run."""
    parameters = call.parameters
    assert isinstance(parameters, TapParameters)
    try:
        phase = parameters.one("PHASE")
        if phase not in (None, "RUN"):
            raise RequestError(400, f"PHASE: a job can be made with PHASE=RUN or without PHASE (found {phase[:40]!r})")
        job = _desk(call).submit(
            from_text(TapJobParameters, parameters.rest(*_RESERVED)),
            Sent(call.base.removesuffix(_PREFIX)),
            _files(parameters),
            label=(parameters.one("RUNID") or "")[:200],
            run=phase == "RUN",
        )
    finally:
        parameters.close()
    return call.to_job(job)


def _files(parameters: TapParameters) -> dict[str, IO[bytes]]:
    """The parts of a request that UPLOAD names."""
    try:
        uploads = read_uploads(parameters.all("UPLOAD"))
    except DaliError as error:
        raise RequestError(error.status, error.message) from None
    found = {}
    for upload in (upload for upload in uploads if not upload.url):
        if upload.part not in parameters.files:
            raise RequestError(
                400, f"UPLOAD: the request has no part {upload.part[:60]!r} with the table {upload.name}"
            )
        found[upload.part] = parameters.files[upload.part]
    return found


def _change(call: Call) -> Response:
    """``ACTION=DELETE``, or parameters, tables among them, for a job that has not been started."""
    parameters = call.parameters
    assert isinstance(parameters, TapParameters)
    try:
        if parameters.one("ACTION") is not None:
            return _handler("/{id}", "POST")(call)  # type: ignore[return-value]
        files = _files(parameters)
        job = call.job()
        given = from_text(TapJobParameters, parameters.rest(*_RESERVED))
        _desk(call).update(
            job.id, label=parameters.one("RUNID"), parameters={**job.parameters, **_upper(given)} if given else None
        )
        if files:
            _desk(call).attach(job.id, files)
    finally:
        parameters.close()
    return call.to_job(job)


def _upper(given: Mapping[str, object]) -> dict[str, object]:
    return {name.upper(): value for name, value in given.items()}


def _show_error(call: Call) -> Response:
    """Why the query could not be answered, as a VOTable."""
    job = call.job()
    if job.failure is None:
        raise RequestError(404, "the job has no error")
    return Response(error_document(job.failure.message), headers=PRIVATE, media_type=MEDIA_TYPE)


def _send_result(call: Call) -> Response:
    """The file itself, by parts when the client asks for a range."""
    job = call.job()
    path = call.desk.result_path(job.id, str(call.request.path_params["name"]))
    return FileResponse(
        path,
        media_type=job.results[0].media_type,
        filename=path.name,
        content_disposition_type="inline",
        headers=PRIVATE,
    )


def _handler(path: str, method: str) -> Handler:
    return dict(RESOURCES)[path][method]


_OWN: dict[str, dict[str, Handler]] = {
    "": {"POST": _create},
    "/{id}": {"POST": _change},
    "/{id}/parameters": {"POST": _change},
    "/{id}/error": {"GET": _show_error},
    "/{id}/results/{name:path}": {"GET": _send_result},
}
"""What differs from the jobs of people with accounts."""
