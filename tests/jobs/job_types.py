"""Tiny kinds of work for the tests of the engine, found by the workers under their dotted names."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from emberline.errors import EmberlineError
from emberline.jobs.context import JobContext
from emberline.jobs.model import JobType
from emberline.jobs.parameters import parameter


@dataclasses.dataclass(frozen=True)
class Count:
    items: int = parameter("how many", default=3)
    seconds: float = parameter("for each", default=0.0)
    bad: int = parameter("the item that cannot be done", default=-1)
    files: int = parameter("result files made at the end", default=0)


def count(parameters: Count, context: JobContext) -> dict[str, Any]:
    """Does items one by one, and notes each; an item that stands in the checkpoint is not done again."""
    done: list[int] = list((context.checkpoint or {}).get("done", []))
    for item in range(parameters.items):
        if item in done:
            continue
        time.sleep(parameters.seconds)
        if item == parameters.bad:
            raise EmberlineError("cannot be done", where=str(item))
        with open(context.folder / "done.txt", "a") as stream:
            stream.write(f"{item} {context.attempt}\n")
        done.append(item)
        context.save_checkpoint({"done": done})
        context.progress("count", len(done), parameters.items)
    for number in range(parameters.files):
        (context.folder / f"{number}.txt").touch()
    return {"sum": sum(done)}


@dataclasses.dataclass(frozen=True)
class Chatter:
    reports: int = parameter("how many", default=1000)


def chatter(parameters: Chatter, context: JobContext) -> None:
    for number in range(parameters.reports):
        context.progress("talk", number, parameters.reports)


@dataclasses.dataclass(frozen=True)
class Sleep:
    seconds: float = parameter("how long", default=60.0)
    out: Path | None = parameter("nobody else may write that meanwhile", default=None)
    trace: str = parameter("a file that says when it began and ended", default="")


def sleep(parameters: Sleep, context: JobContext) -> None:
    _note(parameters.trace, "begin")
    end = time.monotonic() + parameters.seconds
    while (left := end - time.monotonic()) > 0:
        context.progress("sleep", int(1000 * (parameters.seconds - left)), int(1000 * parameters.seconds) or 1)
        time.sleep(min(left, 0.02))
    _note(parameters.trace, "end")


def _note(trace: str, word: str) -> None:
    if trace:
        with open(trace, "a") as stream:
            stream.write(f"{word} {os.environ['EMBERLINE_JOB']} {time.monotonic()}\n")


@dataclasses.dataclass(frozen=True)
class Family:
    way: str = parameter("ignore, setsid or leave: what the grandchildren do", default="ignore")
    stay: bool = parameter("whether the job goes on when they have left", default=False)


_STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
way = sys.argv[1]
if way in ("setsid", "leave"):
    os.setsid()
if way == "leave" and os.fork():
    sys.exit()
signal.signal(signal.SIGTERM, signal.SIG_IGN)
time.sleep(120)
"""


def family(parameters: Family, context: JobContext) -> None:
    """Has a child that ignores the signal to end, may have its own session, and may have lost its parent."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", _STUBBORN, parameters.way])
    if parameters.way == "leave":
        child.wait()
    time.sleep(0.2)  # until it has set its signals
    context.progress("sleep", 1, 2)
    if parameters.way != "leave" or parameters.stay:
        time.sleep(120)


@dataclasses.dataclass(frozen=True)
class Fail:
    how: str = parameter("emberline, value, exit, quit or segv", default="value")
    times: int = parameter("attempts that fail", default=1000)


def fail(parameters: Fail, context: JobContext) -> dict[str, Any]:
    if context.attempt > parameters.times:
        return {"attempt": context.attempt}
    print("about to fail", flush=True)
    (context.folder / "partial.txt").write_text("so far")
    if parameters.how == "emberline":
        raise EmberlineError("is wrong", where="a.fits", action="Repair it.")
    if parameters.how == "exit":
        os._exit(0)
    if parameters.how == "quit":
        sys.exit(3)
    if parameters.how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if parameters.how == "odd":
        print("\udcff")
        (context.folder / "\udcff.txt").touch()
        context.progress("\udcff", 1, 2)
        context.save_checkpoint({"name": "\udcff"})
        raise OSError("cannot read \udcff.fits\x00")
    raise ValueError("no good\nat all")


@dataclasses.dataclass(frozen=True)
class Eat:
    mebibytes: int = parameter("in all, half of them in a child", default=200)


def eat(parameters: Eat, context: JobContext) -> None:
    half = parameters.mebibytes // 2
    code = f"import time; held = bytearray(b'x') * ({half} << 20); time.sleep(60)"
    subprocess.Popen([sys.executable, "-c", code])
    held = bytearray(b"x") * (half << 20)
    time.sleep(60)
    assert held


@dataclasses.dataclass(frozen=True)
class Write:
    lines: int = parameter("lines of output", default=1)
    pause: float = parameter("seconds between the output and the end", default=0.0)


def write(parameters: Write, context: JobContext) -> dict[str, Any]:
    """Leaves results of several kinds, among them some that are none."""
    for name in ("report.html", "t/table.csv", "t/table.vot", "a.fits", "b.parquet", "c.png", "d.bin", ".hidden"):
        path = context.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    (context.folder / "link.txt").symlink_to("/etc/hostname")
    for number in range(parameters.lines):
        print("line", number)
    time.sleep(parameters.pause)
    context.log.warning("a warning")
    subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)
    return {"found": float("nan"), "names": ("a", "b")}


_HERE = "tests.jobs.job_types"

JOB_TYPES = (
    JobType("count", "Count", "counts", Count, f"{_HERE}:count", {"count": 1.0}),
    JobType("chatter", "Chatter", "reports", Chatter, f"{_HERE}:chatter", {"talk": 1.0}),
    JobType("sleep", "Sleep", "sleeps", Sleep, f"{_HERE}:sleep", {"sleep": 1.0}, writes=("out",)),
    JobType("family", "Family", "has children", Family, f"{_HERE}:family", {"sleep": 1.0}),
    JobType("fail", "Fail", "fails", Fail, f"{_HERE}:fail"),
    JobType("eat", "Eat", "uses memory", Eat, f"{_HERE}:eat"),
    JobType("write", "Write", "writes results", Write, f"{_HERE}:write"),
    JobType("missing", "Missing", "is not there", Write, f"{_HERE}:nothing_such"),
)
