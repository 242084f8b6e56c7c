"""Spectra of published archives by their identifiers, for the services that read arrays."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import math
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from emberline.archive.parts import ARRAYS, grid_from_json
from emberline.archive.schema import METADATA_COLUMNS
from emberline.errors import ArchiveError
from emberline.features import Recipe, extract
from emberline.spectra import Grid, Mask, Metadata, Spectrum, SpectrumBlock
from emberline.vo.server.dali import DaliError
from emberline.vo.server.database import Catalogues

if TYPE_CHECKING:
    from emberline.vo.server.published import Published, PublishedArchive

__all__ = ["Found", "Row", "Shown", "find", "read_spectrum", "unit_of"]

Row = dict[str, Any]
Found = tuple["PublishedArchive", Row]


def find(published: Published, catalogues: Catalogues, name: str, text: str) -> Found | None:
    """The archive and the row of the catalogue that an ID means: a dataset identifier, or an identifier in `name`."""
    target = published.archive_of(text)
    if target is None and not text.startswith("ivo:"):
        named = next((item for item in published.archives if item.name == name), None)
        target = (named, text) if named is not None else None
    if target is None or "\0" in target[1]:
        return None
    table = catalogues.table(target[0])
    number = table.row_of(target[1])
    return None if number is None else (target[0], table.row(number))


def read_spectrum(item: PublishedArchive, row: Row) -> Spectrum:
    """The spectrum of a row of the published catalogue, without the pixels at its ends that hold nothing.

    Raises
    ------
    DaliError
        The archive does not hold it any more.
    """
    path = item.folder / "spectra" / row["part"]
    with contextlib.suppress(OSError, ValueError, KeyError, pa.ArrowException):
        spectrum = _part(path, path.stat().st_mtime_ns).spectrum(row)
        if spectrum is not None:
            return spectrum.trimmed()
    return _moved(item, row).trimmed()


def _moved(item: PublishedArchive, row: Row) -> Spectrum:
    """A later ingest may have written a part anew: look where the archive has the spectrum now."""
    from emberline.archive import open_archive

    try:
        return open_archive(item.folder).spectrum(row["identifier"])
    except ArchiveError:
        raise DaliError("The spectrum is not in the archive any more.", 404, "NotFoundFault") from None


@functools.lru_cache(maxsize=64)
def _part(path: Path, changed: int) -> _Part:
    return _Part(path)


class _Part:
    """A part of an archive of which only the arrays are read: the catalogue has told the rest."""

    def __init__(self, path: Path) -> None:
        self._file = pq.ParquetFile(path, memory_map=True, pre_buffer=False)
        metadata = self._file.metadata
        counts = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        self._first_rows = np.concatenate([[0], np.cumsum(counts)])
        grids = json.loads(self._file.schema_arrow.metadata[b"emberline.grids"])
        self._grids = {key: grid_from_json(value) for key, value in grids.items()}

    def spectrum(self, row: Row) -> Spectrum | None:
        """The spectrum of a row of the catalogue; None when another is in its place."""
        group = int(np.searchsorted(self._first_rows, row["row"], side="right")) - 1
        table = self._file.read_row_group(group, columns=["identifier", *ARRAYS], use_threads=False)
        local = row["row"] - int(self._first_rows[group])
        if table["identifier"][local].as_py() != row["identifier"]:
            return None
        own = slice(row["start"], row["start"] + row["pixels"])
        flux, ivar, mask = (
            np.frombuffer(table[name][local].as_buffer(), dtype)[own].copy() for name, dtype in ARRAYS.items()
        )
        return Spectrum(_cut(self._grids[row["grid"]], own), flux, ivar, mask, _metadata(row))


@functools.lru_cache(maxsize=256)
def _cut_family(step: float, first: int, n: int, phase: float) -> Grid:
    return Grid.log10_family(step, first, n, phase=phase)


def _cut(grid: Grid, part: slice) -> Grid:
    if part.start == 0 and part.stop == grid.n:
        return grid
    if grid.step is not None and grid.first is not None:
        return _cut_family(grid.step, grid.first + part.start, part.stop - part.start, grid.phase)
    return Grid(grid.wavelength[part])


def _metadata(row: Row) -> Metadata:
    numbers = [column.name for column in METADATA_COLUMNS if column.dtype in ("double", "float")]
    values = {column.name: row[column.name] for column in METADATA_COLUMNS}
    return Metadata(**values | {name: math.nan for name in numbers if values[name] is None})


@dataclasses.dataclass(frozen=True)
class Shown:
    """A spectrum as it leaves: arrays of one length, and what is said of them.

    Attributes
    ----------
    item : PublishedArchive
    row : dict
        Of the published catalogue.
    wavelength : ndarray of float64
        Vacuum Å: centres of the pixels.
    edges : ndarray of float64
        One more: where the pixels begin and end.
    flux, error : ndarray of float32
        NaN where nothing was measured, or no uncertainty is known.
    mask : ndarray of uint8
        Not 0 where the pixel must not be trusted, see `emberline.spectra.Mask`.
    flux_unit : str
        As VOUnits writes it; empty when arbitrary.
    recipe : Recipe, optional
        That it was processed by.
    """

    item: PublishedArchive
    row: Row
    wavelength: NDArray[np.float64]
    edges: NDArray[np.float64]
    flux: NDArray[np.float32]
    error: NDArray[np.float32]
    mask: NDArray[np.uint8]
    flux_unit: str = ""
    recipe: Recipe | None = None

    @property
    def did(self) -> str:
        """The publisher's dataset identifier."""
        return self.item.publication.did(self.row["identifier"])

    @property
    def title(self) -> str:
        """Survey and target."""
        return f"{self.row['survey']} {self.row['name'] or self.row['identifier']}".strip()

    @classmethod
    def of(cls, item: PublishedArchive, row: Row) -> Shown:
        """As the archive holds it."""
        spectrum = read_spectrum(item, row)
        empty = (spectrum.mask & Mask.NO_DATA) != 0
        flux = np.where(empty, np.float32(np.nan), spectrum.flux)
        unit = unit_of(row["flux_unit"])
        grid = spectrum.grid
        return cls(item, row, grid.wavelength, grid.edges, flux, _errors(spectrum.ivar), spectrum.mask, unit)

    @classmethod
    def processed(cls, item: PublishedArchive, row: Row, recipe: Recipe) -> Shown:
        """Under a recipe: blurred, resampled, rectified and scaled.

        Raises
        ------
        DaliError
            The recipe makes nothing meaningful of this spectrum.
        """
        spectrum = read_spectrum(item, row)
        block = SpectrumBlock(
            spectrum.grid, spectrum.flux[None], spectrum.ivar[None], spectrum.mask[None], [spectrum.meta]
        )
        made = extract(recipe, block)
        if not made.values[0].any():
            raise DaliError(f"RECIPE: {recipe.name} makes nothing of this spectrum: it does not cover the window", 422)
        error = _errors(made.ivar[0])
        mask = np.where(np.isfinite(error), 0, Mask.NO_WEIGHT).astype(np.uint8)
        if made.flagged[0]:
            mask |= np.uint8(Mask.BAD)
        grid = recipe.grid
        return cls(item, row, grid.wavelength, grid.edges, made.values[0], error, mask, "", recipe)

    def cut(self, low: float, high: float) -> Shown | None:
        """The pixels that overlap a range of wavelengths in ångström; None where there is none."""
        first = max(int(np.searchsorted(self.edges, low, "right")) - 1, 0)
        last = min(int(np.searchsorted(self.edges, high, "left")), self.wavelength.size)
        if first >= last or high < self.edges[0] or low > self.edges[-1]:
            return None
        part = slice(first, last)
        return dataclasses.replace(
            self,
            wavelength=self.wavelength[part],
            edges=self.edges[first : last + 1],
            flux=self.flux[part],
            error=self.error[part],
            mask=self.mask[part],
        )


def _errors(ivar: NDArray[np.float32]) -> NDArray[np.float32]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(ivar > 0, 1.0 / np.sqrt(ivar), np.nan).astype(np.float32)


@functools.lru_cache(maxsize=512)
def unit_of(text: str, form: str = "vounit") -> str:
    """A unit of flux as VOUnits or FITS (`form` ``fits``) write it; empty for what is none, such as ``relative``."""
    from astropy import units

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for read in ("vounit", "fits", None):
            try:
                unit = units.Unit(text, format=read)
                text = "" if unit == units.dimensionless_unscaled else str(unit.to_string(form))
                return re.sub(r"^1e([+-]?\d+)", r"10**\1", text)
            except (ValueError, TypeError):  # not written so, or not to be written so
                continue
    return ""
