"""Files fetched to disk: they grow in a part file, are resumed where the server can, and appear when they are whole."""

from __future__ import annotations

import contextlib
import email.message
import fcntl
import hashlib
import json
import os
import re
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import requests

from emberline.errors import EmberlineError
from emberline.files import write_text
from emberline.vo.client._answers import media_type, refuse_unsafe_xml
from emberline.vo.client.errors import ProtocolError, ServiceError, TimeLimitError, TooLargeError, UnsafeXMLError

if TYPE_CHECKING:
    from emberline.vo.client.session import Session

__all__ = ["Download", "download"]


@dataclass(frozen=True)
class Download:
    """A file that was fetched.

    Attributes
    ----------
    path : Path
        Where it lies.
    bytes : int
        Its size.
    sha256 : str
        Its hash, in hexadecimal.
    media_type : str
        What the server said it is; empty when it said nothing.
    filename : str
        The name that the server gives it, made harmless; else the last part of its address.
    url : str
        Where it came from in the end.
    """

    path: Path
    bytes: int
    sha256: str
    media_type: str
    filename: str
    url: str


class _Part:
    """The part file: what has come so far, and from what it came."""

    def __init__(self, path: Path, url: str, limit: int, accept: tuple[str, ...]) -> None:
        self.path = path.with_name(f".{path.name}.part")
        self._note = path.with_name(f".{path.name}.part.json")
        self._url, self._limit, self._accept = url, limit, accept
        self._stream: IO[bytes] | None = None
        self.have = 0
        self.whole = False

    def headers(self) -> dict[str, str]:
        """What asks for the rest only, where what is here belongs to the same file."""
        note = self._noted()
        self.have = self.path.stat().st_size if note and self.path.is_file() else 0
        asked = {"Accept-Encoding": "identity"}
        if self._accept:
            asked["Accept"] = ", ".join(self._accept)
        if self.have:
            asked |= {"Range": f"bytes={self.have}-", "If-Range": note}
        return asked

    def _noted(self) -> str:
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            return str(note["validator"]) if note["url"] == self._url else ""
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def accepts(self, answer: requests.Response) -> bool:
        """Whether this answer is the file or the rest of it; the part file is then made ready to take it."""
        self.close()
        if answer.status_code == 206:
            return self._go_on(answer)
        if answer.status_code != 200:
            return False
        _acceptable(answer, self._accept)
        self._start(answer)
        return True

    def _go_on(self, answer: requests.Response) -> bool:
        match = re.match(r"bytes (\d+)-\d+/(\d+|\*)", str(answer.headers.get("Content-Range") or ""))
        if match is None or int(match[1]) != self.have or answer.headers.get("Content-Encoding"):
            self.discard()
            raise ProtocolError("the server sends another part of the file than was asked for", url=answer.url)
        _acceptable(answer, self._accept)
        self._stream = open(self.path, "ab")  # noqa: SIM115
        return True

    def _start(self, answer: requests.Response) -> None:
        self.have = 0
        etag = str(answer.headers.get("ETag") or "")
        validator = etag if etag and not etag.startswith("W/") else str(answer.headers.get("Last-Modified") or "")
        if answer.headers.get("Content-Encoding"):
            validator = ""  # what comes is decoded: its bytes are not the server's
        self._note.unlink(missing_ok=True)
        self._stream = open(self.path, "wb")  # noqa: SIM115
        if validator:
            write_text(self._note, json.dumps({"url": self._url, "validator": validator}))

    def write(self, piece: bytes) -> None:
        """Take a piece."""
        assert self._stream is not None
        self.have += len(piece)
        if self.have > self._limit:
            self.discard()
            raise TooLargeError(
                "the file is larger than allowed",
                url=self._url,
                expected=f"at most {self._limit:,} bytes",
                action="Raise max_bytes in vo.toml to fetch it.",
            )
        try:
            self._stream.write(piece)
        except OSError as error:
            raise _cannot_write(self.path, error) from error

    def close(self, *, synced: bool = False) -> None:
        """Nothing more comes for now."""
        if self._stream is None:
            return
        stream, self._stream = self._stream, None
        try:
            with stream:
                stream.flush()
                if synced:
                    os.fsync(stream.fileno())
        except OSError as error:
            raise _cannot_write(self.path, error) from error

    def discard(self) -> None:
        """Forget what has come."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)
        self.have = 0

    def beginning(self) -> bytes:
        """The first megabyte of it, in which XML would declare entities."""
        with open(self.path, "rb") as stream:
            return stream.read(1 << 20)

    def finish(self, path: Path) -> None:
        """Give it its name."""
        os.replace(self.path, path)
        self._note.unlink(missing_ok=True)


class _DiskError(EmberlineError):
    """The file cannot be written; no service is at fault."""


def _cannot_write(path: Path, error: OSError) -> _DiskError:
    return _DiskError(
        f"cannot be written: {error.strerror or error}",
        where=str(path),
        action="Free some space, or choose another folder.",
    )


def download(
    session: Session, url: str, path: Path, *, max_bytes: int | None, accept: tuple[str, ...], total: float | None
) -> Download:
    """Fetch a file; `Session.download` explains the parameters.

    Raises
    ------
    ServiceError
        It cannot be had; what has come is kept beside, and the next call goes on from there.
    EmberlineError
        It cannot be written, or another process is fetching it.
    """
    limit = session.config.max_bytes if max_bytes is None else max_bytes
    part = _Part(path, url, limit, accept)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path):
            try:
                answer = _fetched(session, url, part, limit, 10 * session.config.total if total is None else total)
                part.close(synced=True)
                refuse_unsafe_xml(part.beginning(), answer.url)
                part.finish(path)
            except (TooLargeError, UnsafeXMLError):
                part.discard()
                raise
            finally:
                part.close()
    except ServiceError:  # some of which are an OSError too, by way of requests
        raise
    except OSError as error:
        raise _cannot_write(path, error) from error
    with open(path, "rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Download(path, path.stat().st_size, digest, media_type(answer.headers), _file_name(answer), answer.url)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the right to fetch to a path; nothing is left of it afterwards."""
    lock = path.with_name(f".{path.name}.lock")
    while True:
        with open(lock, "a+b") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise EmberlineError(
                    "is being fetched by another process", where=str(path), action="Wait for it to end, or stop it."
                ) from None
            if not lock.exists() or not os.path.samestat(os.fstat(stream.fileno()), lock.stat()):
                continue  # whoever held it has just ended, and removed it
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
            return


def _fetched(session: Session, url: str, part: _Part, limit: int, total: float) -> requests.Response:
    for attempt in range(1, session.config.tries + 1):
        last = attempt == session.config.tries
        headers = part.headers()
        before = part.have
        try:
            with session.into(part, total=total, max_bytes=limit):
                answer = session.get(url, headers=headers)
        except ServiceError as error:
            part.close()
            if last or not _passing(error):
                raise
            session.limiter.pause(session.backoff * attempt)
            continue
        if answer.status_code == 416 and before:  # what is here is no part of what is there now
            part.discard()
            continue
        answer.raise_for_status()
        if answer.status_code in (200, 206):
            return answer
        raise ProtocolError("there is no file", url=url, found=f"status {answer.status_code}")
    raise ProtocolError("the server does not send the file that it had begun to send", url=url)


def _passing(error: ServiceError) -> bool:
    """Whether going on may help."""
    return type(error) in (ServiceError, ProtocolError, TimeLimitError)


def _acceptable(answer: requests.Response, accept: tuple[str, ...]) -> None:
    kind = media_type(answer.headers)
    if not accept or any(kind == want or (want.endswith("/*") and kind.startswith(want[:-1])) for want in accept):
        return
    raise ProtocolError(
        "the file is of another type", url=answer.url, found=kind or "no type", expected=" or ".join(accept)
    )


def _file_name(answer: requests.Response) -> str:
    """A name without folders, control characters or leading dots."""
    message = email.message.Message()
    message["Content-Disposition"] = str(answer.headers.get("Content-Disposition") or "")
    name = message.get_filename() or urllib.parse.unquote(urllib.parse.urlsplit(answer.url).path.rpartition("/")[2])
    name = re.sub(r"[^\w.+\-() ]", "_", name.replace("\\", "/").rpartition("/")[2]).strip(" .")
    return name[-200:]
