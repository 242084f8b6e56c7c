"""Table Access Protocol 1.0 and 1.1: queries in ADQL, at once or as jobs, with tables that come along.

https://www.ivoa.net/documents/TAP/
"""

from __future__ import annotations

import dataclasses
import urllib.parse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from emberline.vo.client._tables import answered, read_table
from emberline.vo.client._uploads import MEDIA_TYPE, votable_bytes
from emberline.vo.client._vosi import TapLimits, read_limits, read_tables
from emberline.vo.client.errors import ProtocolError, ServiceError, StatusError, TooLargeError
from emberline.vo.client.uws import TapJob

if TYPE_CHECKING:
    from astropy.table import Table

    from emberline.vo.client.session import Session

__all__ = [
    "RemoteColumn",
    "RemoteTable",
    "TapJob",
    "TapLimits",
    "columns",
    "limits",
    "query",
    "quoted",
    "submit",
    "tables",
]

_LONGEST_ADDRESS = 1800
_TABLES_BYTES = 50_000_000


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
    """A table of another archive; without columns where they were not asked for."""

    name: str
    description: str = ""
    columns: tuple[RemoteColumn, ...] = ()


def query(
    session: Session, url: str, adql: str, *, uploads: Mapping[str, Table] | None = None, limit: int | None = None
) -> Table:
    """The answer to a query, waited for.

    Parameters
    ----------
    session : Session
    url : str
        Of the service, above ``sync`` and ``async``.
    adql : str
    uploads : mapping of str to Table, optional
        Tables that the query names as ``TAP_UPLOAD.<name>``.
    limit : int, optional
        At most so many rows (MAXREC); the service's own limit by default.

    Returns
    -------
    astropy.table.Table
        Its ``meta["overflow"]`` says whether there are more rows.

    Raises
    ------
    ServiceError
        The service refused the query (`service_said`), or could not be asked.
    """
    parameters = _parameters(adql, limit)
    address = f"{url.rstrip('/')}/sync"
    if not uploads and len(address) + len(urllib.parse.urlencode(parameters)) < _LONGEST_ADDRESS:
        return read_table(session.get(address, params=parameters))
    with session.repeatable():
        return read_table(_post(session, address, parameters, uploads))


def _parameters(adql: str, limit: int | None) -> dict[str, str]:
    found = {"REQUEST": "doQuery", "LANG": "ADQL", "QUERY": adql}
    return found if limit is None else {**found, "MAXREC": str(limit)}


def _post(
    session: Session, url: str, parameters: Mapping[str, str], uploads: Mapping[str, Table] | None, **keywords: Any
) -> Any:
    if not uploads:
        return session.post(url, data=dict(parameters), **keywords)
    words = {**parameters, "UPLOAD": ";".join(f"{name},param:{name}" for name in uploads)}
    files = {name: (f"{name}.xml", votable_bytes(table), MEDIA_TYPE) for name, table in uploads.items()}
    return session.post(url, data=words, files=files, **keywords)


def submit(
    session: Session, url: str, adql: str, *, uploads: Mapping[str, Table] | None = None, limit: int | None = None
) -> TapJob:
    """Start a query as a job of the other archive.

    Returns
    -------
    TapJob
        Already running or waiting for its turn; keep its `url` to come back to it from another process.

    Raises
    ------
    ServiceError
        The service refused it, or could not be asked.
    """
    answer = _post(session, f"{url.rstrip('/')}/async", _parameters(adql, limit), uploads, allow_redirects=False)
    job = TapJob.of_answer(session, answer)
    try:
        job.run()
    except ServiceError:
        job.delete(quietly=True)
        raise
    return job


def tables(session: Session, url: str, *, with_columns: bool = False, limit: int = 10_000) -> tuple[RemoteTable, ...]:
    """The tables that can be queried, in the service's order.

    Parameters
    ----------
    with_columns : bool
        Bring the columns too: VizieR's are hundreds of megabytes.
    limit : int
        At most so many tables.

    Raises
    ------
    ServiceError
    """
    parameters = {} if with_columns else {"detail": "min"}
    try:
        with session.limits(max_bytes=min(_TABLES_BYTES, session.config.max_bytes)):
            answer = session.get(f"{url.rstrip('/')}/tables", params=parameters)
            body = answered(answer)
    except (StatusError, TooLargeError):
        return _tables_by_query(session, url, limit)
    found = read_tables(body, answer.url, with_columns=with_columns, limit=limit)
    return tuple(
        RemoteTable(name, text, tuple(RemoteColumn(**column) for column in described))
        for name, text, described in found
    )


def _tables_by_query(session: Session, url: str, limit: int) -> tuple[RemoteTable, ...]:
    found = query(session, url, "SELECT table_name, description FROM TAP_SCHEMA.tables", limit=limit)
    return tuple(RemoteTable(str(row["table_name"]), str(row["description"])) for row in found)


def columns(session: Session, url: str, table: str) -> tuple[RemoteColumn, ...]:
    """The columns of one table, as an answer with its rows would have them.

    Parameters
    ----------
    table : str
        As a query writes it; see `quoted`.
    """
    found = query(session, url, f"SELECT TOP 1 * FROM {table}")
    return tuple(
        RemoteColumn(
            name,
            column.dtype.name,
            "" if column.unit is None else column.unit.to_string(),
            str(column.meta.get("ucd", "")),
            column.description or "",
        )
        for name, column in found.columns.items()
    )


def limits(session: Session, url: str) -> TapLimits:
    """What the service says that it accepts; where it says nothing, or nothing that can be read, nothing is limited.

    Raises
    ------
    ServiceError
        It could not be asked at all.
    """
    try:
        answer = session.get(f"{url.rstrip('/')}/capabilities")
        return read_limits(answered(answer), answer.url)
    except (StatusError, ProtocolError):
        return TapLimits()


def quoted(name: str) -> str:
    """A name of a table or column as a query writes it: between quotes."""
    return '"' + name.replace('"', '""') + '"'
