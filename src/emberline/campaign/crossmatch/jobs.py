"""The job type ``crossmatch``: a campaign's candidates with the catalogues that its configuration names, or others."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from emberline.archive.jobs import reach, shown
from emberline.jobs import JobContext, JobType, Preset, parameter
from emberline.progress import Progress

if TYPE_CHECKING:
    from emberline.campaign.crossmatch.catalogues import Request

__all__ = ["CROSSMATCH", "CrossmatchParameters", "run_crossmatch"]

_ENDINGS = {"votable": ".vot", "fits": ".fits", "csv": ".csv", "parquet": ".parquet"}


@dataclasses.dataclass(frozen=True)
class CrossmatchParameters:
    """What the job ``crossmatch`` is asked for."""

    campaign: Path = parameter("The campaign's folder.", kind="campaign")
    catalogues: tuple[str, ...] = parameter(
        "simbad, gaia, tables of VizieR (II/246/out), addresses of TAP services (https://…/tap#table), archives and "
        "files of the workspace; those of the campaign's configuration by default.",
        default=(),
    )
    radius: float | None = parameter("Arcseconds; the campaign's by default.", default=None)
    format: Literal["votable", "fits", "csv", "parquet"] = parameter("The format of the table.", default="votable")
    chance: bool = parameter("Estimate how many matches are by chance, which asks about a sample more.", default=True)
    fresh: bool = parameter("Ask again what was answered in the last days.", default=False)

    def __post_init__(self) -> None:
        if self.radius is not None and not 0 < self.radius <= 36_000:
            raise ValueError(f"radius is {self.radius}: choose more than 0 and at most 36000 arcsec")


def run_crossmatch(parameters: CrossmatchParameters, context: JobContext) -> dict[str, Any]:
    """Match the candidates; after an interruption only the blocks that had not been answered are asked.

    The table and the numbers are kept in the campaign, and are among the results.
    """
    from emberline.campaign.candidates_io import write_candidates
    from emberline.campaign.crossmatch import crossmatch_campaign, parse_requests
    from emberline.campaign.crossmatch.matching import write_summary
    from emberline.campaign.crossmatch.targets import options_of
    from emberline.campaign.jobs import opened_campaign

    with opened_campaign(parameters.campaign, context) as campaign:
        requests = parse_requests(_named(parameters.catalogues or campaign.config.crossmatch.catalogues, context))
        inside: list[Request] = []
        for request in requests:
            path = str(reach(context, request.what)) if request.local else request.what
            inside.append(dataclasses.replace(request, what=path))
        options = options_of(campaign)
        options = dataclasses.replace(
            options,
            radius_arcsec=parameters.radius or options.radius_arcsec,
            chance=parameters.chance,
            max_age_days=0.0 if parameters.fresh and context.attempt == 1 else options.max_age_days,
        )
        root = None if context.confinement is None else context.confinement.root
        done = crossmatch_campaign(campaign, inside, options, workspace=root, progress=_as_one(context, inside))
        file = context.folder / f"candidates-crossmatch{_ENDINGS[parameters.format]}"
        write_candidates(done.table, file, {"crossmatch": done.summary})
        write_summary(done.summary, context.folder / "crossmatch.json")
    for item in done.summary["catalogues"]:
        if item["state"] == "failed":
            context.log.warning("%s failed: %s", item["name"], item["message"])
    return {"campaign": shown(context, parameters.campaign), "file": file.name, **_numbers(done.summary)}


def _named(texts: tuple[str, ...], context: JobContext) -> list[str]:
    """With the paths of files in a workspace made absolute, so that they are found wherever the worker stands."""
    if context.confinement is None:
        return list(texts)
    root = context.confinement.root
    found = []
    for text in texts:
        name, equals, what = text.rpartition("=") if not text.startswith("http") else ("", "", text)
        inside = root / what.partition("@")[0]
        found.append(f"{name}{equals}{root / what}" if what and inside.exists() else text)
    return found


def _as_one(context: JobContext, requests: Sequence[Request]) -> Progress:
    """The progress of all catalogues as that of one step."""
    names = [request.name for request in requests]

    def told(step: str, done: int, total: int | None) -> None:
        name = step.removesuffix(" aside")
        if name not in names:
            context.progress(step, done, total)
            return
        share = (done / total if total else 1.0) * (0.9 if step == name else 0.1) + (0.0 if step == name else 0.9)
        context.progress("match", round(1000 * (names.index(name) + share)), 1000 * len(names))

    return told


def _numbers(summary: dict[str, Any]) -> dict[str, Any]:
    keys = ("rows", "known_target", "known", "new", "not_known", "ambiguous", "failed")
    return {key: summary[key] for key in keys}


CROSSMATCH = JobType(
    name="crossmatch",
    title="Cross-match the candidates",
    description="What SIMBAD, Gaia, VizieR and others know of the candidates: which are known, as what, and which new.",
    parameters=CrossmatchParameters,
    function="emberline.campaign.crossmatch.jobs:run_crossmatch",
    steps={"features": 0.05, "match": 0.95},
    presets=(
        Preset("As configured", "The catalogues that the campaign names; SIMBAD and Gaia by default.", {}),
        Preset("SIMBAD", "Which are known, and as what.", {"catalogues": ["simbad"]}),
        Preset("All anew", "Asks again what was answered in the last days.", {"fresh": True}),
    ),
)
