"""Memory maps of which rows are picked here and there."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["PickedRows", "fetch", "read_no_neighbours"]


def read_no_neighbours(values: NDArray[Any]) -> None:
    """Have the system read the pages of a map that are asked for, and not up to megabytes around each."""
    mapped: Any = getattr(values, "_mmap", None)
    if mapped is not None and hasattr(mmap, "MADV_RANDOM"):
        mapped.madvise(mmap.MADV_RANDOM)


def fetch(values: NDArray[Any]) -> None:
    """Have the system begin to read a piece of a map, in one go."""
    mapped: Any = getattr(values, "_mmap", None)
    if mapped is None or not hasattr(mmap, "MADV_WILLNEED") or not values.nbytes:
        return
    begin = values.__array_interface__["data"][0] - np.frombuffer(mapped, np.uint8).__array_interface__["data"][0]
    start = begin // mmap.PAGESIZE * mmap.PAGESIZE
    mapped.madvise(mmap.MADV_WILLNEED, start, begin + values.nbytes - start)


class PickedRows(np.memmap):
    """A mapped matrix that has rows fetched side by side when they are picked by an array of numbers.

    Reading a map page by page waits for the disk a hundred times for a hundred rows. Here the system is told of all
    pages before the first is read, and reads no neighbours.
    """

    @classmethod
    def of(cls, values: np.memmap[Any, Any]) -> PickedRows:
        """The same map; what is read through `values` itself changes too, as it is one."""
        read_no_neighbours(values)
        return values.view(cls)

    def __getitem__(self, key: Any) -> Any:
        rows = key[0] if isinstance(key, tuple) and key else key
        if isinstance(rows, list | np.ndarray) and self.ndim == 2 and self.flags.c_contiguous:
            self._fetch(np.asarray(rows))
        found = super().__getitem__(key)
        return (
            found.view(np.ndarray) if isinstance(found, PickedRows) and getattr(found, "_mmap", None) is None else found
        )

    def _fetch(self, rows: NDArray[Any]) -> None:
        mapped: Any = getattr(self, "_mmap", None)
        if mapped is None or not hasattr(mmap, "MADV_WILLNEED") or not len(self) or not rows.size:
            return
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        if rows.ndim != 1 or rows.dtype.kind not in "iu":
            return
        whole = np.frombuffer(mapped, np.uint8).__array_interface__["data"][0]
        begin = self.__array_interface__["data"][0] - whole + (rows.astype(np.int64) % len(self)) * self.strides[0]
        first, last = begin // mmap.PAGESIZE, (begin + self.strides[0] - 1) // mmap.PAGESIZE
        order = np.argsort(first, kind="stable")
        first, last = first[order], last[order]
        new = np.flatnonzero(np.concatenate([[True], first[1:] > last[:-1] + 1]))
        for low, high in zip(new, [*(new[1:] - 1), len(first) - 1], strict=True):
            start = int(first[low]) * mmap.PAGESIZE
            mapped.madvise(mmap.MADV_WILLNEED, start, (int(last[high]) + 1) * mmap.PAGESIZE - start)
