"""Run translated queries: limits on time, memory and rows, and rows that stream as Arrow batches."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

import pyarrow as pa

from emberline.vo.server.adql._database import open_database
from emberline.vo.server.adql._error import AdqlError
from emberline.vo.server.adql.tables import Column, Table, TableSet, datatype_of
from emberline.vo.server.adql.translation import Translation, translate

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["Limits", "Result", "Runner"]


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a runner, and each of its queries, may use.

    Attributes
    ----------
    memory : str
        For all queries of the runner together, such as ``2GB``.
    query_memory : str
        For the sorting, grouping and joining of one query.
    threads : int
    seconds : float
        From the start of a query until its last row was taken.
    temporary : str, optional
        Folder for what does not fit into memory; without one, such a query fails.
    batch_rows : int
    """

    memory: str = "2GB"
    query_memory: str = "1GB"
    threads: int = 2
    seconds: float = 60.0
    temporary: str | None = None
    batch_rows: int = 10_000


class Runner:
    """A locked database for one set of tables; its queries may run at the same time, from several threads.

    Parameters
    ----------
    schema : TableSet
    limits : Limits
    """

    def __init__(self, schema: TableSet, limits: Limits | None = None) -> None:
        self.schema = schema
        self.limits = limits or Limits()
        self._connection = open_database(
            schema, memory=self.limits.memory, threads=self.limits.threads, temporary=self.limits.temporary
        )

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database; running queries end with an error."""
        self._connection.close()

    def run(
        self,
        query: str,
        *,
        maxrec: int | None = None,
        seconds: float | None = None,
        uploads: Sequence[Table] = (),
    ) -> Result:
        """Translate and start a query.

        Parameters
        ----------
        query : str
            ADQL.
        maxrec : int, optional
            At most so many rows; whether there were more is the result's `overflow`.
        seconds : float, optional
            Instead of the runner's limit.
        uploads : sequence of Table
            Tables of this query only, named ``tap_upload.…``, with `data`.

        Raises
        ------
        AdqlError
            The query is not ADQL as offered here, or cannot be run.
        """
        schema = self.schema.with_tables(uploads) if uploads else self.schema
        limit = None if maxrec is None else maxrec + 1
        return self.start(translate(query, schema, limit=limit), maxrec=maxrec, seconds=seconds, uploads=uploads)

    def start(
        self,
        translation: Translation,
        *,
        maxrec: int | None = None,
        seconds: float | None = None,
        uploads: Sequence[Table] = (),
    ) -> Result:
        """Start a query that was translated, with a limit of one row more than `maxrec`."""
        cursor = self._connection.cursor()
        watch = _Watch(cursor, self.limits.seconds if seconds is None else seconds)
        try:
            reader = self._reader(cursor, translation, uploads)
            return Result(reader, cursor, watch, translation.columns, maxrec)
        except BaseException as error:
            watch.stop()
            cursor.close()
            raise _clear(error, watch) from None

    def _reader(
        self, cursor: DuckDBPyConnection, translation: Translation, uploads: Sequence[Table]
    ) -> pa.RecordBatchReader:
        for table in uploads:
            cursor.register(table.name.lower(), table.data)
        cursor.execute(f"SET operator_memory_limit = '{self.limits.query_memory}'")
        cursor.execute("BEGIN TRANSACTION READ ONLY")
        check_statement(cursor, translation.sql)
        relation = cursor.sql(translation.sql, params=dict(translation.parameters) or None)
        return relation.to_arrow_reader(self.limits.batch_rows)


def check_statement(cursor: DuckDBPyConnection, sql: str) -> None:
    """Refuse anything but one SELECT: the last of the locks, which a translated query never meets."""
    from duckdb import StatementType

    statements = cursor.extract_statements(sql)
    if len(statements) != 1 or statements[0].type != StatementType.SELECT:
        raise AdqlError("only queries are answered", expected="one SELECT")


class _Watch:
    """Interrupts a query when its time is over."""

    def __init__(self, cursor: DuckDBPyConnection, seconds: float) -> None:
        self.seconds = seconds
        self.expired = False
        self.cancelled = False
        self._cursor = cursor
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True
        self._timer.start()

    def _expire(self) -> None:
        self.expired = True
        self._interrupt()

    def cancel(self) -> None:
        """Interrupt it now."""
        self.cancelled = True
        self._interrupt()

    def _interrupt(self) -> None:
        # It may have ended, and its connection been closed, in this very moment.
        with contextlib.suppress(Exception):
            self._cursor.interrupt()

    def stop(self) -> None:
        """It has ended."""
        self._timer.cancel()


class Result:
    """Rows of a query, taken batch by batch; close it, or use it in a ``with``.

    Attributes
    ----------
    columns : tuple of Column
        As the translation described them, with the datatypes that the database gives.
    schema : pyarrow.Schema
    rows : int
        Taken so far.
    overflow : bool
        Whether there were more rows than `maxrec`; known after the last batch.
    """

    def __init__(
        self,
        reader: pa.RecordBatchReader,
        cursor: DuckDBPyConnection,
        watch: _Watch,
        columns: Sequence[Column],
        maxrec: int | None,
    ) -> None:
        self._reader = reader
        self._cursor = cursor
        self._watch = watch
        self._maxrec = maxrec
        self.schema: pa.Schema = reader.schema
        self.columns = tuple(_typed(column, field) for column, field in zip(columns, reader.schema, strict=True))
        self.rows = 0
        self.overflow = False

    def __enter__(self) -> Result:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        try:
            while not self.overflow:
                batch = self._next()
                if batch is None:
                    return
                if self._maxrec is not None and self.rows + batch.num_rows > self._maxrec:
                    batch = batch.slice(0, self._maxrec - self.rows)
                    self.overflow = True
                self.rows += batch.num_rows
                if batch.num_rows:
                    yield batch
        finally:
            self.close()

    def _next(self) -> pa.RecordBatch | None:
        if self._watch.expired or self._watch.cancelled:
            raise _clear(InterruptedError(), self._watch)
        try:
            return self._reader.read_next_batch()
        except StopIteration:
            return None
        except Exception as error:
            raise _clear(error, self._watch) from None

    def read_all(self) -> pa.Table:
        """All rows at once: for small results and tests."""
        return pa.Table.from_batches(list(self), schema=self.schema)

    def cancel(self) -> None:
        """Interrupt the query, from any thread."""
        self._watch.cancel()

    def close(self) -> None:
        """End the query and free what it holds."""
        self._watch.stop()
        self._reader.close()
        self._cursor.close()


def _typed(column: Column, field: pa.Field) -> Column:
    """A column with the datatype that the rows really have; fixed sizes and extended types are kept."""
    datatype, arraysize, xtype = datatype_of(field.type)
    if datatype == column.datatype or (datatype == "char" and column.datatype == "unicodeChar"):
        return dataclasses.replace(column, xtype=column.xtype or xtype, arraysize=column.arraysize or arraysize)
    return dataclasses.replace(column, datatype=datatype, arraysize=arraysize, xtype=xtype)


_KNOWN: Mapping[str, str] = {
    "BinderException": "the query cannot be understood",
    "ConversionException": "a value cannot be converted",
    "OutOfRangeException": "a value is out of range",
    "InvalidInputException": "a value cannot be used",
    "OSError": "the query cannot be run",
}


def _clear(error: BaseException, watch: _Watch) -> BaseException:
    """The error that a user may see: no path, no stack, no SQL of ours."""
    if isinstance(error, AdqlError) or not isinstance(error, Exception):
        return error
    if watch.expired:
        return AdqlError(
            f"the query took longer than {watch.seconds:g} s",
            action="Restrict it to a smaller region, or run it asynchronously.",
        )
    if watch.cancelled:
        return AdqlError("the query was cancelled")
    name, text = type(error).__name__, str(error)
    if name == "OutOfMemoryException" or "Out of Memory" in text:
        return AdqlError("the query needs more memory than it may use", action="Restrict it to fewer rows.")
    if name == "OSError":
        name = next((kind for kind in _KNOWN if text.startswith(_title(kind))), "OSError")
    if name in _KNOWN:
        return AdqlError(_KNOWN[name], found=_detail(text) if name != "OSError" else "")
    return AdqlError("the query cannot be run", action="Ask those who run this service.")


def _title(kind: str) -> str:
    """``OutOfRangeException`` → ``Out of Range Error``, as DuckDB's messages begin."""
    words = re.findall("[A-Z][a-z]+|[a-z]+", kind.removesuffix("Exception").replace("OutOf", "Out of "))
    return " ".join(words)


def _detail(text: str) -> str:
    """The first line without DuckDB's words for the kind of error, and without our names."""
    line = text.split("\n", 1)[0]
    line = re.sub(r"^(Binder|Conversion|Out of Range|Invalid Input) Error: ", "", line)
    return "" if re.search(r"[/\\]|adql_|read_parquet", line) else re.sub(r"\bt[0-9]+\.", "", line)
