"""The job type ``context``: what a round's spectra are, asked beside everything else; and how it is set off."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emberline.archive.jobs import bounds_of, reach, shown
from emberline.errors import EmberlineError
from emberline.jobs import JobContext, JobType, Preset, parameter

if TYPE_CHECKING:
    from emberline.jobs import Job

__all__ = ["CONTEXT", "ContextParameters", "follow_round", "run_context", "start_in_background"]

_LOG = logging.getLogger("emberline.campaign.panels")


@dataclasses.dataclass(frozen=True)
class ContextParameters:
    """What the job ``context`` is asked for."""

    campaign: Path = parameter("The campaign's folder.", kind="campaign")
    spectra: tuple[str, ...] = parameter(
        "Only about these spectra; about all that the newest round asks by default.", default=()
    )
    panels: tuple[str, ...] = parameter("Only these panels; all of the campaign by default.", default=())
    retry: bool = parameter("Ask again what failed; otherwise only what was never asked.", default=True)
    again: bool = parameter("Ask again what is known already.", default=False)


def run_context(parameters: ContextParameters, context: JobContext) -> dict[str, Any]:
    """Ask all panels about the newest round's spectra; after an interruption only what is not known yet is asked."""
    from emberline.campaign.campaign import Campaign
    from emberline.campaign.panels.prefetch import prefetch

    folder = reach(context, parameters.campaign, write=context.confinement is not None)
    bounds = bounds_of(context)
    with contextlib.closing(Campaign(folder)) as campaign:
        if bounds is not None:
            for archive in (*campaign.config.pool.archives, *(start.archive for start in campaign.config.start)):
                bounds.resolve(archive)
        outcome = prefetch(
            campaign,
            parameters.spectra or None,
            panels=parameters.panels,
            retry=parameters.retry,
            again=parameters.again and context.attempt == 1,
            workspace=None if context.confinement is None else context.confinement.root,
            progress=context.progress,
        )
    return {"campaign": shown(context, parameters.campaign), **outcome}


CONTEXT = JobType(
    name="context",
    title="Ask what is known of them",
    description="Identity, photometry, catalogues, other spectra, images and confusion of a round's spectra.",
    parameters=ContextParameters,
    function="emberline.campaign.panels.jobs:run_context",
    steps={"context": 1.0},
    presets=(
        Preset("What is missing", "What has been found is kept, what failed is asked again.", {}),
        Preset("All anew", "Asks everything again, as after a change of the configuration.", {"again": True}),
    ),
    aside=True,
)


def follow_round(campaign: Path, context: JobContext) -> Job | None:
    """After a round was made by a job, queue one that asks about its spectra, for the same owner; None when it cannot.

    The round is made by now: whatever goes wrong here is no fault of it.
    """
    if context.confinement is None or not (context.confinement.root / "jobs" / "jobs.db").exists():
        return None
    from emberline.campaign.jobs import open_jobs
    from emberline.jobs import Workspace

    try:
        workspace = Workspace.open(context.confinement.root)
        with contextlib.closing(open_jobs(workspace)) as store:
            owner = store.job(context.folder.parent.name).owner
            return store.create("context", {"campaign": shown(context, campaign)}, owner=owner, run=True)
    except (EmberlineError, OSError) as error:
        context.log.warning("What is known of the spectra is not asked now: %s", error)
        return None


def start_in_background(campaign: Path) -> bool:
    """Ask about the newest round's spectra in a process of its own, which this one does not wait for.

    It writes to ``context.log`` in the campaign's folder. Returns whether it was started.
    """
    command = [sys.executable, "-P", "-m", "emberline.campaign.panels", os.fspath(Path(campaign).absolute())]
    try:
        with open(Path(campaign) / "context.log", "wb") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True
            )
    except OSError as error:
        _LOG.warning("what is known of the spectra is not asked now: %s", error)
        return False
    threading.Thread(target=process.wait, daemon=True).start()  # or it would stay as a zombie where we live longer
    return True
