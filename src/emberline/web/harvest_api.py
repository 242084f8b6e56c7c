"""Spectra of other archives as JSON: services of the registry, searches, fetching as a job, the history per file."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from emberline.errors import ArchiveError, EmberlineError
from emberline.jobs import ParameterError
from emberline.jobs.parameters import validate
from emberline.vo.client.harvest.jobs import HARVEST
from emberline.web.aside import Aside
from emberline.web.harvest_searches import Searches
from emberline.web.permissions import require_type
from emberline.web.visitors import Visitor, desk_of, required, site_of

__all__ = ["router"]

router = APIRouter(prefix="/api/harvest", tags=["harvest"])
_LONGEST_WAIT = 25.0
_JOB = "harvest"
Text = Annotated[str, Field(max_length=500)]
Run = Annotated[list[int], Field(min_length=2, max_length=2)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class ServiceChoice(_Strict):
    """A service to be asked."""

    service: str = Field(max_length=2000, description="Its address, or its identifier in the registry (ivo://…).")
    title: str = Field("", max_length=500)


class NewSearch(_Strict):
    """What is searched for."""

    services: list[ServiceChoice] = Field(min_length=1, max_length=100)
    positions: list[Text] = Field(min_length=1, max_length=200, description="Names, or ICRS coordinates.")
    size: str = Field("10arcsec", max_length=50, description="Diameter of the circle around each position.")
    band: str = Field("", max_length=100, description="FIRST/LAST, vacuum Angstrom unless it has a unit.")
    time: str = Field("", max_length=100, description="FIRST/LAST, ISO 8601.")
    limit: int | None = Field(None, ge=1, le=50_000, description="Records of each service at each position at most.")


class Retry(_Strict):
    """The service that is to be asked again."""

    service: str = Field(max_length=2000)


class Fetch(_Strict):
    """Which records are to be fetched, how, and where to."""

    into: str = Field(min_length=1, max_length=500, description="The archive's folder in the workspace.")
    rows: list[Run] | None = Field(
        None, max_length=20_000, description="First and last number of each run of records; all unless given."
    )
    options: dict[str, Text] = Field(default_factory=dict, description="Of DataLink and SODA, by name.")
    medium: Literal["", "air", "vacuum"] = Field("", description="What holds for files that say neither.")
    keep: bool = Field(False, description="Keep the files after they were ingested.")
    label: str = Field("", max_length=200)


class RetryFiles(_Strict):
    """What is to be fetched again."""

    archive: str = Field(min_length=1, max_length=500)
    numbers: list[int] | None = Field(None, max_length=50_000, description="All that failed unless given.")
    medium: Literal["", "air", "vacuum"] = Field("", description="What holds for files that say neither.")


def _trusted(request: Request) -> Visitor:
    """Who asks, when they may run harvests: services are asked in their stead."""
    visitor = required(request)
    require_type(visitor.role, _JOB)
    return visitor


def _services(request: Request) -> Aside:
    """Threads in which services are waited for."""
    found: Aside = request.app.state.services
    return found


def _searches(request: Request) -> Searches:
    found: Searches = request.app.state.searches
    return found


Trusted = Annotated[Visitor, Depends(_trusted)]
Kept = Annotated[Searches, Depends(_searches)]
Waiting = Annotated[Aside, Depends(_services)]


# Searching ------------------------------------------------------------------------------------------------------------


@router.get("/services", summary="SSAP services in the registry")
async def services(
    visitor: Trusted,
    kept: Kept,
    waiting: Waiting,
    keywords: Annotated[str, Query(max_length=200)] = "",
    waveband: Annotated[str, Query(max_length=50)] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> dict[str, Any]:
    """Services by words of their title, description or subject, and by waveband."""
    return await waiting.run(_registered, kept, keywords.split(), waveband, limit)


def _registered(kept: Searches, words: list[str], waveband: str, limit: int) -> dict[str, Any]:
    from emberline.vo.client import registry

    if waveband and waveband.lower() not in registry.WAVEBANDS:
        known = ", ".join(registry.WAVEBANDS)
        raise ParameterError({"waveband": f"there is no waveband {waveband!r} (expected one of {known})"})
    found = registry.search(kept.session, protocol="ssa", keywords=words, waveband=waveband, limit=limit)
    return {"services": [dataclasses.asdict(service) for service in found]}


@router.post("/searches", status_code=202, summary="Search many services at once")
def begin(visitor: Trusted, kept: Kept, new: NewSearch) -> dict[str, Any]:
    """Begin a search; `GET` it to see how far it is."""
    from emberline.vo.client.harvest.constraints import Constraints, parse_band, parse_size, parse_time

    wrong: dict[str, str] = {}
    values: dict[str, Any] = {}
    for name, parse in (("size", parse_size), ("band", parse_band), ("time", parse_time)):
        text = getattr(new, name).strip()
        try:
            values[name] = parse(text) if text or name == "size" else None
        except EmberlineError as error:
            wrong[name] = str(error)
    positions = tuple(text.strip() for text in new.positions if text.strip())
    chosen = {item.service.strip(): item.title for item in new.services if item.service.strip()}
    for service in chosen:
        if not service.lower().startswith(("http://", "https://", "ivo://")):
            wrong["services"] = f"{service[:100]!r} is no address (expected http://, https:// or ivo://)"
    if not positions:
        wrong["positions"] = "no position is given"
    if wrong:
        raise ParameterError(wrong)
    asked = Constraints(positions, limit=new.limit, **values)
    return kept.begin(visitor.name, chosen, asked).document()


@router.get("/searches/{id}", summary="How far a search is")
async def show(
    visitor: Trusted,
    kept: Kept,
    waiting: Waiting,
    id: str,
    first: Annotated[int, Query(ge=0, description="The first record that is wanted.")] = 0,
    version: Annotated[int, Query(description="Answer when there is more than this version.")] = -1,
    wait: Annotated[float, Query(ge=0, description="Seconds to wait for that, 25 at most.")] = 0,
) -> JSONResponse:
    """The services with their states, and the records from `first` on."""
    search = kept.get(visitor.name, id)
    if wait:
        await waiting.run(search.wait, version, min(wait, _LONGEST_WAIT))
    return await run_in_threadpool(lambda: JSONResponse(search.document(first)))  # there may be 50,000 records


@router.post("/searches/{id}/retry", status_code=202, summary="Ask a service again")
def retry(visitor: Trusted, kept: Kept, id: str, again: Retry) -> dict[str, Any]:
    """Ask one service of a search once more."""
    search = kept.get(visitor.name, id)
    search.retry(again.service)
    return search.document(len(search.records))


@router.get("/searches/{id}/options", summary="What the services can be asked for")
async def options(visitor: Trusted, kept: Kept, waiting: Waiting, id: str) -> dict[str, Any]:
    """Options of the services' DataLink and SODA descriptors, by name; `errors` says which could not be asked."""
    from emberline.vo.client.harvest.options import offers

    found, wrong = await waiting.run(lambda: offers(kept.session, list(kept.get(visitor.name, id).records)))
    return {"options": [dataclasses.asdict(offer) for offer in found], "errors": wrong}


# Fetching -------------------------------------------------------------------------------------------------------------


@router.post("/searches/{id}/fetch", status_code=201, summary="Fetch records into an archive")
def fetch(request: Request, visitor: Trusted, kept: Kept, id: str, new: Fetch) -> dict[str, Any]:
    """Put records into the archive's queue and make the job that fetches them."""
    from emberline.vo.client.harvest.constraints import parse_options
    from emberline.vo.client.harvest.history import open_history
    from emberline.vo.client.harvest.running import check_folder

    records = list(kept.get(visitor.name, id).records)
    if new.rows is not None:
        wanted = {number for first, last in new.rows for number in range(max(0, first), min(last + 1, len(records)))}
        records = [records[number] for number in sorted(wanted)]
    if not records:
        raise ParameterError({"rows": "no record is selected"})
    try:
        asked = parse_options(f"{name}={value}" for name, value in new.options.items() if value.strip())
    except EmberlineError as error:
        raise ParameterError({"options": str(error)}) from error
    folder = _archive(request, new.into)
    try:
        check_folder(folder)
        with open_history(folder, create=True) as history:
            added = history.add(records, asked, asked_by=visitor.name)
            waiting = history.counts()["waiting"]
    except OSError as error:
        raise ParameterError({"into": f"the folder cannot be used: {error.strerror or error}"}) from error
    except ArchiveError as error:  # which names the whole path; here it is known by the workspace's
        raise ParameterError({"into": str(error).replace(str(folder), new.into.strip())}) from error
    parameters = {"into": new.into, "medium": new.medium, "keep": new.keep}
    job = desk_of(request).create(_JOB, parameters, label=new.label, run=True)
    return {"job": job.to_mapping(), "selected": len(records), "added": added, "waiting": waiting}


def _archive(request: Request, name: str) -> Path:
    """The folder of an archive, as the job will be allowed to write it.

    Raises
    ------
    ParameterError
        It leads out of the workspace.
    """
    folder: Path = validate(HARVEST, {"into": name.strip()}, site_of(request).workspace.confinement).into
    return folder


# The history ----------------------------------------------------------------------------------------------------------


@router.get("/history", summary="What became of each file")
def history(
    request: Request,
    visitor: Trusted,
    archive: Annotated[str, Query(min_length=1, max_length=500)],
    state: Annotated[list[str] | None, Query(description="Repeat it for several.")] = None,
    limit: Annotated[int, Query(ge=1, le=5000)] = 200,
    offset: Annotated[int, Query(ge=0, le=1 << 40)] = 0,
) -> dict[str, Any]:
    """The files of an archive's history, the latest change first, and how many there are in each state."""
    from emberline.vo.client.harvest.history import FOLDER, STATES, open_history

    folder = _archive(request, archive)
    if not (folder / FOLDER / "history.db").exists():
        return {"archive": archive, "version": 0, "counts": dict.fromkeys(STATES, 0), "files": []}
    with open_history(folder) as kept:
        files = kept.files(state or STATES, newest=True, limit=limit, offset=offset)
        return {
            "archive": archive,
            "version": kept.version(),
            "counts": kept.counts(),
            "files": [file.to_mapping() for file in files],
        }


@router.post("/history/retry", status_code=201, summary="Fetch again what failed")
def retry_files(request: Request, visitor: Trusted, again: RetryFiles) -> dict[str, Any]:
    """Let files that failed wait again, and make the job that fetches them."""
    from emberline.vo.client.harvest.history import open_history

    with open_history(_archive(request, again.archive)) as kept:
        count = kept.retry(again.numbers)
    if not count:
        raise ParameterError({"numbers": "none of these has failed"})
    job = desk_of(request).create(
        _JOB, {"into": again.archive, "medium": again.medium}, label=f"Again: {count} files"[:200], run=True
    )
    return {"job": job.to_mapping(), "files": count}
