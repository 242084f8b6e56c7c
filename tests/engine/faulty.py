"""An engine whose functions fail as machines do: out of memory, out of disk, killed."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import resource
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from emberline.engine import Batches, Engine, Matrix, Order, Shared, Tables

__all__ = ["Faulty", "FaultyEngine", "small_files"]


@contextlib.contextmanager
def small_files(limit: int) -> Iterator[None]:
    """No file of this process can grow beyond so many bytes: as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@dataclasses.dataclass(frozen=True)
class Faulty:
    """A function that fails wherever it runs; once only where it says so in a file that it leaves."""

    function: Callable[..., Any]
    fault: str
    once: Path | None = None

    def __call__(self, *arguments: Any) -> Any:
        if self.once is not None:
            try:
                self.once.touch(exist_ok=False)
            except FileExistsError:
                return self.function(*arguments)
        if self.fault == "worker":
            os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does for want of memory
        if self.fault == "memory":
            raise MemoryError
        with small_files(100):
            return self.function(*arguments)


class FaultyEngine(Engine):
    """Another engine, whose workers suffer from `fault`."""

    name = "faulty"

    def __init__(self, engine: Engine, fault: str, once: Path | None = None) -> None:
        self.engine, self.fault, self.once = engine, fault, once

    def _made(self, function: Callable[..., Any]) -> Faulty:
        return Faulty(function, self.fault, self.once)

    @property
    def cores(self) -> int:
        """Of the other."""
        return self.engine.cores

    @property
    def remote(self) -> bool:
        """As the other."""
        return self.engine.remote

    def map(self, function: Callable[[Any], Any], jobs: Any, *, workers: int | None = None) -> Iterator[Any]:
        """As the other."""
        if getattr(function, "__name__", "") == "_installed":  # which runtimes there are is asked before the work
            return self.engine.map(function, jobs, workers=workers)
        return self.engine.map(self._made(function), jobs, workers=workers)

    def map_files(self, function: Callable[..., Any], jobs: Any, places: Any) -> Iterator[Any]:
        """As the other."""
        return self.engine.map_files(self._made(function), jobs, places)

    def map_batches(self, function: Batches, source: Matrix | Tables, *, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """As the other."""
        return self.engine.map_batches(self._made(function), source, schema=schema)

    def write_batches(self, function: Batches, source: Matrix | Tables, out: str, *, schema: pa.Schema) -> int:
        """As the other."""
        return self.engine.write_batches(self._made(function), source, out, schema=schema)

    def top_k(self, function: Batches, source: Tables, *, schema: pa.Schema, order: Order) -> pa.Table:
        """As the other."""
        return self.engine.top_k(self._made(function), source, schema=schema, order=order)

    def sample(self, source: Tables, rows: int) -> tuple[int, pa.Table]:
        """As the other."""
        return self.engine.sample(source, rows)

    def find_files(self, places: Sequence[str], keep: Callable[[str], bool]) -> dict[str, int]:
        """As the other."""
        return self.engine.find_files(places, keep)

    def share(self, data: bytes) -> Shared:
        """As the other."""
        return self.engine.share(data)

    def close(self) -> None:
        """The other is somebody else's."""
