"""A campaign's data base: what was asked, what was answered, and which steps are done. Nothing is overwritten."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from emberline.errors import CampaignError, NewerVersionError
from emberline.provenance import now

__all__ = ["SCHEMA_VERSION", "Database", "Label", "Question"]

SCHEMA_VERSION = 1
Purpose = Literal["query", "control"]

_SCHEMA = """
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

_CURRENT = """
SELECT id, time, who, identifier, class, purpose, round, model, details FROM events AS e
WHERE kind = 'label' AND NOT EXISTS (SELECT 1 FROM events AS u WHERE u.undoes = e.id)
  AND id = (SELECT MAX(id) FROM events AS l WHERE l.identifier = e.identifier AND l.kind = 'label'
            AND NOT EXISTS (SELECT 1 FROM events AS u WHERE u.undoes = l.id))
ORDER BY id
"""


@dataclasses.dataclass(frozen=True)
class Label:
    """One decision that holds: who said when that a spectrum is what, asked for which purpose in which round."""

    event: int
    time: str
    who: str
    identifier: str
    answer: str
    purpose: Purpose | Literal["start"]
    round: int
    model: str
    details: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Question:
    """One spectrum that the oracle is asked about; `stratum` belongs to control questions."""

    round: int
    rank: int
    identifier: str
    purpose: Purpose
    reason: str
    stratum: int | None = None


class Database:
    """SQLite in WAL mode; every change is one transaction that is on the disk before the call returns."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise CampaignError("there is no campaign here", where=str(self.path.parent), expected="campaign.db")
        self._connection = self._connect()
        version = int(self.meta("schema_version") or 0)
        if version > SCHEMA_VERSION:
            raise NewerVersionError(
                "the campaign was made by a newer version of Emberline",
                where=str(self.path),
                found=f"schema {version}, written by {self.meta('emberline')}",
                expected=f"schema {SCHEMA_VERSION} or older",
                action="Upgrade Emberline to open it.",
            )

    @classmethod
    def create(cls, path: Path | str, meta: dict[str, str]) -> Database:
        """Make a new, empty data base at `path`."""
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.executescript(_SCHEMA)
            values = {**meta, "schema_version": str(SCHEMA_VERSION)}
            connection.executemany("INSERT INTO meta VALUES (?, ?)", values.items())
            connection.commit()
        return cls(path)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, timeout=30.0, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA foreign_keys=ON")
        except sqlite3.DatabaseError as error:
            raise CampaignError(f"is not a campaign data base: {error}", where=str(self.path)) from error
        return connection

    def close(self) -> None:
        """Close the connection; the write-ahead log is folded into the file."""
        self._connection.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def meta(self, key: str) -> str | None:
        """A value that was stored when the campaign was made."""
        try:
            row = self._connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        except sqlite3.DatabaseError as error:
            raise CampaignError(f"is not a campaign data base: {error}", where=str(self.path)) from error
        return None if row is None else str(row["value"])

    # Labels -----------------------------------------------------------------------------------------------------

    def add_labels(
        self, answers: Iterable[tuple[Question, str]], *, who: str, model: str, details: dict[str, Any] | None = None
    ) -> list[int]:
        """Append one label event for each answered question; all of them or none. Returns the events' numbers."""
        time, extra = now(), json.dumps(details or {}, ensure_ascii=False, sort_keys=True)
        events = []
        with self._transaction() as connection:
            for question, answer in answers:
                cursor = connection.execute(
                    "INSERT INTO events (time, who, kind, identifier, class, purpose, round, model, details)"
                    " VALUES (?, ?, 'label', ?, ?, ?, ?, ?, ?)",
                    (time, who, question.identifier, answer, question.purpose, question.round, model, extra),
                )
                events.append(int(cursor.lastrowid or 0))
        return events

    def undo(self, event: int, *, who: str) -> int:
        """Take a label back, by an event of its own: what held before it holds again.

        Raises
        ------
        CampaignError
            There is no such label, or it has been undone already.
        """
        with self._transaction() as connection:
            row = connection.execute("SELECT * FROM events WHERE id = ? AND kind = 'label'", (event,)).fetchone()
            if row is None:
                raise CampaignError(f"there is no label event {event}", where=str(self.path))
            if connection.execute("SELECT 1 FROM events WHERE undoes = ?", (event,)).fetchone():
                raise CampaignError(f"the label event {event} has been undone already", where=str(self.path))
            cursor = connection.execute(
                "INSERT INTO events (time, who, kind, identifier, class, purpose, round, model, undoes)"
                " VALUES (?, ?, 'undo', ?, NULL, ?, ?, ?, ?)",
                (now(), who, row["identifier"], row["purpose"], row["round"], row["model"], event),
            )
            return int(cursor.lastrowid or 0)

    def labels(self) -> list[Label]:
        """The labels that hold now, one a spectrum, in the order they were given."""
        rows = self._connection.execute(_CURRENT).fetchall()
        return [
            Label(
                r["id"], r["time"], r["who"], r["identifier"], r["class"], r["purpose"], r["round"], r["model"],
                json.loads(r["details"]),
            )
            for r in rows
        ]  # fmt: skip

    def events(self) -> list[dict[str, Any]]:
        """Every event ever, undone ones included, in order."""
        return [dict(row) for row in self._connection.execute("SELECT * FROM events ORDER BY id")]

    # Rounds -----------------------------------------------------------------------------------------------------

    def start_round(self, number: int, *, batch: int, control: int) -> None:
        """Open a round, with what it is going to ask."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO rounds (number, batch, control, started) VALUES (?, ?, ?, ?)",
                (number, batch, control, now()),
            )

    def finish_round(self, number: int, summary: dict[str, Any]) -> None:
        """Close a round with its summary."""
        with self._transaction() as connection:
            text = json.dumps(summary, ensure_ascii=False, sort_keys=True)
            connection.execute("UPDATE rounds SET finished = ?, summary = ? WHERE number = ?", (now(), text, number))

    def rounds(self) -> list[dict[str, Any]]:
        """All rounds in order; `summary` is None while a round is open."""
        rows = [dict(row) for row in self._connection.execute("SELECT * FROM rounds ORDER BY number")]
        for row in rows:
            row["summary"] = None if row["summary"] is None else json.loads(row["summary"])
        return rows

    def finish_step(self, number: int, step: str, seconds: float) -> None:
        """Note that a step of a round is done and its files are in place."""
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO steps VALUES (?, ?, ?, ?)", (number, step, now(), seconds))

    def steps(self, number: int) -> dict[str, float]:
        """The steps of a round that are done, and the seconds they took."""
        rows = self._connection.execute("SELECT step, seconds FROM steps WHERE round = ? ORDER BY rowid", (number,))
        return {row["step"]: row["seconds"] for row in rows}

    # Questions --------------------------------------------------------------------------------------------------

    def ask(self, questions: Sequence[Question]) -> None:
        """Store a round's questions."""
        with self._transaction() as connection:
            for q in questions:
                connection.execute(
                    "INSERT INTO questions VALUES (?, ?, ?, ?, ?, ?)",
                    (q.round, q.rank, q.identifier, q.purpose, q.reason, q.stratum),
                )

    def questions(self, number: int | None = None) -> list[Question]:
        """The questions of one round, or of all."""
        rows = self._connection.execute(
            "SELECT * FROM questions WHERE ?1 IS NULL OR round = ?1 ORDER BY round, purpose DESC, rank", (number,)
        )
        return [Question(r["round"], r["rank"], r["identifier"], r["purpose"], r["reason"], r["stratum"]) for r in rows]
