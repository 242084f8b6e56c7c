"""Read a table from a file of any common format."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from emberline.vo.client.samp.documents import read_table, table_format
from emberline.vo.client.samp.errors import SampError

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["read_file"]


def read_file(path: Path | str) -> Table:
    """A table from a VOTable, FITS, CSV, ECSV or Parquet file, by the ending of its name.

    Raises
    ------
    SampError
        The file is not there, has another ending, or is not what its ending says.
    """
    path = Path(path)
    if not path.is_file():
        raise SampError("there is no such file", where=str(path))
    form = table_format(path)
    if form:
        return read_table(path.read_bytes(), form, str(path))
    suffix = path.suffix.lower()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if suffix in (".csv", ".ecsv"):
                return _text(path, f"ascii{suffix}")
            if suffix == ".parquet":
                return _parquet(path)
    except Exception as error:  # readers raise what they like
        raise SampError(f"is no table: {str(error)[:200]}", where=str(path)) from error
    raise SampError(
        "is no table that can be read", where=str(path), expected="a .vot, .xml, .fits, .csv, .ecsv or .parquet file"
    )


def _text(path: Path, form: str) -> Table:
    from astropy.table import Table

    # Identifiers of digits stay what they are: nothing is lost of a leading zero.
    converters = {"*": str} if form == "ascii.csv" else {}
    table = Table.read(path, format=form, **({"converters": converters} if converters else {}))
    return _numbers(table) if converters else table


def _numbers(table: Table) -> Table:
    """Turn columns of numbers into numbers, except those that name something."""
    import numpy as np

    for name in table.colnames:
        values = np.ma.filled(np.ma.asarray(table[name]), "").astype(np.str_)
        if any(len(text) > 1 and text.startswith("0") and text.isdigit() for text in values.tolist()):
            continue
        try:
            numbers = np.array([float(text) if text.strip() else np.nan for text in values.tolist()])
        except ValueError:
            continue
        if not all(text.strip().isdigit() for text in values.tolist()):
            table[name] = numbers
    return table


def _parquet(path: Path) -> Table:
    import pyarrow.parquet as pq
    from astropy.table import Table

    found = pq.read_table(path)
    return Table({name: found[name].to_numpy(zero_copy_only=False) for name in found.column_names})
