"""Queries that are nothing but a cone on one table: an index answers them without the database."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from sqlglot import exp

from emberline.vo.server.adql._query import Compiled
from emberline.vo.server.adql.tables import Position, Table

__all__ = ["PlainCone", "plain_cone"]

_FRAMES = ("", "ICRS")


@dataclasses.dataclass(frozen=True)
class PlainCone:
    """Columns of one table, of the rows in a circle, in no particular order.

    Attributes
    ----------
    table : Table
    ra, dec, radius : float
        ICRS degrees.
    columns : tuple of str
        Of the table, in the order of the result, which may name them otherwise.
    top : int or None
        At most so many rows.
    """

    table: Table
    ra: float
    dec: float
    radius: float
    columns: tuple[str, ...]
    top: int | None


def plain_cone(tree: exp.Expr, compiled: Compiled, tables: Sequence[Table]) -> PlainCone | None:
    """What a query asks for, when that is all; None for any other. The query was found right before."""
    if not isinstance(tree, exp.Select) or len(tables) != 1 or tables[0].position is None:
        return None
    present = {key for key, value in tree.args.items() if value}
    if not present <= {"expressions", "from_", "where", "limit"} or not isinstance(tree.args["from_"].this, exp.Table):
        return None
    columns = tuple(output.column for output in compiled.columns if output.source is not None)
    if len(columns) != len(compiled.columns) or not set(columns) <= tables[0].by_name.keys():
        return None
    where = tree.args.get("where")
    circle = _circle(where.this, tables[0].position) if where is not None else None
    if circle is None:
        return None
    limit = tree.args.get("limit")
    return PlainCone(tables[0], *circle, columns, None if limit is None else int(str(limit.expression.this)[:19]))


def _circle(node: exp.Expr, position: Position) -> tuple[float, float, float] | None:
    if isinstance(node, exp.EQ):
        for one, other in ((node.this, node.expression), (node.expression, node.this)):
            if _number(one) == 1.0 and _is_call(other, "CONTAINS", 2):
                return _contains(other.expressions[0], other.expressions[1], position)
    if isinstance(node, (exp.LT, exp.LTE)) and _is_call(node.this, "DISTANCE", 2):
        radius = _number(node.expression)
        for one, other in (node.this.expressions, reversed(node.this.expressions)):
            centre = _constant(other)
            if _is_moving(one, position) and centre is not None and radius is not None and 0 < radius <= 180:
                return (*centre, radius)
    return None


def _contains(moving: exp.Expr, circle: exp.Expr, position: Position) -> tuple[float, float, float] | None:
    if not _is_moving(moving, position) or not _is_call(circle, "CIRCLE"):
        return None
    arguments = _without_frame(circle)
    if len(arguments) == 2:
        centre, radius = _constant(arguments[0]), _number(arguments[1])
    elif len(arguments) == 3:
        centre, radius = _pair(arguments[:2]), _number(arguments[2])
    else:
        return None
    return None if centre is None or radius is None or not 0 < radius <= 180 else (*centre, radius)


def _is_call(node: exp.Expr, name: str, count: int | None = None) -> bool:
    named = isinstance(node, exp.Anonymous) and str(node.this).upper() == name
    return named and count in (None, len(node.expressions))


def _without_frame(node: exp.Expr) -> list[exp.Expr]:
    arguments = list(node.expressions)
    first = arguments[0] if arguments else None
    framed = isinstance(first, exp.Literal) and first.is_string and first.this.strip().upper() in _FRAMES
    return arguments[1:] if framed else arguments


def _is_moving(node: exp.Expr, position: Position) -> bool:
    """Whether it is the position of the table's rows."""
    if not _is_call(node, "POINT"):
        return False
    arguments = _without_frame(node)
    names = [item.name.lower() for item in arguments if isinstance(item, exp.Column)]
    return len(arguments) == 2 and names == [position.ra.lower(), position.dec.lower()]


def _constant(node: exp.Expr) -> tuple[float, float] | None:
    return _pair(_without_frame(node)) if _is_call(node, "POINT") else None


def _pair(nodes: Sequence[exp.Expr]) -> tuple[float, float] | None:
    numbers = [_number(node) for node in nodes]
    if len(numbers) != 2 or numbers[0] is None or numbers[1] is None:
        return None
    return numbers[0], numbers[1]


def _number(node: exp.Expr) -> float | None:
    if isinstance(node, exp.Neg):
        inner = _number(node.this)
        return None if inner is None else -inner
    if not isinstance(node, exp.Literal) or node.is_string:
        return None
    try:
        value = float(node.this)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
