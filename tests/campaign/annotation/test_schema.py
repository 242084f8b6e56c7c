"""A data base of version 1 is brought up to date: copied first, nothing lost, every label as it was."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from pathlib import Path

import pytest

from emberline.campaign.annotation import schema
from emberline.campaign.database import Database

# The schema as version 1 wrote it.
OLD = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE rounds (
    number INTEGER PRIMARY KEY, batch INTEGER NOT NULL, control INTEGER NOT NULL,
    started TEXT NOT NULL, finished TEXT, summary TEXT);
CREATE TABLE steps (
    round INTEGER NOT NULL REFERENCES rounds, step TEXT NOT NULL, finished TEXT NOT NULL, seconds REAL NOT NULL,
    PRIMARY KEY (round, step));
CREATE TABLE questions (
    round INTEGER NOT NULL REFERENCES rounds, rank INTEGER NOT NULL, identifier TEXT NOT NULL,
    purpose TEXT NOT NULL CHECK (purpose IN ('query', 'control')), reason TEXT NOT NULL,
    stratum INTEGER, PRIMARY KEY (round, purpose, rank), UNIQUE (round, purpose, identifier));
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, time TEXT NOT NULL, who TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('label', 'undo')), identifier TEXT NOT NULL, class TEXT,
    purpose TEXT NOT NULL CHECK (purpose IN ('query', 'control')), round INTEGER NOT NULL, model TEXT NOT NULL,
    undoes INTEGER UNIQUE REFERENCES events, details TEXT NOT NULL DEFAULT '{}');
CREATE INDEX events_identifier ON events (identifier);
CREATE TRIGGER events_kept BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events are never changed'); END;
CREATE TRIGGER events_never_deleted BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'events are never deleted'); END;
"""
EVENTS = [
    # who, kind, identifier, class, undoes
    ("ann", "label", "s0", "none", None),
    ("ann", "label", "s1", "emission", None),
    ("ann", "label", "s1", "none", None),
    ("ann", "undo", "s1", None, 3),
    ("ann", "label", "s2", "none", None),
    ("bob", "label", "s2", "emission", None),  # the last label of anybody held
    ("ann", "label", "s3", "none", None),
    ("bob", "label", "s3", "bad", None),
    ("bob", "undo", "s3", None, 8),
    ("ann", "label", "s4", "none", None),
    ("bob", "label", "s4", "none", None),
]
HELD = {"s0": "none", "s1": "emission", "s2": "emission", "s3": "none", "s4": "none"}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "campaign.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(OLD)
        connection.executemany("INSERT INTO meta VALUES (?, ?)", [("schema_version", "1"), ("emberline", "0.1")])
        connection.execute("INSERT INTO rounds VALUES (0, 5, 0, 'then', NULL, NULL)")
        for rank in range(6):
            connection.execute("INSERT INTO questions VALUES (0, ?, ?, 'query', 'entropy', NULL)", (rank, f"s{rank}"))
        for who, kind, identifier, answer, undoes in EVENTS:
            connection.execute(
                "INSERT INTO events (time, who, kind, identifier, class, purpose, round, model, undoes, details)"
                " VALUES ('then', ?, ?, ?, ?, 'query', 0, 'm', ?, '{\"seconds\": 2.5}')",
                (who, kind, identifier, answer, undoes),
            )
        connection.commit()
    return path


def _held(database: Database) -> dict[str, str]:
    return {label.identifier: label.answer for label in database.labels()}


def test_labels_hold_as_they_did_and_events_keep_their_numbers(old: Path) -> None:
    database = Database(old)
    assert _held(database) == HELD
    events = database.events()
    assert [(e["who"], e["kind"], e["identifier"], e["class"], e["undoes"]) for e in events[: len(EVENTS)]] == EVENTS
    assert [e["id"] for e in events[: len(EVENTS)]] == list(range(1, len(EVENTS) + 1))
    assert [(e["who"], e["kind"], e["identifier"]) for e in events[len(EVENTS) :]] == [("bob", "adjudication", "s2")]
    assert database.labels()[0].details == {"seconds": 2.5}
    assert database.meta("schema_version") == "2"
    assert [q.identifier for q in database.questions()] == [f"s{i}" for i in range(6)]
    database.undo(len(EVENTS) + 1, who="bob")
    assert database.state().disputes() == ["s2"], "the disagreement that version 1 hid can be opened"


def test_a_whole_copy_is_laid_beside_it_first(old: Path) -> None:
    Database(old).close()
    with contextlib.closing(sqlite3.connect(old.with_name("campaign-schema-1.db"))) as copy:
        assert copy.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone() == ("1",)
        assert copy.execute("SELECT COUNT(*) FROM events").fetchone() == (len(EVENTS),)
    Database(old).close()
    assert len(list(old.parent.glob("campaign-schema-1*"))) == 1, "it is done once"


def test_an_earlier_copy_is_never_overwritten(old: Path) -> None:
    old.with_name("campaign-schema-1.db").write_text("an earlier copy")
    Database(old).close()
    assert old.with_name("campaign-schema-1.db").read_text() == "an earlier copy"
    assert old.with_name("campaign-schema-1-2.db").is_file()


def test_events_are_kept_afterwards_too(old: Path) -> None:
    Database(old).close()
    with contextlib.closing(sqlite3.connect(old)) as connection:
        for statement in ("UPDATE events SET class = 'x'", "DELETE FROM events"):
            with pytest.raises(sqlite3.IntegrityError, match="never"):
                connection.execute(statement)


def test_an_interrupted_migration_leaves_it_as_it_was(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("DROP TABLE events")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(schema, "_upgrade", fail)
        with pytest.raises(KeyboardInterrupt):
            Database(old)
    assert _held(Database(old)) == HELD


def test_several_that_open_it_at_once_migrate_it_once(old: Path) -> None:
    found: list[dict[str, str]] = []
    threads = [threading.Thread(target=lambda: found.append(_held(Database(old)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [HELD] * 4
    assert len(list(old.parent.glob("campaign-schema-1*"))) == 1
