"""The private SQLite file in which users, sessions and tokens are kept."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from emberline.errors import EmberlineError, NewerVersionError

__all__ = ["AccountError", "AccountsDatabase", "digest_of", "new_secret"]

_VERSION = 1
_SCHEMA = """
CREATE TABLE users (
    name TEXT PRIMARY KEY COLLATE NOCASE, role TEXT NOT NULL, password TEXT NOT NULL, created REAL NOT NULL
) STRICT;
CREATE TABLE sessions (
    digest BLOB PRIMARY KEY, user TEXT NOT NULL COLLATE NOCASE, created REAL NOT NULL, seen REAL NOT NULL
) STRICT;
CREATE TABLE tokens (
    id TEXT PRIMARY KEY, digest BLOB NOT NULL, user TEXT NOT NULL COLLATE NOCASE, name TEXT NOT NULL,
    role TEXT NOT NULL, created REAL NOT NULL, used REAL, expires REAL
) STRICT;
CREATE INDEX sessions_of ON sessions (user);
CREATE INDEX tokens_of ON tokens (user);
"""


class AccountError(EmberlineError):
    """An account cannot be made or changed as asked; `field` names what is wrong."""

    def __init__(self, message: str, *, field: str = "", **details: Any) -> None:
        self.field = field
        super().__init__(message, **details)


def new_secret() -> str:
    """256 random bits as text that is safe in an address."""
    return secrets.token_urlsafe(32)


def digest_of(secret: str) -> bytes:
    """What is stored of a random secret; it needs no slow hash, because nobody can guess 256 bits."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


class AccountsDatabase:
    """The file ``accounts.db``, readable by its owner only; one connection a thread, usable from several processes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Made before SQLite opens it: its companion files get the same permissions.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
            os.chmod(path, 0o600)
            with self.write() as connection:
                self._migrate(connection)
        except OSError as error:
            raise AccountError(f"cannot be opened: {error.strerror}", where=str(path)) from error
        except sqlite3.Error as error:
            action = "Move it away, and make the accounts again."
            raise AccountError(f"cannot be used: {error}", where=str(path), action=action) from error

    def _migrate(self, connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise NewerVersionError(
                "was written by a newer version of Emberline", where=str(self.path), action="Upgrade Emberline."
            )
        if version == 0:
            for statement in filter(str.strip, _SCHEMA.split(";")):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {_VERSION}")

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            # Connections are closed by whichever thread collects them; each is used by one thread only.
            connection = sqlite3.connect(self.path, timeout=30, isolation_level=None, check_same_thread=False)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            self._local.connection = connection
        return connection

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """What a query finds; readers never wait for writers."""
        return self._connection().execute(query, values).fetchall()

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it is kept, or nothing."""
        connection = self._connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    def close(self) -> None:
        """Close this thread's connection."""
        connection: sqlite3.Connection | None = self._local.__dict__.pop("connection", None)
        if connection is not None:
            connection.close()
