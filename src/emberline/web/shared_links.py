"""Addresses that another program may read without signing in: one document each, signed, and only for some minutes."""

from __future__ import annotations

import base64
import binascii
import collections
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.applications import Starlette

__all__ = ["LIFETIME", "SHARED", "SharedLinks", "shared_links"]

SHARED = "/shared"
"""Where such addresses begin; the gate lets them pass."""
LIFETIME = 600.0
"""Seconds for which an address holds."""

_DOCUMENTS, _BYTES = 32, 200_000_000


class SharedLinks:
    """Makes and reads the tokens, and keeps documents that are made once.

    Its key is of this process: no address outlives it.

    Parameters
    ----------
    clock : function
        Seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._key = secrets.token_bytes(32)
        self._clock = clock
        self._kept: collections.OrderedDict[str, tuple[float, bytes]] = collections.OrderedDict()
        self._lock = threading.Lock()

    def address(self, document: Mapping[str, str], name: str) -> str:
        """The path of a document; `name` is what it is called when it is saved."""
        body = json.dumps({**document, "expires": self._clock() + LIFETIME}, separators=(",", ":")).encode()
        return f"{SHARED}/{_text(body)}.{_text(self._mark(body))}/{name}"

    def read(self, token: str) -> dict[str, str] | None:
        """What a token stands for; None for one that was not made here, or has expired."""
        first, _, second = token.partition(".")
        try:
            body, mark = _bytes(first), _bytes(second)
        except (binascii.Error, ValueError):
            return None
        if not hmac.compare_digest(mark, self._mark(body)):
            return None
        document: dict[str, str] = json.loads(body)
        return document if float(document["expires"]) >= self._clock() else None

    def _mark(self, body: bytes) -> bytes:
        return hmac.new(self._key, body, hashlib.sha256).digest()

    def keep(self, content: bytes) -> str:
        """Keep a document for as long as an address holds; returns the name for `kept`."""
        name, now = secrets.token_urlsafe(16), self._clock()
        with self._lock:
            self._kept[name] = now + LIFETIME, content
            while len(self._kept) > 1 and self._too_many(now):
                self._kept.popitem(last=False)
        return name

    def _too_many(self, now: float) -> bool:
        oldest = next(iter(self._kept.values()))[0]
        size = sum(len(content) for _, content in self._kept.values())
        return oldest < now or len(self._kept) > _DOCUMENTS or size > _BYTES

    def kept(self, name: str) -> bytes | None:
        """A document that is still kept."""
        with self._lock:
            found = self._kept.get(name)
        return None if found is None else found[1]


def shared_links(application: Starlette) -> SharedLinks:
    """The links of an application."""
    found: SharedLinks = application.state.shared_links
    return found


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
