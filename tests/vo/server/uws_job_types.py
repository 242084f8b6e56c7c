"""Tiny jobs for the tests of UWS; the worker processes import them from here."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any, Literal

from emberline.errors import EmberlineError
from emberline.jobs import JobContext, JobType, parameter


@dataclasses.dataclass(frozen=True)
class Copying:
    """What is copied, and how often."""

    text: str = parameter("The text")
    lines: tuple[int, ...] = parameter("How often, file by file", default=(1,))
    case: Literal["lower", "upper"] = parameter("Which letters", default="lower")


@dataclasses.dataclass(frozen=True)
class Waiting:
    """For how long, and how it ends."""

    seconds: float = parameter("How long", default=0.0)
    until: str = parameter("Or until this file is there", default="")
    fail: str = parameter("Say this and fail", default="")


def copy(parameters: Copying, context: JobContext) -> dict[str, Any]:
    """Write the text into a file for each number."""
    for number, count in enumerate(parameters.lines):
        (context.folder / f"part {number}").mkdir()
        (context.folder / f"part {number}" / "copy.txt").write_text(f"{parameters.text}\n" * count, encoding="utf-8")
    (context.folder / "page.html").write_text("<script>alert(1)</script>", encoding="utf-8")
    return {"files": len(parameters.lines)}


def wait(parameters: Waiting, context: JobContext) -> dict[str, Any]:
    """Wait; then fail when told to."""
    end = time.monotonic() + parameters.seconds
    while time.monotonic() < end and not (parameters.until and Path(parameters.until).exists()):
        time.sleep(0.02)
    if parameters.fail == "crash":
        raise ValueError("the inside of it")
    if parameters.fail:
        raise EmberlineError(parameters.fail)
    return {}


COPY = JobType("copy", "Copy", "Copies a text.", Copying, "uws_job_types:copy")
WAIT = JobType("wait", "Wait", "Waits.", Waiting, "uws_job_types:wait")
JOB_TYPES = (COPY, WAIT)
