"""What panels have found, kept in ``context.db`` of the campaign's folder: one row for each spectrum and panel."""

from __future__ import annotations

import contextlib
import io
import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from emberline.campaign.panels.base import Finding
from emberline.errors import CampaignError
from emberline.provenance import now

__all__ = ["ContextStore"]

_VERSION = 1
_TABLES = """
    CREATE TABLE IF NOT EXISTS findings (
        identifier TEXT NOT NULL, panel TEXT NOT NULL, state TEXT NOT NULL, asked TEXT NOT NULL, document TEXT NOT NULL,
        version INTEGER NOT NULL, PRIMARY KEY (identifier, panel)) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS changes ON findings (version);
    CREATE TABLE IF NOT EXISTS images (
        identifier TEXT NOT NULL, panel TEXT NOT NULL, media_type TEXT NOT NULL, data BLOB NOT NULL,
        PRIMARY KEY (identifier, panel));
    CREATE TABLE IF NOT EXISTS overlays (
        identifier TEXT NOT NULL, panel TEXT NOT NULL, id TEXT NOT NULL, title TEXT NOT NULL, frame TEXT NOT NULL,
        note TEXT NOT NULL, arrays BLOB NOT NULL, PRIMARY KEY (identifier, panel, id));
"""


class ContextStore:
    """SQLite in WAL mode; processes and threads may each open the same one.

    It holds nothing that cannot be asked for again: a damaged one may be removed.

    Parameters
    ----------
    path : Path
        The data base; made when it is not there.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._lock = threading.RLock()
        try:
            self._connection = sqlite3.connect(self.path, isolation_level=None, timeout=30.0, check_same_thread=False)
            self._connection.row_factory = sqlite3.Row
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            version = int(self._connection.execute("PRAGMA user_version").fetchone()[0])
            if version > _VERSION:
                raise CampaignError(
                    "what panels found was kept by a newer version of Emberline",
                    where=str(self.path),
                    action="Upgrade Emberline, or remove the file: it is made again.",
                )
            if version < _VERSION:
                self._connection.executescript(_TABLES)
                self._connection.execute(f"PRAGMA user_version={_VERSION}")
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    @classmethod
    def of(cls, campaign: Path | str) -> ContextStore:
        """That of the campaign in a folder."""
        return cls(Path(campaign) / "context.db")

    def _unusable(self, error: Exception) -> CampaignError:
        action = "Free some space, or remove the file: what it holds is asked for again."
        return CampaignError(f"cannot be used: {error}", where=str(self.path), action=action)

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> ContextStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException as error:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise self._unusable(error) from error
                raise

    def _rows(self, statement: str, values: Iterable[Any] = ()) -> list[sqlite3.Row]:
        with self._lock:
            try:
                return self._connection.execute(statement, tuple(values)).fetchall()
            except sqlite3.Error as error:
                raise self._unusable(error) from error

    # Write ------------------------------------------------------------------------------------------------------

    def keep(self, panel: str, findings: dict[str, Finding]) -> None:
        """Store what a panel found, in one transaction; it takes the place of what the panel found before."""
        moment = now()
        with self._transaction() as connection:
            version = 1 + int(connection.execute("SELECT COALESCE(MAX(version), 0) FROM findings").fetchone()[0])
            for identifier, finding in findings.items():
                document = json.dumps({**finding.to_document(), "asked": moment}, ensure_ascii=False)
                row = (identifier, panel, finding.state, moment, document, version)
                connection.execute("INSERT OR REPLACE INTO findings VALUES (?, ?, ?, ?, ?, ?)", row)
                for table in ("images", "overlays"):
                    connection.execute(f"DELETE FROM {table} WHERE identifier = ? AND panel = ?", (identifier, panel))
                if finding.image is not None:
                    row_of_image = (identifier, panel, finding.image.media_type, finding.image.data)
                    connection.execute("INSERT INTO images VALUES (?, ?, ?, ?)", row_of_image)
                for one in finding.overlays:
                    packed = _packed(one.wavelength, one.flux)
                    values = (identifier, panel, one.id, one.title, one.frame, one.note, packed)
                    connection.execute("INSERT OR REPLACE INTO overlays VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def forget(self, identifiers: Iterable[str] | None = None, panels: Iterable[str] | None = None) -> None:
        """Remove findings: of some spectra, of some panels, or all."""
        terms, values = ["1"], []
        for column, wanted in (("identifier", identifiers), ("panel", panels)):
            if wanted is not None:
                some = list(wanted)
                terms.append(f"{column} IN ({', '.join('?' * len(some))})")
                values += some
        with self._transaction() as connection:
            for table in ("findings", "images", "overlays"):
                connection.execute(f"DELETE FROM {table} WHERE {' AND '.join(terms)}", values)

    # Read -------------------------------------------------------------------------------------------------------

    def documents(self, identifier: str) -> dict[str, dict[str, Any]]:
        """Panel → its finding about a spectrum, as `Finding.to_document` gives it."""
        rows = self._rows("SELECT panel, document FROM findings WHERE identifier = ?", [identifier])
        return {str(row["panel"]): json.loads(row["document"]) for row in rows}

    def states(self) -> dict[tuple[str, str], str]:
        """(Identifier, panel) → state, of all that is stored."""
        rows = self._rows("SELECT identifier, panel, state FROM findings")
        return {(str(row["identifier"]), str(row["panel"])): str(row["state"]) for row in rows}

    def version(self) -> int:
        """A number that grows with every finding that is stored."""
        return int(self._rows("SELECT COALESCE(MAX(version), 0) AS newest FROM findings")[0]["newest"])

    def changed(self, since: int, limit: int = 1000) -> list[tuple[str, str]]:
        """Spectrum and panel of what has been stored after the version `since`, at most so many."""
        statement = "SELECT identifier, panel FROM findings WHERE version > ? ORDER BY version LIMIT ?"
        return [(str(row["identifier"]), str(row["panel"])) for row in self._rows(statement, (since, limit))]

    def messages(self) -> dict[str, tuple[str, str]]:
        """Panel → service and message of its last failure."""
        rows = self._rows("SELECT panel, document FROM findings WHERE state IN ('failed', 'offline') ORDER BY asked")
        found = {str(row["panel"]): json.loads(row["document"]) for row in rows}
        return {panel: (document["service"], document["message"]) for panel, document in found.items()}

    def image(self, identifier: str, panel: str) -> tuple[bytes, str] | None:
        """The bytes of a panel's image and their media type."""
        rows = self._rows("SELECT * FROM images WHERE identifier = ? AND panel = ?", [identifier, panel])
        return (bytes(rows[0]["data"]), str(rows[0]["media_type"])) if rows else None

    def overlay(self, identifier: str, overlay: str) -> dict[str, Any] | None:
        """An overlay: `title`, `wavelength` (vacuum Å), `flux`, `frame`, `note`; None when there is none."""
        rows = self._rows("SELECT * FROM overlays WHERE identifier = ? AND id = ?", [identifier, overlay])
        if not rows:
            return None
        wavelength, flux = _unpacked(rows[0]["arrays"])
        head = {name: str(rows[0][name]) for name in ("title", "frame", "note")}
        return {**head, "wavelength": wavelength, "flux": flux}


def _packed(wavelength: Any, flux: Any) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, wavelength=np.asarray(wavelength, np.float64), flux=np.asarray(flux, np.float32))
    return stream.getvalue()


def _unpacked(data: bytes) -> tuple[Any, Any]:
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        return stored["wavelength"], stored["flux"]
