"""Answers kept on disk: shared by any number of processes, bounded in size, and never trusted when damaged."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
import urllib.parse
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Cache", "Entry", "cache_key"]

_FORMAT = 1
_SLACK = 0.8
"""Down to which part of its bound a full cache is cleared."""
_HEADERS = ("content-type", "content-disposition", "last-modified", "etag", "date")


@dataclass(frozen=True)
class Entry:
    """One answer as it was kept.

    Attributes
    ----------
    url : str
        Where it came from in the end.
    headers : dict
        Those of its headers that tell what it is.
    fetched : float
        When (seconds since 1970).
    expires : float
        Until when it may be used without asking again.
    body : bytes
        What was answered, decoded.
    """

    url: str
    headers: dict[str, str]
    fetched: float
    expires: float
    body: bytes


def cache_key(method: str, url: str, accept: str) -> str:
    """The name under which an answer is kept: a hash of method, address, parameters in order of their names, and type.

    Nothing of the address can be read from it.
    """
    parts = urllib.parse.urlsplit(url)
    pairs = sorted(urllib.parse.parse_qsl(parts.query, keep_blank_values=True), key=lambda pair: pair[0])
    plain = (method.upper(), parts.scheme, parts.netloc.lower(), parts.path or "/", pairs, accept)
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()


class Cache:
    """A folder of answers.

    An entry is one file: a line of JSON, then the body, whose hash the line holds. It appears by a rename, so that no
    reader sees half of it; whatever does not fit its hash is as good as not there.

    Parameters
    ----------
    folder : Path
        Where; made when the first answer is kept.
    max_bytes : int
        Bytes of all entries at most.
    days : float
        Days for which an entry may be used.
    """

    def __init__(self, folder: Path, max_bytes: int, days: float, clock: Callable[[], float] = time.time) -> None:
        self.folder = Path(folder)
        self._max_bytes, self._seconds, self._clock = max_bytes, days * 86400.0, clock
        self._written = 0

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.answer"

    def get(self, key: str, *, expired: bool = False) -> Entry | None:
        """The entry of this name, or None; one that has expired only when `expired` is true."""
        path = self._path(key)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        entry = _parsed(content)
        if entry is None:
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        moment = self._clock()
        if not expired and (moment >= entry.expires or moment >= entry.fetched + self._seconds):
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # what was used last is dropped last
        return entry

    def put(self, key: str, url: str, headers: Any, body: bytes, *, max_age: float | None = None) -> None:
        """Keep an answer; a disk that is full or cannot be written is no reason to lose the answer itself."""
        if self._seconds <= 0 or len(body) > self._max_bytes // 4:
            return
        moment = self._clock()
        seconds = self._seconds if max_age is None else min(max_age, self._seconds)
        head = {
            "format": _FORMAT,
            "url": url,
            "headers": {name: headers[name] for name in _HEADERS if name in headers},
            "fetched": moment,
            "expires": moment + seconds,
            "sha256": hashlib.sha256(body).hexdigest(),
        }
        path = self._path(key)
        part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
                stream.write(json.dumps(head).encode() + b"\n")
                stream.write(body)
            os.replace(part, path)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            return
        self._written += len(body)
        if self._written > self._max_bytes // 20 or self._written == len(body):
            self._written = 1
            self.prune()

    def prune(self) -> None:
        """Drop what was not used for longest until the cache is well below its bound, and remains of killed writers."""
        files = []
        total = 0
        for path in self.folder.glob("??/*"):
            try:
                status = path.stat()
            except OSError:
                continue  # another process was faster
            if path.suffix == ".part":
                if self._clock() - status.st_mtime > 3600:
                    path.unlink(missing_ok=True)
                continue
            files.append((status.st_mtime_ns, status.st_size, path))
            total += status.st_size
        if total <= self._max_bytes:
            return
        for _, size, path in sorted(files):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            total -= size
            if total <= self._max_bytes * _SLACK:
                break

    def clear(self) -> int:
        """Drop everything; returns how many entries there were."""
        count = 0
        for path in self.folder.glob("??/*"):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
                count += path.suffix == ".answer"
        return count

    def usage(self) -> tuple[int, int]:
        """How many entries there are, and their bytes."""
        sizes = []
        for path in self.folder.glob("??/*.answer"):
            with contextlib.suppress(OSError):
                sizes.append(path.stat().st_size)
        return len(sizes), sum(sizes)


def _parsed(content: bytes) -> Entry | None:
    head, separator, body = content.partition(b"\n")
    try:
        record = json.loads(head)
        if not separator or record["format"] != _FORMAT or record["sha256"] != hashlib.sha256(body).hexdigest():
            return None
        headers = {str(name): str(value) for name, value in record["headers"].items()}
        return Entry(str(record["url"]), headers, float(record["fetched"]), float(record["expires"]), body)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
