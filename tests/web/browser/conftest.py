"""A real server process, and a real browser that may talk to it and to nobody else."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from emberline.jobs import Workspace
from tests.chromium import ARGUMENTS, CHROMIUM

REFUSED = r"Failed to load resource: the server responded with a status of 4\d\d"
"""What Chromium itself notes down when a page is answered with a refusal that a test has provoked."""
GONE = r"net::ERR_(CONNECTION_(REFUSED|RESET|CLOSED)|EMPTY_RESPONSE|INCOMPLETE_CHUNKED_ENCODING|SOCKET_NOT_CONNECTED)"
"""What Chromium notes down when the server that it asks has ended."""
_STOPPED: set[str] = set()  # addresses of servers that a test has ended: a page that still asks them is no fault
_OFFLINE = Path(__file__).parent / "offline.toml"
"""What a workspace without a ``vo.toml`` of its own asks of others: nothing."""
_START = "from emberline.cli import main; main()"


@dataclasses.dataclass
class Server:
    """`emberline serve` on a workspace: `base` is its address, `opening` the one that was printed."""

    folder: Path
    process: subprocess.Popen[str]
    opening: str

    @property
    def base(self) -> str:
        return self.opening.split("?")[0].rstrip("/")

    @property
    def key(self) -> str:
        return self.opening.partition("token=")[2]

    def api(self) -> httpx.Client:
        """A script that holds the printed token."""
        headers = {"authorization": f"Bearer {self.key}"}
        return httpx.Client(base_url=f"{self.base}/api", headers=headers, timeout=30, trust_env=False)

    def submit(self, type: str, label: str, *, run: bool = True, **parameters: Any) -> str:
        """Make a job; its identifier."""
        body = {"type": type, "label": label, "parameters": parameters, "run": run}
        with self.api() as api:
            answer = api.post("/jobs", json=body)
            assert answer.status_code == 201, answer.text
            return str(answer.json()["id"])

    def job(self, id: str, *, wait: int = 0, phase: str = "") -> dict[str, Any]:
        """A job; with `wait`, once it is no longer in `phase`."""
        with self.api() as api:
            query = {"wait": wait, **({"phase": phase} if phase else {})}
            found: dict[str, Any] = api.get(f"/jobs/{id}", params=query).json()
        return found

    def finished(self, id: str) -> dict[str, Any]:
        """A job that has ended."""
        while (job := self.job(id, wait=20))["phase"] in ("QUEUED", "EXECUTING"):
            pass
        return job


def start(folder: Path, port: int = 0) -> Server:
    """Start a server and wait until it says where it is."""
    command = [sys.executable, "-c", _START, "serve", str(folder), "--port", str(port), "--no-browser"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "EMBERLINE_VO": str(_OFFLINE)}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True)
    assert process.stderr is not None
    heard: list[str] = []
    for line in process.stderr:
        heard.append(line)
        if found := re.search(r"http://\S+", line):
            threading.Thread(target=process.stderr.read, daemon=True).start()  # a full pipe would stop it
            running = Server(folder, process, found[0])
            _STOPPED.discard(running.base)
            return running
    raise AssertionError(f"the server ended with {process.wait()}: {''.join(heard)}")


def stop(server: Server, number: signal.Signals = signal.SIGTERM) -> None:
    """End a server."""
    _STOPPED.add(server.base)
    with contextlib.suppress(ProcessLookupError):
        server.process.send_signal(number)
    try:
        server.process.wait(20)
    except subprocess.TimeoutExpired:
        server.process.kill()
        server.process.wait(5)
    if server.process.stderr is not None:
        server.process.stderr.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A workspace without accounts, served with the real types of jobs."""
    running = start(Workspace.open(tmp_path_factory.mktemp("served") / "night-sky", create=True).folder)
    yield running
    stop(running)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("Chromium is absent: install the package chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield running
        running.close()


class Browser:
    """Windows that note down everything that must not happen: errors, and requests to anybody else."""

    def __init__(self, chromium: Any) -> None:
        self._chromium = chromium
        self._contexts: list[Any] = []
        self.problems: list[str] = []
        self.expected: list[str] = []

    def window(self, server: Server | None = None, **options: Any) -> Any:
        """A new window with its own cookies; with a server of the local user's it has come in already."""
        context = self._chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        context.set_default_timeout(15_000)
        self._contexts.append(context)
        context.route(lambda url: not url.startswith(("http://127.0.0.1:", "data:", "blob:")), self._refuse)
        context.on("page", self._watch)
        page = context.new_page()
        if server is not None:
            page.goto(server.opening)
        return page

    def _refuse(self, route: Any) -> None:
        self.problems.append(f"a request to {route.request.url}")
        route.abort()

    def _watch(self, page: Any) -> None:
        page.on("pageerror", lambda error: self.problems.append(f"{page.url}: {error}"))
        page.on("console", lambda message: self._heard(page, message))

    def _heard(self, page: Any, message: Any) -> None:
        if message.type == "error":
            self.problems.append(f"{page.url}: {message.text}")

    def close(self) -> None:
        for context in self._contexts:
            context.close()

    def unexpected(self) -> list[str]:
        return [text for text in self.problems if not (_of_a_stopped_server(text) or self._awaited(text))]

    def _awaited(self, text: str) -> bool:
        return any(re.search(pattern, text) for pattern in self.expected)


def _of_a_stopped_server(text: str) -> bool:
    return any(text.startswith(f"{base}/") for base in _STOPPED) and re.search(GONE, text) is not None


@pytest.fixture
def browser(chromium: Any) -> Iterator[Browser]:
    """Fails the test on any error in the browser that the test has not named in ``browser.expected``."""
    running = Browser(chromium)
    yield running
    running.close()
    assert running.unexpected() == []
