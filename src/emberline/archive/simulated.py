"""Put a simulated survey into an archive, with its truth in a file beside the catalogue."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from emberline import config
from emberline.archive.ingestion import IngestSummary, PartWriter, grow
from emberline.archive.ledger import Ledger, Written
from emberline.archive.parts import arrange
from emberline.archive.store import open_archive
from emberline.engine.processes import available_cores
from emberline.errors import ArchiveError
from emberline.files import write_text
from emberline.progress import Progress, silent
from emberline.provenance import hash_of
from emberline.simulate import HostSample, Survey, make_block

__all__ = ["host_sample", "simulate", "temperature_of"]

_HOSTS = 2000
_TEMPERATURES = {
    "O": (30000.0, 50000.0),
    "B": (9900.0, 30000.0),
    "A": (7300.0, 9900.0),
    "F": (5950.0, 7300.0),
    "G": (5300.0, 5950.0),
    "K": (3900.0, 5300.0),
    "M": (2300.0, 3900.0),
}
"""Kelvin from subclass 10 to 0, the scale of dwarfs that `emberline.simulate` uses."""


@dataclasses.dataclass(frozen=True)
class _BlockJob:
    """One block of a survey for one worker; `done` when the archive has it."""

    number: int
    folder: Path
    run: str
    survey: Survey
    hosts: Path | None
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
        The archive holds a simulation of this preset and seed with other settings, or `hosts` has no stars.
    """
    wanted: dict[str, Any] = {"preset": preset, "spectra": spectra, "seed": seed, "prevalence": prevalence}
    survey = config.from_mapping(Survey, {name: value for name, value in wanted.items() if value is not None})
    path = None if hosts is None else Path(hosts)
    host_hash = "" if path is None else hash_of([meta.identifier for meta in host_sample(path).meta])

    def jobs(ledger: Ledger) -> Iterator[_BlockJob]:
        settings = _remember(ledger.folder, survey, host_hash)
        first = ledger.next_number
        for index in range(survey.blocks):
            sha256 = _hash(settings, index, survey.rows(index))
            done = sha256 in ledger.hashes
            yield _BlockJob(first + index, ledger.spectra_folder, ledger.run, survey, path, index, sha256, done)

    cores = min(workers or available_cores(), survey.blocks)
    return grow(Path(into), jobs, _make, total=spectra, step="simulate", workers=cores, progress=progress)


def _make(job: _BlockJob) -> Written:
    """Simulate one block into a part; runs in a worker."""
    rows = job.survey.rows(job.index)
    if job.done:
        return Written(inputs=rows, already=rows)
    made = make_block(job.survey, job.index, hosts=None if job.hosts is None else host_sample(job.hosts))
    writer = PartWriter(job.folder, job.number, job.run)
    writer.add_block(made.block, f"simulation {job.survey.preset} {job.survey.seed} block {job.index}", job.sha256)
    written = writer.finish()
    written.inputs, written.same_by_name = rows, True
    written.truth = pa.table(
        {name: pa.array(np.asarray(column), from_pandas=True) for name, column in made.truth.items()}
    )
    return written


@functools.lru_cache(maxsize=1)
def host_sample(path: Path) -> HostSample:
    """Stars of an archive to carry simulated lines: a few thousand that share a grid family, always the same.

    Raises
    ------
    ArchiveError
        The archive has no spectra, or none that its survey calls a star.
    """
    archive = open_archive(path)
    stars = archive.catalogue(["identifier"], where="upper(survey_class) in ('STAR', '')")
    names = sorted(stars["identifier"].to_pylist())
    if not names:
        raise ArchiveError(
            "the archive has no stars to put lines onto", where=str(path), found=f"{len(archive)} spectra"
        )
    rng = np.random.default_rng(0)
    chosen = sorted(rng.choice(len(names), min(len(names), _HOSTS), replace=False).tolist())
    parts = arrange((spectrum, "", "") for spectrum in archive.spectra([names[i] for i in chosen]))
    block = max((item.block for part in parts for item in part), key=len)
    return HostSample.from_block(block, np.array([temperature_of(meta.survey_subclass) for meta in block.meta]))


def temperature_of(spectral_type: str) -> float:
    """Rough effective temperature in kelvin of a dwarf of this type (``A5V``, ``dM2``); NaN when it is no such type."""
    found = re.search(r"([OBAFGKM])(\d(?:\.\d)?)?", spectral_type)
    if found is None:
        return math.nan
    low, high = _TEMPERATURES[found[1]]
    return high - (high - low) * float(found[2] or 5.0) / 10.0


def _hash(settings: dict[str, Any], index: int, rows: int) -> str:
    return hashlib.sha256(json.dumps([settings, index, rows], sort_keys=True).encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class _Simulation:
    """What made a simulation: kept beside the archive."""

    survey: Survey
    hosts: str = ""

    def settings(self) -> dict[str, Any]:
        """All that decides what a block holds."""
        survey = {name: value for name, value in config.to_mapping(self.survey).items() if name != "spectra"}
        return {**survey, "hosts": self.hosts}


def _remember(folder: Path, survey: Survey, hosts: str) -> dict[str, Any]:
    """Write the settings beside the archive, or refuse when they contradict those that made what is there."""
    path = folder / f"simulation-{survey.preset}-{survey.seed}{'-hosts' if hosts else ''}.toml"
    new = _Simulation(survey, hosts)
    if path.exists():
        old = config.from_toml(_Simulation, path)
        if old.settings() != new.settings():
            raise ArchiveError(
                "the archive holds a simulation of this seed with other settings",
                where=str(path),
                found=_difference(old.settings(), new.settings()),
                action="Choose another seed, or another archive.",
            )
    write_text(path, config.to_toml(new))
    return new.settings()


def _difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    names = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    return ", ".join(f"{name} = {old.get(name)}, now {new.get(name)}" for name in names)
