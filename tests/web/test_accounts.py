"""Accounts, sessions and tokens as they are kept: hashed, private, and the same from several processes."""

from __future__ import annotations

import concurrent.futures
import sqlite3
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from emberline.errors import NewerVersionError
from emberline.web import passwords
from emberline.web.accounts import AccountError, AccountNotFoundError, Accounts
from emberline.web.permissions import Role

PASSWORD = "correct horse battery"


@pytest.fixture
def accounts(tmp_path: Path) -> Iterator[Accounts]:
    found = Accounts.of(tmp_path / "private")
    yield found
    found.close()


def test_an_account_is_made_changed_and_removed(accounts: Accounts) -> None:
    assert len(accounts) == 0
    accounts.add("Jana", "admin", PASSWORD)
    accounts.add("eva", Role.READER, PASSWORD)
    assert [(account.name, account.role) for account in accounts.all()] == [("eva", "reader"), ("Jana", "admin")]
    assert accounts.get("JANA").name == "Jana"
    assert accounts.set_role("eva", "manager").role is Role.MANAGER
    assert accounts.verify("EVA", PASSWORD) == accounts.get("eva")
    assert accounts.verify("eva", PASSWORD + " ") is None
    accounts.remove("eva")
    assert accounts.find("eva") is None
    with pytest.raises(AccountNotFoundError, match="no account 'eva'"):
        accounts.get("eva")


@pytest.mark.parametrize(
    ("name", "role", "password", "field"),
    [
        ("", "reader", PASSWORD, "name"),
        ("a b", "reader", PASSWORD, "name"),
        ("a" * 65, "reader", PASSWORD, "name"),
        ("-jana", "reader", PASSWORD, "name"),
        ("ja\nna", "reader", PASSWORD, "name"),
        ("jana\n", "reader", PASSWORD, "name"),
        ("<b>", "reader", PASSWORD, "name"),
        ("JANA", "reader", PASSWORD, "name"),
        ("eva", "root", PASSWORD, "role"),
        ("eva", "reader", "too short", "password"),
        ("eva", "reader", "x" * 1001, "password"),
    ],
)
def test_what_is_wrong_with_an_account_is_said(
    accounts: Accounts, name: str, role: str, password: str, field: str
) -> None:
    accounts.add("jana", "admin", PASSWORD)
    with pytest.raises(AccountError) as raised:
        accounts.add(name, role, password)
    assert raised.value.field == field
    assert len(accounts) == 1
    assert password not in str(raised.value)


def test_there_is_always_an_administrator(accounts: Accounts) -> None:
    accounts.add("jana", "admin", PASSWORD)
    accounts.add("eva", "manager", PASSWORD)
    for change in (lambda: accounts.set_role("jana", "reader"), lambda: accounts.remove("JANA")):
        with pytest.raises(AccountError, match="only administrator"):
            change()
    accounts.set_role("eva", "admin")
    accounts.set_role("jana", "reader")
    accounts.remove("jana")
    accounts.remove("eva")  # the last account of all may go: the workspace is without accounts again
    assert len(accounts) == 0


def test_no_secret_is_in_the_file(accounts: Accounts, tmp_path: Path) -> None:
    accounts.add("jana", "admin", PASSWORD)
    cookie = accounts.sessions.open("jana")
    token = accounts.tokens.create("jana", "notebook", Role.READER)[1]
    files = list((tmp_path / "private").iterdir())
    content = b"".join(path.read_bytes() for path in files)
    assert b"notebook" in content
    for secret in (PASSWORD, cookie, token, token.rsplit("_", 1)[1]):
        assert secret.encode() not in content
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE((tmp_path / "private").stat().st_mode) == 0o700


def test_a_file_that_was_open_to_others_is_closed(tmp_path: Path) -> None:
    (tmp_path / "accounts.db").touch(mode=0o666)
    Accounts.of(tmp_path).close()
    assert stat.S_IMODE((tmp_path / "accounts.db").stat().st_mode) == 0o600


def test_a_link_in_the_files_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").touch()
    (tmp_path / "accounts.db").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AccountError, match="cannot be opened"):
        Accounts.of(tmp_path)


def test_a_newer_file_is_left_alone(tmp_path: Path) -> None:
    Accounts.of(tmp_path).close()
    with sqlite3.connect(tmp_path / "accounts.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(NewerVersionError, match="newer version"):
        Accounts.of(tmp_path)


def test_a_file_that_is_none_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "accounts.db").write_bytes(b"no data base at all" * 1000)
    with pytest.raises(AccountError, match=r"accounts\.db"):
        Accounts.of(tmp_path)


def test_sessions_end_when_idle_and_when_old(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    accounts.add("jana", "admin", PASSWORD)
    sessions, now = accounts.sessions, time.time()
    secret = sessions.open("jana")
    assert sessions.find(secret) is not None
    assert sessions.find(secret[:-1]) is None
    assert sessions.find("") is None
    monkeypatch.setattr(time, "time", lambda: now + sessions.idle - 10)
    found = sessions.find(secret)
    assert found is not None
    assert sessions.is_stale(found)
    sessions.touch(secret)
    monkeypatch.setattr(time, "time", lambda: now + 2 * sessions.idle - 20)
    assert sessions.find(secret) is not None
    monkeypatch.setattr(time, "time", lambda: now + 2 * sessions.idle)
    assert sessions.find(secret) is None
    for day in range(40):
        monkeypatch.setattr(time, "time", lambda day=day: now + day * 86400)
        sessions.touch(secret)
        assert (sessions.find(secret) is not None) == (day * 86400 <= sessions.absolute)


def test_ended_sessions_are_cleared_away(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    for _ in range(5):
        accounts.sessions.open("jana")
    monkeypatch.setattr(time, "time", lambda: now + accounts.sessions.absolute + 1)
    accounts.sessions.open("jana")
    assert accounts._database.rows("SELECT count(*) FROM sessions")[0][0] == 1


def test_a_new_password_ends_sessions_and_keeps_tokens(accounts: Accounts) -> None:
    accounts.add("jana", "admin", PASSWORD)
    cookie, token = accounts.sessions.open("jana"), accounts.tokens.create("jana", "t", Role.READER)[1]
    accounts.set_password("JANA", "something else")
    assert accounts.sessions.find(cookie) is None
    assert accounts.tokens.find(token) is not None
    assert accounts.verify("jana", PASSWORD) is None
    accounts.add("eva", "admin", PASSWORD)
    accounts.remove("jana")
    assert accounts.tokens.find(token) is None


def test_tokens_belong_to_somebody(accounts: Accounts) -> None:
    one, secret = accounts.tokens.create("jana", "t", Role.READER, expires=time.time() + 60)
    assert secret.startswith("emberline_")
    assert accounts.tokens.find(secret) == one
    assert not accounts.tokens.delete(one.id, "eva")
    assert accounts.tokens.delete(one.id, "JANA")
    assert accounts.tokens.all() == []
    accounts.tokens.create("eva", "old", Role.READER, expires=time.time() - 1)
    assert [token.name for token in accounts.tokens.all("eva")] == ["old"]


def test_two_processes_at_once(tmp_path: Path) -> None:
    """The command line adds accounts while a server runs."""
    with concurrent.futures.ThreadPoolExecutor(4) as pool:

        def add(number: int) -> None:
            found = Accounts.of(tmp_path)
            found.add(f"user{number}", "reader", PASSWORD)
            found.close()

        list(pool.map(add, range(20)))
    found = Accounts.of(tmp_path)
    assert len(found) == 20
    found.close()


# Passwords ------------------------------------------------------------------------------------------------------------


def test_a_hash_says_how_it_was_made() -> None:
    stored = passwords.hash_password("päss wörd 10")
    assert stored.startswith(f"scrypt${passwords.COST}$8$1$")
    assert passwords.hash_password("päss wörd 10") != stored
    assert passwords.verify_password("päss wörd 10", stored)
    assert passwords.verify_password("päss wörd 10".replace("ä", "a\u0308"), stored)  # typed on another keyboard
    assert not passwords.verify_password("pass word 10", stored)


def test_a_hash_is_renewed_when_more_effort_is_asked_for(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    accounts.add("jana", "admin", PASSWORD)
    before = accounts.fingerprint("jana")
    accounts.verify("jana", PASSWORD)
    assert accounts.fingerprint("jana") == before
    monkeypatch.setattr(passwords, "COST", 64)
    assert accounts.verify("jana", "wrong password") is None
    assert accounts.fingerprint("jana") == before
    assert accounts.verify("jana", PASSWORD)
    assert accounts.fingerprint("jana").startswith("scrypt$64$8$1$")
    assert accounts.verify("jana", PASSWORD)


def test_the_real_effort_is_large_enough() -> None:
    """RFC 7914 and the usual advice: with r = 8 no less than 2^15; the memory it takes is what makes guessing dear."""
    import importlib.util

    fresh = importlib.util.module_from_spec(passwords.__spec__)
    passwords.__spec__.loader.exec_module(fresh)
    assert 2**15 <= fresh.COST <= 2**17
    assert fresh.verify_password(PASSWORD, fresh.hash_password(PASSWORD))


def test_an_unknown_name_costs_as_much(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    accounts.add("jana", "admin", PASSWORD)
    work: list[tuple[int, ...]] = []
    scrypt = passwords._scrypt
    monkeypatch.setattr(passwords, "_scrypt", lambda *given: work.append(given[2:]) or scrypt(*given))
    accounts.verify("jana", "wrong password")
    accounts.verify("nobody", "wrong password")
    assert len(work) == 2
    assert work[0] == work[1]
