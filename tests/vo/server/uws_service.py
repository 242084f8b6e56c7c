"""A UWS with a server, a store, a supervisor and its worker processes; and what its clients do again and again."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from uws_job_types import JOB_TYPES

from emberline.jobs import JobDesk, JobStore, Supervisor
from emberline.vo.server.uws import AccessError, uws_routes

UWS = "{http://www.ivoa.net/xml/UWS/v1.0}"
HREF = "{http://www.w3.org/1999/xlink}href"


class Service:
    """A running server and its store."""

    def __init__(self, folder: Path, url: str, store: JobStore) -> None:
        self.folder, self.url, self.store = folder, url, store

    def client(self, user: str = "vera") -> httpx.Client:
        """A client that says who it is, and follows no redirect."""
        return httpx.Client(base_url=f"{self.url}/", headers={"X-User": user}, timeout=30)

    def desk(self, request: Request) -> JobDesk:
        """Accounts as simple as can be: the name is in a header."""
        user = request.headers.get("x-user", "")
        if not user:
            raise AccessError(401, "Say who you are", {"WWW-Authenticate": "Basic"})
        if user == "nobody":
            raise AccessError(403, "nobody has no jobs")
        return JobDesk(self.store, user, all=user == "manager")


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Service]:
    """A server on a free port, with a supervisor that runs two jobs at a time."""
    store = JobStore(folder / "jobs", JOB_TYPES)
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        service = Service(folder, f"http://127.0.0.1:{listener.getsockname()[1]}", store)
        routes = uws_routes(service.desk, prefix="/uws")
        server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_level="error", lifespan="off"))
        stop = threading.Event()
        supervisor = Supervisor(store, concurrency=2)
        threads = [
            threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True),
            threading.Thread(target=supervisor.run, args=(stop,), daemon=True),
        ]
        for thread in threads:
            thread.start()
            stack.callback(thread.join, 20)
        stack.callback(stop.set)
        stack.callback(setattr, server, "should_exit", True)
        while not server.started:
            assert threads[0].is_alive()
            time.sleep(0.01)
        yield service
    store.close()


def made(client: httpx.Client, place: str = "uws", **parameters: Any) -> str:
    """Make a job; its address."""
    answer = client.post(place, data=parameters)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def xml(answer: httpx.Response) -> ElementTree.Element:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/xml"
    return ElementTree.fromstring(answer.content)


def listed(client: httpx.Client, place: str = "uws", **filters: Any) -> list[str]:
    """The identifiers in the job list."""
    return [str(job.get("id")) for job in xml(client.get(place, params=filters))]


def finished(client: httpx.Client, job: str) -> str:
    """Wait as a client does; the last phase."""
    while (phase := xml(client.get(job, params={"WAIT": "20"})).findtext(f"{UWS}phase")) in (
        "PENDING",
        "QUEUED",
        "EXECUTING",
    ):
        assert phase != "PENDING"
    return str(phase)


def asked(app: Any, url: str, method: str = "GET", **arguments: Any) -> httpx.Response:
    """One request to an application without a server."""

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
            return await client.request(method, url, headers={"X-User": "addresses"}, **arguments)

    return asyncio.run(ask())
