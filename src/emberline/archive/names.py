"""Identifiers by the million: their 64-bit hashes, rows found by them, and text without a Python object a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

__all__ = ["NameFinder", "SortedRuns", "name_hashes", "text_array"]

_ROWS = 65_536
_FEW = 1000
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_SEED = np.uint64(0x9E3779B97F4A7C15)

Names: TypeAlias = "pa.ChunkedArray | pa.Array | NDArray[np.str_] | Sequence[str]"


def name_hashes(names: Names) -> NDArray[np.uint64]:
    """A 64-bit hash of each name: of its UTF-8 bytes and their number, by the finaliser of SplitMix64.

    The same on every machine and for ever, as it is kept in files. Among ten million names two share one with a chance
    of three in a million: whoever looks a name up compares the name itself.

    Parameters
    ----------
    names : text, shape (n,)

    Returns
    -------
    ndarray of uint64, shape (n,)
    """
    hashes = np.empty(len(names), np.uint64)
    at = 0
    for chunk in _chunks(names):
        hashes[at : at + len(chunk)] = _hashes_of(chunk)
        at += len(chunk)
    return hashes


def _chunks(names: Names) -> Iterator[pa.Array]:
    """Arrow strings, some thousand at a time."""
    arrays: Sequence[Any] = names.chunks if isinstance(names, pa.ChunkedArray) else [names]
    for array in arrays:
        for start in range(0, len(array), _ROWS):
            piece = array[start : start + _ROWS]
            chunk = piece if isinstance(piece, pa.Array) else _from_python(piece)
            if not (pa.types.is_string(chunk.type) or pa.types.is_large_string(chunk.type)):
                chunk = chunk.cast(pa.string())
            yield chunk.fill_null("") if chunk.null_count else chunk


def _from_python(names: Sequence[str] | NDArray[np.str_]) -> pa.Array:
    """A few names as Arrow has them: `pyarrow.array` imports pandas first, which takes half a second."""
    if isinstance(names, np.ndarray) and len(names) > _FEW:
        return pa.array(names, pa.string())
    encoded = [str(name).encode() for name in names]
    bounds = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    return pa.StringArray.from_buffers(len(encoded), pa.py_buffer(bounds), pa.py_buffer(b"".join(encoded)))


def _bytes_of(chunk: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The bytes of a chunk of text with eight zeros behind, and where each string begins; (n + 1) bounds."""
    _, offsets, data = chunk.buffers()
    width = np.int64 if pa.types.is_large_string(chunk.type) else np.int32
    bounds = np.frombuffer(offsets, width)[chunk.offset : chunk.offset + len(chunk) + 1].astype(np.int64)
    raw = np.zeros(int(bounds[-1] - bounds[0]) + 8, np.uint8)
    if data is not None:
        raw[:-8] = np.frombuffer(data, np.uint8)[bounds[0] : bounds[-1]]
    return raw, bounds - bounds[0]


def _hashes_of(chunk: pa.Array) -> NDArray[np.uint64]:
    if not len(chunk):
        return np.zeros(0, np.uint64)
    raw, bounds = _bytes_of(chunk)
    lengths = np.diff(bounds)
    words: NDArray[np.uint64] = np.ndarray((len(raw) - 7,), "<u8", raw, strides=(1,))  # eight bytes from every byte on
    hashes = np.full(len(chunk), _SEED, np.uint64)
    for step in range(0, int(lengths.max()), 8):
        rows = np.flatnonzero(lengths > step)
        spare = np.maximum(8 - (lengths[rows] - step), 0).astype(np.uint64) * np.uint64(8)
        mask = np.uint64(0xFFFFFFFFFFFFFFFF) >> spare
        hashes[rows] = _mixed(hashes[rows] ^ (words[bounds[:-1][rows] + step] & mask))
    return _mixed(hashes ^ lengths.astype(np.uint64))


def _mixed(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    value = (value ^ (value >> np.uint64(30))) * _MIX[0]
    value = (value ^ (value >> np.uint64(27))) * _MIX[1]
    return np.asarray(value ^ (value >> np.uint64(31)))


def text_array(names: pa.ChunkedArray | pa.Array) -> NDArray[np.str_]:
    """A column of text as an array of strings, without making a Python string of each."""
    width = pc.max(pc.utf8_length(names)).as_py() or 1
    text = np.empty(len(names), f"<U{width}")
    at = 0
    for chunk in _chunks(names):
        raw, bounds = _bytes_of(chunk)
        rows = text[at : at + len(chunk)]
        at += len(chunk)
        if raw.max(initial=0) >= 128:
            rows[:] = chunk.to_pylist()
            continue
        letters = rows.view(np.uint32).reshape(len(chunk), width)
        column = np.arange(width)
        inside = column < np.diff(bounds)[:, None]
        letters[:] = 0
        letters[inside] = raw[:-8]
    return text


class NameFinder:
    """Finds rows by name.

    Parameters
    ----------
    names : ndarray of str, shape (n,)
    """

    def __init__(self, names: NDArray[np.str_]) -> None:
        self._names = names
        hashes = name_hashes(names)
        self._order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._order]

    def find(self, wanted: Sequence[str] | NDArray[np.str_]) -> NDArray[np.int64]:
        """The row of each of `wanted`; -1 for those that are not there."""
        asked = np.asarray(wanted, dtype=np.str_)
        rows = np.full(len(asked), -1, np.int64)
        if not len(self._names) or not len(asked):
            return rows
        hashes = name_hashes(asked)
        places = np.searchsorted(self._hashes, hashes)
        open_ = np.flatnonzero(places < len(self._hashes))
        while open_.size:
            open_ = open_[self._hashes[places[open_]] == hashes[open_]]
            found = self._order[places[open_]]
            same = self._names[found] == asked[open_]
            rows[open_[same]] = found[same]
            open_ = open_[~same]  # two names with one hash: the other one is next
            places[open_] += 1
            open_ = open_[places[open_] < len(self._hashes)]
        return rows

    def repeated(self) -> str | None:
        """A name that is there twice, or None."""
        same = np.flatnonzero(self._hashes[1:] == self._hashes[:-1])
        suspects = self._names[self._order[np.union1d(same, same + 1)]]
        names, counts = np.unique(suspects, return_counts=True)
        return str(names[counts > 1][0]) if (counts > 1).any() else None


class SortedRuns:
    """Keys with a number each, in a few sorted arrays that are merged as they grow: a dictionary of twenty bytes a row.

    Parameters
    ----------
    dtype : dtype
        Of the keys.
    """

    def __init__(self, dtype: Any) -> None:
        self._dtype = np.dtype(dtype)
        self._runs: list[tuple[NDArray[Any], NDArray[Any]]] = []

    def __len__(self) -> int:
        return sum(len(keys) for keys, _ in self._runs)

    def add(self, keys: NDArray[Any], values: NDArray[Any] | None = None, *, ordered: bool = False) -> None:
        """Take keys in; `ordered` says that they ascend already."""
        if not len(keys):
            return
        values = np.zeros(len(keys), np.int8) if values is None else values
        if not ordered:
            order = np.argsort(keys, kind="stable")
            keys, values = keys[order], values[order]
        self._runs.append((keys, values))
        while len(self._runs) > 1 and len(self._runs[-2][0]) < 2 * len(self._runs[-1][0]):
            self._merge()

    def _merge(self) -> None:
        (one, of_one), (other, of_other) = self._runs[-2:]
        places = np.searchsorted(one, other, side="right")
        self._runs[-2:] = [(np.insert(one, places, other), np.insert(of_one, places, of_other))]

    def has(self, keys: NDArray[Any]) -> NDArray[np.bool_]:
        """Which of `keys` are there, shape (n,)."""
        there = np.zeros(len(keys), bool)
        for own, _ in self._runs:
            places = np.minimum(np.searchsorted(own, keys), len(own) - 1)
            there |= own[places] == keys
        return there

    def values(self, key: Any) -> list[int]:
        """The numbers of one key; more than one when it came more than once."""
        found: list[int] = []
        for own, numbers in self._runs:
            low, high = np.searchsorted(own, key), np.searchsorted(own, key, side="right")
            found += numbers[low:high].tolist()
        return found

    def keys(self) -> NDArray[Any]:
        """All keys, sorted."""
        if not self._runs:
            return np.zeros(0, self._dtype)
        return np.sort(np.concatenate([keys for keys, _ in self._runs]))
