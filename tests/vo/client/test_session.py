"""The session against a server that misbehaves in every way, and against names that lead elsewhere."""

from __future__ import annotations

import base64
import contextlib
import pickle
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import pyvo
import requests

from emberline.vo.client import (
    ClientConfig,
    OfflineError,
    ProtocolError,
    RefusedAddressError,
    ServiceDownError,
    ServiceError,
    Session,
    StatusError,
    TimeLimitError,
    TooLargeError,
    UnsafeXMLError,
    open_session,
)
from emberline.vo.client._limits import Breaker
from tests.vo.client.misbehaving import FAULTS, GOOD, REFUSAL, Misbehaving, Request, Served


@pytest.fixture
def server() -> Iterator[Misbehaving]:
    with Misbehaving() as server:
        yield server


def session_for(server: Misbehaving, cache: Path | None = None, **settings: Any) -> Session:
    """A session that may ask the server, as fast as it likes."""
    given = {"allow": (server.host,), "rate": 1000.0, "timeout": 20.0, "total": 60.0, "max_bytes": 2_000_000}
    session = Session(ClientConfig(**{**given, **settings}), cache)
    session.backoff = 0.001
    return session


@pytest.fixture
def session(server: Misbehaving) -> Iterator[Session]:
    with session_for(server) as session:
        yield session


# --- what comes back -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["good", "gzip", "deflate", "redirect", "cookie", "flaky-truncated"])
def test_a_good_answer_is_whole_in_every_form(server: Misbehaving, session: Session, path: str) -> None:
    answer = session.get(f"{server.url}/{path}", stream=True)
    assert answer.content == GOOD
    assert answer.raw.read() == GOOD
    assert b"".join(session.get(f"{server.url}/good", stream=True).iter_content(100)) == GOOD
    assert session.get(f"{server.url}/good", stream=True).raw.read(decode_content=True) == GOOD
    assert not answer.from_cache
    assert answer.fetched.endswith("Z")
    assert answer.fetched[:4].isdigit()
    assert len(session.cookies) == 0


def test_pyvo_takes_it_as_its_session(server: Misbehaving, session: Session) -> None:
    found = pyvo.dal.query.DALQuery(f"{server.url}/gzip", session=session).execute()
    assert found.to_table()["ra"][0] == pytest.approx(345.48)
    with pytest.raises(pyvo.dal.DALQueryError, match="Unknown column"):
        pyvo.dal.query.DALQuery(f"{server.url}/refusal", session=session).execute()


FAULTY = {
    "truncated": (ProtocolError, 3, "cut short"),
    "truncated-chunks": (ProtocolError, 3, "cut short"),
    "truncated-gzip": (ProtocolError, 1, "cut short"),
    "bad-gzip": (ProtocolError, 1, "damaged"),
    "unknown-encoding": (ProtocolError, 1, "compressed in a way"),
    "huge": (TooLargeError, 1, "1,000,000,000,000 bytes announced"),
    "endless": (TooLargeError, 1, "at most 2,000,000 bytes"),
    "gzip-bomb": (TooLargeError, 1, "at most 2,000,000 bytes"),
    "xml-bomb": (UnsafeXMLError, 1, "entities"),
    "xml-bomb-utf16": (UnsafeXMLError, 1, "entities"),
    "xml-external": (UnsafeXMLError, 1, "entities"),
    "redirect-local": (RefusedAddressError, 1, "private network"),
    "redirect-metadata": (RefusedAddressError, 1, "169.254.169.254"),
    "redirect-file": (RefusedAddressError, 1, "file:///etc/passwd"),
    "redirect-user": (RefusedAddressError, 1, "user's name"),
    "redirect-loop": (ProtocolError, 6, "too often"),
    "reset": (ServiceError, 3, "broke the connection"),
    "no-answer": (ServiceError, 3, "hung up"),
    "no-http": (ServiceError, 3, "no HTTP"),
}


@pytest.mark.parametrize("name", FAULTY)
def test_each_fault_is_an_error_of_its_own(server: Misbehaving, session: Session, name: str) -> None:
    kind, count, words = FAULTY[name]
    with pytest.raises(ServiceError, match=words) as caught:
        session.get(f"{server.url}/{name}")
    assert caught.type is kind
    assert server.count(f"/{name}") == count
    assert server.count() == count  # nothing else was asked
    assert "secret" not in str(caught.value)
    assert caught.value.url.startswith(("http", "file:"))


@pytest.mark.parametrize("name", ["slow", "drip", "drip-headers"])
def test_a_whole_answer_has_its_time(server: Misbehaving, name: str) -> None:
    with session_for(server, total=0.5) as session:
        with pytest.raises(TimeLimitError, match=r"within 0\.5 s"):
            session.get(f"{server.url}/{name}")
        with session.limits(total=60.0):
            assert session.get(f"{server.url}/good").content == GOOD


def test_silence_has_its_time_too(server: Misbehaving) -> None:
    with session_for(server, timeout=0.2, tries=2) as session, pytest.raises(TimeLimitError, match="does not answer"):
        session.get(f"{server.url}/slow")
    assert server.count("/slow") == 2


def test_an_answer_may_be_larger_where_it_is_said(server: Misbehaving, session: Session) -> None:
    with session.limits(max_bytes=100), pytest.raises(TooLargeError):
        session.get(f"{server.url}/good")
    with session.limits(max_bytes=len(GOOD)):
        assert session.get(f"{server.url}/good").content == GOOD
    assert session.head(f"{server.url}/huge").status_code == 200


STATUSES = {
    "400": (400, 1, 'Unknown column "raa" & no more'),
    "404": (404, 1, "Service under maintenance Back on Monday."),
    "500": (500, 1, "maintenance"),
    "500-refusal": (500, 1, "Unknown column"),
    "502": (502, 3, "maintenance"),
    "503": (503, 3, "maintenance"),
    "504": (504, 3, "maintenance"),
    "429": (429, 3, "Slow down, please"),
    "503-later": (503, 1, "maintenance"),
    "429-later": (429, 1, "Slow down, please"),
}


@pytest.mark.parametrize("name", STATUSES)
def test_statuses_of_failure(server: Misbehaving, session: Session, name: str) -> None:
    status, count, words = STATUSES[name]
    answer = session.get(f"{server.url}/{name}")
    assert answer.status_code == status
    assert server.count() == count
    with pytest.raises(StatusError) as caught:
        answer.raise_for_status()
    assert caught.value.status == status
    assert words in caught.value.service_said
    assert caught.value.url == f"{server.url}/{name}"
    assert isinstance(caught.value, requests.HTTPError)  # for pyvo, which waits for that
    assert caught.value.response is answer
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.status, copy.service_said) == (str(caught.value), status, caught.value.service_said)


def test_every_fault_ends_in_an_answer_or_an_error_of_ours(server: Misbehaving) -> None:
    for name in sorted(set(FAULTS) - {"slow", "drip", "drip-headers"}):
        with session_for(server, tries=1) as session:
            server.fault = name
            ended: object
            try:
                ended = session.get(f"{server.url}/any").content
            except ServiceError as error:
                ended = error.url
            assert isinstance(ended, bytes) or ended, name


NOWHERE = [
    "http://[", "http://[::1", "http://", "http:///x", "//", "//[", "javascript:alert(1)", "data:text/xml,<a/>",
    "http://a b/",
    "http://exa\u00e4mple.invalid/", "http://x" + "a" * 300 + ".invalid/", "http://:80/",
    "http://a.invalid:0/", "\\\\a\\b",
    "http://127.0.0.1:{port}:80/", "http://.invalid/", "http://a..invalid/",
]  # fmt: skip


@pytest.mark.parametrize("target", NOWHERE)
def test_a_redirection_to_nowhere_is_an_error_of_ours(server: Misbehaving, target: str) -> None:
    location = target.format(port=server.port).encode("utf-8").decode("latin-1")
    server.serve("/away", lambda _: Served(b"", status=302, headers={"Location": location}))
    with session_for(server, tries=1) as session, pytest.raises(ServiceError) as caught:
        session.get(f"{server.url}/away").raise_for_status()
    assert caught.value.url


# --- trying again ----------------------------------------------------------------------------------------------------


def test_what_passes_is_tried_again(server: Misbehaving, session: Session) -> None:
    assert session.get(f"{server.url}/flaky").content == GOOD
    assert server.count("/flaky") == 3


def test_a_post_is_sent_once_unless_it_may_be_repeated(server: Misbehaving, session: Session) -> None:
    assert session.post(f"{server.url}/flaky", data={"a": "b"}).status_code == 503
    assert server.count("/flaky") == 1
    with session.repeatable():
        assert session.post(f"{server.url}/flaky", data={"a": "b"}, files={"t": b"table"}).status_code == 200
    assert server.count("/flaky") == 3
    bodies = [request.body for request in server.requests[1:]]
    assert bodies[0] == bodies[1]
    assert b"table" in bodies[0]


def test_a_body_that_can_be_read_once_is_sent_once(server: Misbehaving, session: Session) -> None:
    with session.repeatable():
        answer = session.post(f"{server.url}/503", data=iter([b"a", b"b"]), headers={"Content-Length": "2"})
    assert answer.status_code == 503
    assert server.count() == 1


def test_who_asks_for_patience_is_left_in_peace(server: Misbehaving, session: Session) -> None:
    assert session.get(f"{server.url}/429-later").status_code == 429
    with session.limits(total=0.05), pytest.raises(TimeLimitError, match="turn"):
        session.get(f"{server.url}/good")
    assert server.count() == 1
    session.reset(server.url)
    assert session.get(f"{server.url}/good").status_code == 200


def test_a_service_that_fails_is_left_alone(server: Misbehaving) -> None:
    with session_for(server, tries=1) as session:
        for _ in range(5):
            session.get(f"{server.url}/503")
        before = time.time()
        with pytest.raises(ServiceDownError, match="maintenance") as caught:
            session.get(f"{server.url}/good")
        assert before < caught.value.until < time.time() + 61
        assert server.count() == 5
        session.reset(server.host)
        assert session.get(f"{server.url}/good").content == GOOD


def test_a_broken_circuit_ends_the_tries(server: Misbehaving) -> None:
    with session_for(server, tries=100) as session:
        assert session.get(f"{server.url}/503").status_code == 503
    assert server.count() == 5


@pytest.mark.parametrize("name", ["400", "404", "429", "500-refusal", "huge", "xml-bomb", "redirect-metadata"])
def test_what_is_not_the_services_failure_is_not_counted(server: Misbehaving, name: str) -> None:
    with session_for(server, tries=1) as session:
        for _ in range(8):
            with contextlib.suppress(TooLargeError, UnsafeXMLError, RefusedAddressError):
                session.get(f"{server.url}/{name}")
        assert session.get(f"{server.url}/good").content == GOOD


def test_closing_ends_the_waiting(server: Misbehaving) -> None:
    session = session_for(server)
    session.limiter.hold(server.host, 600)
    errors: list[ServiceError] = []

    def ask() -> None:
        try:
            session.get(f"{server.url}/good")
        except ServiceError as error:
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 60
    while sum(len(lane.waiting) for lane in session.limiter._lanes.values()) < 3 and time.monotonic() < end:
        threading.Event().wait(0.002)
    session.close()
    for thread in threads:
        thread.join(60)
    assert len(errors) == 3
    assert "closed" in str(errors[0])
    assert server.count() == 0


def test_a_caller_who_is_late_does_not_blame_the_service(server: Misbehaving, session: Session) -> None:
    for _ in range(7):
        with session.limits(total=0.05), pytest.raises(TimeLimitError):
            session.get(f"{server.url}/slow")
    assert session.get(f"{server.url}/good").content == GOOD


def test_a_service_that_uses_up_its_time_is_to_blame(server: Misbehaving) -> None:
    with session_for(server, timeout=0.1, total=0.1) as session:
        for _ in range(5):
            with pytest.raises(TimeLimitError):
                session.get(f"{server.url}/drip")
        with pytest.raises(ServiceDownError):
            session.get(f"{server.url}/good")


def test_a_trial_that_ended_early_is_not_the_last(server: Misbehaving, session: Session) -> None:
    session.breaker = Breaker(1, cooling=0.0)
    session.breaker.failed(server.host, "down")
    with session.limits(total=0.05), pytest.raises(TimeLimitError):
        session.get(f"{server.url}/slow")
    with session.limits(max_bytes=10), pytest.raises(TooLargeError):
        session.get(f"{server.url}/good")
    assert session.get(f"{server.url}/good").content == GOOD


# --- addresses -------------------------------------------------------------------------------------------------------

HERE = [
    "http://127.0.0.1:{port}/good", "http://localhost:{port}/good", "http://localhost.:{port}/good",
    "http://2130706433:{port}/good", "http://0x7f.1:{port}/good", "http://0177.0.0.1:{port}/good",
    "http://[::ffff:127.0.0.1]:{port}/good", "http://[::1]:{port}/good", "http://127.0.0.1.:{port}/good",
    "http://0.0.0.0:{port}/good", "http://user:secret@127.0.0.1:{port}/good", "HTTP://LOCALHOST:{port}/good",
    "http://example.org\\@127.0.0.1:{port}/good", "http://127.0.0.1:{port}\\@example.org/good",
    "//127.0.0.1:{port}/good",
    "file:///etc/passwd", "ftp://127.0.0.1:{port}/", "127.0.0.1:{port}/good", "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:{port}/good",
    "http://127。0。0。1:{port}/good", "http://%31%32%37.0.0.1:{port}/good",
]  # fmt: skip


@pytest.mark.parametrize("url", HERE)
def test_this_machine_is_not_asked(server: Misbehaving, url: str) -> None:
    with Session(ClientConfig(tries=1)) as session, pytest.raises(ServiceError) as caught:
        session.get(url.format(port=server.port))
    assert server.connections == 0
    assert "secret" not in str(caught.value)
    unknown = "no such host" in str(caught.value)  # some resolvers do not know each way to write a number
    assert isinstance(caught.value, RefusedAddressError) or (unknown and "/127.0.0.1:" not in url)


@pytest.mark.parametrize("entry", ["127.0.0.1", "{host}", "127.0.0.0/8"])
def test_this_machine_is_asked_where_it_is_allowed(server: Misbehaving, entry: str) -> None:
    with session_for(server, allow=(entry.format(host=server.host),)) as session:
        assert session.get(f"{server.url}/good").content == GOOD


def test_another_port_is_not_allowed_along(server: Misbehaving) -> None:
    with session_for(server, allow=("127.0.0.1:4",)) as session, pytest.raises(RefusedAddressError):
        session.get(f"{server.url}/good")
    assert server.connections == 0


class Names:
    """A resolver whose answers are given, each used up by one question."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        self.asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (self.answers.pop(0), port))]


def test_a_name_is_looked_up_once_and_what_was_checked_is_connected_to(
    server: Misbehaving, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names("127.0.0.1", "203.0.113.9", "203.0.113.9")
    monkeypatch.setattr(socket, "getaddrinfo", names)
    with session_for(server, allow=("archive.example",)) as session:
        answer = session.get(f"http://archive.example:{server.port}/good")
    assert answer.content == GOOD
    assert names.asked == ["archive.example"]
    assert server.requests[0].headers["Host"] == f"archive.example:{server.port}"


def test_a_name_that_turns_round_is_refused(server: Misbehaving, monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names("127.0.0.1")
    monkeypatch.setattr(socket, "getaddrinfo", names)
    with Session(ClientConfig(tries=1)) as session, pytest.raises(RefusedAddressError, match=r"rebind\.example"):
        session.get(f"http://rebind.example:{server.port}/good")
    assert server.connections == 0


def test_looking_a_name_up_has_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def never(*_: Any, **__: Any) -> list[Any]:
        ended.wait(60)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", never)
    try:
        with Session(ClientConfig(total=0.2, tries=1)) as session, pytest.raises(TimeLimitError):
            session.get("http://archive.example/")
    finally:
        ended.set()


def test_nothing_of_the_environment_is_believed(
    server: Misbehaving, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://203.0.113.1:3128")
    with session_for(server) as session:
        assert session.get(f"{server.url}/good").content == GOOD
    assert "Authorization" not in server.requests[0].headers


def test_a_configured_proxy_is_asked_and_private_places_not_through_it(server: Misbehaving) -> None:
    with session_for(server, proxy=server.url, allow=()) as session:
        assert session.get("http://archive.invalid/good").content == GOOD
        with pytest.raises(RefusedAddressError):
            session.get("http://10.0.0.1/good")
        with pytest.raises(RefusedAddressError):
            session.get("http://localhost/good")
    assert [request.headers["Host"] for request in server.requests] == ["archive.invalid"]


def test_credentials_stay_with_their_host(server: Misbehaving, session: Session) -> None:
    with Misbehaving() as other:
        server.serve("/away", lambda _: Served(b"", status=302, headers={"Location": f"{other.url}/good"}))
        with session_for(server, allow=(server.host, other.host)) as both:
            assert both.get(f"{server.url}/away", auth=("me", "secret")).content == GOOD
        assert "Authorization" in server.requests[0].headers
        assert "Authorization" not in other.requests[0].headers


def test_no_connection_is_left_open(server: Misbehaving) -> None:
    names = ["good", "truncated", "endless", "reset", "404", "503", "no-http", "xml-bomb", "redirect-local", "huge"]
    with session_for(server, tries=1) as session:
        for turn in range(6):
            for name in names:
                session.reset(server.host)
                with contextlib.suppress(ServiceError):
                    session.get(f"{server.url}/{name}")
            if turn == 0:
                before = open_connections()
        assert open_connections() <= before + 2
    assert threading.active_count() < 100


def open_connections() -> int:
    """Connections of this process to the test's server, seen from the client's side."""
    return sum(connection.status == "ESTABLISHED" for connection in psutil.Process().net_connections("tcp"))


# --- the cache, offline ----------------------------------------------------------------------------------------------


def test_an_answer_is_asked_for_once(server: Misbehaving, tmp_path: Path) -> None:
    with session_for(server, tmp_path) as session:
        first = session.get(f"{server.url}/good", params={"B": "2", "A": "1"})
    with session_for(server, tmp_path) as session:
        second = session.get(f"{server.url}/good?A=1&B=2", stream=True)
        assert second.raw.read() == second.content == first.content == GOOD
        assert second.from_cache
        assert second.fetched == first.fetched
        assert second.headers["Content-Type"] == first.headers["Content-Type"]
        second.raise_for_status()
        assert server.count() == 1
        with session.fresh():
            assert not session.get(f"{server.url}/good?A=1&B=2").from_cache
        assert not session.get(f"{server.url}/good?A=1&B=2", headers={"Accept": "text/csv"}).from_cache
        assert not session.post(f"{server.url}/good?A=1&B=2").from_cache
        assert server.count() == 4


def test_a_redirection_is_kept_as_a_whole(server: Misbehaving, tmp_path: Path) -> None:
    with session_for(server, tmp_path) as session:
        assert session.get(f"{server.url}/redirect").url == f"{server.url}/good"
        again = session.get(f"{server.url}/redirect")
    assert again.from_cache
    assert again.url == f"{server.url}/good"
    assert server.count() == 2


UWS = b'<uws:job xmlns:uws="http://www.ivoa.net/xml/UWS/v1.0"><uws:phase>EXECUTING</uws:phase></uws:job>'


@pytest.mark.parametrize("name", ["404", "500", "503", "no-store", "job", "tap/async/17/phase", "after-post"])
def test_what_is_not_kept(server: Misbehaving, tmp_path: Path, name: str) -> None:
    server.serve("/job", UWS, "text/xml")
    server.serve("/tap/async/17/phase", b"EXECUTING", "text/plain")
    server.serve("/after-post", lambda _: Served(b"", status=303, headers={"Location": "/good"}))
    with session_for(server, tmp_path, tries=1) as session:
        for _ in range(2):
            answer = session.request("POST" if name == "after-post" else "GET", f"{server.url}/{name}")
            assert not answer.from_cache
    assert server.count(f"/{name}") == 2
    assert not list(tmp_path.rglob("*.answer"))


def test_nothing_secret_is_kept(server: Misbehaving, tmp_path: Path) -> None:
    with session_for(server, tmp_path) as session:
        for _ in range(2):
            session.get(f"{server.url}/good", auth=("me", "secret"))
            session.get(f"{server.url}/good", headers={"Cookie": "session=secret"})
        session.get(f"{server.url}/cookie")
    assert server.count("/good") == 4
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(kept) == 1
    assert b"JSESSIONID" not in kept[0].read_bytes()


def test_offline_only_what_is_kept_is_answered_however_old(server: Misbehaving, tmp_path: Path) -> None:
    with session_for(server, tmp_path) as session:
        session.get(f"{server.url}/no-cache")
        session.get(f"{server.url}/no-cache")
    assert server.count() == 2
    with session_for(server, tmp_path, offline=True) as session:
        assert session.get(f"{server.url}/no-cache").from_cache
        with session.fresh():
            assert session.get(f"{server.url}/no-cache").from_cache
        for ask in (session.get, session.post):
            with pytest.raises(OfflineError, match="offline"):
                ask(f"{server.url}/good")
        with pytest.raises(OfflineError):
            session.download(f"{server.url}/good", tmp_path / "file")
    assert server.count() == 2


def test_a_session_is_opened_with_what_is_configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "vo.toml").write_text("offline = true\n")
    monkeypatch.setenv("EMBERLINE_CACHE", str(tmp_path / "cache"))
    with open_session(tmp_path) as session:
        assert session.config.offline
        assert session.cache is not None
        assert session.cache.folder == tmp_path / "cache"


# --- threads ---------------------------------------------------------------------------------------------------------


def test_many_threads_use_one_session(server: Misbehaving, tmp_path: Path) -> None:
    def echo(request: Request) -> Served:
        return Served(request.query["n"][0].encode() * 1000, "text/plain")

    server.serve("/echo", echo)
    wrong: list[object] = []
    with session_for(server, tmp_path) as session:

        def ask(thread: int) -> None:
            for turn in range(15):
                text = f"{thread}-{turn % 5};"
                with session.limits(max_bytes=100) if turn == 7 else session.fresh():
                    try:
                        body = session.get(f"{server.url}/echo", params={"n": text}).text
                    except TooLargeError:
                        body = text * 1000 if turn == 7 else ""
                if body != text * 1000:
                    wrong.append((thread, turn, body[:20]))

        threads = [threading.Thread(target=ask, args=(thread,)) for thread in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
    assert wrong == []
    assert server.connections <= 12 * 5


def test_a_basic_password_is_sent_where_it_is_given(server: Misbehaving, session: Session) -> None:
    session.get(f"{server.url}/good", auth=("me", "secret"))
    assert server.requests[0].headers["Authorization"] == "Basic " + base64.b64encode(b"me:secret").decode()


def test_what_a_service_says_is_short_and_plain(server: Misbehaving, session: Session) -> None:
    server.serve("/long", b"<p>" + b"no \0\x1b[31m" * 500 + b"</p><script>alert(1)</script>", "text/html", 400)
    with pytest.raises(StatusError) as caught:
        session.get(f"{server.url}/long").raise_for_status()
    said = caught.value.service_said
    assert len(said) == 400
    assert said.isprintable()
    assert "alert" not in said
    assert REFUSAL  # the words of a VOTable are tested with the statuses
