"""Jobs as the command line reaches them: in a workspace's folder, or by the JSON API of a server; no click in here."""

from __future__ import annotations

import contextlib
import getpass
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from emberline.errors import MissingExtraError
from emberline.jobs import JobError, JobNotFoundError, ParameterError, PhaseError, Workspace

if TYPE_CHECKING:
    import httpx

    from emberline.jobs import Job, JobStore

__all__ = ["JobClient", "LocalJobs", "RemoteJobs", "open_client"]

_CONNECT_SECONDS = 10.0
_READ_SECONDS = 60.0
_START_SECONDS = 10.0
"""A supervisor that was started is given so long until another is tried."""
_TYPES = "emberline.campaign.jobs:JOB_TYPES"


class JobClient(Protocol):
    """What can be done with jobs; a job is the mapping that `Job.to_mapping` gives, wherever it is kept."""

    def find(
        self, *, phases: tuple[str, ...] = (), type: str | None = None, search: str | None = None, last: int = 0
    ) -> list[dict[str, Any]]:
        """The newest jobs first; without `phases` all but the archived ones; all of them when `last` is 0."""

    def job(self, id: str) -> dict[str, Any]:
        """One job."""

    def look(self, id: str, seconds: float) -> dict[str, Any]:
        """One job, as soon as its phase changes, or after so many seconds."""

    def submit(self, type: str, parameters: Mapping[str, Any], *, label: str, run: bool) -> dict[str, Any]:
        """Make a job."""

    def do(self, id: str, action: str) -> dict[str, Any]:
        """``run``, ``abort`` or ``archive`` a job."""

    def rerun(self, id: str, parameters: Mapping[str, Any], *, label: str | None, run: bool) -> dict[str, Any]:
        """Make a job like another, single parameters apart."""

    def delete(self, id: str) -> None:
        """Delete a job with its results."""

    def log(self, id: str, offset: int) -> tuple[str, int]:
        """A piece of the log from an offset on, and where to go on."""


def open_client(workspace: Path, url: str | None, token: str | None) -> contextlib.AbstractContextManager[JobClient]:
    """The jobs behind `url` when it is given, those in the folder `workspace` otherwise."""
    return _local(workspace) if url is None else _remote(url, token)


@contextlib.contextmanager
def _local(folder: Path) -> Iterator[JobClient]:
    jobs = LocalJobs(folder)
    try:
        yield jobs
    finally:
        jobs.close()


@contextlib.contextmanager
def _remote(url: str, token: str | None) -> Iterator[JobClient]:
    jobs = RemoteJobs(url, token)
    try:
        yield jobs
    finally:
        jobs.close()


class LocalJobs:
    """The jobs in a workspace's folder. What is queued is done by a supervisor, which is started when none is there.

    Raises
    ------
    JobError
        There is no such folder.
    """

    def __init__(self, folder: Path) -> None:
        self.workspace = Workspace.open(folder)
        self._opened: JobStore | None = None
        self._ask_again = 0.0

    def close(self) -> None:
        """Let go of the data base."""
        if self._opened is not None:
            self._opened.close()

    def _store(self, *, make: bool = False) -> JobStore:
        from emberline.campaign.jobs import open_jobs

        if self._opened is None:
            if not make and not (self.workspace.jobs_folder / "jobs.db").exists():
                raise JobError(
                    "has no jobs yet",
                    where=str(self.workspace.folder),
                    action="Submit one, or name the workspace by --workspace, or its server by --url.",
                )
            self._opened = open_jobs(self.workspace)
        return self._opened

    def _started(self, job: Job) -> dict[str, Any]:
        """The job, once somebody is there to do it."""
        from emberline.jobs import start_detached

        moment = time.monotonic()
        if job.phase in ("QUEUED", "EXECUTING", "SUSPENDED") and moment >= self._ask_again:
            start_detached(self.workspace.folder, _TYPES)
            self._ask_again = moment + _START_SECONDS
        return job.to_mapping()

    def find(
        self, *, phases: tuple[str, ...] = (), type: str | None = None, search: str | None = None, last: int = 0
    ) -> list[dict[str, Any]]:
        """See `JobClient.find`."""
        from emberline.jobs import Phase

        wanted = [Phase(phase) for phase in phases] or None
        found = self._store().jobs(phases=wanted, type=type, search=search, last=last or None)
        return [job.to_mapping() for job in found]

    def job(self, id: str) -> dict[str, Any]:
        """See `JobClient.job`."""
        return self._store().job(id).to_mapping()

    def look(self, id: str, seconds: float) -> dict[str, Any]:
        """See `JobClient.look`."""
        return self._started(self._store().wait(id, seconds))

    def submit(self, type: str, parameters: Mapping[str, Any], *, label: str, run: bool) -> dict[str, Any]:
        """See `JobClient.submit`."""
        return self._started(self._store(make=True).create(type, parameters, owner=_user(), label=label, run=run))

    def do(self, id: str, action: str) -> dict[str, Any]:
        """See `JobClient.do`."""
        store = self._store()
        return self._started({"run": store.run, "abort": store.abort, "archive": store.archive}[action](id))

    def rerun(self, id: str, parameters: Mapping[str, Any], *, label: str | None, run: bool) -> dict[str, Any]:
        """See `JobClient.rerun`."""
        return self._started(self._store().rerun(id, parameters=parameters, label=label, owner=_user(), run=run))

    def delete(self, id: str) -> None:
        """See `JobClient.delete`."""
        self._store().delete(id)

    def log(self, id: str, offset: int) -> tuple[str, int]:
        """See `JobClient.log`."""
        return self._store().log(id, offset)


def _user() -> str:
    """Who sits here, by the name that the server gives its one local user."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "local"


class RemoteJobs:
    """The jobs of a server, by its JSON API.

    Parameters
    ----------
    url : str
        Of the server, as `emberline serve` prints it; a token in it counts when none is given.
    token : str, optional

    Raises
    ------
    JobError
        The address is none.
    MissingExtraError
        httpx is not installed.
    """

    def __init__(self, url: str, token: str | None) -> None:
        try:
            import httpx
        except ImportError as error:
            raise MissingExtraError("httpx", "web") from error
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise JobError("is no address of a server", where=url, expected="http://host:port or https://host")
        token = token or urllib.parse.parse_qs(parts.query).get("token", [""])[0]
        self.url = urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
        self._http = httpx.Client(
            base_url=self.url,
            headers={"Accept": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})},
            timeout=httpx.Timeout(_READ_SECONDS, connect=_CONNECT_SECONDS),
            trust_env=not _is_here(parts.hostname),
        )

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def find(
        self, *, phases: tuple[str, ...] = (), type: str | None = None, search: str | None = None, last: int = 0
    ) -> list[dict[str, Any]]:
        """See `JobClient.find`."""
        given = {"phase": list(phases), "type": type, "search": search, "last": last or None}
        found: list[dict[str, Any]] = []
        while True:
            query = {name: value for name, value in given.items() if value} | {"limit": 200, "offset": len(found)}
            answer = self._json("GET", "/api/jobs", params=query)
            found += answer["jobs"]
            if not answer["jobs"] or len(found) >= answer["total"]:
                return found

    def job(self, id: str) -> dict[str, Any]:
        """See `JobClient.job`."""
        return self._json("GET", _path(id))

    def look(self, id: str, seconds: float) -> dict[str, Any]:
        """See `JobClient.look`."""
        return self._json("GET", _path(id), params={"wait": seconds})

    def submit(self, type: str, parameters: Mapping[str, Any], *, label: str, run: bool) -> dict[str, Any]:
        """See `JobClient.submit`."""
        asked = {"type": type, "parameters": parameters, "label": label, "run": run}
        return self._json("POST", "/api/jobs", json=asked)

    def do(self, id: str, action: str) -> dict[str, Any]:
        """See `JobClient.do`."""
        return self._json("POST", f"{_path(id)}/{action}", json={})

    def rerun(self, id: str, parameters: Mapping[str, Any], *, label: str | None, run: bool) -> dict[str, Any]:
        """See `JobClient.rerun`."""
        asked: dict[str, Any] = {"parameters": parameters, "run": run}
        return self._json("POST", f"{_path(id)}/rerun", json=asked if label is None else {**asked, "label": label})

    def delete(self, id: str) -> None:
        """See `JobClient.delete`."""
        self._answer("DELETE", _path(id))

    def log(self, id: str, offset: int) -> tuple[str, int]:
        """See `JobClient.log`."""
        answer = self._json("GET", f"{_path(id)}/log", params={"offset": offset})
        return str(answer["text"]), int(answer["next"])

    def _answer(self, method: str, path: str, **request: Any) -> httpx.Response:
        import httpx

        try:
            answer = self._http.request(method, path, **request)
        except httpx.ConnectError as error:
            raise JobError(
                f"cannot be reached: {error}", where=self.url, action="Is the server running, and the address right?"
            ) from error
        except httpx.TimeoutException as error:
            raise JobError("did not answer in time", where=self.url, action="Try again later.") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise JobError(f"cannot be talked to: {error}", where=self.url) from error
        if not answer.is_success:
            self._refuse(answer)
        return answer

    def _json(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        answer = self._answer(method, path, **request)
        try:
            found = answer.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise JobError(
                "does not answer as Emberline does",
                where=f"{self.url}{path}",
                found=answer.headers.get("Content-Type", "no content type"),
                expected="JSON",
                action="Is this the address that emberline serve has printed?",
            )
        return found

    def _refuse(self, answer: httpx.Response) -> NoReturn:
        """Say what a status other than success means."""
        message, fields = _error_in(answer)
        if answer.status_code == 401:
            raise JobError(
                "wants to know who you are",
                where=self.url,
                action="Give a token by --token or in EMBERLINE_TOKEN; the page Account makes one.",
            )
        if answer.status_code == 404 and message:
            raise JobNotFoundError(message)
        if answer.status_code == 409 and message:
            raise PhaseError(message)
        if answer.status_code in (400, 422) and fields:
            raise ParameterError(fields)
        what = message or f"answers {answer.status_code} {answer.reason_phrase}"
        raise JobError(what, where=self.url, action="" if message else "Is this the address of an Emberline server?")


def _error_in(answer: httpx.Response) -> tuple[str, dict[str, str]]:
    """The message and the wrong fields that an answer of ours carries; nothing when it is not ours."""
    try:
        error = answer.json()["error"]
        return str(error["message"]).rstrip("."), {str(k): str(v) for k, v in (error.get("fields") or {}).items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", {}


def _path(id: str) -> str:
    return f"/api/jobs/{urllib.parse.quote(id, safe='')}"


def _is_here(host: str) -> bool:
    """Whether a host is this machine: no proxy knows the way to it."""
    return host in ("localhost", "::1") or host.startswith("127.")
