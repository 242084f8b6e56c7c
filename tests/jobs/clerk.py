"""Kinds of jobs that nobody runs, and what an engine would do to them: for the tests of the store."""

from __future__ import annotations

import dataclasses
import threading
import time
from pathlib import Path
from typing import Any

from emberline.jobs import (
    Job,
    JobStore,
    JobType,
    parameter,
)
from emberline.jobs._schema import move


@dataclasses.dataclass(frozen=True)
class Count:
    items: int = parameter("How many.", default=3)
    out: Path | None = parameter("Where to.", default=None)


@dataclasses.dataclass(frozen=True)
class Name:
    name: str = parameter("Whose.")


TYPES = (
    JobType("count", "Count things", "", Count, "x:count", writes=("out",)),
    JobType("greet", "Say hello", "", Name, "x:greet"),
)


def do(store: JobStore, id: str, *actions: str, **columns: Any) -> Job:
    """What the engine does to a job."""
    for action in actions:
        with store.database.transaction() as connection:
            move(connection, id, action, **columns)
    return store.job(id)


def register(store: JobStore, id: str, name: str, text: str = "x") -> None:
    """A result, as a worker leaves it."""
    path = store.job_folder(id) / "results" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    with store.database.transaction() as connection:
        connection.execute("INSERT INTO results VALUES (?, ?, 'text/plain', ?)", (id, name, len(text)))


def later(seconds: float, act: Any) -> threading.Thread:
    thread = threading.Thread(target=lambda: (time.sleep(seconds), act()))
    thread.start()
    return thread
