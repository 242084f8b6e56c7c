"""Names in a query: which table in FROM, and which of its columns, a name stands for."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable

from sqlglot import exp

from emberline.vo.server.adql._values import Context, Value
from emberline.vo.server.adql.tables import Column, Position, Region, Table

__all__ = ["Scope", "Source", "find_table", "kind_of", "nearest", "quoted", "same_name"]


@dataclasses.dataclass
class Source:
    """A table in FROM under its internal alias; `sql` may still be rewritten for a join by position."""

    alias: str
    sql: str
    names: tuple[str, ...]
    columns: tuple[Column, ...]
    position: Position | None = None
    regions: tuple[Region, ...] = ()
    table: Table | None = None
    expanded: bool = False
    uses: int = 0

    def value(self, column: Column) -> Value:
        """A column of this table."""
        sql = f"{self.alias}.{quoted(column.name)}"
        return Value(sql, kind_of(column), column, source=self, column=column.name)


@dataclasses.dataclass
class Scope:
    """The tables that one SELECT sees, the WITH queries, and the scope around it.

    Attributes
    ----------
    sources : list of Source
    columns : list of tuple of str and Value
        What ``*`` stands for: columns of NATURAL and USING joins are there once.
    """

    parent: Scope | None = None
    ctes: dict[str, Source] = dataclasses.field(default_factory=dict)
    sources: list[Source] = dataclasses.field(default_factory=list)
    columns: list[tuple[str, Value]] = dataclasses.field(default_factory=list)

    def cte(self, name: str) -> Source | None:
        """A WITH query of this name, here or around."""
        found = self.ctes.get(name.lower())
        return found if found is not None or self.parent is None else self.parent.cte(name)

    def source(self, context: Context, node: exp.Expr, parts: list[exp.Identifier]) -> Source:
        """The table in FROM that a qualifier names."""
        written = ".".join(part.name for part in parts)
        scope: Scope | None = self
        while scope is not None:
            found = [source for source in scope.sources if _is_called(source, parts)]
            if len(found) == 1:
                return found[0]
            if found:
                raise context.refuse(node, "two tables have this name", found=written, action="Give them aliases.")
            scope = scope.parent
        names = [source.names[-1] for source in self.sources if source.names]
        raise context.refuse(node, "there is no such table in FROM", found=written, expected=nearest(written, names))

    def resolve(self, context: Context, node: exp.Column) -> Value:
        """The column that a reference names."""
        context.only(node, "this", "table", "db", "catalog")
        name = node.this
        if not isinstance(name, exp.Identifier):
            raise context.refuse(node, "* is no value", found="*")
        qualifier = [part for part in node.parts[:-1] if isinstance(part, exp.Identifier)]
        if qualifier:
            source = self.source(context, node, qualifier)
            found = [column for column in source.columns if same_name(column.name, name)]
            if len(found) != 1:
                raise _unknown(context, node, name, [column.name for column in source.columns], bool(found))
            return source.value(found[0])
        scope: Scope | None = self
        while scope is not None:
            values = [value for label, value in scope.columns if same_name(label, name)]
            if len(values) == 1:
                return values[0]
            if values:
                raise _unknown(context, node, name, [], True)
            scope = scope.parent
        raise _unknown(context, node, name, [label for label, _ in self.columns], False)


def _unknown(context: Context, node: exp.Expr, name: exp.Identifier, known: list[str], several: bool) -> Exception:
    if several:
        return context.refuse(
            node, "several tables have this column", found=name.name, action="Write the table before it: t.column."
        )
    return context.refuse(node, "there is no such column", found=name.name, expected=nearest(name.name, known))


def same_name(name: str, written: exp.Identifier) -> bool:
    """Quoted names are compared exactly, others without regard to case."""
    return name == written.name if written.quoted else name.lower() == written.name.lower()


def _is_called(source: Source, parts: list[exp.Identifier]) -> bool:
    if not source.names or len(parts) > len(source.names):
        return False
    names = source.names[len(source.names) - len(parts) :]
    return all(
        same_name(name, part) or (source.table is not None and name.lower() == part.name.lower())
        for name, part in zip(names, parts, strict=True)
    )


def nearest(written: str, known: Iterable[str]) -> str:
    """What may have been meant, for an error message."""
    known = list(known)
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(written.lower()[:100], by_lower, n=1, cutoff=0.5)
    if close:
        return f"perhaps {by_lower[close[0]]}"
    listed = ", ".join(known[:8]) + (" …" if len(known) > 8 else "")
    return f"one of {listed}" if listed else ""


def find_table(context: Context, node: exp.Table) -> Table:
    """The table of the set that a FROM clause names, with or without its schema."""
    parts = [part for part in node.parts if isinstance(part, exp.Identifier)]
    if len(parts) != len(node.parts) or not parts:
        raise context.refuse(node, "a table is named schema.table", found=type(node.this).__name__)
    written = ".".join(part.name for part in parts)
    wanted = [part.name.lower() for part in parts[-2:]]
    found = [
        table
        for table in context.schema
        if [table.schema_name.lower(), table.short_name.lower()][-len(wanted) :] == wanted
    ]
    if len(parts) > 2:
        found = []
    if len(found) != 1:
        message = "several schemas have this table" if found else "there is no such table"
        names = [table.name for table in found or context.schema]
        raise context.refuse(node, message, found=written, expected=nearest(written, names))
    return found[0]


def quoted(name: str) -> str:
    """A name as DuckDB's SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def kind_of(column: Column) -> str:
    """The kind of a column's values."""
    if column.xtype in ("point", "circle", "polygon"):
        return column.xtype
    if column.xtype == "timestamp":
        return "time"
    if column.datatype in ("char", "unicodeChar"):
        return "text"
    if column.arraysize not in ("", "1"):
        return "array"
    return "boolean" if column.datatype == "boolean" else "number"
