"""The connections to the jobs' data base: one a thread, closed with it, and every SQLite error in plain words."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

from emberline._version import __version__
from emberline.errors import NewerVersionError
from emberline.jobs._schema import SCHEMA, SCHEMA_VERSION, translated
from emberline.jobs.model import JobError

__all__ = ["Database"]

BUSY_SECONDS = 30.0
"""How long one process waits for another's transaction."""


class _Connection:
    """One thread's connection; closed when the thread ends, or with the data base."""

    def __init__(self, path: Path) -> None:
        self.process = os.getpid()
        self.durable = True
        self.raw = sqlite3.connect(path, isolation_level=None, timeout=BUSY_SECONDS, check_same_thread=False)
        self._closer = weakref.finalize(self, _close, self.raw, self.process)
        self._closer.atexit = False
        self.raw.create_function("folded", 1, lambda text: str(text).casefold(), deterministic=True)
        self.raw.execute("PRAGMA synchronous=FULL")
        self.raw.execute("PRAGMA foreign_keys=ON")

    def close(self) -> None:
        self._closer()


def _close(raw: sqlite3.Connection, process: int) -> None:
    """Close, but never a connection that a fork has inherited: its files belong to the parent."""
    if process == os.getpid():
        raw.close()
    else:
        _INHERITED.append(raw)


_INHERITED: list[sqlite3.Connection] = []


class Database:
    """SQLite in WAL mode, for several threads and several processes at a time; made when it is not there.

    Raises
    ------
    JobError
        The file is no data base of jobs, or cannot be opened.
    NewerVersionError
        A newer version of Emberline has made it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._open: weakref.WeakSet[_Connection] = weakref.WeakSet()
        self._lock = threading.Lock()
        with self._words():
            _use_wal(self._connection().raw)
        try:
            with self.transaction() as connection:
                _open_schema(connection, str(path))
        except BaseException:
            self.close()
            raise

    def _connection(self) -> _Connection:
        held: _Connection | None = getattr(self._local, "held", None)
        if held is None or held.process != os.getpid():
            held = self._local.held = _Connection(self.path)
            with self._lock:
                self._open.add(held)
        return held

    @contextlib.contextmanager
    def _words(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise translated(error, str(self.path)) from error
        except UnicodeEncodeError as error:
            raise JobError("is no text that can be stored or looked for", found=repr(error.object[:40])) from error

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """This thread's connection; what is read within is of one moment."""
        with self._words():
            connection = self._connection().raw
            if connection.in_transaction:
                yield connection
                return
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """All or nothing; on the disk when it returns, or with `durable` false soon after."""
        with self._words():
            held = self._connection()
            if held.durable != durable:
                held.raw.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
                held.durable = durable
            held.raw.execute("BEGIN IMMEDIATE")
            try:
                yield held.raw
                held.raw.execute("COMMIT")
            except BaseException:
                if held.raw.in_transaction:
                    held.raw.execute("ROLLBACK")
                raise

    def data_version(self) -> int:
        """Changes when another connection has changed the data base; cheap."""
        with self._words():
            return int(self._connection().raw.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        """Close every thread's connection; the next use opens a new one."""
        with self._lock:
            held = list(self._open)
            self._open.clear()
        for connection in held:
            connection.close()
        self._local = threading.local()


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL; SQLite does not wait here when two processes do so at once, so we do."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _open_schema(connection: sqlite3.Connection, path: str) -> None:
    """Make the tables when there are none; refuse those that are not ours, or not ours yet."""
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if not tables:
        _create(connection)
    if tables and not {"meta", "jobs"} <= tables:
        raise translated(sqlite3.DatabaseError(), path, sqlite3.SQLITE_NOTADB)
    found = dict(connection.execute("SELECT key, value FROM meta").fetchall())
    if int(found.get("schema_version", 0)) > SCHEMA_VERSION:
        raise NewerVersionError(
            "the jobs were stored by a newer version of Emberline",
            where=path,
            found=f"schema {found['schema_version']}, written by {found.get('emberline')}",
            expected=f"schema {SCHEMA_VERSION} or older",
            action="Upgrade Emberline to open it.",
        )


def _create(connection: sqlite3.Connection) -> None:
    for statement in filter(str.strip, SCHEMA.split(";")):
        connection.execute(statement)
    meta = {"schema_version": str(SCHEMA_VERSION), "emberline": __version__, "version": "0"}
    connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
