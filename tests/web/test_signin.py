"""Signing in and out, the printed address, sessions, and whoever guesses passwords."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from emberline.web.throttle import Throttle
from tests.web.servers import PASSWORD, Server, csrf_token, new_workspace, serving, sign_in


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory, _cheap_passwords: None) -> Iterator[Server]:
    """The server of the one local user."""
    with serving(new_workspace(tmp_path_factory.mktemp("local") / "survey"), roles=()) as running:
        yield running


@pytest.fixture
def visitor(server: Server) -> Iterator[httpx.Client]:
    with server.browser() as client:
        yield client


# With accounts --------------------------------------------------------------------------------------------------------


def test_signing_in_and_out(visitor: httpx.Client, server: Server) -> None:
    first = visitor.get("/jobs?phase=ERROR")
    assert first.status_code == 303
    assert first.headers["location"] == "/signin?next=%2Fjobs%3Fphase%3DERROR"
    answer = sign_in(visitor, "annotator", next="/jobs?phase=ERROR")
    assert (answer.status_code, answer.headers["location"]) == (303, "/jobs?phase=ERROR")
    cookie = answer.headers.get_list("set-cookie")[0]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert visitor.get("/api/me").json()["user"] == "annotator"
    secret = visitor.cookies[server.site.cookie]
    token = csrf_token(visitor)
    assert visitor.post("/signout").status_code == 403
    assert visitor.post("/signout", data={"csrf_token": token}).status_code == 303
    assert visitor.get("/api/me").status_code == 401
    stolen = {"cookie": f"{server.site.cookie}={secret}"}
    assert httpx.get(f"{server.base}/api/me", headers=stolen, trust_env=False).status_code == 401


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "/a\nb", "", "x"])
def test_signing_in_leads_nowhere_else(visitor: httpx.Client, target: str) -> None:
    assert sign_in(visitor, "reader", next=target).headers["location"] == "/"


def test_a_wrong_name_and_a_wrong_password_sound_the_same(visitor: httpx.Client) -> None:
    one = sign_in(visitor, "reader", "wrong password")
    other = sign_in(visitor, "nobody-such", "wrong password")
    assert one.status_code == other.status_code == 403
    assert one.text.replace("reader", "X") == other.text.replace("nobody-such", "X")


def test_an_old_session_identifier_is_never_taken_over(server: Server) -> None:
    """Session fixation: whoever plants a cookie in somebody's browser does not share their session."""
    planted = "a" * 43
    with server.browser(cookies={server.site.cookie: planted, f"{server.site.cookie}-signin": planted}) as victim:
        assert sign_in(victim, "reader").status_code == 303
        assert victim.get("/api/me").json()["user"] == "reader"
    cookie = {"cookie": f"{server.site.cookie}={planted}"}
    assert httpx.get(f"{server.base}/api/me", headers=cookie, trust_env=False).status_code == 401


def test_signing_in_again_ends_the_session_before(server: Server) -> None:
    with server.browser("reader") as client:
        before = client.cookies[server.site.cookie]
        form = client.get("/signin")
        assert form.status_code == 303  # whoever is signed in goes on
        with server.browser(cookies={server.site.cookie: before}) as same:
            same.headers.pop("origin")
            assert same.get("/api/me").status_code == 200
            same.headers["x-csrf-token"] = csrf_token(same)
            page = httpx.get(f"{server.base}/signin", trust_env=False)
            same.cookies.update(page.cookies)
            token = page.text.split('name="csrf-token" content="')[1].split('"')[0]
            answer = same.post("/signin", data={"user": "reader", "password": PASSWORD, "csrf_token": token})
            assert answer.status_code == 303
        assert client.get("/api/me").status_code == 401


@pytest.mark.parametrize("attack", ["no token", "foreign token", "no cookie", "other site"])
def test_nobody_is_signed_in_by_another_site(server: Server, attack: str) -> None:
    """Or they would work, without knowing it, in an account of the attacker's."""
    with server.browser() as client, server.browser() as attacker:
        token = csrf_token(attacker if attack == "foreign token" else client, "/signin")
        if attack == "foreign token":
            csrf_token(client, "/signin")
        if attack == "no cookie":
            client.cookies.clear()
        if attack == "other site":
            client.headers["origin"] = "https://evil.example"
        data = {"user": "reader", "password": PASSWORD, "csrf_token": "" if attack == "no token" else token}
        assert client.post("/signin", data=data).status_code == 403
        assert client.get("/api/me").status_code == 401


def test_a_new_password_ends_all_sessions_but_the_one_that_set_it(server: Server) -> None:
    server.site.accounts.add("reader7", "reader", PASSWORD)
    with server.browser("reader7") as here, server.browser("reader7") as there:
        wrong = here.patch("/api/accounts/reader7", json={"password": "a new password", "current_password": "x"})
        assert list(wrong.json()["error"]["fields"]) == ["current_password"]
        short = here.patch("/api/accounts/reader7", json={"password": "short", "current_password": PASSWORD})
        assert list(short.json()["error"]["fields"]) == ["password"]
        done = here.patch("/api/accounts/reader7", json={"password": "a new password", "current_password": PASSWORD})
        assert done.status_code == 200
        assert here.get("/api/me").status_code == 200
        assert there.get("/api/me").status_code == 401
        assert sign_in(there, "reader7").status_code == 403
        assert sign_in(there, "reader7", "a new password").status_code == 303


def test_a_password_sent_with_every_request_is_forgotten_when_it_changes(server: Server) -> None:
    server.site.accounts.add("reader8", "reader", PASSWORD)
    with httpx.Client(base_url=server.base, auth=("reader8", PASSWORD), trust_env=False) as script:
        assert [script.get("/api/me").status_code for _ in range(2)] == [200, 200]
        server.site.accounts.set_password("reader8", "another password")
        assert script.get("/api/me").status_code == 401


def test_a_browser_is_not_asked_twice_but_vo_clients_are_told_how(server: Server) -> None:
    with server.client() as nobody:
        assert nobody.get("/api/jobs").headers["www-authenticate"].startswith("Bearer")
        assert nobody.get("/uws").headers["www-authenticate"].startswith("Basic")


def test_a_link_from_another_site_works_for_whoever_is_signed_in(server: Server) -> None:
    """A strict cookie stays back on the way from another site: a page in between brings it along."""
    with server.browser() as client:
        answer = client.get("/jobs?a=%22%3E%3Cscript%3E", headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 200
    assert 'content="0; url=/jobs?a=%22%3E%3Cscript%3E"' in answer.text
    assert "<script" not in answer.text
    hostile = httpx.get(f"{server.base}//evil.example", headers={"sec-fetch-site": "cross-site"}, trust_env=False)
    assert "url=/" in hostile.text
    assert "evil" not in hostile.text


def test_guessing_is_slowed_down_and_nobody_is_locked_out(tmp_path: Path) -> None:
    with serving(new_workspace(tmp_path / "survey")) as running, running.browser() as guesser:
        statuses = [sign_in(guesser, "manager", f"guess {number}").status_code for number in range(7)]
        assert statuses[:5] == [403] * 5
        assert statuses[-1] == 429
        slowed = sign_in(guesser, "manager", PASSWORD)
        assert slowed.status_code == 429  # even the right one is not looked at now
        assert 1 <= int(slowed.headers["retry-after"]) <= 60
        basic = guesser.get("/api/me", auth=("manager", PASSWORD))
        assert basic.status_code == 429
        assert set(basic.json()["error"]) == {"message", "fields"}
        time.sleep(int(slowed.headers["retry-after"]))
        assert sign_in(guesser, "manager").status_code == 303


def test_the_wait_grows_is_bounded_and_ends() -> None:
    now = [0.0]
    throttle = Throttle(lambda: now[0])
    waits = []
    for _ in range(20):
        throttle.failed("jana", "10.0.0.1")
        waits.append(throttle.wait("jana", "10.0.0.1"))
        now[0] += waits[-1]
        assert throttle.wait("jana", "10.0.0.1") == 0
    assert waits[:8] == [0, 0, 0, 0, 1, 2, 4, 8]
    assert max(waits) == 60
    now[0] += 4000
    throttle.failed("jana", "10.0.0.1")
    assert throttle.wait("jana", "10.0.0.1") == 0


def test_guessing_from_elsewhere_does_not_keep_the_owner_out() -> None:
    now = [0.0]
    throttle = Throttle(lambda: now[0])
    throttle.succeeded("Jana", "192.0.2.1")
    for number in range(200):
        throttle.failed("jana", f"2001:db8:{number}::1")
    assert throttle.wait("jana", "192.0.2.1") == 0
    assert throttle.wait("jana", "192.0.2.99") == 10
    assert throttle.wait("eva", "2001:db8:7::2") == 0


def test_the_memory_of_failures_is_bounded() -> None:
    throttle = Throttle(lambda: 0.0)
    throttle.MOST = 50
    for number in range(1000):
        throttle.failed(f"name {number}", f"10.0.{number // 250}.{number % 250}")
        throttle.succeeded(f"name {number}", "10.0.0.1")
    assert len(throttle._records) <= 50
    assert len(throttle._known) <= 50


# The one local user ---------------------------------------------------------------------------------------------------


def test_the_printed_address_opens_the_workspace_once_for_all(local: Server) -> None:
    with httpx.Client(base_url=local.base, trust_env=False) as browser:
        locked = browser.get("/")
        assert locked.status_code == 403
        assert "token" in locked.text
        answer = browser.get(f"/jobs?phase=ERROR&token={local.site.key}&page=2")
        assert (answer.status_code, answer.headers["location"]) == (303, "/jobs?phase=ERROR&page=2")
        assert local.site.key not in answer.headers["set-cookie"]
        me = browser.get("/api/me").json()
        assert me["role"] == "admin"
        assert me["user"]
        again = browser.get(f"/?token={local.site.key}")
        assert again.headers["location"] == "/"
        assert browser.get("/?token=old").status_code == 303  # an old bookmark is no obstacle
        headers = {"x-csrf-token": csrf_token(browser), "origin": local.base}
        made = browser.post("/api/jobs", json={"type": "ingest", "run": False}, headers=headers)
        assert made.json()["owner"] == me["user"]


@pytest.mark.parametrize("token", ["", "x", "ü", "a" * 5000])
def test_a_wrong_key_opens_nothing(local: Server, token: str) -> None:
    with httpx.Client(base_url=local.base, trust_env=False) as browser:
        assert browser.get("/", params={"token": token}).status_code == 403
        assert browser.get("/api/me", params={"token": local.site.key}).status_code == 401
        assert browser.get("/api/me").status_code == 401
        assert not browser.cookies


def test_scripts_may_show_the_key(local: Server) -> None:
    key = {"authorization": f"Bearer {local.site.key}"}
    assert httpx.get(f"{local.base}/api/me", headers=key, trust_env=False).json()["role"] == "admin"
    assert httpx.get(f"{local.base}/uws", auth=("any", local.site.key), trust_env=False).status_code == 200
    made = httpx.post(f"{local.base}/api/tokens", json={"name": "t"}, headers=key, trust_env=False).json()["token"]
    by_token = {"authorization": f"Bearer {made}"}
    assert httpx.get(f"{local.base}/api/me", headers=by_token, trust_env=False).status_code == 200
    assert httpx.get(f"{local.base}/uws", auth=("any", made), trust_env=False).status_code == 200


def test_a_browser_stays_in_when_the_server_is_started_again(tmp_path: Path) -> None:
    folder = new_workspace(tmp_path / "survey")
    with serving(folder, roles=()) as first, httpx.Client(trust_env=False) as browser:
        browser.get(f"{first.base}/?token={first.site.key}")
        old = first.site.key
        cookies = dict(browser.cookies)
    with serving(folder, roles=()) as second, httpx.Client(base_url=second.base, trust_env=False) as browser:
        assert second.site.key != old
        assert browser.get(f"/?token={old}").status_code == 403
        browser.cookies.update(cookies)
        assert browser.get("/api/me").status_code == 200
    with serving(folder, roles=("admin",)) as third, httpx.Client(base_url=third.base, trust_env=False) as browser:
        browser.cookies.update(cookies)
        assert browser.get("/api/me").status_code == 401  # there are accounts now
        assert browser.get("/api/me", headers={"authorization": f"Bearer {old}"}).status_code == 401


def test_without_accounts_nobody_signs_in_with_a_password(local: Server) -> None:
    answer = httpx.post(f"{local.base}/signin", data={"user": "a", "password": "b"}, trust_env=False)
    assert answer.status_code == 403
    assert httpx.get(f"{local.base}/signin", trust_env=False).status_code == 403
