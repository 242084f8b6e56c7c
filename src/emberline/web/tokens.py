"""Tokens: what a script shows instead of a password. Each has a name, is shown once, and can be taken back alone."""

from __future__ import annotations

import dataclasses
import hmac
import secrets
import sqlite3
import time

from emberline.errors import EmberlineError
from emberline.web._accounts_db import AccountsDatabase, digest_of, new_secret
from emberline.web.permissions import Role

__all__ = ["PREFIX", "Token", "TokenNotFoundError", "Tokens"]

PREFIX = "emberline_"
"""How every token begins, so that one left in public can be recognised."""


class TokenNotFoundError(EmberlineError):
    """There is no such token, or it belongs to somebody else."""


@dataclasses.dataclass(frozen=True)
class Token:
    """What is known of a token; times are UTC in seconds since 1970, None for never."""

    id: str
    user: str
    name: str
    role: Role
    created: float
    used: float | None
    expires: float | None


class Tokens:
    """The tokens of all users; only a digest of each is stored."""

    _USED_EVERY = 60.0

    def __init__(self, database: AccountsDatabase) -> None:
        self._database = database

    def create(self, user: str, name: str, role: Role, *, expires: float | None = None) -> tuple[Token, str]:
        """Make a token and return it with its secret, which cannot be shown again."""
        token = Token(secrets.token_hex(6), user, name, role, time.time(), None, expires)
        secret = f"{PREFIX}{token.id}_{new_secret()}"
        with self._database.write() as connection:
            connection.execute(
                "INSERT INTO tokens (id, digest, user, name, role, created, expires) VALUES (?, ?, ?, ?, ?, ?, ?)",
                [token.id, digest_of(secret), user, name, role, token.created, expires],
            )
        return token, secret

    def find(self, secret: str) -> Token | None:
        """The token that a script has shown, or None when it is unknown or has expired."""
        if not secret.startswith(PREFIX):
            return None
        id = secret.removeprefix(PREFIX).split("_", 1)[0]
        rows = self._database.rows("SELECT * FROM tokens WHERE id = ?", [id])
        if not rows or not hmac.compare_digest(rows[0]["digest"], digest_of(secret)):
            return None
        token = _token(rows[0])
        return None if token.expires is not None and token.expires <= time.time() else token

    def is_stale(self, token: Token) -> bool:
        """Whether it is time to note down that the token is in use."""
        return token.used is None or time.time() - token.used > self._USED_EVERY

    def touch(self, id: str) -> None:
        """Note down that the token is in use."""
        with self._database.write() as connection:
            connection.execute("UPDATE tokens SET used = ? WHERE id = ?", [time.time(), id])

    def all(self, user: str | None = None) -> list[Token]:
        """The tokens of one user, or of all; newest first."""
        where, values = ("WHERE user = ?", [user]) if user is not None else ("", [])
        return [
            _token(row) for row in self._database.rows(f"SELECT * FROM tokens {where} ORDER BY created DESC", values)
        ]

    def delete(self, id: str, user: str | None = None) -> bool:
        """Take a token back; with `user`, only when it is theirs. Whether there was one."""
        where, values = ("id = ? AND user = ?", [id, user]) if user is not None else ("id = ?", [id])
        with self._database.write() as connection:
            return connection.execute(f"DELETE FROM tokens WHERE {where}", values).rowcount > 0


def _token(row: sqlite3.Row) -> Token:
    return Token(row["id"], row["user"], row["name"], Role(row["role"]), row["created"], row["used"], row["expires"])
