"""The parameters of jobs: declared as a dataclass, described for forms, read from text, checked all at once."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import os
import re
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from emberline.config import convert, to_mapping
from emberline.confinement import Confinement, OutsideError
from emberline.errors import ConfigError, EmberlineError
from emberline.jobs.model import JobType, ParameterError

__all__ = ["Field", "Kind", "describe", "from_text", "parameter", "validate"]

Kind = Literal["", "archive", "new-archive", "campaign", "file", "files", "recipe"]
"""What a form offers for a parameter: the archives or campaigns of the workspace, a file, …"""
FieldType = Literal["text", "integer", "number", "boolean", "choice", "path", "list"]

RESERVED = ("jobs", ".emberline")
"""Folders of a workspace that belong to the engine: no parameter may name a path in them."""
_GLOB = re.compile(r"[*?\[]")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_TYPES: Mapping[Any, FieldType] = {str: "text", int: "integer", float: "number", bool: "boolean", Path: "path"}
_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


@dataclasses.dataclass(frozen=True)
class Field:
    """One parameter, as forms and documents show it; `default` is what JSON can hold, None when there is none."""

    name: str
    help: str
    kind: Kind
    type: FieldType
    required: bool
    default: Any
    choices: tuple[str, ...] = ()


def parameter(
    help: str, *, kind: Kind = "", default: Any = dataclasses.MISSING, default_factory: Any = dataclasses.MISSING
) -> Any:
    """A field of a job's parameters: what it is for, and what a form offers for it.

    Use it in a frozen dataclass as `dataclasses.field`. Types that are understood: str, int, float, bool, `Path`,
    ``Literal``, tuples of these, and each of them or None.
    """
    metadata = {"help": help, "kind": kind}
    if default_factory is not dataclasses.MISSING:
        return dataclasses.field(default_factory=default_factory, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class _Hint:
    """A type hint taken apart: ``tuple[Path, ...] | None`` is a list of `Path`, optional."""

    whole: Any
    item: Any
    is_list: bool
    any_length: bool
    optional: bool


def _hints(parameters: type) -> dict[str, _Hint]:
    return _read_hints(parameters)


@functools.cache
def _read_hints(parameters: type) -> dict[str, _Hint]:
    hints = typing.get_type_hints(parameters)
    return {
        field.name: _taken_apart(parameters, field.name, hints[field.name])
        for field in dataclasses.fields(parameters)
        if field.init
    }


def _taken_apart(parameters: type, name: str, hint: Any) -> _Hint:
    inner, optional = hint, False
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        rest = [argument for argument in typing.get_args(hint) if argument is not type(None)]
        optional = len(rest) < len(typing.get_args(hint))
        inner = rest[0] if len(rest) == 1 else typing.Union[tuple(rest)]  # noqa: UP007
    is_list = typing.get_origin(inner) is tuple
    item = typing.get_args(inner)[0] if is_list else inner
    simple = typing.get_args(item) if typing.get_origin(item) in (typing.Union, types.UnionType) else (item,)
    if not all(kind in _TYPES or typing.get_origin(kind) is Literal for kind in simple):
        raise TypeError(f"{parameters.__qualname__}.{name}: {hint} cannot be a job's parameter: they are flat")
    return _Hint(hint, item, is_list, Ellipsis in typing.get_args(inner), optional)


@functools.cache
def _described(parameters: type) -> tuple[Field, ...]:
    fields = {field.name: field for field in dataclasses.fields(parameters)}
    return tuple(_field(fields[name], hint) for name, hint in _hints(parameters).items())


def describe(parameters: type) -> list[Field]:
    """The parameters that the dataclass `parameters` declares, in order.

    Raises
    ------
    TypeError
        It is no dataclass, or has a field that is not flat (a table, a dataclass): an error of the programmer.
    """
    return list(_described(parameters))


def _field(field: dataclasses.Field[Any], hint: _Hint) -> Field:
    default, factory = field.default, field.default_factory
    required = default is dataclasses.MISSING and factory is dataclasses.MISSING
    value = None if required else factory() if factory is not dataclasses.MISSING else default
    choices = tuple(map(str, typing.get_args(hint.item))) if typing.get_origin(hint.item) is Literal else ()
    kind: FieldType = "list" if hint.is_list else "choice" if choices else _TYPES.get(hint.item, "text")
    words = field.metadata
    return Field(field.name, words.get("help", ""), words.get("kind", ""), kind, required, to_mapping(value), choices)


# From text ----------------------------------------------------------------------------------------------------------


def from_text(parameters: type, values: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """What a form or a UWS request gives, as values that JSON can hold and `validate` takes.

    Names count in any case, with hyphens or underscores. A parameter that is left empty is None where that is allowed,
    empty where it is text or a list of any length with a default, and is left out otherwise. Lists are
    given by repeating the name or in several lines; those of numbers and choices also with commas. Text that does not
    fit, and names that nobody knows, are kept as they are: `validate` then names them with everything else that is
    wrong.
    """
    hints = _hints(parameters)
    fields = {field.name: field for field in describe(parameters)}
    given: dict[str, list[str]] = {}
    for name, texts in values.items():
        given.setdefault(_known_name(name, hints), []).extend(texts)
    found: dict[str, Any] = {}
    for name, texts in given.items():
        if name not in hints:
            found[name] = texts[0] if len(texts) == 1 else texts
            continue
        value = (_list if hints[name].is_list else _single)(hints[name], fields[name], texts)
        if value is not dataclasses.MISSING:
            found[name] = value
    return found


def _known_name(name: str, known: Mapping[str, Any]) -> str:
    plain = name.replace("-", "_")
    if plain in known:
        return plain
    return next((key for key in known if key.lower() == plain.lower()), name)


def _single(hint: _Hint, field: Field, texts: list[str]) -> Any:
    if len(texts) != 1 and hint.item is not bool:
        return list(texts) if texts else dataclasses.MISSING
    text = texts[-1] if texts else ""  # of a switch the last counts: forms put a hidden "false" before it
    if text == "" or (hint.item is not str and not text.strip()):
        if hint.optional:
            return None
        return "" if hint.item is str and not field.required else dataclasses.MISSING
    return _value(hint.item, text)


def _list(hint: _Hint, field: Field, texts: list[str]) -> Any:
    separator = r"[\r\n]+" if hint.item in (str, Path) else r"[\r\n,]+"
    items = [item.strip() for text in texts for item in re.split(separator, text)]
    found = [_value(hint.item, item) for item in items if item]
    if found or (hint.any_length and not hint.optional and not field.required):
        return found
    return None if hint.optional else dataclasses.MISSING


def _value(item: Any, text: str) -> Any:
    """One text as the value that the hint asks for, or the text itself when it is none."""
    bare = text.strip()
    if typing.get_origin(item) is Literal:
        return next((choice for choice in typing.get_args(item) if str(choice) == bare), text)
    if item is bool:
        return _BOOLEANS.get(bare.lower(), text)
    if item is int:
        return int(bare) if re.fullmatch(r"[+-]?[0-9]{1,18}", bare) else text
    if item is float:
        try:
            return float(bare) if re.fullmatch(r"[+-]?[0-9.]+([eE][+-]?[0-9]+)?", bare) else text
        except ValueError:
            return text
    return text


# Checking -----------------------------------------------------------------------------------------------------------


def validate(job_type: JobType, mapping: Mapping[str, Any], confinement: Confinement | None) -> Any:
    """An instance of the job type's parameters.

    With a `confinement` all paths in it are absolute and inside; without one they are as given. A path that the job
    writes (named in `JobType.writes`, or of the kind ``new-archive``) must be in the workspace itself. Of a path
    with glob characters the part before the first of them is confined.

    Raises
    ------
    ParameterError
        All that is wrong, by parameter: unknown, missing, of the wrong type, outside. What the dataclass itself
        refuses stands at the parameter that its message begins with, or else under the empty name.
    """
    hints = _hints(job_type.parameters)
    if not isinstance(mapping, Mapping):
        raise ParameterError({"": "expected names with values"}, where=job_type.name)
    wrong: dict[str, str] = {}
    values: dict[str, Any] = {}
    for key, value in mapping.items():
        name = str(key).replace("-", "_")
        if name not in hints:
            wrong[str(key)] = _unknown(name, hints)
        elif name in values or name in wrong:
            wrong[name] = "is given twice"
        else:
            _take(hints[name], name, value, values, wrong)
    fields = describe(job_type.parameters)
    wrong |= {f.name: "is missing" for f in fields if f.required and f.name not in values and f.name not in wrong}
    if confinement is not None:
        _confine(job_type, fields, values, wrong, confinement)
    if wrong:
        raise ParameterError(wrong, where=job_type.name)
    return _instance(job_type, values)


def _unknown(name: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}" if known else "none is known"
    return f"is no parameter of this job; {hint}"


def _take(hint: _Hint, name: str, value: Any, values: dict[str, Any], wrong: dict[str, str]) -> None:
    """Convert one value into `values`, or say in `wrong` what is wrong with it."""
    try:
        found = convert(hint.whole, value)
    except ConfigError as error:
        shown = error.found if len(error.found) <= 80 else f"{error.found[:77]}…"
        wrong[name] = f"expected {error.expected}, found {shown}" + (f". {error.action}" if error.action else "")
        return
    if hint.item is Path and "" in (value if isinstance(value, list | tuple) else (value,)):
        wrong[name] = "expected a path, found none"
    for item in found if isinstance(found, tuple) else (found,):
        if isinstance(item, float) and not math.isfinite(item):
            wrong[name] = f"expected a finite number, found {item}"
        elif isinstance(item, str | Path) and not is_printable(str(item)):
            wrong[name] = "has control characters in it"
    values[name] = found


def is_printable(text: str) -> bool:
    """Whether the text can be shown, stored and put into XML: no control characters, no halves of characters."""
    return not _CONTROL.search(text)


def underscored(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters by the names of their fields: hyphens count as underscores."""
    return {str(key).replace("-", "_"): value for key, value in mapping.items()}


def _instance(job_type: JobType, values: dict[str, Any]) -> Any:
    try:
        return job_type.parameters(**values)
    except (ValueError, EmberlineError) as error:
        text = str(error)
        first = re.match(r"\W?(\w+)", text)
        name = first[1] if first and first[1] in _hints(job_type.parameters) else ""
        raise ParameterError({name: text}, where=job_type.name) from error


def writes(job_type: JobType, instance: Any) -> list[str]:
    """The paths that a job with these parameters writes."""
    found = (getattr(instance, name) for name in job_type.writes)
    return [str(item) for value in found for item in (value if isinstance(value, tuple) else (value,)) if item]


# Paths --------------------------------------------------------------------------------------------------------------


def _confine(
    job_type: JobType, fields: list[Field], values: dict[str, Any], wrong: dict[str, str], confinement: Confinement
) -> None:
    """Make the paths in `values` absolute, and those of the defaults with them."""
    for field in fields:
        value = values.get(field.name, field.default)
        if field.name in wrong or not _has_paths(_hints(job_type.parameters)[field.name]) or not value:
            continue
        write = field.kind == "new-archive" or field.name in job_type.writes
        try:
            if isinstance(value, tuple | list):
                values[field.name] = tuple(_inside(confinement, Path(item), write) for item in value)
            else:
                values[field.name] = _inside(confinement, Path(value), write)
        except OutsideError as error:
            wrong[field.name] = str(error)


def _has_paths(hint: _Hint) -> bool:
    return hint.item is Path


def _inside(confinement: Confinement, path: Path, write: bool) -> Path:
    literal, pattern = _split(confinement.root, path)
    found = dataclasses.replace(confinement, reserved=RESERVED).resolve(literal, write=write)
    if ".." in pattern:
        raise OutsideError("has .. after a pattern", where=str(path), action="Write the path without it.")
    if write and found == confinement.root.resolve():
        raise OutsideError("is the workspace itself", where=str(path), expected="a path inside it")
    return found.joinpath(*pattern)


def _split(root: Path, path: Path) -> tuple[Path, tuple[str, ...]]:
    """The part of a path before the first glob character, and the rest; a file that is really called so is no glob."""
    first = next((i for i, part in enumerate(path.parts) if _GLOB.search(part)), None)
    if first is None or os.path.lexists(root / path):
        return path, ()
    return Path(*path.parts[:first]), path.parts[first:]
