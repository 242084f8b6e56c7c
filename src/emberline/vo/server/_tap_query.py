"""One TAP query, whether it is answered at once or as a job: its parameters read, its rows found, its answer begun."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from emberline.vo.server._cells import is_ascii
from emberline.vo.server._requests import Parameters
from emberline.vo.server._shelf import Cone
from emberline.vo.server.adql.tables import Column, Table
from emberline.vo.server.adql.tap_schema import is_regular_name
from emberline.vo.server.dali import DaliError, maximum_rows, one_of, response_format, single, usage
from emberline.vo.server.formats import FORMATS, KEYS, TableFormat
from emberline.vo.server.tap_limits import LIMITS
from emberline.vo.server.votable import Info, Limited, TableDocument

if TYPE_CHECKING:
    import pyarrow as pa

    from emberline.vo.server.adql._plain_cone import PlainCone
    from emberline.vo.server.adql.runner import Runner
    from emberline.vo.server.adql.tables import TableSet
    from emberline.vo.server.adql.translation import Translation
    from emberline.vo.server.database import ShelfTable

__all__ = ["Answer", "TapQuery", "Upload", "read_query", "read_uploads", "start_query", "translated"]

_LANGUAGES = ("ADQL", "ADQL-2.0", "ADQL-2.1")
_LONGEST_NAME = 63
_PIECE = 8192
_BETWEEN = re.compile(r";(?=\s*[A-Za-z]\w*\s*,|\s*$)")
"""Semicolons between two tables; an address may have others."""


@dataclasses.dataclass(frozen=True)
class Upload:
    """A table that comes with a query.

    Attributes
    ----------
    name : str
        Beneath TAP_UPLOAD.
    part : str
        The part of the request that holds it; empty where it lies at `url`.
    url : str
    """

    name: str
    part: str = ""
    url: str = ""


@dataclasses.dataclass(frozen=True)
class TapQuery:
    """What is asked.

    Attributes
    ----------
    query : str
        ADQL, not looked at yet.
    limit : int
        At most so many rows.
    format : TableFormat
    media_type : str
        What the answer says that it is.
    uploads : tuple of Upload
    """

    query: str
    limit: int
    format: TableFormat
    media_type: str
    uploads: tuple[Upload, ...]


def read_query(parameters: Parameters) -> TapQuery:
    """The query that the parameters stand for.

    Raises
    ------
    DaliError
        One is missing, or its value is not allowed.
    """
    one_of("REQUEST", single(parameters, "REQUEST") or "doQuery", ("doQuery",))
    one_of("LANG", single(parameters, "LANG") or "ADQL", _LANGUAGES)
    query = single(parameters, "QUERY")
    if query is None or not query.strip():
        raise DaliError("QUERY: is missing (expected a query in ADQL)")
    name, asked = response_format(parameters, KEYS, "votable")
    single(parameters, "RUNID")
    return TapQuery(
        query,
        maximum_rows(parameters, LIMITS.default_rows, LIMITS.most_rows),
        FORMATS[name],
        asked or FORMATS[name].media_type,
        read_uploads(parameters.all("UPLOAD")),
    )


def read_uploads(values: Sequence[str]) -> tuple[Upload, ...]:
    """The tables that UPLOAD names: ``name,param:part`` or ``name,https://…``; more with semicolons, or repeated."""
    found = [_upload(item) for value in values for item in _BETWEEN.split(value) if item.strip()]
    if len(found) > LIMITS.upload_tables:
        raise DaliError(f"UPLOAD: {len(found)} tables are too many (expected at most {LIMITS.upload_tables})", 413)
    names = [upload.name.lower() for upload in found]
    for name in names:
        if names.count(name) > 1:
            raise DaliError(f"UPLOAD: the name {name!r} is given twice")
    return tuple(found)


def _upload(text: str) -> Upload:
    name, _, place = (part.strip() for part in text.partition(","))
    if not is_regular_name(name) or len(name) > _LONGEST_NAME:
        raise usage(
            "UPLOAD", name, "name,place where the name has letters, digits and underscores, and is no ADQL word"
        )
    scheme, _, part = place.partition(":")
    if scheme.lower() in ("http", "https"):
        return Upload(name, url=place)
    if scheme.lower() != "param" or not part:
        raise usage("UPLOAD", place, "param:part for a part of a multipart request, or an address of http or https")
    return Upload(name, part=part)


class Rows(Protocol):
    """Rows on their way: of the database, or of an index."""

    columns: tuple[Column, ...]
    rows: int
    overflow: bool

    def __iter__(self) -> Iterator[pa.RecordBatch]: ...

    def close(self) -> None:
        """Nobody wants them any more."""


class Answer:
    """A query that runs: what its result is, and the result's file in pieces.

    Parameters
    ----------
    asked : TapQuery
    rows : Rows
    """

    def __init__(self, asked: TapQuery, rows: Rows) -> None:
        infos = (Info("standardID", "ivo://ivoa.net/std/TAP"), Info("QUERY", asked.query))
        self.asked = asked
        plain = rows.plain if isinstance(rows, _Near) else frozenset()
        self.document = TableDocument(rows.columns, name="result", infos=infos, plain=plain)
        self._rows = rows

    @property
    def rows(self) -> int:
        """Taken so far."""
        return self._rows.rows

    def pieces(self) -> Iterator[bytes]:
        """The file; the query is over when they have been taken, or are no longer wanted.

        Raises
        ------
        AdqlError
            Before the first piece, or where the format cannot tell later on that the rest is missing.
        """
        try:
            # What fails at once is an error of its own.
            batches = iter(()) if self.asked.limit == 0 else iter(self._rows)
            first = list(itertools.islice(batches, 1))
            rows = Limited(itertools.chain(first, batches), None, more=lambda: self._rows.overflow)
            document = _widened(self.document, first)
            yield from self.asked.format.write(document, rows)
        finally:
            self.close()

    def close(self) -> None:
        """End the query."""
        self._rows.close()


def _widened(document: TableDocument, batches: Sequence[pa.RecordBatch]) -> TableDocument:
    """The same with texts made of others that say what they are: not all ASCII."""
    columns = list(document.columns)
    for batch in batches:
        for index, column in enumerate(columns):
            if column.datatype == "char" and not column.description and not is_ascii(batch.column(index)):
                columns[index] = dataclasses.replace(column, datatype="unicodeChar")
    return document if columns == list(document.columns) else dataclasses.replace(document, columns=tuple(columns))


def start_query(
    asked: TapQuery,
    runner: Runner,
    tables: Sequence[Table],
    *,
    seconds: float,
    shelf: Callable[[str], ShelfTable | None] = lambda name: None,
) -> Answer:
    """Start a query.

    Parameters
    ----------
    asked : TapQuery
    runner : Runner
    tables : sequence of Table
        Those that were uploaded.
    seconds : float
        From now until its last row was taken.
    shelf : callable, optional
        Gives the published table of a name in the layout that answers cones without the database.

    Raises
    ------
    AdqlError
    """
    schema = runner.schema.with_tables(tables) if tables else runner.schema
    translation = translated(asked.query, schema, asked.limit + 1)
    cone = translation.cone
    laid_out = shelf(cone.table.name) if cone is not None else None
    if cone is not None and laid_out is not None:
        return Answer(asked, _Near(cone, laid_out, translation.columns, asked.limit))
    return Answer(asked, runner.start(translation, maxrec=asked.limit, seconds=seconds, uploads=tables))


@functools.lru_cache(maxsize=128)
def translated(query: str, schema: TableSet, limit: int) -> Translation:
    """A query's translation, kept for a while: it is looked at before it is known how to answer."""
    from emberline.vo.server.adql.translation import translate

    return translate(query, schema, limit=limit)


class _Near:
    """The rows of a cone from the index, the nearest first.

    Attributes
    ----------
    columns : tuple of Column
    plain : frozenset of str
        Columns that need no escape.
    rows : int
    overflow : bool
    """

    def __init__(self, cone: PlainCone, table: ShelfTable, columns: Sequence[Column], maxrec: int) -> None:
        self.columns = tuple(map(_measured, columns, cone.columns, itertools.repeat(table)))
        self.rows = 0
        self.overflow = False
        written = zip(columns, cone.columns, strict=True)
        self.plain = frozenset(column.name for column, name in written if name not in table.special)
        self._cone = cone
        self._table = table
        self._maxrec = maxrec

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        cone, rows = self._cone, self._table.around(Cone(self._cone.ra % 360.0, self._cone.dec, self._cone.radius))[0]
        rows = rows if cone.top is None else rows[: cone.top]
        self.overflow = len(rows) > self._maxrec
        rows = rows[: self._maxrec]
        for start in range(0, len(rows), _PIECE):
            batch = self._table.take(rows[start : start + _PIECE], list(dict.fromkeys(cone.columns)))
            self.rows += batch.num_rows
            yield batch.select(list(cone.columns)) if len(set(cone.columns)) < len(cone.columns) else batch

    def close(self) -> None:
        """There is nothing to be ended."""


def _measured(column: Column, name: str, table: ShelfTable) -> Column:
    """A column that says so when its texts are not all ASCII."""
    wide = column.datatype == "char" and name in table.unicode
    return dataclasses.replace(column, datatype="unicodeChar") if wide else column
