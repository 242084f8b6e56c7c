"""Fetch what waits in the queue: many hosts at once, few requests to each, every file's fate written down."""

from __future__ import annotations

import collections
import dataclasses
import queue
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from emberline.files import sha256_of
from emberline.progress import Progress, silent
from emberline.provenance import now
from emberline.vo.client.errors import OfflineError, ServiceDownError, ServiceError
from emberline.vo.client.harvest._threads import start
from emberline.vo.client.harvest.history import File, HarvestError, History
from emberline.vo.client.harvest.options import order

if TYPE_CHECKING:
    from emberline.vo.client.session import Session

__all__ = ["AT_ONCE", "PER_HOST", "Fetched", "fetch", "place_of"]

AT_ONCE = 16
"""Downloads at a time."""
PER_HOST = 4
"""Downloads at a time from one host; the session also limits its requests a second."""


@dataclasses.dataclass(frozen=True)
class Fetched:
    """What came of one download; `down` says that the service, not the file, is the trouble."""

    file: File
    error: str = ""
    down: bool = False
    bytes: int | None = None
    sha256: str = ""
    media_type: str = ""
    filename: str = ""
    url: str = ""


def place_of(folder: Path, file: File) -> Path:
    """Where a download lies: named by its key, never by what a server calls it."""
    return folder / "files" / f"{file.key}.download"


def fetch(
    session: Session, history: History, folder: Path, files: Sequence[File], *, progress: Progress = silent
) -> tuple[str, ...]:
    """Download all of `files`, and write each one's fate into the history.

    A file that had come completely before an interruption is not asked for again. A service that is down, or an
    absent network, ends its own queue: the rest of its files wait for another run.

    Parameters
    ----------
    session : Session
    history : History
    folder : Path
        The harvest's folder in the archive.
    files : sequence of File
        In the state ``waiting``.
    progress : Progress

    Returns
    -------
    tuple of str
        Hosts that are down, each with the reason.
    """
    (folder / "files").mkdir(parents=True, exist_ok=True)
    waiting, down, done, running = _Queue(files), dict[str, str](), 0, 0
    answers: queue.SimpleQueue[tuple[Fetched | None, BaseException | None]] = queue.SimpleQueue()
    stop = threading.Event()
    progress("fetch", 0, len(files))
    try:
        while True:
            for file in waiting.ready(AT_ONCE - running):
                start(lambda file: _download(session, history, folder, file, stop), file, answers)
                running += 1
            if not running:
                break
            result, error = answers.get()
            running -= 1
            if error is not None or result is None:
                raise error or AssertionError
            host = result.file.record.host
            waiting.finished(result.file)
            _note(history, result)
            done += 1
            if result.down:
                down[host] = result.error
                left = waiting.drop(host)
                history.change([other.number for other in left], error=result.error)
                done += len(left)
            progress("fetch", done, len(files))
    finally:
        stop.set()
    return tuple(f"{host}: {reason}" for host, reason in down.items())


class _Queue:
    """Files by host; hosts take turns, and none is asked for more than `PER_HOST` files at a time."""

    def __init__(self, files: Sequence[File]) -> None:
        self._waiting: dict[str, collections.deque[File]] = {}
        self._running: collections.Counter[str] = collections.Counter()
        for file in files:
            self._waiting.setdefault(file.record.host, collections.deque()).append(file)

    def ready(self, room: int) -> Iterator[File]:
        """At most `room` files that may be asked for now."""
        while room > 0:
            free = [host for host, files in self._waiting.items() if files and self._running[host] < PER_HOST]
            if not free:
                return
            for host in free[:room]:
                self._running[host] += 1
                room -= 1
                yield self._waiting[host].popleft()

    def finished(self, file: File) -> None:
        """One of a host's places is free again."""
        self._running[file.record.host] -= 1

    def drop(self, host: str) -> list[File]:
        """Give up what waits for a host."""
        return list(self._waiting.pop(host, ()))


def _download(session: Session, history: History, folder: Path, file: File, stop: threading.Event) -> Fetched:
    """Fetch one file; runs in a thread, and raises nothing that belongs to the file or its service."""
    path = place_of(folder, file)
    if path.exists() and file.sha256:  # it was kept, and is to be fetched again because nothing came of it
        path.unlink()
    if path.exists():  # it was complete before the run was killed: downloads are renamed into place
        return Fetched(file, bytes=path.stat().st_size, sha256=sha256_of(path), url=file.record.address)
    if stop.is_set():
        return Fetched(file, "the run was stopped", down=True)
    history.began(file.number)
    try:
        told = order(session, file.record, file.options)
        if told.descriptor is not None:
            from emberline.vo.client import soda

            found = soda.sync(session, told.descriptor, path=path, **told.parameters)
            if isinstance(found, bytes):
                raise HarvestError("the service answered with nothing", expected="a spectrum")
        else:
            found = session.download(told.url, path)
    except (OfflineError, ServiceDownError) as error:
        return Fetched(file, str(error), down=True)
    except (ServiceError, HarvestError) as error:  # any other error is this machine's, and ends the run
        return Fetched(file, str(error))
    if not found.bytes:
        path.unlink(missing_ok=True)
        return Fetched(file, "the answer is empty: there is nothing in the range that was asked for, or no file")
    return Fetched(
        file,
        bytes=found.bytes,
        sha256=found.sha256,
        media_type=found.media_type,
        filename=found.filename,
        url=found.url,
    )


def _note(history: History, result: Fetched) -> None:
    number = result.file.number
    if result.down:
        history.change(number, error=result.error)
    elif result.error:
        history.change(number, state="failed", error=result.error, ended=now())
    else:
        history.change(
            number,
            state="fetched",
            error="",
            bytes=result.bytes,
            sha256=result.sha256,
            media_type=result.media_type,
            filename=result.filename[:200],
            url=result.url,
            fetched=now(),
        )
