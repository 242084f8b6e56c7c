"""The cards of a FITS header: keywords found at once, values parsed when they are asked for."""

from __future__ import annotations

import math
import re
from typing import Any

from emberline.errors import ReadError

__all__ = ["CARD", "Header"]

CARD = 80
"""Bytes in a FITS card."""

_EQUALS = ord("=")
_QUOTED = re.compile(r"'((?:[^']|'')*)'")
_REAL = re.compile(r"[.EeDd]")
_MISSING = object()


class Header:
    """The cards of one header; values are parsed when they are asked for, and the first of equal keywords counts."""

    __slots__ = ("_cards", "_text")

    def __init__(self, text: bytes) -> None:
        self._text = text
        # From the last card to the first, so that the first of equal keywords stays.
        self._cards = {text[at : at + 8]: at for at in range((len(text) - 1) // CARD * CARD, -1, -CARD)}

    def __contains__(self, key: str) -> bool:
        return self._card(key) is not None

    def get(self, key: str, default: Any = None) -> Any:
        """The value of `key` as text, bool, int or float; `default` when it is absent, empty or unreadable."""
        card = self._card(key)
        if card is None:
            return default
        value = _value(card)
        return default if value is None else value

    def number(self, key: str, default: float = math.nan) -> float:
        """The value of `key` as a float; `default` when it is absent or no finite number (also as text)."""
        try:
            number = float(self.get(key, default))
        except (TypeError, ValueError):
            return default
        return number if math.isfinite(number) else default

    def text(self, key: str) -> str:
        """The value of `key` as stripped text; empty when it is absent."""
        value = self.get(key)
        return "" if value is None else str(value).strip()

    def comment(self, key: str) -> str:
        """The comment beside `key`; empty when there is none."""
        card = self._card(key) or ""
        rest = re.sub(r"^\s*'(?:[^']|'')*'", "", card)
        return rest.partition("/")[2].strip()

    def need(self, key: str) -> float:
        """The number at `key`.

        Raises
        ------
        ReadError
            It is missing or no number.
        """
        value = self.get(key, _MISSING)
        number = self.number(key)
        if math.isnan(number) or isinstance(value, bool):
            found = "none" if value is _MISSING else repr(value)
            raise ReadError(f"the keyword {key} is needed", reason="bad-keyword", found=found, expected="a number")
        return number

    def _card(self, key: str) -> str | None:
        """What stands behind the ``=`` of the first card with this keyword."""
        if len(key) > 8 or " " in key:
            return self._hierarch(key)
        at = self._cards.get(key.encode("ascii").ljust(8))
        if at is None or self._text[at + 8] != _EQUALS:
            return None
        return self._text[at + 9 : at + CARD].decode("latin-1")

    def _hierarch(self, key: str) -> str | None:
        pattern, start = b"HIERARCH " + key.encode("ascii"), 0
        while (at := self._text.find(pattern, start)) >= 0:
            name, equals, rest = self._text[at : at + CARD].partition(b"=")
            if at % CARD == 0 and equals and name.strip() == pattern:
                return rest.decode("latin-1")
            start = at + 1
        return None


def _value(card: str) -> str | bool | int | float | None:
    """Parse what stands behind the equals sign of a card."""
    text = card.lstrip()
    if text.startswith("'"):
        match = _QUOTED.match(text)
        return match.group(1).replace("''", "'").rstrip() if match else text[1:].rstrip()
    text = text.partition("/")[0].strip()
    if text == "T" or text == "F":
        return text == "T"
    try:
        return float(text.replace("D", "E").replace("d", "e")) if _REAL.search(text) else int(text)
    except ValueError:
        return text or None
