"""What is known of a spectrum beside its label: panels as JSON, images, overlays, and asking a service again."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path as FilePath
from typing import Annotated, Any
from urllib.parse import quote

import anyio
import anyio.to_thread
import numpy as np
from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from emberline.campaign import Campaign
from emberline.campaign.annotation.handout import agenda_of
from emberline.campaign.panels import ContextStore, context_document
from emberline.campaign.panels.registry import chosen
from emberline.errors import CampaignError, EmberlineError
from emberline.jobs import Job, Phase
from emberline.provenance import plain
from emberline.web.events import HEARTBEAT, Hub, stream
from emberline.web.jobs_api import still_allowed
from emberline.web.permissions import Action
from emberline.web.visitors import Site, Visitor, desk_of, required, site_of

__all__ = ["router"]

router = APIRouter(prefix="/api/campaigns", tags=["context"])

_GOING = (Phase.PENDING, Phase.QUEUED, Phase.EXECUTING, Phase.SUSPENDED, Phase.HELD)
_ONE_JOB = threading.Lock()
LOOK = 0.25  # s between two looks at what has been found, for each page that waits for something
_FEW = 50  # changes that are named one by one
_PAUSE = 300.0  # s until a round is asked about again of which something is still missing
_ASKED: dict[str, float] = {}
_IMAGES = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff"}

Spectrum = Annotated[str, Query(max_length=500, description="The spectrum, one that was asked about.")]


@dataclasses.dataclass(frozen=True)
class Beside:
    """Who looks beside which campaign."""

    path: str
    campaign: Campaign
    visitor: Visitor

    def asked(self, spectrum: str) -> None:
        """Refuse a spectrum that nobody was asked about.

        Raises
        ------
        CampaignError
        """
        if agenda_of(self.campaign).get(spectrum) is None:
            raise CampaignError("was never asked about", where=spectrum)

    @property
    def prefix(self) -> str:
        """The address of the campaign's context."""
        return f"/api/campaigns/{quote(self.path)}/context"


def _beside(request: Request, campaign: Annotated[str, Path(max_length=500)]) -> Beside:
    visitor = required(request, Action.LABEL)
    return Beside(campaign, site_of(request).campaigns.open(campaign), visitor)


At = Annotated[Beside, Depends(_beside)]


class Retry(BaseModel):
    """What is to be asked again."""

    model_config = ConfigDict(extra="forbid", strict=True)

    spectrum: str = Field(max_length=500)
    panel: str = Field("", max_length=100, description="All panels of the spectrum when left out.")


@router.get("/{campaign:path}/context", summary="What is known of a spectrum")
def context(request: Request, at: At, spectrum: Spectrum) -> dict[str, Any]:
    """All panels as they are stored: nobody is asked meanwhile, and a panel that was not asked yet waits.

    It says nothing of the network's opinion, so a blind annotator may see it before the answer.
    """
    at.asked(spectrum)
    with ContextStore.of(at.campaign.path) as store:
        document = context_document(store, at.campaign.config.context.panels, spectrum, at.prefix)
    if any(panel["state"] == "waiting" for panel in document["panels"]):
        _ask_about_round(request, at)
    return document


def _ask_about_round(request: Request, at: Beside) -> None:
    """Nobody has asked about this round, as after one that the command line made: let a job do it, once in a while."""
    folder, now = str(at.campaign.path), time.monotonic()
    with _ONE_JOB:
        if now < _ASKED.get(folder, 0.0) + _PAUSE:
            return
        _ASKED[folder] = now
        site = site_of(request)
        with contextlib.suppress(EmberlineError):
            going = site.store.jobs(type="context", phases=_GOING, limit=1000)
            if not any(
                job.parameters.get("campaign") == at.path and not job.parameters.get("spectra") for job in going
            ):
                desk_of(request).create("context", {"campaign": at.path}, run=True)


@router.post("/{campaign:path}/context/retry", status_code=202, summary="Ask again")
def retry(request: Request, at: At, again: Retry) -> dict[str, Any]:
    """Ask one panel again, or all, in a job of its own; the change is told by the event ``context``."""
    at.asked(again.spectrum)
    if again.panel:
        chosen([again.panel])
    parameters = {
        "campaign": at.path,
        "spectra": [again.spectrum],
        "panels": [again.panel] if again.panel else [],
        "again": True,
    }
    with _ONE_JOB:
        going = _going(site_of(request), at, parameters)
        job = going or desk_of(request).create(
            "context", parameters, label=f"{again.panel or 'Context'} of {again.spectrum}"[:200], run=True
        )
    return {"job": job.id}


def _going(site: Site, at: Beside, parameters: dict[str, Any]) -> Job | None:
    """A job that asks just this already."""
    jobs = site.store.jobs(type="context", phases=_GOING, limit=1000)
    return next((job for job in jobs if all(job.parameters.get(k) == v for k, v in parameters.items())), None)


@router.get("/{campaign:path}/context/events", summary="What has been found meanwhile", response_class=Response)
async def context_events(request: Request, at: At) -> Response:
    """Server-sent events: ``context`` with the spectrum and the panel, or with neither when much has come at a time."""
    return stream(_news(site_of(request).hub, at.campaign.path, still_allowed(request)))


async def _news(hub: Hub, campaign: FilePath, still_allowed: Callable[[], Awaitable[bool]]) -> AsyncIterator[str]:
    """One look a quarter of a second at the one file; a heartbeat when nothing comes for long."""
    seen = await anyio.to_thread.run_sync(_version, campaign)
    yield "retry: 2000\n\n"
    checked = time.monotonic()
    while not hub.closed:
        await anyio.sleep(LOOK)
        found, changes = await anyio.to_thread.run_sync(_changes, campaign, seen)
        if found != seen:
            seen = found
            told = [{"spectrum": name, "panel": panel} for name, panel in changes] if len(changes) <= _FEW else [{}]
            yield "".join(f"event: context\ndata: {json.dumps(each)}\n\n" for each in told)
        if time.monotonic() - checked >= HEARTBEAT:
            checked = time.monotonic()
            if not await still_allowed():
                return
            yield ": heartbeat\n\n"


def _version(campaign: FilePath) -> int:
    with ContextStore.of(campaign) as store:
        return store.version()


def _changes(campaign: FilePath, since: int) -> tuple[int, list[tuple[str, str]]]:
    try:
        with ContextStore.of(campaign) as store:
            version = store.version()
            return version, store.changed(since, _FEW + 1) if version != since else []
    except EmberlineError:
        return since, []  # it is being made anew, or the disk is full: the next look will tell


@router.get("/{campaign:path}/context/overlay", summary="Another spectrum, for the plot")
def overlay(at: At, spectrum: Spectrum, overlay: Annotated[str, Query(max_length=100)]) -> dict[str, Any]:
    """Vacuum Å in the velocity frame of the spectrum itself, and flux in whatever unit it has."""
    at.asked(spectrum)
    with ContextStore.of(at.campaign.path) as store:
        found = store.overlay(spectrum, overlay)
    if found is None:
        raise HTTPException(404, "there is no such overlay")
    arrays = {name: plain(np.asarray(found[name], float).round(6)) for name in ("wavelength", "flux")}
    return {**{name: found[name] for name in ("title", "frame", "note")}, "medium": "vacuum", **arrays}


@router.get("/{campaign:path}/context/image", summary="The picture of a panel", response_class=Response)
def image(at: At, spectrum: Spectrum, panel: Annotated[str, Query(max_length=100)]) -> Response:
    """PNG or JPEG, as a service gave it."""
    at.asked(spectrum)
    with ContextStore.of(at.campaign.path) as store:
        found = store.image(spectrum, panel)
    if found is None or not found[0].startswith(_IMAGES.get(found[1], b"\0")):
        raise HTTPException(404, "there is no such image")
    return Response(found[0], media_type=found[1], headers={"cache-control": "private, max-age=86400"})


def warm() -> None:
    """Find the panels when the server starts, so that the first question does not wait for their modules."""
    try:
        chosen([])
    except EmberlineError:
        return
