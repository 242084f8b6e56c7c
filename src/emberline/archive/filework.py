"""What a worker does with survey files: read them, and put what they hold into parts."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import socket
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emberline.archive.ledger import Reject, Written
from emberline.archive.parts import SourcedBlock, arrange, write_part
from emberline.archive.readers.source import Source, members_of
from emberline.confinement import Confinement
from emberline.errors import ArchiveError, ReadError
from emberline.files import atomic_path
from emberline.spectra import Spectrum, SpectrumBlock

__all__ = ["Delivery", "FileJob", "PartWriter", "landed", "mark_run", "read_away", "read_contents", "read_files"]

_PART_BYTES = 128 << 20
_DELIVERY_BYTES = 1 << 30  # of one job: Spark has no room for more than two in one answer


@dataclasses.dataclass(frozen=True)
class FileJob:
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


class _Reading:
    """One job's files on their way into parts: a file whose hash is known, or was seen, is passed over."""

    def __init__(self, job: FileJob) -> None:
        self.writer = PartWriter(job.folder, job.number, job.run)
        self._reader = job.reader
        there = job.known is not None and job.known.exists()
        self._known: NDArray[np.bytes_] | None = np.load(job.known, mmap_mode="r") if there and job.known else None
        self._seen: set[str] = set()

    def refuse(self, locator: str, error: ReadError | OSError) -> None:
        """Note a file that cannot be read."""
        if isinstance(error, ReadError):
            reject = Reject.of(error, locator, "")
        else:
            said = f"cannot be read: {error.strerror or error}"
            reject = Reject(locator, "unreadable", said, type(error).__name__, "a file")
        self.writer.written.rejects.append(reject)

    def take(self, source: Source) -> None:
        """Hand the spectra of one file to the writer unless the archive has it."""
        from emberline.archive import readers

        digest = source.sha256
        if digest in self._seen or _is_known(self._known, digest):
            self.writer.written.already += 1
            return
        for item in readers.read_each(source, self._reader):
            if isinstance(item, ReadError):
                self.writer.written.rejects.append(Reject.of(item, source.name, digest))
            else:
                self.writer.add(item, source.name, digest)
                self._seen.add(digest)


def _is_known(known: NDArray[np.bytes_] | None, sha256: str) -> bool:
    if known is None:
        return False
    digest = np.array([bytes.fromhex(sha256)], "S32")
    place = int(np.searchsorted(known, digest)[0])
    return place < len(known) and bool(known[place] == digest[0])


def read_files(job: FileJob) -> Written:
    """Read one job's files into parts; runs in a worker."""
    from emberline.archive import readers

    reading = _Reading(job)
    for locator in job.locators:
        reading.writer.written.inputs += 1
        try:
            source = readers.open_source(locator, job.confinement)
        except (ReadError, OSError) as error:
            reading.refuse(locator, error)
            continue
        reading.take(source)
    return reading.writer.finish()


# On executors: they may not see the archive, and two of them may be given the same job -------------------------------


@dataclasses.dataclass(frozen=True)
class Delivery:
    """What came of a job elsewhere: where its parts lie, or their bytes where the worker does not see the archive."""

    written: Written
    contents: dict[str, bytes] = dataclasses.field(default_factory=dict, repr=False)


def mark_run(folder: Path, run: str) -> None:
    """Let workers find out whether they see the archive's own folder; what opened the archive clears the mark away."""
    (folder / f".run-{run}").touch()


@contextlib.contextmanager
def _own_place(job: FileJob) -> Iterator[tuple[FileJob, bool]]:
    """The job with part names of this attempt alone, in the archive if it is seen from here and else in a folder.

    A worker that was given up for lost may come back and write: never over a part that counts.
    """
    mine = f"{job.run}{uuid.uuid4().hex[:8]}"
    if (job.folder / f".run-{job.run}").exists():
        yield dataclasses.replace(job, run=mine), True
        return
    folder = Path(tempfile.mkdtemp(prefix="emberline-"))
    try:
        yield dataclasses.replace(job, folder=folder, run=mine, known=None), False
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _delivery(job: FileJob, written: Written, shared: bool) -> Delivery:
    names = [] if shared else [name for name, *_ in written.parts]
    size = sum((job.folder / name).stat().st_size for name in names)
    if size > _DELIVERY_BYTES:
        raise ArchiveError(
            "what these files hold is too much to be sent to the archive, which the executors do not see",
            where=job.locators[0] + (f" and {len(job.locators) - 1} more" if len(job.locators) > 1 else ""),
            found=f"{size / 1e9:.1f} GB",
            expected=f"{_DELIVERY_BYTES / 1e9:.1f} GB at most",
            action="Put the archive on storage that all machines share, or cut large tar and zip files up.",
        )
    return Delivery(written, {name: (job.folder / name).read_bytes() for name in names})


def read_away(job: FileJob) -> Delivery:
    """As `read_files`, on an executor.

    Raises
    ------
    ArchiveError
        None of the files is seen from there.
    """
    if not any(os.path.exists(locator.partition("::")[0]) for locator in job.locators):
        raise ArchiveError(
            "the executors do not see the files",
            where=job.locators[0],
            found=f"no such file on {socket.gethostname()}",
            action="Put them on storage that all machines share, or name them by address: hdfs://…, s3a://…",
        )
    with _own_place(job) as (mine, shared):
        return _delivery(mine, read_files(mine), shared)


def read_contents(job: FileJob, contents: Iterable[tuple[str, bytes]]) -> Delivery:
    """As `read_files`, of files that come with the job."""
    with _own_place(job) as (mine, shared):
        reading = _Reading(mine)
        missing = set(job.locators)
        for locator, raw in contents:
            missing.discard(locator)
            for source in members_of(locator, raw):
                reading.writer.written.inputs += 1
                if isinstance(source, ReadError):
                    reading.refuse(locator, source)
                else:
                    reading.take(source)
        for locator in sorted(missing):
            reading.writer.written.inputs += 1
            reading.refuse(locator, FileNotFoundError(2, "it was listed, and is gone"))
        return _delivery(mine, reading.writer.finish(), shared)


def landed(deliveries: Iterable[Delivery], archive: Path) -> Iterator[Written]:
    """What was written elsewhere, once its parts lie in the archive."""
    folder = archive / "spectra"
    for delivery in deliveries:
        for name, data in delivery.contents.items():
            with atomic_path(folder / name) as temporary:
                temporary.write_bytes(data)
        yield delivery.written
