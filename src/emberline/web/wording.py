"""How the pages word numbers, sizes, times and the state of a job; templates know this module as ``words``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from emberline.campaign.wording import count, duration, plural
from emberline.jobs import Job
from emberline.jobs.parameters import Field

__all__ = [
    "anchor", "count", "default", "duration", "eta", "parameter", "percent", "plural", "progress", "results", "size",
    "span", "value",
]  # fmt: skip

_THIN = "\N{NARROW NO-BREAK SPACE}"


def percent(share: float | None) -> str:
    """A share of work done, rounded down, so that 100 % means done; empty when unknown."""
    return "" if share is None else f"{int(100 * min(max(share, 0.0), 1.0))}{_THIN}%"


def span(seconds: float) -> str:
    """A time still to come, as roughly as it is known: 40 s, 12 min, 2 h 5 min, 3 days."""
    if seconds < 60:
        return f"{max(1, round(seconds))}{_THIN}s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes}{_THIN}min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}{_THIN}h {minutes}{_THIN}min" if hours < 48 else plural(round(hours / 24), "day")


def eta(job: Job) -> str:
    """How long a job will still take; empty when nobody knows."""
    return "" if job.eta is None else f"about {span(job.eta)} left"


def progress(job: Job) -> str:
    """What a job at work is doing, in one line."""
    return " · ".join(part for part in (percent(job.progress), eta(job), job.message) if part)


def size(count: int) -> str:
    """A number of bytes: 812 B, 3.4 kB, 1.2 GB (powers of 1000)."""
    if count < 1000:
        return f"{count}{_THIN}B"
    step = min((len(str(count)) - 1) // 3, 4)
    number, unit = count / 1000**step, ("", "kB", "MB", "GB", "TB")[step]
    return f"{number:.1f}{_THIN}{unit}" if number < 99.95 else f"{number:.0f}{_THIN}{unit}"


def results(job: Job) -> str:
    """How many result files a job has, and how large they are together."""
    return f"{plural(len(job.results), 'result')}, {size(sum(result.size for result in job.results))}"


def value(item: Any) -> str:
    """One value of a summary, for people."""
    if item is None or item == "":
        return "–"
    if isinstance(item, bool):
        return "yes" if item else "no"
    if isinstance(item, int):
        return count(item) if abs(item) >= 10_000 else str(item)
    return f"{item:.6g}" if isinstance(item, float) else str(item)


def parameter(item: Any) -> str:
    """One parameter as it was given: nothing is rounded."""
    if isinstance(item, bool):
        return "yes" if item else "no"
    if isinstance(item, Sequence) and not isinstance(item, str):
        return ", ".join(str(entry) for entry in item) or "none"
    return "not set" if item is None else str(item)


def default(field: Field) -> str:
    """What holds when a field of a form stays empty; nothing where the help says it or nothing would be learnt."""
    if field.required or field.type == "boolean" or field.default in (None, "", []):
        return ""
    return f" By default {parameter(field.default)}."


def anchor(name: str) -> str:
    """The identifier of a parameter's entry in the form."""
    return name if name in ("label", "duration", "destruction", "text") else "p-" + re.sub(r"[^A-Za-z0-9_-]", "-", name)
