"""FROM and WHERE: tables, joins, and joins by position, which become joins on HEALPix cells."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from sqlglot import exp

from emberline.archive.catalogue import HEALPIX_ORDER
from emberline.vo.server.adql import _sphere
from emberline.vo.server.adql._expressions import condition, conjuncts
from emberline.vo.server.adql._scope import Scope, Source, find_table, nearest, quoted, same_name
from emberline.vo.server.adql._values import Context, Point, SpatialJoin, Value

__all__ = ["Tables", "compile_from", "where_of"]

_MOST_TABLES = 32
Columns = list[tuple[str, Value]]


@dataclasses.dataclass
class Tables:
    """What stands after FROM; SQL is made of it last, since a condition may still change a table."""

    parts: list[str | Source] = dataclasses.field(default_factory=list)
    inner: bool = True
    conditions: list[str] = dataclasses.field(default_factory=list)

    def sql(self) -> str:
        """The clause without the word FROM."""
        return "".join(part if isinstance(part, str) else f"{part.sql} AS {part.alias}" for part in self.parts)


def compile_from(context: Context, scope: Scope, node: exp.Select) -> Tables:
    """Compile FROM with its joins; the scope knows its tables and columns afterwards."""
    tables = Tables()
    clause = node.args.get("from_")
    if clause is None:
        return tables
    context.only(clause, "this")
    tables.inner = not any(join.args.get("side") for join in node.find_all(exp.Join) if join.parent_select is node)
    scope.columns = _joined(context, scope, tables, clause.this, node.args.get("joins") or [])
    return tables


def _joined(context: Context, scope: Scope, tables: Tables, first: exp.Expr, joins: Sequence[exp.Join]) -> Columns:
    columns = _table(context, scope, tables, first)
    for join in joins:
        columns = _join(context, scope, tables, join, columns)
    return columns


def _table(context: Context, scope: Scope, tables: Tables, node: exp.Expr) -> Columns:
    """One table, query or join in parentheses; its columns."""
    if len(scope.sources) >= _MOST_TABLES:
        raise context.refuse(node, "there are too many tables", expected=f"at most {_MOST_TABLES}")
    joins = node.args.get("joins") or []
    if isinstance(node, exp.Subquery) and isinstance(node.this, (exp.Table, exp.Subquery)) and not node.alias:
        context.only(node, "this", "joins")
        tables.parts.append("(")
        columns = _table(context, scope, tables, node.this)
        tables.parts.append(")")
    else:
        source = _source(context, scope, node)
        _check_name(context, scope, node, source)
        scope.sources.append(source)
        tables.parts.append(source)
        columns = [(column.name, source.value(column)) for column in source.columns]
    for join in joins:
        columns = _join(context, scope, tables, join, columns)
    return columns


def _source(context: Context, scope: Scope, node: exp.Expr) -> Source:
    alias = node.args.get("alias")
    if alias is not None:
        context.only(alias, "this", "columns")
        if alias.args.get("columns"):
            raise context.refuse(alias, "columns are renamed in SELECT, by AS")
    if isinstance(node, exp.Subquery):
        context.only(node, "this", "alias", "joins")
        if not node.alias:
            raise context.refuse(node, "a query in FROM needs a name", expected="(SELECT …) AS name")
        compiled = context.compile_query(context, Scope(scope.parent, scope.ctes), node.this)
        source: Source = compiled.as_source(context, node.alias)
        return source
    if not isinstance(node, exp.Table):
        raise context.refuse(node, "this cannot stand in FROM", found=type(node).__name__.upper())
    context.only(node, "this", "db", "catalog", "alias", "joins")
    return _named(context, scope, node)


def _named(context: Context, scope: Scope, node: exp.Table) -> Source:
    """A table of the set, or a query of WITH."""
    cte = scope.cte(node.name) if isinstance(node.this, exp.Identifier) and not node.args.get("db") else None
    if cte is not None:
        cte.uses += 1
        return dataclasses.replace(cte, alias=context.alias(), names=(node.alias or cte.names[0],))
    table = find_table(context, node)
    context.tables[table.name] = table
    names = (node.alias,) if node.alias else (table.schema_name, table.short_name)
    return Source(
        context.alias(),
        quoted(table.name.lower()),
        names,
        table.columns,
        table.position,
        table.regions,
        table,
    )


def _check_name(context: Context, scope: Scope, node: exp.Expr, source: Source) -> None:
    lowered = tuple(name.lower() for name in source.names)
    if any(tuple(name.lower() for name in other.names) == lowered for other in scope.sources):
        raise context.refuse(
            node, "two tables have this name", found=".".join(source.names), action="Give them aliases."
        )


def _join(context: Context, scope: Scope, tables: Tables, node: exp.Join, left: Columns) -> Columns:
    context.only(node, "this", "on", "using", "side", "kind", "method")
    method, side, kind = (str(node.args.get(name) or "").upper() for name in ("method", "side", "kind"))
    if method not in ("", "NATURAL") or side not in ("", "LEFT", "RIGHT", "FULL") or kind not in _KINDS:
        raise context.refuse(node, "there is no such JOIN", found=f"{method} {side} {kind}".strip())
    conditioned = bool(node.args.get("on") or node.args.get("using") or method)
    place = len(tables.parts)
    before = list(scope.sources)
    right = _table(context, scope, tables, node.this)
    if not conditioned and kind != "CROSS":
        raise context.refuse(node.this, "this JOIN needs a condition", expected="ON … or USING (…)")
    if not conditioned:
        tables.parts.insert(place, " CROSS JOIN ")
        return left + right
    tables.parts.insert(place, f" {side or 'INNER'} JOIN ")
    if node.args.get("on"):
        tables.parts.append(f" ON {_on(context, scope, tables, node, left + right, before, side)}")
        return left + right
    names = _shared(context, node, method, left, right)
    columns, tests = _merge(context, node, side, names, left, right)
    tables.parts.append(f" ON {' AND '.join(tests) if tests else 'TRUE'}")
    return columns


_KINDS = ("", "INNER", "OUTER", "CROSS")


def _shared(context: Context, node: exp.Join, method: str, left: Columns, right: Columns) -> list[exp.Identifier]:
    """The columns that USING lists, or that NATURAL finds in both tables."""
    if not method:
        names = node.args.get("using") or []
        if not all(isinstance(name, exp.Identifier) for name in names):
            raise context.refuse(node, "USING takes names of columns")
        return list(names)
    known = {name.lower() for name, _ in right}
    return [exp.to_identifier(name, quoted=True) for name, _ in left if name.lower() in known]


def _merge(
    context: Context, node: exp.Join, side: str, names: list[exp.Identifier], left: Columns, right: Columns
) -> tuple[Columns, list[str]]:
    """Columns of a NATURAL or USING join, in which the shared ones are there once."""
    merged: Columns = []
    tests: list[str] = []
    for name in names:
        pair = []
        for columns in (left, right):
            found = [item for item in columns if item[0].lower() == name.name.lower() or same_name(item[0], name)]
            if len(found) != 1:
                known = [item[0] for item in columns]
                raise context.refuse(
                    name, "USING needs the column in both tables", found=name.name, expected=nearest(name.name, known)
                )
            pair.append(found[0])
        (label, one), (_, other) = pair
        tests.append(f"{one.sql} = {other.sql}")
        value = other if side == "RIGHT" else one
        if side == "FULL":
            value = Value(f"coalesce({one.sql}, {other.sql})", one.kind, one.meta)
        merged.append((label, value))
    taken = {name.name.lower() for name in names}
    rest = [item for item in (*left, *right) if item[0].lower() not in taken]
    return merged + rest, tests


def _on(
    context: Context, scope: Scope, tables: Tables, node: exp.Join, columns: Columns, before: list[Source], side: str
) -> str:
    scope.columns = columns
    tests = []
    for part in conjuncts(node.args["on"]):
        value = condition(context, scope, part)
        tests.append(value.sql)
        if value.join is None:
            continue
        if tables.inner:
            tests += _inner_cells(value.join, scope.sources)
        elif side in ("LEFT", "RIGHT"):
            tests += _outer_cells(context, value.join, before, scope.sources, side)
    return " AND ".join(tests)


def where_of(context: Context, scope: Scope, node: exp.Select, tables: Tables) -> str:
    """Compile WHERE, which may join tables too."""
    clause = node.args.get("where")
    if clause is None:
        return ""
    context.only(clause, "this")
    tests = []
    for part in conjuncts(clause.this):
        value = condition(context, scope, part)
        tests.append(value.sql)
        if value.join is not None and tables.inner:
            tests += _inner_cells(value.join, scope.sources)
    return " WHERE " + " AND ".join(tests)


def _inner_cells(join: SpatialJoin, sources: Sequence[Source]) -> list[str]:
    """Rewrite a join by position: one table is given the cells around each row, and the other's cell must be one."""
    points = [join.left, join.right]
    if any(not isinstance(point.source, Source) or point.source not in sources for point in points):
        return []
    if join.radius > _sphere.LARGEST_JOINED_RADIUS or join.radius < 0:
        return []
    points.sort(key=lambda point: (point.source.expanded, _rows(point.source)))
    few, many = points
    if few.source.expanded:
        return []
    return _expanded(few, many, _sphere.join_depth(join.radius))


def _expanded(few: Point, many: Point, depth: int) -> list[str]:
    """Give one table nine rows for each, with the cells around it; the other's rows are in one cell each."""
    cells = f"unnest(adql_cells({_own(few.ra)}, {_own(few.dec)}, {depth}))"
    few.source.sql = f'(SELECT *, {cells} AS "-cell" FROM {few.source.sql})'
    few.source.expanded = True
    return [f'{_cell(many, depth)} = {few.source.alias}."-cell"']


def _outer_cells(
    context: Context, join: SpatialJoin, before: Sequence[Source], sources: Sequence[Source], side: str
) -> list[str]:
    """The same for LEFT and RIGHT JOIN, where a row of the kept table must not be doubled.

    When the kept table is the smaller one, the other is first joined with its places, and then by equal places with
    its rows.
    """
    after = [source for source in sources if source not in before]
    kept, other = (before, after) if side == "LEFT" else (after, before)
    points = {id(point.source): point for point in (join.left, join.right)}
    keep = next((points[id(source)] for source in kept if id(source) in points), None)
    lose = next((points[id(source)] for source in other if id(source) in points), None)
    if keep is None or lose is None or len(other) != 1 or join.radius > _sphere.LARGEST_JOINED_RADIUS:
        return []
    if keep.source.table is None or keep.source.expanded or lose.source.expanded:
        return []
    depth = _sphere.join_depth(join.radius)
    if _rows(lose.source) <= _rows(keep.source):
        return _expanded(lose, keep, depth)
    places, rows = context.alias(), lose.source.alias
    ra, dec = _own(keep.ra), _own(keep.dec)
    cells = (
        f'SELECT DISTINCT {ra} AS "-ra", {dec} AS "-dec", unnest(adql_cells({ra}, {dec}, {depth})) AS "-cell"'
        f" FROM {keep.source.sql}"
    )
    lose.source.sql = (
        f'(SELECT {rows}.*, {places}."-ra", {places}."-dec" FROM {lose.source.sql} AS {rows}'
        f' INNER JOIN ({cells}) AS {places} ON {_cell(lose, depth)} = {places}."-cell")'
    )
    lose.source.expanded = True
    return [f'{rows}."-ra" = {keep.ra.sql}', f'{rows}."-dec" = {keep.dec.sql}']


def _rows(source: Source) -> float:
    table = source.table
    return float(table.rows or 1e9) if table is not None else 1e8


def _own(value: Value) -> str:
    """A column within the table's own SELECT."""
    return quoted(value.column)


def _cell(point: Point, depth: int) -> str:
    if point.healpix:
        return f"({point.healpix} >> {2 * (HEALPIX_ORDER - depth)})"
    return f"adql_cell({point.ra.sql}, {point.dec.sql}, {depth})"
