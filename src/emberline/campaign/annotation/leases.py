"""Questions handed out for a while, so that two annotators, or two tabs of one, do not work on the same."""

from __future__ import annotations

import dataclasses
import secrets
import sqlite3
from collections.abc import Iterable

from emberline.errors import CampaignError

__all__ = ["Lease", "close", "find", "holders_of", "live", "open_lease", "release", "renew", "reopen", "silent_leases"]


@dataclasses.dataclass(frozen=True)
class Lease:
    """A question in somebody's hands until `expires` (seconds since 1970); `silent` when it is a repeat."""

    token: str
    identifier: str
    who: str
    session: str
    silent: bool
    expires: float
    closed: bool = False


def _lease(row: sqlite3.Row) -> Lease:
    return Lease(
        row["token"], row["identifier"], row["who"], row["session"], bool(row["silent"]), row["expires"],
        bool(row["closed"]),
    )  # fmt: skip


def live(connection: sqlite3.Connection, now: float) -> list[Lease]:
    """All leases that hold, in the order in which they were given."""
    rows = connection.execute("SELECT * FROM leases WHERE closed = 0 AND expires > ? ORDER BY rowid", (now,))
    return [_lease(row) for row in rows.fetchall()]


def holders_of(held: Iterable[Lease]) -> dict[str, set[str]]:
    """Spectrum → annotators who are looking at it, repeats apart."""
    holders: dict[str, set[str]] = {}
    for lease in held:
        if not lease.silent:
            holders.setdefault(lease.identifier, set()).add(lease.who)
    return holders


def silent_leases(connection: sqlite3.Connection, who: str) -> list[Lease]:
    """All repeats that an annotator has ever been given, answered or not."""
    rows = connection.execute("SELECT * FROM leases WHERE who = ? AND silent = 1 ORDER BY rowid", (who,))
    return [_lease(row) for row in rows.fetchall()]


def find(connection: sqlite3.Connection, token: str, who: str, identifier: str) -> Lease:
    """The lease under a token, whether it still holds or not: an answer that comes late counts.

    Raises
    ------
    CampaignError
        There is none, or it is another annotator's or another spectrum's.
    """
    row = connection.execute("SELECT * FROM leases WHERE token = ?", (token,)).fetchone()
    if row is None or row["who"] != who or row["identifier"] != identifier:
        raise CampaignError(
            "this question was not handed out to this annotator",
            where=identifier,
            found=f"task {token!r} of {who}",
            action="Ask for the next question, or leave the task out.",
        )
    return _lease(row)


def open_lease(
    connection: sqlite3.Connection, identifier: str, who: str, session: str, expires: float, *, silent: bool = False
) -> Lease:
    """Hand a question out."""
    lease = Lease(secrets.token_hex(8), identifier, who, session, silent, expires)
    connection.execute(
        "INSERT INTO leases (token, identifier, who, session, silent, expires) VALUES (?, ?, ?, ?, ?, ?)",
        (lease.token, identifier, who, session, int(silent), expires),
    )
    return lease


def renew(connection: sqlite3.Connection, tokens: Iterable[str], session: str, expires: float) -> None:
    """Keep questions longer, in this session."""
    connection.executemany(
        "UPDATE leases SET session = ?, expires = ? WHERE token = ?", [(session, expires, token) for token in tokens]
    )


def close(connection: sqlite3.Connection, identifier: str, who: str, token: str = "") -> None:
    """A question has been dealt with: under its token, or in all of the annotator's sessions."""
    if token:
        connection.execute("UPDATE leases SET closed = 1 WHERE token = ?", (token,))
    silent = connection.execute("SELECT 1 FROM leases WHERE token = ? AND silent = 1", (token,)).fetchone()
    if not silent:
        connection.execute(
            "UPDATE leases SET closed = 1 WHERE identifier = ? AND who = ? AND silent = 0", (identifier, who)
        )


def reopen(connection: sqlite3.Connection, tokens: Iterable[str], session: str, expires: float) -> None:
    """Hand questions out again under the tokens that they had: their answers were taken back."""
    connection.executemany(
        "UPDATE leases SET closed = 0, session = ?, expires = ? WHERE token = ?",
        [(session, expires, token) for token in tokens if token],
    )


def release(connection: sqlite3.Connection, who: str, session: str) -> int:
    """Give all questions of one session back; returns how many there were."""
    rows = connection.execute(
        "UPDATE leases SET expires = 0 WHERE closed = 0 AND expires > 0 AND who = ? AND session = ?", (who, session)
    )
    return rows.rowcount
