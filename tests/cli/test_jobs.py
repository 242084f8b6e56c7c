"""Jobs from the command line, in a folder and over HTTP: the same commands, the same answers."""

from __future__ import annotations

import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from emberline.cli._job_clients import RemoteJobs
from emberline.errors import EmberlineError
from emberline.jobs import JobError, JobNotFoundError, ParameterError, PhaseError

PROGRAM = [sys.executable, "-c", "from emberline.cli import main; main()"]


def emberline(*arguments: str | Path, code: int = 0, **options: Any) -> str:
    """What the command prints; it must end with the exit code `code`."""
    result = subprocess.run(
        [*PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False, **options
    )
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    return result.stdout if code == 0 else result.stdout + result.stderr


def engines(folder: Path) -> list[psutil.Process]:
    """The processes that work on a workspace."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if any(str(folder) in word for word in process.info["cmdline"] or []):
            found.append(process)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An empty workspace, whose engine is stopped in the end."""
    made = tmp_path / "workspace"
    made.mkdir()
    yield made
    for process in engines(made):
        process.terminate()
        process.wait(10)


@pytest.fixture
def server(folder: Path) -> Iterator[str]:
    """The address of a server of the workspace, with the token of the one local user."""
    command = [*PROGRAM, "serve", str(folder), "--port", "0", "--no-browser"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if found := re.search(r"http://\S+", line):
                break
        assert found, "".join(lines)
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield found[0]
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def life_of_a_job(folder: Path, *where: str) -> None:
    """Submit, hold, run, wait, log, list, rerun, abort, archive, delete."""
    made = json.loads(
        emberline(
            *("jobs", "submit", "simulate", "into=survey", "spectra=60", "SEED=1", "workers=1"),
            *("--label", "first try", "--hold", "--json", *where),
        )
    )
    assert (made["phase"], made["label"]) == ("PENDING", "first try")
    assert made["parameters"] == {"into": "survey", "spectra": 60, "seed": 1, "workers": 1}
    assert "jobs run" in emberline("jobs", "wait", made["id"], *where, code=1)
    emberline("jobs", "run", made["id"], *where)
    assert "summary.json" in emberline("jobs", "wait", made["id"], *where)
    assert (folder / "survey" / "truth.csv").exists()
    assert "begins." in emberline("jobs", "log", made["id"], "--follow", *where)
    again = json.loads(emberline("jobs", "rerun", made["id"], "seed=2", "into=other", "--hold", "--json", *where))
    assert (again["clone_of"], again["parameters"]["seed"], again["label"]) == (made["id"], 2, "first try")
    table = emberline("jobs", "list", *where).splitlines()
    assert [line.split()[0] for line in table[1:]] == [again["id"], made["id"]]
    only = json.loads(emberline("jobs", "list", "--phase", "completed", "--last", "1", "--json", *where))
    assert [job["id"] for job in only["jobs"]] == [made["id"]]
    assert "ABORTED" in emberline("jobs", "abort", again["id"], *where)
    assert "expected" in emberline("jobs", "run", again["id"], *where, code=1)
    assert "ARCHIVED" in emberline("jobs", "archive", again["id"], *where)
    assert again["id"] not in emberline("jobs", "list", *where)
    assert again["id"] in emberline("jobs", "list", "--all", *where)
    shown = emberline("jobs", "show", made["id"], *where)
    assert "spectra = 60" in shown
    assert "COMPLETED" in shown
    emberline("jobs", "delete", made["id"], *where)
    assert made["id"] in emberline("jobs", "show", made["id"], *where, code=1)


@pytest.mark.slow
def test_the_life_of_a_job_in_a_folder(folder: Path) -> None:
    life_of_a_job(folder, "--workspace", str(folder))


@pytest.mark.slow
def test_the_life_of_a_job_on_a_server(folder: Path, server: str) -> None:
    life_of_a_job(folder, "--url", server)


def test_what_a_server_refuses_is_said_plainly(folder: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = server.partition("?")[0]
    assert "EMBERLINE_TOKEN" in emberline("jobs", "list", "--url", plain, code=1)
    assert "EMBERLINE_TOKEN" in emberline("jobs", "list", "--url", plain, "--token", "wrong", code=1)
    token = server.partition("token=")[2]
    environment = {**os.environ, "EMBERLINE_TOKEN": token, "EMBERLINE_URL": plain}
    assert emberline("jobs", "list", env=environment) == "No jobs.\n"
    wrong = emberline("jobs", "submit", "simulate", "into=../x", "sed=1", env=environment, code=2)
    assert "into: " in wrong
    assert "did you mean 'seed'?" in wrong
    assert "did you mean 'ingest'?" in emberline("jobs", "submit", "ingst", "x=1", env=environment, code=2)
    with_file = folder.parent / "ask.json"
    with_file.write_text(json.dumps({"into": "survey", "spectra": 5, "seed": 1}), encoding="utf-8")
    made = json.loads(
        emberline("jobs", "submit", "simulate", "seed=4", "--config", with_file, "--hold", "--json", env=environment)
    )
    assert made["parameters"] == {"into": "survey", "spectra": 5, "seed": 4}


def test_ctrl_c_ends_the_waiting_and_not_the_job(folder: Path) -> None:
    where = ("--workspace", str(folder))
    asked = ("into=survey", "spectra=400000", "seed=1", "workers=1")
    made = json.loads(emberline("jobs", "submit", "simulate", *asked, "--json", *where))
    with subprocess.Popen([*PROGRAM, "jobs", "wait", made["id"], *where], stderr=subprocess.PIPE, text=True) as waiting:
        assert waiting.stderr is not None
        for line in waiting.stderr:
            if line.startswith("EXECUTING"):
                break
        waiting.send_signal(signal.SIGINT)
        rest = waiting.stderr.read()
    assert waiting.returncode == 130
    assert f"emberline jobs abort {made['id']}" in rest
    assert json.loads(emberline("jobs", "show", made["id"], "--json", *where))["phase"] == "EXECUTING"
    emberline("jobs", "abort", made["id"], *where)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and any("jobs.worker" in " ".join(p.cmdline()) for p in engines(folder)):
        time.sleep(0.1)
    assert json.loads(emberline("jobs", "show", made["id"], "--json", *where))["phase"] == "ABORTED"


def test_a_failed_job_ends_the_waiting_with_one(folder: Path) -> None:
    where = ("--workspace", str(folder))
    found = emberline("jobs", "submit", "candidates", "campaign=nowhere", "--wait", *where, code=1)
    assert "ERROR: " in found
    assert "nowhere" in found


# A server that is not ours, or not well -------------------------------------------------------------------------------


class Strange(http.server.BaseHTTPRequestHandler):
    """Answers with what the path of the base address asks for."""

    def do_GET(self) -> None:
        status, _, body = self.path.strip("/").partition("/api/")[0].partition("-")
        bodies = {
            "page": b"<html>",
            "list": b"[1]",
            "message": b'{"error": {"message": "You may not do that.", "fields": {}}}',
            "fields": b'{"error": {"message": "wrong", "fields": {"seed": "is odd"}}}',
        }
        self.send_response(int(status))
        self.send_header("Content-Type", "text/html" if body == "page" else "application/json")
        self.send_header("Location", "http://127.0.0.1:1/")
        self.end_headers()
        self.wfile.write(bodies[body])

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def strange() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Strange) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        ("200-page", JobError, "does not answer as Emberline does"),
        ("200-list", JobError, "does not answer as Emberline does"),
        ("302-page", JobError, "answers 302"),
        ("401-message", JobError, "EMBERLINE_TOKEN"),
        ("403-message", JobError, "You may not do that"),
        ("404-message", JobNotFoundError, "You may not do that"),
        ("404-page", JobError, "Is this the address of an Emberline server"),
        ("409-message", PhaseError, "You may not do that"),
        ("422-fields", ParameterError, "seed: is odd"),
        ("500-page", JobError, "answers 500"),
    ],
)
def test_answers_that_are_no_success(strange: str, answer: str, kind: type[EmberlineError], message: str) -> None:
    jobs = RemoteJobs(f"{strange}/{answer}", "secret")
    with pytest.raises(kind, match=message):
        jobs.job("x")
    jobs.close()


def test_the_token_of_the_address_is_used_and_not_shown() -> None:
    jobs = RemoteJobs("http://somebody@127.0.0.1:1/?token=secret", None)
    with pytest.raises(JobError, match="cannot be reached") as caught:
        jobs.job("x")
    assert "secret" not in str(caught.value)
    assert jobs.url == "http://127.0.0.1:1/"
    jobs.close()


# Accounts -------------------------------------------------------------------------------------------------------------


def test_accounts_from_the_command_line(folder: Path) -> None:
    password = "correct horse battery"
    added = emberline("accounts", "add", folder, "anna", "--role", "admin", "--password-stdin", input=f"{password}\n")
    assert "as admin" in added
    emberline("accounts", "add", folder, "ben", "--role", "reader", "--password-stdin", input="another good one\n")
    emberline("accounts", "role", folder, "ben", "--role", "manager")
    found = json.loads(emberline("accounts", "list", folder, "--json"))["accounts"]
    assert [(account["name"], account["role"]) for account in found] == [("anna", "admin"), ("ben", "manager")]
    assert "10 to" in emberline("accounts", "password", folder, "ben", "--password-stdin", input="short\n", code=1)
    emberline("accounts", "password", folder, "ben", "--password-stdin", input="quite another one\n")
    emberline("accounts", "remove", folder, "ben")
    assert "no account" in emberline("accounts", "remove", folder, "ben", code=1)
    assert "only administrator" in emberline("accounts", "role", folder, "anna", "--role", "reader", code=1)
    from emberline.web.accounts import Accounts

    accounts = Accounts.of(folder / ".emberline")
    assert accounts.verify("anna", password) is not None
    accounts.close()
