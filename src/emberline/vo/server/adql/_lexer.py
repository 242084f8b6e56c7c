"""The lexical guard: only what ADQL's alphabet knows becomes a token; everything else is refused with its place."""

from __future__ import annotations

import re

from sqlglot.tokenizer_core import Token, TokenType

from emberline.vo.server.adql._error import AdqlError

__all__ = ["MAXIMUM_DEPTH", "MAXIMUM_LENGTH", "MAXIMUM_TOKENS", "place_of", "tokens_of"]

MAXIMUM_LENGTH = 100_000
MAXIMUM_TOKENS = 20_000
MAXIMUM_DEPTH = 24
"""Parentheses within parentheses; as many signs or NOTs in a row."""

KEYWORDS = {
    "ALL": TokenType.ALL,
    "AND": TokenType.AND,
    "AS": TokenType.ALIAS,
    "ASC": TokenType.ASC,
    "BETWEEN": TokenType.BETWEEN,
    "CASE": TokenType.CASE,
    "CROSS": TokenType.CROSS,
    "DESC": TokenType.DESC,
    "DISTINCT": TokenType.DISTINCT,
    "ELSE": TokenType.ELSE,
    "END": TokenType.END,
    "EXCEPT": TokenType.EXCEPT,
    "EXISTS": TokenType.EXISTS,
    "FALSE": TokenType.FALSE,
    "FROM": TokenType.FROM,
    "FULL": TokenType.FULL,
    "HAVING": TokenType.HAVING,
    "ILIKE": TokenType.ILIKE,
    "IN": TokenType.IN,
    "INNER": TokenType.INNER,
    "INTERSECT": TokenType.INTERSECT,
    "IS": TokenType.IS,
    "JOIN": TokenType.JOIN,
    "LEFT": TokenType.LEFT,
    "LIKE": TokenType.LIKE,
    "NATURAL": TokenType.NATURAL,
    "NOT": TokenType.NOT,
    "NULL": TokenType.NULL,
    "OFFSET": TokenType.OFFSET,
    "ON": TokenType.ON,
    "OR": TokenType.OR,
    "OUTER": TokenType.OUTER,
    "RIGHT": TokenType.RIGHT,
    "SELECT": TokenType.SELECT,
    "THEN": TokenType.THEN,
    "TOP": TokenType.TOP,
    "TRUE": TokenType.TRUE,
    "UNION": TokenType.UNION,
    "USING": TokenType.USING,
    "WHEN": TokenType.WHEN,
    "WHERE": TokenType.WHERE,
    "WITH": TokenType.WITH,
}
"""The words that the parser may see as words; all others are names."""

SYMBOLS = {
    "(": TokenType.L_PAREN,
    ")": TokenType.R_PAREN,
    ",": TokenType.COMMA,
    ".": TokenType.DOT,
    "+": TokenType.PLUS,
    "-": TokenType.DASH,
    "*": TokenType.STAR,
    "/": TokenType.SLASH,
    "=": TokenType.EQ,
    "<": TokenType.LT,
    ">": TokenType.GT,
    "<=": TokenType.LTE,
    ">=": TokenType.GTE,
    "<>": TokenType.NEQ,
    "!=": TokenType.NEQ,
    "||": TokenType.DPIPE,
}

_TOKEN = re.compile(
    r"""
      (?P<space>[\ \t\r\n\f]++)
    | (?P<comment>--[^\n]*+)
    | (?P<text>'[^']*+(?:''[^']*+)*+')
    | (?P<name>"[^"]*+(?:""[^"]*+)*+")
    | (?P<number>(?:[0-9]++(?:\.[0-9]*+)?+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?+)
    | (?P<word>[A-Za-z][A-Za-z0-9_]*+)
    | (?P<symbol><=|>=|<>|!=|\|\||[-+*/(),.=<>])
    """,
    re.VERBOSE,
)
_HINTS = {
    "'": "A text that begins with ' has no end.",
    '"': 'A name that begins with " has no end.',
    ";": "One query at a time.",
    "[": "Names with special characters are written between double quotes.",
    "`": "Names with special characters are written between double quotes.",
    "_": "Names that begin with an underscore are written between double quotes.",
    "%": "The remainder is MOD(a, b).",
}


def place_of(query: str, offset: int) -> tuple[int, int]:
    """Line and column, from 1, of a character of the query."""
    before = query[: max(offset, 0)]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _refuse(query: str, offset: int, message: str, found: str, action: str = "", expected: str = "") -> AdqlError:
    line, column = place_of(query, offset)
    return AdqlError(message, line=line, column=column, found=found, expected=expected, action=action)


def tokens_of(query: str) -> list[Token]:
    """Split a query into tokens.

    Raises
    ------
    AdqlError
        It is too long or nested too deeply, a quote has no end, or a character is none of ADQL's.
    """
    if len(query) > MAXIMUM_LENGTH:
        raise AdqlError(
            "the query is too long",
            found=f"{len(query):,} characters",
            expected=f"at most {MAXIMUM_LENGTH:,}",
            action="Upload long lists as a table and join it.",
        )
    tokens: list[Token] = []
    offset, end = 0, _end(query)
    while offset < end:
        match = _TOKEN.match(query, offset, end)
        if match is None:
            character = query[offset]
            hint = _HINTS.get(character, "Only texts and names between quotes may hold it.")
            raise _refuse(query, offset, "this is no part of ADQL", repr(character), hint)
        if match.lastgroup not in ("space", "comment"):
            if match.lastgroup == "number" and tokens and tokens[-1].token_type is TokenType.DOT:
                raise _refuse(query, offset, "a name cannot begin with a digit", match.group())
            tokens.append(_token(query, match))
        offset = match.end()
    if len(tokens) > MAXIMUM_TOKENS:
        raise AdqlError("the query is too long", found=f"{len(tokens):,} words", expected=f"at most {MAXIMUM_TOKENS:,}")
    _check_depth(query, tokens)
    _check_joins(query, tokens)
    return _join_by(tokens)


def _end(query: str) -> int:
    """Where the query ends: clients like to send a semicolon after it."""
    text = query.rstrip()
    return len(text) - 1 if text.endswith(";") else len(query)


def _token(query: str, match: re.Match[str]) -> Token:
    kind, text = match.lastgroup, match.group()
    if kind == "text":
        kind_of, text = TokenType.STRING, text[1:-1].replace("''", "'")
    elif kind == "name":
        kind_of, text = TokenType.IDENTIFIER, text[1:-1].replace('""', '"')
    elif kind == "number":
        kind_of = TokenType.NUMBER
        following = query[match.end() : match.end() + 1]
        if following.isalnum() or following == "_":
            raise _refuse(query, match.start(), "this number is not finished", text + following)
    elif kind == "word":
        kind_of = KEYWORDS.get(text.upper(), TokenType.VAR)
    else:
        kind_of = SYMBOLS[text]
    if kind in ("text", "name") and ("\0" in text or (kind == "name" and not text)):
        raise _refuse(query, match.start(), "a quoted name or text cannot be used", repr(text))
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _refuse(query, match.start(), "a text is not Unicode", repr(text)) from None
    return Token(kind_of, text, 1, 1, match.start(), match.end() - 1)


_PREFIXES = (TokenType.NOT, TokenType.DASH, TokenType.PLUS)


def _check_depth(query: str, tokens: list[Token]) -> None:
    depth = run = 0
    for token in tokens:
        kind = token.token_type
        depth += (kind is TokenType.L_PAREN) - (kind is TokenType.R_PAREN)
        run = run + 1 if kind in _PREFIXES else 0
        if max(depth, run) > MAXIMUM_DEPTH:
            raise _refuse(query, token.start, "the query is nested too deeply", "", "", f"{MAXIMUM_DEPTH} levels")
        if depth < 0:
            raise _refuse(query, token.start, "a parenthesis is closed that was not opened", ")")
    if depth:
        opened = next(token for token in reversed(tokens) if token.token_type is TokenType.L_PAREN)
        raise _refuse(query, opened.start, "a parenthesis is not closed", "(")


_BEFORE_JOIN = (TokenType.LEFT, TokenType.RIGHT, TokenType.FULL, TokenType.INNER, TokenType.OUTER)
_AFTER_JOIN = (TokenType.VAR, TokenType.IDENTIFIER, TokenType.DOT, TokenType.ALIAS, TokenType.L_PAREN)


def _check_joins(query: str, tokens: list[Token]) -> None:
    """After JOIN and its table, a condition must follow at once.

    The parser would try all ways to share out conditions among several tables, and their number doubles with each.
    """
    waiting: list[Token | None] = [None]
    free = False
    for token in [*tokens, Token(TokenType.SEMICOLON, "", 1, 1, len(query), len(query))]:
        kind, join = token.token_type, waiting[-1]
        if kind in (TokenType.ON, TokenType.USING):
            waiting[-1] = None
        elif join is not None and kind not in _AFTER_JOIN:
            raise _refuse(query, join.start, "this JOIN needs a condition", "", "", "ON … or USING (…) after its table")
        if kind is TokenType.JOIN and not free:
            waiting[-1] = token
        free = kind in (TokenType.NATURAL, TokenType.CROSS) or (free and kind in _BEFORE_JOIN)
        if kind is TokenType.L_PAREN:
            waiting.append(None)
        elif kind is TokenType.R_PAREN:
            waiting.pop()


def _join_by(tokens: list[Token]) -> list[Token]:
    """GROUP BY and ORDER BY are one token each to the parser."""
    joined: list[Token] = []
    for token in tokens:
        last = joined[-1] if joined else None
        if last is not None and last.token_type is TokenType.VAR and token.text.upper() == "BY":
            kind = {"GROUP": TokenType.GROUP_BY, "ORDER": TokenType.ORDER_BY}.get(last.text.upper())
            if kind is not None and token.token_type is TokenType.VAR:
                joined[-1] = Token(kind, f"{last.text.upper()} BY", 1, 1, last.start, token.end)
                continue
        joined.append(token)
    return joined
