"""What an archive has already: file hashes and identifiers, in sorted arrays instead of Python objects."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from emberline.archive.index import IdentifierIndex
from emberline.archive.mapped import fetch
from emberline.archive.names import SortedRuns, name_hashes
from emberline.archive.parts import PartFile

__all__ = ["Digests", "KnownNames"]


class Digests:
    """A set of SHA-256 hashes in hexadecimal, 32 bytes each."""

    def __init__(self) -> None:
        self._runs = SortedRuns("S32")

    def __len__(self) -> int:
        return len(self._runs)

    def __contains__(self, sha256: str) -> bool:
        return bool(sha256) and bool(self.known([sha256])[0])

    def update(self, hashes: Sequence[str] | pa.Array | pa.ChunkedArray) -> None:
        """Take more in; what is empty is none."""
        column = hashes if isinstance(hashes, pa.Array | pa.ChunkedArray) else pa.array(hashes, pa.string())
        for start in range(0, len(column), 65_536):
            new = np.unique(_raw([digest for digest in column[start : start + 65_536].unique().to_pylist() if digest]))
            self._runs.add(new[~self._runs.has(new)], ordered=True)

    def known(self, hashes: Sequence[str]) -> NDArray[np.bool_]:
        """Which of some hashes are there, shape (n,); no hash never is."""
        given = np.array([bool(digest) for digest in hashes], bool)
        there = np.zeros(len(hashes), bool)
        there[given] = self._runs.has(_raw([digest for digest in hashes if digest]))
        return there

    def sorted(self) -> NDArray[np.bytes_]:
        """All of them as bytes, ascending."""
        return self._runs.keys()


def _raw(hashes: Sequence[str]) -> NDArray[np.bytes_]:
    return np.frombuffer(bytes.fromhex("".join(hashes)), "S32")


class KnownNames:
    """The identifiers of an archive by their hashes, and where each spectrum lies.

    Parameters
    ----------
    folder : Path
        Of the parts, in which a name is looked up when its hash is known.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._parts: list[str] = []
        self._runs = SortedRuns(np.uint64)
        self._names_of = functools.lru_cache(maxsize=4)(self._read_names)

    def __len__(self) -> int:
        return len(self._runs)

    def add_index(self, index: IdentifierIndex) -> None:
        """Take in what a catalogue has; the first of all."""
        fetch(index.hashes)
        self._parts = list(index.parts)
        self._runs.add(index.hashes, index.places, ordered=True)

    def add_part(self, name: str) -> None:
        """Take in a part that lies in the archive."""
        self._add(name, name_hashes(PartFile(self._folder / name).column("identifier")))

    def add(self, name: str, identifiers: Sequence[str]) -> None:
        """Take in a part of which the identifiers are at hand."""
        self._add(name, name_hashes(identifiers))

    def _add(self, name: str, hashes: NDArray[np.uint64]) -> None:
        self._runs.add(hashes, (len(self._parts) << 32) + np.arange(len(hashes), dtype=np.int64))
        self._parts.append(name)

    def maybe(self, identifiers: Sequence[str]) -> NDArray[np.bool_]:
        """Which of some identifiers have a hash that is known, shape (n,)."""
        return self._runs.has(name_hashes(identifiers))

    def place(self, identifier: str) -> tuple[str, int] | None:
        """The part and the row of a spectrum; None when the archive has none of this identifier."""
        for place in self._runs.values(name_hashes([identifier])[0]):
            name, row = self._parts[place >> 32], place & 0xFFFFFFFF
            if self._names_of(name)[row] == identifier:
                return name, row
        return None

    def _read_names(self, name: str) -> Any:
        return PartFile(self._folder / name).column("identifier").to_pylist()
