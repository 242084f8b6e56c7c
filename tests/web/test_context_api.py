"""What is known beside a spectrum, over HTTP: who may see it, what it says, asking again, news."""

from __future__ import annotations

import importlib
import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from emberline.campaign import Campaign
from emberline.campaign.jobs import open_jobs
from emberline.campaign.panels import Caution, ContextStore, Fact, Finding, Overlay, Picture
from emberline.web import context_api
from tests.web.labelling import make_campaign
from tests.web.servers import Server, new_workspace, serving

HERE = "/api/campaigns/search/context"
PIXELS = b"\x89PNG\r\n\x1a\n and so on"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, _cheap_passwords: None) -> Iterator[Server]:
    """Jobs stay as they are made: nobody runs them."""
    workspace = new_workspace(tmp_path_factory.mktemp("context") / "survey")
    make_campaign(workspace.folder)
    with serving(workspace, store=open_jobs(workspace)) as running:
        yield running


@pytest.fixture
def anna(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    """An annotator at a campaign of which nothing is known, where no job waits."""
    monkeypatch.setattr(context_api, "_ASKED", {})
    with ContextStore.of(campaign_of(server).path) as store:
        store.forget()
    for job in server.site.store.jobs(type="context", phases=list(context_api._GOING)):
        server.site.store.delete(job.id)
    with server.client("annotator") as client:
        yield client


def campaign_of(server: Server) -> Campaign:
    return server.site.campaigns.open("search")


def asked(server: Server, purpose: str = "query") -> str:
    return next(q.identifier for q in campaign_of(server).database.questions() if q.purpose == purpose)


def keep(server: Server, identifier: str, panel: str = "sky", finding: Finding | None = None) -> None:
    wavelength = np.array([6500.0, 6501.0, 6502.0])
    whole = Finding(
        "found",
        (Fact("G", "12.3", "mag"),),
        warnings=(Caution("danger", "a nebula"),),
        overlays=(Overlay("o1", "HARPS", wavelength, np.array([1, np.nan, 3], np.float32), "barycentric"),),
        image=Picture(PIXELS, "image/png", "the sky", 10, 10, 120.0),
        service="hips2fits",
    )
    with ContextStore.of(campaign_of(server).path) as store:
        store.keep(panel, {identifier: finding or whole})


def panels(client: httpx.Client, identifier: str) -> dict[str, dict[str, Any]]:
    answer = client.get(HERE, params={"spectrum": identifier})
    assert answer.status_code == 200, answer.text
    assert answer.json()["spectrum"] == identifier
    return {panel["name"]: panel for panel in answer.json()["panels"]}


def test_what_was_not_asked_waits_and_is_asked_about_once(server: Server, anna: httpx.Client) -> None:
    found = panels(anna, asked(server))
    assert {panel["state"] for panel in found.values()} == {"waiting"}
    assert next(iter(found)) == "confusion"
    panels(anna, asked(server, "control"))
    (job,) = server.site.store.jobs(type="context")
    assert job.parameters == {"campaign": "search"}
    assert job.owner == "annotator"


def test_what_is_known_is_told_with_its_pictures(server: Server, anna: httpx.Client) -> None:
    name = asked(server)
    keep(server, name)
    sky = panels(anna, name)["sky"]
    assert sky["state"] == "found"
    assert sky["facts"] == [{"label": "G", "value": "12.3", "unit": "mag", "link": "", "title": ""}]
    assert sky["warnings"] == [{"severity": "danger", "text": "a nebula"}]
    assert sky["image"].keys() == {"href", "alt", "width", "height", "fov"}
    picture = anna.get(sky["image"]["href"])
    assert (picture.content, picture.headers["content-type"]) == (PIXELS, "image/png")
    (overlay,) = sky["overlays"]
    arrays = anna.get(overlay["href"]).json()
    assert arrays["wavelength"] == [6500.0, 6501.0, 6502.0]
    assert arrays["flux"] == [1.0, None, 3.0]
    assert (arrays["title"], arrays["frame"], arrays["medium"]) == ("HARPS", "barycentric", "vacuum")


def test_what_is_no_picture_is_not_given_out(server: Server, anna: httpx.Client) -> None:
    name = asked(server)
    keep(server, name, finding=Finding("found", image=Picture(b"<script>", "image/png", "", 1, 1, 1.0)))
    there = {"spectrum": name, "panel": "sky"}
    assert anna.get(f"{HERE}/image", params=there).status_code == 404
    keep(server, name, finding=Finding("found", image=Picture(PIXELS, "text/html", "", 1, 1, 1.0)))
    assert anna.get(f"{HERE}/image", params=there).status_code == 404
    assert anna.get(f"{HERE}/image", params={**there, "panel": "identity"}).status_code == 404
    assert anna.get(f"{HERE}/overlay", params={"spectrum": name, "overlay": "none"}).status_code == 404


def test_trying_again_is_one_job_for_one_panel(server: Server, anna: httpx.Client) -> None:
    name = asked(server)
    keep(server, name, "identity", Finding("failed", message="is down", service="SIMBAD"))
    assert panels(anna, name)["identity"]["message"] == "is down"
    wanted = {"spectrum": name, "panel": "identity"}
    answers = [anna.post(f"{HERE}/retry", json=wanted) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202, 202, 202]
    assert len({answer.json()["job"] for answer in answers}) == 1
    job = server.site.store.job(answers[0].json()["job"])
    assert job.parameters["spectra"] == [name]
    assert job.parameters["panels"] == ["identity"]
    assert job.parameters["again"] is True


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"spectrum": "never-asked", "panel": "identity"}, 422, "never asked"),
        ({"spectrum": "", "panel": "identitie"}, 422, "never asked"),
        ({"panel": "identity"}, 422, "spectrum"),
        ({"spectrum": "x", "panel": "identity", "more": 1}, 422, "more"),
    ],
)
def test_what_makes_no_sense_is_refused(
    server: Server, anna: httpx.Client, body: dict[str, Any], status: int, said: str
) -> None:
    answer = anna.post(f"{HERE}/retry", json=body)
    assert 400 <= answer.status_code < 500
    assert said in answer.text
    assert not server.site.store.jobs(type="context")


def test_an_unknown_panel_is_refused_with_the_nearest(server: Server, anna: httpx.Client) -> None:
    answer = anna.post(f"{HERE}/retry", json={"spectrum": asked(server), "panel": "identitie"})
    assert 400 <= answer.status_code < 500
    assert "Did you mean 'identity'?" in answer.json()["error"]["message"]


@pytest.mark.parametrize(("role", "status"), [("", 401), ("reader", 403), ("annotator", 200), ("manager", 200)])
def test_who_may_see_it(server: Server, anna: httpx.Client, role: str, status: int) -> None:
    name = asked(server)
    keep(server, name)
    with server.client(role) as client:
        assert client.get(HERE, params={"spectrum": name}).status_code == status
        assert client.get(f"{HERE}/image", params={"spectrum": name, "panel": "sky"}).status_code == status
        assert client.get(f"{HERE}/overlay", params={"spectrum": name, "overlay": "o1"}).status_code == status
        retried = client.post(f"{HERE}/retry", json={"spectrum": name, "panel": "sky"}).status_code
        assert retried == (202 if status == 200 else status)


def test_what_was_never_asked_about_is_not_told(server: Server, anna: httpx.Client) -> None:
    """An annotator learns nothing of the rest of the pool, though it is stored."""
    questions = {q.identifier for q in campaign_of(server).database.questions()}
    other = next(name for name in (f"s5-{n:05d}" for n in range(400)) if name not in questions)
    keep(server, other)
    for path in (HERE, f"{HERE}/image?panel=sky", f"{HERE}/overlay?overlay=o1"):
        answer = anna.get(path, params={"spectrum": other})
        assert 400 <= answer.status_code < 500
        assert "12.3" not in answer.text


def test_nothing_of_the_question_or_the_network_leaks(server: Server, anna: httpx.Client) -> None:
    """A control question and a query look the same, and no word of a probability is there."""
    texts = []
    for purpose in ("query", "control"):
        name = asked(server, purpose)
        keep(server, name)
        text = anna.get(HERE, params={"spectrum": name}).text
        texts.append(text.replace(name, "NAME"))
        for word in ("control", "probab", "stratum", "opinion", "rank", "emission"):
            assert word not in text.lower()
    one, two = (json.loads(text) for text in texts)
    for each in (*one["panels"], *two["panels"]):
        each.pop("asked")
        each["image"] = each["image"] and {**each["image"], "href": ""}
    assert one == two


def test_news_are_told_as_they_come(server: Server, anna: httpx.Client) -> None:
    name = asked(server)
    heard: list[dict[str, Any]] = []
    ready, enough = threading.Event(), threading.Event()

    def listen() -> None:
        with anna.stream("GET", f"{HERE}/events") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            for line in stream.iter_lines():
                ready.set()
                if line.startswith("data: "):
                    heard.append(json.loads(line.removeprefix("data: ")))
                    enough.set()
                    return

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    assert ready.wait(30)
    keep(server, name)
    assert enough.wait(30)
    assert heard == [{"spectrum": name, "panel": "sky"}]
    listener.join(10)


def test_the_server_itself_asks_nobody(server: Server, anna: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job would, and none is at work here."""
    monkeypatch.setattr(importlib.import_module("emberline.campaign.panels.prefetch"), "prefetch", None)
    monkeypatch.setattr("emberline.vo.client.session.open_session", None)
    name = asked(server)
    for _ in range(20):
        panels(anna, name)
    assert anna.get("/api/campaigns/search").status_code == 200
    assert len(server.site.store.jobs(type="context")) == 1
