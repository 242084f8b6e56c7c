"""The pages on which a job is written: its type, then its form, which keeps what was typed until it is right."""

from __future__ import annotations

import dataclasses
from typing import Any

import anyio.to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from emberline.errors import EmberlineError
from emberline.jobs import Job, JobType, ParameterError, PhaseError
from emberline.jobs.parameters import describe, validate
from emberline.web._page import page
from emberline.web.forms import Draft, Limits, as_toml, read_text
from emberline.web.permissions import may_submit, require_type
from emberline.web.visitors import desk_of, required, site_of

__all__ = ["choose", "show", "submit"]


def choose(request: Request) -> Response:
    """The types of jobs."""
    role, types = required(request).role, site_of(request).store.types.values()
    allowed = [kind for kind in types if may_submit(role, kind.name)]
    denied = [kind for kind in types if not may_submit(role, kind.name)]
    return page(request, "new.html.j2", active="new", allowed=allowed, denied=denied)


def show(request: Request) -> Response:
    """The form: new, from a preset, of a copy (``from``), or of a job that has not run (``edit``)."""
    job_type, query = _type(request), request.query_params
    source = query.get("edit") or query.get("from")
    if not source:
        return _form(request, job_type, Draft.of_query(job_type, query))
    job = desk_of(request).job(source)
    if job.type != job_type.name:
        raise HTTPException(404, f"the job {source[:64]} is of the type {job.type}")
    return _form(request, job_type, Draft.of_job(job_type, job, editing=bool(query.get("edit"))))


async def submit(request: Request) -> Response:
    """Take the form: make the job, or show the form again with what is wrong at each entry."""
    job_type = _type(request)
    form = await request.form(max_files=0, max_fields=500)
    draft, action = Draft.of_form(job_type, form), str(form.get("action", "run"))
    return await anyio.to_thread.run_sync(_take, request, job_type, draft, action)


def _take(request: Request, job_type: JobType, draft: Draft, action: str) -> Response:
    try:
        if action == "read":
            given = read_text(draft.whole)
            return _form(request, job_type, _filled(request, job_type, draft, given))
        if action == "write":
            text = as_toml(draft.parameters(job_type))
            return _form(request, job_type, dataclasses.replace(draft, whole=text))
        job = _made(request, job_type, draft, action)
    except ParameterError as error:
        return _form(request, job_type, draft.with_errors(job_type, error.fields), 422)
    except PhaseError as error:
        return _form(request, job_type, dataclasses.replace(draft, message=str(error)), 409)
    said = "saved" if action in ("keep", "save") else "run"
    return RedirectResponse(f"/jobs/{job.id}?said={said}", 303)


def _filled(request: Request, job_type: JobType, draft: Draft, given: dict[str, Any]) -> Draft:
    """The draft with the entries filled; what the text does not say is not wrong yet."""
    draft = draft.filled(job_type, given)
    try:
        validate(job_type, given, site_of(request).workspace.confinement)
    except ParameterError as error:
        said = {name.replace("-", "_") for name in given}
        return draft.with_errors(job_type, {name: text for name, text in error.fields.items() if name in said})
    return draft


def _made(request: Request, job_type: JobType, draft: Draft, action: str) -> Job:
    """The job that the draft asks for; all entries that are wrong are named at once."""
    desk, given = desk_of(request), draft.parameters(job_type)
    limits = _checked(request, job_type, draft, given)
    if draft.editing:
        job = desk.update(
            draft.source,
            label=draft.label,
            parameters={name: value for name, value in given.items() if value is not None},
            duration=limits.duration or 0,
            destruction=limits.destruction,
        )
        return desk.run(job.id) if action == "save-run" else job
    if draft.source:
        job = desk.rerun(draft.source, parameters=given, label=draft.label, run=False)
        desk.update(job.id, duration=limits.duration or 0, destruction=limits.destruction)
    else:
        job = desk.create(
            job_type.name, given, label=draft.label, duration=limits.duration, destruction=limits.destruction
        )
    return desk.job(job.id) if action == "keep" else desk.run(job.id)


def _checked(request: Request, job_type: JobType, draft: Draft, given: dict[str, Any]) -> Limits:
    wrong: dict[str, str] = {}
    limits = Limits(None, None)
    try:
        limits = draft.limits()
    except ParameterError as error:
        wrong |= error.fields
    try:
        validate(job_type, given, site_of(request).workspace.confinement)
    except ParameterError as error:
        wrong |= error.fields
    if wrong:
        raise ParameterError(wrong)
    return limits


def _type(request: Request) -> JobType:
    """The type that the address names, when one may run it."""
    name, types = request.path_params["type"], site_of(request).store.types
    if name not in types:
        raise HTTPException(404, f"there is no type of job {name[:64]!r}; there are {', '.join(types)}")
    require_type(required(request).role, name)
    return types[name]


def _form(request: Request, job_type: JobType, draft: Draft, status: int = 200) -> Response:
    config = site_of(request).workspace.config
    verb = "Edit" if draft.editing else "Run again" if draft.source else "New job"
    fields = describe(job_type.parameters)
    order = [*(field.name for field in fields), "text", "label", "duration", "destruction"]
    return page(
        request,
        "form.html.j2",
        status=status,
        active="new",
        heading=f"{verb}: {job_type.title}",
        type=job_type,
        fields=fields,
        draft=draft,
        action=f"/jobs/new/{job_type.name}",
        first_error=next((name for name in order if name in draft.errors), ""),
        offers=_offers(request, {field.kind for field in fields}),
        source_name=_name_of(request, draft.source),
        default_hours=f"{config.hours:g} hours" if config.hours else "no limit",
        default_days=f"{config.keep_days:g} days" if config.keep_days else "they are kept",
    )


def _offers(request: Request, kinds: set[str]) -> dict[str, list[str]]:
    """What the workspace has for each kind of parameter."""
    workspace, offers = site_of(request).workspace, dict[str, list[str]]()
    if kinds & {"archive", "new-archive"}:
        offers["archive"] = offers["new-archive"] = workspace.archives()
    if "campaign" in kinds:
        offers["campaign"] = workspace.campaigns()
    if "recipe" in kinds:
        from emberline.features import shipped_recipes

        offers["recipe"] = list(shipped_recipes())
    return offers


def _name_of(request: Request, source: str) -> str:
    try:
        job = desk_of(request).job(source) if source else None
    except EmberlineError:
        return source
    return (job.label or job.id) if job else ""
