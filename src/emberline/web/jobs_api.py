"""The jobs as JSON: list, make, change, watch, stop, run again, delete."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Body, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from emberline.jobs import Phase, describe
from emberline.web.desk import RoleDesk
from emberline.web.events import all_events, job_events, stream
from emberline.web.permissions import Action, may, may_submit
from emberline.web.results import result_response
from emberline.web.visitors import desk_of, site_of, visitor_of

__all__ = ["LONGEST_WAIT", "router", "still_allowed"]

LONGEST_WAIT = 600.0
router = APIRouter(prefix="/api", tags=["jobs"])


async def _desk(request: Request) -> RoleDesk:
    return desk_of(request)


Desk = Annotated[RoleDesk, Depends(_desk)]
Id = Annotated[str, Path(description="The job's identifier.", max_length=100)]
Limit = Annotated[int, Query(ge=0, le=10_000)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class NewJob(_Strict):
    """A job to be made."""

    type: str = Field(description="One of those that `GET /api/job-types` lists.", examples=["simulate"])
    parameters: dict[str, Any] = Field(default_factory=dict, description="As the job type declares them.")
    label: str = Field("", description="What you call it.")
    run: bool = Field(True, description="Queue it at once; otherwise it waits, PENDING, and may be edited.")
    duration: float | None = Field(None, description="Seconds that it may run; 0 means no limit.")
    destruction: str | None = Field(None, description="When its results are to be deleted: UTC in ISO 8601.")


class Changes(_Strict):
    """What is to be changed of a job; what is left out stays."""

    label: str | None = None
    parameters: dict[str, Any] | None = Field(None, description="All of them; only while the job is PENDING.")
    duration: float | None = None
    destruction: str | None = Field(None, description="Empty text means never.")


class Rerun(_Strict):
    """How the new job is to differ from the old one."""

    parameters: dict[str, Any] = Field(
        default_factory=dict, description="Replace single parameters; null takes one back to its default."
    )
    label: str | None = None
    run: bool = True


@router.get("/jobs", summary="List jobs, newest first")
def list_jobs(
    desk: Desk,
    phase: Annotated[list[str] | None, Query(description="Repeat it for several; without it all but ARCHIVED.")] = None,
    type: str | None = None,
    owner: str | None = None,
    search: Annotated[str | None, Query(description="Part of the label, type, identifier or owner.")] = None,
    after: Annotated[str | None, Query(description="Made later than this: UTC in ISO 8601.")] = None,
    last: Annotated[int | None, Query(ge=0, le=1 << 40, description="Only so many, the newest.")] = None,
    limit: Limit = 1000,
    offset: Annotated[int, Query(ge=0, le=1 << 40)] = 0,
) -> Response:
    """One page of the jobs that pass all filters, and how many pass them in `total`."""
    phases = [name for text in phase or () for name in text.split(",") if name] or None
    filters = {"phases": phases, "type": type, "owner": owner, "search": search, "after": after, "last": last}
    found = desk.jobs(limit=limit, offset=offset, **filters)  # type: ignore[arg-type]
    total = desk.count(**filters)  # type: ignore[arg-type]
    # As it is: to look through a thousand jobs for what JSON cannot hold would take longer than to list them.
    return JSONResponse({"jobs": [job.to_mapping() for job in found], "total": total})


@router.post("/jobs", status_code=201, summary="Make a job")
def create_job(desk: Desk, new: NewJob, response: Response) -> dict[str, Any]:
    """Make a job and, unless told otherwise, queue it; its address is in the header Location."""
    job = desk.create(
        new.type,
        new.parameters,
        label=new.label,
        run=new.run,
        duration=new.duration,
        destruction=new.destruction,
    )
    response.headers["location"] = f"/api/jobs/{job.id}"
    return job.to_mapping()


@router.get("/jobs/{id}", summary="One job")
async def show_job(
    request: Request,
    desk: Desk,
    id: Id,
    wait: Annotated[float, Query(ge=0, description="Seconds to wait for a change of phase, 600 at most.")] = 0,
    phase: Annotated[Phase | None, Query(description="Wait only while this is its phase.")] = None,
) -> dict[str, Any]:
    """The job; with `wait` not before its phase has changed or the time is over."""
    if wait > 0:
        job = await site_of(request).hub.wait(desk, id, min(wait, LONGEST_WAIT), phase)
    else:
        job = await anyio.to_thread.run_sync(desk.job, id)
    return job.to_mapping()


@router.patch("/jobs/{id}", summary="Change a job")
def change_job(desk: Desk, id: Id, changes: Changes) -> dict[str, Any]:
    """Change the label, the limits and, while it is PENDING, the parameters."""
    return desk.update(id, **changes.model_dump()).to_mapping()


@router.delete("/jobs/{id}", status_code=204, summary="Delete a job")
def delete_job(desk: Desk, id: Id) -> None:
    """Delete a job with its results and its log; one that is at work is stopped first."""
    desk.delete(id)


@router.post("/jobs/{id}/run", summary="Queue a job")
def run_job(desk: Desk, id: Id) -> dict[str, Any]:
    """Queue a job that is PENDING, HELD or SUSPENDED."""
    return desk.run(id).to_mapping()


@router.post("/jobs/{id}/abort", summary="Stop a job")
def abort_job(desk: Desk, id: Id) -> dict[str, Any]:
    """Stop a job; all its processes are gone within two seconds."""
    return desk.abort(id).to_mapping()


@router.post("/jobs/{id}/archive", summary="Delete a job's results")
def archive_job(desk: Desk, id: Id) -> dict[str, Any]:
    """Delete the results and the log of a job that has ended; the record of it is kept."""
    return desk.archive(id).to_mapping()


@router.post("/jobs/{id}/rerun", status_code=201, summary="Run a job again")
def rerun_job(
    desk: Desk, id: Id, response: Response, changes: Annotated[Rerun | None, Body()] = None
) -> dict[str, Any]:
    """Make a new job like this one, with some parameters replaced."""
    wanted = changes or Rerun()
    job = desk.rerun(id, parameters=wanted.parameters, label=wanted.label, run=wanted.run)
    response.headers["location"] = f"/api/jobs/{job.id}"
    return job.to_mapping()


@router.get("/jobs/{id}/log", summary="A job's log")
def show_log(
    desk: Desk,
    id: Id,
    offset: Annotated[int, Query(description="In bytes; negative: from the end.")] = 0,
    limit: Annotated[int, Query(ge=4, le=1 << 20)] = 65536,
) -> dict[str, Any]:
    """A piece of the log, and in `next` the offset at which to go on."""
    text, following = desk.log(id, max(-(1 << 62), min(offset, 1 << 62)), limit)
    return {"text": text, "next": following}


@router.get("/jobs/{id}/error", summary="Why a job failed")
def show_error(desk: Desk, id: Id) -> dict[str, Any]:
    """The reason, whether trying again may help (`type`), and the traceback behind it (`detail`); empty without one."""
    failure = desk.job(id).failure
    if failure is None:
        return {"message": "", "type": "", "detail": ""}
    return {"message": failure.message, "type": failure.kind, "detail": failure.detail}


@router.head("/jobs/{id}/results/{name:path}", include_in_schema=False)
@router.get("/jobs/{id}/results/{name:path}", summary="A file that a job has made")
def show_result(
    desk: Desk,
    id: Id,
    name: str,
    download: Annotated[bool, Query(description="Save it instead of showing it.")] = False,
) -> Response:
    """The file, or with the header Range a part of it. Pages that a job has made are shown locked in a sandbox."""
    return result_response(desk, id, name, download=download)


@router.get("/jobs/{id}/events", summary="Follow a job (server-sent events)")
async def follow_job(request: Request, desk: Desk, id: Id) -> Response:
    """Events `job` (the job as above), `log` (`text`, `next`, `whole`: begins anew) and `deleted`.

    The first two give the present state. A comment comes at least every 15 seconds.
    """
    await anyio.to_thread.run_sync(desk.job, id)
    return stream(job_events(site_of(request).hub, desk, id, still_allowed(request)))


@router.get("/events", summary="Follow all jobs (server-sent events)")
async def follow_all(
    request: Request,
    desk: Desk,
    since: Annotated[int | None, Query(description="Begin with what has changed after this version.")] = None,
) -> Response:
    """Events `jobs`: `version`, the jobs that have `changed`, the identifiers of those `deleted`.

    The first event gives the newest 1000 jobs (`whole`), or with `since` those of them that changed later.
    """
    owner = None if desk.all else desk.user
    return stream(all_events(site_of(request).hub, desk, owner, still_allowed(request), since))


def still_allowed(request: Request) -> Any:
    """Whether the one who listens could begin to listen now: sessions end, roles change, tokens are taken back."""
    visitor, identifier = visitor_of(request), request.scope["emberline.identifier"]

    async def check() -> bool:
        now = await identifier.identify(request)
        return now is not None and visitor is not None and (now.name, now.role) == (visitor.name, visitor.role)

    return check


@router.get("/job-types", tags=["jobs"], summary="The kinds of jobs")
def list_types(desk: Desk) -> dict[str, Any]:
    """Every type with its parameters (`fields`), configurations made beforehand, and whether you may run it."""
    return {
        "types": [
            {
                "name": job_type.name,
                "title": job_type.title,
                "description": job_type.description,
                "fields": [dataclasses.asdict(field) for field in describe(job_type.parameters)],
                "presets": [dataclasses.asdict(preset) for preset in job_type.presets],
                "steps": dict(job_type.steps),
                "allowed": may_submit(desk.role, job_type.name),
            }
            for job_type in desk.types.values()
        ]
    }


@router.get("/me", tags=["accounts"], summary="Who you are")
async def show_me(request: Request) -> dict[str, Any]:
    """Your name, your role in this request, and what it allows."""
    visitor = visitor_of(request)
    assert visitor is not None
    return {
        "user": visitor.name,
        "role": str(visitor.role),
        "may": [action.name.lower().replace("_", "-") for action in Action if may(visitor.role, action)],
    }
