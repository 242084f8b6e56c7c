"""What a worker does for a feature matrix: the vectors of some parts, written into their rows or brought there."""

from __future__ import annotations

import dataclasses
import io
import os
import socket
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emberline.archive.parts import PartFile
from emberline.engine import Engine, LocalEngine
from emberline.errors import ArchiveError, EmberlineError
from emberline.features import Recipe, extract
from emberline.files import atomic_path

__all__ = ["FeatureJob", "extract_parts", "has_header", "header_length", "run_jobs", "write_all", "write_header"]

_ROWS_PER_BLOCK = 2048
_WORTH_A_POOL = 10_000  # rows: fewer are done before worker processes have started


@dataclasses.dataclass(frozen=True)
class FeatureJob:
    """Consecutive parts for one worker, whose `count` rows start at row `first` of the matrix."""

    parts: tuple[Path, ...]
    recipe: Recipe
    values: Path
    result: Path
    first: int
    count: int


def run_jobs(engine: Engine, todo: list[FeatureJob], folder: Path, parts: str) -> Iterator[int]:
    """Have jobs done, here or elsewhere, and what comes from elsewhere written; how many rows each had."""
    if not engine.remote:
        rows = sum(job.count for job in todo)
        few = isinstance(engine, LocalEngine) and not engine.workers and rows < _WORTH_A_POOL
        yield from engine.map(extract_parts, todo, workers=1 if few else min(engine.cores, max(len(todo), 1)))
        return
    if parts:
        base = parts.rstrip("/")
        results = engine.map_files(_extract_contents, todo, lambda job: [f"{base}/{path.name}" for path in job.parts])
    else:
        mark = folder / "pending" / f".seen-{uuid.uuid4().hex[:8]}"  # a killed run's is cleared with the rest
        mark.touch()
        results = engine.map(_ExtractAway(mark.absolute()), todo)
    try:
        for job, (values, result) in zip(todo, results, strict=True):
            _keep(job, values, result)
            yield job.count
    finally:
        if not parts:
            mark.unlink(missing_ok=True)


def extract_parts(job: FeatureJob) -> int:
    """Write the feature vectors of one job's parts into their rows; runs in a worker."""
    start = header_length(job.recipe.pixels)
    identifiers: list[str] = []
    bad = np.ones(job.count, np.float32)
    flagged = np.ones(job.count, np.bool_)
    try:
        with open(job.values, "r+b", buffering=0) as stream:
            stream.seek(start + 4 * job.recipe.pixels * job.first)
            for path in job.parts:
                for block in PartFile(path).blocks(_ROWS_PER_BLOCK):
                    features = extract(job.recipe, block, ivar=False)
                    rows = slice(len(identifiers), len(identifiers) + len(block))
                    if rows.stop > job.count:
                        raise ArchiveError("this part has more rows than the catalogue says", where=str(path))
                    write_all(stream.fileno(), features.values)
                    bad[rows], flagged[rows] = features.bad_fraction, features.flagged
                    identifiers += block.identifiers
            os.fsync(stream.fileno())
    except OSError as error:
        raise EmberlineError(
            f"cannot be written: {error.strerror or error}", where=str(job.values), action="Free some space."
        ) from error
    with atomic_path(job.result) as temporary, open(temporary, "wb") as out:
        np.savez(out, identifiers=np.array(identifiers, np.str_), bad_fraction=bad, flagged=flagged)
    return job.count


def _keep(job: FeatureJob, values: bytes, result: bytes) -> None:
    """Write what an executor computed as `extract_parts` does."""
    try:
        with open(job.values, "r+b", buffering=0) as stream:
            stream.seek(header_length(job.recipe.pixels) + 4 * job.recipe.pixels * job.first)
            write_all(stream.fileno(), np.frombuffer(values, "<f4"))
            os.fsync(stream.fileno())
    except OSError as error:
        raise EmberlineError(
            f"cannot be written: {error.strerror or error}", where=str(job.values), action="Free some space."
        ) from error
    with atomic_path(job.result) as temporary:
        temporary.write_bytes(result)


def _extracted(job: FeatureJob, parts: Sequence[Path]) -> tuple[bytes, bytes]:
    """The bytes that `extract_parts` writes, of parts that lie somewhere else."""
    with tempfile.TemporaryDirectory(prefix="emberline-") as name:
        folder = Path(name)
        values, result = folder / "values.npy", folder / "result.npz"
        values.touch()
        extract_parts(dataclasses.replace(job, parts=tuple(parts), values=values, result=result, first=0))
        return values.read_bytes()[header_length(job.recipe.pixels) :], result.read_bytes()


@dataclasses.dataclass(frozen=True)
class _ExtractAway:
    """Work on parts that an executor reads itself, once the file `mark` proves that it sees the archive."""

    mark: Path

    def __call__(self, job: FeatureJob) -> tuple[bytes, bytes]:
        if not self.mark.exists():
            raise ArchiveError(
                "an executor does not see the archive",
                where=str(self.mark.parents[3]),
                found=f"no such folder on {socket.gethostname()}",
                action="Put it on storage that all machines share, or name a copy of its parts: --parts hdfs://…",
            )
        return _extracted(job, job.parts)


def _extract_contents(job: FeatureJob, contents: Iterable[tuple[str, bytes]]) -> tuple[bytes, bytes]:
    """Work on parts whose bytes come with the job; errors name the addresses that they came from."""
    base = ""
    with tempfile.TemporaryDirectory(prefix="emberline-") as folder:
        for place, data in contents:
            base, _, name = place.rpartition("/")
            (Path(folder) / name).write_bytes(data)
        try:
            return _extracted(job, [Path(folder) / path.name for path in job.parts])
        except ArchiveError as error:
            where = error.where.replace(folder, base)
            raise ArchiveError(
                error.message, where=where, found=error.found, expected=error.expected, action=error.action
            ) from error


def write_all(descriptor: int, values: NDArray[np.float32]) -> None:
    """A write may be short when the disk is nearly full; the next one says why."""
    rest = memoryview(np.ascontiguousarray(values, "<f4").tobytes())
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _header(rows: int, pixels: int) -> bytes:
    stream = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": (rows, pixels)}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue()


def header_length(pixels: int) -> int:
    """The same for any number of rows: NumPy leaves room for the first axis to grow."""
    return len(_header(0, pixels))


def has_header(path: Path, pixels: int) -> bool:
    """Whether the file begins like a matrix of this many columns."""
    try:
        with open(path, "rb") as stream:
            found = stream.read(header_length(pixels))
    except FileNotFoundError:
        return False
    return len(found) == header_length(pixels) and found.startswith(b"\x93NUMPY")


def write_header(path: Path, rows: int, pixels: int) -> None:
    """Set the number of rows in place; a new file is made when there is none."""
    with open(path, "r+b" if path.exists() else "w+b", buffering=0) as stream:
        stream.write(_header(rows, pixels))
        os.fsync(stream.fileno())
