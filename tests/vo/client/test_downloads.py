"""Files fetched to disk: whole or not at all, and from where it stopped."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emberline.errors import EmberlineError
from emberline.files import exclusive_lock
from emberline.vo.client import (
    ClientConfig,
    ProtocolError,
    ServiceError,
    Session,
    StatusError,
    TooLargeError,
    UnsafeXMLError,
)
from tests.vo.client.misbehaving import Misbehaving, Request, Served

FILE = bytes(range(256)) * 40


class Shelf:
    """A file that is sent by ranges, and as often as wished only in part."""

    def __init__(self, server: Misbehaving, **headers: str) -> None:
        self.file = FILE
        self.headers = {"ETag": '"one"', **headers}
        self.cuts: list[int] = []
        self.url = server.serve("/file.fits", self.answer)
        self.ranges: list[str] = []

    def answer(self, request: Request) -> Served:
        wanted = request.headers.get("Range", "")
        self.ranges.append(wanted)
        body, status, headers = self.file, 200, dict(self.headers)
        if wanted and request.headers.get("If-Range") == (headers["ETag"] or headers["Last-Modified"]):
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            headers["Content-Range"] = f"bytes {start}-{len(self.file) - 1}/{len(self.file)}"
            body, status = self.file[start:], 206
        if self.cuts:
            headers["Content-Length"] = str(len(body))
            headers["Connection"] = "close"
            body = body[: self.cuts.pop(0)]
        return Served(body, "application/fits", status, {key: value for key, value in headers.items() if value})


@pytest.fixture
def server() -> Iterator[Misbehaving]:
    with Misbehaving() as server:
        yield server


def session_for(server: Misbehaving, **settings: Any) -> Session:
    given: dict[str, Any] = {"allow": (server.host,), "rate": 1000.0, "timeout": 20.0, "total": 60.0}
    session = Session(ClientConfig(**{**given, **settings}))
    session.backoff = 0.001
    return session


def only(folder: Path, *names: str) -> bool:
    return sorted(path.name for path in folder.iterdir()) == sorted(names)


def test_a_file_is_fetched(server: Misbehaving, tmp_path: Path) -> None:
    shelf = Shelf(server, **{"Content-Disposition": 'attachment; filename="../../spec 1.fits"'})
    with session_for(server) as session:
        got = session.download(shelf.url, tmp_path / "here", accept=("application/fits", "image/*"))
    assert (tmp_path / "here").read_bytes() == FILE
    assert (got.path, got.bytes, got.sha256) == (tmp_path / "here", len(FILE), hashlib.sha256(FILE).hexdigest())
    assert (got.media_type, got.filename, got.url) == ("application/fits", "spec 1.fits", shelf.url)
    assert only(tmp_path, "here")


@pytest.mark.parametrize("headers", [{}, {"ETag": "", "Last-Modified": "Fri, 20 Nov 2020 16:00:00 GMT"}])
def test_it_goes_on_where_it_stopped(server: Misbehaving, tmp_path: Path, headers: dict[str, str]) -> None:
    shelf = Shelf(server, **headers)
    shelf.cuts = [3000, 4000]
    with session_for(server) as session:
        session.download(shelf.url, tmp_path / "here")
    assert (tmp_path / "here").read_bytes() == FILE
    assert shelf.ranges == ["", "bytes=3000-", "bytes=7000-"]
    assert only(tmp_path, "here")


def test_the_next_call_goes_on_too(server: Misbehaving, tmp_path: Path) -> None:
    shelf = Shelf(server)
    shelf.cuts = [3000, 1000]
    with session_for(server, tries=2) as session:
        with pytest.raises(ProtocolError, match="cut short"):
            session.download(shelf.url, tmp_path / "here")
        assert not (tmp_path / "here").exists()
    with session_for(server) as session:
        session.download(shelf.url, tmp_path / "here")
    assert (tmp_path / "here").read_bytes() == FILE
    assert shelf.ranges == ["", "bytes=3000-", "bytes=4000-"]
    assert only(tmp_path, "here")


@pytest.mark.parametrize("etag", ['"two"', 'W/"weak"', ""])
def test_a_file_that_changed_meanwhile_is_begun_anew(server: Misbehaving, tmp_path: Path, etag: str) -> None:
    shelf = Shelf(server) if etag == '"two"' else Shelf(server, ETag=etag)
    shelf.cuts = [3000]
    with session_for(server, tries=1) as session:
        with pytest.raises(ProtocolError):
            session.download(shelf.url, tmp_path / "here")
        shelf.headers["ETag"], shelf.file = etag, FILE[::-1]
        session.download(shelf.url, tmp_path / "here")
    assert (tmp_path / "here").read_bytes() == FILE[::-1]


def test_another_address_does_not_go_on(server: Misbehaving, tmp_path: Path) -> None:
    shelf = Shelf(server)
    shelf.cuts = [3000]
    with session_for(server, tries=1) as session:
        with pytest.raises(ProtocolError):
            session.download(shelf.url, tmp_path / "here")
        session.download(shelf.url + "?other=1", tmp_path / "here")
    assert shelf.ranges == ["", ""]
    assert (tmp_path / "here").read_bytes() == FILE


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Range": f"bytes 5000-10239/{len(FILE)}"}, {},
        {"Content-Range": f"bytes 3000-10239/{len(FILE)}", "Content-Encoding": "gzip"},
    ],
)  # fmt: skip
def test_a_wrong_part_is_not_glued_on(server: Misbehaving, tmp_path: Path, headers: dict[str, str]) -> None:
    shelf = Shelf(server)
    shelf.cuts = [3000]
    with session_for(server, tries=1) as session:
        with pytest.raises(ProtocolError):
            session.download(shelf.url, tmp_path / "here")
        server.serve("/file.fits", FILE[5000:], "application/fits", 206, headers)
        with pytest.raises(ProtocolError, match="another part"):
            session.download(shelf.url, tmp_path / "here")
    assert only(tmp_path)


@pytest.mark.parametrize(
    ("path", "accept", "kind", "words"),
    [
        ("/file.fits", ("image/jpeg", "text/*"), ProtocolError, "another type"),
        ("/404", (), StatusError, "maintenance"),
        ("/huge", (), TooLargeError, "announced"),
        ("/endless", (), TooLargeError, "larger"),
        ("/nothing", (), StatusError, "nothing here"),
        ("/xml-bomb", (), UnsafeXMLError, "entities"),
    ],
)
def test_what_is_refused_leaves_nothing(
    server: Misbehaving, tmp_path: Path, path: str, accept: tuple[str, ...], kind: type[ServiceError], words: str
) -> None:
    Shelf(server)
    (tmp_path / "here").write_text("as it was")
    with session_for(server) as session, pytest.raises(kind, match=words):
        session.download(server.url + path, tmp_path / "here", accept=accept, max_bytes=1_000_000)
    assert (tmp_path / "here").read_text() == "as it was"
    assert only(tmp_path, "here")


def test_the_limit_counts_what_had_come_before(server: Misbehaving, tmp_path: Path) -> None:
    shelf = Shelf(server)
    shelf.cuts = [9000]
    with session_for(server, tries=1) as session:
        with pytest.raises(ProtocolError):
            session.download(shelf.url, tmp_path / "here")
        with pytest.raises(TooLargeError):
            session.download(shelf.url, tmp_path / "here", max_bytes=9500)


def test_two_do_not_fetch_to_one_place(server: Misbehaving, tmp_path: Path) -> None:
    shelf = Shelf(server)
    with (
        session_for(server) as session,
        exclusive_lock(tmp_path / ".here.lock", "busy"),
        pytest.raises(EmberlineError, match="another process"),
    ):
        session.download(shelf.url, tmp_path / "here")
    assert server.count() == 0


def test_a_failing_server_is_tried_again(server: Misbehaving, tmp_path: Path) -> None:
    with session_for(server) as session:
        session.download(f"{server.url}/flaky", tmp_path / "here")
    assert (tmp_path / "here").stat().st_size > 100
    assert server.count("/flaky") == 3


def test_a_compressed_body_is_decoded(server: Misbehaving, tmp_path: Path) -> None:
    with session_for(server) as session:
        session.download(f"{server.url}/gzip", tmp_path / "here")
    assert (tmp_path / "here").read_bytes().startswith(b"<?xml")


def test_a_folder_that_is_not_there(server: Misbehaving, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with session_for(server) as session, pytest.raises(EmberlineError, match="file"):
        session.download(f"{server.url}/good", tmp_path / "file" / "here")
