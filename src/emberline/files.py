"""Write files so that a reader never sees half of one, and hash them."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import mmap
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from emberline.errors import EmberlineError

__all__ = ["atomic_path", "exclusive_lock", "forget_pages", "sha256_of", "write_text"]


@contextlib.contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is synced to disk and renamed to `path`.

    When the block fails, nothing is left behind and `path` is as it was. Works for files only.

    Raises
    ------
    EmberlineError
        When the disk is full or the folder cannot be written; the message names the file.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    except OSError as error:
        raise EmberlineError(
            f"cannot be written: {error.strerror or error}",
            where=str(path),
            action="Free some space or choose another folder; nothing half-written was left.",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(path: Path | str) -> Iterator[Path]:
    """Yield an empty folder beside `path`, which takes its name on success; when the block fails, it is removed.

    Raises
    ------
    EmberlineError
        There is something called `path` already, or it cannot be written.
    """
    path = Path(path)
    there = EmberlineError("is there already", where=str(path), action="Choose another name.")
    if path.exists():
        raise there
    made = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with _naming_folder(path):
            made.mkdir(parents=True)
        yield made
        if path.exists():  # another run was faster
            raise there
        with _naming_folder(path):
            made.rename(path)
            _sync(path.parent)
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextlib.contextmanager
def _naming_folder(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EmberlineError(
            f"cannot be written: {error.strerror or error}",
            where=str(path),
            action="Free some space or choose another folder; nothing half-written was left.",
        ) from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path | str, text: str) -> None:
    """Write `text` as UTF-8 to `path`, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sha256_of(path: Path | str) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextlib.contextmanager
def exclusive_lock(path: Path | str, busy: str) -> Iterator[None]:
    """Hold an advisory lock on the file `path`; `busy` says what it means when another process holds it.

    The lock dies with the process that holds it, so a killed run never blocks the next one.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise EmberlineError(
                busy, where=str(Path(path).parent), action="Wait for it to end, or stop it."
            ) from error
        yield


def forget_pages(array: object) -> None:
    """Give back the memory in which a memory-mapped file was read so far; the file stays open and its pages cached.

    A pass over a map otherwise ends with the whole file resident. Does nothing for what is no map.
    """
    mapped = getattr(array, "_mmap", None)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)
