"""Table Access Protocol 1.0 and 1.1: queries in ADQL, at once or as jobs, with tables that come along."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from astropy.table import Table

    from emberline.vo.client.session import Session

__all__ = ["RemoteColumn", "RemoteTable", "TapJob", "query", "submit", "tables"]


@dataclasses.dataclass(frozen=True)
class RemoteColumn:
    """A column of a table of another archive."""

    name: str
    datatype: str = ""
    unit: str = ""
    ucd: str = ""
    description: str = ""


@dataclasses.dataclass(frozen=True)
class RemoteTable:
    """A table of another archive."""

    name: str
    description: str = ""
    columns: tuple[RemoteColumn, ...] = ()


class TapJob:
    """An asynchronous query on another archive; its address is all that is needed to come back to it."""

    def __init__(self, session: Session, url: str) -> None:
        self.session = session
        self.url = url


def query(
    session: Session, url: str, adql: str, *, uploads: Mapping[str, Table] | None = None, limit: int | None = None
) -> Table:
    """The answer to a query, waited for."""
    raise NotImplementedError


def submit(
    session: Session, url: str, adql: str, *, uploads: Mapping[str, Table] | None = None, limit: int | None = None
) -> TapJob:
    """Start a query as a job of the other archive."""
    raise NotImplementedError


def tables(session: Session, url: str) -> tuple[RemoteTable, ...]:
    """The tables that can be queried."""
    raise NotImplementedError
