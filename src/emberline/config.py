"""Read configuration: TOML into frozen dataclasses, refusing what it does not know and naming the nearest key."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import tomli_w

from emberline.errors import ConfigError

__all__ = ["convert", "from_mapping", "from_toml", "to_mapping", "to_toml"]

T = TypeVar("T")


def from_toml(kind: type[T], source: Path | str) -> T:
    """Read the TOML file `source` into the frozen dataclass `kind`.

    Raises
    ------
    ConfigError
        When the file is missing or not TOML, a key is unknown or missing, or a value has the wrong type.
    """
    try:
        with open(source, "rb") as stream:
            mapping = tomllib.load(stream)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(source)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"is not valid TOML: {error}", where=str(source)) from error
    return from_mapping(kind, mapping, where=str(source))


def from_mapping(kind: type[T], mapping: Mapping[str, Any], *, where: str = "") -> T:
    """Build the dataclass `kind` from a mapping; keys with hyphens count as with underscores.

    A dataclass checks its own values in ``__post_init__`` and raises `ValueError`; the message is passed on.
    """
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}  # type: ignore[arg-type]
    hints = typing.get_type_hints(kind)
    values: dict[str, Any] = {}
    for key, value in mapping.items():
        name = key.replace("-", "_")
        if name not in fields:
            raise _unknown_key(key, list(fields), where)
        values[name] = convert(hints[name], value, f"{where} [{key}]" if where else key)
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in values:
            raise ConfigError(f"the key {name!r} is missing", where=where, action=f"Add {name} = …")
    try:
        return kind(**values)
    except ValueError as error:
        raise ConfigError(str(error), where=where) from error


def _unknown_key(key: str, known: list[str], where: str) -> ConfigError:
    near = difflib.get_close_matches(key.replace("-", "_"), known, n=1, cutoff=0.5)
    action = f"Did you mean {near[0]!r}?" if near else f"Known keys: {', '.join(known)}."
    return ConfigError(f"unknown key {key!r}", where=where, action=action)


def convert(hint: Any, value: Any, where: str = "") -> Any:
    """Turn one TOML value into what the type hint asks for.

    Raises
    ------
    ConfigError
        It is something else; the error says what was found and what was expected.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        choices = [argument for argument in arguments if argument is not type(None)]
        return _first_that_fits(choices, value, where)
    if origin is typing.Literal:
        if value not in arguments:
            near = difflib.get_close_matches(str(value), [str(a) for a in arguments], n=1, cutoff=0.5)
            raise _wrong(where, value, f"one of {', '.join(map(repr, arguments))}", near)
        return value
    if origin is tuple:
        return _convert_tuple(arguments, value, where)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise _wrong(where, value, "a table")
        return {str(key): convert(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if dataclasses.is_dataclass(hint):
        if isinstance(value, hint):  # type: ignore[arg-type]
            return value
        if not isinstance(value, Mapping):
            raise _wrong(where, value, "a table")
        return from_mapping(typing.cast(type[Any], hint), value, where=where)
    return _convert_scalar(hint, value, where)


def _convert_scalar(hint: Any, value: Any, where: str) -> Any:
    if hint is Any:
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is Path and isinstance(value, str):
        return Path(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise _wrong(
            where,
            value,
            {"str": "text", "int": "a whole number", "float": "a number", "bool": "true or false"}.get(
                hint.__name__, hint.__name__
            ),
        )
    return value


def _convert_tuple(arguments: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise _wrong(where, value, "an array")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(convert(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if len(value) != len(arguments):
        raise _wrong(where, value, f"an array of {len(arguments)} values")
    pairs = zip(arguments, value, strict=True)
    return tuple(convert(hint, item, f"{where}[{i}]") for i, (hint, item) in enumerate(pairs))


def _first_that_fits(choices: list[Any], value: Any, where: str) -> Any:
    for choice in choices[:-1]:
        try:
            return convert(choice, value, where)
        except ConfigError:
            continue
    return convert(choices[-1], value, where)


def _wrong(where: str, value: Any, expected: str, near: list[str] | None = None) -> ConfigError:
    action = f"Did you mean {near[0]!r}?" if near else ""
    return ConfigError("wrong value", where=where, found=repr(value), expected=expected, action=action)


def to_mapping(value: Any) -> Any:
    """The inverse of `from_mapping`: plain dictionaries, lists, text and numbers; None is left out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value) if field.init)
        return {name: to_mapping(item) for name, item in pairs if item is not None}
    if isinstance(value, Mapping):
        return {str(key): to_mapping(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [to_mapping(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def to_toml(value: Any) -> str:
    """A dataclass or mapping as TOML text."""
    return tomli_w.dumps(to_mapping(value))
