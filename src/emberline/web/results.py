"""Serve what jobs have made: shown where that is safe, and never able to act in the reader's name."""

from __future__ import annotations

from pathlib import PurePosixPath

from starlette.responses import FileResponse, Response

from emberline.jobs import JobDesk, JobNotFoundError
from emberline.web.security import RESULT_POLICY

__all__ = ["result_response"]

_SHOWN = ("text/", "image/", "application/json", "application/pdf", "application/toml", "application/xml")


def result_response(desk: JobDesk, id: str, name: str, *, download: bool = False) -> Response:
    """One result file of a job.

    Raises
    ------
    JobNotFoundError
        There is no such job or result, or the file is not (any more) a regular file among the job's results.
    """
    job = desk.job(id)
    result = next((result for result in job.results if result.name == name), None)
    if result is None:
        raise JobNotFoundError("the job has no such result", where=f"{id[:80]}/{name[:80]}")
    path = desk.result_path(id, name)
    shown = result.media_type.startswith(_SHOWN) and not download
    headers = {"cache-control": "private, no-cache"}
    # Browsers show PDF by means that a sandbox does not allow; it cannot run scripts of the page.
    if result.media_type != "application/pdf":
        headers["content-security-policy"] = RESULT_POLICY
    return FileResponse(
        path,
        media_type=result.media_type,
        filename=PurePosixPath(name).name,
        content_disposition_type="inline" if shown else "attachment",
        headers=headers,
        stat_result=path.stat(),
    )
