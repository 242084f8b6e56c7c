"""A real server for tests: uvicorn in a thread, with tiny job types under the names of the real ones."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from emberline.jobs import JobStore, JobType, Workspace
from emberline.web import create_app
from emberline.web.accounts import Accounts
from emberline.web.serving import listen_at, server_of
from emberline.web.visitors import Site
from tests.jobs.job_types import JOB_TYPES as TINY

PASSWORD = "correct horse battery"
ROLES = ("reader", "annotator", "manager", "admin")
_TINY = {job_type.name: job_type for job_type in TINY}
STAND_INS = {
    "round": "sleep",
    "predict": "fail",
    "candidates": "count",
    "report": "write",
    "ingest": "count",
    "harvest": "count",
    "features": "sleep",
    "simulate": "count",
    "unheard-of": "count",
}


def job_types() -> list[JobType]:
    """The names that roles are about, with work that takes no time."""
    types = [dataclasses.replace(_TINY[tiny], name=name, writes=()) for name, tiny in STAND_INS.items()]
    return [*types, *TINY]


def make_store(workspace: Workspace) -> JobStore:
    return JobStore(workspace.jobs_folder, job_types(), workspace.confinement)


def make_accounts(workspace: Workspace, *names: str) -> Accounts:
    """One account for each name that is a role, with that role and `PASSWORD`."""
    accounts = Accounts.of(workspace.private)
    for name in names:
        accounts.add(name, name.rstrip("0123456789"), PASSWORD)
    return accounts


@dataclasses.dataclass
class Server:
    """A server that answers at `base`."""

    base: str
    app: FastAPI

    @property
    def site(self) -> Site:
        return self.app.state.site

    def client(self, user: str = "", **options: Any) -> httpx.Client:
        """A script: `user`'s token goes with every request."""
        headers = dict(options.pop("headers", {}))
        if user:
            role = self.site.accounts.get(user).role
            headers["authorization"] = f"Bearer {self.site.accounts.tokens.create(user, 'test', role)[1]}"
        return httpx.Client(base_url=self.base, headers=headers, timeout=30, trust_env=False, **options)

    @contextlib.contextmanager
    def browser(self, user: str = "", **options: Any) -> Iterator[httpx.Client]:
        """A browser that has signed in; it sends a CSRF token and where requests come from, as our pages do."""
        with httpx.Client(base_url=self.base, timeout=30, trust_env=False, **options) as client:
            if user:
                answer = sign_in(client, user)
                assert answer.status_code == 303, answer.text
                client.headers["x-csrf-token"] = csrf_token(client)
            client.headers.update({"origin": self.base, "sec-fetch-site": "same-origin"})
            yield client


def csrf_token(client: httpx.Client, path: str = "/") -> str:
    """The token that a page hands to its scripts."""
    page = client.get(path)
    assert page.status_code == 200, page.text
    return page.text.split('name="csrf-token" content="')[1].split('"')[0]


def sign_in(client: httpx.Client, user: str, password: str = PASSWORD, **others: str) -> httpx.Response:
    """Fill in the form and send it, as a browser does."""
    token = csrf_token(client, "/signin")
    return client.post("/signin", data={"user": user, "password": password, "csrf_token": token, **others})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serving(
    workspace: Workspace, *, roles: tuple[str, ...] = ROLES, store: JobStore | None = None, **options: Any
) -> Iterator[Server]:
    """A running server; without `roles` it is that of the one local user, without a `store` its jobs are tiny."""
    options.setdefault("supervise", False)
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(store or make_store(workspace))
        app = create_app(workspace, store=store, accounts=make_accounts(workspace, *roles), **options)
        listener = listen_at("127.0.0.1", 0)
        server = server_of(app, lambda: None)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive(), "the server did not start"
                time.sleep(0.01)
            yield Server(f"http://127.0.0.1:{listener.getsockname()[1]}", app)
        finally:
            server.should_exit = True
            thread.join(30)
            listener.close()


def new_workspace(folder: Path) -> Workspace:
    return Workspace.open(folder, create=True)
