"""One part of an archive: a Parquet file with the arrays and metadata of some thousand spectra.

A part has one row per spectrum: the fields of its metadata, the file it came from, and `flux`, `ivar` (float32) and
`mask` (uint8) as fixed-size little-endian bytes. The wavelengths are kept once: the Parquet key ``emberline.grids`` is
a JSON object of grids by the value of the column `grid`, either ``{"log10": [step, first, n, phase]}``, that is
``10 ** (step * (first + i + phase))`` ångström for i from 0 to n - 1, or ``{"wavelength": "…"}``, base64 of float64.

Flux and ivar are not compressed: they are noise, zstd saves a fifth of them and makes reading two to three times
slower. The mask is. Row groups are small, so that one spectrum comes without its neighbours.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from emberline.archive.schema import (
    FILE_COLUMNS,
    METADATA_COLUMNS,
    SCHEMA_VERSION,
    described,
    metadata_of_rows,
    metadata_table,
)
from emberline.engine.memory import is_want_of_memory
from emberline.errors import ArchiveError
from emberline.files import atomic_path
from emberline.spectra import Grid, Spectrum, SpectrumBlock

__all__ = [
    "ARRAYS",
    "NamingTheFile",
    "PartFile",
    "SourcedBlock",
    "arrange",
    "grid_from_json",
    "grid_to_json",
    "keep_rows",
    "write_part",
]

ARRAYS: dict[str, np.dtype[Any]] = {"flux": np.dtype("<f4"), "ivar": np.dtype("<f4"), "mask": np.dtype("u1")}
_TEXT = [column.name for column in (*METADATA_COLUMNS, *FILE_COLUMNS)]
_ROW_GROUP_BYTES = 4 << 20
_LARGEST_UNION = 1.25


@dataclasses.dataclass(frozen=True, slots=True)
class SourcedBlock:
    """A block with the file that each row came from and where in the block its own pixels are; all (n,)."""

    block: SpectrumBlock
    files: Sequence[str]
    sha256: Sequence[str]
    start: NDArray[np.int32]
    pixels: NDArray[np.int32]

    @classmethod
    def whole(cls, block: SpectrumBlock, file: str, sha256: str) -> SourcedBlock:
        """All rows come from one source and fill the block's grid."""
        n = len(block)
        return cls(block, [file] * n, [sha256] * n, np.zeros(n, np.int32), np.full(n, block.grid.n, np.int32))


def arrange(spectra: Iterable[tuple[Spectrum, str, str]]) -> list[list[SourcedBlock]]:
    """Stack spectra (with file and sha256) into blocks, and sort the blocks into parts: one per number of pixels.

    Spectra of one logarithmic grid family share a block unless padding would make it much larger than they are.
    """
    families: dict[tuple[Any, ...], list[tuple[Spectrum, str, str]]] = {}
    for item in spectra:
        grid = item[0].grid
        key = (grid.key,) if grid.step is None else (grid.step, grid.phase)
        families.setdefault(key, []).append(item)
    parts: dict[int, list[SourcedBlock]] = {}
    for family in families.values():
        for items in _clusters(family):
            stacked = _stack(items)
            parts.setdefault(stacked.block.grid.n, []).append(stacked)
    return list(parts.values())


def _clusters(family: list[tuple[Spectrum, str, str]]) -> Iterator[list[tuple[Spectrum, str, str]]]:
    """Split a family so that no union of grids is much longer than its members (two arms of one spectrograph)."""
    if family[0][0].grid.step is None:
        yield family
        return
    ranges: list[tuple[int, int, int, list[tuple[Spectrum, str, str]]]] = []
    for item in family:
        grid = item[0].grid
        low = grid.first or 0
        high = low + grid.n
        for number, (first, last, shortest, members) in enumerate(ranges):
            union = max(last, high) - min(first, low)
            if union <= _LARGEST_UNION * min(shortest, grid.n):
                members.append(item)
                ranges[number] = (min(first, low), max(last, high), min(shortest, grid.n), members)
                break
        else:
            ranges.append((low, high, grid.n, [item]))
    for *_, members in ranges:
        yield members


def _stack(items: list[tuple[Spectrum, str, str]]) -> SourcedBlock:
    block = SpectrumBlock.stack([spectrum for spectrum, _, _ in items])
    first = block.grid.first
    starts = [0 if first is None or s.grid.first is None else s.grid.first - first for s, _, _ in items]
    return SourcedBlock(
        block,
        [file for _, file, _ in items],
        [sha256 for _, _, sha256 in items],
        np.array(starts, np.int32),
        np.array([spectrum.grid.n for spectrum, _, _ in items], np.int32),
    )


def grid_to_json(grid: Grid) -> dict[str, Any]:
    """A grid as it stands in a part's metadata."""
    if grid.step is not None and grid.first is not None:
        return {"log10": [grid.step, grid.first, grid.n, grid.phase]}
    return {"wavelength": base64.b64encode(grid.wavelength.astype("<f8").tobytes()).decode()}


def grid_from_json(value: dict[str, Any]) -> Grid:
    """The inverse of `grid_to_json`."""
    if "log10" in value:
        step, first, n, phase = value["log10"]
        return Grid.log10_family(float(step), int(first), int(n), phase=float(phase))
    return Grid(np.frombuffer(base64.b64decode(value["wavelength"]), "<f8").astype(np.float64))


def write_part(path: Path, blocks: Sequence[SourcedBlock]) -> None:
    """Write `blocks`, which all have the same number of pixels, as one part; atomic.

    Raises
    ------
    EmberlineError
        The disk is full or the folder cannot be written.
    """
    pixels = blocks[0].block.grid.n
    grids = {item.block.grid.key: grid_to_json(item.block.grid) for item in blocks}
    metadata = {
        b"emberline.schema_version": str(SCHEMA_VERSION).encode(),
        b"emberline.grids": json.dumps(grids, separators=(",", ":")).encode(),
    }
    _write(path, pa.concat_tables([_rows(item) for item in blocks]).replace_schema_metadata(metadata), pixels)


def keep_rows(path: Path, keep: NDArray[np.bool_]) -> None:
    """Write a part again with only the rows that are true in `keep`; atomic."""
    table = pq.read_table(path, use_threads=False)
    pixels = table.schema.field("mask").type.byte_width
    _write(path, table.filter(pa.array(keep)), pixels)


def _write(path: Path, table: pa.Table, pixels: int) -> None:
    row_bytes = sum(dtype.itemsize for dtype in ARRAYS.values()) * pixels
    with atomic_path(path) as temporary:
        pq.write_table(
            table,
            temporary,
            row_group_size=max(1, min(512, _ROW_GROUP_BYTES // row_bytes)),
            compression={name: "NONE" if name in ("flux", "ivar") else "ZSTD" for name in table.column_names},
            compression_level={name: 1 for name in table.column_names if name not in ("flux", "ivar")},
            use_dictionary=[name for name in table.column_names if name not in (*ARRAYS, "identifier", "sha256")],
            write_statistics=["identifier"],
            store_schema=True,
        )


def _rows(item: SourcedBlock) -> pa.Table:
    block, n = item.block, len(item.block)
    wavelength = block.grid.wavelength
    table = metadata_table(block.meta)
    own: dict[str, Any] = {
        "source_file": pa.array(item.files, pa.string()),
        "sha256": pa.array(item.sha256, pa.string()),
        "grid": pa.array([block.grid.key] * n, pa.string()),
        "start": pa.array(item.start, pa.int32()),
        "pixels": pa.array(item.pixels, pa.int32()),
        "wavelength_min": pa.array(wavelength[item.start]),
        "wavelength_max": pa.array(wavelength[item.start + item.pixels - 1]),
    }
    for field in described(FILE_COLUMNS):
        table = table.append_column(field, own[field.name])
    for name, dtype in ARRAYS.items():
        table = table.append_column(name, _as_bytes(getattr(block, name), dtype))
    return table


def _as_bytes(array: NDArray[Any], dtype: np.dtype[Any]) -> pa.Array:
    """A matrix as one FixedSizeBinary per row, without copying where the layout is right already."""
    matrix = np.ascontiguousarray(array, dtype=dtype)
    width = pa.binary(matrix.shape[1] * dtype.itemsize)
    return pa.FixedSizeBinaryArray.from_buffers(width, len(matrix), [None, pa.py_buffer(matrix)])


def _as_matrix(column: pa.ChunkedArray, dtype: np.dtype[Any]) -> NDArray[Any]:
    """The inverse of `_as_bytes`; a view when the column is in one piece."""
    chunks = [chunk for chunk in column.chunks if len(chunk)]
    matrices = [
        np.frombuffer(chunk.buffers()[1], dtype)[chunk.offset * chunk.type.byte_width // dtype.itemsize :][
            : len(chunk) * chunk.type.byte_width // dtype.itemsize
        ].reshape(len(chunk), -1)
        for chunk in chunks
    ]
    if not matrices:
        return np.zeros((0, column.type.byte_width // dtype.itemsize), dtype)
    return matrices[0] if len(matrices) == 1 else np.concatenate(matrices)


class PartFile:
    """A part, open for reading.

    Raises
    ------
    ArchiveError
        On opening or reading: the file is missing or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._naming_the_file():
            self._file = pq.ParquetFile(path, pre_buffer=False)
            self._metadata = self._file.schema_arrow.metadata or {}
            if b"emberline.grids" not in self._metadata:
                raise ValueError("it holds no wavelength grids")

    def _naming_the_file(self) -> NamingTheFile:
        return NamingTheFile(self.path)

    def __len__(self) -> int:
        return int(self._file.metadata.num_rows)

    @functools.cached_property
    def grids(self) -> dict[str, Grid]:
        """The part's wavelength grids by the value of the column `grid`."""
        with self._naming_the_file():
            return {key: grid_from_json(value) for key, value in json.loads(self._metadata[b"emberline.grids"]).items()}

    @functools.cached_property
    def _first_rows(self) -> NDArray[np.int64]:
        metadata = self._file.metadata
        counts = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    def rows_table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Everything but the arrays, or some columns of it, one row per spectrum."""
        with self._naming_the_file():
            return self._file.read(columns=_TEXT if columns is None else list(columns), use_threads=False)

    def column(self, name: str) -> pa.ChunkedArray:
        """One column of metadata."""
        return self.rows_table([name])[name]

    def spectra(self, rows: Sequence[int]) -> list[Spectrum]:
        """The spectra in `rows`, in the order asked, each on its own grid without padding."""
        numbers = np.asarray(rows, np.int64)
        groups = np.searchsorted(self._first_rows, numbers, side="right") - 1
        found: dict[int, Spectrum] = {}
        for group in sorted(set(groups.tolist())):  # `numpy.unique` imports masked arrays first
            wanted = numbers[groups == group]
            with self._naming_the_file():
                if group >= len(self._first_rows) - 1:
                    raise ValueError(f"it has {len(self)} rows; row {int(wanted[0])} was asked for")
                self._fetch(int(group))
                table = self._file.read_row_group(int(group), use_threads=False)
            local = wanted - self._first_rows[group]
            found.update(zip(wanted.tolist(), self._spectra_of(table, local), strict=True))
        return [found[int(row)] for row in numbers]

    def _fetch(self, group: int) -> None:
        """Have the system read a row group at one go: column after column waits thirty times for the disk."""
        if not hasattr(os, "posix_fadvise"):
            return
        row_group = self._file.metadata.row_group(group)
        columns = [row_group.column(number) for number in range(row_group.num_columns)]
        first = min(column.dictionary_page_offset or column.data_page_offset for column in columns)
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            length = sum(column.total_compressed_size for column in columns)
            os.posix_fadvise(descriptor, first, length, os.POSIX_FADV_WILLNEED)
        finally:
            os.close(descriptor)

    def _spectra_of(self, table: pa.Table, rows: NDArray[np.int64]) -> list[Spectrum]:
        arrays = {name: _as_matrix(table[name], dtype) for name, dtype in ARRAYS.items()}
        # From a buffer: `pyarrow.array` imports pandas first, which takes half a second.
        wanted = pa.Array.from_buffers(pa.int64(), len(rows), [None, pa.py_buffer(np.ascontiguousarray(rows))])
        chosen = table.select(_TEXT).take(wanted)
        spectra = []
        for row, meta, grid, start, n in zip(
            rows,
            metadata_of_rows(chosen),
            chosen["grid"].to_pylist(),
            chosen["start"].to_pylist(),
            chosen["pixels"].to_pylist(),
            strict=True,
        ):
            own = slice(start, start + n)
            flux, ivar, mask = (arrays[name][row, own].copy() for name in ARRAYS)
            spectra.append(Spectrum(_cut(self.grids[grid], start, n), flux, ivar, mask, meta))
        return spectra

    def blocks(self, rows: int) -> Iterator[SpectrumBlock]:
        """All spectra in the order of the file, at most `rows` in a block, each block on one grid."""
        step = max(1, rows)
        with self._naming_the_file():
            groups = self._file.num_row_groups
        pending: list[int] = []
        count = 0
        for group in range(groups):
            size = int(self._first_rows[group + 1] - self._first_rows[group])
            if pending and count + size > step:
                yield from self._blocks_of(pending, step)
                pending, count = [], 0
            pending.append(group)
            count += size
        if pending:
            yield from self._blocks_of(pending, step)

    def _blocks_of(self, groups: list[int], step: int) -> Iterator[SpectrumBlock]:
        with self._naming_the_file():
            table = self._file.read_row_groups(groups, use_threads=False)
        keys = np.asarray(table["grid"].to_pylist(), dtype=object)
        changes = np.flatnonzero(keys[1:] != keys[:-1]) + 1
        bounds = np.concatenate([[0], changes, [len(keys)]]).tolist() if len(keys) else []
        for low, high in itertools.pairwise(bounds):
            for start in range(low, high, step):
                piece = table.slice(start, min(step, high - start))
                flux, ivar, mask = (_as_matrix(piece[name], dtype) for name, dtype in ARRAYS.items())
                yield SpectrumBlock(self.grids[keys[low]], flux, ivar, mask, metadata_of_rows(piece))


class NamingTheFile:
    """A context in which whatever goes wrong with a file of the archive becomes an `ArchiveError` that names it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None or is_want_of_memory(error):
            return
        if isinstance(error, FileNotFoundError):
            raise ArchiveError(
                "a file of the archive is missing",
                where=str(self._path),
                action="Restore it from a copy, or ingest the survey's files into a new archive.",
            ) from error
        if isinstance(error, OSError | ValueError | KeyError | pa.ArrowException):
            raise ArchiveError(
                f"a file of the archive is damaged: {str(error).splitlines()[0] if str(error) else error!r}",
                where=str(self._path),
                action="Restore it from a copy, or ingest the survey's files into a new archive.",
            ) from error


def _cut(grid: Grid, start: int, n: int) -> Grid:
    """`n` pixels of `grid` from `start`."""
    if start == 0 and n == grid.n:
        return grid
    if grid.step is not None and grid.first is not None:
        return Grid.log10_family(grid.step, grid.first + start, n, phase=grid.phase)
    return Grid(grid.wavelength[start : start + n])
