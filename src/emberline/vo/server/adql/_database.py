"""The database behind queries: views on the published files and nothing else, locked before any query is run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from emberline.vo.server.adql import _sphere
from emberline.vo.server.adql._scope import quoted
from emberline.vo.server.adql.tables import Table, TableSet

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["MACROS", "open_database"]

_VECTOR = ("cos(radians(d)) * cos(radians(a))", "cos(radians(d)) * sin(radians(a))", "sin(radians(d))")
_DOT = " + ".join(f"{part} * {axis}" for part, axis in zip(_VECTOR, "xyz", strict=True))

MACROS = {
    # Half the chord, squared: good at small angles, and cheap: what is constant is computed once.
    "adql_haversine(a, d, b, e)": (
        "TRY(pow(sin(radians(e - d) / 2), 2) + cos(radians(d)) * cos(radians(e)) * pow(sin(radians(b - a) / 2), 2))"
    ),
    # Vincenty's formula on the sphere: good at all angles.
    "adql_separation(a, d, b, e)": (
        "TRY(degrees(atan2(sqrt(pow(cos(radians(e)) * sin(radians(b - a)), 2)"
        " + pow(cos(radians(d)) * sin(radians(e)) - sin(radians(d)) * cos(radians(e)) * cos(radians(b - a)), 2)),"
        " sin(radians(d)) * sin(radians(e)) + cos(radians(d)) * cos(radians(e)) * cos(radians(b - a)))))"
    ),
    "adql_dot(a, d, x, y, z)": f"TRY({_DOT})",
    "adql_longitude(a)": "(a - 360 * floor(a / 360))",
    "adql_crosses(a, d, first, last, x, y, z)": (
        "CAST((CASE WHEN first <= last THEN adql_longitude(a) >= first AND adql_longitude(a) < last"
        " ELSE adql_longitude(a) >= first OR adql_longitude(a) < last END)"
        " AND adql_dot(a, d, x, y, z) < 0 AS INTEGER)"
    ),
    "adql_arc_distance(a, d, a1, d1, a2, d2, x, y, z, x1, y1, z1, x2, y2, z2)": (
        "CASE WHEN adql_dot(a, d, x1, y1, z1) >= 0 AND adql_dot(a, d, x2, y2, z2) >= 0"
        " THEN degrees(asin(least(1, abs(adql_dot(a, d, x, y, z)))))"
        " ELSE least(adql_separation(a, d, a1, d1), adql_separation(a, d, a2, d2)) END"
    ),
    # ADQL does not say what becomes of values outside a function's domain; one such row must not fail a query.
    "adql_ln(x)": "CASE WHEN x > 0 THEN ln(x) END",
    "adql_log10(x)": "CASE WHEN x > 0 THEN log10(x) END",
    "adql_sqrt(x)": "CASE WHEN x >= 0 THEN sqrt(x) END",
    "adql_asin(x)": "CASE WHEN abs(x) <= 1 THEN asin(x) END",
    "adql_acos(x)": "CASE WHEN abs(x) <= 1 THEN acos(x) END",
    "adql_sin(x)": "TRY(sin(x))",
    "adql_cos(x)": "TRY(cos(x))",
    "adql_tan(x)": "TRY(tan(x))",
    "adql_power(x, y)": "TRY(pow(x, y))",
    "adql_mod(x, y)": "CASE WHEN y <> 0 THEN x % y END",
    "adql_round(x, n)": "round(CAST(x AS DOUBLE), CAST(n AS INTEGER))",
    # Twice as long in each of thirty queries is more than any memory holds, and texts are not counted in its limit.
    "adql_joined(x, y)": (
        "CASE WHEN strlen(x) + strlen(y) > 10000 THEN error('a text of more than 10,000 characters') ELSE x || y END"
    ),
    "adql_truncate(x, n)": "(trunc(CAST(x AS DOUBLE) * pow(10, n)) / pow(10, n))",
}
"""What translated queries call, by signature."""

_CLOSED = (
    "SET enable_external_access = false",
    "SET python_enable_replacements = false",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET allow_community_extensions = false",
    "SET lock_configuration = true",
)
_HIDDEN = ("current_setting(x)", "getvariable(x)")
_HIDDEN_TABLES = (
    "duckdb_settings", "duckdb_views", "duckdb_tables", "duckdb_databases", "duckdb_functions", "duckdb_secrets",
    "duckdb_extensions", "duckdb_logs", "duckdb_temporary_files", "duckdb_external_file_cache", "query", "query_table",
)  # fmt: skip


def open_database(schema: TableSet, *, memory: str, threads: int, temporary: str | None) -> DuckDBPyConnection:
    """Open a database in memory with a view for each table, and lock it.

    Parameters
    ----------
    schema : TableSet
    memory : str
        For all queries together, as DuckDB writes sizes.
    threads : int
    temporary : str, optional
        A folder for what does not fit into memory; without one, such queries fail.
    """
    import duckdb

    connection = duckdb.connect(config={"threads": threads, "memory_limit": memory})
    connection.execute("SET temp_directory = ?", [temporary or ""])
    connection.execute("SET parquet_metadata_cache = true")
    for signature, body in MACROS.items():
        connection.execute(f"CREATE MACRO {signature} AS {body}")
    _create_functions(connection)
    for table in schema:
        _create(connection, table)
    for signature in _HIDDEN:
        connection.execute(f"CREATE MACRO {signature} AS error('not offered')")
    for name in _HIDDEN_TABLES:
        argument = "x" if name.startswith("query") else ""
        connection.execute(f"CREATE MACRO {name}({argument}) AS TABLE SELECT error('not offered') AS refused")
    paths = sorted({str(path) for table in schema for path in table.files})
    connection.execute("SET allowed_paths = ?", [paths])
    connection.execute("SET allowed_configs = ['operator_memory_limit']")
    for statement in _CLOSED:
        connection.execute(statement)
    return connection


def _create(connection: DuckDBPyConnection, table: Table) -> None:
    name = quoted(table.name.lower())
    if table.data is not None:
        connection.register("incoming", table.data)
        connection.execute(f"CREATE TABLE {name} AS SELECT * FROM incoming")
        connection.unregister("incoming")
        return
    files = ", ".join("'" + str(path).replace("'", "''") + "'" for path in table.files)
    select = table.select or f"SELECT * FROM read_parquet([{files}])"
    if table.resident:
        place = table.position
        hidden = [place.healpix] if place is not None and place.healpix not in ("", *table.by_name) else []
        columns = ", ".join(quoted(column) for column in (*table.by_name, *hidden))
        connection.execute(f"CREATE TABLE {name} AS SELECT {columns} FROM ({select})")
    else:
        connection.execute(f"CREATE VIEW {name} AS {select}")


def _create_functions(connection: DuckDBPyConnection) -> None:
    """Functions in Python, for the one thing that SQL cannot: HEALPix cells of positions without them."""
    from duckdb import sqltypes

    double, integer, bigint = sqltypes.DOUBLE, sqltypes.INTEGER, sqltypes.BIGINT
    import duckdb

    connection.create_function(
        "adql_cells", _cells, [double, double, integer], duckdb.list_type(bigint), type="arrow", null_handling="special"
    )
    connection.create_function(
        "adql_cell", _cell, [double, double, integer], bigint, type="arrow", null_handling="special"
    )


def _positions(ra: Any, dec: Any, depth: Any) -> tuple[Any, Any, int]:
    columns = [np.asarray(column.to_numpy(zero_copy_only=False), np.float64) for column in (ra, dec)]
    return columns[0], columns[1], int(depth[0].as_py()) if len(depth) else 0


def _cells(ra: Any, dec: Any, depth: Any) -> pa.Array:
    cells = _sphere.cells_around(*_positions(ra, dec, depth))
    offsets = pa.array(np.arange(0, cells.size + 1, 9, dtype=np.int32))
    return pa.ListArray.from_arrays(offsets, pa.array(cells.ravel()))


def _cell(ra: Any, dec: Any, depth: Any) -> pa.Array:
    return pa.array(_sphere.cell_of(*_positions(ra, dec, depth)))
