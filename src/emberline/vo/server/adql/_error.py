"""What is wrong with a query, where in it, and what would be right."""

from __future__ import annotations

from emberline.errors import EmberlineError

__all__ = ["AdqlError"]


class AdqlError(EmberlineError):
    """A query is not ADQL as it is offered here, or cannot be answered.

    Attributes
    ----------
    line, column : int
        Where in the query, counted from 1; 0 when it concerns no place in particular.
    """

    def __init__(
        self,
        message: str,
        *,
        line: int = 0,
        column: int = 0,
        where: str = "",
        found: str = "",
        expected: str = "",
        action: str = "",
    ) -> None:
        self.line = line
        self.column = column
        if line and not where:
            where = f"line {line}, column {column}"
        super().__init__(message, where=where, found=_short(found), expected=expected, action=action)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self.message, self._keywords(), self.line, self.column)


def _rebuild(message: str, keywords: dict[str, str], line: int, column: int) -> AdqlError:
    return AdqlError(message, line=line, column=column, **keywords)


def _short(text: str, length: int = 80) -> str:
    """A query may be hostile: what is quoted of it is short and printable."""
    text = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return text if len(text) <= length else text[: length - 1] + "…"
