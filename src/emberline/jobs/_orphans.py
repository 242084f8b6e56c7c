"""The processes that must end because their job was aborted or deleted, and who sees to that."""

from __future__ import annotations

import concurrent.futures
import fcntl
import json
from pathlib import Path

from emberline.jobs import _folders
from emberline.jobs._database import Database
from emberline.jobs.model import Phase

__all__ = ["LOCK", "stop_orphans", "supervised"]

LOCK = "supervisor.lock"
"""In the store's folder; the supervisor at work holds an exclusive lock on it."""


def supervised(folder: Path) -> bool:
    """Whether a supervisor, in whatever process, is at work on the jobs in `folder`."""
    try:
        with open(folder / LOCK, "rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def stop_orphans(database: Database, folder: Path, grace: float) -> None:
    """End them, all at a time; then remove what they wrote after their job was deleted or archived."""
    with database.read() as connection:
        orphans = connection.execute("SELECT rowid, job, worker FROM orphans").fetchall()
    if not orphans:
        return
    with concurrent.futures.ThreadPoolExecutor(min(len(orphans), 8)) as pool:
        gone = list(pool.map(lambda orphan: _stop(orphan[1], orphan[2], grace), orphans))
    ended = [orphan for orphan, done in zip(orphans, gone, strict=True) if done]
    query = "SELECT (SELECT phase FROM jobs WHERE id = ?)"
    with database.transaction() as connection:
        connection.executemany("DELETE FROM orphans WHERE rowid = ?", [orphan[:1] for orphan in ended])
        phases = {job: connection.execute(query, (job,)).fetchone()[0] for _, job, _ in ended}
    for job, phase in phases.items():
        if phase is None:
            _folders.remove(folder / job)
        elif phase == Phase.ARCHIVED:
            _folders.erase(folder / job)


def _stop(job: str, worker: str | None, grace: float) -> bool:
    from emberline.jobs.processes import Worker, kill_tree

    return kill_tree(job, Worker.from_mapping(json.loads(worker)) if worker else None, grace=grace)
