"""TAP_SCHEMA: the tables that describe all tables, themselves included, as rows in memory."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from emberline.vo.server.adql._reserved import RESERVED
from emberline.vo.server.adql.tables import Column, Key, Schema, Table, TableSet

__all__ = ["is_regular_name", "tap_schema", "written", "written_table"]

_TEXT = ("char", "*")
_INT = ("int", "")

_COLUMNS: dict[str, tuple[tuple[str, tuple[str, str], str], ...]] = {
    "schemas": (
        ("schema_name", _TEXT, "Name of the schema, as a query writes it"),
        ("utype", _TEXT, "Utype of a data model, if the schema follows one"),
        ("description", _TEXT, "What it holds"),
        ("schema_index", _INT, "Order in which to show the schemas"),
    ),
    "tables": (
        ("schema_name", _TEXT, "Schema that the table belongs to"),
        ("table_name", _TEXT, "Name of the table, as a query writes it"),
        ("table_type", _TEXT, "table or view"),
        ("utype", _TEXT, "Utype of a data model, if the table follows one"),
        ("description", _TEXT, "What a row is"),
        ("table_index", _INT, "Order in which to show the tables of a schema"),
    ),
    "columns": (
        ("table_name", _TEXT, "Table that the column belongs to"),
        ("column_name", _TEXT, "Name of the column, as a query writes it"),
        ("datatype", _TEXT, "Datatype, as in VOTable"),
        ("arraysize", _TEXT, "Arraysize, as in VOTable"),
        ("xtype", _TEXT, "Extended type, as in VOTable"),
        ("size", _INT, "Length of an array of fixed length; superseded by arraysize"),
        ("description", _TEXT, "What a value is"),
        ("utype", _TEXT, "Utype of a data model, if the column follows one"),
        ("unit", _TEXT, "Unit, as VOUnits writes it"),
        ("ucd", _TEXT, "Unified Content Descriptor"),
        ("indexed", _INT, "1 if a condition on the column is quick"),
        ("principal", _INT, "1 if it is one of the columns to show first"),
        ("std", _INT, "1 if a standard defines it"),
        ("column_index", _INT, "Order in which to show the columns of a table"),
    ),
    "keys": (
        ("key_id", _TEXT, "Identifier of the key"),
        ("from_table", _TEXT, "Table whose rows refer"),
        ("target_table", _TEXT, "Table whose rows are referred to"),
        ("description", _TEXT, "What the reference means"),
        ("utype", _TEXT, "Utype of the key"),
    ),
    "key_columns": (
        ("key_id", _TEXT, "Identifier of the key"),
        ("from_column", _TEXT, "Column of the table that refers"),
        ("target_column", _TEXT, "Column of the table referred to"),
    ),
}
_DESCRIPTIONS = {
    "schemas": "The schemas of this service",
    "tables": "The tables of this service",
    "columns": "The columns of all tables",
    "keys": "How tables refer to one another",
    "key_columns": "Which columns such references compare",
}
_KEYS = (
    Key("tap_schema.tables", "tap_schema.schemas", (("schema_name", "schema_name"),), "The schema of a table"),
    Key("tap_schema.columns", "tap_schema.tables", (("table_name", "table_name"),), "The table of a column"),
    Key("tap_schema.keys", "tap_schema.tables", (("from_table", "table_name"),), "The table that refers"),
    Key("tap_schema.keys", "tap_schema.tables", (("target_table", "table_name"),), "The table that is referred to"),
    Key("tap_schema.key_columns", "tap_schema.keys", (("key_id", "key_id"),), "The key of a pair of columns"),
)


def is_regular_name(name: str) -> bool:
    """Whether a query can write `name` without quotes."""
    return re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) is not None and name.upper() not in RESERVED


def written(name: str) -> str:
    """A name as a query writes it: quoted where it must be."""
    return name if is_regular_name(name) else '"' + name.replace('"', '""') + '"'


def written_table(table: Table) -> str:
    """The name of a table as a query writes it."""
    return f"{written(table.schema_name)}.{written(table.short_name)}"


def tap_schema(tables: TableSet) -> TableSet:
    """Add the five tables of TAP_SCHEMA to a set; uploads (schema ``tap_upload``) are not described."""
    described = [table for table in tables if table.schema_name.lower() != "tap_upload"]
    empty = [_table(name, []) for name in _COLUMNS]
    schema = Schema("tap_schema", "Tables that describe all tables, columns and keys of this service")
    everything = TableSet((*described, *empty), (*tables.schemas, schema), (*tables.keys, *_KEYS))
    rows: dict[str, list[tuple[Any, ...]]] = {
        "schemas": [
            (written(item.name), item.utype, item.description, index)
            for index, item in enumerate(everything.all_schemas())
        ],
        "tables": [
            (written(table.schema_name), written_table(table), table.kind, table.utype, table.description, index)
            for index, table in enumerate(everything)
        ],
        "columns": [row for table in everything for row in _column_rows(table)],
        "keys": [
            (f"key{index}", key.from_table, key.target_table, key.description, key.utype)
            for index, key in enumerate(everything.keys, 1)
        ],
        "key_columns": [(f"key{index}", *pair) for index, key in enumerate(everything.keys, 1) for pair in key.columns],
    }
    filled = [_table(name, rows[name]) for name in _COLUMNS]
    return TableSet((*tables.tables, *filled), everything.schemas, everything.keys)


def _column_rows(table: Table) -> Iterable[tuple[Any, ...]]:
    for index, column in enumerate(table.columns):
        size = int(column.arraysize) if column.arraysize.isdigit() else None
        yield (
            written_table(table),
            written(column.name),
            column.datatype,
            column.arraysize or None,
            column.xtype or None,
            size,
            column.description,
            column.utype or None,
            column.unit or None,
            column.ucd or None,
            int(column.indexed),
            int(column.principal),
            int(column.std),
            index,
        )


def _table(name: str, rows: Iterable[tuple[Any, ...]]) -> Table:
    described = _COLUMNS[name]
    values = list(zip(*rows, strict=True)) or [()] * len(described)
    arrays = [
        pa.array(column, pa.string() if kind == _TEXT else pa.int32())
        for column, (_, kind, _) in zip(values, described, strict=True)
    ]
    columns = tuple(
        Column(column, *kind, description=text, principal=True, std=True) for column, kind, text in described
    )
    data = pa.Table.from_arrays(arrays, names=[column.name for column in columns])
    return Table(f"tap_schema.{name}", columns, _DESCRIPTIONS[name], data=data, rows=len(data))
