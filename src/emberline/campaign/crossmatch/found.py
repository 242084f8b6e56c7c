"""What one catalogue has for each candidate, and the columns that it puts beside them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from emberline.archive.tables import columns_of

__all__ = ["Found", "columns_beside"]


@dataclasses.dataclass(frozen=True, eq=False)
class Found:
    """The nearest row of a catalogue for each of n positions.

    Attributes
    ----------
    place : ndarray of int64, shape (n,)
        The row of `columns`; -1 where nothing is within the radius.
    separation : ndarray of float64, shape (n,)
        Arcseconds; NaN where nothing was found.
    matches : ndarray of int64, shape (n,)
        How many rows of the catalogue lie within the radius.
    columns : pyarrow.Table
        What the catalogue says of the rows that were found.
    moved : bool
        Proper motions were taken into account.
    """

    place: NDArray[np.int64]
    separation: NDArray[np.float64]
    matches: NDArray[np.int64]
    columns: pa.Table
    moved: bool = False

    @classmethod
    def nothing(cls, size: int) -> Found:
        """For positions about which nothing is known."""
        return cls(np.full(size, -1), np.full(size, np.nan), np.zeros(size, np.int64), pa.table({}))

    @property
    def is_there(self) -> NDArray[np.bool_]:
        """Which positions have a match, shape (n,)."""
        return self.place >= 0

    @property
    def ambiguous(self) -> NDArray[np.bool_]:
        """Which have more than one, shape (n,)."""
        return self.matches > 1

    def texts(self, name: str) -> list[str | None]:
        """A column of the catalogue for each position, as text."""
        at = pa.array(self.place, mask=~self.is_there)
        texts: list[str | None] = self.columns[name].cast(pa.string()).take(at).to_pylist()
        return texts


def columns_beside(name: str, found: Found, radius_arcsec: float) -> tuple[list[pa.Field], list[pa.Array]]:
    """The columns that a catalogue puts beside the candidates, each called by the catalogue and the column.

    Units, UCDs and descriptions of the catalogue stay; a position is no longer the main one of the table. Then come
    ``<name>_sep``, the separation, ``<name>_matches``, how many lie within the radius, and ``<name>_ambiguous``.
    """
    fields, arrays = [], []
    at = pa.array(found.place, mask=~found.is_there)
    described = {column.name: column for column in columns_of(found.columns.schema)}
    for field in found.columns.schema:
        said = described[field.name]
        words = {"unit": said.unit, "ucd": said.ucd.replace(";meta.main", ""), "description": said.description}
        array = _writable(found.columns[field.name].combine_chunks()).take(at)
        metadata = {key: value for key, value in words.items() if value}
        fields.append(pa.field(f"{name}_{field.name}", array.type, metadata=metadata))
        arrays.append(array)
    apart, several = (
        "Separation at the epoch of the spectrum",
        "More than one row within the radius: this is the nearest",
    )
    own = (
        ("sep", pa.array(found.separation, from_pandas=True), "arcsec", "pos.angDistance", apart),
        ("matches", pa.array(found.matches, pa.int32()), "", "meta.number", f"Rows within {radius_arcsec:g} arcsec"),
        ("ambiguous", pa.array(found.ambiguous), "", "meta.code.qual", several),
    )
    for suffix, array, unit, ucd, description in own:
        words = {"unit": unit, "ucd": ucd, "description": description}
        fields.append(pa.field(f"{name}_{suffix}", array.type, metadata={k: v for k, v in words.items() if v}))
        arrays.append(array)
    return fields, arrays


def _writable(column: pa.Array) -> pa.Array:
    """As text, numbers or booleans: what every format of candidates can hold."""
    kinds = pa.types
    if kinds.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if kinds.is_uint64(column.type):
        return column.cast(pa.float64(), safe=False)
    if kinds.is_decimal(column.type) or kinds.is_float16(column.type):
        return column.cast(pa.float64())
    plain = kinds.is_integer(column.type) or kinds.is_floating(column.type) or kinds.is_boolean(column.type)
    return column if plain or kinds.is_string(column.type) else column.cast(pa.string())
