"""Find out who asks: a session's cookie, a token, a name and password, or the key in the printed address."""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import time
from collections import OrderedDict

import anyio
import anyio.to_thread
from starlette.requests import HTTPConnection

from emberline.errors import EmberlineError
from emberline.web.accounts import Account, Accounts
from emberline.web.permissions import Role
from emberline.web.sessions import LOCAL_USER, csrf_token
from emberline.web.throttle import Throttle
from emberline.web.tokens import PREFIX
from emberline.web.visitors import Site, Visitor, local_user

__all__ = ["Identifier", "SlowDownError", "session_cookie"]


class SlowDownError(EmberlineError):
    """Too many failed logins; `seconds` says how long to wait."""

    def __init__(self, seconds: float) -> None:
        self.seconds = max(1, round(seconds + 0.5))
        super().__init__("too many failed attempts", action=f"Try again in {self.seconds} seconds.")


def session_cookie(connection: HTTPConnection, site: Site) -> str:
    """The secret of the session in the request's cookie; empty when there is none."""
    return connection.cookies.get(site.cookie, "")


class Identifier:
    """Says who asks.

    A name and password sent with every request (HTTP Basic, which VO clients know) are checked once and then believed
    for some minutes, for the check is slow by intention.
    """

    BELIEVE = 300.0
    WAITING = 32

    def __init__(self, site: Site) -> None:
        self.site = site
        self.throttle = Throttle()
        self._believed: OrderedDict[bytes, tuple[float, str]] = OrderedDict()
        self._salt = os.urandom(32)
        # Each check takes 32 MiB and a core: two at a time are enough.
        self._slots = anyio.CapacityLimiter(2)

    async def identify(self, connection: HTTPConnection) -> Visitor | None:
        """Who asks, or None; wrong or expired credentials count as none. Raises `SlowDownError`."""
        scheme, _, value = connection.headers.get("authorization", "").partition(" ")
        if scheme:
            # Credentials that are shown but wrong are refused, even when a cookie would do.
            if scheme.lower() == "bearer":
                return await self.by_token(value.strip())
            return await self._by_basic(value.strip(), connection) if scheme.lower() == "basic" else None
        return await self._by_session(session_cookie(connection, self.site))

    async def by_token(self, secret: str, owner: str | None = None) -> Visitor | None:
        """The owner of a token, with the lesser of both roles; with `owner`, only when it is theirs."""
        if self.is_key(secret):
            return Visitor(local_user(), LOCAL_USER, Role.ADMIN, "token")
        tokens = self.site.accounts.tokens
        token = tokens.find(secret)
        if token is None or (owner is not None and token.user.casefold() != owner.casefold()):
            return None
        visitor = self._visitor(token.user)
        if visitor is None:
            return None
        if tokens.is_stale(token):
            await anyio.to_thread.run_sync(tokens.touch, token.id)
        return Visitor(visitor.name, visitor.account, visitor.role.least(token.role), "token")

    def is_key(self, secret: str) -> bool:
        """Whether this is the token of the printed address."""
        key = self.site.key
        return bool(key) and hmac.compare_digest(key.encode(), secret.encode("utf-8", "surrogatepass"))

    async def by_password(self, name: str, password: str, address: str) -> Account | None:
        """The account when the password is right; failures are counted. Raises `SlowDownError`."""
        seconds = self.throttle.wait(name, address)
        if seconds > 0 or self._slots.statistics().tasks_waiting >= self.WAITING:
            raise SlowDownError(seconds)
        accounts: Accounts = self.site.accounts
        account = await anyio.to_thread.run_sync(accounts.verify, name, password, limiter=self._slots)
        if account is None:
            self.throttle.failed(name, address)
        else:
            self.throttle.succeeded(name, address)
        return account

    async def _by_session(self, secret: str) -> Visitor | None:
        sessions = self.site.accounts.sessions
        session = sessions.find(secret) if secret else None
        visitor = self._visitor(session.user) if session else None
        if session is None or visitor is None:
            return None
        if sessions.is_stale(session):
            await anyio.to_thread.run_sync(sessions.touch, secret)
        return Visitor(visitor.name, visitor.account, visitor.role, "session", csrf_token(secret))

    async def _by_basic(self, value: str, connection: HTTPConnection) -> Visitor | None:
        try:
            name, _, password = base64.b64decode(value, validate=True).decode("utf-8").partition(":")
        except (binascii.Error, ValueError):
            return None
        if password.startswith(PREFIX):
            return await self.by_token(password, owner=name if self._is_account(name) else LOCAL_USER)
        if self.is_key(password):
            return await self.by_token(password)
        digest = hmac.digest(self._salt, f"{name}\0{password}".encode("utf-8", "surrogatepass"), "sha256")
        fingerprint = self.site.accounts.fingerprint(name)
        until, believed = self._believed.get(digest, (0.0, ""))
        if not (fingerprint and time.monotonic() < until and believed == fingerprint):
            address = connection.client.host if connection.client else ""
            if await self.by_password(name, password, address) is None:
                return None
            self._believed[digest] = time.monotonic() + self.BELIEVE, self.site.accounts.fingerprint(name)
            while len(self._believed) > 1000:
                self._believed.popitem(last=False)
        account = self.site.accounts.find(name)
        return Visitor(account.name, account.name, account.role, "password") if account else None

    def _is_account(self, name: str) -> bool:
        return self.site.accounts.find(name) is not None

    def _visitor(self, user: str) -> Visitor | None:
        """The person behind a session or token; None when the account is gone, or local ones are not served now."""
        if user == LOCAL_USER:
            return Visitor(local_user(), LOCAL_USER, Role.ADMIN, "session") if self.site.key else None
        account = self.site.accounts.find(user)
        return Visitor(account.name, account.name, account.role, "session") if account else None
