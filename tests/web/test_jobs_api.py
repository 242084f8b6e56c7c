"""Jobs as JSON over HTTP: their life, and what is wrong with a wrong request."""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.web.servers import Server


@pytest.fixture
def manager(working: Server) -> Iterator[httpx.Client]:
    with working.client("manager") as client:
        yield client


@pytest.fixture
def idle(server: Server) -> Iterator[httpx.Client]:
    """A manager at a server that runs nothing."""
    with server.client("manager") as client:
        yield client


def wait_for_end(client: httpx.Client, id: str) -> dict:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        job = client.get(f"/api/jobs/{id}", params={"wait": 10}).json()
        if job["phase"] in ("COMPLETED", "ERROR", "ABORTED"):
            return job
    raise AssertionError(job)


def test_the_life_of_a_job(manager: httpx.Client) -> None:
    made = manager.post("/api/jobs", json={"type": "write", "parameters": {"lines": 3}, "label": "Erste", "run": False})
    assert made.status_code == 201
    address = made.headers["location"]
    assert made.json()["phase"] == "PENDING"
    edited = manager.patch(address, json={"parameters": {"lines": 5}, "label": "Erste Röhre"}).json()
    assert edited["parameters"] == {"lines": 5}
    queued = manager.post(f"{address}/run").json()
    assert queued["phase"] == "QUEUED"
    job = wait_for_end(manager, queued["id"])
    assert job["phase"] == "COMPLETED", job
    assert job["label"] == "Erste Röhre"
    assert job["owner"] == "manager"
    assert job["progress"] == 1
    assert [manager.get(f"{address}/{rest}").status_code for rest in ("log", "error")] == [200, 200]
    log = manager.get(f"{address}/log").json()
    assert "line 4" in log["text"]
    assert manager.get(f"{address}/log", params={"offset": log["next"]}).json() == {"text": "", "next": log["next"]}
    assert "report.html" in {result["name"] for result in job["results"]}
    again = manager.post(f"{address}/rerun", json={"parameters": {"lines": 1}, "run": False}).json()
    assert (again["clone_of"], again["parameters"], again["phase"]) == (job["id"], {"lines": 1}, "PENDING")
    assert manager.delete(f"/api/jobs/{again['id']}").status_code == 204
    archived = manager.post(f"{address}/archive").json()
    assert (archived["phase"], archived["results"]) == ("ARCHIVED", [])
    assert manager.delete(address).status_code == 204
    assert manager.get(address).status_code == 404


def test_abort_stops_a_job_and_wait_hears_of_it(manager: httpx.Client) -> None:
    id = manager.post("/api/jobs", json={"type": "sleep", "parameters": {"seconds": 60}}).json()["id"]
    assert manager.get(f"/api/jobs/{id}", params={"wait": 20, "phase": "QUEUED"}).json()["phase"] == "EXECUTING"
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = pool.submit(manager.get, f"/api/jobs/{id}", params={"wait": 20})
        time.sleep(0.2)
        assert manager.post(f"/api/jobs/{id}/abort").json()["phase"] == "ABORTED"
        assert waiting.result(10).json()["phase"] == "ABORTED"


def test_a_failed_job_says_why_and_keeps_the_traceback_apart(manager: httpx.Client) -> None:
    id = manager.post("/api/jobs", json={"type": "fail", "parameters": {"how": "value"}}).json()["id"]
    job = wait_for_end(manager, id)
    assert job["phase"] == "ERROR"
    assert "no good" in job["error"]["message"]
    assert "Traceback" not in str(job)
    assert "Traceback" in manager.get(f"/api/jobs/{id}/error").json()["detail"]


def test_waiting_returns_when_the_time_is_over_and_when_a_job_has_ended(idle: httpx.Client) -> None:
    id = idle.post("/api/jobs", json={"type": "count"}).json()["id"]
    began = time.monotonic()
    assert idle.get(f"/api/jobs/{id}", params={"wait": 0.3}).json()["phase"] == "QUEUED"
    assert time.monotonic() - began >= 0.3
    assert idle.get(f"/api/jobs/{id}", params={"wait": 30, "phase": "PENDING"}).json()["phase"] == "QUEUED"
    idle.post(f"/api/jobs/{id}/abort")
    assert idle.get(f"/api/jobs/{id}", params={"wait": 30}).json()["phase"] == "ABORTED"


def test_the_list_can_be_filtered_and_paged(idle: httpx.Client) -> None:
    for number in range(5):
        idle.post("/api/jobs", json={"type": "count", "label": f"page {number}", "run": number % 2 == 0})
    found = idle.get("/api/jobs", params={"search": "PAGE", "limit": 2, "offset": 1}).json()
    assert found["total"] == 5
    assert [job["label"] for job in found["jobs"]] == ["page 3", "page 2"]
    some = idle.get("/api/jobs", params={"search": "page", "phase": ["PENDING", "HELD"]}).json()
    assert {job["label"] for job in some["jobs"]} == {"page 1", "page 3"}
    assert idle.get("/api/jobs", params={"search": "page", "phase": "PENDING,QUEUED"}).json()["total"] == 5
    assert idle.get("/api/jobs", params={"after": "2999-01-01"}).json()["total"] == 0
    assert idle.get("/api/jobs", params={"search": "page", "last": 3}).json()["total"] == 3


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"type": "cuont"}, 400, "type"),
        ({"type": "count", "parameters": {"items": "many"}}, 400, "items"),
        ({"type": "count", "parameters": {"itmes": 3}}, 400, "itmes"),
        ({"type": "sleep", "parameters": {"out": "../elsewhere"}}, 400, "out"),
        ({"type": "sleep", "parameters": {"out": "/etc/passwd"}}, 400, "out"),
        ({"type": "sleep", "parameters": {"out": "a\0b"}}, 400, "out"),
        ({"type": "sleep", "parameters": {"out": ".emberline/accounts.db"}}, 400, "out"),
        ({"type": "sleep", "parameters": {"out": "jobs/jobs.db"}}, 400, "out"),
        ({"type": "count", "duration": -1}, 400, "duration"),
        ({"type": "count", "destruction": "tomorrow"}, 400, "destruction"),
        ({"type": "count", "priority": 1}, 422, "priority"),
        ({"type": "count", "run": "yes"}, 422, "run"),
        ({"parameters": {}}, 422, "type"),
        ({"type": "count", "parameters": []}, 422, "parameters"),
        ([], 422, "body"),
    ],
)
def test_each_mistake_is_named_at_its_field(idle: httpx.Client, body: object, status: int, field: str) -> None:
    before = idle.get("/api/jobs").json()["total"]
    answer = idle.post("/api/jobs", json=body)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert list(error["fields"]) == [field]
    assert error["message"]
    assert idle.get("/api/jobs").json()["total"] == before


def test_a_link_out_of_the_workspace_is_no_way_out(idle: httpx.Client, server: Server) -> None:
    folder = server.site.workspace.folder
    (folder / "way-out").symlink_to("/etc")
    answer = idle.post("/api/jobs", json={"type": "sleep", "parameters": {"out": "way-out/passwd"}})
    assert answer.status_code == 400
    assert "out" in answer.json()["error"]["fields"]


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 422),
        (b'{"type": "count"}', "text/plain", 422),
        (b'{"type": "count"}', "", 422),
        (b"[" * 100_000, "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b'{"type": "count", "parameters": {"items": NaN}}', "application/json", 400),
        (b'{"type": "count", "parameters": {"items": 1' + b"0" * 5000 + b"}}", "application/json", 422),
    ],
)
def test_what_is_no_json_is_refused_in_the_same_shape(
    idle: httpx.Client, content: bytes, kind: str, status: int
) -> None:
    answer = idle.post("/api/jobs", content=content, headers={"content-type": kind})
    assert answer.status_code in (status, 400, 422), answer.text
    assert set(answer.json()["error"]) == {"message", "fields"}
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/jobs/nothing-such", 404),
        ("GET", "/api/jobs/..%2f..%2fjobs.db", 404),
        ("GET", "/api/jobs/%00", 404),
        ("GET", "/api/jobs/" + "x" * 500, 422),
        ("DELETE", "/api/jobs/nothing-such", 404),
        ("GET", "/api/jobs/nothing-such/events", 404),
        ("GET", "/api/jobs/nothing-such/log?offset=99999999999999999999999", 404),
        ("GET", "/api/jobs?phase=RUNING", 400),
        ("GET", "/api/jobs?after=yesterday", 400),
        ("GET", "/api/jobs?limit=-1", 422),
        ("GET", "/api/jobs?limit=9999999999999999999999", 422),
        ("GET", "/api/jobs?offset=99999999999999999999", 422),
        ("GET", "/api/jobs?last=99999999999999999999", 422),
        ("PUT", "/api/jobs", 405),
        ("GET", "/api/nothing", 404),
    ],
)
def test_a_wrong_address_has_an_answer(idle: httpx.Client, method: str, path: str, status: int) -> None:
    answer = idle.request(method, path)
    assert answer.status_code == status, answer.text
    assert set(answer.json()["error"]) == {"message", "fields"}


def test_a_phase_that_does_not_allow_it_is_a_conflict(idle: httpx.Client) -> None:
    id = idle.post("/api/jobs", json={"type": "count"}).json()["id"]
    answers = [idle.post(f"/api/jobs/{id}/archive"), idle.patch(f"/api/jobs/{id}", json={"parameters": {}})]
    assert [answer.status_code for answer in answers] == [409, 409]
    assert "QUEUED" in answers[0].json()["error"]["message"]


def test_two_clients_at_once(idle: httpx.Client, server: Server) -> None:
    """Twenty jobs made, run and aborted by two clients that do not wait for each other: none is lost or mixed up."""

    def work(user: str) -> list[str]:
        with server.client(user) as client:
            made = []
            for number in range(20):
                job = client.post("/api/jobs", json={"type": "round", "label": f"{user} {number}", "run": False}).json()
                client.post(f"/api/jobs/{job['id']}/run")
                assert client.post(f"/api/jobs/{job['id']}/abort").json()["phase"] == "ABORTED"
                made.append(job["id"])
            return made

    with concurrent.futures.ThreadPoolExecutor() as pool:
        mine, theirs = pool.map(work, ("manager", "annotator"))
    assert len({*mine, *theirs}) == 40
    owners = {job["id"]: job["owner"] for job in idle.get("/api/jobs").json()["jobs"]}
    assert {owners[id] for id in mine} == {"manager"}
    assert {owners[id] for id in theirs} == {"annotator"}


def test_one_job_is_started_once_whoever_asks(idle: httpx.Client, server: Server) -> None:
    id = idle.post("/api/jobs", json={"type": "count", "run": False}).json()["id"]
    with concurrent.futures.ThreadPoolExecutor(8) as pool, server.client("admin") as other:
        clients = [idle, other] * 4
        answers = list(pool.map(lambda client: client.post(f"/api/jobs/{id}/run").status_code, clients))
    assert sorted(answers) == [200] + [409] * 7


def test_job_types_are_described_for_forms(server: Server) -> None:
    with server.client("annotator") as client:
        types = {found["name"]: found for found in client.get("/api/job-types").json()["types"]}
    assert (types["round"]["allowed"], types["ingest"]["allowed"]) == (True, False)
    field = types["count"]["fields"][0]
    assert (field["name"], field["type"], field["default"], field["required"]) == ("items", "integer", 3, False)


def test_the_openapi_document_describes_every_route(idle: httpx.Client) -> None:
    document = idle.get("/api/openapi.json").json()
    operations = {
        f"{method} {path}": told for path, found in document["paths"].items() for method, told in found.items()
    }
    assert "post /api/jobs/{id}/rerun" in operations
    assert all(path.startswith("/api/") for path in document["paths"])
    assert not [name for name, told in operations.items() if not told.get("summary") or not told.get("description")]
    assert idle.get("/docs").status_code == 404


def test_the_same_jobs_by_uws(idle: httpx.Client) -> None:
    id = idle.post("/api/jobs", json={"type": "count", "run": False}).json()["id"]
    assert idle.get(f"/uws/{id}/phase").text == "PENDING"
    assert idle.post(f"/uws/{id}/phase", data={"PHASE": "RUN"}).status_code == 303
    assert idle.get(f"/api/jobs/{id}").json()["phase"] == "QUEUED"
