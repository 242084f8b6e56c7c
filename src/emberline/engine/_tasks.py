"""What runs in Spark's Python workers: jobs and batches in, answers out. Nothing here imports PySpark.

Every answer is a row of ``number long, answer binary, failed boolean``. An `EmberlineError` travels as an answer: it
says something about the data, so that trying again elsewhere is no use. Anything else is left to Spark, which tries
the task again on another worker.
"""

from __future__ import annotations

import dataclasses
import heapq
import pickle
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from emberline.engine.base import Batches, Order
from emberline.engine.sources import MatrixFile, matrix_batch
from emberline.errors import EmberlineError, EngineError

__all__ = [
    "ANSWERS",
    "SAID",
    "OnRows",
    "Rows",
    "SentRows",
    "UnseenError",
    "answered",
    "batches_of_table",
    "best_of_table",
    "jobs_of",
    "streams_of_table",
    "to_stream",
    "with_contents",
]

Stream = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]
ANSWERS = "number long, answer binary, failed boolean"


class UnseenError(EngineError):
    """A worker does not see a folder of the driver's machine."""


@dataclasses.dataclass(frozen=True)
class Rows:
    """Rows of a matrix that the worker reads itself; `mark` is a file that proves that it sees the same folder."""

    file: MatrixFile
    mark: str
    first: int
    stop: int

    def batch(self) -> pa.RecordBatch:
        """The rows, mapped."""
        if not Path(self.mark).exists():
            raise UnseenError(
                "is not seen by a worker", where=str(self.file.path), found=f"no such folder on {_host()}"
            )
        try:
            return matrix_batch(self.file.rows(self.first, self.stop), self.first)
        except (OSError, ValueError) as error:
            raise EngineError(f"cannot be read: {error}", where=str(self.file.path)) from error


@dataclasses.dataclass(frozen=True)
class SentRows:
    """Rows of a matrix that came with the job, as an Arrow stream."""

    data: bytes

    def batch(self) -> pa.RecordBatch:
        """The rows."""
        return pa.ipc.open_stream(pa.py_buffer(self.data)).read_next_batch()


def _host() -> str:
    return socket.gethostname()


def _answer(number: int, function: Callable[[], Any]) -> pa.RecordBatch:
    try:
        data, failed = pickle.dumps(function(), protocol=5), False
    except EmberlineError as error:
        data, failed = pickle.dumps(error), True
    return pa.RecordBatch.from_arrays(
        [pa.array([number], pa.int64()), pa.array([data], pa.binary()), pa.array([failed])],
        ["number", "answer", "failed"],
    )


def answered(row: pa.RecordBatch) -> Any:
    """What the function returned, on the driver; raises what it raised."""
    value = pickle.loads(row["answer"][0].as_buffer())
    if row["failed"][0].as_py():
        raise value
    return value


def jobs_of(function: Callable[[Any], Any]) -> Stream:
    """`function` on jobs that come pickled in rows of (number, job)."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number, job in zip(batch.column(0).to_pylist(), batch.column(1), strict=True):
                yield _answer(number, lambda job=job: function(pickle.loads(job.as_buffer())))  # type: ignore[misc]

    return run


def with_contents(
    function: Callable[[Any, Iterator[tuple[str, bytes]]], Any], job: Any, empty: Sequence[str]
) -> Stream:
    """`function` on one job and the files that come in rows of (path, content); Spark leaves the `empty` ones out."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        def contents() -> Iterator[tuple[str, bytes]]:
            for batch in batches:
                for path, content in zip(batch.column(0), batch.column(1), strict=True):
                    yield path.as_py(), content.as_py()

        whole = heapq.merge(contents(), ((path, b"") for path in empty), key=lambda item: item[0])
        yield _answer(0, lambda: function(job, whole))

    return run


@dataclasses.dataclass(frozen=True)
class OnRows:
    """A function on batches as a function on `Rows` or `SentRows`; the result is an Arrow stream."""

    function: Batches

    def __call__(self, rows: Rows | SentRows) -> bytes:
        return to_stream(self.function(rows.batch()))


def to_stream(batch: pa.RecordBatch) -> bytes:
    """A batch with its schema as bytes."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def batches_of_table(function: Batches, schema: pa.Schema) -> Stream:
    """`function` on batches as Spark reads them from tables, each result in the types that Spark was promised."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield _told(function, batch, schema)

    return run


def streams_of_table(function: Batches, schema: pa.Schema) -> Stream:
    """As `batches_of_table`, each result as one cell that holds an Arrow stream."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            data = to_stream(_told(function, batch, schema))
            yield pa.RecordBatch.from_arrays([pa.array([data], pa.binary())], ["data"])

    return run


def best_of_table(function: Batches | None, schema: pa.Schema, order: Order) -> Stream:
    """As `batches_of_table`, but of all that one task reads only the first rows come back; None leaves rows as is."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        best = schema.empty_table()
        for batch in batches:
            made = batch.cast(schema) if function is None else _told(function, batch, schema)
            best = order.first([best, pa.Table.from_batches([made])])
        yield from best.combine_chunks().to_batches()

    return run


def _told(function: Batches, batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The result in the types of `schema`.

    An `EmberlineError` goes, pickled, into the text of the error by which Spark learns of it: rows have no room for it.
    """
    try:
        result = function(batch)
    except EmberlineError as error:
        raise RuntimeError(f"{SAID}{pickle.dumps(error).hex()}{SAID}") from error
    return pa.RecordBatch.from_arrays([result[field.name].cast(field.type) for field in schema], schema=schema)


SAID = "\N{EM DASH}emberline\N{EM DASH}"
"""What encloses an error of ours in the text of one of Spark's."""
