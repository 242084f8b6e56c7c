"""What lies under a UWS job list: for each resource, what every HTTP method does with it."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import PurePosixPath

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response

from emberline.jobs import ACTIVE, Job, JobDesk, JobNotFoundError, Phase, from_text
from emberline.vo.server import _uws_documents as documents
from emberline.vo.server._requests import Parameters, RequestError, whole

__all__ = ["LONGEST_WAIT", "PRIVATE", "RESOURCES", "Call", "Handler", "Watch"]

LONGEST_WAIT = 50.0
"""Seconds that a request with WAIT is held; proxies in front of a server usually give up after 60."""
PRIVATE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""Headers of every answer: what belongs to a job is kept by nobody on the way, and is what its type says."""

_POLL = 0.2
"""Seconds between looks at a job that is waited for."""
_RESERVED = ("PHASE", "RUNID", "ACTION")
"""Parameters that are the protocol's, never a job's."""
_SANDBOX = "sandbox; default-src 'none'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; font-src 'self' data:"
"""Pages among the results come from a job, not from us: they run no script and reach nothing in our name."""


@dataclasses.dataclass(frozen=True)
class Call:
    """One request, read: what a handler needs.

    Attributes
    ----------
    request : starlette.requests.Request
    desk : emberline.jobs.JobDesk
        The jobs of whoever asks.
    parameters : Parameters
    text : str
        The body of a PUT.
    base : str
        The address of the job list.
    type : str or None
        The only job type in the list.
    watch : Watch
    """

    request: Request
    desk: JobDesk
    parameters: Parameters
    text: str
    base: str
    type: str | None
    watch: Watch

    def job(self) -> Job:
        """The job that the address names."""
        job = self.desk.job(str(self.request.path_params["id"]))
        if self.type is not None and job.type != self.type:
            raise JobNotFoundError(f"no such job in the list of {self.type} jobs", found=job.id)
        return job

    def may_see_detail(self, job: Job) -> bool:
        """A traceback names files and code: it is for the job's owner, and for who sees to everybody's jobs."""
        return job.owner == self.desk.user or self.desk.all

    def to_job(self, job: Job) -> Response:
        """See the job."""
        return RedirectResponse(documents.job_url(self.base, job.id), status_code=303, headers=PRIVATE)

    def to_list(self) -> Response:
        """See the list."""
        return RedirectResponse(self.base, status_code=303, headers=PRIVATE)


class Watch:
    """How far the store has come, asked once for all who wait; `stopping` says whether waiting must end."""

    def __init__(self, stopping: Callable[[], bool]) -> None:
        self.stopping = stopping
        self._asked = float("-inf")
        self._version = 0

    async def version(self, desk: JobDesk) -> int:
        """The store's version, at most half a poll old."""
        now = time.monotonic()
        if now - self._asked >= _POLL / 2:
            self._asked = now
            self._version = await run_in_threadpool(desk.version)
        return self._version


Handler = Callable[[Call], "Response | Awaitable[Response]"]
"""A plain function, which runs in a thread, or a coroutine."""


def _xml(content: bytes) -> Response:
    return Response(content, media_type="application/xml", headers=PRIVATE)


def _plain(text: object) -> Response:
    return PlainTextResponse("" if text is None else str(text), headers=PRIVATE)


# --- the job list ---


def _list_jobs(call: Call) -> Response:
    """``PHASE`` (any number), ``AFTER`` and ``LAST``, all of which must hold; the newest job comes first."""
    phases = [_phase(text) for text in call.parameters.all("PHASE")]
    jobs = call.desk.jobs(
        phases=phases or None,
        type=call.type,
        after=call.parameters.time("AFTER"),
        last=call.parameters.number("LAST", least=1),
    )
    return _xml(documents.job_list(jobs, call.base))


def _create_job(call: Call) -> Response:
    """A new job of the list's type, or of the one that ``TYPE`` names; ``PHASE=RUN`` queues it at once."""
    phase = call.parameters.one("PHASE")
    if phase is not None and phase != "RUN":
        raise RequestError(400, f"PHASE: a job can be made with PHASE=RUN or without PHASE (found {phase[:40]!r})")
    if call.parameters.one("ACTION") is not None:
        raise RequestError(400, "ACTION: a new job takes none")
    name = call.type or call.parameters.one("TYPE") or "none"
    reserved = _RESERVED if call.type else (*_RESERVED, "TYPE")
    known = call.desk.types
    if name not in known:
        raise RequestError(400, f"TYPE: no such job type (found {name[:40]}, expected {', '.join(sorted(known))})")
    job = call.desk.create(
        name,
        from_text(known[name].parameters, call.parameters.rest(*reserved)),
        label=call.parameters.one("RUNID") or "",
        run=phase == "RUN",
    )
    return call.to_job(job)


# --- one job ---


async def _show_job(call: Call) -> Response:
    """The job; with ``WAIT`` not before its phase has changed, or that many seconds have gone."""
    seconds = call.parameters.number("WAIT", least=-1) or 0
    phase = call.parameters.one("PHASE")
    only = None if phase is None else _phase(phase)
    if only is not None and only not in ACTIVE:
        expected = ", ".join(sorted(ACTIVE))
        raise RequestError(400, f"PHASE: one can wait in an active phase only (found {only}, expected {expected})")
    job = await run_in_threadpool(call.job)
    if seconds and job.phase in ACTIVE and only in (None, job.phase):
        job = await _wait(call, job, min(seconds, LONGEST_WAIT) if seconds > 0 else LONGEST_WAIT)
    content = await run_in_threadpool(documents.job_document, job, call.base, detail=call.may_see_detail(job))
    return _xml(content)


async def _wait(call: Call, job: Job, seconds: float) -> Job:
    """The job when its phase is another one or the time is up; holds no thread, and stops when the client leaves."""
    phase, seen = job.phase, job.version
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and not call.watch.stopping():
        if await call.request.is_disconnected():
            break
        await asyncio.sleep(min(_POLL, left))
        newest = await call.watch.version(call.desk)
        if newest != seen:
            seen, job = newest, await run_in_threadpool(call.job)
            if job.phase != phase:
                break
    return job


def _change_job(call: Call) -> Response:
    """``ACTION=DELETE``, or parameters for a job that has not been started."""
    action = call.parameters.one("ACTION")
    if action is None:
        return _set_parameters(call)
    if action != "DELETE":
        raise RequestError(400, f"ACTION: unknown (found {action[:40]!r}, expected DELETE)")
    return _delete_job(call)


def _delete_job(call: Call) -> Response:
    call.desk.delete(call.job().id)
    return call.to_list()


# --- what a job has ---


def _show_phase(call: Call) -> Response:
    return _plain(call.job().phase.value)


def _set_phase(call: Call) -> Response:
    changes = {"RUN": call.desk.run, "ABORT": call.desk.abort, "ARCHIVE": call.desk.archive}
    wanted = call.parameters.one("PHASE")
    if wanted not in changes:
        found = wanted[:40] if wanted else "none"
        raise RequestError(400, f"PHASE: cannot be set to that (found {found}, expected RUN, ABORT, ARCHIVE)")
    job = call.job()
    changes[wanted](job.id)
    return call.to_job(job)


def _show_duration(call: Call) -> Response:
    return _plain(documents.whole_seconds(call.job().duration))


def _set_duration(call: Call) -> Response:
    seconds = call.parameters.required("EXECUTIONDURATION")
    job = call.job()
    call.desk.update(job.id, duration=whole("EXECUTIONDURATION", seconds, least=0))
    return call.to_job(job)


def _show_destruction(call: Call) -> Response:
    return _plain(call.job().destruction)


def _set_destruction(call: Call) -> Response:
    when = call.parameters.required("DESTRUCTION")
    job = call.job()
    call.desk.update(job.id, destruction=when)
    return call.to_job(job)


def _show_quote(call: Call) -> Response:
    return _plain(call.job().quote)


def _show_owner(call: Call) -> Response:
    return _plain(call.job().owner)


def _show_error(call: Call) -> Response:
    job = call.job()
    if job.failure is None:
        raise RequestError(404, "the job has no error")
    detail = job.failure.detail if call.may_see_detail(job) else ""
    return _plain(f"{job.failure.message}\n\n{detail}".rstrip() + "\n")


def _show_parameters(call: Call) -> Response:
    return _xml(documents.parameters_document(call.job()))


def _set_parameters(call: Call) -> Response:
    """New values for some parameters of a job that has not been started; ``RUNID`` changes what it is called."""
    for name in ("PHASE", "ACTION"):
        if call.parameters.one(name) is not None:
            raise RequestError(400, f"{name}: is not a parameter of the job. A phase is posted to its address + /phase")
    return _update(call, call.parameters.rest(*_RESERVED), label=call.parameters.one("RUNID"))


def _update(call: Call, given: Mapping[str, list[str]], label: str | None = None) -> Response:
    job = call.job()
    job_type = call.desk.types.get(job.type)
    if job_type is None:
        raise RequestError(409, f"jobs of the type {job.type} are no longer made here")
    changed = from_text(job_type.parameters, given) if given else {}
    call.desk.update(job.id, label=label, parameters={**job.parameters, **changed} if changed else None)
    return call.to_job(job)


def _show_parameter(call: Call) -> Response:
    name = str(call.request.path_params["name"])
    values = {key.upper(): value for key, value in call.job().parameters.items()}
    if name.upper() not in values:
        raise RequestError(404, f"the job has no parameter {name}")
    return _plain("\n".join(documents.parameter_texts(values[name.upper()])))


def _put_parameter(call: Call) -> Response:
    """The body is the value."""
    return _update(call, {str(call.request.path_params["name"]): [call.text]})


def _show_results(call: Call) -> Response:
    return _xml(documents.results_document(call.job(), call.base))


def _send_result(call: Call) -> Response:
    """The file itself, by parts when the client asks for a range."""
    job = call.job()
    name = str(call.request.path_params["name"])
    for result in job.results:
        if result.name == name:
            headers = {**PRIVATE, "Content-Security-Policy": _SANDBOX}
            return FileResponse(
                call.desk.result_path(job.id, name),
                media_type=result.media_type,
                filename=PurePosixPath(name).name,
                content_disposition_type="inline",
                headers=headers,
            )
    raise RequestError(404, f"the job has no result {name}")


RESOURCES: tuple[tuple[str, dict[str, Handler]], ...] = (
    ("", {"GET": _list_jobs, "POST": _create_job}),
    ("/{id}", {"GET": _show_job, "POST": _change_job, "DELETE": _delete_job}),
    ("/{id}/phase", {"GET": _show_phase, "POST": _set_phase}),
    ("/{id}/executionduration", {"GET": _show_duration, "POST": _set_duration}),
    ("/{id}/destruction", {"GET": _show_destruction, "POST": _set_destruction}),
    ("/{id}/quote", {"GET": _show_quote}),
    ("/{id}/owner", {"GET": _show_owner}),
    ("/{id}/error", {"GET": _show_error}),
    ("/{id}/parameters", {"GET": _show_parameters, "POST": _set_parameters}),
    ("/{id}/parameters/{name}", {"GET": _show_parameter, "PUT": _put_parameter}),
    ("/{id}/results", {"GET": _show_results}),
    ("/{id}/results/{name:path}", {"GET": _send_result}),
)
"""What lies under a job list, and what each HTTP method does with it."""


def _phase(text: str) -> Phase:
    try:
        return Phase(text)
    except ValueError:
        raise RequestError(400, f"PHASE: unknown (found {text[:40]!r}, expected one of {', '.join(Phase)})") from None
