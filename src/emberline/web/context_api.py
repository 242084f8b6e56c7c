"""What is known of a spectrum beside its label: panels as JSON, images, overlays, and asking a service again."""

from __future__ import annotations

import dataclasses
import threading
from typing import Annotated, Any
from urllib.parse import quote

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
from emberline.web.permissions import Action
from emberline.web.visitors import Site, Visitor, desk_of, required, site_of

__all__ = ["router"]

router = APIRouter(prefix="/api/campaigns", tags=["context"])

_GOING = (Phase.PENDING, Phase.QUEUED, Phase.EXECUTING, Phase.SUSPENDED, Phase.HELD)
_ONE_JOB = threading.Lock()
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
        return context_document(store, at.campaign.config.context.panels, spectrum, at.prefix)


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


@router.post("/{campaign:path}/context/prefetch", status_code=202, summary="Ask about the whole round")
def prefetch(request: Request, at: At) -> dict[str, Any]:
    """Ask what is not known yet of the newest round's spectra, in a job; the one that is at it already when there is.

    The page calls it once when it finds a panel that waits, as after a round that an older version made.
    """
    site = site_of(request)
    with _ONE_JOB:
        going = next(
            (
                job
                for job in site.store.jobs(type="context", phases=_GOING, limit=1000)
                if job.parameters.get("campaign") == at.path and not job.parameters.get("spectra")
            ),
            None,
        )
        job = going or desk_of(request).create("context", {"campaign": at.path}, run=True)
    return {"job": job.id}


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
