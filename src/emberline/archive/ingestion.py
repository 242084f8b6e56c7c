"""Bring spectra into an archive: files through readers in worker processes, or any stream of blocks."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from emberline.archive.filework import FileJob, PartWriter, landed, mark_run, read_away, read_contents, read_files
from emberline.archive.ledger import Ledger, Reject, Written, open_ledger
from emberline.archive.memory import naming_want_of_memory
from emberline.confinement import Confinement
from emberline.engine import Engine, LocalEngine, is_address
from emberline.engine.processes import ordered_map
from emberline.errors import ArchiveError
from emberline.progress import Progress, silent
from emberline.spectra import SpectrumBlock

__all__ = ["IngestSummary", "PartWriter", "grow", "ingest", "ingest_blocks"]

_FILES_PER_JOB = (256, 3584)  # of LAMOST just under a part: a few more would make a second, small one of each job
_BYTES_PER_JOB = 256 << 20
_JOBS_WANTED = 16

_Job = TypeVar("_Job")


@dataclasses.dataclass(frozen=True)
class IngestSummary:
    """What an ingest did.

    Attributes
    ----------
    archive : Path
    found : int
        Inputs given: files (members of archive files count as files), or blocks.
    files : int
        Inputs of which something new was kept.
    ingested : int
        Spectra that are new.
    already : int
        Inputs or spectra that the archive had, or that came twice.
    rejected : int
        Lines added to ``rejected.parquet``.
    by_reason : dict of str to int
        `rejected` by reason.
    rejects : tuple of Reject
        Those lines: file, reason, message, found, expected.
    total : int
        Spectra in the archive now.
    seconds : float
    """

    archive: Path
    found: int = 0
    files: int = 0
    ingested: int = 0
    already: int = 0
    rejected: int = 0
    by_reason: dict[str, int] = dataclasses.field(default_factory=dict)
    rejects: tuple[Reject, ...] = dataclasses.field(default=(), repr=False)
    total: int = 0
    seconds: float = 0.0


def ingest(
    paths: Sequence[str | Path] | str | Path,
    into: str | Path,
    *,
    reader: str | None = None,
    workers: int | None = None,
    confinement: Confinement | None = None,
    engine: Engine | None = None,
    progress: Progress = silent,
) -> IngestSummary:
    """Read survey files into an archive, which is made when it is new.

    A file that cannot be used becomes one line in ``rejected.parquet`` and the rest goes on. A file that is in the
    archive already (by its SHA-256) is skipped. After a kill, the same call resumes with what is not committed.

    Parameters
    ----------
    paths : sequence of path
        Files, folders (searched recursively), glob patterns, tar and zip files; with a Spark engine also addresses
        that its readers know (``hdfs://…``, ``s3a://…``), which must then be all.
    into : path
        The archive's folder.
    reader : str, optional
        The name of a reader; by default each file's format is detected.
    workers : int, optional
        Processes that read; all cores by default. The result does not depend on it.
    confinement : Confinement, optional
        Where `paths` may lead; relative ones are taken from its root. A link that leads out is rejected, and the rest
        goes on.
    engine : Engine, optional
        Where files are read; processes of this machine by default. The result does not depend on it.
    progress : Progress

    Returns
    -------
    IngestSummary

    Raises
    ------
    EmberlineError
        A path does not exist or nothing matches it, another ingest runs, the disk is full.
    """
    from emberline.archive import readers

    if reader is not None and reader not in readers.readers():
        raise ArchiveError(f"there is no reader {reader!r}", expected=f"one of {', '.join(readers.readers())}")
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    engine = LocalEngine(workers) if engine is None else engine
    away = _are_addresses(given)
    sizes = _addressed(given, engine) if away else {}
    locators = tuple(sizes) if away else _located(given, into, confinement)
    if not locators:
        raise ArchiveError(
            "there are no files to ingest",
            where=", ".join(map(str, given)) or "paths",
            action="Give files, folders, glob patterns, tar or zip files that exist.",
        )
    size = min(max(math.ceil(len(locators) / _JOBS_WANTED), _FILES_PER_JOB[0]), _FILES_PER_JOB[1])

    def jobs(ledger: Ledger) -> Iterator[FileJob]:
        known, first = ledger.known_file(), ledger.next_number
        if engine.remote:
            mark_run(ledger.spectra_folder, ledger.run)
        chunks = _cut(locators, size, (sizes.get if away else _size_of) if engine.remote else None)
        for index, chunk in enumerate(chunks):
            yield FileJob(first + index, ledger.spectra_folder, ledger.run, chunk, reader, known, confinement)

    def run(made: Iterable[FileJob]) -> Iterator[Written]:
        if away:
            return landed(engine.map_files(read_contents, made, lambda job: job.locators), Path(into))
        if engine.remote:
            return landed(engine.map(read_away, made), Path(into))
        return engine.map(read_files, made, workers=min(engine.cores, math.ceil(len(locators) / size)))

    return _grow_by(Path(into), jobs, run, total=len(locators), step="ingest", progress=progress)


def _are_addresses(given: Sequence[str | Path]) -> bool:
    """Whether the paths are addresses for Spark's readers, which cannot be mixed with paths."""
    which = [is_address(str(path)) for path in given]
    if any(which) and not all(which):
        raise ArchiveError(
            "paths and addresses cannot be mixed in one call",
            found=f"{given[which.index(True)]} and {given[which.index(False)]}",
            action="Write paths as addresses too: file:///folder.",
        )
    return any(which)


def _addressed(given: Sequence[str | Path], engine: Engine) -> dict[str, int]:
    from emberline.archive.readers.source import is_wanted

    return engine.find_files([str(path) for path in given], is_wanted)


def _cut(
    locators: tuple[str, ...], most: int, size_of: Callable[[str], int | None] | None
) -> Iterator[tuple[str, ...]]:
    """Pieces of `most` files, or fewer where sizes are known: what a worker makes of a piece may have to be sent."""
    start = held = 0
    for index, locator in enumerate(locators):
        size = (size_of(locator) or 0) if size_of is not None else 0
        if index > start and (index - start >= most or held + size > _BYTES_PER_JOB):
            yield locators[start:index]
            start, held = index, 0
        held += size
    yield locators[start:]


def _size_of(path: str) -> int:
    """Bytes of a file; of the member of an archive file nothing is known here."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _located(given: Sequence[str | Path], into: str | Path, confinement: Confinement | None) -> tuple[str, ...]:
    from emberline.archive import readers

    locators = tuple(readers.find_sources(given, confinement))
    if os.path.exists(os.path.join(into, "archive.toml")):  # the archive may lie among the files: its own are none
        own, base = os.path.abspath(into) + os.sep, os.getcwd() if confinement is None else confinement.root
        locators = tuple(name for name in locators if not os.path.abspath(os.path.join(base, name)).startswith(own))
    return locators


def grow(
    folder: Path,
    jobs: Callable[[Ledger], Iterable[_Job]],
    work: Callable[[_Job], Written],
    *,
    total: int | None,
    step: str,
    workers: int,
    progress: Progress = silent,
) -> IngestSummary:
    """Lock the archive, let workers turn jobs into parts, commit each, publish all.

    `jobs` numbers its parts upwards from the ``ledger.next_number`` that it finds; `work` must be importable by name.
    """

    def run(made: Iterable[_Job]) -> Iterator[Written]:
        return ordered_map(work, made, workers)

    return _grow_by(folder, jobs, run, total=total, step=step, progress=progress)


def _grow_by(
    folder: Path,
    jobs: Callable[[Ledger], Iterable[_Job]],
    run: Callable[[Iterable[_Job]], Iterator[Written]],
    *,
    total: int | None,
    step: str,
    progress: Progress,
) -> IngestSummary:
    """As `grow`; `run` turns jobs into parts, in order."""
    began = time.monotonic()
    found = files = ingested = already = 0
    rejects: list[Reject] = []
    with naming_want_of_memory(folder), open_ledger(folder) as ledger:
        progress(step, 0, total)
        results = run(jobs(ledger))
        try:
            with contextlib.closing(results):  # type: ignore[type-var]
                for written in results:
                    spectra, new_files = ledger.commit(ledger.next_number, written)
                    ledger.next_number += 1
                    found, files, ingested = found + written.inputs, files + new_files, ingested + spectra
                    already += written.already
                    rejects += written.rejects
                    progress(step, found, total)
        except KeyboardInterrupt:
            ledger.publish()
            raise
        progress("catalogue", 0, 1)
        ledger.publish()
        progress("catalogue", 1, 1)
        count = len(ledger)
    reasons = dict(Counter(reject.reason for reject in rejects).most_common())
    return IngestSummary(
        folder,
        found,
        files,
        ingested,
        already,
        len(rejects),
        reasons,
        tuple(rejects),
        count,
        time.monotonic() - began,
    )


def ingest_blocks(
    blocks: Iterable[SpectrumBlock],
    into: str | Path,
    *,
    survey: str,
    source: str = "stream",
    truth: Mapping[str, ArrayLike] | None = None,
    progress: Progress = silent,
) -> IngestSummary:
    """Take any stream of spectra into an archive: the readers' door for what does not come from files.

    Parameters
    ----------
    blocks : iterable of SpectrumBlock
        Any sizes and grids.
    into : path
        The archive's folder, made when it is new.
    survey : str
        Fills `Metadata.survey` where it is empty.
    source : str
        What the catalogue gives as source file.
    truth : mapping of str to array_like, optional
        Columns, `identifier` among them, that go into ``truth.csv`` of the archive.
    progress : Progress

    Returns
    -------
    IngestSummary
        A spectrum whose identifier is known counts as `already` when it is the same one, as rejected when not.
    """

    def jobs(ledger: Ledger) -> Iterator[Written]:
        writer, number = PartWriter(ledger.spectra_folder, ledger.next_number, ledger.run), ledger.next_number
        for block in blocks:
            writer.add_block(_with_survey(block, survey), source, "")
            writer.written.inputs += 1
            if not writer.waiting:
                yield writer.finish()
                number += 1
                writer = PartWriter(ledger.spectra_folder, number, ledger.run)
        last = writer.finish()
        if truth is not None:
            last.truth = pa.table({name: np.asarray(column) for name, column in truth.items()})
        yield last

    return _grow_by(Path(into), jobs, iter, total=None, step="ingest", progress=progress)


def _with_survey(block: SpectrumBlock, survey: str) -> SpectrumBlock:
    if all(meta.survey for meta in block.meta):
        return block
    named = [meta if meta.survey else dataclasses.replace(meta, survey=survey) for meta in block.meta]
    return dataclasses.replace(block, meta=named)
