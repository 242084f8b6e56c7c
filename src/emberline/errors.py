"""The errors that Emberline raises: each names what was read, what was found, what was expected and what to do."""

from __future__ import annotations

from typing import Any

__all__ = [
    "ArchiveError",
    "CampaignError",
    "ConfigError",
    "EmberlineError",
    "EngineError",
    "MissingExtraError",
    "ModelError",
    "NewerVersionError",
    "NotFiniteError",
    "ReadError",
    "RecipeError",
]


class EmberlineError(Exception):
    """The base of all errors that a user can act upon.

    Parameters
    ----------
    message : str
        One clause that says what is wrong.
    where : str, optional
        The file, row, key or option that it concerns.
    found, expected : str, optional
        What was there, and what should have been there.
    action : str, optional
        What the user can do about it.
    """

    def __init__(self, message: str, *, where: str = "", found: str = "", expected: str = "", action: str = "") -> None:
        self.message = message
        self.where = where
        self.found = found
        self.expected = expected
        self.action = action
        super().__init__(self._sentence())

    def _sentence(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        details = [f"{word} {value}" for word, value in (("found", self.found), ("expected", self.expected)) if value]
        if details:
            text += f" ({', '.join(details)})"
        return f"{text}. {self.action}" if self.action else text

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self._keywords())

    def _keywords(self) -> dict[str, Any]:
        return {
            "where": self.where,
            "found": self.found,
            "expected": self.expected,
            "action": self.action,
        }


def _rebuild(kind: type[EmberlineError], message: str, keywords: dict[str, Any]) -> EmberlineError:
    """Unpickle an error that crossed a process boundary."""
    error = kind.__new__(kind)
    own = {name: keywords.pop(name) for name in set(keywords) - {"where", "found", "expected", "action"}}
    EmberlineError.__init__(error, message, **keywords)
    vars(error).update(own)
    return error


class ReadError(EmberlineError):
    """One file, or one spectrum in it, cannot be used; the rest of the input goes on.

    ``reason`` is a short fixed word (``truncated``, ``not-fits``, ``no-spectrum``, ``bad-keyword``,
    ``bad-flux``, ``bad-wavelength``, ``bad-ivar``, ``duplicate-identifier``, …) by which rejects are counted.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        where: str = "",
        found: str = "",
        expected: str = "",
        action: str = "",
    ) -> None:
        self.reason = reason
        super().__init__(message, where=where, found=found, expected=expected, action=action)

    def _keywords(self) -> dict[str, Any]:
        return {**super()._keywords(), "reason": self.reason}


class ConfigError(EmberlineError):
    """A configuration file or option is wrong."""


class ArchiveError(EmberlineError):
    """An archive cannot be opened, is busy, or is damaged."""


class RecipeError(EmberlineError):
    """A recipe does not fit the spectra or the features it is applied to."""


class ModelError(EmberlineError):
    """A network cannot be trained, loaded or applied."""


class NotFiniteError(ModelError):
    """A feature vector has a value that is not finite; `row` counts from 0 in what the network was given."""

    def __init__(self, row: int, *, where: str = "", action: str = "") -> None:
        self.row = row
        super().__init__("the features of a spectrum are not finite", where=where or f"row {row}", action=action)

    def _keywords(self) -> dict[str, Any]:
        return {**super()._keywords(), "row": self.row}


class EngineError(EmberlineError):
    """What runs array work (processes, Spark) cannot start, or has lost some of it."""


class CampaignError(EmberlineError):
    """A campaign cannot be created, opened or continued."""


class NewerVersionError(EmberlineError):
    """A file was written by a newer version of Emberline than this one."""


class MissingExtraError(EmberlineError):
    """An optional dependency is not installed."""

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(
            f"the module {module} is not installed",
            action=f"Install it with: pip install 'emberline[{extra}]'",
        )

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self._keywords())
