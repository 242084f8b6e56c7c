"""The job type ``harvest``: what the command line and the page run."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from emberline.archive.jobs import reach, shown
from emberline.jobs import JobContext, JobType, Preset, parameter

if TYPE_CHECKING:
    from emberline.vo.client.harvest.constraints import Constraints
    from emberline.vo.client.harvest.selecting import Sources

__all__ = ["HARVEST", "HarvestParameters", "run_harvest"]


@dataclasses.dataclass(frozen=True)
class HarvestParameters:
    """What the job ``harvest`` is asked for."""

    into: Path = parameter("The archive's folder; made when new.", kind="new-archive")
    ssap: tuple[str, ...] = parameter("SSAP services: addresses, or identifiers in the registry (ivo://…).", default=())
    position: tuple[str, ...] = parameter(
        "Names of objects, or right ascension and declination (ICRS): 83.6331 +22.0145, 05:34:31.9 +22:00:52.",
        default=(),
    )
    size: str = parameter("Diameter of the circle around each position: 10arcsec, 3arcmin, 0.1 (deg).",
                          default="10arcsec")  # fmt: skip
    band: str = parameter(
        "Wavelengths that a spectrum must touch, vacuum: 6500/6700 (Angstrom), 650/670 nm; an end may be left out.",
        default="",
    )
    time: str = parameter("When it was observed: 2012-01-01/2013-06; an end may be left out.", default="")
    limit: int | None = parameter(
        "Records taken from each service at each position at most; the service's own limit by default.", default=None
    )
    votable: Path | None = parameter(
        "A VOTable file with a column of addresses, such as a saved SSAP or ObsCore answer.", kind="file", default=None
    )
    tap: str = parameter("An ADQL query whose answer has a column of addresses, such as access_url.", default="")
    service: str = parameter("The TAP service that is asked: its address or registry identifier.", default="")
    option: tuple[str, ...] = parameter(
        "NAME=VALUE for DataLink and SODA: cutout=6500/6700, format=fits, rectified=yes, or a service's own parameter.",
        default=(),
    )
    retry_failed: bool = parameter("Try again what failed in earlier runs.", default=False)
    reader: str = parameter("Force a reader instead of detecting the format of each file.", default="")
    medium: Literal["", "air", "vacuum"] = parameter(
        "What holds for files that say neither air nor vacuum; they fail when it is empty.", default=""
    )
    keep: bool = parameter("Keep the fetched files after they were ingested.", default=False)

    def __post_init__(self) -> None:
        from emberline.vo.client.harvest.constraints import parse_band, parse_options, parse_size, parse_time

        parse_size(self.size)
        if self.band:
            parse_band(self.band)
        if self.time:
            parse_time(self.time)
        parse_options(self.option)
        for name, addresses in (("ssap", self.ssap), ("service", (self.service,) if self.service else ())):
            for address in addresses:
                if not address.lower().startswith(("http://", "https://", "ivo://")):
                    raise ValueError(f"{name}: {address!r} is no address (expected https://, http:// or ivo://)")
        if self.ssap and not self.position:
            raise ValueError("position is missing: the services of ssap are asked at a position")
        if self.position and not self.ssap:
            raise ValueError("ssap is missing: a position is what SSAP services are asked for")
        if bool(self.tap) != bool(self.service):
            missing, other = ("service", "tap") if self.tap else ("tap", "service")
            raise ValueError(f"{missing} is missing: {other} is of no use without it")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit is {self.limit}: choose 1 or more, or leave it out")


def run_harvest(parameters: HarvestParameters, context: JobContext) -> dict[str, Any]:
    """Select, fetch and ingest; after an interruption it goes on with what waits, and asks no service again."""
    from emberline.vo.client import open_session
    from emberline.vo.client.harvest.constraints import parse_options
    from emberline.vo.client.harvest.running import harvest

    again = bool((context.checkpoint or {}).get("selected"))

    def progress(step: str, done: int, total: int | None) -> None:
        context.progress(step, done, total)
        if step == "fetch" and not (context.checkpoint or {}).get("selected"):
            context.save_checkpoint({"selected": True})

    into = reach(context, parameters.into, write=True)
    summary = harvest(
        open_session(context.confinement.root if context.confinement else None),
        into,
        None if again else _sources(parameters, context),
        _constraints(parameters),
        options=parse_options(parameters.option),
        retry_failed=parameters.retry_failed and not again,
        reader=parameters.reader or None,
        medium=parameters.medium or None,
        keep=parameters.keep,
        progress=progress,
    )
    return {**dataclasses.asdict(summary), "archive": shown(context, parameters.into)}


def _sources(parameters: HarvestParameters, context: JobContext) -> Sources:
    from emberline.vo.client.harvest.selecting import Sources

    votable = parameters.votable
    return Sources(
        parameters.ssap,
        None if votable is None else reach(context, votable),
        parameters.tap,
        parameters.service,
        "" if votable is None else shown(context, votable),
    )


def _constraints(parameters: HarvestParameters) -> Constraints:
    from emberline.vo.client.harvest.constraints import Constraints, parse_band, parse_size, parse_time

    return Constraints(
        parameters.position,
        parse_size(parameters.size),
        parse_band(parameters.band) if parameters.band else None,
        parse_time(parameters.time) if parameters.time else None,
        parameters.limit,
    )


HARVEST = JobType(
    name="harvest",
    title="Fetch spectra from other archives",
    description="Ask Virtual Observatory services for spectra, fetch them and ingest them; it resumes where it was.",
    parameters=HarvestParameters,
    function="emberline.vo.client.harvest.jobs:run_harvest",
    steps={"select": 0.1, "fetch": 0.75, "ingest": 0.1, "catalogue": 0.05},
    writes=("into",),
    presets=(
        Preset("Go on with what waits", "Fetches what was selected before and has not come yet.", {}),
        Preset("Try again what failed", "Everything that failed in this archive's history.", {"retry_failed": True}),
    ),
)
