"""The index of identifiers beside a catalogue: where in which part a spectrum lies, found in a few page reads.

``identifiers.index`` is ``EMBRIDX1``, the length of a JSON header (uint64), the header, spaces up to a multiple of
4096, and two arrays of little-endian 64-bit numbers, one entry a spectrum: the hashes of the identifiers
(`emberline.archive.names.name_hashes`), ascending, and the places, ``part << 32 | row``, where `part` counts in the
header's list of parts. The header says of which catalogue it is the index; that of another one is not believed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from emberline.archive.mapped import fetch, read_no_neighbours
from emberline.archive.names import name_hashes
from emberline.archive.parts import NamingTheFile
from emberline.errors import EmberlineError
from emberline.files import atomic_path

__all__ = ["INDEX_NAME", "CatalogueFile", "IdentifierIndex", "part_numbers", "stamp_of"]

INDEX_NAME = "identifiers.index"
_MAGIC = b"EMBRIDX1"
_PAGE = 4096
_TAIL = 1 << 16
_BATCH = 131_072
_FEW = 1000


@dataclasses.dataclass(frozen=True, eq=False)
class IdentifierIndex:
    """Where spectra lie.

    Attributes
    ----------
    parts : tuple of str
        Names of parts, in the order of ingestion.
    hashes : ndarray of uint64, shape (n,)
        Of the identifiers, ascending.
    places : ndarray of int64, shape (n,)
        ``part << 32 | row``.
    """

    parts: tuple[str, ...]
    hashes: NDArray[np.uint64]
    places: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.hashes)

    @classmethod
    def of(cls, parts: tuple[str, ...], hashes: NDArray[np.uint64], places: NDArray[np.int64]) -> IdentifierIndex:
        """Of hashes in any order."""
        order = np.argsort(hashes, kind="stable")
        return cls(parts, hashes[order], places[order])

    def first(self, asked: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The place of the first spectrum with each hash; -1 where there is none. Shape (m,)."""
        if len(asked) < _FEW:
            found = [self._span(int(key)) for key in asked]
            return np.array([self.places[low] if low < high else -1 for low, high in found], np.int64)
        fetch(self.hashes)
        low = np.searchsorted(self.hashes, asked)
        inside = np.minimum(low, max(len(self) - 1, 0))
        there = (low < len(self)) & (self.hashes[inside] == asked) if len(self) else np.zeros(len(asked), bool)
        return np.where(there, self.places[inside] if len(self) else -1, -1)

    def all(self, asked: int) -> NDArray[np.int64]:
        """The places of all spectra with one hash: one or none, more by the rarest of chances."""
        return np.asarray(self.places[slice(*self._span(asked))])

    def _span(self, asked: int) -> tuple[int, int]:
        """Where entries with one hash begin and end, looked for where hashes that are spread evenly would have it."""
        n, key = len(self), np.uint64(asked)
        guess, deviation = int(asked / 2**64 * n), int(n**0.5 / 2) + 64
        for reach in (2 * deviation, 8 * deviation, n):  # a small piece is one read of the disk
            low, high = max(guess - reach, 0), min(guess + reach, n)
            fetch(self.hashes[low:high])
            piece = np.array(self.hashes[low:high])
            if (low == 0 or piece[0] < key) and (high == n or piece[-1] > key):
                break
        first = low + int(np.searchsorted(piece, key))
        end = first
        while end < n and self.hashes[end] == key:
            end += 1
        return first, end

    @functools.cached_property
    def counts(self) -> NDArray[np.int64]:
        """How many spectra of each part there are, shape (parts,)."""
        fetch(self.places)
        counts = np.zeros(len(self.parts), np.int64)
        for start in range(0, len(self), _BATCH):
            counts += np.bincount(self.places[start : start + _BATCH] >> 32, minlength=len(self.parts))
        return counts

    @functools.cached_property
    def in_order(self) -> NDArray[np.uint64]:
        """The hashes in the order of ingestion: by part, then row; that of the rows of a feature matrix."""
        fetch(self.places)
        fetch(self.hashes)
        return np.asarray(self.hashes[np.argsort(self.places)])

    def write(self, path: Path, stamp: str) -> None:
        """Write it for the catalogue with this stamp; atomic."""
        header = json.dumps({"catalogue": stamp, "rows": len(self), "parts": self.parts}).encode()
        head = _MAGIC + len(header).to_bytes(8, "little") + header
        with atomic_path(path) as temporary, open(temporary, "wb") as stream:
            stream.write(head + b" " * (-len(head) % _PAGE))
            np.ascontiguousarray(self.hashes, "<u8").tofile(stream)
            np.ascontiguousarray(self.places, "<i8").tofile(stream)

    @classmethod
    def load(cls, path: Path, stamp: str) -> IdentifierIndex | None:
        """Map the index of the catalogue with this stamp; None when there is none, or that of another catalogue."""
        try:
            with open(path, "rb") as stream:
                if stream.read(8) != _MAGIC:
                    return None
                length = int.from_bytes(stream.read(8), "little")
                header = json.loads(stream.read(length))
                n, start = int(header["rows"]), -(-(16 + length) // _PAGE) * _PAGE
                if header["catalogue"] != stamp or os.fstat(stream.fileno()).st_size != start + 16 * n:
                    return None
                if not n:
                    return cls(tuple(header["parts"]), np.zeros(0, np.uint64), np.zeros(0, np.int64))
                both: Any = np.memmap(stream, np.dtype("<u8"), "r", start, (2, n))
                read_no_neighbours(both)
                return cls(tuple(header["parts"]), both[0], both[1].view("<i8"))
        except (OSError, ValueError, KeyError, TypeError, OverflowError):
            return None


def stamp_of(file: pa.NativeFile) -> str:
    """What tells one catalogue from another: its size and its end, which describes all columns."""
    size = file.size()
    file.seek(max(size - _TAIL, 0))
    return hashlib.sha256(size.to_bytes(8, "little") + file.read(_TAIL)).hexdigest()[:32]


class CatalogueFile:
    """The catalogue of the archive in `folder` as it is now: it stays readable when another one takes its name.

    Raises
    ------
    ArchiveError
        On opening or reading: it is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "catalogue.parquet"
        with NamingTheFile(self.path):
            self._file = pa.OSFile(str(self.path))
            self.stamp = stamp_of(self._file)

    def __len__(self) -> int:
        with NamingTheFile(self.path):
            return int(self._parquet().metadata.num_rows)

    def _parquet(self) -> pq.ParquetFile:
        return pq.ParquetFile(self._file, read_dictionary=["part"], pre_buffer=False)

    def batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """Some columns, some thousand rows at a time; `part` as a dictionary."""
        with NamingTheFile(self.path):
            batches = self._parquet().iter_batches(_BATCH, columns=columns)
        while True:
            with NamingTheFile(self.path):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def read(self, columns: list[str]) -> pa.Table:
        """Some columns, in one piece."""
        with NamingTheFile(self.path):
            return pq.ParquetFile(self._file).read(columns=columns).combine_chunks()

    def index_beside(self) -> IdentifierIndex | None:
        """The index beside the file, mapped; None when there is none, or that of another catalogue."""
        return IdentifierIndex.load(self.path.with_name(INDEX_NAME), self.stamp)

    def index(self) -> IdentifierIndex:
        """The index beside the file, or one made of the catalogue, which is then kept if that can be."""
        index = self.index_beside()
        if index is None:
            index = self._made()
            with contextlib.suppress(EmberlineError, OSError, pa.ArrowException):
                if stamp_of(pa.OSFile(str(self.path))) == self.stamp:
                    index.write(self.path.with_name(INDEX_NAME), self.stamp)
        return index

    def _made(self) -> IdentifierIndex:
        rows = len(self)
        hashes, places = np.empty(rows, np.uint64), np.empty(rows, np.int64)
        numbers: dict[str, int] = {}
        at = 0
        for batch in self.batches(["identifier", "part", "row"]):
            here = slice(at, at + len(batch))
            hashes[here] = name_hashes(batch["identifier"])
            places[here] = part_numbers(batch["part"], numbers) << 32
            places[here] |= batch["row"].to_numpy(zero_copy_only=False)
            at += len(batch)
        parts = sorted(numbers)
        rank = np.empty(len(parts), np.int64)
        rank[[numbers[name] for name in parts]] = np.arange(len(parts))
        if rows:
            places = rank[places >> 32] << 32 | places & 0xFFFFFFFF
        return IdentifierIndex.of(tuple(parts), hashes, places)


def part_numbers(column: pa.Array, numbers: dict[str, int]) -> NDArray[np.int64]:
    """The number of each row's part; new parts get the next number in `numbers`."""
    coded = column if isinstance(column, pa.DictionaryArray) else column.dictionary_encode()
    of_code = [numbers.setdefault(name, len(numbers)) for name in coded.dictionary.to_pylist()]
    taken: NDArray[np.int64] = np.asarray(of_code, np.int64)[coded.indices.to_numpy(zero_copy_only=False)]
    return taken
