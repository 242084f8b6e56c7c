"""SAMP for the pages: what is offered under short-lived addresses, and sets that come back."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from astropy.table import Table

from emberline.campaign import Campaign
from emberline.jobs import Workspace
from emberline.vo.client.samp.documents import read_table, write_table
from emberline.web.security import SAMP_POLICY, masked
from emberline.web.shared_links import LIFETIME, SharedLinks, shared_links
from tests.web.labelling import make_campaign
from tests.web.servers import Server, new_workspace, serving


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = new_workspace(tmp_path_factory.mktemp("samp") / "night-sky")
    make_campaign(workspace.folder)
    return workspace


@pytest.fixture(scope="module")
def served(labelled: Workspace, _cheap_passwords: None) -> Iterator[Server]:
    with serving(labelled) as running:
        yield running


@pytest.fixture
def ann(served: Server) -> Iterator[httpx.Client]:
    with served.client("annotator") as client:
        yield client


@pytest.fixture
def anybody(served: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.base, timeout=30, trust_env=False) as client:
        yield client


def campaign_of(workspace: Workspace) -> Campaign:
    return Campaign(workspace.folder / "search")


def offer(client: httpx.Client, what: str, identifier: str = "") -> dict[str, object]:
    answer = client.post(
        "/api/samp/offer", params={"campaign": "search"}, json={"what": what, "identifier": identifier}
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def asked_one(workspace: Workspace) -> str:
    campaign = campaign_of(workspace)
    try:
        return campaign.database.questions()[0].identifier
    finally:
        campaign.close()


# Addresses -----------------------------------------------------------------------------------------------------------


def test_a_token_holds_for_its_document_and_its_time_only() -> None:
    now = [1000.0]
    links = SharedLinks(lambda: now[0])
    path = links.address({"kind": "spectrum", "identifier": "a"}, "a.vot")
    token = path.split("/")[2]
    assert path == f"/shared/{token}/a.vot"
    assert links.read(token) == {"kind": "spectrum", "identifier": "a", "expires": 1000.0 + LIFETIME}
    other = links.address({"kind": "spectrum", "identifier": "b"}, "b.vot").split("/")[2]
    body, mark = token.split("."), other.split(".")
    for forged in (f"{mark[0]}.{body[1]}", token[:-2], f"{body[0]}.", "", ".", "é.é", "a" * 5000, f"{token}=="):
        assert links.read(forged) is None
    assert SharedLinks(lambda: now[0]).read(token) is None
    now[0] += LIFETIME + 1
    assert links.read(token) is None


def test_what_is_kept_goes_when_its_time_is_over() -> None:
    now = [0.0]
    links = SharedLinks(lambda: now[0])
    first = links.keep(b"one")
    assert links.kept(first) == b"one"
    now[0] = LIFETIME + 1
    links.keep(b"two")
    assert links.kept(first) is None
    assert links.kept("nothing") is None


def test_the_log_shows_no_token() -> None:
    assert masked("/shared/abc.def/x.vot", b"") == "/shared/***/x.vot"


# Sending -------------------------------------------------------------------------------------------------------------


def test_a_spectrum_is_fetched_without_signing_in(
    served: Server, labelled: Workspace, ann: httpx.Client, anybody: httpx.Client
) -> None:
    identifier = asked_one(labelled)
    found = offer(ann, "spectrum", identifier)
    (kind, parameters), (other, as_table) = found["messages"]
    assert (kind, other) == ("spectrum.load.ssa-generic", "table.load.votable")
    assert parameters["url"] == as_table["url"]
    assert parameters["meta"]["Access.Reference"] == parameters["url"]
    answer = anybody.get(parameters["url"])
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/x-votable+xml")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["cache-control"] == "no-store"
    table = read_table(answer.content, "votable")
    assert b'utype="spec:Spectrum"' in answer.content
    campaign = campaign_of(labelled)
    spectrum = campaign.pool.archives[0].spectrum(identifier)
    campaign.close()
    np.testing.assert_array_equal(table["wave"], spectrum.trimmed().wavelength)
    np.testing.assert_array_equal(np.asarray(table["flux"]), spectrum.trimmed().flux)
    assert anybody.head(parameters["url"]).status_code == 200
    # Only that document, and only by that address.
    assert anybody.get(parameters["url"].replace("/shared/", "/shared/x")).status_code == 404
    assert anybody.post(parameters["url"]).status_code == 405
    assert anybody.get(f"/api/campaigns/search/view?identifier={identifier}").status_code == 401


def test_an_address_expires(served: Server, labelled: Workspace, ann: httpx.Client, anybody: httpx.Client) -> None:
    url = offer(ann, "spectrum", asked_one(labelled))["messages"][0][1]["url"]
    links = shared_links(served.app)
    clock = links._clock
    links._clock = lambda: clock() + LIFETIME + 1
    try:
        answer = anybody.get(url)
    finally:
        links._clock = clock
    assert answer.status_code == 404
    assert "expired" in answer.text
    assert anybody.get(url).status_code == 200


def test_the_table_of_candidates_and_which_spectrum_each_row_is(ann: httpx.Client, anybody: httpx.Client) -> None:
    found = offer(ann, "table")
    ((kind, parameters),) = found["messages"]
    assert kind == "table.load.votable"
    assert parameters["table-id"] == found["table_id"]
    table = read_table(anybody.get(parameters["url"]).content, "votable")
    assert [str(name) for name in table["identifier"]] == found["identifiers"]
    assert len(table) == 70
    assert str(table["ra"].unit) == "deg"


def test_where_the_candidates_are(ann: httpx.Client, anybody: httpx.Client) -> None:
    mocpy = pytest.importorskip("mocpy")
    ((kind, parameters),) = offer(ann, "moc")["messages"]
    assert kind == "coverage.load.moc.fits"
    content = anybody.get(parameters["url"]).content
    assert not mocpy.MOC.from_fits(io.BytesIO(content)).empty()


def test_a_position(labelled: Workspace, ann: httpx.Client) -> None:
    ((kind, parameters),) = offer(ann, "position", asked_one(labelled))["messages"]
    assert kind == "coord.pointAt.sky"
    assert 0 <= float(parameters["ra"]) < 360
    assert -60 <= float(parameters["dec"]) <= 60


def test_a_spectrum_that_nobody_was_asked_about_is_not_sent(labelled: Workspace, ann: httpx.Client) -> None:
    body = {"what": "spectrum", "identifier": "nobody"}
    answer = ann.post("/api/samp/offer", params={"campaign": "search"}, json=body)
    assert answer.status_code == 400
    assert "never asked about" in answer.text


def test_only_annotators(served: Server) -> None:
    with served.client("reader") as reader:
        for path in ("offer", "match", "ask"):
            body = {"offer": {"what": "table"}, "ask": {"identifiers": ["a"], "reason": "x"}, "match": {}}[path]
            assert reader.post(f"/api/samp/{path}", params={"campaign": "search"}, json=body).status_code == 403
    with httpx.Client(base_url=served.base, timeout=30, trust_env=False) as nobody:
        assert nobody.post("/api/samp/ask", params={"campaign": "search"}, json={}).status_code == 401


def test_the_page_may_reach_the_hub_and_no_other_address(served: Server) -> None:
    with served.browser("annotator") as browser:
        page = browser.get("/label/search")
        assert page.headers["content-security-policy"] == SAMP_POLICY
        assert "connect-src 'self' http://localhost:21012 http://127.0.0.1:21012" in SAMP_POLICY
        assert 'id="samp"' in page.text
        assert "21012" not in browser.get("/").headers["content-security-policy"]


# Receiving -----------------------------------------------------------------------------------------------------------


def test_a_table_is_matched_and_its_spectra_become_questions(
    labelled: Workspace, ann: httpx.Client, tmp_path: Path
) -> None:
    campaign = campaign_of(labelled)
    asked = {question.identifier for question in campaign.database.questions()}
    new = [name for name in campaign.pool.identifiers.tolist() if name not in asked][:3]
    campaign.close()
    old = sorted(asked)[0]
    write_table(Table({"star": [new[0], "unknown", new[1], old, new[2]]}), tmp_path / "list.vot")
    query = {"campaign": "search", "format": "votable"}
    answer = ann.post("/api/samp/match", params=query, content=(tmp_path / "list.vot").read_bytes())
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["rows"] == [new[0], "", new[1], old, new[2]]
    assert found["missed"] == 1
    assert found["by"] == "the column star"
    body = {"identifiers": found["identifiers"], "reason": "set received by SAMP: list from topcat"}
    done = ann.post("/api/samp/ask", params={"campaign": "search"}, json=body).json()
    assert (done["asked"], done["unknown"], done["first"]) == (3 if old not in new else 4, 0, new[0])
    queue = ann.post("/api/campaigns/search/queue", json={"count": 3, "window": "w"}).json()
    assert [question["identifier"] for question in queue["questions"]] == new
    again = ann.post("/api/samp/ask", params={"campaign": "search"}, json=body).json()
    assert again["asked"] == 0
    assert "asked about before" in again["text"]


def test_a_table_larger_than_other_requests_may_be_is_taken(ann: httpx.Client, tmp_path: Path) -> None:
    rows = 60_000
    write_table(Table({"ra": np.linspace(0, 359, rows), "dec": np.full(rows, 89.0)}), tmp_path / "large.vot")
    content = (tmp_path / "large.vot").read_bytes()
    assert len(content) > 2_000_000
    answer = ann.post("/api/samp/match", params={"campaign": "search"}, content=content)
    assert answer.status_code == 400
    assert "no row of the table is a spectrum of the pool" in answer.text


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no table",
        b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><VOTABLE/>',
        '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><VOTABLE/>'.encode("utf-16"),
    ],
)
def test_what_is_no_table_is_refused(ann: httpx.Client, content: bytes) -> None:
    answer = ann.post("/api/samp/match", params={"campaign": "search"}, content=content)
    assert answer.status_code == 400, answer.text
    assert "the table" in answer.text
