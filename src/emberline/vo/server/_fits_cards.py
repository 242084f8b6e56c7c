"""FITS headers as bytes (FITS 4.0, section 4): cards, long texts, padding; astropy takes milliseconds for each."""

from __future__ import annotations

import math
from collections.abc import Iterable

__all__ = ["BLOCK", "Card", "header", "padding", "table_header"]

BLOCK = 2880
Card = tuple[str, str | int | float | bool, str]
"""Keyword, value, comment."""


def header(cards: Iterable[Card]) -> bytes:
    """A header with END, filled up to whole blocks; values that are not finite are left out."""
    text = "".join(_card(*card) for card in cards if not (isinstance(card[1], float) and not math.isfinite(card[1])))
    text += "END".ljust(80)
    return text.encode("ascii").ljust(-(-len(text) // BLOCK) * BLOCK)


def padding(size: int) -> bytes:
    """What fills `size` bytes of data up to whole blocks."""
    return b"\0" * (-size % BLOCK)


def _card(key: str, value: str | int | float | bool, comment: str) -> str:
    if isinstance(value, str):
        return _text_card(key, _printable(value), _printable(comment))
    shown = ("T" if value else "F") if isinstance(value, bool) else _number(value)
    return f"{key:<8}= {shown:>20} / {_printable(comment)}"[:80].ljust(80)


def _number(value: int | float) -> str:
    if isinstance(value, int):
        return str(value)
    text = repr(float(value)).upper()
    return text if "." in text else text.replace("E", ".0E")


def _printable(text: str) -> str:
    """FITS holds printable ASCII only; other characters are escaped as in Python."""
    return text if text.isascii() and text.isprintable() else text.encode("unicode_escape").decode("ascii")


def _text_card(key: str, text: str, comment: str) -> str:
    """A text, over as many CONTINUE cards as it needs."""
    pieces = _pieces(text.replace("'", "''"))
    if len(pieces) == 1:
        quoted = f"'{pieces[0]:<8}'"
        shown = f"{key:<8}= {quoted:<20} / {comment}" if comment else f"{key:<8}= {quoted}"
        return shown[: max(80, 10 + len(quoted))].ljust(80)[:80]
    lines = [f"{key:<8}= '{pieces[0]}&'"]
    lines += [f"CONTINUE  '{piece}&'" for piece in pieces[1:-1]]
    lines.append(f"CONTINUE  '{pieces[-1]}'")
    return "".join(line.ljust(80) for line in lines)


def _pieces(text: str) -> list[str]:
    """At most 68 characters, or 67 each where there are several, no pair of quotes being torn apart."""
    if len(text) <= 68:
        return [text]
    pieces = []
    while text:
        length = min(67, len(text))
        if text[:length].count("'") % 2:
            length -= 1
        pieces.append(text[:length])
        text = text[length:]
    return pieces


def table_header(
    row_bytes: int, rows: int, columns: Iterable[Iterable[Card]], more: Iterable[Card] = (), *, heap: int = 0
) -> bytes:
    """The header of a binary table.

    Parameters
    ----------
    row_bytes, rows : int
    columns : iterable of iterable of Card
        For each column its cards, the keywords without the number: TTYPE, TFORM, TUNIT …
    more : iterable of Card
    heap : int
        Bytes behind the rows: arrays of varying length.
    """
    listed = list(columns)
    cards: list[Card] = [
        ("XTENSION", "BINTABLE", "binary table"),
        ("BITPIX", 8, "bytes"),
        ("NAXIS", 2, "rows and columns"),
        ("NAXIS1", row_bytes, "bytes of a row"),
        ("NAXIS2", rows, "rows"),
        ("PCOUNT", heap, ""),
        ("GCOUNT", 1, ""),
        ("TFIELDS", len(listed), "columns"),
    ]
    for number, column in enumerate(listed, start=1):
        cards += [(f"{key}{number}", value, comment) for key, value, comment in column]
    return header([*cards, *more])
