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
from numpy.typing import ArrayLike, NDArray

from emberline.archive.ledger import Ledger, Reject, Written, open_ledger
from emberline.archive.parts import SourcedBlock, arrange, write_part
from emberline.engine.processes import available_cores, ordered_map
from emberline.confinement import Confinement
from emberline.errors import ArchiveError, ReadError
from emberline.progress import Progress, silent
from emberline.spectra import Spectrum, SpectrumBlock

__all__ = ["IngestSummary", "PartWriter", "grow", "ingest", "ingest_blocks"]

_FILES_PER_JOB = (256, 4096)
_JOBS_WANTED = 16
_PART_BYTES = 128 << 20

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


@dataclasses.dataclass(frozen=True)
class _FileJob:
    """Some files for one worker; `number` orders what comes of them."""

    number: int
    folder: Path
    run: str
    locators: tuple[str, ...]
    reader: str | None
    known: Path | None
    confinement: Confinement | None


class PartWriter:
    """Collects what one job reads, and writes it as parts when enough has come or `finish` is called."""

    def __init__(self, folder: Path, number: int, run: str) -> None:
        self._stem = folder / f"part-{number:08d}"
        self._run = run
        self._spectra: list[tuple[Spectrum, str, str]] = []
        self._blocks: dict[int, list[SourcedBlock]] = {}
        self._bytes = 0
        self.written = Written()

    def add(self, spectrum: Spectrum, file: str, sha256: str) -> None:
        """Take one spectrum of a file."""
        self._spectra.append((spectrum, file, sha256))
        self._count(spectrum.flux.size)

    def add_block(self, block: SpectrumBlock, file: str, sha256: str) -> None:
        """Take a block as it is."""
        if len(block):
            self._blocks.setdefault(block.grid.n, []).append(SourcedBlock.whole(block, file, sha256))
            self._count(block.flux.size)

    @property
    def waiting(self) -> bool:
        """Whether something was taken and not written."""
        return self._bytes > 0

    def _count(self, pixels: int) -> None:
        self._bytes += 9 * pixels
        if self._bytes >= _PART_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what has come."""
        for blocks in (*arrange(self._spectra), *self._blocks.values()):
            name = f"{self._stem.name}-{len(self.written.parts):02d}-{self._run}.parquet"
            write_part(self._stem.parent / name, blocks)
            identifiers = [meta.identifier for item in blocks for meta in item.block.meta]
            files = [file for item in blocks for file in item.files]
            self.written.parts.append((name, identifiers, files, [h for item in blocks for h in item.sha256]))
        self._spectra, self._blocks, self._bytes = [], {}, 0

    def finish(self) -> Written:
        """Write the rest, and say what was written."""
        self.flush()
        return self.written


def ingest(
    paths: Sequence[str | Path] | str | Path,
    into: str | Path,
    *,
    reader: str | None = None,
    workers: int | None = None,
    confinement: Confinement | None = None,
    progress: Progress = silent,
) -> IngestSummary:
    """Read survey files into an archive, which is made when it is new.

    A file that cannot be used becomes one line in ``rejected.parquet`` and the rest goes on. A file that is in the
    archive already (by its SHA-256) is skipped. After a kill, the same call resumes with what is not committed.

    Parameters
    ----------
    paths : sequence of path
        Files, folders (searched recursively), glob patterns, tar and zip files.
    into : path
        The archive's folder.
    reader : str, optional
        The name of a reader; by default each file's format is detected.
    workers : int, optional
        Processes that read; all cores by default. The result does not depend on it.
    confinement : Confinement, optional
        Where `paths` may lead; relative ones are taken from its root. A link that leads out is rejected, and the rest
        goes on.
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
    locators = tuple(readers.find_sources(given, confinement))
    if os.path.exists(os.path.join(into, "archive.toml")):  # the archive may lie among the files: its own are none
        own, base = os.path.abspath(into) + os.sep, os.getcwd() if confinement is None else confinement.root
        locators = tuple(name for name in locators if not os.path.abspath(os.path.join(base, name)).startswith(own))
    if not locators:
        raise ArchiveError(
            "there are no files to ingest",
            where=", ".join(map(str, given)) or "paths",
            action="Give files, folders, glob patterns, tar or zip files that exist.",
        )
    size = min(max(math.ceil(len(locators) / _JOBS_WANTED), _FILES_PER_JOB[0]), _FILES_PER_JOB[1])

    def jobs(ledger: Ledger) -> Iterator[_FileJob]:
        known, first = ledger.known_file(), ledger.next_number
        for index, start in enumerate(range(0, len(locators), size)):
            chunk = locators[start : start + size]
            yield _FileJob(first + index, ledger.spectra_folder, ledger.run, chunk, reader, known, confinement)

    count = math.ceil(len(locators) / size)
    cores = min(workers or available_cores(), count)
    return grow(Path(into), jobs, _read_files, total=len(locators), step="ingest", workers=cores, progress=progress)


def _read_files(job: _FileJob) -> Written:
    """Read one job's files into parts; runs in a worker."""
    writer = PartWriter(job.folder, job.number, job.run)
    known = None if job.known is None else np.load(job.known, mmap_mode="r")
    seen: set[str] = set()
    for locator in job.locators:
        writer.written.inputs += 1
        _read_file(locator, job, writer, known, seen)
    return writer.finish()


def _read_file(
    locator: str, job: _FileJob, writer: PartWriter, known: NDArray[np.bytes_] | None, seen: set[str]
) -> None:
    """Hand the spectra of one file to `writer` unless its hash is in `known` or `seen`."""
    from emberline.archive import readers

    try:
        source = readers.open_source(locator, job.confinement)
        digest = source.sha256
    except (ReadError, OSError) as error:
        writer.written.rejects.append(_unreadable(locator, error))
        return
    if digest in seen or _is_known(known, digest):
        writer.written.already += 1
        return
    for item in readers.read_each(source, job.reader):
        if isinstance(item, ReadError):
            writer.written.rejects.append(Reject.of(item, source.name, digest))
        else:
            writer.add(item, source.name, digest)
            seen.add(digest)


def _unreadable(locator: str, error: ReadError | OSError) -> Reject:
    if isinstance(error, ReadError):
        return Reject.of(error, locator, "")
    return Reject(locator, "unreadable", f"cannot be read: {error.strerror or error}", type(error).__name__, "a file")


def _is_known(known: NDArray[np.bytes_] | None, sha256: str) -> bool:
    if known is None:
        return False
    digest = np.array([bytes.fromhex(sha256)], "S32")
    place = int(np.searchsorted(known, digest)[0])
    return place < len(known) and bool(known[place] == digest[0])


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
    began = time.monotonic()
    found = files = ingested = already = 0
    rejects: list[Reject] = []
    with open_ledger(folder) as ledger:
        progress(step, 0, total)
        results = ordered_map(work, jobs(ledger), workers)
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

    return grow(Path(into), jobs, _as_it_is, total=None, step="ingest", workers=1, progress=progress)


def _as_it_is(written: Written) -> Written:
    return written


def _with_survey(block: SpectrumBlock, survey: str) -> SpectrumBlock:
    if all(meta.survey for meta in block.meta):
        return block
    named = [meta if meta.survey else dataclasses.replace(meta, survey=survey) for meta in block.meta]
    return dataclasses.replace(block, meta=named)
