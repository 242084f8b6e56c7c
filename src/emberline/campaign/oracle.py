"""Who answers: a table of known truth, or any function from identifiers to answers."""

from __future__ import annotations

import csv
import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

import pyarrow as pa

from emberline.campaign.config import OracleConfig
from emberline.errors import CampaignError, ConfigError

__all__ = ["Oracle", "answers_from_rows", "table_oracle"]

Oracle = Callable[[Sequence[str]], Sequence[str | None]]
"""Takes spectrum identifiers and returns an answer for each: a class, ``not sure``, ``bad``, or None for no answer."""

_KEYS = ("identifier", "path", "file", "source_file")


def table_oracle(path: Path | str, config: OracleConfig, answers: Sequence[str], catalogue: pa.Table) -> dict[str, str]:
    """Read a table of known answers.

    Parameters
    ----------
    path : path
        A CSV file with a header line.
    config : OracleConfig
        Which columns to use and what they mean.
    answers : sequence of str
        What may be answered; anything else in the table is refused.
    catalogue : pyarrow.Table
        Columns ``identifier`` and ``source_file`` of the archives, to find spectra by their file's path.

    Returns
    -------
    dict
        Identifier → answer, for the spectra of the catalogue that the table names.

    Raises
    ------
    ConfigError
        A column is missing, or an answer is no class and no pattern covers it; the message names the row.
    """
    rows, key = _read_rows(path, config.key)
    found = answers_from_rows(rows, config, answers, where=str(path))
    identify = _identifier_finder(catalogue)
    result: dict[str, str] = {}
    for number, (row, answer) in enumerate(zip(rows, found, strict=True), start=1):
        identifier = identify(row[key] or "")
        if identifier is not None and result.setdefault(identifier, answer) != answer:
            raise ConfigError(
                f"{identifier} has two different answers",
                where=f"{path}, row {number}",
                found=repr(answer),
                expected=f"{result[identifier]!r}, as in an earlier row",
                action="Keep one of them.",
            )
    return result


def _read_rows(path: Path | str, key: str) -> tuple[list[dict[str, str]], str]:
    """The rows of a CSV file, and the column that names the spectra: `key`, or the first of the usual ones."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"cannot be read as CSV: {error}", where=str(path)) from error
    if not rows:
        raise ConfigError("the table of answers is empty", where=str(path), expected="a header line and rows")
    key = key or next((name for name in _KEYS if name in rows[0]), "")
    if key not in rows[0]:
        raise ConfigError(
            f"there is no column {key!r} that names the spectra" if key else "no column names the spectra",
            where=str(path),
            found=", ".join(rows[0]),
            expected=key or " or ".join(_KEYS),
            action="Set key = '…' to the right column.",
        )
    return rows, key


def _identifier_finder(catalogue: pa.Table) -> Callable[[str], str | None]:
    """A function from what a table calls a spectrum (identifier, file, end of a path) to its identifier."""
    identifiers = catalogue["identifier"].to_pylist()
    by_file: dict[str, list[tuple[str, str]]] = {}
    for identifier, source in zip(identifiers, catalogue["source_file"].to_pylist(), strict=True):
        by_file.setdefault(PurePosixPath(source or "").name, []).append((source or "", identifier))
    known = set(identifiers)

    def identify(name: str) -> str | None:
        if name in known:
            return name
        places = by_file.get(PurePosixPath(name).name, [])
        ends = {identifier for source, identifier in places if _same_end(source, name)}
        return ends.pop() if len(ends) == 1 else None

    return identify


def _same_end(one: str, other: str) -> bool:
    """Whether the shorter of two paths is the end of the longer."""
    a, b = PurePosixPath(one).parts, PurePosixPath(other).parts
    n = min(len(a), len(b))
    return n > 0 and a[-n:] == b[-n:]


def answers_from_rows(
    rows: Iterable[Mapping[str, object]], config: OracleConfig, answers: Sequence[str], *, where: str
) -> list[str]:
    """Turn each row of a table into an answer by the template and patterns of `config`."""
    result = []
    for number, row in enumerate(rows, start=1):
        try:
            text = config.label.format_map({name: "" if value is None else value for name, value in row.items()})
        except (KeyError, ValueError, IndexError, AttributeError) as error:
            raise ConfigError(
                f"the label template {config.label!r} does not fit the table's columns",
                where=where,
                found=", ".join(map(str, row)),
                action=f"Use the columns' names in braces: {error}",
            ) from error
        result.append(_meaning(text.strip(), config.classes, answers, f"{where}, row {number}"))
    return result


def _meaning(text: str, classes: Mapping[str, str], answers: Sequence[str], where: str) -> str:
    meaning = next((to for pattern, to in classes.items() if fnmatch.fnmatchcase(text, pattern)), text)
    if meaning not in answers:
        raise ConfigError(
            "is an answer that the campaign does not know",
            where=where,
            found=repr(text),
            expected=", ".join(map(repr, answers)),
            action=f"Say what it means under classes: {{ {text!r} = '…' }}.",
        )
    return meaning


def ask(oracle: Oracle, identifiers: Sequence[str], answers: Sequence[str]) -> list[str | None]:
    """Put a question for each identifier, and check what comes back."""
    replies = list(oracle(identifiers))
    if len(replies) != len(identifiers):
        raise CampaignError(
            "the oracle answered another number of questions than it was asked",
            found=str(len(replies)),
            expected=str(len(identifiers)),
        )
    for identifier, reply in zip(identifiers, replies, strict=True):
        if reply is not None and reply not in answers:
            raise CampaignError(
                "the oracle gave an answer that the campaign does not know",
                where=identifier,
                found=repr(reply),
                expected=", ".join(map(repr, answers)),
            )
    return replies
