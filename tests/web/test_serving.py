"""The server as a process: where it listens, whom it lets in, and how it stops."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from emberline.errors import ConfigError, EmberlineError, MissingExtraError
from emberline.jobs import Workspace
from emberline.web import create_app, serve
from emberline.web.accounts import Accounts
from emberline.web.serving import listen_at
from tests.web.servers import PASSWORD, make_store

ROOT = Path(__file__).resolve().parents[2]
_SERVE = """
import sys
from emberline.campaign import jobs
from emberline.jobs import Workspace
from emberline.web import application, serve
from tests.web.servers import make_store
application.open_jobs = make_store
tell = lambda address: print(address, flush=True)
serve(Workspace.open(sys.argv[1]), port=int(sys.argv[2]), announce=tell, verbose=True)
print("ended in good order", flush=True)
"""


class Process:
    """`serve` in a process of its own."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", _SERVE, str(folder), str(port)]
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        assert self.address, self.process.communicate()
        self.base, _, self.key = self.address.partition("/?token=")
        self.client = httpx.Client(base_url=self.base, headers={"authorization": f"Bearer {self.key}"}, trust_env=False)

    def end(self, number: signal.Signals = signal.SIGTERM) -> str:
        self.client.close()
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=60)
        assert "Traceback" not in err, err
        assert self.key
        assert self.key not in out + err
        return out


@contextlib.contextmanager
def process(folder: Path) -> Iterator[Process]:
    Workspace.open(folder, create=True)
    found = Process(folder)
    try:
        yield found
    finally:
        found.client.close()
        found.process.kill()
        found.process.wait()
        for stream in (found.process.stdout, found.process.stderr):
            assert stream is not None
            stream.close()


def wait_for(client: httpx.Client, id: str, phase: str) -> dict:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        job = client.get(f"/api/jobs/{id}").json()
        if job["phase"] == phase:
            return job
        assert job["phase"] not in ("COMPLETED", "ERROR"), job
        time.sleep(0.05)
    raise AssertionError(job)


def test_it_stops_in_good_order_while_somebody_listens(tmp_path: Path) -> None:
    """Streams end, the job at work is suspended, and goes on when the server is started again."""
    with process(tmp_path / "survey") as server:
        parameters = {"items": 15, "seconds": 0.1}
        assert httpx.get(server.address, trust_env=False).status_code == 303  # the address is logged, the key is not
        id = server.client.post("/api/jobs", json={"type": "count", "parameters": parameters}).json()["id"]
        wait_for(server.client, id, "EXECUTING")
        heard: list[str] = []

        def listen() -> None:
            headers = {"authorization": f"Bearer {server.key}"}
            with httpx.stream("GET", f"{server.base}/api/events", headers=headers, trust_env=False) as answer:
                heard.extend(answer.iter_lines())

        listener = threading.Thread(target=listen)
        listener.start()
        while not heard:
            assert listener.is_alive()
            time.sleep(0.05)
        assert "ended in good order" in server.end(signal.SIGTERM)
        assert server.process.returncode == 0
        listener.join(10)
        assert any("jobs" in line for line in heard)
    with make_store(Workspace.open(tmp_path / "survey")) as store:
        assert store.job(id).phase == "SUSPENDED"
    with process(tmp_path / "survey") as server:
        job = wait_for(server.client, id, "COMPLETED")
        assert job["attempt"] == 2
        assert "ended in good order" in server.end(signal.SIGINT)
        assert server.process.returncode == 0


def test_a_second_server_waits_with_its_work_and_takes_over(tmp_path: Path) -> None:
    with process(tmp_path / "survey") as first, process(tmp_path / "survey") as second:
        one = first.client.post("/api/jobs", json={"type": "count"}).json()["id"]
        wait_for(second.client, one, "COMPLETED")
        os.kill(first.process.pid, signal.SIGKILL)
        two = second.client.post("/api/jobs", json={"type": "count"}).json()["id"]
        wait_for(second.client, two, "COMPLETED")
        second.end()


def test_small_answers_are_sent_at_once() -> None:
    """asyncio sees to it for sockets that say that they are TCP; others would cost some 40 ms a request."""
    with contextlib.closing(listen_at("127.0.0.1", 0)) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_a_busy_port_is_one_clear_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(EmberlineError, match=f"port {port} is in use.*--port"):
            serve(Workspace.open(tmp_path), port=port)


def test_an_address_that_is_none_is_one_clear_error(tmp_path: Path) -> None:
    for host in ("no such host.invalid", "256.1.1.1", "192.0.2.1"):
        with pytest.raises(EmberlineError, match=host):
            serve(Workspace.open(tmp_path), host=host, port=0)


@pytest.mark.parametrize("given", [{"host": "0.0.0.0"}, {"host": "::"}, {"names": ["spectra.example.org"]}])
def test_without_accounts_nobody_else_may_reach_it(tmp_path: Path, given: dict) -> None:
    with pytest.raises(ConfigError, match="emberline accounts add"):
        serve(Workspace.open(tmp_path), port=0, **given)


def test_with_accounts_others_may_reach_it(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path)
    accounts = Accounts.of(workspace.private)
    accounts.add("jana", "admin", PASSWORD)
    accounts.close()
    heard: list[str] = []
    program = (
        "import sys\nfrom emberline.jobs import Workspace\nfrom emberline.web import serve\n"
        "serve(Workspace.open(sys.argv[1]), host='0.0.0.0', port=0, names=['spectra.example.org'], supervise=False,"
        " announce=lambda address: print(address, flush=True))"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        heard.append(process.stdout.readline().strip())
        port = int(heard[0].rstrip("/").rsplit(":", 1)[1])
        base, auth = f"http://127.0.0.1:{port}", ("jana", PASSWORD)
        for host, status in (("spectra.example.org", 200), ("127.0.0.1", 200), ("evil.example", 421)):
            answer = httpx.get(f"{base}/api/me", auth=auth, headers={"host": host}, trust_env=False)
            assert answer.status_code == status, host
        headers = {"host": "spectra.example.org", "x-forwarded-proto": "https", "x-forwarded-for": "203.0.113.9"}
        form = httpx.get(f"{base}/signin", headers=headers, trust_env=False)
        assert "; Secure" in form.headers["set-cookie"]
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert "token=" not in heard[0]


def test_a_missing_extra_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastapi", None)
    for name in [name for name in sys.modules if name.startswith("emberline.web.")]:
        if name not in ("emberline.web.serving", "emberline.web.accounts"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("emberline.web.application", raising=False)
    with pytest.raises(MissingExtraError, match=r"emberline\[web\]"):
        create_app(Workspace.open(tmp_path))
