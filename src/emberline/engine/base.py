"""What every engine can do with functions that it is handed."""

from __future__ import annotations

import contextlib
import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import ClassVar, Protocol, Self, TypeVar

import pyarrow as pa

from emberline.engine.sources import Matrix, Tables

__all__ = ["Batches", "Contents", "Engine", "Order", "Shared", "is_address"]

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")

Batches = Callable[[pa.RecordBatch], pa.RecordBatch]
"""Work on one batch; importable by name, with attributes that can be pickled."""
Contents = Iterator[tuple[str, bytes]]
"""The address and the bytes of one file after the other."""


class Shared(Protocol):
    """Bytes that every worker can reach, sent to each once."""

    @property
    def value(self) -> bytes:
        """The bytes."""


def is_address(place: str) -> bool:
    """Whether a place is for Spark's readers (``hdfs://…``, ``s3a://…``, ``file:///…``) rather than a path."""
    scheme, separator, _ = place.partition("://")
    return bool(separator) and scheme.isascii() and scheme.replace("+", "").replace("-", "").isalnum()


@dataclasses.dataclass(frozen=True)
class Order:
    """The first `count` rows by falling `by`, equal ones by rising `tie`: the same whatever order they come in."""

    count: int
    by: str
    tie: str

    def first(self, tables: Sequence[pa.Table]) -> pa.Table:
        """The first rows of several tables of one schema, sorted."""
        return pa.concat_tables(tables).sort_by([(self.by, "descending"), (self.tie, "ascending")]).slice(0, self.count)


class Engine(ABC):
    """Runs functions on jobs and on Arrow batches, and gives back what they return in the order of the input.

    An engine knows nothing of spectra. The same function gives the same results under each engine: only where it runs,
    and how batches reach it, differ.
    """

    name: ClassVar[str]

    @property
    @abstractmethod
    def cores(self) -> int:
        """How many jobs can run side by side at present."""

    @property
    @abstractmethod
    def remote(self) -> bool:
        """Whether workers may be elsewhere, so that they need not see this machine's disks."""

    @abstractmethod
    def map(
        self, function: Callable[[_Job], _Result], jobs: Iterable[_Job], *, workers: int | None = None
    ) -> Iterator[_Result]:
        """``function(job)`` for each of `jobs`, in their order; `workers` at most at a time.

        Raises
        ------
        EmberlineError
            What the function raised.
        EngineError
            Workers died, or cannot run the function.
        """

    @abstractmethod
    def map_files(
        self,
        function: Callable[[_Job, Contents], _Result],
        jobs: Iterable[_Job],
        places: Callable[[_Job], Sequence[str]],
    ) -> Iterator[_Result]:
        """``function(job, contents)`` for each job, with the bytes of the files at ``places(job)``, sorted by address.

        A file that is gone when it is read is left out of the contents.
        """

    @abstractmethod
    def map_batches(self, function: Batches, source: Matrix | Tables, *, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """``function(batch)`` for each batch of the source; in the order of a matrix, of tables in any order."""

    @abstractmethod
    def write_batches(self, function: Batches, source: Matrix | Tables, out: str, *, schema: pa.Schema) -> int:
        """As `map_batches`, written as Parquet files into the new folder `out`; returns the number of rows."""

    @abstractmethod
    def top_k(self, function: Batches, source: Tables, *, schema: pa.Schema, order: Order) -> pa.Table:
        """The first rows of what the function gives of all batches: each worker keeps its own first ones."""

    @abstractmethod
    def sample(self, source: Tables, rows: int) -> tuple[int, pa.Table]:
        """How many rows tables have, and about so many of them, from all over; always the same ones."""

    @abstractmethod
    def find_files(self, places: Sequence[str], keep: Callable[[str], bool]) -> dict[str, int]:
        """The files at some addresses, what `keep` takes of folders, and how many bytes each has; sorted."""

    @abstractmethod
    def share(self, data: bytes) -> Shared:
        """Make bytes reachable for a function's workers: keep what this returns as an attribute of the function."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what was started."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(Exception) if error is not None else contextlib.nullcontext():
            self.close()
