"""A job's folder: what was asked, the log, the results, and how they are read safely and removed."""

from __future__ import annotations

import codecs
import contextlib
import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from emberline.config import to_toml

__all__ = ["LOG", "PARAMETERS", "RESULTS", "erase", "prepare", "read_log", "regular_file", "remove", "write_parameters"]

PARAMETERS = "parameters.toml"
LOG = "log.txt"
RESULTS = "results"


def prepare(folder: Path, heading: str, parameters: Mapping[str, Any]) -> None:
    """Make the folder of a new job."""
    (folder / RESULTS).mkdir(parents=True)
    write_parameters(folder, heading, parameters)


def write_parameters(folder: Path, heading: str, parameters: Mapping[str, Any]) -> None:
    """Write down what was asked, for people: the data base is what counts."""
    temporary = folder / f".{PARAMETERS}.part"
    temporary.write_text(f"# {heading}\n{to_toml(parameters)}", encoding="utf-8")
    temporary.replace(folder / PARAMETERS)


def remove(folder: Path) -> None:
    """Remove all of a job's files."""
    shutil.rmtree(folder, ignore_errors=True)


def erase(folder: Path) -> None:
    """Remove a job's results, its log and whatever else it wrote; what was asked is kept."""
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(folder)):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            elif entry.name != PARAMETERS:
                os.unlink(entry.path)


def read_log(folder: Path, offset: int, limit: int) -> tuple[str, int]:
    """At most `limit` bytes of the log from byte `offset` on, and where to go on reading.

    A negative `offset` counts from the end. A character that is not written whole yet is left for the next time;
    bytes that are no UTF-8 are shown as replacement characters.
    """
    try:
        descriptor = os.open(folder / LOG, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return "", 0
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return "", 0
        size = os.fstat(descriptor).st_size
        start = max(size + offset, 0) if offset < 0 else min(offset, size)
        stream.seek(start)
        data = stream.read(max(limit, 4))
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    text = decoder.decode(data)
    pending = len(decoder.getstate()[0])
    return text, start + len(data) - pending


def regular_file(folder: Path, name: str) -> Path | None:
    """The file `name` in `folder`; None when there is none, or a link is on the way, or it leads out."""
    parts = PurePosixPath(name).parts
    if not parts or "\0" in name or any(part in ("..", "/") for part in parts):
        return None
    path = folder
    with contextlib.suppress(OSError):
        for part in parts:
            mode = os.lstat(path).st_mode
            if not stat.S_ISDIR(mode):
                return None
            path = path / part
        return path if stat.S_ISREG(os.lstat(path).st_mode) else None
    return None
