"""Asynchronous TAP queries as jobs: what is asked, the function that a worker runs, and the store of such jobs."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import logging
import shutil
import threading
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from emberline.errors import EmberlineError
from emberline.files import atomic_path, write_text
from emberline.jobs import (
    ACTIVE,
    Job,
    JobContext,
    JobDesk,
    JobError,
    JobNotFoundError,
    JobStore,
    JobType,
    Phase,
    Result,
    Supervisor,
    Workspace,
    parameter,
    parse_time,
)
from emberline.vo.server.tap_limits import LIMITS

if TYPE_CHECKING:
    from emberline.vo.server._requests import Parameters
    from emberline.vo.server.published import Published

__all__ = ["TAP", "TapDesk", "TapJobParameters", "TapJobs", "run_tap", "tap_jobs_of"]

_LOG = logging.getLogger(__name__)
RESULT = "result"
"""The name that the standard gives to the one result."""
_PLACE = ("tap",)
"""Where the jobs lie in the private folder of the workspace; beneath it a folder for each, with one for results."""
_IDLE_SECONDS = 20.0
_UPLOADS = "uploads"
_ABOUT = "request.json"
_ID_LETTERS = 26
"""Random letters in a job's identifier, five bits each: who has none cannot find it."""


class TapError(EmberlineError):
    """Why a query could not be answered, in words for whoever asked."""


class BusyError(JobError):
    """There are so many jobs that no further is taken."""


@dataclasses.dataclass(frozen=True)
class TapJobParameters:
    """The parameters of a query, as they were given: what is wrong with them shows when it is run."""

    query: str = parameter("The query, in ADQL.", default="")
    lang: str = parameter("ADQL, ADQL-2.0 or ADQL-2.1.", default="ADQL")
    request: str = parameter("doQuery.", default="")
    responseformat: str = parameter("The format of the result.", default="")
    format: str = parameter("The same, as it was called before.", default="")
    maxrec: str = parameter("At most so many rows.", default="")
    upload: tuple[str, ...] = parameter("Tables that came with the query: name,param:part.", default=())


TAP = JobType(
    name="tap",
    title="Answer a query",
    description="A query in ADQL on what is published.",
    parameters=TapJobParameters,
    function="emberline.vo.server.tap_jobs:run_tap",
)


# --- in the worker ---------------------------------------------------------------------------------------------------


def run_tap(parameters: TapJobParameters, context: JobContext) -> dict[str, Any]:
    """Answer one query into the file ``result.<ending>``.

    Raises
    ------
    TapError
        With nothing in it that whoever asked may not know.
    """
    from emberline.vo.server.adql import AdqlError
    from emberline.vo.server.dali import DaliError

    try:
        return _answer(parameters, context)
    except DaliError as error:
        raise TapError(error.message) from None
    except AdqlError as error:
        raise TapError(str(error)) from None
    except TapError:
        raise
    except Exception as error:
        context.log.exception("The query failed")
        kind = "there is no space left" if isinstance(error, OSError) else "the service failed"
        raise TapError(f"the query could not be answered: {kind}") from None


def _answer(parameters: TapJobParameters, context: JobContext) -> dict[str, Any]:
    from emberline.vo.server._tap_query import read_query, start_query
    from emberline.vo.server.adql.runner import Runner
    from emberline.vo.server.published import Published
    from emberline.vo.server.uploads import uploaded_tables

    asked = read_query(_parameters(dataclasses.asdict(parameters)))
    job = context.folder.parent
    sent = Sent.load(job)
    with sent.files(job) as files:
        tables = uploaded_tables(asked, files)
    schema = Published(Workspace(_workspace_of(job))).snapshot().tables(sent.base).with_tap_schema()
    path = context.folder / f"{RESULT}.{asked.format.extension}"
    size = 0
    with Runner(schema) as runner, atomic_path(path) as temporary, open(temporary, "wb") as file:
        answer = start_query(asked, runner, tables, seconds=LIMITS.execution_seconds)
        for piece in answer.pieces():
            size += file.write(piece)
            context.progress("rows", answer.rows, None)
            if size > LIMITS.result_bytes:
                raise TapError(f"the result is larger than {LIMITS.result_bytes} bytes. Ask for fewer rows.")
    return {"rows": answer.rows}


def _workspace_of(job: Path) -> Path:
    """The workspace that a job's folder lies in: no parameter tells it, for strangers see the parameters."""
    return job.parents[len(_PLACE) + 1]


def _parameters(values: Mapping[str, Any]) -> Parameters:
    """The parameters of a job as those of a request."""
    from emberline.vo.server._requests import Parameters

    lists = ((name, value if isinstance(value, list | tuple) else [value]) for name, value in values.items())
    return Parameters((name, str(text)) for name, texts in lists for text in texts if text)


@dataclasses.dataclass(frozen=True)
class Sent:
    """What came with a job's parameters, kept in its folder.

    Attributes
    ----------
    base : str
        The address of the services, as whoever asked knows it.
    parts : mapping of str to str
        Names of files, by the names of the parts of the request that they were.
    """

    base: str
    parts: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def load(cls, job: Path) -> Sent:
        """Read what was saved in a job's folder."""
        return cls(**json.loads((job / _ABOUT).read_text("utf-8")))

    def save(self, job: Path, files: Mapping[str, IO[bytes]]) -> None:
        """Write it down, with further files, in a job's folder."""
        parts = dict(self.parts)
        for part, file in files.items():
            (job / _UPLOADS).mkdir(exist_ok=True)
            parts[part] = parts.get(part, f"{len(parts)}.vot")
            file.seek(0)
            with open(job / _UPLOADS / parts[part], "wb") as copy:
                shutil.copyfileobj(file, copy)
        write_text(job / _ABOUT, json.dumps({"base": self.base, "parts": parts}))

    @contextlib.contextmanager
    def files(self, job: Path) -> Iterator[dict[str, IO[bytes]]]:
        """The files, open."""
        with contextlib.ExitStack() as stack:
            yield {part: stack.enter_context(open(job / _UPLOADS / name, "rb")) for part, name in self.parts.items()}


# --- in the server ---------------------------------------------------------------------------------------------------


class TapJobs:
    """The asynchronous queries of a workspace. Nobody owns them: who knows a job's identifier may do all to it.

    Parameters
    ----------
    workspace : Workspace
    """

    def __init__(self, workspace: Workspace) -> None:
        self._minimum_free = round(workspace.config.minimum_free_gib * 2**30)
        self.store = JobStore(
            workspace.private.joinpath(*_PLACE),
            [TAP],
            default_duration=LIMITS.execution_seconds,
            keep_days=LIMITS.retention_seconds / 86_400,
            id_letters=_ID_LETTERS,
        )
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._threads: set[threading.Thread] = set()
        weakref.finalize(self, _end, self._stop, self._threads)
        if self._waiting():
            self.wake()

    def _waiting(self) -> bool:
        return bool(self.store.count(phases=[Phase.QUEUED, Phase.EXECUTING, Phase.SUSPENDED]))

    def wake(self) -> None:
        """See to it that somebody runs the jobs that are queued."""
        with self._lock:
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._supervise, name="tap-supervisor", daemon=True)
                self._threads.add(self._thread)
                self._thread.start()

    def _supervise(self) -> None:
        supervisor = Supervisor(
            self.store,
            concurrency=LIMITS.running_jobs,
            memory_bytes=LIMITS.job_memory_bytes,
            minimum_free_bytes=self._minimum_free,
        )
        while True:
            try:
                supervisor.run(self._stop, idle_exit=_IDLE_SECONDS)
            except Exception:
                _LOG.exception("asynchronous queries are not run")
                self._stop.wait(_IDLE_SECONDS)
            with self._lock:
                if self._stop.is_set() or not self.store.count(phases=[Phase.QUEUED]):
                    self._threads.clear()
                    self._thread = None
                    return

    def close(self) -> None:
        """Stop running jobs; those at work go on when this is opened again."""
        _end(self._stop, self._threads)

    def make_room(self) -> None:
        """Forget the jobs whose time is over.

        Raises
        ------
        BusyError
            There are too many all the same.
        """
        self.store.expire()
        for job in self.store.jobs(phases=[Phase.ARCHIVED]):
            self.store.delete(job.id)
        if self.store.count(phases=ACTIVE) >= LIMITS.waiting_jobs or self.store.count() >= LIMITS.kept_jobs:
            raise BusyError("there are too many jobs: try again later")


def _end(stop: threading.Event, threads: set[threading.Thread]) -> None:
    """Also when the interpreter ends: the workers stop in good order."""
    stop.set()
    for thread in list(threads):
        thread.join(10)


_KNOWN: weakref.WeakKeyDictionary[Published, TapJobs] = weakref.WeakKeyDictionary()
_KNOWN_LOCK = threading.Lock()


def tap_jobs_of(published: Published) -> TapJobs:
    """The one store of asynchronous queries for `published`."""
    with _KNOWN_LOCK:
        if published not in _KNOWN:
            _KNOWN[published] = TapJobs(published.workspace)
        return _KNOWN[published]


class TapDesk(JobDesk):
    """The jobs as strangers may see them: each by its identifier, no list, no traceback, one result.

    Parameters
    ----------
    jobs : TapJobs
    """

    def __init__(self, jobs: TapJobs) -> None:
        super().__init__(jobs.store, "")
        self._jobs = jobs

    def job(self, id: str) -> Job:
        """One job, as the standard shows it."""
        return _shown(super().job(id))

    def jobs(self, **_: Any) -> list[Job]:
        """None: who asks for a list cannot be told from anybody else."""
        return []

    def submit(
        self, given: Mapping[str, Any], sent: Sent, files: Mapping[str, IO[bytes]], *, label: str, run: bool
    ) -> Job:
        """Make a job, with the tables that came with it."""
        self._jobs.make_room()
        job = self.store.create(TAP.name, _known(given), label=label)
        try:
            sent.save(self.store.job_folder(job.id), files)
        except BaseException:
            self.store.delete(job.id)
            raise
        return self.run(job.id) if run else _shown(job)

    def run(self, id: str) -> Job:
        """Queue a job."""
        job = super().run(id)
        self._jobs.wake()
        return _shown(job)

    def attach(self, id: str, files: Mapping[str, IO[bytes]]) -> None:
        """Keep further tables with a job that has not been started."""
        folder = self.store.job_folder(super().job(id).id)
        Sent.load(folder).save(folder, files)

    def update(
        self,
        id: str,
        *,
        label: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        duration: float | None = None,
        destruction: str | None = None,
    ) -> Job:
        """Change what is given, as far as the service's limits allow."""
        if duration is not None:
            duration = min(duration or LIMITS.execution_seconds, LIMITS.execution_seconds)
        if destruction is not None:
            latest = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=LIMITS.retention_seconds)
            last = parse_time(latest.isoformat())
            destruction = min(parse_time(destruction), last) if destruction else last
        known = None if parameters is None else _known(parameters)
        return _shown(super().update(id, label=label, parameters=known, duration=duration, destruction=destruction))

    def result_path(self, id: str, name: str) -> Path:
        """The file of the result."""
        found = [result.name for result in super().job(id).results if result.name.startswith(f"{RESULT}.")]
        if name != RESULT or not found:
            raise JobNotFoundError("the job has no such result")
        return super().result_path(id, found[0])


_FIELDS = tuple(field.name for field in dataclasses.fields(TapJobParameters))


def _known(given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that are the query's: DALI services ignore others."""
    return {name.lower(): value for name, value in given.items() if name.lower() in _FIELDS}


def _shown(job: Job) -> Job:
    """A job with the names and the result that the standard gives it, and nothing of this machine."""
    results = [result for result in job.results if result.name.startswith(f"{RESULT}.")]
    failure = job.failure and dataclasses.replace(job.failure, detail="")
    return dataclasses.replace(
        job,
        parameters={name.upper(): value for name, value in job.parameters.items() if value},
        failure=failure,
        results=tuple(Result(RESULT, media_type_of(job), result.size) for result in results[:1]),
    )


def media_type_of(job: Job) -> str:
    """What a job's result is."""
    from emberline.vo.server.dali import response_format
    from emberline.vo.server.formats import FORMATS, KEYS

    name, asked = response_format(_parameters(job.parameters), KEYS, "votable")
    return asked or FORMATS[name].media_type
