"""The process in which one attempt at a job runs: ``python -m emberline.jobs.worker``, told on standard input what."""

from __future__ import annotations

import contextlib
import dataclasses
import faulthandler
import json
import logging
import os
import resource
import signal
import sys
import threading
import time
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emberline.errors import EmberlineError
from emberline.files import write_text
from emberline.jobs._database import Database
from emberline.jobs._engine import Record
from emberline.jobs._folders import RESULTS
from emberline.jobs._logs import begin_log
from emberline.jobs._meter import Meter
from emberline.jobs._order import Order, call
from emberline.jobs._outcome import collect, failure_of, readable
from emberline.jobs.context import JobContext
from emberline.jobs.model import Failure, JobNotFoundError, PhaseError
from emberline.jobs.parameters import validate
from emberline.jobs.processes import GRACE, Worker, kill_tree
from emberline.provenance import plain, provenance

__all__ = ["main"]

_BEAT = 0.2  # s between two looks at the parent, and between two writings of the progress
_CHECK = 1.0  # s between two looks whether the job is still ours
_LOST = (PhaseError, JobNotFoundError)


class _ToldToEndError(BaseException):
    """The signal to end has come; work's own clean-up runs as it goes up."""


def main() -> int:
    """Read the order, do the work, leave the last word in the data base; nothing is done without an order."""
    line = sys.stdin.readline()
    if not line:
        return 0  # the supervisor thought better of it, or has died
    order = Order.from_text(line)
    _settle()
    try:
        _work(order)
    except _ToldToEndError:
        return 128 + signal.SIGTERM
    except _LOST:
        logging.getLogger(__name__).info("The job is no longer this worker's: nothing more is written.")
    return 0


def _work(order: Order) -> None:
    sys.path.extend(entry for entry in order.path if entry not in sys.path)
    with contextlib.closing(Database(Path(order.folder) / "jobs.db")) as database:
        attempt = _Attempt(order, database)
        try:
            attempt.run()
        except _ToldToEndError:
            attempt.wait_for_end()
            raise


def _settle() -> None:
    """Make this process a good guest: it is the first to go when memory ends, and it gives way to the pages."""
    faulthandler.enable()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        os.nice(5)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")
    signal.signal(signal.SIGTERM, _told_to_end)
    begin_log()


def _told_to_end(number: int, frame: types.FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _ToldToEndError


class _Attempt:
    """One attempt at one job, from the order to the last word."""

    def __init__(self, order: Order, database: Database) -> None:
        self._order = order
        self._results = Path(order.folder) / order.job / RESULTS
        self._log = logging.getLogger("emberline.job")
        self._record = Record(database, order.job, order.attempt)
        self._meter = Meter(order.type["steps"])
        self._pulse = _Pulse(order, self._record, self._meter)

    def run(self) -> None:
        """Call the function; whatever becomes of it, one word is written about it."""
        order = self._order
        self._log.info("Attempt %d at job %s (%s) begins.", order.attempt, order.job, order.type["name"])
        self._pulse.start()
        try:
            self._write_summary(self._work())
            results = collect(self._results)
        except _ToldToEndError:
            raise
        except _LOST:
            self._record.check()  # goes up when it is this job that was lost, and not one that the work asked for
            self._fail(sys.exception())
        except BaseException as error:
            self._fail(error)
        else:
            self._pulse.end()
            kill_tree(self._order.job, None, grace=0)  # what the work has left behind
            self._log.info("Done, with %d results.", len(results))
            self._record.complete(results)

    def wait_for_end(self) -> None:
        """When the pulse is just ending all processes of the job, leave this one to it as well."""
        self._pulse.wait_if_ending()

    def _work(self) -> dict[str, Any]:
        job_type, confinement = self._order.job_type, self._order.confinement
        parameters = validate(job_type, self._record.parameters, confinement)
        self._results.mkdir(parents=True, exist_ok=True)
        context = JobContext(
            folder=self._results,
            progress=self._meter,
            attempt=self._order.attempt,
            checkpoint=self._record.checkpoint,
            log=self._log,
            confinement=confinement,
            save=self._save,
        )
        return call(job_type, parameters, context)

    def _save(self, checkpoint: Mapping[str, Any]) -> None:
        self._record.keep(checkpoint, self._meter.reading)

    def _write_summary(self, summary: Mapping[str, Any]) -> None:
        order = self._order
        told = {"job": order.job, "type": order.type["name"], "parameters": self._record.parameters}
        document = {**summary, "provenance": plain(provenance(**told))}
        text = json.dumps(document, indent=1, ensure_ascii=False)
        write_text(self._results / "summary.json", readable(text) + "\n")

    def _within(self, failure: Failure) -> Failure:
        """The failure with paths as the users know them: relative to the workspace."""
        if self._order.confinement is None:
            return failure
        root = os.path.join(self._order.confinement.root, "")
        return dataclasses.replace(failure, message=failure.message.replace(root, ""))

    def _fail(self, error: BaseException | None) -> None:
        failure = self._within(failure_of(error))
        # What a person can mend needs no traceback in the log that everybody reads; it stands behind the error.
        known = isinstance(error, EmberlineError)
        self._log.error("%s", failure.message if known else failure.detail or failure.message)
        self._pulse.end()
        kill_tree(self._order.job, None, grace=0)
        self._record.fail(failure, collect(self._results))


class _Pulse(threading.Thread):
    """Writes the progress now and then, and ends everything when the supervisor has died or the job is lost."""

    def __init__(self, order: Order, record: Record, meter: Meter) -> None:
        super().__init__(name="pulse", daemon=True)
        self._job, self._parent = order.job, order.parent
        self._record, self._meter = record, meter
        self._written = meter.reading
        self._checked = time.monotonic()
        self._ended = threading.Event()
        self._ending = False
        self._quiet = False

    def end(self) -> None:
        """Write no more, and wait until nothing is being written."""
        self._ended.set()
        self.join()

    def wait_if_ending(self) -> None:
        """Wait for the end of this process, when it is near."""
        if self._ending:
            self.join()

    def run(self) -> None:
        """Beat until told to end; what was reported last is always written."""
        while not self._ended.wait(_BEAT):
            if os.getppid() != self._parent:
                self._end_all("The supervisor has died")
            self._beat()
        self._beat()

    def _beat(self) -> None:
        now = time.monotonic()
        try:
            if self._meter.reading is not self._written:
                self._written = self._meter.reading
                self._record.report(self._written)
            elif now - self._checked >= _CHECK:
                self._checked = now
                self._record.check()
        except _LOST:
            self._end_all("The job is no longer this worker's")
        except EmberlineError as error:  # a busy data base or a full disk is no reason to stop working
            if not self._quiet:
                logging.getLogger(__name__).warning("The progress could not be written: %s", error)
            self._quiet = True

    def _end_all(self, reason: str) -> None:
        """Ask the work to end, then end it: the signal reaches the main thread, which may be busy for long."""
        self._ending = True
        logging.getLogger(__name__).warning("%s: this worker ends.", reason)
        os.kill(os.getpid(), signal.SIGTERM)
        kill_tree(self._job, Worker.of(os.getpid()), grace=GRACE)
        os.killpg(os.getpgrp(), signal.SIGKILL) if os.getpgrp() == os.getpid() else os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
