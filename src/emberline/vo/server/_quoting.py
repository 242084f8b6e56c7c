"""Percent-encoding of a whole Arrow column, as `urllib.parse.quote` does it for one text."""

from __future__ import annotations

import urllib.parse
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["quoted"]


def quoted(texts: Any) -> Any:
    """Encode everything but letters, digits, and ``_.-~``."""
    if not pc.any(pc.match_substring_regex(texts, pattern="[^A-Za-z0-9_.~-]")).as_py():
        return texts
    if not pc.any(pc.match_substring_regex(texts, pattern="[^A-Za-z0-9_.~%+:/ -]")).as_py():
        for plain in "%+:/ ":
            texts = pc.replace_substring(texts, pattern=plain, replacement=urllib.parse.quote(plain, safe=""))
        return texts
    return pa.array([None if text is None else urllib.parse.quote(text, safe="") for text in texts.to_pylist()])
