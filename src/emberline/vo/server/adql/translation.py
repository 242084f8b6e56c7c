"""Translate ADQL 2.1 into DuckDB's SQL: parsed, checked against an allow-list, rewritten; nothing else passes."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

from emberline.vo.server.adql._error import AdqlError
from emberline.vo.server.adql._parser import parse
from emberline.vo.server.adql._plain_cone import PlainCone, plain_cone
from emberline.vo.server.adql._query import compile_query
from emberline.vo.server.adql._values import Context
from emberline.vo.server.adql.tables import Column, TableSet

__all__ = ["Translation", "translate"]


@dataclasses.dataclass(frozen=True)
class Translation:
    """What a query becomes.

    Attributes
    ----------
    sql : str
        DuckDB's SQL, on views named as the tables in lower case.
    parameters : mapping of str to str
        The texts of the query; they never become SQL.
    columns : tuple of Column
        What the result has: unique names; unit, UCD, utype and description where a column passes through.
    tables : tuple of str
        The tables that are read.
    cone : PlainCone or None
        What the query is, when it is no more than that.
    """

    sql: str
    parameters: Mapping[str, str]
    columns: tuple[Column, ...]
    tables: tuple[str, ...]
    cone: PlainCone | None = None


def translate(query: str, schema: TableSet, *, limit: int | None = None) -> Translation:
    """Translate a query.

    Parameters
    ----------
    query : str
        ADQL 2.1, with the optional features of ``docs/reference/adql.md``.
    schema : TableSet
        All that it may read.
    limit : int, optional
        At most so many rows, also when TOP asks for more.

    Returns
    -------
    Translation

    Raises
    ------
    AdqlError
        The query is not ADQL as offered, or names what is not there.
    """
    tree = parse(query)
    context = Context(query, schema, compile_query)
    try:
        compiled = compile_query(context, None, tree, limit)
    except RecursionError:
        raise AdqlError("the query is nested too deeply") from None
    columns = tuple(output.meta for output in compiled.columns)
    used = set(re.findall(r"\$(s[0-9]+)", re.sub(r'"[^"]*"', "", compiled.sql)))
    parameters = {name: text for name, text in context.parameters.items() if name in used}
    cone = plain_cone(tree, compiled, tuple(context.tables.values()))
    return Translation(compiled.sql, parameters, columns, tuple(context.tables), cone)
