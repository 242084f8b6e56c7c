"""Long work on archives as job types: ingest, features, simulate. The command line runs the same functions."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from emberline.confinement import Confinement
from emberline.jobs import JobContext, JobType, Preset, parameter
from emberline.jobs.parameters import RESERVED

if TYPE_CHECKING:
    from emberline.archive.matrix import FeatureMatrix

__all__ = [
    "FEATURES",
    "INGEST",
    "SIMULATE",
    "FeaturesParameters",
    "IngestParameters",
    "SimulateParameters",
    "bounds_of",
    "features_summary",
    "reach",
    "run_features",
    "run_ingest",
    "run_simulate",
    "shown",
]

_WORKERS = "Processes; all cores by default."


def reach(context: JobContext, path: Path | str, *, write: bool = False) -> Path:
    """A path that a job may use: in the foreground as it was given, in a workspace absolute and checked.

    A folder in a workspace is searched for links that lead out of it, since what opens an archive or a campaign
    follows them.

    Raises
    ------
    OutsideError
        The path, or a link beneath it, leads out of the workspace.
    """
    bounds = bounds_of(context)
    if bounds is None:
        return Path(path)
    found = bounds.resolve(path, write=write)
    for root, folders, files in os.walk(found):
        for name in (*folders, *files):
            if os.path.islink(inner := os.path.join(root, name)):
                bounds.resolve(inner, write=write)
    return found


def bounds_of(context: JobContext) -> Confinement | None:
    """Where a job's files may lie, what belongs to the engine left out; None in the foreground."""
    return None if context.confinement is None else dataclasses.replace(context.confinement, reserved=RESERVED)


def shown(context: JobContext, path: Path) -> str:
    """A path for people: as it was given in the foreground, relative to the workspace in one."""
    return str(path) if context.confinement is None else context.confinement.relative(path)


def _check_workers(workers: int | None) -> None:
    if workers is not None and workers < 1:
        raise ValueError(f"workers is {workers}: choose 1 or more, or leave it out")


@dataclasses.dataclass(frozen=True)
class IngestParameters:
    """What the job ``ingest`` is asked for."""

    paths: tuple[Path, ...] = parameter(
        "Files, folders, glob patterns, and tar or zip files whose members are spectra.", kind="files"
    )
    into: Path = parameter("The archive's folder; made when new.", kind="new-archive")
    reader: str = parameter("Force a reader instead of detecting the format of each file.", default="")
    workers: int | None = parameter(_WORKERS, default=None)

    def __post_init__(self) -> None:
        if not self.paths:
            raise ValueError("paths is empty: name the files or folders to read")
        _check_workers(self.workers)


def run_ingest(parameters: IngestParameters, context: JobContext) -> dict[str, Any]:
    """Read spectra into an archive; what an interrupted attempt had committed is not read again."""
    from emberline.archive.ingestion import ingest

    summary = ingest(
        [shown(context, path) for path in parameters.paths],
        reach(context, parameters.into, write=True),
        reader=parameters.reader or None,
        workers=parameters.workers,
        confinement=bounds_of(context),
        engine=context.engine,
        progress=context.progress,
    )
    return {**dataclasses.asdict(summary), "archive": shown(context, parameters.into)}


INGEST = JobType(
    name="ingest",
    title="Ingest spectra",
    description="Read survey files into an archive. What it has already is skipped; what cannot be read is listed.",
    parameters=IngestParameters,
    function="emberline.archive.jobs:run_ingest",
    steps={"ingest": 0.9, "catalogue": 0.1},
    writes=("into",),
    presets=(
        Preset("Any survey", "Detects each file's format: a folder of FITS files, VOTables, tar or zip files.", {}),
        Preset("LAMOST low resolution", "Files spec-*.fits or .fits.gz of any release.", {"reader": "lamost-lrs"}),
        Preset("LAMOST medium resolution", "Files med-*.fits.gz, every arm and epoch.", {"reader": "lamost-mrs"}),
        Preset("SDSS and BOSS", "Files spec-PLATE-MJD-FIBER.fits.", {"reader": "sdss"}),
        Preset("DESI", "Files coadd-*.fits with their redshifts.", {"reader": "desi"}),
        Preset("Ondřejov 2 m telescope", "The spectra of the coudé spectrograph.", {"reader": "ondrejov"}),
    ),
)


@dataclasses.dataclass(frozen=True)
class FeaturesParameters:
    """What the job ``features`` is asked for."""

    archive: Path = parameter("The archive's folder.", kind="archive")
    recipe: str = parameter("The name of a shipped recipe, or a TOML file.", kind="recipe")
    workers: int | None = parameter(_WORKERS, default=None)

    def __post_init__(self) -> None:
        _check_workers(self.workers)


def run_features(parameters: FeaturesParameters, context: JobContext) -> dict[str, Any]:
    """Compute an archive's feature vectors; what an interrupted attempt had finished is not computed again."""
    from emberline.archive.store import open_archive
    from emberline.features import Recipe, shipped_recipes

    named = parameters.recipe in shipped_recipes() or not (os.sep in parameters.recipe or ".toml" in parameters.recipe)
    recipe = Recipe.load(parameters.recipe if named else os.fspath(reach(context, parameters.recipe)))
    archive = open_archive(reach(context, parameters.archive, write=True))
    matrix = archive.build_features(
        recipe, workers=parameters.workers, engine=context.engine, progress=context.progress
    )
    return features_summary(matrix)


def features_summary(matrix: FeatureMatrix) -> dict[str, Any]:
    """What was made, as JSON can hold it."""
    return {
        "recipe": matrix.recipe.name,
        "recipe_hash": matrix.recipe_hash,
        "spectra": len(matrix.identifiers),
        "pixels": int(matrix.values.shape[1]),
        "flagged": int(matrix.flagged.sum()),
    }


FEATURES = JobType(
    name="features",
    title="Compute features",
    description="Turn an archive's spectra into the feature vectors of a recipe, or those that are missing.",
    parameters=FeaturesParameters,
    function="emberline.archive.jobs:run_features",
    steps={"features": 1.0},
    writes=("archive",),
    presets=(
        Preset("halpha-140", "140 pixels around Hα: Be and other emission-line stars.", {"recipe": "halpha-140"}),
        Preset(
            "halpha-ondrejov",
            "95 pixels around Hα: what Ondřejov spectra share with LAMOST's.",
            {"recipe": "halpha-ondrejov"},
        ),
        Preset(
            "optical-1024",
            "3850 to 9000 Å in 1,024 pixels: quasars, galaxies, planetary nebulae.",
            {"recipe": "optical-1024"},
        ),
    ),
)


@dataclasses.dataclass(frozen=True)
class SimulateParameters:
    """What the job ``simulate`` is asked for."""

    into: Path = parameter("The archive's folder.", kind="new-archive")
    spectra: int = parameter("How many spectra.")
    seed: int = parameter("The same seed gives the same survey.")
    prevalence: float | None = parameter("Share of targets; the preset's by default.", default=None)
    preset: Literal["lamost", "ondrejov"] = parameter(
        "The instrument: its grid, resolution, noise and mix of classes.", default="lamost"
    )
    hosts: Path | None = parameter("An archive whose real stars carry the lines.", kind="archive", default=None)
    workers: int | None = parameter(_WORKERS, default=None)

    def __post_init__(self) -> None:
        if self.spectra < 1:
            raise ValueError(f"spectra is {self.spectra}: choose 1 or more")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}: choose 0 or more")
        if self.prevalence is not None and not 0 <= self.prevalence <= 1:
            raise ValueError(f"prevalence is {self.prevalence}: choose a share from 0 to 1")
        _check_workers(self.workers)


def run_simulate(parameters: SimulateParameters, context: JobContext) -> dict[str, Any]:
    """Make a survey whose truth is known; blocks that an interrupted attempt had committed are not made again."""
    from emberline.archive.simulated import simulate

    summary = simulate(
        reach(context, parameters.into, write=True),
        spectra=parameters.spectra,
        seed=parameters.seed,
        prevalence=parameters.prevalence,
        preset=parameters.preset,
        hosts=None if parameters.hosts is None else reach(context, parameters.hosts),
        workers=parameters.workers,
        progress=context.progress,
    )
    return {**dataclasses.asdict(summary), "archive": shown(context, parameters.into)}


SIMULATE = JobType(
    name="simulate",
    title="Simulate a survey",
    description="Make an archive of stars, Be disks, nebulae, M dwarfs and quasars whose truth is known (truth.csv).",
    parameters=SimulateParameters,
    function="emberline.archive.jobs:run_simulate",
    steps={"simulate": 0.93, "catalogue": 0.07},
    writes=("into",),
    presets=(
        Preset(
            "LAMOST-like survey",
            "20,000 spectra of which 0.5 % are targets: the survey of the demonstration.",
            {"into": "survey", "spectra": 20_000, "seed": 1, "prevalence": 0.005, "preset": "lamost"},
        ),
        Preset(
            "Small survey to try things",
            "2,000 spectra with 5 % targets, made in seconds.",
            {"into": "small-survey", "spectra": 2_000, "seed": 1, "prevalence": 0.05, "preset": "lamost"},
        ),
        Preset(
            "Ondřejov-like starting set",
            "400 spectra of finer resolution to take the first labels from.",
            {"into": "start", "spectra": 400, "seed": 2, "preset": "ondrejov"},
        ),
    ),
)
