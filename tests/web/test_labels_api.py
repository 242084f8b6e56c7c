"""Labelling over HTTP: who may, what is told and what is not, what is stored once, what is refused."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from emberline.campaign import Campaign
from emberline.campaign.jobs import open_jobs
from tests.web.labelling import make_campaign
from tests.web.servers import Server, new_workspace, serving

HERE = "/api/campaigns/search"


@pytest.fixture(scope="module")
def labelling(tmp_path_factory: pytest.TempPathFactory, _cheap_passwords: None) -> Iterator[Server]:
    workspace = new_workspace(tmp_path_factory.mktemp("labelling") / "survey")
    make_campaign(workspace.folder, overlap=0.2)
    with serving(workspace, store=open_jobs(workspace)) as running:
        yield running


@pytest.fixture
def anna(labelling: Server) -> Iterator[httpx.Client]:
    with labelling.client("annotator") as client:
        yield client


def ask(client: httpx.Client, count: int = 4, window: str = "a") -> list[dict[str, Any]]:
    answer = client.post(f"{HERE}/queue", json={"count": count, "window": window})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["questions"]
    return found


def act(client: httpx.Client, *actions: dict[str, Any]) -> list[dict[str, Any]]:
    whole = [{"id": str(uuid.uuid4()), **action} for action in actions]
    answer = client.post(f"{HERE}/actions", json={"actions": whole, "window": "a"})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["results"]
    return found


def label_of(server: Server, identifier: str) -> str | None:
    campaign: Campaign = server.site.campaigns.open("search")
    return next((label.answer for label in campaign.labels() if label.identifier == identifier), None)


def test_a_script_labels(labelling: Server, anna: httpx.Client) -> None:
    question = ask(anna)[0]
    results = act(anna, {"kind": "label", "answer": "emission", **pick(question)})
    assert [result["status"] for result in results] == ["saved"]
    assert label_of(labelling, question["identifier"]) == "emission"
    history = anna.get(f"{HERE}/history").json()
    assert history["items"][-1]["decision"] == {"kind": "label", "answer": "emission"}
    act(anna, {"kind": "undo"})
    assert label_of(labelling, question["identifier"]) is None


def pick(question: dict[str, Any]) -> dict[str, str]:
    return {name: question[name] for name in ("identifier", "task")}


def test_an_action_that_comes_twice_is_stored_once(labelling: Server, anna: httpx.Client) -> None:
    question = ask(anna)[0]
    action = {"id": str(uuid.uuid4()), "kind": "label", "answer": "none", **pick(question)}
    for _ in range(3):
        assert act(anna, action)[0]["status"] == "saved"
    mine = [item for item in anna.get(f"{HERE}/history").json()["actions"] if item["id"] == action["id"]]
    assert len(mine) == 1


def test_what_is_refused_does_not_hold_up_the_rest(labelling: Server, anna: httpx.Client) -> None:
    one, two = ask(anna)[:2]
    results = act(
        anna,
        {"kind": "label", "answer": "supernova", **pick(one)},
        {"kind": "label", "answer": "none", "identifier": "never-asked"},
        {"kind": "note", "note": {"quality": 9}, "identifier": one["identifier"]},
        {"kind": "label", "answer": "none", **pick(two)},
    )
    assert [result["status"] for result in results] == ["refused", "refused", "refused", "saved"]
    assert "emission" in results[0]["message"]
    assert "never asked" in results[1]["message"]
    assert label_of(labelling, two["identifier"]) == "none"


def test_what_cannot_be_stored_now_is_not_refused_for_ever(
    labelling: Server, anna: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is no fault of the answer: the page must keep it and send it again."""
    action = {"id": str(uuid.uuid4()), "kind": "label", "answer": "none", **pick(ask(anna)[0])}
    with monkeypatch.context() as broken:
        broken.setattr("emberline.campaign.database._INSERT", "INSERT INTO nowhere VALUES (?)")
        answer = anna.post(f"{HERE}/actions", json={"actions": [action]})
    assert answer.status_code == 503
    assert "Nothing was stored" in answer.json()["error"]["message"]
    assert act(anna, action)[0]["status"] == "saved"


def test_nothing_tells_a_control_question_before_it_is_answered(labelling: Server, anna: httpx.Client) -> None:
    questions = ask(anna, 40)
    campaign: Campaign = labelling.site.campaigns.open("search")
    control = {q.identifier for q in campaign.database.questions() if q.purpose == "control"}
    asked = {question["identifier"] for question in questions}
    assert asked & control, "no control question among these"
    assert asked - control, "no query among these"
    shapes = set()
    for question in questions:
        view = anna.get(f"{HERE}/view", params={"identifier": question["identifier"], "task": question["task"]})
        opinion = anna.get(f"{HERE}/opinion", params={"identifier": question["identifier"]})
        shapes.add((tuple(sorted(view.json())), tuple(sorted(opinion.json().items(), key=str)[:0])))
        for text in (view.text, opinion.text, str(question)):
            assert "control" not in text
            assert "stratum" not in text
    assert len(shapes) == 1
    one = next(question for question in questions if question["identifier"] in control)
    act(anna, {"kind": "label", "answer": "none", **pick(one)})
    told = anna.get(f"{HERE}/opinion", params={"identifier": one["identifier"]}).json()
    assert "control spectrum" in told["text"]


def test_guidelines_are_markdown_that_runs_nothing() -> None:
    from emberline.web.label_documents import as_html

    html = as_html(
        "# Be\n\n- *two* peaks\n\n<script>alert(1)</script> <img src=x onerror=alert(1)>\n\n[x](javascript:alert(1))"
    )
    assert "<h1>Be</h1>" in html
    assert "<em>two</em>" in html
    assert "<script" not in html
    assert "<img" not in html
    assert "href" not in html


def test_arrays_come_as_lists_or_as_bytes(labelling: Server, anna: httpx.Client) -> None:
    question = ask(anna)[0]
    there = {"identifier": question["identifier"]}
    plain = anna.get(f"{HERE}/view", params=there).json()["spectrum"]
    packed = anna.get(f"{HERE}/view", params={**there, "encoding": "base64"}).json()["spectrum"]
    for name, kind in (("wavelength", "<f8"), ("flux", "<f4"), ("ivar", "<f4"), ("mask", "u1")):
        values = np.frombuffer(base64.b64decode(packed[name]["data"]), kind)
        np.testing.assert_allclose(values, np.array(plain[name], kind))


def test_a_grid_with_nothing_left_is_empty(labelling: Server) -> None:
    with labelling.client("manager") as other:
        held = other.post(f"{HERE}/queue", json={"count": 200, "window": "b"}).json()["questions"]
        assert held
        many = {"id": str(uuid.uuid4()), "kind": "many", "answers": {q["identifier"]: "none" for q in held}}
        assert other.post(f"{HERE}/actions", json={"actions": [many]}).json()["results"][0]["status"] == "saved"
        answer = other.post(f"{HERE}/grid", json={"count": 8, "window": "b"})
        act(other, {"kind": "undo"})
    assert (answer.status_code, answer.json()) == (200, {"items": []})


def test_a_view_says_what_the_plot_shows(labelling: Server, anna: httpx.Client) -> None:
    view = anna.get(f"{HERE}/view", params={"identifier": ask(anna)[0]["identifier"]}).json()
    assert "280 pixels" in view["summary"]
    low, high = view["window"]["band"]
    assert 6515 < low < 6525
    assert 6725 < high < 6740
    assert ["Survey", "test"] not in view["facts"] or view["name"]


@pytest.mark.parametrize(
    ("role", "look", "ask_for", "adjudicate"),
    [
        ("reader", 200, 403, None),
        ("annotator", 200, 200, "refused"),
        ("manager", 200, 200, "saved"),
        ("admin", 200, 200, "saved"),
    ],
)
def test_who_may_do_what(labelling: Server, role: str, look: int, ask_for: int, adjudicate: str | None) -> None:
    with labelling.client("annotator") as anna:
        question = ask(anna, window=f"for {role}")[0]
        act(anna, {"kind": "label", "answer": "none", **pick(question)})
    with labelling.client(role) as client:
        assert client.get(f"{HERE}/card").status_code == look
        answer = client.post(f"{HERE}/queue", json={"count": 1, "window": "w"})
        assert answer.status_code == ask_for
        assert client.get(HERE).status_code == ask_for
        if adjudicate is not None:
            action = {"kind": "adjudication", "answer": "emission", "identifier": question["identifier"]}
            assert act(client, action)[0]["status"] == adjudicate


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/campaigns/nothing/card", 404),
        ("/api/campaigns/survey/card", 404),
        ("/api/campaigns/%2e%2e%2f%2e%2e/card", 400),
        ("/api/campaigns/search%00/card", 400),
        (f"{HERE}/view?identifier=nobody", 400),
        (f"{HERE}/view", 422),
        (f"{HERE}/spectrum?identifier=s5-00001&other=x&archive=../../etc", 400),
    ],
)
def test_wrong_addresses_get_one_clear_answer(anna: httpx.Client, path: str, status: int) -> None:
    answer = anna.get(path)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["message"]
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    "body",
    [
        {"actions": [{"id": "x", "kind": "label"}]},
        {"actions": [{"id": "long enough", "kind": "explode"}]},
        {"actions": "all of them"},
        {"acts": []},
        {"actions": [{"id": "long enough", "kind": "label", "identifier": 5}]},
    ],
)
def test_odd_bodies_are_refused_at_the_field(anna: httpx.Client, body: dict[str, Any]) -> None:
    answer = anna.post(f"{HERE}/actions", json=body)
    assert answer.status_code == 422
    assert answer.json()["error"]["fields"]


def test_a_second_round_does_not_close_the_first(labelling: Server) -> None:
    """Two who finish a round at once start one job: another would close the new round without an answer."""
    with labelling.client("annotator") as anna, labelling.client("manager") as other:
        assert anna.get(f"{HERE}/card").json()["may_finish"]
        first = anna.post(f"{HERE}/round", json={"finish": True})
        assert first.status_code == 201, first.text
        second = other.post(f"{HERE}/round", json={"finish": True})
        assert (second.status_code, "being made already" in second.text) == (409, True)
        cards = [client.get(f"{HERE}/card").json() for client in (anna, other)]
        anna.post(f"/api/jobs/{first.json()['job']['id']}/abort").raise_for_status()
        again = anna.get(f"{HERE}/card").json()
    assert [card["may_finish"] for card in cards] == [False, False]
    assert cards[0]["job"]["id"] == first.json()["job"]["id"]
    assert (again["may_finish"], again["job"]) == (True, None)


def test_an_archive_outside_the_workspace_is_not_read(labelling: Server, anna: httpx.Client) -> None:
    folder = labelling.site.workspace.folder
    text = (folder / "search" / "campaign.toml").read_text("utf-8")
    other = folder / "straying"
    other.mkdir()
    for name in ("campaign.db", "recipe.toml", "start.npz"):
        (other / name).write_bytes((folder / "search" / name).read_bytes())
    (other / "campaign.toml").write_text(text.replace('"../survey"', '"../../outside"'), "utf-8")
    answer = anna.get("/api/campaigns/straying/card")
    assert answer.status_code == 400
    assert "outside" in answer.json()["error"]["message"]
    listed = {item["path"]: item for item in anna.get("/api/campaigns").json()["campaigns"]}
    assert "error" in listed["straying"]
    assert "status" in listed["search"]


def test_the_page_is_for_those_who_may_label(labelling: Server) -> None:
    for role, status in (("reader", 403), ("annotator", 200)):
        with labelling.browser(role) as browser:
            assert browser.get("/label/search").status_code == status
    with labelling.browser("annotator") as browser:
        assert browser.get("/label/nothing").status_code == 404
