"""Queries: SELECT with its clauses, set operations and WITH, each compiled to DuckDB's SQL."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from sqlglot import exp

from emberline.vo.server.adql._expressions import condition, value_of
from emberline.vo.server.adql._from import compile_from, where_of
from emberline.vo.server.adql._scope import Scope, Source, nearest, quoted, same_name
from emberline.vo.server.adql._values import Context, Value
from emberline.vo.server.adql.tables import Column, Position

__all__ = ["Compiled", "compile_query"]


@dataclasses.dataclass(frozen=True)
class Output:
    """One column that a query gives."""

    name: str
    kind: str
    meta: Column
    source: Source | None = None
    column: str = ""


@dataclasses.dataclass(frozen=True)
class Compiled:
    """A query as SQL, and its columns."""

    sql: str
    columns: tuple[Output, ...]

    def as_source(self, context: Context, name: str, sql: str | None = None) -> Source:
        """This query as a table in FROM."""
        columns = tuple(dataclasses.replace(output.meta, name=output.name) for output in self.columns)
        names = (name,) if name else ()
        return Source(context.alias(), sql or f"({self.sql})", names, columns, self._position())

    def _position(self) -> Position | None:
        """The position of a table whose columns pass through unchanged."""
        by_origin = {(id(output.source), output.column): output.name for output in self.columns if output.source}
        for source in {id(output.source): output.source for output in self.columns if output.source}.values():
            place = source.position
            if place is None:
                continue
            found = [by_origin.get((id(source), name)) for name in (place.ra, place.dec, place.healpix)]
            if found[0] and found[1]:
                return Position(found[0], found[1], found[2] or "")
        return None


def compile_query(context: Context, parent: Scope | None, node: exp.Expr, limit: int | None = None) -> Compiled:
    """Compile a SELECT, a set operation or a query in parentheses.

    Parameters
    ----------
    context : Context
    parent : Scope, optional
        The query around this one, whose columns it may use.
    node : sqlglot.exp.Expr
    limit : int, optional
        At most so many rows, whatever TOP says.
    """
    scope = Scope(parent)
    queries = _with(context, scope, node)
    if isinstance(node, exp.Select):
        result = _select(context, scope, node, limit)
    elif isinstance(node, (exp.Union, exp.Except, exp.Intersect)):
        result = _set_operation(context, scope, node, limit)
    elif isinstance(node, exp.Subquery):
        result = _wrapped(context, scope, node, limit)
    else:
        raise context.refuse(node, "this is no query", found=type(node).__name__.upper(), expected="SELECT")
    return dataclasses.replace(result, sql=_with_sql(queries) + result.sql)


def _with_sql(queries: Sequence[tuple[Source, str]]) -> str:
    """A query that is used twice is run once; else a chain of them, each used twice by the next, would never end."""
    parts = []
    for source, sql in queries:
        names = ", ".join(quoted(column.name) for column in source.columns)
        parts.append(f"{source.sql}({names}) AS {'MATERIALIZED ' if source.uses > 1 else ''}({sql})")
    return f"WITH {', '.join(parts)} " if parts else ""


def _with(context: Context, scope: Scope, node: exp.Expr) -> list[tuple[Source, str]]:
    """WITH: each query may use those before it."""
    clause = node.args.get("with_")
    if clause is None:
        return []
    context.only(clause, "expressions")
    parts: list[tuple[Source, str]] = []
    for item in clause.expressions:
        context.only(item, "this", "alias")
        context.only(item.args["alias"], "this", "columns")
        name = item.alias
        if name.lower() in scope.ctes:
            raise context.refuse(item, "two queries in WITH have this name", found=name)
        compiled = compile_query(context, scope, item.this)
        written = item.args["alias"].args.get("columns") or []
        compiled = _renamed(context, item, compiled, [column.name for column in written])
        label = f"w{context.alias()}"
        scope.ctes[name.lower()] = compiled.as_source(context, name, sql=label)
        parts.append((scope.ctes[name.lower()], compiled.sql))
    return parts


def _renamed(context: Context, node: exp.Expr, compiled: Compiled, names: list[str]) -> Compiled:
    if not names:
        return compiled
    if len(names) != len(compiled.columns) or len({name.lower() for name in names}) != len(names):
        raise context.refuse(node, "the names of the columns do not fit", found=f"{len(names)} names")
    outputs = [dataclasses.replace(output, name=name) for output, name in zip(compiled.columns, names, strict=True)]
    return dataclasses.replace(compiled, columns=tuple(outputs))


def _wrapped(context: Context, scope: Scope, node: exp.Subquery, limit: int | None) -> Compiled:
    """A query in parentheses, which may have been given an order."""
    context.only(node, "this", "with_", "order", "offset", "limit")
    inner = compile_query(context, scope, node.this)
    if not (limit is not None or node.args.get("order") or node.args.get("offset") or node.args.get("limit")):
        return inner
    tail = _tail(context, scope, node, inner.columns, None) + _limit(context, node, limit)
    return dataclasses.replace(inner, sql=f"SELECT * FROM ({inner.sql}){tail}")


def _set_operation(context: Context, scope: Scope, node: exp.SetOperation, limit: int | None) -> Compiled:
    context.only(node, "this", "expression", "distinct", "with_", "order", "offset", "limit")
    left, right = (compile_query(context, scope, part) for part in (node.this, node.expression))
    word = type(node).__name__.upper()
    if len(left.columns) != len(right.columns):
        raise context.refuse(
            node.expression,
            f"both sides of {word} give the same columns",
            found=f"{len(left.columns)} and {len(right.columns)}",
        )
    kinds = [(one.kind, other.kind) for one, other in zip(left.columns, right.columns, strict=True)]
    for one, other in kinds:
        if one != other and "any" not in (one, other) and {one, other} not in ({"time", "text"}, {"boolean", "number"}):
            raise context.refuse(node.expression, f"the columns of {word} do not fit", found=f"{one} and {other}")
    every = "" if node.args.get("distinct") else " ALL"
    sql = f"({left.sql}) {word}{every} ({right.sql})"
    outputs = tuple(dataclasses.replace(output, source=None) for output in left.columns)
    tail = _tail(context, scope, node, outputs, None)
    return Compiled(f"SELECT * FROM ({sql}){tail}{_limit(context, node, limit)}", outputs)


_MOST_COLUMNS = 2_000
_CLAUSES = (
    "expressions",
    "distinct",
    "from_",
    "joins",
    "where",
    "group",
    "having",
    "order",
    "limit",
    "offset",
    "with_",
)


def _select(context: Context, scope: Scope, node: exp.Select, limit: int | None) -> Compiled:
    context.only(node, *_CLAUSES)
    distinct = node.args.get("distinct")
    if distinct is not None:
        context.only(distinct)
    tables = compile_from(context, scope, node)
    values = [pair for item in node.expressions for pair in _projected(context, scope, item)]
    if not values:
        raise context.refuse(node, "SELECT takes at least one column")
    if len(values) > _MOST_COLUMNS:
        raise context.refuse(
            node, "there are too many columns", found=f"{len(values):,}", expected=f"at most {_MOST_COLUMNS:,}"
        )
    outputs = _outputs(context, values)
    where = where_of(context, scope, node, tables)
    group, having = _group(context, scope, node), _having(context, scope, node)
    tail = _tail(context, scope, node, outputs, values)
    columns = ", ".join(
        f"{value.sql} AS {quoted(output.name)}" for (_, value), output in zip(values, outputs, strict=True)
    )
    start = "SELECT DISTINCT" if distinct is not None else "SELECT"
    source = f" FROM {tables.sql()}" if node.args.get("from_") else ""
    sql = f"{start} {columns}{source}{where}{group}{having}{tail}{_limit(context, node, limit)}"
    return Compiled(sql, tuple(outputs))


def _projected(context: Context, scope: Scope, item: exp.Expr) -> list[tuple[str, Value]]:
    """What one element of the list after SELECT stands for, with the name it would like."""
    if isinstance(item, exp.Star):
        context.only(item)
        if not scope.columns:
            raise context.refuse(item, "* needs a table", expected="FROM …")
        return list(scope.columns)
    if isinstance(item, exp.Column) and isinstance(item.this, exp.Star):
        context.only(item, "this", "table", "db", "catalog")
        context.only(item.this)
        source = scope.source(context, item, [part for part in item.parts[:-1] if isinstance(part, exp.Identifier)])
        return [(column.name, source.value(column)) for column in source.columns]
    if isinstance(item, exp.Alias):
        context.only(item, "this", "alias")
        alias = item.args["alias"]
        if not isinstance(alias, exp.Identifier):
            raise context.refuse(item, "this is no name for a column")
        return [(alias.name, value_of(context, scope, item.this))]
    value = value_of(context, scope, item)
    return [(value.column or (value.meta.name if value.meta and value.meta.name else "value"), value)]


def _outputs(context: Context, values: Sequence[tuple[str, Value]]) -> list[Output]:
    """Columns with names of which no two are alike."""
    taken: set[str] = set()
    outputs = []
    for name, value in values:
        unique, number = name, 1
        while unique.lower() in taken:
            number += 1
            unique = f"{name}_{number}"
        taken.add(unique.lower())
        meta = value.meta or Column(
            unique, "char" if value.kind in ("text", "any") else "double", "*" if value.kind in ("text", "any") else ""
        )
        outputs.append(Output(unique, value.kind, dataclasses.replace(meta, name=unique), value.source, value.column))
    return outputs


def _group(context: Context, scope: Scope, node: exp.Select) -> str:
    clause = node.args.get("group")
    if clause is None:
        return ""
    context.only(clause, "expressions")
    return " GROUP BY " + ", ".join(_grouped(context, scope, node, item) for item in clause.expressions)


def _grouped(context: Context, scope: Scope, node: exp.Select, item: exp.Expr) -> str:
    """A column or an expression; not a number, which would be a constant here and a position elsewhere."""
    if isinstance(item, exp.Literal):
        raise context.refuse(item, "GROUP BY takes columns or expressions", found=str(item.this))
    return value_of(context, scope, item).sql


def _having(context: Context, scope: Scope, node: exp.Select) -> str:
    clause = node.args.get("having")
    if clause is None:
        return ""
    context.only(clause, "this")
    return f" HAVING {condition(context, scope, clause.this).sql}"


def _tail(
    context: Context,
    scope: Scope,
    node: exp.Expr,
    outputs: Sequence[Output],
    values: Sequence[tuple[str, Value]] | None,
) -> str:
    """ORDER BY: a position, a column of the result, or, within a SELECT, an expression."""
    clause = node.args.get("order")
    if clause is None:
        return ""
    context.only(clause, "expressions")
    terms = []
    for item in clause.expressions:
        if not isinstance(item, exp.Ordered) or item.args.get("nulls_first"):
            raise context.refuse(item, "ORDER BY takes columns with ASC or DESC")
        context.only(item, "this", "desc")
        terms.append(_ordered(context, scope, item.this, outputs, values) + (" DESC" if item.args.get("desc") else ""))
    return " ORDER BY " + ", ".join(f"{term} NULLS LAST" for term in terms)


def _ordered(
    context: Context,
    scope: Scope,
    item: exp.Expr,
    outputs: Sequence[Output],
    values: Sequence[tuple[str, Value]] | None,
) -> str:
    names = [output.name for output in outputs]
    if isinstance(item, exp.Literal):
        text = str(item.this)
        if item.is_string or not text.isdigit() or not 1 <= int(text[:6]) <= len(names):
            raise context.refuse(item, "there is no such column to order by", found=text, expected=f"1 … {len(names)}")
        return str(int(text))
    if isinstance(item, exp.Column) and isinstance(item.this, exp.Identifier) and not item.args.get("table"):
        found = [index for index, name in enumerate(names, 1) if same_name(name, item.this)]
        if found:
            return str(found[0])
        if values is None:
            raise context.refuse(
                item, "there is no such column in the result", found=item.name, expected=nearest(item.name, names)
            )
    if values is None:
        raise context.refuse(item, "after a set operation, ORDER BY takes columns of the result")
    value = value_of(context, scope, item)
    same = [index for index, (_, other) in enumerate(values, 1) if other.sql == value.sql]
    return str(same[0]) if same else f"({value.sql} + 0)" if value.constant is not None else value.sql


def _limit(context: Context, node: exp.Expr, limit: int | None) -> str:
    """TOP and OFFSET, and the limit that is imposed."""
    counts = {}
    for name in ("limit", "offset"):
        clause = node.args.get(name)
        if clause is None:
            continue
        context.only(clause, "expression")
        if name == "limit" and not clause.meta.get("top"):
            raise context.refuse(clause, "ADQL limits rows with TOP", expected="SELECT TOP n …")
        number = clause.expression
        if not isinstance(number, exp.Literal) or number.is_string or not str(number.this).isdigit():
            raise context.refuse(clause, "TOP and OFFSET take a whole number")
        counts[name] = min(int(str(number.this)[:19]), 2**62)
    rows = min((count for count in (counts.get("limit"), limit) if count is not None), default=None)
    sql = f" LIMIT {rows}" if rows is not None else ""
    return sql + (f" OFFSET {counts['offset']}" if "offset" in counts else "")
