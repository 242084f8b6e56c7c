"""Rows of a catalogue by a condition in SQL, which may come from somebody else: it sees that one and nothing more.

DuckDB answers. One that is closed takes longer to start than most questions take, so that the last ones are kept, each
for one file as it was: another catalogue under the same name gets another.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from emberline.archive.parts import NamingTheFile
from emberline.archive.schema import CATALOGUE_SCHEMA
from emberline.engine.memory import is_want_of_memory
from emberline.errors import ArchiveError

if TYPE_CHECKING:
    import duckdb

__all__ = ["filtered"]

_NUMBER = "file_row_number"
"""DuckDB's name for where in the file a row stands."""


def filtered(path: Path, columns: Sequence[str], where: str) -> pa.Table:
    """Some columns of the rows of the catalogue `path` for which a condition holds, in the catalogue's order.

    Raises
    ------
    ArchiveError
        There is no such column, the condition is no SQL, memory ran out, or the file is damaged.
    """
    import duckdb

    unknown = [name for name in columns if name not in CATALOGUE_SCHEMA.names]
    if unknown:
        raise ArchiveError(
            "there is no such column", where=str(path), found=unknown[0], expected=", ".join(CATALOGUE_SCHEMA.names)
        )
    names, file = ", ".join(f'"{name}"' for name in columns), os.path.abspath(path)
    query = f"SELECT {names}, {_NUMBER} FROM read_parquet({_quoted(file)}) AS catalogue WHERE (\n{where}\n)"
    try:
        with _asked_of(file) as connection:
            statements = connection.extract_statements(query)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise duckdb.ParserException("it is more than a condition")
            table = connection.sql(query).to_arrow_table()
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        _closed.cache_clear()  # whatever state it is in
        if is_want_of_memory(error):
            raise ArchiveError(
                "memory ran out", where=str(path), action="Close other programs, or ask for fewer rows or columns."
            ) from error
        with NamingTheFile(path):  # or else the file is to blame
            pq.read_metadata(path)
        raise ArchiveError(
            f"the condition cannot be used: {str(error).splitlines()[0]}",
            where=where,
            action=f"Use SQL on the columns {', '.join(CATALOGUE_SCHEMA.names)}.",
        ) from error
    # The file is in the order of HEALPix and identifier, and a scan keeps it; a join in the condition may not.
    if (np.diff(table[_NUMBER].to_numpy()) < 0).any():
        table = table.sort_by(_NUMBER)
    schema = pa.schema([CATALOGUE_SCHEMA.field(name) for name in columns], metadata=CATALOGUE_SCHEMA.metadata)
    return table.select(range(len(columns))).cast(schema)


def _quoted(text: str) -> str:
    """A string of SQL."""
    return "'" + text.replace("'", "''") + "'"


def _asked_of(file: str) -> duckdb.DuckDBPyConnection:
    """A connection of its own, for threads, to the DuckDB that sees this file as it is now."""
    found = os.stat(file)
    return _closed(file, found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size, os.getpid()).cursor()


@functools.lru_cache(maxsize=4)
def _closed(file: str, *as_it_is: int) -> duckdb.DuckDBPyConnection:
    import duckdb

    connection = duckdb.connect()
    # Of the columns that are asked for only some pages are read: those of the rows that are found.
    connection.execute("SET disable_parquet_prefetching = true")
    # The system's own cache is enough, and never of another file.
    connection.execute("SET enable_external_file_cache = false")
    # A condition may come from somebody else's campaign: it sees this file and no other, and asks only.
    connection.execute(f"SET allowed_paths = [{_quoted(file)}]; SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection
