"""The tables of a campaign's data base, and how a data base of an older version is brought up to date."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from emberline.files import atomic_path

__all__ = ["SCHEMA_VERSION", "create_tables", "migrate"]

SCHEMA_VERSION = 2

_EVENTS = (
    """CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, time TEXT NOT NULL, who TEXT NOT NULL, action TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('label', 'repeat', 'skip', 'note', 'adjudication', 'undo', 'redo')),
    identifier TEXT NOT NULL, class TEXT, purpose TEXT NOT NULL CHECK (purpose IN ('query', 'control')),
    round INTEGER NOT NULL, model TEXT NOT NULL, undoes INTEGER REFERENCES events, task TEXT NOT NULL DEFAULT '',
    silent INTEGER NOT NULL DEFAULT 0, seconds REAL, shown TEXT NOT NULL DEFAULT '{}',
    details TEXT NOT NULL DEFAULT '{}')""",
    "CREATE INDEX events_identifier ON events (identifier)",
    "CREATE INDEX events_action ON events (action)",
    """CREATE TRIGGER events_kept BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'events are never changed'); END""",
    """CREATE TRIGGER events_never_deleted BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'events are never deleted'); END""",
)
_LEASES = (
    """CREATE TABLE leases (
    token TEXT PRIMARY KEY, identifier TEXT NOT NULL, who TEXT NOT NULL, session TEXT NOT NULL,
    silent INTEGER NOT NULL, expires REAL NOT NULL, closed INTEGER NOT NULL DEFAULT 0)""",
    "CREATE INDEX leases_of ON leases (who, silent)",
    "CREATE INDEX leases_open ON leases (closed, expires)",
)
_ROUNDS = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    """CREATE TABLE rounds (
    number INTEGER PRIMARY KEY, batch INTEGER NOT NULL, control INTEGER NOT NULL,
    started TEXT NOT NULL, finished TEXT, summary TEXT)""",
    """CREATE TABLE steps (
    round INTEGER NOT NULL REFERENCES rounds, step TEXT NOT NULL, finished TEXT NOT NULL, seconds REAL NOT NULL,
    PRIMARY KEY (round, step))""",
    """CREATE TABLE questions (
    round INTEGER NOT NULL REFERENCES rounds, rank INTEGER NOT NULL, identifier TEXT NOT NULL,
    purpose TEXT NOT NULL CHECK (purpose IN ('query', 'control')), reason TEXT NOT NULL,
    stratum INTEGER, PRIMARY KEY (round, purpose, rank), UNIQUE (round, purpose, identifier))""",
)

# Version 1 took the last label of anybody. Where that hides a disagreement, the last word is kept as an adjudication.
_LAST_WORDS = """
WITH held AS (
    SELECT * FROM old_events AS e WHERE kind = 'label'
    AND NOT EXISTS (SELECT 1 FROM old_events AS u WHERE u.undoes = e.id)),
own AS (SELECT * FROM held AS e WHERE id = (SELECT MAX(id) FROM held AS l WHERE l.identifier = e.identifier
    AND l.who = e.who))
SELECT * FROM own AS e WHERE id = (SELECT MAX(id) FROM own AS l WHERE l.identifier = e.identifier)
AND EXISTS (SELECT 1 FROM own AS o WHERE o.identifier = e.identifier AND o.class <> e.class)
ORDER BY id
"""


def create_tables(connection: sqlite3.Connection) -> None:
    """Make the tables of a new data base."""
    for statement in (*_ROUNDS, *_EVENTS, *_LEASES):
        connection.execute(statement)


def migrate(path: Path) -> None:
    """Bring a data base of version 1 up to date: all of it or nothing, after a copy has been laid beside it.

    The copy, ``campaign-schema-1.db``, is whole and on the disk before anything is changed. Every event keeps its
    number. Several processes may try at once: one does it.
    """
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=30.0)) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.execute("BEGIN IMMEDIATE")
        try:
            version = connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone()
            if int(version["value"]) == 1:
                _copy(path, _free_name(path))
                _upgrade(connection)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


def _free_name(path: Path) -> Path:
    """A name beside the data base that no earlier copy has."""
    names = [f"{path.stem}-schema-1.db", *(f"{path.stem}-schema-1-{number}.db" for number in range(2, 1000))]
    return next(free for name in names if not (free := path.with_name(name)).exists())


def _copy(path: Path, to: Path) -> None:
    with (
        atomic_path(to) as temporary,
        contextlib.closing(sqlite3.connect(path)) as source,
        contextlib.closing(sqlite3.connect(temporary)) as copy,
    ):
        source.backup(copy)


def _upgrade(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TEMP TABLE old_events AS SELECT * FROM events")
    connection.execute("DROP TABLE events")
    for statement in (*_EVENTS, *_LEASES):
        connection.execute(statement)
    connection.execute(
        "INSERT INTO events (id, time, who, action, kind, identifier, class, purpose, round, model, undoes, details)"
        " SELECT id, time, who, 'v1-' || id, kind, identifier, class, purpose, round, model, undoes, details"
        " FROM old_events ORDER BY id"
    )
    for row in connection.execute(_LAST_WORDS).fetchall():
        connection.execute(
            "INSERT INTO events (time, who, action, kind, identifier, class, purpose, round, model, details)"
            " VALUES (?, ?, ?, 'adjudication', ?, ?, ?, ?, ?, '{\"from\": \"schema 1\"}')",
            (
                row["time"], row["who"], f"v1-{row['id']}-last-word", row["identifier"], row["class"], row["purpose"],
                row["round"], row["model"],
            ),
        )  # fmt: skip
    connection.execute("DROP TABLE old_events")
    connection.execute("UPDATE meta SET value = '2' WHERE key = 'schema_version'")
