"""A supervisor on its own: ``python -m emberline.jobs FOLDER --types package.module:NAME``."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from emberline.errors import EmberlineError
from emberline.jobs._logs import begin_log
from emberline.jobs._order import load
from emberline.jobs.model import JobType
from emberline.jobs.store import JobStore
from emberline.jobs.supervisor import Supervisor, jobs_folder
from emberline.jobs.workspace import Workspace


def main(arguments: Sequence[str] | None = None) -> int:
    """Supervise until the signal to end, or until there is nothing left to do."""
    parser = argparse.ArgumentParser("python -m emberline.jobs", description=__doc__)
    parser.add_argument("folder", type=Path, help="the workspace, or the folder of its jobs")
    parser.add_argument("--types", required=True, help="where the job types are declared: package.module:NAME")
    parser.add_argument("--until-idle", type=float, help="end after so many seconds without work")
    chosen = parser.parse_args(arguments)
    begin_log()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        _supervise(chosen, stop)
    except EmberlineError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


def _supervise(chosen: argparse.Namespace, stop: threading.Event) -> None:
    folder = jobs_folder(chosen.folder.absolute())
    workspace = Workspace.open(folder.parent)
    config = workspace.config
    types = cast(Sequence[JobType], load(chosen.types))
    bounds: dict[str, Any] = {"default_duration": config.hours * 3600, "keep_days": config.keep_days}
    with JobStore(folder, types, workspace.confinement, **bounds) as store:
        Supervisor.of(store, config).run(stop, chosen.until_idle)


if __name__ == "__main__":
    sys.exit(main())
