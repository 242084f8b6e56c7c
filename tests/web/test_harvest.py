"""Spectra of other archives as JSON: who may, what is refused, and the way from a search to a job and its history."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from emberline.campaign.jobs import open_jobs
from emberline.config import to_toml
from emberline.jobs import Workspace
from emberline.vo.client.harvest.constraints import Constraints
from emberline.vo.client.harvest.history import open_history
from emberline.vo.client.harvest.records import Record
from tests.vo.client.other_archives import Fault, OtherArchives, other_archives
from tests.web.servers import Server, new_workspace, serving


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OtherArchives]:
    with other_archives(tmp_path_factory.mktemp("others") / "workspace") as running:
        yield running


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, others: OtherArchives) -> Workspace:
    found = new_workspace(tmp_path_factory.mktemp("workspace") / "survey")
    (found.folder / "vo.toml").write_text(to_toml(others.config), encoding="utf-8")
    return found


@pytest.fixture(scope="module")
def server(workspace: Workspace, _cheap_passwords: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Jobs are of the real types, and nobody runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMBERLINE_CACHE", str(tmp_path_factory.mktemp("cache")))
        with serving(workspace, store=open_jobs(workspace)) as running:
            yield running


@pytest.fixture
def manager(server: Server) -> Iterator[httpx.Client]:
    with server.client("manager") as client:
        yield client


def asked(others: OtherArchives, **more: Any) -> dict[str, Any]:
    services = [{"service": others.ssap, "title": "Alpha"}, {"service": others.addresses["far"]}]
    return {"services": services, "positions": ["40.0 20.0"], "size": "20 deg", **more}


def finished(client: httpx.Client, search: dict[str, Any], first: int = 0) -> dict[str, Any]:
    found = search
    while found["busy"]:
        query = {"version": found["version"], "wait": 20, "first": first}
        found = client.get(f"/api/harvest/searches/{search['id']}", params=query).json()
    answer: dict[str, Any] = client.get(f"/api/harvest/searches/{search['id']}", params={"first": first}).json()
    return answer


@pytest.mark.parametrize("role", ["reader", "annotator"])
def test_only_who_may_run_harvests_may_ask_services(server: Server, others: OtherArchives, role: str) -> None:
    with server.client(role) as client:
        before = len(others.asked)
        answers = [
            client.get("/harvest"),
            client.get("/api/harvest/services"),
            client.post("/api/harvest/searches", json=asked(others)),
            client.get("/api/harvest/searches/x"),
            client.get("/api/harvest/searches/x/options"),
            client.post("/api/harvest/searches/x/retry", json={"service": others.ssap}),
            client.post("/api/harvest/searches/x/fetch", json={"into": "a"}),
            client.get("/api/harvest/history", params={"archive": "a"}),
            client.post("/api/harvest/history/retry", json={"archive": "a"}),
        ]
        assert [answer.status_code for answer in answers] == [403] * 9
        assert len(others.asked) == before
        assert "Get spectra" not in client.get("/").text


def test_the_page_is_for_managers(manager: httpx.Client, others: OtherArchives) -> None:
    page = manager.get("/harvest")
    assert page.status_code == 200
    assert f'data-service="{others.ssap}"' in page.text
    assert "Get spectra" in manager.get("/").text


def test_the_registry_is_searched(manager: httpx.Client) -> None:
    found = manager.get("/api/harvest/services").json()["services"]
    assert "ivo://emb.test/alpha" in [service["ivoid"] for service in found]
    assert manager.get("/api/harvest/services", params={"keywords": "nothing like it"}).json()["services"] == []


def test_from_a_search_to_a_job(server: Server, manager: httpx.Client, others: OtherArchives) -> None:
    begun = manager.post("/api/harvest/searches", json=asked(others, limit=10))
    assert begun.status_code == 202, begun.text
    found = finished(manager, begun.json())
    states = {state["service"]: state for state in found["services"]}
    assert states[others.ssap] | {"records": 10, "state": "asked", "more": True} == states[others.ssap]
    assert states[others.addresses["far"]]["state"] == "failed"
    assert "404" in states[others.addresses["far"]]["error"]
    assert found["total"] == len(found["records"]) == 10
    assert "services" not in found["records"][0] or not found["records"][0]["services"]
    assert [record["number"] for record in finished(manager, begun.json(), 8)["records"]] == [8, 9]

    address = f"/api/harvest/searches/{found['id']}"
    options = manager.get(f"{address}/options").json()
    assert [offer["name"] for offer in options["options"]] == ["BAND", "RECIPE", "RESPONSEFORMAT"]

    body = {"into": "got", "rows": [[0, 1], [5, 5]], "options": {"CUTOUT": "6500/6600"}, "label": "Three"}
    made = manager.post(f"{address}/fetch", json=body)
    assert made.status_code == 201, made.text
    assert (made.json()["selected"], made.json()["added"], made.json()["waiting"]) == (3, 3, 3)
    assert made.json()["job"]["parameters"]["into"] == "got"
    assert made.json()["job"]["owner"] == "manager"
    again = manager.post(f"{address}/fetch", json=body).json()
    assert (again["selected"], again["added"]) == (3, 0)

    kept = manager.get("/api/harvest/history", params={"archive": "got"}).json()
    assert kept["counts"]["waiting"] == 3
    assert {file["options"]["CUTOUT"] for file in kept["files"]} == {"6500/6600"}
    assert {file["asked_by"] for file in kept["files"]} == {"manager"}
    with server.client("admin") as other:
        assert other.get(address).status_code == 404


@pytest.mark.parametrize(
    ("body", "name", "message"),
    [
        ({"into": "../out"}, "into", "leads out of the workspace"),
        ({"into": "jobs/x"}, "into", "kept for the workspace itself"),
        ({"into": "a", "rows": []}, "rows", "no record is selected"),
        ({"into": "a", "rows": [[99, 120]]}, "rows", "no record is selected"),
        ({"into": "a", "rows": [[1, 2, 3]]}, "0", "at most 2 items"),
        ({"into": "a", "options": {"A B=": "x", "a b=": "y"}}, "options", "given twice"),
    ],
)
def test_what_cannot_be_fetched(
    manager: httpx.Client, others: OtherArchives, workspace: Workspace, body: dict[str, Any], name: str, message: str
) -> None:
    search = finished(manager, manager.post("/api/harvest/searches", json=asked(others, limit=2)).json())
    answer = manager.post(f"/api/harvest/searches/{search['id']}/fetch", json=body)
    assert answer.status_code in (400, 422), answer.text
    error = answer.json()["error"]
    assert message in error["message"] or any(message in text for text in error["fields"].values())
    assert not (workspace.folder.parent / "out").exists()


def test_a_folder_of_something_else_is_left_alone(
    manager: httpx.Client, others: OtherArchives, workspace: Workspace
) -> None:
    (workspace.folder / "thesis").mkdir()
    (workspace.folder / "thesis" / "thesis.tex").touch()
    search = finished(manager, manager.post("/api/harvest/searches", json=asked(others, limit=1)).json())
    answer = manager.post(f"/api/harvest/searches/{search['id']}/fetch", json={"into": "thesis"})
    assert answer.status_code == 400
    assert "not an archive" in answer.json()["error"]["message"]
    assert [path.name for path in (workspace.folder / "thesis").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"size": "big"}, "size"),
        ({"band": "red"}, "band"),
        ({"time": "soon"}, "time"),
        ({"positions": ["  "]}, "positions"),
        ({"services": [{"service": "file:///etc/passwd"}]}, "services"),
    ],
)
def test_a_search_that_makes_no_sense(
    manager: httpx.Client, others: OtherArchives, change: dict[str, Any], name: str
) -> None:
    answer = manager.post("/api/harvest/searches", json=asked(others) | change)
    assert answer.status_code in (400, 422)
    assert name in answer.json()["error"]["fields"]


def test_a_private_address_is_not_asked(manager: httpx.Client, others: OtherArchives) -> None:
    body = asked(others) | {"services": [{"service": "http://192.168.77.77/ssa"}]}
    found = finished(manager, manager.post("/api/harvest/searches", json=body).json())
    assert found["services"][0]["state"] == "failed"
    assert "private network" in found["services"][0]["error"]


def test_a_service_is_asked_again(manager: httpx.Client, others: OtherArchives) -> None:
    found = finished(manager, manager.post("/api/harvest/searches", json=asked(others)).json())
    before = others.count("/nowhere")
    answer = manager.post(f"/api/harvest/searches/{found['id']}/retry", json={"service": others.addresses["far"]})
    assert answer.status_code == 202
    finished(manager, answer.json())
    assert others.count("/nowhere") > before


def test_the_history_and_another_try(manager: httpx.Client, workspace: Workspace) -> None:
    empty = manager.get("/api/harvest/history", params={"archive": "never"}).json()
    assert (empty["version"], empty["files"]) == (0, [])
    assert not (workspace.folder / "never").exists()
    archive = workspace.folder / "tried"
    with open_history(archive, create=True) as history:
        history.add([Record(f"https://x.test/{number}") for number in range(5)])
        history.change([2, 3], state="failed", error="no")
        history.change([4], state="ingested")
    failed = manager.get("/api/harvest/history", params={"archive": "tried", "state": "failed"}).json()
    assert [file["number"] for file in failed["files"]] == [2, 3]
    assert manager.get("/api/harvest/history", params={"archive": "tried", "limit": 1, "offset": 1}).json()["files"]
    answer = manager.post("/api/harvest/history/retry", json={"archive": "tried", "numbers": [2, 4]})
    assert answer.status_code == 201, answer.text
    assert answer.json()["files"] == 1
    with open_history(archive) as history:
        assert history.counts() == {"waiting": 3, "fetched": 0, "ingested": 1, "failed": 1, "skipped": 0}
    manager.post("/api/harvest/history/retry", json={"archive": "tried"})
    nothing = manager.post("/api/harvest/history/retry", json={"archive": "tried"})
    assert nothing.status_code in (400, 422)
    outside = manager.get("/api/harvest/history", params={"archive": "../x"})
    assert outside.status_code in (400, 422)


def test_only_the_newest_searches_are_kept(manager: httpx.Client, others: OtherArchives) -> None:
    ids = [manager.post("/api/harvest/searches", json=asked(others, limit=1)).json()["id"] for _ in range(5)]
    codes = [manager.get(f"/api/harvest/searches/{id}").status_code for id in ids]
    assert codes == [404, 200, 200, 200, 200]


def test_the_history_is_not_in_the_way_of_the_archive(workspace: Workspace) -> None:
    """A queue in a new folder does not make it an archive, nor keep one from being made there."""
    from emberline.archive import ingest_blocks
    from tests.campaign.conftest import lines

    archive: Path = workspace.folder / "queued"
    open_history(archive, create=True).close()
    assert "queued" not in workspace.archives()
    block, _ = lines(3, targets=1, seed=1)
    ingest_blocks([block], archive, survey="test")
    assert "queued" in workspace.archives()


def test_a_waveband_that_is_none_is_refused(manager: httpx.Client) -> None:
    answer = manager.get("/api/harvest/services", params={"waveband": "purple"})
    assert answer.status_code == 400
    assert "optical" in answer.json()["error"]["fields"]["waveband"]


@pytest.mark.parametrize("into", ["x" * 300, "taken"])
def test_a_folder_that_cannot_be_used_is_refused_by_its_own_name(
    manager: httpx.Client, workspace: Workspace, others: OtherArchives, into: str
) -> None:
    (workspace.folder / "taken").mkdir(exist_ok=True)
    (workspace.folder / "taken" / "notes.txt").write_text("mine")
    search = manager.post("/api/harvest/searches", json=asked(others)).json()
    finished(manager, search)
    answer = manager.post(f"/api/harvest/searches/{search['id']}/fetch", json={"into": into})
    assert answer.status_code == 400
    assert "into" in answer.json()["error"]["fields"]
    assert str(workspace.folder) not in answer.text


def test_whoever_waits_for_a_search_holds_no_thread_that_others_need(
    manager: httpx.Client, server: Server, others: OtherArchives
) -> None:
    """Sixty pages wait for a service that hangs, and another page is answered."""
    gate = threading.Event()
    others.faults.append(Fault("/vo/alpha/ssa", times=-1, hang=gate))
    other = Constraints(("41.0 21.0",), 10.0)
    try:
        search = server.app.state.searches.begin("manager", {others.ssap: ""}, other)
        address = f"/api/harvest/searches/{search.id}"
        with concurrent.futures.ThreadPoolExecutor(60) as pool:
            waits = [pool.submit(manager.get, address, params={"wait": 20, "version": 99}) for _ in range(60)]
            with server.client("reader") as reader:
                assert reader.get("/api/jobs").status_code == 200
            assert not any(wait.done() for wait in waits)
            gate.set()
            assert {wait.result().status_code for wait in waits} == {200}
    finally:
        gate.set()
        others.faults.clear()
