"""A campaign's data base: what was asked, what was answered, and which steps are done. Nothing is overwritten."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from emberline.campaign.annotation.events import COLUMNS, Event, Label, Question, event_of, values_of
from emberline.campaign.annotation.schema import SCHEMA_VERSION, create_tables, migrate
from emberline.campaign.annotation.state import State
from emberline.errors import CampaignError, NewerVersionError
from emberline.files import atomic_path
from emberline.provenance import now

__all__ = ["SCHEMA_VERSION", "Database", "Label", "NotStoredError", "Question"]

T = TypeVar("T")

_INSERT = f"INSERT INTO events ({', '.join(COLUMNS[1:])}) VALUES ({', '.join('?' * (len(COLUMNS) - 1))})"


class NotStoredError(CampaignError):
    """Nothing was stored, for a reason that passes: a full disk, or a data base that somebody else holds."""


class Database:
    """SQLite in WAL mode; every change is one transaction that is on the disk before the call returns.

    Threads may share one, processes may each open their own. A data base of version 1 is brought up to date when it is
    opened, after a copy has been laid beside it.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise CampaignError("there is no campaign here", where=str(self.path.parent), expected="campaign.db")
        self._lock = threading.RLock()
        self._connection = self._connect()
        self._state = State()
        self._labels: tuple[int, list[Label]] = (0, [])
        self._questions: list[Question] = []
        version = int(self.meta("schema_version") or 0)
        if version > SCHEMA_VERSION:
            raise NewerVersionError(
                "the campaign was made by a newer version of Emberline",
                where=str(self.path),
                found=f"schema {version}, written by {self.meta('emberline')}",
                expected=f"schema {SCHEMA_VERSION} or older",
                action="Upgrade Emberline to open it.",
            )
        if version < SCHEMA_VERSION:
            migrate(self.path)

    @classmethod
    def create(cls, path: Path | str, meta: dict[str, str]) -> Database:
        """Make a new, empty data base at `path`."""
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            create_tables(connection)
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
            connection.close()
            raise CampaignError(f"is not a campaign data base: {error}", where=str(self.path)) from error
        return connection

    def close(self) -> None:
        """Close the connection; the write-ahead log is folded into the file."""
        with self._lock:
            self._connection.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All changes made inside are on the disk when it ends, or none are; nobody else writes meanwhile.

        One inside another belongs to it. After events have been appended, the state is not asked for before the end.
        """
        with self._lock:
            if self._connection.in_transaction:
                yield self._connection
                return
            try:
                self._connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                raise self._unwritable(error) from error
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException as error:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                if isinstance(error, sqlite3.OperationalError):
                    raise self._unwritable(error) from error
                raise

    def _unwritable(self, error: sqlite3.OperationalError) -> NotStoredError:
        return NotStoredError(
            f"cannot be written: {error}",
            where=str(self.path),
            action="Nothing was stored. Free some space, or end the program that holds the data base, and try again.",
        )

    def read(self, statement: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """The rows of a query."""
        with self._lock:
            return self._connection.execute(statement, values).fetchall()

    def meta(self, key: str) -> str | None:
        """A value that was stored when the campaign was made."""
        try:
            rows = self.read("SELECT value FROM meta WHERE key = ?", (key,))
        except sqlite3.DatabaseError as error:
            raise CampaignError(f"is not a campaign data base: {error}", where=str(self.path)) from error
        return str(rows[0]["value"]) if rows else None

    def backup(self, path: Path | str) -> None:
        """Write a whole copy of the data base to `path`, atomically, while others may go on working."""
        with atomic_path(path) as temporary, contextlib.closing(sqlite3.connect(temporary)) as copy, self._lock:
            self._connection.backup(copy)

    # Events -----------------------------------------------------------------------------------------------------

    def state(self) -> State:
        """What holds now: the events that came since the last call, by whatever process, are taken in first.

        It grows with later calls: read it by `look` when several threads share the data base.
        """
        with self._lock:
            for row in self.read("SELECT * FROM events WHERE id > ? ORDER BY id", (self._state.last,)):
                self._state.apply(event_of(row))
            return self._state

    def look(self, question: Callable[[State], T]) -> T:
        """What a function says of the state as it is now, while no other thread takes in events."""
        with self._lock:
            return question(self.state())

    def append(
        self,
        decide: Callable[[State], Iterable[Event]],
        *,
        who: str,
        action: str = "",
        answers: Mapping[str, str | None] | None = None,
    ) -> list[Event]:
        """Append the events of one action, all of them or none; they are on the disk when this returns.

        Parameters
        ----------
        decide : function
            Takes the state, while all others are held off, and returns the events.
        who : str
        action : str
            The action's identifier. One that is stored already is not stored again, and its events are returned: what
            is sent twice counts once.
        answers : mapping, optional
            Spectrum → answer of the action, to tell another action under the same identifier from the same one.

        Raises
        ------
        CampaignError
            The identifier has been used for another action, or nothing can be written.
        """
        action = action or uuid.uuid4().hex
        time = now()
        events: list[Event] = []
        with self.transaction() as connection:
            stored = connection.execute("SELECT * FROM events WHERE action = ? ORDER BY id", (action,)).fetchall()
            if stored:
                return _delivered([event_of(row) for row in stored], who, action, answers)
            for event in decide(self.state()):
                draft = dataclasses.replace(event, who=who, action=action, time=time)
                number = connection.execute(_INSERT, values_of(draft)).lastrowid
                events.append(dataclasses.replace(draft, id=int(number or 0)))
        return events

    def add_labels(
        self, answers: Iterable[tuple[Question, str]], *, who: str, model: str, details: dict[str, Any] | None = None
    ) -> list[int]:
        """Append one label event for each answered question; all of them or none. Returns the events' numbers."""

        def decide(state: State) -> Iterator[Event]:
            for q, answer in answers:
                yield Event("label", q.identifier, answer, q.purpose, q.round, model, details=details or {})

        return [event.id for event in self.append(decide, who=who)]

    def undo(self, event: int, *, who: str) -> int:
        """Take a label back, by an event of its own: what held before it holds again.

        Raises
        ------
        CampaignError
            There is no such label, or it has been undone already.
        """

        def decide(state: State) -> list[Event]:
            target = state.events.get(event)
            if target is None:
                raise CampaignError(f"there is no label event {event}", where=str(self.path))
            if event in state.undone:
                raise CampaignError(f"the label event {event} has been undone already", where=str(self.path))
            return [dataclasses.replace(target, kind="undo", answer=None, undoes=event, seconds=None, details={})]

        return self.append(decide, who=who)[0].id

    def labels(self) -> list[Label]:
        """The labels that hold now, one a spectrum, in the order they were given; none for those in dispute."""
        with self._lock:
            last = self.state().last
            if self._labels[0] != last:
                self._labels = (last, self._state.labels())
            return list(self._labels[1])

    def events(self) -> list[dict[str, Any]]:
        """Every event ever, undone ones included, in order."""
        return [dict(row) for row in self.read("SELECT * FROM events ORDER BY id")]

    # Rounds -----------------------------------------------------------------------------------------------------

    def start_round(self, number: int, *, batch: int, control: int) -> None:
        """Open a round, with what it is going to ask."""
        with self.transaction() as connection:
            connection.execute(
                "INSERT INTO rounds (number, batch, control, started) VALUES (?, ?, ?, ?)",
                (number, batch, control, now()),
            )

    def finish_round(self, number: int, summary: dict[str, Any]) -> None:
        """Close a round with its summary."""
        with self.transaction() as connection:
            text = json.dumps(summary, ensure_ascii=False, sort_keys=True)
            connection.execute("UPDATE rounds SET finished = ?, summary = ? WHERE number = ?", (now(), text, number))

    def rounds(self) -> list[dict[str, Any]]:
        """All rounds in order; `summary` is None while a round is open."""
        rows = [dict(row) for row in self.read("SELECT * FROM rounds ORDER BY number")]
        for row in rows:
            row["summary"] = None if row["summary"] is None else json.loads(row["summary"])
        return rows

    def finish_step(self, number: int, step: str, seconds: float) -> None:
        """Note that a step of a round is done and its files are in place."""
        with self.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO steps VALUES (?, ?, ?, ?)", (number, step, now(), seconds))

    def steps(self, number: int) -> dict[str, float]:
        """The steps of a round that are done, and the seconds they took."""
        rows = self.read("SELECT step, seconds FROM steps WHERE round = ? ORDER BY rowid", (number,))
        return {row["step"]: row["seconds"] for row in rows}

    # Questions --------------------------------------------------------------------------------------------------

    def ask(self, questions: Sequence[Question]) -> None:
        """Store a round's questions."""
        with self.transaction() as connection:
            for q in questions:
                connection.execute(
                    "INSERT INTO questions VALUES (?, ?, ?, ?, ?, ?)",
                    (q.round, q.rank, q.identifier, q.purpose, q.reason, q.stratum),
                )

    def questions(self, number: int | None = None) -> list[Question]:
        """The questions of one round, or of all."""
        with self._lock:
            # Questions are only ever added, and a round's all at once.
            if self.read("SELECT COUNT(*) AS n FROM questions")[0]["n"] != len(self._questions):
                rows = self.read("SELECT * FROM questions ORDER BY round, purpose DESC, rank")
                self._questions = [
                    Question(r["round"], r["rank"], r["identifier"], r["purpose"], r["reason"], r["stratum"])
                    for r in rows
                ]
            return [q for q in self._questions if number is None or q.round == number]


def _delivered(stored: list[Event], who: str, action: str, answers: Mapping[str, str | None] | None) -> list[Event]:
    """The events of an action that comes a second time."""
    same = answers is None or {event.identifier: event.answer for event in stored} == dict(answers)
    if stored[0].who != who or not same:
        raise CampaignError(
            "this identifier belongs to another action",
            where=action,
            found=f"{stored[0].kind} of {stored[0].identifier} by {stored[0].who}",
            action="Make a new identifier for each action.",
        )
    return stored
