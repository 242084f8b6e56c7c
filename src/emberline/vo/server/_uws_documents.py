"""Jobs as UWS 1.1 documents: the XML of the job list, of a job, its parameters and its results."""

from __future__ import annotations

import json
import math
import re
import urllib.parse
from collections.abc import Iterable
from typing import Any, cast

from pydantic_xml import BaseXmlModel, element
from vo_models.uws import ErrorSummary, Jobs, JobSummary, Parameter, ResultReference, Results, ShortJobDescription
from vo_models.uws.models import NSMAP
from vo_models.uws.types import ErrorType, ExecutionPhase, UWSVersion
from vo_models.xlink import XlinkType

from emberline.jobs import Job

__all__ = ["clean", "job_document", "job_list", "job_url", "parameter_texts", "parameters_document", "results_document"]

JOB_INFO = "urn:x-emberline:job:1"
"""The namespace of what Emberline adds to a job in ``jobInfo``."""

_NAMESPACES = {**NSMAP, "emberline": JOB_INFO}
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class _Parameters(BaseXmlModel, tag="parameters", ns="uws", nsmap=NSMAP):
    """Parameters under whatever names; the model of vo-models wants a class for every set of names."""

    parameter: list[Parameter] = element(tag="parameter", ns="uws", default_factory=list)


class _JobInfo(BaseXmlModel, tag="jobInfo", ns="uws", nsmap=_NAMESPACES):
    """What UWS has no word for."""

    type: str = element(ns="emberline")
    attempt: int = element(ns="emberline")
    progress: float | None = element(ns="emberline", default=None)
    message: str | None = element(ns="emberline", default=None)
    remaining: float | None = element(tag="remainingSeconds", ns="emberline", default=None)
    clone_of: str | None = element(tag="cloneOf", ns="emberline", default=None)


class _Job(JobSummary[_Parameters], tag="job", ns="uws", nsmap=_NAMESPACES):
    """A job whose ``jobInfo`` holds elements."""

    job_info: _JobInfo = element(tag="jobInfo", ns="uws")  # type: ignore[assignment]


def job_list(jobs: Iterable[Job], base: str) -> bytes:
    """The document ``jobs`` with one ``jobref`` for each job; `base` is the address of the list."""
    references = [ShortJobDescription(**_reference(job, base)) for job in jobs]
    return _xml(Jobs(jobref=references, version=UWSVersion.V1_1))


def job_document(job: Job, base: str, *, detail: bool) -> bytes:
    """The document ``job``; `detail` says whether the reader may see the traceback behind an error."""
    parts: dict[str, Any] = {
        "job_id": job.id,
        "owner_id": clean(job.owner) or None,
        "phase": ExecutionPhase(job.phase.value),
        "quote": job.quote,
        "creation_time": job.created,
        "start_time": job.started,
        "end_time": job.ended,
        "execution_duration": whole_seconds(job.duration),
        "destruction": job.destruction,
        "parameters": _parameters(job),
        "results": _results(job, base),
        "job_info": _job_info(job),
        "version": UWSVersion.V1_1,
    }
    if job.label:
        parts["run_id"] = clean(job.label)
    if job.failure:
        parts["error_summary"] = ErrorSummary(
            message=clean(job.failure.message),
            type=ErrorType(job.failure.kind),
            has_detail=bool(detail and job.failure.detail),
        )
    return _xml(_Job(**parts))


def parameters_document(job: Job) -> bytes:
    """The document ``parameters``."""
    return _xml(_parameters(job))


def results_document(job: Job, base: str) -> bytes:
    """The document ``results``: a link to each file that the job has made."""
    return _xml(_results(job, base))


def job_url(base: str, job_id: str, *path: str) -> str:
    """The address of a job in the list at `base`, or of something beneath it."""
    return "/".join([base, *(urllib.parse.quote(part, safe="/~", errors="surrogatepass") for part in (job_id, *path))])


def whole_seconds(duration: float) -> int:
    """A duration as UWS writes it; one below a second must not become 0, which means no limit."""
    return math.ceil(duration)


def parameter_texts(value: object) -> list[str]:
    """A parameter's value as texts that a client could send back: a list is one text for each of its values."""
    if value is None:
        return []
    if isinstance(value, list | tuple):
        return [text for item in value for text in parameter_texts(item)]
    if isinstance(value, str):
        return [clean(value)]
    return [clean(json.dumps(value, ensure_ascii=False))]


def clean(text: str) -> str:
    """`text` with a replacement character for each one that XML 1.0 cannot hold."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def _reference(job: Job, base: str) -> dict[str, Any]:
    parts: dict[str, Any] = {
        "job_id": job.id,
        "type": XlinkType.SIMPLE,
        "href": job_url(base, job.id),
        "phase": ExecutionPhase(job.phase.value),
        "owner_id": clean(job.owner) or None,
        "creation_time": job.created,
    }
    if job.label:
        parts["run_id"] = clean(job.label)
    return parts


def _parameters(job: Job) -> _Parameters:
    return _Parameters(
        parameter=[
            Parameter(id=clean(name), value=text)
            for name, value in job.parameters.items()
            for text in parameter_texts(value)
        ]
    )


def _results(job: Job, base: str) -> Results:
    return Results(
        results=[
            ResultReference(
                id=clean(result.name),
                type=XlinkType.SIMPLE,
                href=job_url(base, job.id, "results", result.name),
                size=result.size,
                mime_type=clean(result.media_type),
            )
            for result in job.results
        ]
    )


def _job_info(job: Job) -> _JobInfo:
    parts: dict[str, Any] = {
        "type": job.type,
        "attempt": job.attempt,
        "progress": job.progress,
        "message": clean(job.message),
        "remaining": job.eta,
        "clone_of": job.clone_of,
    }
    return _JobInfo(**{name: value for name, value in parts.items() if value not in (None, "")})


def _xml(document: BaseXmlModel) -> bytes:
    """Only what was set is written: a value that was set to None as xsi:nil, others not at all."""
    return cast(bytes, document.to_xml(encoding="UTF-8", xml_declaration=True, exclude_unset=True))
