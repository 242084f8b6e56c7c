"""ADQL's functions other than geometry: for each its SQL, the kinds it takes, and how its result is described."""

from __future__ import annotations

import dataclasses
import functools
import re
import warnings
from collections.abc import Callable, Sequence

from sqlglot import exp

from emberline.vo.server.adql._geometry import GEOMETRY
from emberline.vo.server.adql._values import Context, Value
from emberline.vo.server.adql.tables import Column

__all__ = ["AGGREGATES", "FUNCTIONS", "NAMES", "cast"]

Function = Callable[[Context, exp.Expr, Sequence[Value]], Value]


@dataclasses.dataclass(frozen=True)
class _Plain:
    """A function whose SQL is a template.

    `unit` is the result's, or ``=`` when the result is of the first argument's unit; `datatype` likewise.
    """

    sql: str
    kinds: tuple[str, ...]
    optional: int = 0
    unit: str = ""
    datatype: str = "double"

    def __call__(self, context: Context, node: exp.Expr, values: Sequence[Value]) -> Value:
        name, most = node.name.upper(), len(self.kinds)
        if not most - self.optional <= len(values) <= most:
            raise context.refuse(
                node, f"{name} takes {most - self.optional or 'no'} to {most} values", found=f"{len(values)}"
            )
        for value, kind in zip(values, self.kinds, strict=False):
            if value.kind not in (kind, "any"):
                raise context.refuse(node, f"{name} takes a {kind} here", found=value.kind)
        return Value(self._sql(values), _kind(self.datatype), self._meta(name, values))

    def _sql(self, values: Sequence[Value]) -> str:
        return self.sql.format(*(value.sql for value in values), *["0"] * (len(self.kinds) - len(values)))

    def _meta(self, name: str, values: Sequence[Value]) -> Column:
        first = values[0].meta if values else None
        unit = (first.unit if first is not None else "") if self.unit == "=" else self.unit
        datatype = (first.datatype if first is not None else "double") if self.datatype == "=" else self.datatype
        return Column(name.lower(), datatype, "*" if datatype == "char" else "", unit=unit)


def _kind(datatype: str) -> str:
    return "text" if datatype == "char" else "number"


_ONE, _TWO = ("number",), ("number", "number")
_PLAIN = {
    "ABS": _Plain("abs({0})", _ONE, unit="=", datatype="="),
    "CEILING": _Plain("ceil({0})", _ONE, unit="="),
    "DEGREES": _Plain("degrees({0})", _ONE, unit="deg"),
    "EXP": _Plain("exp({0})", _ONE),
    "FLOOR": _Plain("floor({0})", _ONE, unit="="),
    "LOG": _Plain("adql_ln({0})", _ONE),
    "LOG10": _Plain("adql_log10({0})", _ONE),
    "MOD": _Plain("adql_mod({0}, {1})", _TWO, unit="=", datatype="="),
    "PI": _Plain("pi()", ()),
    "POWER": _Plain("adql_power({0}, {1})", _TWO),
    "RADIANS": _Plain("radians({0})", _ONE, unit="rad"),
    "RAND": _Plain("random()", _ONE, optional=1),
    "ROUND": _Plain("adql_round({0}, {1})", _TWO, optional=1, unit="="),
    "SQRT": _Plain("adql_sqrt({0})", _ONE),
    "TRUNCATE": _Plain("adql_truncate({0}, {1})", _TWO, optional=1, unit="="),
    "ACOS": _Plain("adql_acos({0})", _ONE, unit="rad"),
    "ASIN": _Plain("adql_asin({0})", _ONE, unit="rad"),
    "ATAN": _Plain("atan({0})", _ONE, unit="rad"),
    "ATAN2": _Plain("atan2({0}, {1})", _TWO, unit="rad"),
    "COS": _Plain("adql_cos({0})", _ONE),
    "SIN": _Plain("adql_sin({0})", _ONE),
    "TAN": _Plain("adql_tan({0})", _ONE),
    "LOWER": _Plain("lower({0})", ("text",), datatype="char"),
    "UPPER": _Plain("upper({0})", ("text",), datatype="char"),
}


def _coalesce(context: Context, node: exp.Expr, values: Sequence[Value]) -> Value:
    if not values:
        raise context.refuse(node, "COALESCE takes at least one value")
    kinds = {value.kind for value in values} - {"any"}
    if len(kinds) > 1:
        raise context.refuse(node, "COALESCE takes values of one kind", found=", ".join(sorted(kinds)))
    first = next((value for value in values if value.kind != "any"), values[0])
    return Value(f"coalesce({', '.join(value.sql for value in values)})", first.kind, first.meta)


def cast(context: Context, value: Value, target: str, length: int | None) -> Value:
    """CAST(value AS type); what cannot be converted is an error of the query."""
    if value.kind not in ("number", "text", "boolean", "time", "any"):
        raise context.refuse(None, "CAST takes a number or a text", found=value.kind)
    datatypes = {"SMALLINT": "short", "INTEGER": "int", "BIGINT": "long", "REAL": "float", "DOUBLE": "double"}
    old = value.meta or Column("cast", "")
    sql = f"CAST({value.sql} AS {target})"
    if target in datatypes:
        meta = dataclasses.replace(old, datatype=datatypes[target], arraysize="", xtype="")
        return Value(sql, "number", meta, constant=value.constant if target == "DOUBLE" else None)
    if target == "TIMESTAMP":
        return Value(sql, "time", dataclasses.replace(old, datatype="char", arraysize="*", xtype="timestamp", unit=""))
    if length is not None:
        sql = f"left({sql}, {length})"
    size = f"{length}*" if length is not None else "*"
    return Value(sql, "text", dataclasses.replace(old, datatype="char", arraysize=size, xtype="", unit=""))


@functools.lru_cache(maxsize=256)
def _unit_factor(unit: str, target: str) -> float | None:
    from astropy import units

    if len(target) > 40 or re.search(r"[0-9]{3}|[^A-Za-z0-9.*/()% -]", target):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return float(units.Unit(unit, format="vounit").to(units.Unit(target, format="vounit")))
        except (ValueError, TypeError, ArithmeticError, units.UnitsError):
            return None


def _in_unit(context: Context, node: exp.Expr, values: Sequence[Value]) -> Value:
    target = node.expressions[1] if len(values) == 2 else None
    if not (isinstance(target, exp.Literal) and target.is_string) or values[0].kind != "number":
        raise context.refuse(node, "IN_UNIT takes a number and a unit between single quotes")
    meta = values[0].meta
    if meta is None or not meta.unit:
        raise context.refuse(node, "the unit of this value is not known", action="IN_UNIT takes columns with a unit.")
    factor = _unit_factor(meta.unit, target.this[:100])
    if factor is None:
        raise context.refuse(node, "the units do not fit", found=target.this, expected=f"one that suits {meta.unit}")
    sql = f"({values[0].sql} * {factor!r}::DOUBLE)"
    return Value(sql, "number", dataclasses.replace(meta, datatype="double", unit=target.this))


def _count(context: Context, node: exp.Expr, value: Value, distinct: str) -> Value:
    return Value(f"count({distinct}{value.sql})", "number", Column("count", "long", ucd="meta.number"))


def _extreme(name: str) -> Callable[[Context, exp.Expr, Value, str], Value]:
    def extreme(context: Context, node: exp.Expr, value: Value, distinct: str) -> Value:
        if value.kind not in ("number", "text", "time", "any"):
            raise context.refuse(node, f"{name.upper()} takes numbers or texts", found=value.kind)
        meta = dataclasses.replace(value.meta, name=name) if value.meta else None
        return Value(f"{name}({value.sql})", value.kind, meta)

    return extreme


def _average(context: Context, node: exp.Expr, value: Value, distinct: str) -> Value:
    _need_number(context, node, value)
    return Value(f"avg({distinct}{value.sql})", "number", _statistic("avg", value))


def _sum(context: Context, node: exp.Expr, value: Value, distinct: str) -> Value:
    _need_number(context, node, value)
    whole = value.meta is not None and value.meta.datatype in ("short", "int", "long", "unsignedByte")
    meta = _statistic("sum", value, "long" if whole else "double")
    return Value(f"CAST(sum({distinct}{value.sql}) AS {'BIGINT' if whole else 'DOUBLE'})", "number", meta)


def _need_number(context: Context, node: exp.Expr, value: Value) -> None:
    if value.kind not in ("number", "any"):
        raise context.refuse(node, f"{node.name.upper()} takes numbers", found=value.kind)


def _statistic(name: str, value: Value, datatype: str = "double") -> Column:
    return Column(name, datatype, unit=value.meta.unit if value.meta else "")


AGGREGATES: dict[str, Callable[[Context, exp.Expr, Value, str], Value]] = {
    "COUNT": _count,
    "MIN": _extreme("min"),
    "MAX": _extreme("max"),
    "AVG": _average,
    "SUM": _sum,
}
FUNCTIONS: dict[str, Function] = {**_PLAIN, "COALESCE": _coalesce, "IN_UNIT": _in_unit, **GEOMETRY}
NAMES = sorted({*FUNCTIONS, *AGGREGATES, "CAST"} - {"REGION"})
"""All functions that a query may call."""
