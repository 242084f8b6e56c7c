"""Put a simulated survey into an archive, with its truth in a file beside the catalogue."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from emberline import config
from emberline.archive.ingestion import IngestSummary, PartWriter, grow
from emberline.archive.ledger import Ledger, Written
from emberline.archive.pool import available_cores
from emberline.errors import ArchiveError, ConfigError
from emberline.files import write_text
from emberline.progress import Progress, silent

if TYPE_CHECKING:
    from emberline.simulate import Survey

__all__ = ["simulate"]


@dataclasses.dataclass(frozen=True)
class _BlockJob:
    """One block of a survey for one worker; `done` when the archive has it."""

    number: int
    folder: Path
    run: str
    survey: Survey
    index: int
    sha256: str
    done: bool


def simulate(
    into: str | Path,
    *,
    spectra: int,
    seed: int,
    prevalence: float | None = None,
    preset: str = "lamost",
    hosts: str | Path | None = None,
    workers: int | None = None,
    progress: Progress = silent,
) -> IngestSummary:
    """Simulate a survey with known truth into an archive, which is made when it is new.

    The same call gives the same archive, whatever `workers` is; after a kill it resumes; with more `spectra` it extends
    what is there.

    Parameters
    ----------
    into : path
        The archive's folder. The truth goes to ``truth.csv`` in it: identifier, label, and what was drawn.
    spectra : int
    seed : int
        Zero or more.
    prevalence : float, optional
        Share of targets; the preset's by default.
    preset : str
        ``lamost`` or ``ondrejov``.
    hosts : path, optional
        An archive of real spectra that carry the simulated profiles.
    workers : int, optional
        Processes; all cores by default.
    progress : Progress

    Returns
    -------
    IngestSummary
        `found` counts spectra.

    Raises
    ------
    ConfigError
        A number or the preset makes no sense.
    ArchiveError
        The archive holds a simulation of this preset and seed with other settings.
    """
    from emberline.simulate import Survey

    wanted: dict[str, Any] = {"preset": preset, "spectra": spectra, "seed": seed, "prevalence": prevalence}
    survey = config.from_mapping(Survey, {name: value for name, value in wanted.items() if value is not None})
    if hosts is not None:
        raise ConfigError("hosts are not supported yet")

    def jobs(ledger: Ledger) -> Iterator[_BlockJob]:
        _remember(ledger.folder, survey)
        first = ledger.next_number
        for index in range(survey.blocks):
            sha256 = _hash(survey, index)
            done = sha256 in ledger.hashes
            yield _BlockJob(first + index, ledger.spectra_folder, ledger.run, survey, index, sha256, done)

    cores = min(workers or available_cores(), survey.blocks)
    return grow(Path(into), jobs, _make, total=spectra, step="simulate", workers=cores, progress=progress)


def _make(job: _BlockJob) -> Written:
    """Simulate one block into a part; runs in a worker."""
    from emberline.simulate import make_block

    rows = job.survey.rows(job.index)
    if job.done:
        return Written(inputs=rows, already=rows)
    made = make_block(job.survey, job.index)
    writer = PartWriter(job.folder, job.number, job.run)
    writer.add_block(made.block, f"simulation {job.survey.preset} {job.survey.seed} block {job.index}", job.sha256)
    written = writer.finish()
    written.inputs, written.same_by_name = rows, True
    written.truth = pa.table(
        {name: pa.array(np.asarray(column), from_pandas=True) for name, column in made.truth.items()}
    )
    return written


def _settings(survey: Survey) -> dict[str, Any]:
    """All that decides what a block holds."""
    return {name: value for name, value in config.to_mapping(survey).items() if name != "spectra"}


def _hash(survey: Survey, index: int) -> str:
    text = json.dumps([_settings(survey), index, survey.rows(index)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _remember(folder: Path, survey: Survey) -> None:
    """Write the survey's settings beside the archive, or refuse when they contradict those that made it."""
    path = folder / f"simulation-{survey.preset}-{survey.seed}.toml"
    if path.exists():
        old = config.from_toml(type(survey), path)
        if _settings(old) != _settings(survey):
            raise ArchiveError(
                "the archive holds a simulation of this seed with other settings",
                where=str(path),
                found=_difference(_settings(old), _settings(survey)),
                action="Choose another seed, or another archive.",
            )
    write_text(path, config.to_toml(survey))


def _difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    names = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    return ", ".join(f"{name} = {old.get(name)}, now {new.get(name)}" for name in names)
