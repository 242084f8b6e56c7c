"""The people who may use a workspace: names, roles and passwords."""

from __future__ import annotations

import dataclasses
import re
import sqlite3
import time
from pathlib import Path

from emberline.web._accounts_db import AccountError, AccountsDatabase
from emberline.web.passwords import hash_password, is_outdated, spend_the_same_time, verify_password
from emberline.web.permissions import Role
from emberline.web.sessions import Sessions
from emberline.web.tokens import Tokens

__all__ = ["Account", "AccountError", "AccountNotFoundError", "Accounts"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_SHORTEST, _LONGEST = 10, 1000


class AccountNotFoundError(AccountError):
    """There is no account of this name."""


@dataclasses.dataclass(frozen=True)
class Account:
    """One person: `created` is UTC in seconds since 1970."""

    name: str
    role: Role
    created: float


class Accounts:
    """The accounts of a workspace, in ``accounts.db`` in its private folder (see `Accounts.of`).

    Attributes
    ----------
    sessions : Sessions
        Who is logged in with a browser.
    tokens : Tokens
        What scripts show instead of a password.
    """

    def __init__(self, path: Path) -> None:
        self._database = AccountsDatabase(path)
        self.sessions = Sessions(self._database)
        self.tokens = Tokens(self._database)

    @classmethod
    def of(cls, private: Path) -> Accounts:
        """The accounts kept in a workspace's private folder; the file is made when it is missing."""
        return cls(private / "accounts.db")

    def close(self) -> None:
        """Close the file as far as this thread holds it open."""
        self._database.close()

    def __len__(self) -> int:
        return int(self._database.rows("SELECT count(*) FROM users")[0][0])

    def all(self) -> list[Account]:
        """Every account, by name."""
        return [_account(row) for row in self._database.rows("SELECT * FROM users ORDER BY name")]

    def get(self, name: str) -> Account:
        """One account; names are the same in capitals and small letters. Raises `AccountNotFoundError`."""
        return _account(self._row(name))

    def find(self, name: str) -> Account | None:
        """One account, or None."""
        rows = self._database.rows("SELECT * FROM users WHERE name = ?", [name])
        return _account(rows[0]) if rows else None

    def add(self, name: str, role: Role | str, password: str) -> Account:
        """Make an account.

        Raises
        ------
        AccountError
            The name is taken or not usable, the role is unknown, or the password is too short.
        """
        if not _NAME.fullmatch(name):
            raise AccountError(
                "the name cannot be used",
                field="name",
                found=repr(name[:80]),
                expected="letters, digits, dots, hyphens and underscores, 64 at most, a letter or digit first",
            )
        role, hashed = _role(role), hash_password(_checked(password))
        try:
            with self._database.write() as connection:
                connection.execute("INSERT INTO users VALUES (?, ?, ?, ?)", [name, role, hashed, time.time()])
        except sqlite3.IntegrityError:
            raise AccountError(f"there is already an account {name!r}", field="name") from None
        return self.get(name)

    def set_role(self, name: str, role: Role | str) -> Account:
        """Change what somebody may do, at once and for all their sessions and tokens."""
        role = _role(role)
        with self._database.write() as connection:
            if role is not Role.ADMIN:
                self._keep_an_admin(name)
            connection.execute("UPDATE users SET role = ? WHERE name = ?", [role, name])
        return self.get(name)

    def set_password(self, name: str, password: str) -> Account:
        """Change a password; whoever is logged in under this name is logged out. Tokens stay."""
        hashed = hash_password(_checked(password))
        account = self.get(name)
        with self._database.write() as connection:
            connection.execute("UPDATE users SET password = ? WHERE name = ?", [hashed, name])
            connection.execute("DELETE FROM sessions WHERE user = ?", [name])
        return account

    def remove(self, name: str) -> None:
        """Remove an account with its sessions and tokens; its jobs stay."""
        self.get(name)
        with self._database.write() as connection:
            if len(self) > 1:
                self._keep_an_admin(name)
            for table, column in (("sessions", "user"), ("tokens", "user"), ("users", "name")):
                connection.execute(f"DELETE FROM {table} WHERE {column} = ?", [name])

    def verify(self, name: str, password: str) -> Account | None:
        """The account when the password is right. Takes as long for a name that does not exist."""
        rows = self._database.rows("SELECT * FROM users WHERE name = ?", [name])
        if not rows:
            spend_the_same_time(password)
            return None
        if not verify_password(password, rows[0]["password"]):
            return None
        if is_outdated(rows[0]["password"]):
            with self._database.write() as connection:
                connection.execute(
                    "UPDATE users SET password = ? WHERE name = ? AND password = ?",
                    [hash_password(password), name, rows[0]["password"]],
                )
        return _account(rows[0])

    def fingerprint(self, name: str) -> str:
        """Changes whenever the password does; empty for an unknown name."""
        rows = self._database.rows("SELECT password FROM users WHERE name = ?", [name])
        return str(rows[0][0]) if rows else ""

    def _row(self, name: str) -> sqlite3.Row:
        rows = self._database.rows("SELECT * FROM users WHERE name = ?", [name])
        if not rows:
            raise AccountNotFoundError(f"there is no account {name[:80]!r}", field="name")
        return rows[0]

    def _keep_an_admin(self, name: str) -> None:
        """Refuse when `name` is the last administrator: nobody could manage the accounts any more."""
        admins = self._database.rows("SELECT name FROM users WHERE role = ?", [Role.ADMIN])
        if self.get(name).role is Role.ADMIN and len(admins) == 1:
            raise AccountError(
                f"{name!r} is the only administrator", field="role", action="Make somebody else an administrator first."
            )


def _account(row: sqlite3.Row) -> Account:
    return Account(row["name"], Role(row["role"]), row["created"])


def _role(role: Role | str) -> Role:
    try:
        return Role(role)
    except ValueError:
        raise AccountError(
            "unknown role", field="role", found=repr(role), expected=f"one of {', '.join(Role)}"
        ) from None


def _checked(password: str) -> str:
    if not _SHORTEST <= len(password) <= _LONGEST:
        raise AccountError(
            "the password cannot be used",
            field="password",
            found=f"{len(password)} characters",
            expected=f"{_SHORTEST} to {_LONGEST}",
            action="Several words in a row are easy to remember and hard to guess.",
        )
    return password
