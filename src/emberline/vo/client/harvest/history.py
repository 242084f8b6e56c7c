"""The queue of an archive's harvest, and its history: one row a file, in SQLite, inside the archive's folder."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from emberline.errors import EmberlineError, NewerVersionError
from emberline.provenance import now
from emberline.vo.client.harvest.records import Record

__all__ = ["FOLDER", "STATES", "File", "HarvestError", "History", "open_history"]

FOLDER = ".harvest"
"""The folder in the archive; hidden, so that no reader of the archive takes it for spectra."""
STATES = ("waiting", "fetched", "ingested", "failed", "skipped")
"""In this order a file goes through them; the last three are ends, and ``failed`` may be tried again."""
SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, address TEXT NOT NULL, service TEXT NOT NULL,
    record TEXT NOT NULL, options TEXT NOT NULL, asked_by TEXT NOT NULL DEFAULT '',
    state TEXT NOT NULL, error TEXT NOT NULL DEFAULT '', tries INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER, sha256 TEXT NOT NULL DEFAULT '', media_type TEXT NOT NULL DEFAULT '',
    filename TEXT NOT NULL DEFAULT '', url TEXT NOT NULL DEFAULT '', identifiers TEXT NOT NULL DEFAULT '[]',
    added TEXT NOT NULL, begun TEXT NOT NULL DEFAULT '', fetched TEXT NOT NULL DEFAULT '',
    ended TEXT NOT NULL DEFAULT '', changed INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS files_state ON files (state, number);
CREATE INDEX IF NOT EXISTS files_changed ON files (changed);
"""
_BUSY = 30.0  # seconds to wait for another writer


class HarvestError(EmberlineError):
    """Spectra cannot be selected, fetched or ingested."""


@dataclasses.dataclass(frozen=True)
class File:
    """One row of the history.

    Attributes
    ----------
    number : int
        From 1, in the order in which files were selected.
    key : str
        Of the address and the options: the same file is never in the queue twice.
    record : Record
        What the service said of it.
    options : dict of str to str
        What DataLink and SODA are asked for.
    state : str
        One of `STATES`.
    error : str
        Why it failed, was skipped or still waits.
    tries : int
        How often it was asked for.
    bytes : int or None
        Its length; `sha256` its checksum, `media_type` and `filename` what the server called it.
    url : str
        The address that was asked in the end, after DataLink, SODA and redirections.
    identifiers : tuple of str
        The spectra of the archive that came from it.
    added, begun, fetched, ended : str
        UTC, ISO 8601; empty when not yet.
    changed : int
        Grows with every change to the history.
    """

    number: int
    key: str
    record: Record
    options: Mapping[str, str]
    state: str
    error: str = ""
    tries: int = 0
    bytes: int | None = None
    sha256: str = ""
    media_type: str = ""
    filename: str = ""
    url: str = ""
    identifiers: tuple[str, ...] = ()
    asked_by: str = ""
    added: str = ""
    begun: str = ""
    fetched: str = ""
    ended: str = ""
    changed: int = 0

    def to_mapping(self) -> dict[str, Any]:
        """What JSON can hold: the record's fields beside the file's own."""
        own: dict[str, Any] = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        record = own.pop("record").to_row()
        record["stated_bytes"], record["stated_type"] = record.pop("bytes"), record.pop("media_type")
        own["options"], own["identifiers"] = dict(self.options), list(self.identifiers)
        return {**record, **own}


def key_of(address: str, options: Mapping[str, str]) -> str:
    """What tells files apart: the address and what is asked of it."""
    text = address + "".join(f"\n{name}={value}" for name, value in sorted(options.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def open_history(archive: Path, *, create: bool = False) -> History:
    """The history of the archive in a folder.

    Raises
    ------
    HarvestError
        There is none, unless `create`, or it cannot be opened.
    NewerVersionError
        A newer Emberline has written it.
    """
    path = archive / FOLDER / "history.db"
    if not create and not path.is_file():
        raise HarvestError(
            "nothing was ever fetched into this archive",
            where=str(archive),
            action="Fetch with: emberline ingest --ssap URL --pos POSITION --into ARCHIVE",
        )
    if create:
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return History(path)
    except sqlite3.Error as error:
        raise HarvestError(
            f"the history cannot be opened: {error}",
            where=str(path),
            action="Move it away to begin a new one; the archive itself is not touched by that.",
        ) from error


class History:
    """The rows, for one or several threads and processes; every change is one transaction."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._database = sqlite3.connect(path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
        self._database.row_factory = sqlite3.Row
        try:
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            version = int(self._database.execute("PRAGMA user_version").fetchone()[0])
            if version > SCHEMA_VERSION:
                raise NewerVersionError("was written by a newer Emberline", where=str(path), action="Update Emberline.")
            if version < SCHEMA_VERSION:
                self._database.executescript(_SCHEMA + f"PRAGMA user_version = {SCHEMA_VERSION};")
        except BaseException:
            self._database.close()
            raise

    def close(self) -> None:
        """Let the file go."""
        self._database.close()

    def __enter__(self) -> History:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[tuple[sqlite3.Connection, int]]:
        """A transaction, and the number that its changes carry."""
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database, self.version() + 1
                self._database.execute("COMMIT")
            except BaseException:
                self._database.execute("ROLLBACK")
                raise

    def _rows(self, query: str, values: Sequence[Any] = ()) -> list[File]:
        with self._lock:
            return [_file(row) for row in self._database.execute(query, values)]

    # Looking ----------------------------------------------------------------------------------------------------------

    def version(self) -> int:
        """The number of the latest change; 0 when nothing ever was."""
        with self._lock:
            return int(self._database.execute("SELECT COALESCE(MAX(changed), 0) FROM files").fetchone()[0])

    def counts(self) -> dict[str, int]:
        """How many files are in each state."""
        with self._lock:
            found = dict(map(tuple, self._database.execute("SELECT state, COUNT(*) FROM files GROUP BY state")))
        return {state: int(found.get(state, 0)) for state in STATES}

    def files(
        self,
        states: Iterable[str] = STATES,
        *,
        numbers: Iterable[int] | None = None,
        newest: bool = False,
        limit: int = -1,
        offset: int = 0,
    ) -> list[File]:
        """The files in some states, in the order of their selection, or the newest change first."""
        chosen = list(states)
        query = f"SELECT * FROM files WHERE state IN ({','.join('?' * len(chosen))})"
        if numbers is not None:
            wanted = [int(number) for number in numbers]
            query += f" AND number IN ({','.join(map(str, wanted))})"
        query += f" ORDER BY {'changed DESC, number' if newest else 'number'} LIMIT ? OFFSET ?"
        return self._rows(query, [*chosen, limit, offset])

    # Changing ---------------------------------------------------------------------------------------------------------

    def add(self, records: Iterable[Record], options: Mapping[str, str] | None = None, *, asked_by: str = "") -> int:
        """Put records into the queue; what is in it already stays as it is. How many are new is returned.

        What cannot be a spectrum by its media type is ``skipped`` at once, with the reason.
        """
        asked, moment, count = dict(options or {}), now(), 0
        text = json.dumps(asked, ensure_ascii=False, sort_keys=True)
        with self._writing() as (database, version):
            for record in records:
                why = record.why_not
                values = (
                    key_of(record.address, asked), record.address, record.service,
                    json.dumps(record.to_mapping(), ensure_ascii=False), text, asked_by,
                    "skipped" if why else "waiting", why, moment, version,
                )  # fmt: skip
                count += database.execute(
                    "INSERT OR IGNORE INTO files (key, address, service, record, options, asked_by, state, error,"
                    " added, changed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    values,
                ).rowcount
        return count

    def change(self, numbers: int | Sequence[int], **values: Any) -> None:
        """Set columns of some rows to the same values."""
        wanted = [numbers] if isinstance(numbers, int) else numbers
        self.change_each(dict.fromkeys(wanted, values))

    def change_each(self, changes: Mapping[int, Mapping[str, Any]]) -> None:
        """Set columns of rows, each row's own, in one transaction."""
        with self._writing() as (database, version):
            for number, values in changes.items():
                kept = {name: json.dumps(list(item), ensure_ascii=False) if name == "identifiers" else item
                        for name, item in values.items()}  # fmt: skip
                assignments = "".join(f"{name} = ?, " for name in kept)
                query = f"UPDATE files SET {assignments}changed = ? WHERE number = ?"
                database.execute(query, (*kept.values(), version, number))

    def began(self, number: int) -> None:
        """A file is asked for now."""
        with self._writing() as (database, version):
            query = "UPDATE files SET begun = ?, tries = tries + 1, changed = ? WHERE number = ?"
            database.execute(query, (now(), version, number))

    def retry(self, numbers: Iterable[int] | None = None) -> int:
        """Let what failed (of `numbers`, or all) wait again; how many is returned."""
        chosen = [file.number for file in self.files(["failed"], numbers=numbers)]
        self.change(chosen, state="waiting", ended="")
        return len(chosen)


def _file(row: sqlite3.Row) -> File:
    values = {name: row[name] for name in row.keys() if name not in ("address", "service")}  # noqa: SIM118
    values["record"] = Record.of_mapping(json.loads(values["record"]))
    values["options"] = json.loads(values["options"])
    values["identifiers"] = tuple(json.loads(values["identifiers"]))
    return File(**values)
