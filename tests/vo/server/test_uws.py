"""UWS over real HTTP: the life of a job, the list, waiting, and a client of others."""

from __future__ import annotations

import concurrent.futures
import contextlib
import re
import threading
import time
from pathlib import Path

import httpx
import pytest
from uws_documents import pretty
from uws_service import HREF, UWS, Service, finished, listed, made, xml

from emberline.vo.server import _uws_resources

GOLDEN = Path(__file__).parent / "golden"


# The life of a job ----------------------------------------------------------------------------------------------------


def test_the_life_of_a_job(service: Service, vera: httpx.Client) -> None:
    job = made(vera, TYPE="copy", text="Ångström <&>", lines=["2", "3"], RUNID="first light")
    assert re.fullmatch(rf"{service.url}/uws/[^/]+", job)
    for part, text in (("phase", "PENDING"), ("owner", "vera"), ("quote", ""), ("destruction", "")):
        answer = vera.get(f"{job}/{part}")
        assert (answer.status_code, answer.text) == (200, text)
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert vera.get(f"{job}/executionduration").text == "0"
    assert vera.get(f"{job}/error").status_code == 404

    for path, values in (("/parameters", {"TEXT": "z"}), ("", {"Case": "upper", "RUNID": "second light"})):
        answer = vera.post(job + path, data=values)
        assert (answer.status_code, answer.headers["location"]) == (303, job)
    answer = vera.put(f"{job}/parameters/text", content="Ångström <&>".encode())
    assert (answer.status_code, answer.headers["location"]) == (303, job)
    assert vera.get(f"{job}/parameters/TEXT").text == "Ångström <&>"
    assert vera.get(f"{job}/parameters/lines").text == "2\n3"

    answer = vera.post(f"{job}/phase", data={"PHASE": "RUN"})
    assert (answer.status_code, answer.headers["location"]) == (303, job)
    assert finished(vera, job) == "COMPLETED"

    document = vera.get(job).text
    golden = (GOLDEN / "job-http.xml").read_text(encoding="utf-8")
    assert steady(document, service, job) == golden

    for result in xml(vera.get(f"{job}/results")):
        content = vera.get(result.attrib[HREF])
        assert content.headers["content-type"].split(";")[0] == result.get("mime-type")
        assert len(content.content) == int(result.attrib["size"])
    part = vera.get(f"{job}/results/part 1/copy.txt", headers={"Range": "bytes=0-9"})
    assert (part.status_code, part.content) == (206, "Ångström".encode())
    assert part.headers["content-disposition"] == 'inline; filename="copy.txt"'
    assert part.headers["content-range"] == f"bytes 0-9/{3 * 15}"

    answer = vera.delete(job)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{service.url}/uws")
    assert vera.get(job).status_code == 404
    assert job.rsplit("/", 1)[1] not in listed(vera)


def steady(document: str, service: Service, job: str) -> str:
    """The document as golden files are written, without what differs from run to run."""
    for found, text in (
        (job.rsplit("/", 1)[1], "JOB"),
        (service.url, "http://HOST"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "TIME"),
        (r'(summary.json" [^>]*size=")\d+', r"\1SIZE"),
    ):
        document = re.sub(found, text, document)
    return pretty(document.encode())


def test_a_job_may_run_at_once(vera: httpx.Client) -> None:
    job = made(vera, TYPE="copy", text="x", PHASE="RUN")
    assert vera.get(f"{job}/phase").text in ("QUEUED", "EXECUTING", "COMPLETED")
    assert finished(vera, job) == "COMPLETED"


def test_parameters_come_in_the_address_or_by_multipart_too(vera: httpx.Client) -> None:
    answer = vera.post("uws?type=copy", files={"text": (None, "by parts"), "runid": (None, "multi")})
    assert answer.status_code == 303, answer.text
    job = xml(vera.get(answer.headers["location"]))
    assert (job.findtext(f"{UWS}runId"), job.findtext(f"{UWS}parameters/{UWS}parameter")) == ("multi", "by parts")


def test_head_is_answered_without_a_body(vera: httpx.Client) -> None:
    for place in ("uws", made(vera, TYPE="copy", text="x")):
        answer = vera.head(place)
        assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, "application/xml", b"")


def test_delete_by_action(service: Service, vera: httpx.Client) -> None:
    job = made(vera, TYPE="copy", text="x")
    answer = vera.post(job, data={"action": "DELETE"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"{service.url}/uws")
    assert vera.get(job).status_code == 404


def test_abort_stops_a_running_job(vera: httpx.Client) -> None:
    job = made(vera, TYPE="wait", seconds="60", PHASE="RUN")
    assert xml(vera.get(job, params={"WAIT": "20", "PHASE": "QUEUED"})).findtext(f"{UWS}phase") == "EXECUTING"
    answer = vera.post(f"{job}/phase", data={"phase": "ABORT"})
    assert (answer.status_code, answer.headers["location"]) == (303, job)
    assert vera.get(f"{job}/phase").text == "ABORTED"


def test_times_are_set_and_read(vera: httpx.Client) -> None:
    job = made(vera, TYPE="copy", text="x")
    for name, value, read in (
        ("executionduration", "90", "90"),
        ("destruction", "2099-12-31T23:30:00-01:00", "2100-01-01T00:30:00.000Z"),
        ("destruction", "2099-12-31", "2099-12-31T00:00:00.000Z"),
    ):
        answer = vera.post(f"{job}/{name}", data={name.upper(): value})
        assert (answer.status_code, answer.headers["location"]) == (303, job), answer.text
        assert vera.get(f"{job}/{name}").text == read
    document = xml(vera.get(job))
    assert document.findtext(f"{UWS}executionDuration") == "90"
    assert document.findtext(f"{UWS}destruction") == "2099-12-31T00:00:00.000Z"


# The list -------------------------------------------------------------------------------------------------------------


def test_filters_of_the_list_hold_together(service: Service) -> None:
    with service.client("filters") as client:
        jobs = []
        for number in range(5):
            jobs.append(made(client, TYPE="copy", text=str(number)).rsplit("/", 1)[1])
            time.sleep(0.005)  # times of creation have milliseconds
        pending, archived, aborted, done, last = jobs
        for job in (archived, aborted):
            client.post(f"uws/{job}/phase", data={"PHASE": "ABORT"})
        assert client.post(f"uws/{archived}/phase", data={"PHASE": "ARCHIVE"}).status_code == 303
        client.post(f"uws/{done}/phase", data={"PHASE": "RUN"})
        assert finished(client, f"uws/{done}") == "COMPLETED"

        assert listed(client) == [last, done, aborted, pending]
        assert listed(client, PHASE="ARCHIVED") == [archived]
        assert listed(client, phase=["ABORTED", "COMPLETED"]) == [done, aborted]
        assert listed(client, LAST="2") == [last, done]
        assert listed(client, LAST="1", PHASE="PENDING") == [last]
        after = xml(client.get(f"uws/{aborted}")).findtext(f"{UWS}creationTime")
        assert listed(client, AFTER=after) == [last, done]
        assert listed(client, after=str(after).removesuffix("Z"), LAST=1, PHASE=["PENDING", "COMPLETED"]) == [last]
        assert listed(client, AFTER="2099-01-01") == []
        for job in xml(client.get("uws")):
            assert job.get(HREF) == f"{service.url}/uws/{job.get('id')}"


def test_each_type_has_its_own_list(service: Service) -> None:
    with service.client("types") as client:
        copy = made(client, "uws/copy", text="x", RUNID="by type")
        wait = made(client, "uws/wait", PHASE="RUN")
        assert copy.startswith(f"{service.url}/uws/copy/")
        assert listed(client, "uws/copy") == [copy.rsplit("/", 1)[1]]
        assert len(listed(client)) == 2
        assert client.get(copy.replace("/copy/", "/")).status_code == 200
        assert client.get(copy.replace("/copy/", "/wait/")).status_code == 404
        assert finished(client, wait) == "COMPLETED"
        assert client.get(xml(client.get(f"{wait}/results"))[0].attrib[HREF]).status_code == 200
        assert client.post("uws/copy", data={"text": "x", "TYPE": "copy"}).text.startswith("TYPE: is no parameter")
        assert client.delete(copy).headers["location"] == f"{service.url}/uws/copy"


# Waiting --------------------------------------------------------------------------------------------------------------


def phase_after(client: httpx.Client, job: str, **wait: str) -> tuple[str, float]:
    """The phase that a request with WAIT gives, and how long it took."""
    begin = time.monotonic()
    phase = xml(client.get(job, params=wait)).findtext(f"{UWS}phase")
    return str(phase), time.monotonic() - begin


def test_waiting_ends_when_the_phase_changes(service: Service, vera: httpx.Client) -> None:
    flag = service.folder / "go on"
    job = made(vera, TYPE="wait", seconds="60", until=str(flag), PHASE="RUN")
    phase_after(vera, job, WAIT="20", PHASE="QUEUED")
    assert vera.get(f"{job}/phase").text == "EXECUTING"
    with concurrent.futures.ThreadPoolExecutor() as pool, service.client() as other:
        waiting = [
            pool.submit(phase_after, client, job, WAIT=wait) for client in (vera, other) for wait in ("-1", "40")
        ]
        time.sleep(0.5)
        assert not any(future.done() for future in waiting)
        flag.touch()
        assert [future.result()[0] for future in waiting] == ["COMPLETED"] * 4


def test_waiting_ends_when_the_time_is_up(vera: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    job = made(vera, TYPE="copy", text="x")
    phase, seconds = phase_after(vera, job, WAIT="1")
    assert phase == "PENDING"
    assert seconds >= 1
    monkeypatch.setattr(_uws_resources, "LONGEST_WAIT", 1.0)
    for wait in ("-1", "1000000"):
        phase, seconds = phase_after(vera, job, WAIT=wait)
        assert phase == "PENDING"
        assert 1 <= seconds < 30


@pytest.mark.parametrize("wait", [{"PHASE": "QUEUED"}, {"PHASE": "EXECUTING"}])
def test_waiting_in_another_phase_is_not_waiting(vera: httpx.Client, wait: dict[str, str]) -> None:
    job = made(vera, TYPE="copy", text="x")
    assert phase_after(vera, job, WAIT="-1", **wait)[1] < 30  # the longest wait is more
    vera.post(f"{job}/phase", data={"PHASE": "ABORT"})
    assert phase_after(vera, job, WAIT="-1")[0] == "ABORTED"


def test_who_waits_for_a_deleted_job_is_told(service: Service, vera: httpx.Client) -> None:
    job = made(vera, TYPE="copy", text="x")
    with concurrent.futures.ThreadPoolExecutor() as pool, service.client() as other:
        waiting = pool.submit(other.get, job, params={"WAIT": "30"})
        time.sleep(0.5)
        vera.delete(job)
        assert waiting.result().status_code == 404


@pytest.mark.slow
def test_many_may_wait_while_others_work(service: Service, vera: httpx.Client) -> None:
    """More clients wait than there are threads; the server answers as if there were none."""
    job = made(vera, TYPE="copy", text="x")
    number = 100
    with concurrent.futures.ThreadPoolExecutor(number) as pool, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(service.client()) for _ in range(number)]
        waiting = [pool.submit(phase_after, client, job, WAIT="40") for client in clients]
        time.sleep(2)
        before = threading.active_count()
        for _ in range(5):
            assert vera.get(f"{job}/phase", timeout=10).text == "PENDING"
        assert not any(future.done() for future in waiting)
        assert threading.active_count() - before <= 5
        vera.post(f"{job}/phase", data={"PHASE": "ABORT"})
        assert {future.result()[0] for future in waiting} == {"ABORTED"}


# Clients of others ----------------------------------------------------------------------------------------------------


def test_pyvo_runs_a_job(service: Service, vera: httpx.Client) -> None:
    dal = pytest.importorskip("pyvo.dal")
    session = pytest.importorskip("requests").Session()
    session.headers["X-User"] = "vera"
    with session:
        address = made(vera, TYPE="copy", text="x", RUNID="for pyvo")
        job = dal.AsyncTAPJob(address, session=session)
        assert (job.phase, job.owner, job.execution_duration.to_value("s")) == ("PENDING", "vera", 0)
        job.execution_duration = 60
        year = time.gmtime().tm_year + 1  # astropy warns of times that are far off
        job.destruction = f"{year}-01-01T00:00:00Z"
        assert job.execution_duration.to_value("s") == 60
        assert job.destruction.isot == f"{year}-01-01T00:00:00.000"
        job.run()
        job.wait(timeout=60)
        assert job.phase == "COMPLETED"
        assert next(result.href for result in job.results).endswith("/results/page.html")
        job.delete()
    assert vera.get(address).status_code == 404
