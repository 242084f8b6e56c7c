"""What the buttons do to jobs: run, abort, archive, delete; what would be lost is named before it is."""

from __future__ import annotations

import urllib.parse
from collections.abc import Sequence

import anyio.to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from emberline.jobs import ACTIVE, Job, JobDesk, JobNotFoundError, Phase, PhaseError
from emberline.web import wording
from emberline.web._page import page
from emberline.web.permissions import Action, Role, may, may_submit, require
from emberline.web.visitors import desk_of, required

__all__ = ["act", "allowed_actions"]

PHASES: dict[str, frozenset[Phase]] = {
    "run": frozenset({Phase.PENDING, Phase.HELD, Phase.SUSPENDED}),
    "edit": frozenset({Phase.PENDING}),
    "abort": ACTIVE,
    "rerun": frozenset(Phase) - {Phase.PENDING},
    "archive": frozenset({Phase.COMPLETED, Phase.ERROR, Phase.ABORTED}),
    "delete": frozenset(Phase),
}
"""In which phases each button is shown; the engine has the last word."""
_OF_TYPE = ("run", "edit", "rerun")
_VERBS = {"abort": "Abort", "archive": "Archive", "delete": "Delete"}
_MOST = 1000


def allowed_actions(role: Role, job: Job) -> frozenset[str]:
    """What somebody with this role may do to a job now."""
    if not may(role, Action.CHANGE_JOBS):
        return frozenset()
    of_type = may_submit(role, job.type)
    return frozenset(
        name for name, phases in PHASES.items() if job.phase in phases and (of_type or name not in _OF_TYPE)
    )


async def act(request: Request) -> Response:
    """Do something to one job or several; what loses something is asked about first."""
    form = await request.form(max_files=0, max_fields=_MOST + 20)
    ids = [str(id) for id in form.getlist("id")][:_MOST]
    action, then, back = (str(form.get(name, "")) for name in ("action", "then", "back"))
    if action not in ("run", *_VERBS):
        raise HTTPException(400, f"there is no action {action[:40]!r}")
    require(required(request).role, Action.CHANGE_JOBS)
    sure = "confirmed" in form or (then == "job" and action in ("run", "abort"))
    handle = _carry_out if sure else _ask
    return await anyio.to_thread.run_sync(handle, request, action, ids, then, back)


def _ask(request: Request, action: str, ids: Sequence[str], then: str, back: str) -> Response:
    """The page that names what will be lost."""
    found = _found(desk_of(request), ids)
    affected = [job for job in found if job.phase in PHASES[action]]
    verb = _VERBS[action]
    one = f" “{affected[0].label or affected[0].type}”" if len(affected) == 1 else ""
    title = f"{verb} {wording.plural(len(affected), 'job')}{one}?" if affected else f"{verb}: nothing to do"
    return page(
        request,
        "confirm.html.j2",
        active="jobs",
        title=title,
        verb=verb,
        action=action,
        affected=affected,
        losses=_losses(action, affected),
        refused=_refused(action, len(ids) - len(affected)),
        then=then,
        back=_clean(back),
        cancel=f"/jobs/{urllib.parse.quote(ids[0], safe='')}" if then == "job" and ids else _list(back),
    )


def _losses(action: str, jobs: Sequence[Job]) -> list[str]:
    """What will be lost, one sentence each."""
    files = sum(len(job.results) for job in jobs)
    size = sum(result.size for job in jobs for result in job.results)
    working = sum(job.phase is Phase.EXECUTING for job in jobs)
    results = f"{wording.plural(files, 'result file')} ({wording.size(size)})" if files else "no result files"
    lines = []
    if working and action != "archive":
        lines.append(f"{wording.plural(working, 'job is', 'jobs are')} at work and will be stopped.")
    if action == "abort":
        return [*lines, "The records and logs stay; each can be run again."]
    if action == "archive":
        lines.append(f"Deleted for ever: the logs, and {results}. The records (parameters, times, errors) are kept.")
    else:
        lines.append(f"Deleted for ever: the records, the logs, and {results}.")
    return [*lines, "Archives and campaigns that they have written are not touched."]


def _refused(action: str, number: int) -> str:
    if not number:
        return ""
    why = {"abort": "have ended already", "archive": "have not ended, or are archived", "delete": "are no longer there"}
    return f"Of the selected jobs, {wording.plural(number, 'is', 'are')} left out: they {why[action]}."


def _carry_out(request: Request, action: str, ids: Sequence[str], then: str, back: str) -> Response:
    desk = desk_of(request)
    done = 0
    for id in ids:
        try:
            getattr(desk, action)(id)
            done += 1
        except (PhaseError, JobNotFoundError):
            if then == "job":
                raise
    said = action if done and done == len(ids) else "part" if done else "none"
    if then == "job" and action != "delete":
        return RedirectResponse(f"/jobs/{urllib.parse.quote(ids[0], safe='')}?said={said}" if ids else "/jobs", 303)
    return RedirectResponse(_list(back, said=said, n=str(done)), 303)


def _found(desk: JobDesk, ids: Sequence[str]) -> list[Job]:
    """The jobs that are still there."""
    found = []
    for id in dict.fromkeys(ids):
        try:
            found.append(desk.job(id))
        except JobNotFoundError:
            continue
    return found


def _clean(back: str) -> str:
    """A query and nothing else, whatever was sent."""
    pairs = [pair for pair in urllib.parse.parse_qsl(back.lstrip("?")) if pair[0] not in ("said", "n")]
    return urllib.parse.urlencode(pairs)


def _list(back: str, **more: str) -> str:
    query = "&".join(part for part in (_clean(back), urllib.parse.urlencode(more)) if part)
    return f"/jobs?{query}" if query else "/jobs"
