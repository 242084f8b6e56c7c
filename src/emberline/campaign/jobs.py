"""Long work on campaigns as job types: round, predict, candidates, report; and the store of all types."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from emberline.archive.jobs import FEATURES, INGEST, SIMULATE, reach, shown
from emberline.campaign.crossmatch.jobs import CROSSMATCH
from emberline.campaign.panels.jobs import CONTEXT, follow_round
from emberline.errors import ArchiveError, CampaignError
from emberline.files import write_text
from emberline.jobs import JobContext, JobStore, JobType, Preset, Workspace, parameter
from emberline.vo.client.harvest.jobs import HARVEST

if TYPE_CHECKING:
    from emberline.campaign.campaign import Campaign

__all__ = [
    "CANDIDATES",
    "JOB_TYPES",
    "PREDICT",
    "REPORT",
    "ROUND",
    "CandidatesParameters",
    "PredictParameters",
    "ReportParameters",
    "RoundParameters",
    "open_jobs",
    "opened_campaign",
    "run_candidates",
    "run_predict",
    "run_report",
    "run_round",
]

_CAMPAIGN = "The campaign's folder."


@contextlib.contextmanager
def opened_campaign(folder: Path, context: JobContext) -> Iterator[Campaign]:
    """A campaign, its pool included; in a workspace nothing that it names may lead out.

    Raises
    ------
    OutsideError
        Its folder, an archive of its pool, or a link in one of them leads out of the workspace.
    """
    from emberline.campaign.campaign import Campaign

    with contextlib.closing(Campaign(reach(context, folder, write=context.confinement is not None))) as campaign:
        if context.confinement is not None:
            for archive in campaign.config.pool.archives:
                _check_archive(campaign, reach(context, archive), context)
        campaign.prepare(engine=context.engine, progress=context.progress)
        yield campaign


def _check_archive(campaign: Campaign, archive: Path, context: JobContext) -> None:
    """An archive whose files may only be read must have its features already: they would be written into it."""
    from emberline.archive.matrix import built_recipes
    from emberline.archive.store import open_archive

    assert context.confinement is not None
    if archive.is_relative_to(context.confinement.root.resolve()):
        return
    built = {found["hash"] for found in built_recipes(open_archive(archive)) if found["complete"]}
    if campaign.recipe.hash not in built:
        raise ArchiveError(
            f"the features of the recipe {campaign.recipe.name!r} are missing, and this archive may only be read here",
            where=str(archive),
            action="Build them where it may be written, with: emberline features ARCHIVE --recipe RECIPE",
        )


def _new_output(path: Path, context: JobContext) -> Path:
    """Where a job may write what it makes for people: in a workspace a new file, and none of an archive or campaign.

    Raises
    ------
    CampaignError
    """
    if context.confinement is None:
        return path
    found = context.path(path, write=True)
    owner = next((p for p in found.parents if (p / "archive.toml").exists() or (p / "campaign.toml").exists()), None)
    again = context.checkpoint is not None and context.checkpoint.get("out") == os.fspath(path)
    if owner is not None or (found.exists() and not again):
        raise CampaignError(
            "there is such a file already" if owner is None else "lies in an archive or a campaign",
            where=shown(context, path),
            expected="a new file" if owner is None else "a place outside of them",
            action="Choose another name, or leave it out: the job's results hold the same.",
        )
    context.save_checkpoint({"out": os.fspath(path)})
    found.parent.mkdir(parents=True, exist_ok=True)
    return found


# Rounds ---------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class RoundParameters:
    """What the job ``round`` is asked for."""

    campaign: Path = parameter(_CAMPAIGN, kind="campaign")
    batch: int | None = parameter(
        "How many spectra the new round asks about; the campaign's by default. "
        "0 makes a closing round, which asks for the final control sample only.",
        default=None,
    )
    finish: bool = parameter("Close the open round even though some of its questions have no answer.", default=False)

    def __post_init__(self) -> None:
        if self.batch is not None and self.batch < 0:
            raise ValueError(f"batch is {self.batch}: choose 0 or more, or leave it out")


def run_round(parameters: RoundParameters, context: JobContext) -> dict[str, Any]:
    """Close the open round when all its questions are answered, then train, predict and ask the next one's.

    An open round that was interrupted before it asked is resumed instead. After an interruption the job goes on with
    the round that it had begun, and never closes that one for want of answers.

    Raises
    ------
    CampaignError
        The open round waits for answers and `finish` was not asked for, or another process works on the campaign.
    """
    with opened_campaign(parameters.campaign, context) as campaign, campaign.alone():
        state = context.checkpoint or _begin(campaign, parameters, context)
        number = int(state["round"])
        if number == len(campaign.rounds()) or campaign.current_round() is not None:
            number = campaign.advance(batch=parameters.batch, engine=context.engine, progress=context.progress)
            if not campaign.open_questions():
                campaign.finish_round()  # it asks nothing, so there is nothing to wait for
            else:
                follow_round(parameters.campaign, context)
        return {
            "campaign": shown(context, parameters.campaign),
            "closed_round": state["closed"],
            **_outcome(campaign, number),
        }


def _begin(campaign: Campaign, parameters: RoundParameters, context: JobContext) -> dict[str, Any]:
    """Close the open round if that can be, and note which round this job is about before it is begun."""
    current = campaign.current_round()
    closed = None
    if current is not None and "query" in campaign.database.steps(int(current["number"])):
        waiting = len(campaign.open_questions())
        if waiting and not parameters.finish:
            raise CampaignError(
                f"round {current['number']} waits for an answer to {waiting:,} questions",
                where=shown(context, parameters.campaign),
                action="Answer them, or close the round without them by finish = true.",
            )
        closed = campaign.advance(
            engine=context.engine, progress=context.progress
        )  # a pool that has grown since is read first
        campaign.finish_round()
        current = None
    number = len(campaign.rounds()) if current is None else int(current["number"])
    state = {"round": number, "closed": closed}
    context.save_checkpoint(state)
    return state


def _outcome(campaign: Campaign, number: int) -> dict[str, Any]:
    from emberline.campaign.predictions import model_file

    asked = campaign.database.questions(number)
    return {
        "round": number,
        "trained": model_file(campaign.path, number).exists(),
        "query_questions": sum(question.purpose == "query" for question in asked),
        "control_questions": sum(question.purpose == "control" for question in asked),
        "open_questions": len(campaign.open_questions()),
        "unanswered": len(campaign.unanswered()),
        "pool": len(campaign.pool),
        "seconds": campaign.database.steps(number),
    }


ROUND = JobType(
    name="round",
    title="Run a round",
    description="Train on the labels, let the network read the pool, and choose what to ask the oracle next.",
    parameters=RoundParameters,
    function="emberline.campaign.jobs:run_round",
    steps={"features": 0.02, "train": 0.62, "predict": 0.28, "query": 0.08},
    writes=("campaign",),
    presets=(
        Preset("Next round", "Once every question of the open round is answered.", {}),
        Preset("Next round, whatever is open", "Closes the open round without the missing answers.", {"finish": True}),
        Preset("Closing round", "Trains on all labels and asks for the final control sample only.", {"batch": 0}),
    ),
)


@dataclasses.dataclass(frozen=True)
class PredictParameters:
    """What the job ``predict`` is asked for."""

    campaign: Path = parameter(_CAMPAIGN, kind="campaign")


def run_predict(parameters: PredictParameters, context: JobContext) -> dict[str, Any]:
    """Let the newest network read a pool that has grown; what an interrupted attempt had read is kept.

    Raises
    ------
    CampaignError
        No network has been trained yet, or another process works on the campaign.
    """
    from emberline.campaign.predictions import latest_model

    with opened_campaign(parameters.campaign, context) as campaign, campaign.alone():
        changed = campaign.predict(engine=context.engine, progress=context.progress)
        newest = latest_model(campaign.path)
        return {
            "campaign": shown(context, parameters.campaign),
            "network": newest.stem if newest else "",
            "spectra": len(campaign.pool),
            "changed": changed,
        }


PREDICT = JobType(
    name="predict",
    title="Predict the pool",
    description="Let the newest network read the pool again when spectra were added to its archives.",
    parameters=PredictParameters,
    function="emberline.campaign.jobs:run_predict",
    steps={"features": 0.1, "predict": 0.9},
    writes=("campaign",),
    presets=(Preset("After an ingest", "Reads the spectra that were added; estimates stay as they are.", {}),),
)


# Results --------------------------------------------------------------------------------------------------------------

_ENDINGS = {"votable": ".vot", "fits": ".fits", "csv": ".csv", "parquet": ".parquet"}


@dataclasses.dataclass(frozen=True)
class CandidatesParameters:
    """What the job ``candidates`` is asked for."""

    campaign: Path = parameter(_CAMPAIGN, kind="campaign")
    format: Literal["votable", "fits", "csv", "parquet"] = parameter("The format of the table.", default="votable")
    out: Path | None = parameter(
        "Write the table to this new file too; its ending (.vot, .fits, .csv, .ecsv, .parquet) chooses its format.",
        kind="file",
        default=None,
    )


def run_candidates(parameters: CandidatesParameters, context: JobContext) -> dict[str, Any]:
    """Write the catalogue of candidates into the results, and to `out` when it is given.

    In the foreground `out` takes the place of the results.
    """
    from emberline.campaign.candidates_io import check_format

    files = []
    if parameters.out is not None:
        check_format(parameters.out)
        files.append(_new_output(parameters.out, context))
    if parameters.out is None or context.confinement is not None:
        files.append(context.folder / f"candidates{_ENDINGS[parameters.format]}")
    with opened_campaign(parameters.campaign, context) as campaign:
        for done, file in enumerate(files):
            context.progress("candidates", done, len(files))
            count = campaign.write_candidates(file)
    context.progress("candidates", len(files), len(files))
    return {"candidates": count, "file": shown(context, parameters.out) if parameters.out else files[-1].name}


CANDIDATES = JobType(
    name="candidates",
    title="Write the candidates",
    description="The catalogue of candidates: probabilities, labels, provenance; for TOPCAT, Aladin or a script.",
    parameters=CandidatesParameters,
    function="emberline.campaign.jobs:run_candidates",
    steps={"features": 0.1, "candidates": 0.9},
    writes=("out",),
    presets=(
        Preset("VOTable", "For TOPCAT, Aladin and other VO tools.", {"format": "votable"}),
        Preset("FITS table", "For astropy, IDL and archives.", {"format": "fits"}),
        Preset("CSV", "For a spreadsheet; units and descriptions come in a file beside it.", {"format": "csv"}),
        Preset("Parquet", "For pandas, DuckDB and large catalogues.", {"format": "parquet"}),
    ),
)


@dataclasses.dataclass(frozen=True)
class ReportParameters:
    """What the job ``report`` is asked for."""

    campaign: Path = parameter(_CAMPAIGN, kind="campaign")
    out: Path | None = parameter("Write the page into this folder too.", kind="file", default=None)


def run_report(parameters: ReportParameters, context: JobContext) -> dict[str, Any]:
    """Write the report's page into the results, and into the folder `out` when it is given.

    In the foreground `out` takes the place of the results.
    """
    places = []
    if parameters.out is not None:
        places.append(_new_output(parameters.out / "index.html", context))
    if parameters.out is None or context.confinement is not None:
        places.append(context.folder / "report" / "index.html")
    with opened_campaign(parameters.campaign, context) as campaign:
        context.progress("report", 0, 1)
        page = campaign.write_report(places[0].parent)
    for place in places[1:]:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_text(place, page.read_text(encoding="utf-8"))
    context.progress("report", 1, 1)
    return {"page": shown(context, parameters.out / "index.html") if parameters.out else "report/index.html"}


REPORT = JobType(
    name="report",
    title="Write the report",
    description="One page: learning curve, estimates with their intervals, candidates with spectra, provenance.",
    parameters=ReportParameters,
    function="emberline.campaign.jobs:run_report",
    steps={"features": 0.1, "report": 0.9},
    writes=("out",),
    presets=(Preset("Report", "The page among the job's results.", {}),),
)

JOB_TYPES: tuple[JobType, ...] = (
    INGEST,
    HARVEST,
    FEATURES,
    SIMULATE,
    ROUND,
    PREDICT,
    CANDIDATES,
    CROSSMATCH,
    REPORT,
    CONTEXT,
)
"""All job types, in the order of a search."""


def open_jobs(workspace: Workspace) -> JobStore:
    """The jobs of a workspace, with all types and the workspace's limits."""
    return JobStore(
        workspace.jobs_folder,
        JOB_TYPES,
        workspace.confinement,
        default_duration=workspace.config.hours * 3600,
        keep_days=workspace.config.keep_days,
    )
