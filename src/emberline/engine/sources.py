"""What work on batches reads: rows of a matrix, or Parquet tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from emberline.errors import EngineError

__all__ = ["SAMPLED_PLACES", "Matrix", "MatrixFile", "Tables", "binary_column", "evenly", "matrix_of", "unfinished"]

SAMPLED_PLACES = 32
"""From how many places a sample of a table is taken: neighbours in a table are alike, and each place costs a look."""


@dataclasses.dataclass(frozen=True)
class MatrixFile:
    """Where the rows of a matrix lie on a disk: float32, little-endian, row by row from the byte `offset`."""

    path: Path
    offset: int
    columns: int

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        """Some rows, as a read-only memory map.

        Raises
        ------
        OSError, ValueError
            The file is missing or too short.
        """
        place = self.offset + 4 * self.columns * start
        return np.memmap(self.path, np.dtype("<f4"), "r", place, (stop - start, self.columns))


@dataclasses.dataclass(frozen=True, eq=False)
class Matrix:
    """The rows of a feature matrix from `start` on, in batches of `rows`.

    A batch has the columns ``row`` (int64) and ``values`` (the row as fixed-size little-endian float32).

    Attributes
    ----------
    values : ndarray of float32, shape (n, d)
        A memory map will do, and is read by whoever works on it instead of being sent.
    start : int
    rows : int
    """

    values: NDArray[np.float32]
    start: int = 0
    rows: int = 65_536

    @property
    def file(self) -> MatrixFile | None:
        """The file behind `values`; None when they are in memory only."""
        values = self.values
        path = getattr(values, "filename", None)
        if path is None or values.dtype != np.dtype("<f4") or not values.flags.c_contiguous or not len(values):
            return None
        root = values
        while isinstance(root.base, np.memmap):
            root = root.base
        first = values.__array_interface__["data"][0] - root.__array_interface__["data"][0]
        return MatrixFile(Path(path), int(getattr(root, "offset", 0)) + first, values.shape[1])

    def pieces(self) -> Iterator[tuple[int, int]]:
        """First row and the one after the last of each batch."""
        for first in range(self.start, len(self.values), self.rows):
            yield first, min(first + self.rows, len(self.values))

    def batch(self, first: int, stop: int) -> pa.RecordBatch:
        """Some rows as a batch."""
        return matrix_batch(self.values[first:stop], first)


def matrix_batch(values: NDArray[np.float32], first: int) -> pa.RecordBatch:
    """Rows that begin with number `first`, as a batch of a `Matrix`."""
    return pa.RecordBatch.from_arrays(
        [pa.array(np.arange(first, first + len(values), dtype=np.int64)), binary_column(values)], ["row", "values"]
    )


@dataclasses.dataclass(frozen=True)
class Tables:
    """Parquet files, or folders of them, and the columns that the work needs.

    Attributes
    ----------
    places : sequence of str
        Paths, or addresses that the engine's readers know (``hdfs://…``, ``s3a://…``).
    columns : sequence of str
        An empty sequence takes all.
    """

    places: Sequence[str]
    columns: Sequence[str] = ()


def binary_column(values: NDArray[Any]) -> pa.Array:
    """A matrix as one fixed-size binary cell a row, without a copy where it lies row by row already."""
    matrix = np.ascontiguousarray(values)
    width = pa.binary(matrix.shape[1] * matrix.dtype.itemsize)
    return pa.FixedSizeBinaryArray.from_buffers(width, len(matrix), [None, pa.py_buffer(matrix)])


def matrix_of(column: pa.Array, dtype: str = "<f4") -> NDArray[Any]:
    """The inverse of `binary_column`, for binary cells of fixed or variable size that all have one length.

    Raises
    ------
    ValueError
        A cell is null, or has another length than the first.
    """
    if column.null_count:
        raise ValueError("a cell is empty")
    kind = np.dtype(dtype)
    if pa.types.is_fixed_size_binary(column.type):
        width, first, data = column.type.byte_width, column.offset * column.type.byte_width, column.buffers()[1]
    else:
        size = np.dtype("<i8") if pa.types.is_large_binary(column.type) else np.dtype("<i4")
        offsets = np.frombuffer(column.buffers()[1], size)[column.offset : column.offset + len(column) + 1]
        widths = np.diff(offsets)
        width = int(widths[0]) if len(widths) else kind.itemsize
        if (widths != width).any():
            raise ValueError(f"cells have {int(widths.min())} to {int(widths.max())} bytes, not one length")
        first, data = int(offsets[0]) if len(offsets) else 0, column.buffers()[2]
    if width % kind.itemsize:
        raise ValueError(f"cells have {width} bytes, which is no number of {kind.itemsize}-byte values")
    if not len(column):
        return np.zeros((0, width // kind.itemsize), kind)
    flat = np.frombuffer(data, np.uint8)[first : first + width * len(column)]
    return flat.view(kind).reshape(len(column), -1)


def evenly(count: int, most: int) -> list[int]:
    """At most so many of the numbers from 0 to ``count - 1``, spread evenly."""
    return sorted({int(number) for number in np.linspace(0, count - 1, min(count, most))}) if count else []


def unfinished(place: str) -> EngineError:
    """What is said of a folder in which Spark has begun to write a table, and not ended."""
    return EngineError(
        "the table is not complete: what wrote it has not ended, or was killed",
        where=place,
        found="a folder _temporary in it",
        action="Wait until it has ended; otherwise remove the folder and write the table again.",
    )
