"""The form of a job: what was typed, the parameters that it means, and what is wrong with it at which entry."""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import shlex
import tomllib
from collections.abc import Mapping
from typing import Any

import tomli_w
from starlette.datastructures import FormData, QueryParams

from emberline.jobs import Job, JobType, ParameterError
from emberline.jobs.parameters import Field, describe, from_text

__all__ = ["Draft", "Limits", "as_toml", "read_text", "submit_command"]

PREFIX = "p."
"""Before the names of parameters in a form, so that none meets ``label`` or ``csrf_token``."""
_HOURS, _DAYS = 1e6, 36500.0


@dataclasses.dataclass(frozen=True)
class Limits:
    """How long a job may run, in seconds, and when its results go, in ISO 8601; None for the workspace's rule."""

    duration: float | None
    destruction: str | None


@dataclasses.dataclass(frozen=True)
class Draft:
    """A job that somebody is writing.

    Attributes
    ----------
    values : dict
        The text of each parameter's entry.
    label, hours, days : str
    whole : str
        The parameters as TOML or JSON, when that entry is open.
    errors : dict
        For each wrong entry, what is wrong with it.
    message : str
        What is wrong with the whole.
    preset : str
        The preset that it began with.
    source : str
        The job that it is a copy of, or with `editing` the job itself.
    """

    values: Mapping[str, str] = dataclasses.field(default_factory=dict)
    label: str = ""
    hours: str = ""
    days: str = ""
    whole: str = ""
    errors: Mapping[str, str] = dataclasses.field(default_factory=dict)
    message: str = ""
    preset: str = ""
    source: str = ""
    editing: bool = False

    @classmethod
    def of_parameters(cls, job_type: JobType, given: Mapping[str, Any], **others: Any) -> Draft:
        """A draft that shows these parameters, and the defaults of the others."""
        fields = describe(job_type.parameters)
        return cls({field.name: _text(given.get(field.name, field.default)) for field in fields}, **others)

    @classmethod
    def of_job(cls, job_type: JobType, job: Job, *, editing: bool) -> Draft:
        """A draft to edit a job that has not run, or a copy of one."""
        hours = f"{job.duration / 3600:.6g}" if job.duration else ""
        return cls.of_parameters(job_type, job.parameters, label=job.label, hours=hours, source=job.id, editing=editing)

    @classmethod
    def of_query(cls, job_type: JobType, query: QueryParams) -> Draft:
        """A new draft: a preset's parameters when one is named, then those that the address names (``p.campaign``)."""
        preset = next((preset for preset in job_type.presets if preset.name == query.get("preset")), None)
        given = dict(preset.parameters) if preset else {}
        given |= {name.removeprefix(PREFIX): text for name, text in query.items() if name.startswith(PREFIX)}
        return cls.of_parameters(job_type, given, preset=preset.name if preset else "")

    @classmethod
    def of_form(cls, job_type: JobType, form: FormData) -> Draft:
        """What was typed, as it was typed."""

        def typed(name: str) -> str:
            return str(form.get(name, ""))

        values = {}
        for field in describe(job_type.parameters):
            entry = PREFIX + field.name
            # A box without its mark is not sent at all; as a switch it says "no" then.
            values[field.name] = str(entry in form).lower() if field.type == "boolean" else typed(entry)
        return cls(
            values,
            label=typed("label").strip(),
            hours=typed("duration").strip(),
            days=typed("destruction").strip(),
            whole=typed("text"),
            source=typed("source"),
            editing=bool(typed("editing")),
        )

    def text(self, field: Field) -> str:
        """The text of one parameter's entry."""
        return self.values.get(field.name, "")

    def parameters(self, job_type: JobType) -> dict[str, Any]:
        """The parameters that the entries mean; text that means nothing is kept, for `validate` to name."""
        return from_text(job_type.parameters, {name: [text] for name, text in self.values.items()})

    def limits(self) -> Limits:
        """The limits that were typed.

        Raises
        ------
        ParameterError
            One is no number, or out of range.
        """
        wrong: dict[str, str] = {}
        hours = _number("duration", self.hours, "hours", _HOURS, wrong)
        days = _number("destruction", self.days, "days", _DAYS, wrong)
        if wrong:
            raise ParameterError(wrong)
        moment = None if days is None else datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
        return Limits(
            None if hours is None else 3600 * hours,
            None if moment is None else moment.isoformat(timespec="milliseconds"),
        )

    def with_errors(self, job_type: JobType, fields: Mapping[str, str]) -> Draft:
        """The same draft with what is wrong; names that have no entry are told beside the text."""
        entries = [*(field.name for field in describe(job_type.parameters)), "text", "label", "duration", "destruction"]
        errors = {name: fields[name] for name in entries if name in fields}
        others = [f"{name}: {text}" for name, text in fields.items() if name not in entries]
        if others:
            errors["text"] = "; ".join(others)
        return dataclasses.replace(self, errors=errors)

    def filled(self, job_type: JobType, given: Mapping[str, Any]) -> Draft:
        """The same draft with the entries filled from parameters."""
        return dataclasses.replace(self, values=self.of_parameters(job_type, given).values)


def _text(value: Any) -> str:
    """A parameter as its entry shows it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return "\n".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _number(name: str, text: str, unit: str, most: float, wrong: dict[str, str]) -> float | None:
    """A positive number that was typed; None for an empty entry."""
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number <= most:
        wrong[name] = f"{text[:40]!r} is not understood; expected a number of {unit} above 0, up to {most:,.0f}"
    return number


def read_text(text: str) -> dict[str, Any]:
    """Parameters from TOML or JSON text.

    Raises
    ------
    ParameterError
        At the entry ``text``: it is neither.
    """
    try:
        found = json.loads(text) if text.lstrip().startswith(("{", "[")) else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ParameterError({"text": f"is neither TOML nor JSON: {error}"}) from error
    if not isinstance(found, dict):
        raise ParameterError({"text": "is a list; expected names and values, such as spectra = 100"})
    return found


def as_toml(parameters: Mapping[str, Any]) -> str:
    """Parameters as TOML; what is not set is left out."""
    return tomli_w.dumps({name: value for name, value in parameters.items() if value is not None})


def submit_command(job: Job) -> str:
    """The command that submits a job like this one from the workspace's folder."""
    words = ["emberline", "jobs", "submit", job.type]
    for name, value in job.parameters.items():
        items = value if isinstance(value, list | tuple) else [] if value is None else [value]
        words += [f"{name}={_text(item)}" for item in items]
    return shlex.join([*words, "--label", job.label] if job.label else words)
