"""Sessions: who is signed in with a browser. Only digests of the cookies are stored: a copy of them opens nothing."""

from __future__ import annotations

import dataclasses
import hmac
import time

from emberline.web._accounts_db import AccountsDatabase, digest_of, new_secret

__all__ = ["LOCAL_USER", "Session", "Sessions", "csrf_token"]

LOCAL_USER = ""
"""The name under which sessions of the one local user, who has no account, are kept."""


def csrf_token(secret: str) -> str:
    """What a page must show with a change, beside the cookie: it follows from the cookie and does not give it away."""
    return hmac.new(secret.encode("utf-8", "surrogatepass"), b"emberline csrf", "sha256").hexdigest()


@dataclasses.dataclass(frozen=True)
class Session:
    """A session that is valid now; `user` is `LOCAL_USER` for the local user."""

    user: str
    created: float
    seen: float


class Sessions:
    """The sessions of all users.

    Attributes
    ----------
    idle, absolute : float
        Seconds without a request, and seconds since the login, after which a session ends.
    """

    idle: float = 7 * 86400
    absolute: float = 30 * 86400
    _SEEN_EVERY = 60.0

    def __init__(self, database: AccountsDatabase) -> None:
        self._database = database

    def open(self, user: str) -> str:
        """Begin a session and return its secret, the cookie's value. Sessions that have ended are cleared away."""
        secret, now = new_secret(), time.time()
        with self._database.write() as connection:
            connection.execute(
                "DELETE FROM sessions WHERE seen < ? OR created < ?", [now - self.idle, now - self.absolute]
            )
            connection.execute("INSERT INTO sessions VALUES (?, ?, ?, ?)", [digest_of(secret), user, now, now])
        return secret

    def find(self, secret: str) -> Session | None:
        """The session of a cookie, or None when there is none or it has ended."""
        rows = self._database.rows("SELECT user, created, seen FROM sessions WHERE digest = ?", [digest_of(secret)])
        if not rows:
            return None
        session, now = Session(*rows[0]), time.time()
        if now - session.seen > self.idle or now - session.created > self.absolute:
            return None
        return session

    def is_stale(self, session: Session) -> bool:
        """Whether it is time to note down that the session is in use; not at every request, for the disk's sake."""
        return time.time() - session.seen > self._SEEN_EVERY

    def touch(self, secret: str) -> None:
        """Note down that the session is in use."""
        with self._database.write() as connection:
            connection.execute("UPDATE sessions SET seen = ? WHERE digest = ?", [time.time(), digest_of(secret)])

    def close(self, secret: str) -> None:
        """End one session."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM sessions WHERE digest = ?", [digest_of(secret)])

    def close_all(self, user: str) -> None:
        """End all sessions of one user."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM sessions WHERE user = ?", [user])
