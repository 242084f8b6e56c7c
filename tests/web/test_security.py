"""What a hostile network sends: other hosts' names, other sites' requests, forged tokens, bodies without end."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Iterator

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from emberline.jobs import Workspace
from emberline.web import security
from emberline.web.permissions import Role
from emberline.web.security import HostCheck, host_name, masked
from tests.web.servers import PASSWORD, Server, csrf_token, serving

JOB = {"type": "count", "run": False}


@pytest.fixture(scope="module")
def browser(server: Server) -> Iterator[httpx.Client]:
    with server.browser("manager") as client:
        yield client


@pytest.fixture
def token(server: Server) -> str:
    return server.site.accounts.tokens.create("manager", "test", Role.MANAGER)[1]


# Host names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example:{port}", 421),
        ("192.168.1.7:{port}", 421),
        ("user@localhost", 421),
        ("localhost:{port}", 200),
        ("LOCALHOST.:{port}", 200),
        ("127.0.0.1:{port}", 200),
        ("[::1]:{port}", 200),
    ],
)
def test_only_our_own_names_are_answered(server: Server, token: str, host: str, status: int) -> None:
    """Against DNS rebinding: a hostile page whose name points at this machine still sends its own name."""
    port = server.base.rsplit(":", 1)[1]
    headers = {"host": host.format(port=port), "authorization": f"Bearer {token}"}
    answer = httpx.get(f"{server.base}/api/me", headers=headers, trust_env=False)
    assert answer.status_code == status
    assert ("evil" in answer.text) == ("evil" in host)


def test_two_host_headers_are_refused(server: Server) -> None:
    answer = raw(server, b"GET /api/me HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
    assert answer.split()[1] in (b"400", b"421")


def test_names_may_be_added_and_addresses_count_when_others_may_come() -> None:
    check = HostCheck(lambda *_: None, ["Spectra.Example.ORG"], addresses=True)  # type: ignore[arg-type,return-value]
    assert check.knows("spectra.example.org:443")
    assert check.knows("192.168.1.7")
    assert check.knows("[2001:db8::1]:80")
    assert not check.knows("evil.example")
    assert not check.knows("")
    assert host_name("[::1") == ""


# Bodies ---------------------------------------------------------------------------------------------------------------


def raw(server: Server, *pieces: bytes) -> bytes:
    """Send bytes as they are, and read the answer until the server closes or has nothing more to say."""
    port = int(server.base.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
        except OSError:  # the server need not read on
            pass
        connection.settimeout(5)
        answer = b""
        try:
            while piece := connection.recv(65536):
                answer += piece
                if b'"fields"' in answer:
                    break
        except OSError:
            pass
    return answer


def test_a_body_that_says_it_is_too_large_is_not_read(server: Server, token: str) -> None:
    head = f"POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
    answer = raw(server, head.encode() + b"Content-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n{")
    assert answer.split()[1] == b"413"
    assert b"1,048,576 bytes" in answer


@pytest.mark.parametrize("path", ["/api/jobs", "/uws", "/jobs/new/count", "/signin"])
def test_a_chunked_body_is_counted(server: Server, token: str, path: str) -> None:
    """It is cut off at the limit, whatever reads it: JSON, a form, UWS."""
    kind = "application/json" if path == "/api/jobs" else "application/x-www-form-urlencoded"
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n"
    head += f"Content-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b"a" * 65536 + b"\r\n"
    answer = raw(server, head.encode(), *[chunk] * 40, b"0\r\n\r\n")
    assert answer.split()[1] == b"413", answer[:500]


def test_a_chunked_form_of_a_browser_is_counted_too(server: Server, browser: httpx.Client) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(40):
            yield b"a" * 65536

    headers = {"content-type": "application/x-www-form-urlencoded", "x-csrf-token": ""}
    try:
        status = browser.post("/jobs/act", content=pieces(), headers=headers).status_code
    except httpx.WriteError:  # the server has answered and closed before all was sent
        return
    assert status == 413


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", "१२", "9" * 400])
def test_a_length_that_is_no_number_is_refused(server: Server, length: str) -> None:
    head = f"POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    assert raw(server, head.encode()).split()[1] in (b"400", b"413")


def test_a_body_that_never_ends_is_given_up(server: Server, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security, "_SLOWEST", 0.3)
    head = f"POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
    answer = raw(server, head.encode() + b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
    assert answer.split()[1] == b"408"


# Requests from elsewhere ----------------------------------------------------------------------------------------------


def count_jobs(server: Server) -> int:
    return server.site.store.count()


@pytest.mark.parametrize(
    "headers",
    [
        {"x-csrf-token": ""},
        {"x-csrf-token": "0" * 64},
        {"x-csrf-token": "ü" * 64},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_a_change_that_another_site_asks_for_is_refused(
    server: Server, browser: httpx.Client, headers: dict[str, str]
) -> None:
    before = count_jobs(server)
    answer = browser.post("/api/jobs", json=JOB, headers={name: value.encode() for name, value in headers.items()})
    assert answer.status_code == 403
    assert count_jobs(server) == before


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_forms_that_carry_json_are_refused(server: Server, browser: httpx.Client, kind: str) -> None:
    """What a page elsewhere can send without asking first; the cookie would go with it in an old browser."""
    before = count_jobs(server)
    headers = {"content-type": kind, "x-csrf-token": ""}
    assert browser.post("/api/jobs", content=json.dumps(JOB), headers=headers).status_code == 403
    headers["x-csrf-token"] = browser.headers["x-csrf-token"]
    assert browser.post("/api/jobs", content=json.dumps(JOB), headers=headers).status_code == 422
    assert count_jobs(server) == before


def test_our_own_pages_requests_are_carried_out(server: Server, browser: httpx.Client) -> None:
    assert browser.post("/api/jobs", json=JOB).status_code == 201
    with server.browser("manager") as without_origin:
        for name in ("origin", "sec-fetch-site"):
            del without_origin.headers[name]
        assert without_origin.post("/api/jobs", json=JOB).status_code == 201


def test_a_form_brings_its_token_in_a_field(server: Server, browser: httpx.Client) -> None:
    job = server.site.store.create("count", {}, owner="manager", run=True)
    data = {"TYPE": "count", "RUNID": "by form", "csrf_token": browser.headers["x-csrf-token"]}
    without = {"x-csrf-token": ""}
    form = {"PHASE": "ABORT", **data}
    assert browser.post(f"/uws/{job.id}/phase", data={"PHASE": "ABORT"}, headers=without).status_code == 403
    assert server.site.store.job(job.id).phase == "QUEUED"
    answer = browser.post(f"/uws/{job.id}/phase", data=form, headers=without)
    assert answer.status_code != 403
    with server.browser("admin") as other:
        theirs = {**form, "csrf_token": other.headers["x-csrf-token"]}
    assert browser.post(f"/uws/{job.id}/phase", data=theirs, headers=without).status_code == 403


def test_scripts_need_no_csrf_token(server: Server, token: str) -> None:
    with httpx.Client(base_url=server.base, trust_env=False) as script:
        bearer = script.post("/api/jobs", json=JOB, headers={"authorization": f"Bearer {token}"})
        basic = script.post("/api/jobs", json=JOB, auth=("manager", PASSWORD))
        by_token = script.post("/api/jobs", json=JOB, auth=("manager", token))
    assert [bearer.status_code, basic.status_code, by_token.status_code] == [201] * 3


# Tokens ---------------------------------------------------------------------------------------------------------------


def test_forged_and_foreign_tokens_are_refused(server: Server, token: str) -> None:
    tokens = server.site.accounts.tokens
    expired = tokens.create("manager", "old", Role.MANAGER, expires=time.time() - 1)[1]
    taken_back, secret = tokens.create("manager", "gone", Role.MANAGER)
    tokens.delete(taken_back.id)
    orphan = tokens.create("nobody-such", "x", Role.ADMIN)[1]
    local = tokens.create("", "of the local user", Role.ADMIN)[1]
    other_secret = f"{token.rsplit('_', 1)[0]}_{tokens.create('admin', 'x', Role.ADMIN)[1].rsplit('_', 1)[1]}"
    wrong = [token[:-1], token + "x", token.upper(), other_secret, expired, secret, orphan, local]
    wrong += ["null", "emberline_", "emberline__", "emberline_'; DROP TABLE tokens; --_x", "x" * 5000, "ü"]
    with httpx.Client(base_url=server.base, trust_env=False) as script:
        for text in wrong:
            headers = {"authorization": f"Bearer {text}".encode()}
            assert script.get("/api/me", headers=headers).status_code == 401, text
        assert script.get("/api/me", auth=("admin", token)).status_code == 401
        assert script.get("/api/me", auth=("nobody", token)).status_code == 401
        for value in ("Basic", "Basic !!!", "Basic Zm9v", "Digest x", "Bearer"):
            assert script.get("/api/me", headers={"authorization": value}).status_code == 401, value
        assert script.get("/api/me", headers={"authorization": f"bearer  {token}"}).status_code == 200


def test_a_wrong_token_is_refused_even_with_a_good_cookie(browser: httpx.Client) -> None:
    assert browser.get("/api/me", headers={"authorization": "Bearer wrong"}).status_code == 401


def test_a_token_may_do_less_than_its_owner(server: Server) -> None:
    with server.client("admin") as admin:
        made = admin.get("/api/tokens")
        assert made.status_code == 200
    with httpx.Client(base_url=server.base, auth=("admin", PASSWORD), trust_env=False) as admin:
        weak = admin.post("/api/tokens", json={"name": "reads", "role": "reader", "days": 1}).json()
        too_strong = admin.post("/api/tokens", json={"name": "x", "role": "admin"}, auth=("manager", PASSWORD))
        listed = admin.get("/api/tokens").json()["tokens"]
    assert too_strong.status_code == 403
    assert weak["token"] not in json.dumps(listed)
    with httpx.Client(headers={"authorization": f"Bearer {weak['token']}"}, trust_env=False) as script:
        assert script.get(f"{server.base}/api/me").json()["role"] == "reader"
        assert script.post(f"{server.base}/api/jobs", json=JOB).status_code == 403
        assert script.get(f"{server.base}/api/accounts").status_code == 403
        assert script.post(f"{server.base}/api/tokens", json={"name": "child"}).status_code == 403


def test_a_lower_role_binds_sessions_and_tokens_at_once(server: Server) -> None:
    accounts = server.site.accounts
    accounts.add("annotator9", "annotator", PASSWORD)
    secret = accounts.tokens.create("annotator9", "t", Role.ANNOTATOR)[1]
    headers = {"authorization": f"Bearer {secret}"}
    assert httpx.post(f"{server.base}/api/jobs", json={"type": "round"}, headers=headers).status_code == 201
    accounts.set_role("annotator9", "reader")
    assert httpx.post(f"{server.base}/api/jobs", json={"type": "round"}, headers=headers).status_code == 403
    accounts.remove("annotator9")
    assert httpx.get(f"{server.base}/api/me", headers=headers).status_code == 401


# Answers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/", "/signin", "/api/me", "/api/nothing", "/nothing", "/uws", "/static/css/base.css"]
)
def test_every_answer_carries_the_headers(browser: httpx.Client, path: str) -> None:
    headers = browser.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'self'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == ("no-cache" if path.startswith("/static") else "no-store")
    assert "server" not in headers


def test_an_unexpected_error_has_a_number_and_no_traceback(
    workspace: Workspace, tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture
) -> None:
    def explode(request: Request) -> Response:
        raise ZeroDivisionError("the secret reason")

    folder = Workspace.open(tmp_path_factory.mktemp("faults"))
    with serving(folder) as running:
        running.app.router.routes.insert(0, Route("/api/explode", explode))
        running.app.router.routes.insert(0, Route("/explode", explode))
        with running.client("admin") as client, caplog.at_level(logging.INFO, "emberline.web"):
            answers = [client.get("/api/explode"), client.get("/explode")]
            assert client.get("/api/me").status_code == 200
    for answer in answers:
        assert answer.status_code == 500
        assert "secret reason" not in answer.text
        assert "Traceback" not in answer.text
        assert "ZeroDivisionError" not in answer.text
    number = answers[0].json()["error"]["message"].rsplit(" finds", 1)[0].rsplit(" ", 1)[1]
    assert f"error {number}" in caplog.text
    assert "the secret reason" in caplog.text


def test_the_log_keeps_secrets_and_lines_apart(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "emberline.web.requests"):
        httpx.get(f"{server.base}/api/me?a=1&token=hush-hush&b=2", trust_env=False)
        httpx.get(f"{server.base}/api/x%0aINFO%20127.0.0.1%20admin", trust_env=False)
    assert "hush" not in caplog.text
    assert "a=1&token=***&b=2" in caplog.text
    assert "\nINFO 127" not in caplog.text
    assert masked("/", b"token=a") == "/?token=***"
    assert masked("/", b"x=1&TOKEN=a&password=b") == "/?x=1&TOKEN=***&password=***"


def test_a_page_brings_the_token_of_its_session(server: Server, browser: httpx.Client) -> None:
    assert csrf_token(browser) == csrf_token(browser, "/jobs") == browser.headers["x-csrf-token"]
    with server.browser("manager") as again:
        assert again.headers["x-csrf-token"] != browser.headers["x-csrf-token"]
