"""From tokens to a syntax tree: sqlglot's parser without the functions, types and statements that ADQL has not."""

from __future__ import annotations

import functools
from typing import Any, ClassVar

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ErrorLevel, SqlglotError
from sqlglot.parser import Parser
from sqlglot.tokenizer_core import TokenType

from emberline.vo.server.adql._error import AdqlError
from emberline.vo.server.adql._lexer import place_of, tokens_of

__all__ = ["CASTS", "parse"]

CASTS = {
    "SMALLINT": "SMALLINT",
    "INTEGER": "INTEGER",
    "INT": "INTEGER",
    "BIGINT": "BIGINT",
    "REAL": "REAL",
    "DOUBLE PRECISION": "DOUBLE",
    "DOUBLE": "DOUBLE",
    "CHAR": "VARCHAR",
    "VARCHAR": "VARCHAR",
    "TIMESTAMP": "TIMESTAMP",
}
"""The types that CAST knows, and DuckDB's names for them."""


class _Adql(Dialect):
    NULL_ORDERING = "nulls_are_last"


class _AdqlParser(Parser):
    """All functions are read as names with arguments; which of them exist is decided later."""

    JOINS_HAVE_EQUAL_PRECEDENCE = True
    FUNCTIONS: ClassVar[Any] = {}
    NO_PAREN_FUNCTIONS: ClassVar[Any] = {}
    NO_PAREN_FUNCTION_PARSERS: ClassVar[Any] = {"CASE": lambda self: self._parse_case()}
    FUNCTION_PARSERS: ClassVar[Any] = {"CAST": lambda self: self._parse_adql_cast()}

    def _parse_statement(self) -> exp.Expr | None:
        first = self._parse_select(nested=True, parse_subquery_alias=False)
        return self._parse_query_modifiers(self._parse_set_operations(first))

    def _parse_types(self, *_: Any, **__: Any) -> exp.Expr | None:
        return None

    def _parse_adql_cast(self) -> exp.Expr:
        value = self._parse_disjunction()
        if not self._match(TokenType.ALIAS):
            self.raise_error("CAST needs AS and a type")
        words = []
        while self._curr and self._curr.token_type is TokenType.VAR:
            words.append(self._curr.text.upper())
            self._advance()
        name = " ".join(words)
        if name not in CASTS:
            self.raise_error(f"CAST knows no type {name[:40] or 'here'}; it knows {', '.join(CASTS)}")
        length = None
        if name in ("CHAR", "VARCHAR") and self._match(TokenType.L_PAREN):
            length = self._parse_number()
            if length is None or not self._match(TokenType.R_PAREN):
                self.raise_error("the length of a text is a number")
        return self.expression(
            exp.Anonymous(this="CAST", expressions=[value, exp.Literal.string(CASTS.get(name, "")), length])
        )


_LONGEST_KEPT = 2_000


@functools.lru_cache(maxsize=256)
def _kept(query: str) -> exp.Expr:
    return _parse(query)


def parse(query: str) -> exp.Expr:
    """The syntax tree of a query. Those of short queries are kept and shared: nobody may change one.

    Raises
    ------
    AdqlError
        It is not one SELECT in ADQL's grammar.
    """
    return _kept(query) if len(query) <= _LONGEST_KEPT else _parse(query)


def _parse(query: str) -> exp.Expr:
    tokens = tokens_of(query)
    if not tokens:
        raise AdqlError("the query is empty", expected="SELECT …")
    first = tokens[0]
    if first.token_type not in (TokenType.SELECT, TokenType.WITH, TokenType.L_PAREN):
        line, column = place_of(query, first.start)
        raise AdqlError(
            "only queries are answered", line=line, column=column, found=first.text, expected="SELECT … or WITH …"
        )
    parser = _AdqlParser(dialect=_Adql, error_level=ErrorLevel.IMMEDIATE)
    try:
        trees = parser.parse(tokens, query)
    except SqlglotError as error:
        raise _syntax_error(query, parser, error) from None
    except RecursionError:
        raise AdqlError("the query is nested too deeply") from None
    except (AttributeError, TypeError, ValueError, IndexError, KeyError, AssertionError):
        raise _syntax_error(query, parser, None) from None
    if len(trees) != 1 or trees[0] is None:
        raise AdqlError("this is not one query", expected="one SELECT")
    return trees[0]


def _syntax_error(query: str, parser: Any, error: SqlglotError | None) -> AdqlError:
    details = getattr(error, "errors", None) or [{}]
    message = details[0].get("description") or ""
    if not message or message.startswith(("Invalid expression", "Required keyword", "Expected table name")):
        message = "something is missing or superfluous here"
    current, before = parser._curr, parser._prev
    token = current or before
    line, column = place_of(query, token.start) if token else (0, 0)
    words = {item.text.upper() for item in (current, before) if item}
    return AdqlError(
        message[:1].lower() + message[1:] if message[:2].istitle() else message,
        line=line,
        column=column,
        found=current.text if current else "the end of the query",
        action="ADQL limits rows with SELECT TOP n." if "LIMIT" in words else "",
    )
