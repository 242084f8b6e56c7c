"""What an expression of a query is once it is understood: SQL, a kind, and what a client is told of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from sqlglot import exp

from emberline.vo.server.adql._error import AdqlError
from emberline.vo.server.adql._lexer import place_of
from emberline.vo.server.adql.tables import Column, Table, TableSet

__all__ = ["Circle", "Context", "Geometry", "Point", "Polygon", "SpatialJoin", "Value"]


@dataclasses.dataclass(frozen=True)
class Value:
    """A compiled expression.

    Attributes
    ----------
    sql : str
    kind : str
        ``number``, ``text``, ``boolean``, ``time``, ``point``, ``circle``, ``polygon``, ``array`` or ``any`` (NULL).
    meta : Column, optional
        Name, unit, UCD, utype and datatype, as far as they are known.
    constant : float, optional
        The number that it is, where that is known without rows.
    geometry : Point, Circle or Polygon, optional
    join : SpatialJoin, optional
        When the expression is a condition that two positions are near each other.
    source, column : object, optional and str
        The table in FROM and its column, when it is nothing but that.
    aggregate : bool
        Whether an aggregate function is in it.
    """

    sql: str
    kind: str
    meta: Column | None = None
    constant: float | None = None
    geometry: Geometry | None = None
    join: SpatialJoin | None = None
    source: Any = None
    column: str = ""
    aggregate: bool = False


@dataclasses.dataclass(frozen=True)
class Point:
    """A position; `source` and `healpix` are set when it is a table's own position."""

    ra: Value
    dec: Value
    source: Any = None
    healpix: str = ""

    @property
    def constant(self) -> tuple[float, float] | None:
        """The position when it is the same for all rows."""
        if self.ra.constant is None or self.dec.constant is None:
            return None
        return self.ra.constant, self.dec.constant


@dataclasses.dataclass(frozen=True)
class Circle:
    """All positions within `radius` degrees of `centre`."""

    centre: Point
    radius: Value


@dataclasses.dataclass(frozen=True)
class Polygon:
    """Constant vertices in degrees, joined by great circles; the smaller of the two sides is inside."""

    vertices: tuple[tuple[float, float], ...]


Geometry = Point | Circle | Polygon


@dataclasses.dataclass(frozen=True)
class SpatialJoin:
    """The condition that two tables' positions are at most `radius` degrees apart."""

    left: Point
    right: Point
    radius: float


@dataclasses.dataclass
class Context:
    """What is known while one query is compiled."""

    query: str
    schema: TableSet
    compile_query: Callable[..., Any]
    parameters: dict[str, str] = dataclasses.field(default_factory=dict)
    tables: dict[str, Table] = dataclasses.field(default_factory=dict)
    aliases: int = 0
    _names: dict[str, str] = dataclasses.field(default_factory=dict)

    def alias(self) -> str:
        """A name for a table in FROM that nothing else has."""
        self.aliases += 1
        return f"t{self.aliases}"

    def text(self, value: str) -> str:
        """SQL for a text: texts travel as parameters, never as SQL."""
        name = self._names.setdefault(value, f"s{len(self.parameters) + 1}")
        self.parameters[name] = value
        return f"${name}"

    def refuse(
        self, node: exp.Expr | None, message: str, *, found: str = "", expected: str = "", action: str = ""
    ) -> AdqlError:
        """The error for something wrong at `node`."""
        start = _start(node)
        line, column = place_of(self.query, start) if start is not None else (0, 0)
        return AdqlError(message, line=line, column=column, found=found, expected=expected, action=action)

    def only(self, node: exp.Expr, *allowed: str) -> None:
        """Refuse whatever else the parser found in `node`."""
        for name, value in node.args.items():
            if value and name not in allowed:
                found = f"{name.rstrip('_').replace('_', ' ')} in {type(node).__name__.upper()}"
                raise self.refuse(node, "this is not offered in ADQL", found=found)


def _start(node: exp.Expr | None) -> int | None:
    """Where a node begins in the query: the parser marks names and calls only."""
    if node is None:
        return None
    starts = [item.meta["start"] for item in node.walk() if "start" in item.meta]
    return min(starts, default=None)
