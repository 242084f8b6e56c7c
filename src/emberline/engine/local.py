"""The engine of one machine: worker processes for jobs, this process for batches."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from emberline.engine.base import Batches, Contents, Engine, Order, is_address
from emberline.engine.memory import want_of_memory_as
from emberline.engine.processes import available_cores, ordered_map
from emberline.engine.sources import SAMPLED_PLACES, Matrix, Tables, evenly, unfinished
from emberline.errors import EngineError
from emberline.files import atomic_path, new_folder

__all__ = ["LocalEngine"]

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")
_ROWS = 65_536


@dataclasses.dataclass(frozen=True)
class _Here:
    """Bytes that are where they are needed already."""

    value: bytes


class LocalEngine(Engine):
    """Jobs in worker processes of this machine; batches in this process, whose libraries use its cores.

    Parameters
    ----------
    workers : int, optional
        Processes at most; all cores by default.
    """

    name = "local"

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers

    @property
    def cores(self) -> int:
        """The cores that this process may use, or fewer when fewer workers were asked for."""
        return self.workers or available_cores()

    @property
    def remote(self) -> bool:
        """Never."""
        return False

    def map(
        self, function: Callable[[_Job], _Result], jobs: Iterable[_Job], *, workers: int | None = None
    ) -> Iterator[_Result]:
        """See `Engine.map`; with one worker in this process."""
        return ordered_map(function, jobs, workers or self.cores)

    def map_files(
        self,
        function: Callable[[_Job, Contents], _Result],
        jobs: Iterable[_Job],
        places: Callable[[_Job], Sequence[str]],
    ) -> Iterator[_Result]:
        """See `Engine.map_files`; addresses ``file://`` and paths only."""
        pairs = ((function, job, sorted(places(job))) for job in jobs)
        return ordered_map(_with_contents, pairs, self.cores)

    def map_batches(self, function: Batches, source: Matrix | Tables, *, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """See `Engine.map_batches`; one batch at a time."""
        if isinstance(source, Matrix):
            for first, stop in source.pieces():
                with _naming_want_of_memory():
                    made = function(source.batch(first, stop))
                yield made
            return
        for path in _tables(source.places):
            yield from _of_table(function, path, source.columns)

    def write_batches(self, function: Batches, source: Matrix | Tables, out: str, *, schema: pa.Schema) -> int:
        """See `Engine.write_batches`; the folder gets its name when it is complete."""
        folder = Path(_path(out))
        rows = 0
        with new_folder(folder) as made:
            batches = self.map_batches(function, source, schema=schema)
            for number in itertools.count():
                chunk = list(itertools.islice(batches, 16))
                if not chunk and number:
                    break
                table = pa.Table.from_batches(chunk, schema)
                with atomic_path(made / f"part-{number:05d}.parquet") as temporary:
                    pq.write_table(table, temporary, compression="ZSTD")
                rows += len(table)
        return rows

    def top_k(self, function: Batches, source: Tables, *, schema: pa.Schema, order: Order) -> pa.Table:
        """See `Engine.top_k`."""
        best = schema.empty_table()
        for batch in self.map_batches(function, source, schema=schema):
            best = order.first([best, pa.Table.from_batches([batch], schema)])
        return best

    def sample(self, source: Tables, rows: int) -> tuple[int, pa.Table]:
        """See `Engine.sample`; the first rows of row groups here and there."""
        groups: list[tuple[Path, int, int]] = []
        for path in _tables(source.places):
            with _naming(path), pq.ParquetFile(path) as file:
                counts = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
                kind = _columns_of(path, file, source.columns)
            groups += [(path, number, count) for number, count in enumerate(counts) if count]
        chosen = [groups[i] for i in evenly(len(groups), SAMPLED_PLACES)]
        tables = [_head(path, number, source.columns, -(-rows // len(chosen))) for path, number, _ in chosen]
        try:
            sample = pa.concat_tables([kind.empty_table(), *tables], promote_options="permissive")
        except pa.ArrowException as error:
            said = str(error).splitlines()[0]
            raise EngineError(f"the tables are not alike: {said}", where=", ".join(source.places)) from error
        return sum(count for *_, count in groups), sample

    def find_files(self, places: Sequence[str], keep: Callable[[str], bool]) -> dict[str, int]:
        """See `Engine.find_files`; ``file://`` and paths only."""
        found: set[str] = set()
        for place in places:
            path = Path(_path(place))
            if path.is_dir():
                found |= {os.fspath(p) for p in path.rglob("*") if p.is_file() and keep(p.name)}
            elif path.is_file():
                found.add(os.fspath(path))
            else:
                raise EngineError("there is no such file or folder", where=place)
        return {path: os.stat(path).st_size for path in sorted(found)}

    def share(self, data: bytes) -> _Here:
        """See `Engine.share`."""
        return _Here(data)

    def close(self) -> None:
        """Nothing is kept between calls."""


def _path(place: str) -> str:
    if is_address(place) and not place.startswith("file://"):
        raise EngineError(
            "only Spark's readers know this kind of address",
            where=place,
            action="Add --engine spark --master URL, or give a path.",
        )
    return place.removeprefix("file://")


def _with_contents(work: tuple[Callable[[Any, Contents], Any], Any, list[str]]) -> Any:
    function, job, places = work
    return function(job, _contents(places))


def _contents(places: list[str]) -> Contents:
    for place in places:
        try:
            data = Path(_path(place)).read_bytes()
        except FileNotFoundError:
            continue
        yield place, data


def _tables(places: Sequence[str]) -> Iterator[Path]:
    for place in places:
        path = Path(_path(place))
        if (path / "_temporary").exists():
            raise unfinished(place)
        found = [path] if path.is_file() else sorted(path.rglob("*.parquet"))
        found = [p for p in found if p == path or not p.name.startswith((".", "_"))]
        if not found:
            raise EngineError("there is no such table", where=place, expected="a Parquet file, or a folder of them")
        yield from found


def _of_table(function: Batches, path: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    with contextlib.ExitStack() as stack:
        with _naming(path):
            file = stack.enter_context(pq.ParquetFile(path))
        _columns_of(path, file, columns)
        batches = file.iter_batches(_ROWS, columns=list(columns) or None)
        while True:
            with _naming(path):  # what the function raises is not the table's fault
                batch = next(batches, None)
                if batch is None:
                    return
            with _naming_want_of_memory():
                made = function(batch)
            yield made


def _columns_of(path: Path, file: pq.ParquetFile, columns: Sequence[str]) -> pa.Schema:
    """The schema of some columns of a table; all of them when none are named."""
    schema = file.schema_arrow.remove_metadata()
    missing = [name for name in columns if name not in schema.names]
    if missing:
        found = ", ".join(schema.names)
        raise EngineError("the table lacks a column", where=str(path), found=found, expected=missing[0])
    return pa.schema([schema.field(name) for name in columns]) if columns else schema


def _head(path: Path, group: int, columns: Sequence[str], rows: int) -> pa.Table:
    """The first rows of a row group, of which no more is read than that."""
    with _naming(path), pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
        names = list(columns) or None
        batch = next(file.iter_batches(rows, row_groups=[group], columns=names, use_threads=False))
        return pa.Table.from_batches([batch]).replace_schema_metadata()


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        with _naming_want_of_memory():
            yield
    except (OSError, pa.ArrowException) as error:
        raise EngineError(
            f"the table is damaged: {str(error).splitlines()[0]}", where=str(path), action="Restore it from a copy."
        ) from error


def _naming_want_of_memory() -> contextlib.AbstractContextManager[None]:
    action = "Close other programs and run the same command again; nothing half-done counts."
    return want_of_memory_as(lambda: EngineError("memory ran out", action=action))
