"""Passwords are kept as scrypt hashes that name their own parameters, so that these can be raised later."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import unicodedata

__all__ = ["COST", "hash_password", "is_outdated", "spend_the_same_time", "verify_password"]

COST = 2**15
"""scrypt's n; with r = 8 it takes 32 MiB and some 50 to 100 ms of one core."""
_BLOCK = 8
_PARALLEL = 1
_MEMORY = 256 * 1024 * 1024
_LONGEST = 1024


def hash_password(password: str, *, cost: int | None = None) -> str:
    """``scrypt$n$r$p$salt$hash``, with a new random salt of 128 bits."""
    salt, cost = os.urandom(16), cost or COST
    digest = _scrypt(password, salt, cost, _BLOCK, _PARALLEL)
    return f"scrypt${cost}${_BLOCK}${_PARALLEL}${_encode(salt)}${_encode(digest)}"


def verify_password(password: str, stored: str) -> bool:
    """Whether the password is the one that was hashed; compared in constant time."""
    _, n, r, p, salt, digest = stored.split("$")
    return hmac.compare_digest(
        _scrypt(password, base64.b64decode(salt), int(n), int(r), int(p)), base64.b64decode(digest)
    )


def is_outdated(stored: str) -> bool:
    """Whether the hash was made with less effort than is spent today."""
    _, n, r, p, _, _ = stored.split("$")
    return (int(n), int(r), int(p)) < (COST, _BLOCK, _PARALLEL)


def spend_the_same_time(password: str) -> None:
    """Work as long as a verification does, so that nobody can tell by the clock which names exist."""
    _scrypt(password, b"\0" * 16, COST, _BLOCK, _PARALLEL)


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    # The same characters may be typed as different code points on different keyboards.
    text = unicodedata.normalize("NFKC", password[:_LONGEST]).encode("utf-8", "surrogatepass")
    return hashlib.scrypt(text, salt=salt, n=n, r=r, p=p, maxmem=_MEMORY, dklen=32)


def _encode(value: bytes) -> str:
    return base64.b64encode(value).decode()
