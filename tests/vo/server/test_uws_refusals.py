"""UWS over real HTTP: who may what, what is refused and how, and the addresses in its answers."""

from __future__ import annotations

import concurrent.futures
import re
import time
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from uws_job_types import JOB_TYPES
from uws_service import HREF, UWS, Service, asked, finished, listed, made, xml

from emberline.errors import EmberlineError
from emberline.jobs import Job, JobDesk, JobStore
from emberline.vo.server.uws import uws_routes

# Who may what ---------------------------------------------------------------------------------------------------------


def test_jobs_of_others_are_not_there(service: Service, vera: httpx.Client) -> None:
    job = made(vera, TYPE="wait", fail="no light", PHASE="RUN")
    assert finished(vera, job) == "ERROR"
    with service.client("edwin") as edwin, service.client("manager") as manager:
        for path in ("", "/phase", "/error", "/parameters", "/parameters/fail", "/results", "/results/summary.json"):
            assert edwin.get(job + path).status_code == 404
        for path, values in (("/phase", {"PHASE": "ABORT"}), ("/destruction", {"DESTRUCTION": "2099-01-01"})):
            assert edwin.post(job + path, data=values).status_code == 404
        assert edwin.delete(job).status_code == 404
        assert listed(edwin) == []
        assert vera.get(f"{job}/owner").text == "vera"
        assert manager.get(f"{job}/owner").text == "vera"
        assert job.rsplit("/", 1)[1] in listed(manager)


def test_a_traceback_is_behind_the_error_and_nowhere_else(vera: httpx.Client) -> None:
    job = made(vera, TYPE="wait", fail="crash", PHASE="RUN")
    assert finished(vera, job) == "ERROR"
    summary = xml(vera.get(job)).find(f"{UWS}errorSummary")
    assert summary is not None
    assert summary.attrib == {"type": "fatal", "hasDetail": "true"}
    assert summary.findtext(f"{UWS}message") == "failed: ValueError: the inside of it"
    assert "Traceback" not in vera.get(job).text
    error = vera.get(f"{job}/error").text
    assert error.startswith("failed: ValueError: the inside of it\n")
    assert "Traceback (most recent call last)" in error


def test_who_is_not_known_is_told_in_text(service: Service) -> None:
    with service.client("") as client:
        answer = client.get("uws")
        assert (answer.status_code, answer.text) == (401, "Say who you are\n")
        assert answer.headers["www-authenticate"] == "Basic"
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    with service.client("nobody") as client:
        assert client.post("uws", data={"TYPE": "copy"}).status_code == 403


def test_two_clients_at_once(service: Service) -> None:
    def work(user: str) -> list[str]:
        with service.client(user) as client:
            jobs = [made(client, TYPE="copy", text=f"{user} {number}") for number in range(10)]
            for job in jobs[1:]:
                assert client.delete(job).status_code == 303
            client.post(f"{jobs[0]}/phase", data={"PHASE": "RUN"})
            assert finished(client, jobs[0]) == "COMPLETED"
            assert client.get(f"{jobs[0]}/results/part 0/copy.txt").text == f"{user} 0\n"
            return listed(client)

    with concurrent.futures.ThreadPoolExecutor() as pool:
        jobs = [one for found in pool.map(work, ("ada", "bea")) for one in found]
    assert len(jobs) == len(set(jobs)) == 2


# What is refused ------------------------------------------------------------------------------------------------------

WRONG: list[tuple[str, str, Any, int, str]] = [
    ("GET", "uws?PHASE=RUNNING", None, 400, "PHASE: unknown (found 'RUNNING', expected one of PENDING, QUEUED"),
    ("GET", "uws?PHASE=", None, 400, "PHASE: unknown"),
    (
        "GET",
        "uws?AFTER=yesterday",
        None,
        400,
        "AFTER: is no time (found 'yesterday', expected UTC such as 2030-12-31T23:59:59Z)",
    ),
    ("GET", "uws?AFTER=2026-13-01", None, 400, "AFTER: is no time"),
    ("GET", "uws?AFTER=2026-01-01&after=2026-01-02", None, 400, "AFTER: given 2 times (expected once)"),
    ("GET", "uws?LAST=0", None, 400, "LAST: not a whole number of at least 1 (found '0')"),
    ("GET", "uws?LAST=1.5", None, 400, "LAST: not a whole number"),
    ("GET", "uws?LAST=9999999999999", None, 400, "LAST: not a whole number"),
    ("GET", "uws?LAST=%FF", None, 400, "the parameters are not URL-encoded UTF-8"),
    ("POST", "uws", {}, 400, "TYPE: no such job type (found none, expected copy, wait)"),
    ("POST", "uws", {"TYPE": "Copy"}, 400, "TYPE: no such job type (found Copy, expected copy, wait)"),
    ("POST", "uws", {"TYPE": ["copy", "wait"]}, 400, "TYPE: given 2 times"),
    ("POST", "uws", {"TYPE": "copy"}, 400, "text: is missing"),
    ("POST", "uws", {"TYPE": "copy", "txet": "x"}, 400, "txet: is no parameter of this job; did you mean 'text'?"),
    ("POST", "uws", {"TYPE": "copy", "text": ["a", "b"]}, 400, "text: expected"),
    ("POST", "uws", {"TYPE": "copy", "text": "a", "lines": "x"}, 400, "lines: expected"),
    ("POST", "uws", {"TYPE": "copy", "text": "a", "case": "x"}, 400, "case: expected"),
    ("POST", "uws", {"TYPE": "copy", "text": "a", "PHASE": "ABORT"}, 400, "PHASE: a job can be made with PHASE=RUN"),
    ("POST", "uws", {"TYPE": "copy", "text": "a", "ACTION": "DELETE"}, 400, "ACTION: a new job takes none"),
    ("POST", "uws", {"TYPE": "copy", "text": "a" * 65_537}, 413, "text: the value is too long"),
    ("POST", "uws", {"TYPE": "copy", "a" * 201: "a"}, 413, "a parameter's name is too long"),
    ("POST", "uws", {"TYPE": "copy", "lines": ["1"] * 1001}, 413, "too many parameters"),
    ("POST", "uws", {"TYPE": "copy", **{f"p{n}": "a" * 65_000 for n in range(20)}}, 413, "the request is too large"),
    ("POST", "uws", '{"TYPE": "copy"}', 415, "the body's type cannot be read (found application/json"),
    ("DELETE", "uws", None, 405, ""),
    ("GET", "JOB?WAIT=soon", None, 400, "WAIT: not a whole number of at least -1 (found 'soon')"),
    ("GET", "JOB?WAIT=-2", None, 400, "WAIT: not a whole number"),
    ("GET", "JOB?WAIT=1&WAIT=2", None, 400, "WAIT: given 2 times"),
    ("GET", "JOB?WAIT=1&PHASE=COMPLETED", None, 400, "PHASE: one can wait in an active phase only (found COMPLETED"),
    ("POST", "JOB", {"ACTION": "EAT"}, 400, "ACTION: unknown (found 'EAT', expected DELETE)"),
    ("POST", "JOB", {"PHASE": "RUN"}, 400, "PHASE: is not a parameter of the job"),
    ("POST", "JOB/phase", {"PHASE": "COMPLETED"}, 400, "PHASE: cannot be set to that (found COMPLETED, expected RUN"),
    ("POST", "JOB/phase", {}, 400, "PHASE: cannot be set to that (found none"),
    ("POST", "JOB/phase", {"PHASE": ["RUN", "ABORT"]}, 400, "PHASE: given 2 times"),
    ("POST", "JOB/phase", {"PHASE": "ARCHIVE"}, 409, ""),
    ("POST", "JOB/executionduration", {}, 400, "EXECUTIONDURATION: is missing"),
    ("POST", "JOB/executionduration", {"EXECUTIONDURATION": "-1"}, 400, "EXECUTIONDURATION: not a whole number"),
    ("POST", "JOB/executionduration", {"EXECUTIONDURATION": "1e3"}, 400, "EXECUTIONDURATION: not a whole number"),
    ("POST", "JOB/destruction", {"DESTRUCTION": "never"}, 400, "destruction: is no time"),
    ("POST", "JOB/parameters", {"txet": "x"}, 400, "txet: is no parameter"),
    ("POST", "JOB/parameters", {"lines": "many"}, 400, "lines: expected"),
    ("PUT", "JOB/parameters/lines", "many", 400, "lines: expected"),
    ("PUT", "JOB/parameters/nothing", "x", 400, "nothing: is no parameter"),
    ("PUT", "JOB/parameters/text", b"\xff", 400, "the value is not text in UTF-8"),
    ("PUT", "JOB/parameters/text", "x" * 65_537, 413, "the value is too long"),
    ("GET", "JOB/parameters/nothing", None, 404, "the job has no parameter nothing"),
    ("GET", "JOB/results/nothing", None, 404, "the job has no result nothing"),
    ("GET", "JOB/results/../../jobs.db", None, 404, ""),
    ("GET", "JOB/results/%2e%2e/%2e%2e/jobs.db", None, 404, ""),
    ("GET", "JOB/results/%2Fetc%2Fpasswd", None, 404, ""),
    ("GET", "JOB/nothing", None, 404, ""),
    ("DELETE", "JOB/phase", None, 405, ""),
    ("GET", "uws/20200101T000000-nothing", None, 404, ""),
    ("GET", "uws/%00%0a", None, 404, ""),
    ("GET", "uws/paste", None, 404, "there is no such list of jobs (found paste, expected copy, wait)"),
    ("POST", "uws/paste", {"text": "x"}, 404, "there is no such list of jobs"),
]


@pytest.fixture(scope="module")
def victim(service: Service) -> Iterator[tuple[httpx.Client, str]]:
    """A job on which all that is wrong is tried, and which comes through it."""
    with service.client() as client:
        job = made(client, TYPE="copy", text="x")
        before = client.get(job).content
        yield client, job
        assert client.get(job).content == before


@pytest.mark.parametrize(("method", "path", "body", "status", "text"), WRONG)
def test_what_is_wrong_is_said(
    victim: tuple[httpx.Client, str], method: str, path: str, body: Any, status: int, text: str
) -> None:
    client, job = victim
    path = path.replace("JOB", job)
    if isinstance(body, dict) or body is None:
        answer = client.request(method, path, data=body)
    else:
        answer = client.request(method, path, content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.text[: len(text)]) == (status, text)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert "Traceback" not in answer.text
    assert len(answer.text) < 500


def test_files_are_not_taken(vera: httpx.Client) -> None:
    answer = vera.post("uws", data={"TYPE": "copy"}, files={"text": ("a.txt", b"x")})
    assert answer.status_code == 400
    assert answer.text.startswith("files cannot be sent with a job")


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=B"])
@pytest.mark.parametrize(
    "body", [b"x", b"--B\r\n\r\n\r\n--B--", b"--B\r\nContent-Disposition: form-data\r\n\r\nx\r\n--B--"]
)
def test_a_broken_form_is_a_wrong_request(vera: httpx.Client, kind: str, body: bytes) -> None:
    answer = vera.post("uws/copy", content=body, headers={"Content-Type": kind})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


def test_a_finished_job_is_not_changed(vera: httpx.Client) -> None:
    job = made(vera, TYPE="copy", text="x", PHASE="RUN")
    finished(vera, job)
    for path, values in (("/phase", {"PHASE": "RUN"}), ("/phase", {"PHASE": "ABORT"}), ("/parameters", {"text": "y"})):
        answer = vera.post(job + path, data=values)
        assert answer.status_code == 409, path
        assert "COMPLETED" in answer.text
    assert vera.get(f"{job}/parameters/text").text == "x"


def test_a_page_among_the_results_is_locked_up(vera: httpx.Client) -> None:
    job = made(vera, TYPE="copy", text="x", PHASE="RUN")
    finished(vera, job)
    page = vera.get(f"{job}/results/page.html")
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["content-security-policy"].startswith("sandbox;")
    assert page.headers["x-content-type-options"] == "nosniff"


def test_any_label_is_shown(vera: httpx.Client) -> None:
    for label in ("<b>&]]>", "a\x00b\x1b", "\ufffe", "é" * 100):
        answer = vera.post("uws", data={"TYPE": "copy", "text": "x", "RUNID": label})
        if answer.status_code == 303:
            shown = xml(vera.get(answer.headers["location"])).findtext(f"{UWS}runId")
            assert shown == re.sub("[\x00\x1b\ufffe]", "\ufffd", label)
        else:
            assert answer.status_code == 400
        xml(vera.get("uws"))


# Addresses ------------------------------------------------------------------------------------------------------------


def test_addresses_are_right_behind_a_mount_and_a_proxy(service: Service) -> None:
    routes = uws_routes(service.desk)
    app = Starlette(routes=[Mount("/deep", routes=[Mount("/uws", routes=routes)])])
    job = asked(app, "https://example.org:8443/deep/uws/", "POST", data={"TYPE": "copy", "text": "x"})
    assert job.status_code == 303
    address = job.headers["location"]
    assert address.startswith("https://example.org:8443/deep/uws/")
    assert asked(app, address).status_code == 200
    refs = ElementTree.fromstring(asked(app, "https://example.org:8443/deep/uws/copy").content)
    assert refs[0].get(HREF) == address.replace("/uws/", "/uws/copy/")

    async def proxied(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "root_path": "/emberline", "path": "/emberline" + scope["path"]}, receive, send)

    deleted = asked(proxied, "https://example.org/deep/uws/" + address.rsplit("/", 1)[1], "DELETE")
    assert (deleted.status_code, deleted.headers["location"]) == (303, "https://example.org/emberline/deep/uws")


def test_a_server_that_stops_keeps_nobody_waiting(service: Service, vera: httpx.Client) -> None:
    job = made(vera, TYPE="copy", text="x").rsplit("/", 1)[1]
    end = time.monotonic() + 1
    routes = uws_routes(
        lambda _: JobDesk(service.store, "vera"), prefix="/uws", stopping=lambda: time.monotonic() > end
    )
    answer = asked(Starlette(routes=routes), f"https://example.org/uws/{job}?WAIT=-1")
    assert 0 < time.monotonic() - end < 30  # the longest wait is more
    assert ElementTree.fromstring(answer.content).findtext(f"{UWS}phase") == "PENDING"


class NotTodayError(EmberlineError):
    """What a desk of somebody else may raise."""


def test_the_desk_s_own_errors_have_the_status_that_they_are_given(service: Service) -> None:
    class Desk(JobDesk):
        def jobs(self, **filters: Any) -> list[Job]:
            raise NotTodayError("come back tomorrow")

    for statuses, status in (({NotTodayError: 403}, 403), (None, 400)):
        routes = uws_routes(lambda _: Desk(service.store, "vera"), prefix="/uws", statuses=statuses)
        answer = asked(Starlette(routes=routes), "https://example.org/uws")
        assert (answer.status_code, answer.text) == (status, "come back tomorrow\n")


def test_a_job_whose_type_is_no_longer_known_is_still_shown(service: Service, vera: httpx.Client) -> None:
    job = made(vera, TYPE="copy", text="x").rsplit("/", 1)[1]
    with JobStore(service.store.folder, JOB_TYPES[1:]) as store:
        app = Starlette(routes=uws_routes(lambda _: JobDesk(store, "vera"), prefix="/uws"))
        assert asked(app, f"https://example.org/uws/{job}").status_code == 200
        answer = asked(app, f"https://example.org/uws/{job}/parameters", "POST", data={"text": "y"})
        assert (answer.status_code, answer.text) == (409, "jobs of the type copy are no longer made here\n")
