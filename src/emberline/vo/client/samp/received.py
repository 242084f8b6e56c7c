"""Messages that come: what each points at is fetched and checked, and row numbers are turned into rows."""

from __future__ import annotations

import collections
import dataclasses
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from emberline.vo.client.samp.documents import fetch, read_table, table_format
from emberline.vo.client.samp.errors import SampError

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["Incoming", "Position", "Selection", "SpectrumOffer", "TableReceived"]

_KEPT = 32
_MOST_ROWS = 5_000_000


@dataclasses.dataclass(frozen=True, eq=False)
class TableReceived:
    """A table that `sender` has sent."""

    sender: str
    table: Table
    name: str
    table_id: str
    url: str


@dataclasses.dataclass(frozen=True, eq=False)
class Selection:
    """Rows, counted from 0, that `sender` has selected (or highlighted, one) of a table that is known here.

    Attributes
    ----------
    kind : str
        ``select`` or ``highlight``.
    rows : tuple of int
    table : Table
        These rows, in the order in which they were named.
    table_id, name : str
        Of the whole table.
    ours : bool
        Whether the table was sent from here.
    """

    sender: str
    kind: Literal["select", "highlight"]
    rows: tuple[int, ...]
    table: Table
    table_id: str
    name: str
    ours: bool


@dataclasses.dataclass(frozen=True)
class Position:
    """A place on the sky that `sender` points at: ICRS, degrees."""

    sender: str
    ra: float
    dec: float


@dataclasses.dataclass(frozen=True, eq=False)
class SpectrumOffer:
    """A spectrum that `sender` has sent: its file as it is, and what was said of it (SSA's utypes)."""

    sender: str
    name: str
    url: str
    spectrum_id: str
    content: bytes
    meta: Mapping[str, str]


@dataclasses.dataclass(frozen=True, eq=False)
class _Known:
    table: Table | str | Path
    url: str
    name: str
    ours: bool


class Incoming:
    """Understands messages; it remembers the last tables that went out or came in.

    Attributes
    ----------
    turn : lock
        One message is dealt with at a time.
    """

    def __init__(self) -> None:
        self.turn = threading.RLock()
        self._known: collections.OrderedDict[str, _Known] = collections.OrderedDict()
        self._lock = threading.Lock()

    def remember(
        self, table_id: str, url: str, table: Table | str | Path, *, name: str = "", ours: bool = True
    ) -> None:
        """Keep a table, so that rows of it can be understood."""
        with self._lock:
            self._known[table_id] = _Known(table, url, name, ours)
            self._known.move_to_end(table_id)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)

    def table(self, table_id: str) -> Table | None:
        """A table that is remembered."""
        known = self._find(table_id, "")
        return None if known is None else self._loaded(known[0], known[1])

    def address(self, table_id: str) -> str:
        """Where a table that is remembered was fetched from; empty when it is not known."""
        found = self._find(table_id, "")
        return "" if found is None else found[1].url

    def _find(self, table_id: str, url: str) -> tuple[str, _Known] | None:
        with self._lock:
            if table_id in self._known:
                return table_id, self._known[table_id]
            return next(((key, known) for key, known in self._known.items() if url and known.url == url), None)

    def _loaded(self, table_id: str, known: _Known) -> Table:
        if not isinstance(known.table, str | Path):
            return known.table
        from emberline.vo.client.samp.outgoing import is_address
        from emberline.vo.client.samp.tables import read_file

        if is_address(str(known.table)):
            url = str(known.table)
            table = read_table(fetch(url), table_format(url.split("?")[0]) or "votable", url)
        else:
            table = read_file(known.table)
        self.remember(table_id, known.url, table, name=known.name, ours=known.ours)
        return table

    def take_table(self, sender: str, mtype: str, parameters: Any) -> TableReceived:
        """``table.load.votable`` and ``table.load.fits``."""
        url = _text(parameters, "url", needed=True)
        table = read_table(fetch(url), "fits" if mtype.endswith("fits") else "votable", url)
        name = _text(parameters, "name") or url.rpartition("/")[2]
        table_id = _text(parameters, "table-id") or url
        self.remember(table_id, url, table, name=name, ours=False)
        return TableReceived(sender, table, name, table_id, url)

    def take_rows(self, sender: str, mtype: str, parameters: Any) -> Selection:
        """``table.select.rowList`` and ``table.highlight.row``."""
        table_id, url = _text(parameters, "table-id"), _text(parameters, "url")
        found = self._find(table_id, url)
        if found is None and url:
            table = read_table(fetch(url), table_format(url.split("?")[0]) or "votable", url)
            self.remember(table_id or url, url, table, name=url.rpartition("/")[2], ours=False)
            found = self._find(table_id or url, url)
        if found is None:
            raise SampError("rows of a table that was never sent here", where=table_id[:200] or url[:200])
        table_id, known = found
        table = self._loaded(table_id, known)
        highlight = mtype == "table.highlight.row"
        listed = [parameters.get("row")] if highlight else parameters.get("row-list", [])
        rows = _rows(listed, len(table), table_id)
        kind: Literal["select", "highlight"] = "highlight" if highlight else "select"
        return Selection(sender, kind, rows, table[list(rows)], table_id, known.name, known.ours)

    def take_position(self, sender: str, mtype: str, parameters: Any) -> Position:
        """``coord.pointAt.sky``."""
        try:
            ra, dec = (float(_text(parameters, name, needed=True)) for name in ("ra", "dec"))
        except ValueError as error:
            raise SampError("is no position", found=str(parameters)[:200], expected="ra and dec in degrees") from error
        if not (0 <= ra <= 360 and -90 <= dec <= 90):
            raise SampError("is no position on the sky", found=f"ra={ra}, dec={dec}", expected="ra and dec in degrees")
        return Position(sender, ra % 360.0, dec)

    def take_spectrum(self, sender: str, mtype: str, parameters: Any) -> SpectrumOffer:
        """``spectrum.load.ssa-generic``."""
        url = _text(parameters, "url", needed=True)
        meta = parameters.get("meta", {})
        meta = {str(key): str(value) for key, value in meta.items()} if isinstance(meta, dict) else {}
        name = _text(parameters, "name") or meta.get("DataID.Title", "") or url.rpartition("/")[2]
        return SpectrumOffer(sender, name, url, _text(parameters, "spectrum-id"), fetch(url), meta)


def _text(parameters: Any, name: str, *, needed: bool = False) -> str:
    value = parameters.get(name, "") if isinstance(parameters, dict) else ""
    if not isinstance(value, str) or (needed and not value):
        raise SampError("is missing in the message, or is no text", where=f"the parameter {name}")
    return value


def _rows(listed: Any, count: int, table_id: str) -> tuple[int, ...]:
    """Row numbers, each once, all of them in the table."""
    if not isinstance(listed, list | tuple) or len(listed) > _MOST_ROWS:
        raise SampError("is no list of rows", where=table_id[:200])
    try:
        rows = tuple(dict.fromkeys(int(str(item)) for item in listed))
    except ValueError as error:
        raise SampError("is no list of row numbers", where=table_id[:200], found=str(listed)[:100]) from error
    beyond = [row for row in rows if not 0 <= row < count]
    if beyond:
        raise SampError(
            "there is no such row", where=table_id[:200], found=str(beyond[0]), expected=f"0 to {count - 1}"
        )
    return rows
