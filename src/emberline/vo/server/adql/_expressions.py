"""Expressions and conditions: one function for each kind of syntax node that is allowed; no other node passes."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Callable
from typing import Any

from sqlglot import exp

from emberline.vo.server.adql._functions import AGGREGATES, FUNCTIONS, NAMES, cast
from emberline.vo.server.adql._geometry import near, number, two_points
from emberline.vo.server.adql._scope import Scope
from emberline.vo.server.adql._values import Context, Value
from emberline.vo.server.adql.tables import Column

__all__ = ["condition", "conjuncts", "value_of"]


def value_of(context: Context, scope: Scope, node: exp.Expr | None) -> Value:
    """Compile an expression to a value.

    Raises
    ------
    AdqlError
        Something in it is not offered, or not there.
    """
    result = _compile(context, scope, node)
    if result.kind == "predicate":
        return Value(f"CAST(({result.sql}) AS INTEGER)", "number", Column("contains", "int"))
    return result


def condition(context: Context, scope: Scope, node: exp.Expr | None) -> Value:
    """Compile an expression that is true or false."""
    result = _compile(context, scope, node)
    if result.kind not in ("boolean", "any"):
        raise context.refuse(node, "this is no condition", found=result.kind, expected="a comparison")
    return result


def conjuncts(node: exp.Expr | None) -> list[exp.Expr]:
    """What must all be true for a condition to be true."""
    found: list[exp.Expr] = []
    waiting = [node] if node is not None else []
    while waiting:
        item = waiting.pop()
        if isinstance(item, exp.And):
            waiting += [item.expression, item.this]
        elif isinstance(item, exp.Paren):
            waiting.append(item.this)
        else:
            found.append(item)
    return found


def _compile(context: Context, scope: Scope, node: exp.Expr | None) -> Value:
    if node is None:
        raise context.refuse(None, "something is missing in an expression")
    handler = _HANDLERS.get(type(node))
    if handler is None:
        raise context.refuse(node, "this is not offered in ADQL", found=type(node).__name__.upper())
    return handler(context, scope, node)


def _literal(context: Context, scope: Scope, node: exp.Literal) -> Value:
    text = str(node.this)
    if node.is_string:
        return Value(context.text(text), "text", Column("text", "char", "*"))
    value = float(text)
    if not math.isfinite(value):
        raise context.refuse(node, "this number is too large", found=text)
    if text.isdigit() and int(text) < 2**63:
        digits = text.lstrip("0") or "0"
        return Value(digits, "number", Column("number", "int" if value < 2**31 else "long"), constant=value)
    return Value(f"{value!r}::DOUBLE", "number", Column("number", "double"), constant=value)


def _null(context: Context, scope: Scope, node: exp.Null) -> Value:
    return Value("NULL", "any")


def _boolean(context: Context, scope: Scope, node: exp.Boolean) -> Value:
    return Value("TRUE" if node.this else "FALSE", "boolean", Column("truth", "boolean"))


def _column(context: Context, scope: Scope, node: exp.Column) -> Value:
    return scope.resolve(context, node)


def _paren(context: Context, scope: Scope, node: exp.Paren) -> Value:
    context.only(node, "this")
    inner = _compile(context, scope, node.this)
    return dataclasses.replace(inner, sql=f"({inner.sql})")


def _numeric(context: Context, scope: Scope, node: exp.Expr | None) -> Value:
    result = value_of(context, scope, node)
    if result.kind not in ("number", "any"):
        raise context.refuse(node, "arithmetic takes numbers", found=result.kind)
    return result


_SIGNS: dict[type[exp.Expr], tuple[str, Callable[[float, float], float]]] = {
    exp.Add: ("+", lambda a, b: a + b),
    exp.Sub: ("-", lambda a, b: a - b),
    exp.Mul: ("*", lambda a, b: a * b),
    exp.Div: ("/", lambda a, b: a / b),
}


def _arithmetic(context: Context, scope: Scope, node: exp.Binary) -> Value:
    context.only(node, "this", "expression", "typed", "safe")
    sign, function = _SIGNS[type(node)]
    left, right = _numeric(context, scope, node.this), _numeric(context, scope, node.expression)
    constant = None
    if left.constant is not None and right.constant is not None:
        try:
            constant = function(left.constant, right.constant)
        except (ZeroDivisionError, OverflowError):
            raise context.refuse(node, "this has no value", found=f"{left.sql} {sign} {right.sql}") from None
        if not math.isfinite(constant):
            raise context.refuse(node, "this number is too large", found=f"{left.sql} {sign} {right.sql}")
    units = {value.meta.unit for value in (left, right) if value.meta is not None}
    unit = units.pop() if sign in "+-" and len(units) == 1 else ""
    datatype = _wider(left, right) if sign != "/" else "double"
    sql = f"({left.sql} {sign} {right.sql})"
    return Value(sql, "number", Column("value", datatype, unit=unit), constant=constant)


def _wider(left: Value, right: Value) -> str:
    order = ["unsignedByte", "short", "int", "long", "float", "double"]
    types = [value.meta.datatype if value.meta else "double" for value in (left, right)]
    return max(types, key=lambda name: order.index(name) if name in order else len(order))


def _negative(context: Context, scope: Scope, node: exp.Neg) -> Value:
    inner = _numeric(context, scope, node.this)
    constant = None if inner.constant is None else -inner.constant
    return Value(f"(- {inner.sql})", "number", inner.meta and dataclasses.replace(inner.meta, ucd=""), constant)


def _concatenate(context: Context, scope: Scope, node: exp.DPipe) -> Value:
    context.only(node, "this", "expression", "safe")
    parts = [value_of(context, scope, part) for part in (node.this, node.expression)]
    for part in parts:
        if part.kind not in ("text", "number", "time", "any"):
            raise context.refuse(node, "|| joins texts", found=part.kind)
    sql = ", ".join(f"CAST({part.sql} AS VARCHAR)" for part in parts)
    return Value(f"adql_joined({sql})", "text", Column("text", "char", "*"))


_COMPARISONS: dict[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "<>": "<>"}


def _comparison(context: Context, scope: Scope, node: exp.Binary) -> Value:
    context.only(node, "this", "expression")
    sign = _COMPARISONS[type(node)]
    left, right = _compile(context, scope, node.this), _compile(context, scope, node.expression)
    if right.kind == "predicate" or _is_distance(node.expression):
        left, right, sign = right, left, _MIRRORED[sign]
        first: exp.Expr = node.expression
    else:
        first = node.this
    if left.kind == "predicate" and right.constant in (0.0, 1.0) and sign in ("=", "<>"):
        if (right.constant == 1.0) == (sign == "="):
            return dataclasses.replace(left, kind="boolean")
        return Value(f"NOT ({left.sql})", "boolean")
    if _is_distance(first) and sign in ("<", "<=") and right.constant is not None and right.constant >= 0:
        return _nearer(context, scope, first, right, sign)
    left, right = _as_value(left), _as_value(right)
    _comparable(context, node, left, right)
    return Value(f"({left.sql} {sign} {right.sql})", "boolean")


def _as_value(value: Value) -> Value:
    return Value(f"CAST(({value.sql}) AS INTEGER)", "number") if value.kind == "predicate" else value


def _comparable(context: Context, node: exp.Expr, *values: Value) -> None:
    kinds = {value.kind for value in values} - {"any"}
    if len(kinds) > 1 and kinds not in ({"boolean", "number"}, {"text", "time"}):
        raise context.refuse(node, "these cannot be compared", found=" and ".join(sorted(kinds)))
    if kinds & {"point", "circle", "polygon", "array"}:
        raise context.refuse(node, "regions are compared by CONTAINS and INTERSECTS", found=kinds.pop())


def _is_distance(node: exp.Expr | None) -> bool:
    while isinstance(node, exp.Paren):
        node = node.this
    return isinstance(node, exp.Anonymous) and node.name.upper() == "DISTANCE"


def _nearer(context: Context, scope: Scope, node: exp.Expr, radius: Value, sign: str) -> Value:
    """DISTANCE(…) < r: the same test as CONTAINS in a circle, so that HEALPix pixels help."""
    while isinstance(node, exp.Paren):
        node = node.this
    values = [value_of(context, scope, item) for item in node.expressions]
    left, right = two_points(context, node, values)
    constant = Value(number(radius.constant or 0.0), "number", constant=radius.constant)
    return near(left, right, constant, sign)


def _between(context: Context, scope: Scope, node: exp.Between) -> Value:
    context.only(node, "this", "low", "high")
    values = [value_of(context, scope, node.args[name]) for name in ("this", "low", "high")]
    _comparable(context, node, *values)
    return Value(f"({values[0].sql} BETWEEN {values[1].sql} AND {values[2].sql})", "boolean")


def _in(context: Context, scope: Scope, node: exp.In) -> Value:
    context.only(node, "this", "expressions", "query")
    left = value_of(context, scope, node.this)
    query = node.args.get("query")
    if query is not None:
        return Value(f"({left.sql} IN ({_subselect(context, scope, query, 'IN')}))", "boolean")
    members = [value_of(context, scope, item) for item in node.expressions]
    if not members:
        raise context.refuse(node, "IN takes at least one value")
    for member in members:
        _comparable(context, node, left, member)
    return Value(f"({left.sql} IN ({', '.join(member.sql for member in members)}))", "boolean")


def _subselect(context: Context, scope: Scope, node: exp.Expr, what: str) -> str:
    result = context.compile_query(context, scope, node)
    if what != "EXISTS" and len(result.columns) != 1:
        raise context.refuse(node, f"a query in {what} gives one column", found=f"{len(result.columns)} columns")
    return str(result.sql)


def _exists(context: Context, scope: Scope, node: exp.Exists) -> Value:
    context.only(node, "this")
    return Value(f"EXISTS ({_subselect(context, scope, node.this, 'EXISTS')})", "boolean")


def _scalar_query(context: Context, scope: Scope, node: exp.Expr) -> Value:
    result = context.compile_query(context, scope, node)
    if len(result.columns) != 1:
        raise context.refuse(node, "a query used as a value gives one column", found=f"{len(result.columns)} columns")
    column = result.columns[0]
    return Value(f"({result.sql})", column.kind, column.meta)


def _like(context: Context, scope: Scope, node: exp.Binary) -> Value:
    context.only(node, "this", "expression", "negate")
    left, pattern = value_of(context, scope, node.this), value_of(context, scope, node.expression)
    for value in (left, pattern):
        if value.kind not in ("text", "time", "any"):
            raise context.refuse(node, "LIKE compares texts", found=value.kind)
    word = f"{'NOT ' if node.args.get('negate') else ''}{'ILIKE' if isinstance(node, exp.ILike) else 'LIKE'}"
    return Value(f"({left.sql} {word} {pattern.sql})", "boolean")


def _is(context: Context, scope: Scope, node: exp.Is) -> Value:
    context.only(node, "this", "expression")
    if not isinstance(node.expression, exp.Null):
        raise context.refuse(node, "IS compares with NULL only", expected="IS NULL or IS NOT NULL")
    return Value(f"({value_of(context, scope, node.this).sql} IS NULL)", "boolean")


def _not(context: Context, scope: Scope, node: exp.Not) -> Value:
    context.only(node, "this")
    return Value(f"(NOT {condition(context, scope, node.this).sql})", "boolean")


def _connector(context: Context, scope: Scope, node: exp.Connector) -> Value:
    context.only(node, "this", "expression")
    kind = type(node)
    parts: list[exp.Expr] = []
    waiting: list[exp.Expr] = [node]
    while waiting:
        item = waiting.pop()
        if type(item) is kind:
            waiting += [item.expression, item.this]
        else:
            parts.append(item)
    word = " AND " if kind is exp.And else " OR "
    return Value(f"({word.join(condition(context, scope, part).sql for part in parts)})", "boolean")


def _case(context: Context, scope: Scope, node: exp.Case) -> Value:
    context.only(node, "this", "ifs", "default")
    subject = value_of(context, scope, node.this) if node.this else None
    sql, results = ["CASE"] + ([subject.sql] if subject else []), []
    for branch in node.args["ifs"]:
        test = value_of(context, scope, branch.this) if subject else condition(context, scope, branch.this)
        if subject:
            _comparable(context, node, subject, test)
        results.append(value_of(context, scope, branch.args["true"]))
        sql.append(f"WHEN {test.sql} THEN {results[-1].sql}")
    if node.args.get("default") is not None:
        results.append(value_of(context, scope, node.args["default"]))
        sql.append(f"ELSE {results[-1].sql}")
    kinds = {result.kind for result in results} - {"any"}
    if len(kinds) > 1:
        raise context.refuse(node, "a CASE gives values of one kind", found=", ".join(sorted(kinds)))
    meta = next((result.meta for result in results if result.meta), None)
    return Value(" ".join([*sql, "END"]), kinds.pop() if kinds else "any", meta)


def _call(context: Context, scope: Scope, node: exp.Anonymous) -> Value:
    context.only(node, "this", "expressions")
    name = node.name.upper() if isinstance(node.this, str) else ""
    if name == "CAST":
        value, target, length = node.expressions
        size = int(length.this) if length is not None and str(length.this)[:6].isdigit() else None
        return cast(context, value_of(context, scope, value), target.this, size)
    if name in AGGREGATES:
        return _aggregate(context, scope, node, name)
    if name not in FUNCTIONS:
        close = difflib.get_close_matches(name[:50], NAMES, n=1, cutoff=0.6)
        raise context.refuse(
            node,
            "there is no such function",
            found=name or node.name,
            expected=f"perhaps {close[0]}" if close else ", ".join(NAMES),
        )
    values = [value_of(context, scope, item) for item in node.expressions]
    result = FUNCTIONS[name](context, node, values)
    if name in ("CONTAINS", "INTERSECTS"):
        return dataclasses.replace(result, kind="predicate")
    return result


def _aggregate(context: Context, scope: Scope, node: exp.Anonymous, name: str) -> Value:
    arguments, distinct = node.expressions, ""
    if len(arguments) == 1 and isinstance(arguments[0], exp.Distinct):
        context.only(arguments[0], "expressions")
        arguments, distinct = arguments[0].expressions, "DISTINCT "
    if len(arguments) != 1:
        raise context.refuse(node, f"{name} takes one value", found=f"{len(arguments)} values")
    if isinstance(arguments[0], exp.Star):
        context.only(arguments[0])
        if name != "COUNT" or distinct:
            raise context.refuse(node, "only COUNT(*) takes *", found=f"{name}({distinct}*)")
        return AGGREGATES[name](context, node, Value("*", "number"), "")
    return AGGREGATES[name](context, node, value_of(context, scope, arguments[0]), distinct)


_HANDLERS: dict[type[exp.Expr], Callable[[Context, Scope, Any], Value]] = {
    exp.Literal: _literal,
    exp.Null: _null,
    exp.Boolean: _boolean,
    exp.Column: _column,
    exp.Paren: _paren,
    exp.Neg: _negative,
    exp.DPipe: _concatenate,
    exp.Between: _between,
    exp.In: _in,
    exp.Exists: _exists,
    exp.Like: _like,
    exp.ILike: _like,
    exp.Is: _is,
    exp.Not: _not,
    exp.And: _connector,
    exp.Or: _connector,
    exp.Case: _case,
    exp.Anonymous: _call,
    exp.Subquery: _scalar_query,
    exp.Select: _scalar_query,
    **dict.fromkeys(_SIGNS, _arithmetic),
    **dict.fromkeys(_COMPARISONS, _comparison),
}
"""The allow-list: syntax nodes in expressions, and what is done with each."""
