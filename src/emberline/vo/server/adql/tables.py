"""What can be queried: tables with described columns, where their rows are, and where their positions are."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Column", "Key", "Position", "Region", "Schema", "Table", "TableSet", "datatype_of"]


@dataclasses.dataclass(frozen=True)
class Column:
    """A column as a client sees it.

    Attributes
    ----------
    name : str
    datatype, arraysize, xtype : str
        VOTable's; ``char`` with ``*`` is a text.
    unit, ucd, utype, description : str
    principal, std, indexed : bool
        As in ``TAP_SCHEMA.columns``.
    """

    name: str
    datatype: str
    arraysize: str = ""
    xtype: str = ""
    unit: str = ""
    ucd: str = ""
    utype: str = ""
    description: str = ""
    principal: bool = False
    std: bool = False
    indexed: bool = False


@dataclasses.dataclass(frozen=True)
class Position:
    """Columns that place a row on the sky.

    Attributes
    ----------
    ra, dec : str
        ICRS degrees.
    healpix : str
        HEALPix pixel (nested, order 29) by which the files are sorted; empty when there is none. It may be a column
        of the files that is not published.
    """

    ra: str
    dec: str
    healpix: str = ""


@dataclasses.dataclass(frozen=True)
class Region:
    """A column such as ``s_region`` that stands for a circle in geometry functions.

    Attributes
    ----------
    column : str
    ra, dec : str
        Columns with the centre.
    radius : float
        Degrees.
    """

    column: str
    ra: str
    dec: str
    radius: float


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """A table: its description, and one source of rows.

    Attributes
    ----------
    name : str
        With its schema, ``ivoa.obscore``.
    columns : tuple of Column
    description, utype : str
    kind : str
        ``table`` or ``view``.
    position : Position, optional
    regions : tuple of Region
    files : tuple of Path
        Parquet files; the only files that the database may open.
    select : str
        Trusted SQL of the view; by default all columns of the files.
    data : pyarrow.Table, optional
        The rows themselves, instead of files: uploads and TAP_SCHEMA.
    resident : bool
        Copy the rows into memory when a runner opens: queries take about half the time, but a file that is replaced
        later is seen by the next runner only.
    rows : int
        About how many, for the choice of how to join; 0 when not known.
    """

    name: str
    columns: tuple[Column, ...]
    description: str = ""
    utype: str = ""
    kind: str = "table"
    position: Position | None = None
    regions: tuple[Region, ...] = ()
    files: tuple[Path, ...] = ()
    select: str = ""
    data: pa.Table | None = None
    resident: bool = False
    rows: int = 0

    @property
    def schema_name(self) -> str:
        """The part before the first point."""
        return self.name.partition(".")[0]

    @property
    def short_name(self) -> str:
        """The part after the first point."""
        return self.name.partition(".")[2]

    @functools.cached_property
    def by_name(self) -> Mapping[str, Column]:
        """The columns by their exact names."""
        return {column.name: column for column in self.columns}

    @classmethod
    def of_arrow(cls, name: str, data: pa.Table, **keywords: Any) -> Table:
        """A table of rows in memory, described by its Arrow fields and their metadata (unit, ucd, description …)."""
        columns = tuple(_column_of(field) for field in data.schema)
        return cls(name=name, columns=columns, data=data, rows=len(data), **keywords)


@dataclasses.dataclass(frozen=True)
class Schema:
    """A named group of tables."""

    name: str
    description: str = ""
    utype: str = ""


@dataclasses.dataclass(frozen=True)
class Key:
    """How the rows of one table refer to those of another."""

    from_table: str
    target_table: str
    columns: tuple[tuple[str, str], ...]
    description: str = ""
    utype: str = ""


@dataclasses.dataclass(frozen=True, eq=False)
class TableSet:
    """All tables that one query may name.

    Attributes
    ----------
    tables : tuple of Table
    schemas : tuple of Schema
        Descriptions; a schema without one needs not be listed.
    keys : tuple of Key
    """

    tables: tuple[Table, ...]
    schemas: tuple[Schema, ...] = ()
    keys: tuple[Key, ...] = ()

    def __post_init__(self) -> None:
        names = [table.name.lower() for table in self.tables]
        twice = {name for name in names if names.count(name) > 1 or "." not in name}
        if twice:
            raise ValueError(f"names of tables must be schema.table, each once: {sorted(twice)}")
        for table in self.tables:
            columns = [column.name.lower() for column in table.columns]
            if len(set(columns)) != len(columns):
                raise ValueError(f"{table.name}: a column is there twice")

    def __iter__(self) -> Iterator[Table]:
        return iter(self.tables)

    @functools.cached_property
    def by_name(self) -> Mapping[str, Table]:
        """The tables by their names in lower case."""
        return {table.name.lower(): table for table in self.tables}

    def with_tables(self, tables: Iterable[Table]) -> TableSet:
        """This set and more, such as uploads."""
        return dataclasses.replace(self, tables=(*self.tables, *tables))

    def with_tap_schema(self) -> TableSet:
        """This set and the five tables of TAP_SCHEMA, which describe themselves too."""
        from emberline.vo.server.adql.tap_schema import tap_schema

        return tap_schema(self)

    def all_schemas(self) -> list[Schema]:
        """The schemas of all tables, in the order in which they first occur."""
        described = {schema.name.lower(): schema for schema in self.schemas}
        names = dict.fromkeys(table.schema_name for table in self.tables)
        return [described.get(name.lower(), Schema(name)) for name in names]


_DATATYPES = {
    "bool": "boolean",
    "uint8": "unsignedByte",
    "int8": "short",
    "int16": "short",
    "uint16": "int",
    "int32": "int",
    "uint32": "long",
    "int64": "long",
    "uint64": "long",
    "float": "float",
    "halffloat": "float",
    "double": "double",
}


def datatype_of(kind: pa.DataType) -> tuple[str, str, str]:
    """VOTable's datatype, arraysize and xtype of an Arrow type."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if str(kind) in _DATATYPES:
        return _DATATYPES[str(kind)], "", ""
    if pa.types.is_decimal(kind):
        return "double", "", ""
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return "char", "*", "timestamp"
    if pa.types.is_fixed_size_list(kind):
        return datatype_of(kind.value_type)[0], str(kind.list_size), ""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return datatype_of(kind.value_type)[0], "*", ""
    if pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return "unsignedByte", "*", ""
    return "char", "*", ""


def _column_of(field: pa.Field) -> Column:
    meta = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
    datatype, arraysize, xtype = datatype_of(field.type)
    words = {key: meta.get(key, "") for key in ("unit", "ucd", "utype", "description")}
    return Column(field.name, datatype, arraysize, meta.get("xtype", xtype), **words)
