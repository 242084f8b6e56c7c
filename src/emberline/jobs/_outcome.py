"""What a job leaves behind: its result files with their media types, or why it failed."""

from __future__ import annotations

import errno
import os
import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from emberline.errors import EmberlineError
from emberline.jobs.model import Failure, JobError, Result

__all__ = ["collect", "failure_of", "readable"]

_MOST_RESULTS = 10_000
_LONGEST = 100_000  # characters of a traceback that are kept
_UNREADABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")

_MEDIA_TYPES = {
    ".csv": "text/csv",
    ".ecsv": "text/csv",
    ".fit": "application/fits",
    ".fits": "application/fits",
    ".html": "text/html",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".json": "application/json",
    ".log": "text/plain",
    ".md": "text/markdown",
    ".npy": "application/octet-stream",
    ".npz": "application/octet-stream",
    ".onnx": "application/octet-stream",
    ".parquet": "application/vnd.apache.parquet",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".reg": "text/plain",
    ".svg": "image/svg+xml",
    ".toml": "application/toml",
    ".txt": "text/plain",
    ".vot": "application/x-votable+xml",
    ".votable": "application/x-votable+xml",
    ".xml": "text/xml",
    ".zip": "application/zip",
}


def collect(folder: Path) -> list[Result]:
    """The files in a results folder, links and hidden files left out, with their media types."""
    found = []
    for path in _files(folder):
        name = path.relative_to(folder).as_posix()
        media_type = _MEDIA_TYPES.get(path.suffix.lower(), "application/octet-stream")
        found.append(Result(name, media_type, path.stat().st_size))
        if len(found) > _MOST_RESULTS:
            raise JobError(
                "the job made too many result files", where=str(folder), expected=f"at most {_MOST_RESULTS:,}"
            )
    return sorted(found, key=lambda result: result.name)


def _files(folder: Path) -> Iterator[Path]:
    for where, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(where, name)
            named = readable(str(path)) == str(path)  # what cannot be written in a document cannot be asked for
            if named and not name.startswith(".") and path.is_file() and not path.is_symlink():
                yield path


def readable(text: str) -> str:
    """Text that any document can hold: without control characters, and bytes of file names that are no UTF-8."""
    return _UNREADABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def failure_of(error: BaseException | None) -> Failure:
    """An exception as the error of a job: its message for people, the traceback for who asks for it."""
    lines = "".join(traceback.format_exception(error)) if error else ""
    detail = readable(lines if len(lines) <= _LONGEST else f"{lines[: _LONGEST // 2]}\n[…]\n{lines[-_LONGEST // 2 :]}")
    kind = _kind(error)
    if isinstance(error, EmberlineError):
        return Failure(readable(str(error))[:2000], kind, detail)
    if isinstance(error, SystemExit):
        return Failure(f"failed: it ended itself (exit status {error.code})", kind, detail)
    text = readable(" ".join(str(error).split()))[:500]
    name = type(error).__name__
    return Failure(f"failed: {name}: {text}" if text else f"failed: {name}", kind, detail)


def _kind(error: BaseException | None) -> Literal["fatal", "transient"]:
    """Whether the same job may do better another time."""
    while error is not None:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.ENOMEM)
        if full or isinstance(error, MemoryError | TimeoutError | ConnectionError):
            return "transient"
        error = error.__cause__
    return "fatal"
