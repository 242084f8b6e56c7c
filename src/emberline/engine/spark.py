"""The engine of a cluster: the same functions, on Arrow batches, by Spark's `mapInArrow`.

Jobs go out in waves, one Spark job each, a few of them in flight: results come in order while the next ones are
computed, and never more than some waves of them are in memory. A task whose worker is lost is run again by Spark
elsewhere; results count once, when they arrive.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pickle
import re
import tempfile
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import unquote

import pyarrow as pa

from emberline.engine import _tasks
from emberline.engine._driver import Room, failure, in_flight
from emberline.engine._hadoop import escaped, exists, find_files, remove, rename
from emberline.engine._session import ship_code, start_session
from emberline.engine.base import Batches, Contents, Engine, Order, Shared
from emberline.engine.memory import is_want_of_memory
from emberline.engine.sources import Matrix, MatrixFile, Tables, evenly, unfinished
from emberline.errors import EngineError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["SparkEngine"]

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")
_PATTERN = re.compile(r"[][*?{}\\]")
_SAMPLED_FILES = 8  # each costs a task or two
_WAVES = 3  # in flight: while one is fetched, the next computes, and a third fills the cores that a straggler leaves
_JOBS_A_CORE = 2
_WAVE_BYTES = 256 << 20  # of jobs that bring their data along: the driver holds some waves of them


class SparkEngine(Engine):
    """Runs functions on the executors of a Spark session.

    Parameters
    ----------
    master : str, optional
        Of a session to start: ``local[2]``, ``spark://host:7077``, ``yarn``, ``k8s://…``.
    settings : mapping of str to str, optional
        Spark's own settings.
    session : SparkSession, optional
        A session that runs already; it is not stopped.

    Raises
    ------
    MissingExtraError, EngineError
        PySpark or Java is missing, or Spark cannot start.
    """

    name = "spark"

    def __init__(
        self,
        master: str | None = None,
        settings: Mapping[str, str] | None = None,
        *,
        session: SparkSession | None = None,
    ) -> None:
        self.session, self._owned = (session, False) if session is not None else start_session(master, settings or {})
        self._empty: set[str] = set()  # files without a byte, which Spark's reader would leave out
        ship_code(self.session)

    @property
    def cores(self) -> int:
        """The cores of the executors that Spark has at present."""
        return max(1, int(self.session.sparkContext.defaultParallelism))

    @property
    def remote(self) -> bool:
        """Always: even executors of this machine may have another user's rights, or a container's disks."""
        return True

    def map(
        self, function: Callable[[_Job], _Result], jobs: Iterable[_Job], *, workers: int | None = None
    ) -> Iterator[_Result]:
        """See `Engine.map`; how many work at a time is Spark's decision."""
        run = _tasks.jobs_of(function)
        room = Room(in_flight())

        def tasks() -> Iterator[Callable[[], list[pa.RecordBatch]]]:
            for rows in _waves(jobs, lambda: max(1, min(_JOBS_A_CORE * self.cores, room.jobs // _WAVES))):
                yield lambda rows=rows: room.measured(self._collect(self._frame(rows), run, len(rows)))  # type: ignore[misc]

        for rows in self._in_order(tasks(), lambda: _WAVES, _WAVES):
            yield from _answers(rows)

    def map_files(
        self,
        function: Callable[[_Job, Contents], _Result],
        jobs: Iterable[_Job],
        places: Callable[[_Job], Sequence[str]],
    ) -> Iterator[_Result]:
        """See `Engine.map_files`; by Spark's reader ``binaryFile``, one task a job."""

        room, most = Room(in_flight()), self.cores + _WAVES

        def tasks() -> Iterator[Callable[[], list[pa.RecordBatch]]]:
            for job in jobs:
                files = list(places(job))
                run = _tasks.with_contents(function, job, sorted(self._empty.intersection(files)))
                yield lambda run=run, files=files: room.measured(self._collect(self._contents(files), run, None))  # type: ignore[misc]

        for rows in self._in_order(tasks(), lambda: min(most, room.jobs), most):
            yield from _answers(rows)

    def map_batches(self, function: Batches, source: Matrix | Tables, *, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """See `Engine.map_batches`; executors map a matrix that they see, and are sent one that they do not.

        Of tables the driver holds one task's batches at a time.
        """
        if isinstance(source, Tables):
            with self._naming_what_failed():
                frame = self._read(source).mapInArrow(
                    _tasks.streams_of_table(function, _plain_schema(schema)), "data binary"
                )
                for row in frame.toLocalIterator(prefetchPartitions=True):
                    yield pa.ipc.open_stream(pa.py_buffer(row[0])).read_next_batch()
            return
        with contextlib.ExitStack() as stack:
            rows = self._rows(source, stack)
            for data in self.map(_tasks.OnRows(function), rows):
                yield pa.ipc.open_stream(pa.py_buffer(data)).read_next_batch()

    def write_batches(self, function: Batches, source: Matrix | Tables, out: str, *, schema: pa.Schema) -> int:
        """See `Engine.write_batches`; by Spark's writer, to whatever its file systems reach.

        The folder gets its name when it is complete: of two runs into one folder Spark would mix up the files.
        """
        from pyspark.sql.pandas.types import from_arrow_schema

        if isinstance(source, Matrix):
            raise EngineError("a matrix is not written by Spark", action="Export it from the driver.")
        with self._naming_what_failed():
            plain = _plain_schema(schema)
            run = _tasks.batches_of_table(function, plain)
            frame = self._read(source).mapInArrow(run, from_arrow_schema(plain))
            if exists(self.session, out):
                raise EngineError("is there already", where=out, action="Choose another name, or remove it.")
            folder, slash, name = out.rstrip("/").rpartition("/")
            made = f"{folder}{slash}_{name}.{uuid.uuid4().hex[:8]}"
            try:
                frame.write.mode("error").parquet(made)
                rows = int(self.session.read.parquet(made).count())
                rename(self.session, made, out)
                return rows
            finally:
                with contextlib.suppress(Exception):
                    remove(self.session, made)

    def top_k(self, function: Batches, source: Tables, *, schema: pa.Schema, order: Order) -> pa.Table:
        """See `Engine.top_k`; each task keeps its first rows, and one task merges them for the driver."""
        from pyspark.sql.pandas.types import from_arrow_schema

        plain = _plain_schema(schema)
        with self._naming_what_failed():
            firsts = self._read(source).mapInArrow(
                _tasks.best_of_table(function, plain, order), from_arrow_schema(plain)
            )
            merged = firsts.repartition(1).mapInArrow(
                _tasks.best_of_table(None, plain, order), from_arrow_schema(plain)
            )
            table = merged.toArrow().select(schema.names).cast(schema)
        return order.first([schema.empty_table(), table])

    def sample(self, source: Tables, rows: int) -> tuple[int, pa.Table]:
        """See `Engine.sample`; the first rows of files here and there. What has no row is left out."""
        with self._naming_what_failed():
            frame = self._read(source)
            total, files = int(frame.count()), sorted(frame.inputFiles())
            chosen = [files[number] for number in evenly(len(files), _SAMPLED_FILES)]
            each = -(-rows // max(len(chosen), 1))
            reader = self.session.read.schema(frame.schema)  # which it would find out by a job for each file
            heads = [reader.parquet(escaped(unquote(file))).limit(each) for file in chosen]
            if not heads:
                return total, frame.limit(0).toArrow()
            return total, functools.reduce(lambda one, other: one.union(other), heads).toArrow()

    def find_files(self, places: Sequence[str], keep: Callable[[str], bool]) -> dict[str, int]:
        """See `Engine.find_files`; by Hadoop's file systems."""
        found = find_files(self.session, places, keep)
        self._empty |= {place for place, size in found.items() if not size}
        return found

    def share(self, data: bytes) -> Shared:
        """See `Engine.share`; a broadcast."""
        return cast(Shared, self.session.sparkContext.broadcast(data))

    def close(self) -> None:
        """Stop Spark if this engine started it."""
        if self._owned:
            self.session.stop()

    # Frames -----------------------------------------------------------------------------------------------------

    def _frame(self, rows: list[pa.RecordBatch]) -> DataFrame:
        """Rows, each a batch of its own, spread over the cores."""
        return self.session.createDataFrame(pa.Table.from_batches(rows))

    def _contents(self, places: list[str]) -> DataFrame | None:
        """Path and content of files, sorted by path, in one partition; None when all of them are gone."""
        import pyspark.errors

        # Folders called key=value are no columns here.
        reader = self.session.read.format("binaryFile").option("recursiveFileLookup", "true")
        reader = reader.option("ignoreMissingFiles", "true")  # whoever gets the contents sees what is not there
        try:
            frame = reader.load([escaped(place) for place in places])
        except pyspark.errors.AnalysisException as error:
            there = [place for place in places if exists(self.session, place)]
            if len(there) == len(places):
                raise
            if error.getCondition() != "PATH_NOT_FOUND" or not there:
                return None
            frame = reader.load([escaped(place) for place in there])
        return frame.select("path", "content").coalesce(1).sortWithinPartitions("path")

    def _read(self, source: Tables) -> DataFrame:
        """The columns of tables that are asked for."""
        import pyspark.errors

        for place in source.places:
            if not _PATTERN.search(place) and exists(self.session, f"{place}/_temporary"):
                raise unfinished(place)
        try:
            frame = self.session.read.option("ignoreMissingFiles", "false").parquet(*source.places)
            return frame.select(*source.columns) if source.columns else frame
        except pyspark.errors.AnalysisException as error:
            raise EngineError(
                f"cannot be read: {str(error).splitlines()[0]}", where=", ".join(source.places)
            ) from error

    def _rows(self, source: Matrix, stack: contextlib.ExitStack) -> Iterator[_tasks.Rows | _tasks.SentRows]:
        """How each piece of a matrix reaches its worker."""
        file = source.file
        mark = None if file is None else stack.enter_context(_marked(file.path.parent))
        if file is None or mark is None or not self._is_seen(file, mark):
            pieces = ((source.batch(first, stop)) for first, stop in source.pieces())
            return (_tasks.SentRows(_tasks.to_stream(batch)) for batch in pieces)
        absolute = MatrixFile(file.path.absolute(), file.offset, file.columns)
        return (_tasks.Rows(absolute, mark, first, stop) for first, stop in source.pieces())

    def _is_seen(self, file: MatrixFile, mark: str) -> bool:
        """Whether the workers see the folder of a file; one that turns up later and does not is an error."""
        return all(self.map(_exists, [mark] * self.cores))

    # Running ----------------------------------------------------------------------------------------------------

    def _collect(self, frame: DataFrame | None, run: Any, expected: int | None) -> list[pa.RecordBatch]:
        """The answers, one row each, by number."""
        if frame is None:
            return list(run(iter(())))
        table = frame.mapInArrow(run, _tasks.ANSWERS).toArrow()
        rows = [row for batch in table.to_batches() for row in _single_rows(batch)]
        rows.sort(key=lambda row: row["number"][0].as_py())  # the rows themselves stay where they are
        if expected is None and not rows:  # Spark runs nothing where there is nothing to read
            rows = list(run(iter(())))
        if expected is not None and len(rows) != expected:
            raise EngineError(
                "Spark lost answers", found=str(len(rows)), expected=str(expected), action="Run it again."
            )
        return rows

    def _in_order(self, tasks: Iterator[Callable[[], Any]], ahead: Callable[[], int], most: int) -> Iterator[Any]:
        """Run Spark jobs from threads, `ahead` (at most `most`) of them at a time, and yield their results in order."""
        context = self.session.sparkContext
        tag = f"emberline-{uuid.uuid4().hex[:12]}"
        waiting: deque[Future[Any]] = deque()

        def tagged(task: Callable[[], Any]) -> Any:
            context.addJobTag(tag)  # of this thread, in Java as well
            return task()

        with ThreadPoolExecutor(most, thread_name_prefix="emberline-spark") as pool, self._naming_what_failed():
            try:
                for task in tasks:
                    waiting.append(pool.submit(tagged, task))
                    del task
                    while len(waiting) >= max(ahead(), 1):
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                unfinished = [future for future in waiting if not future.cancel() and not future.done()]
                if unfinished:
                    with contextlib.suppress(Exception):
                        context.cancelJobsWithTag(tag)

    @contextlib.contextmanager
    def _naming_what_failed(self) -> Iterator[None]:
        """Errors of Spark as ours, with what matters of their text."""
        import pyspark.errors
        from py4j.protocol import Py4JError

        try:
            yield
        except (pyspark.errors.PySparkException, Py4JError) as error:
            raise failure(str(error)) from error
        except OSError as error:  # on the driver, where Spark puts things aside
            if is_want_of_memory(error):
                raise failure("MemoryError") from error
            raise EngineError(
                f"Spark cannot work on this machine: {error.strerror or error}",
                where=str(error.filename or tempfile.gettempdir()),
                action="Free some space; what is done stays.",
            ) from error


def _answers(rows: list[pa.RecordBatch]) -> Iterator[Any]:
    """What functions returned; each row is let go of before the next is looked at."""
    rows.reverse()
    while rows:
        yield _tasks.answered(rows.pop())


def _waves(jobs: Iterable[Any], most: Callable[[], int]) -> Iterator[list[pa.RecordBatch]]:
    """Numbered jobs as rows, in lists that are neither longer than `most` says by then nor much too big to send."""
    wave: list[pa.RecordBatch] = []
    size = 0
    for number, job in enumerate(jobs):
        wave.append(_job_row(number, job))
        size += wave[-1].nbytes
        if len(wave) >= most() or size >= _WAVE_BYTES:
            yield wave
            wave, size = [], 0
    if wave:
        yield wave


def _job_row(number: int, job: Any) -> pa.RecordBatch:
    data = pickle.dumps(job, protocol=5)
    return pa.RecordBatch.from_arrays(
        [pa.array([number], pa.int64()), pa.array([data], pa.binary())], ["number", "job"]
    )


def _single_rows(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    return (batch.slice(row, 1) for row in range(len(batch)))


def _exists(path: str) -> bool:
    return Path(path).exists()


@contextlib.contextmanager
def _marked(folder: Path) -> Iterator[str | None]:
    """The absolute path of a new file in `folder` for as long as the block runs; None where none can be written."""
    path = folder.absolute() / f".seen-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    try:
        path.touch()
    except OSError:
        yield None
        return
    try:
        yield os.fspath(path)
    finally:
        path.unlink(missing_ok=True)


def _plain_schema(schema: pa.Schema) -> pa.Schema:
    return pa.schema([(field.name, _plain(field.type)) for field in schema])


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type that Spark has for an Arrow type: its binary cells have no fixed size."""
    return pa.binary() if pa.types.is_fixed_size_binary(kind) else kind
