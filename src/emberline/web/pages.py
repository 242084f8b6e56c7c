"""The pages: the workspace, the list of jobs, a job, the form of a new one, the account."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from emberline.jobs import Job, JobType, Phase
from emberline.jobs.parameters import describe
from emberline.web import drafting, overview, wording
from emberline.web._page import page
from emberline.web.actions import act, allowed_actions
from emberline.web.forms import as_toml, submit_command
from emberline.web.listing import Listing
from emberline.web.permissions import Action, Role, may, may_submit
from emberline.web.shown import shown_results
from emberline.web.visitors import desk_of, required, site_of

__all__ = ["routes"]

_LOG_SHOWN = 200_000
_LATEST = 8
_PHASES = tuple(phase for phase in Phase if phase is not Phase.UNKNOWN)
_MEANS = {
    Role.READER: "sees the workspace and the jobs of its own.",
    Role.ANNOTATOR: "labels spectra too, and runs jobs on campaigns.",
    Role.MANAGER: "also makes archives, and sees and changes everybody's jobs.",
    Role.ADMIN: "also manages accounts.",
}


# The workspace and the list -------------------------------------------------------------------------------------------


def home(request: Request) -> Response:
    """The workspace: its archives, campaigns and latest jobs, and what one may do next."""
    site, desk, role = site_of(request), desk_of(request), required(request).role
    found, searches = overview.archives(site.workspace), overview.campaigns(site.workspace)
    return page(
        request,
        "home.html.j2",
        active="home",
        folder=str(site.workspace.folder) if may(role, Action.MANAGE_ACCOUNTS) else "",
        since=desk.version(),
        jobs=desk.jobs(limit=_LATEST),
        archives=found,
        campaigns=searches,
        steps=overview.steps(found, searches, desk, lambda name: may_submit(role, name)),
    )


def jobs(request: Request) -> Response:
    """The list of jobs."""
    desk, view = desk_of(request), Listing.of(request.query_params)
    total = desk.count(**view.filters)
    if view.page > view.pages(total):
        view = dataclasses.replace(view, page=view.pages(total))
    return page(
        request,
        "jobs.html.j2",
        active="jobs",
        since=desk.version(),
        view=view,
        jobs=view.rows(desk, total),
        total=total,
        pages=view.pages(total),
        phases=_PHASES,
    )


def account(request: Request) -> Response:
    """One's own password and tokens; for administrators everybody's accounts."""
    role = required(request).role
    means = f"Your role is {role}: it {_MEANS[role]}"
    return page(request, "account.html.j2", active="account", roles=list(_MEANS.items()), role_means=means)


# A job ----------------------------------------------------------------------------------------------------------------


def job(request: Request) -> Response:
    """A job's page."""
    desk, found = desk_of(request), desk_of(request).job(request.path_params["id"])
    job_type = site_of(request).store.types.get(found.type)
    return page(
        request,
        "job.html.j2",
        active="jobs",
        job=found,
        may=allowed_actions(required(request).role, found),
        results=shown_results(desk, found),
        log=_log_tail(request, found),
        timeline=_timeline(found),
        facts=_facts(found),
        parameters=list(_parameters(found, job_type)),
        toml=as_toml(found.parameters),
        command=submit_command(found),
    )


def _log_tail(request: Request, found: Job) -> dict[str, Any]:
    desk = desk_of(request)
    text, following = desk.log(found.id, -_LOG_SHOWN, _LOG_SHOWN)
    cut = following > _LOG_SHOWN
    return {"text": text[text.find("\n") + 1 :] if cut else text, "next": following, "cut": cut}


def _timeline(found: Job) -> list[tuple[str, str | None, str]]:
    """What happened when; the end is named by how it ended."""
    again = f"attempt {found.attempt}" if found.attempt > 1 else ""
    ends = {Phase.ERROR: "failed", Phase.ABORTED: "aborted", Phase.COMPLETED: "completed"}
    ended = found.ended or (found.quote if found.phase is Phase.EXECUTING else None)
    how = ends.get(found.phase, "") if found.ended else "expected" if ended else ""
    steps = [("Created", found.created, ""), ("Queued", found.queued, ""), ("Started", found.started, again)]
    return [*steps, ("Ended" if found.ended or not ended else "Ends", ended, how)]


def _facts(found: Job) -> list[tuple[str, str]]:
    facts = []
    if found.started and found.ended:
        facts.append(("took", wording.duration(_seconds(found.started, found.ended))))
    if found.duration:
        facts.append(("may run at most", wording.duration(found.duration)))
    return facts


def _seconds(start: str, end: str) -> float:
    return (datetime.datetime.fromisoformat(end) - datetime.datetime.fromisoformat(start)).total_seconds()


def _parameters(found: Job, job_type: JobType | None) -> Iterator[tuple[str, Any, str]]:
    """Name, value and help of each parameter that was given, in the order of the form."""
    fields = {field.name: field for field in describe(job_type.parameters)} if job_type else {}
    names = [name for name in fields if name in found.parameters]
    for name in [*names, *(name for name in found.parameters if name not in fields)]:
        yield name, found.parameters[name], fields[name].help if name in fields else ""


def log_text(request: Request) -> Response:
    """The whole log as text."""
    desk, id = desk_of(request), request.path_params["id"]
    desk.job(id)

    def pieces() -> Iterator[str]:
        offset = 0
        while True:
            text, following = desk.log(id, offset)
            if following <= offset:
                return
            yield text
            offset = following

    name = f'attachment; filename="{id}.log.txt"'
    return StreamingResponse(pieces(), media_type="text/plain; charset=utf-8", headers={"content-disposition": name})


routes = [
    Route("/", home, methods=["GET"]),
    Route("/account", account, methods=["GET"]),
    Route("/jobs", jobs, methods=["GET"]),
    Route("/jobs/act", act, methods=["POST"]),
    Route("/jobs/new", drafting.choose, methods=["GET"]),
    Route("/jobs/new/{type}", drafting.show, methods=["GET"]),
    Route("/jobs/new/{type}", drafting.submit, methods=["POST"]),
    Route("/jobs/{id}", job, methods=["GET"]),
    Route("/jobs/{id}/log.txt", log_text, methods=["GET"]),
]
"""The pages; the application mounts them behind the gate."""
