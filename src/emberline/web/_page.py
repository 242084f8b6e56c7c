"""What all pages of the application share: the words, the types of jobs, and the notice of what was just done."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from emberline.web import wording
from emberline.web.permissions import Action, may
from emberline.web.rendering import render
from emberline.web.visitors import required, site_of

__all__ = ["NOTICES", "page"]

NOTICES = {
    "run": ("good", "Queued: {jobs}."),
    "saved": ("good", "Saved."),
    "abort": ("good", "Aborted: {jobs}."),
    "archive": ("good", "Archived: {jobs}. The results are deleted, the records are kept."),
    "delete": ("good", "Deleted: {jobs}."),
    "password": ("good", "Your password is changed."),
    "part": ("warn", "Done: {jobs}. The others had changed in the meantime and were left alone."),
    "none": ("warn", "Nothing was done: the jobs had changed in the meantime, or none was selected."),
}
"""What a page says after a redirection: the kind of notice, and the text."""


def page(request: Request, template: str, *, active: str, status: int = 200, **context: Any) -> Response:
    """Render with what all pages here share."""
    visitor = required(request)
    query = request.query_params
    shared = {
        "words": wording,
        "types": site_of(request).store.types,
        "sees_all": may(visitor.role, Action.SEE_ALL_JOBS),
        "may_act": may(visitor.role, Action.CHANGE_JOBS),
        "said": _said(query.get("said", ""), query.get("n", "")),
    }
    return render(request, template, status=status, active=active, **shared | context)


def _said(what: str, number: str) -> list[dict[str, str]]:
    """The notice of what was done, after a redirection; only our own words."""
    if what not in NOTICES:
        return []
    count = int(number) if number.isascii() and number.isdecimal() and len(number) < 7 else 1
    kind, text = NOTICES[what]
    return [{"kind": kind, "text": text.format(jobs=wording.plural(count, "job"))}]
