"""Pages for people: what is written in a record is shown, and nothing of it becomes markup."""

from __future__ import annotations

import html
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from publishing_sky import SETTINGS, Client

from emberline.jobs import Workspace
from emberline.vo.server import landing
from emberline.vo.server.adql import Runner
from emberline.vo.server.publication import publish
from emberline.vo.server.published import Published

XHTML = "{http://www.w3.org/1999/xhtml}"


@pytest.fixture(scope="module")
def published(published_folder: Path) -> Published:
    return Published(Workspace(published_folder))


@pytest.fixture(scope="module")
def client(published: Published) -> Client:
    return Client(landing.routes(published))


def test_the_index_lists_what_is_published(client: Client) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    for text in (
        "Emission-line stars of the test",
        'href="https://example.org/vo/survey/"',
        'href="https://example.org/vo/search/"',
        "https://example.org/vo/tap",
        "https://example.org/vo/registry/oai",
        "300 spectra",
    ):
        assert text in page.text


def test_a_page_tells_how_to_cite_and_to_use_it(client: Client, published: Published) -> None:
    text = client.get("/survey/").text
    for expected in (
        "Doe, J.; Roe, R. (2026)",
        "https://doi.org/10.5281/zenodo.1234567",
        "https://example.org/vo/survey/ssa",
        "https://example.org/vo/survey/scs",
        "https://example.org/vo/survey/hips",
        "https://example.org/vo/survey/moc.fits",
        'pyvo.dal.SSAService("https://example.org/vo/survey/ssa?")'.replace('"', "&#34;"),
        "survey.spectra",
        "wavelength_min",
    ):
        assert expected in text or expected.replace("&#34;", '"') in text, expected
    assert "catalogue-v1.parquet" not in text
    catalogue = client.get("/search/").text
    assert "catalogue-v1.parquet" in catalogue
    assert "SSAService" not in catalogue
    estimated = published.catalogues[0].summary.purity
    assert ("estimated from a control sample" in catalogue) == (estimated is not None)


def test_the_lines_of_python_run(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call that a page proposes fits the signature of pyvo's method."""
    import inspect

    import pyvo

    called = []
    for name, methods in {"SSAService": "search", "SCSService": "search", "TAPService": "search"}.items():
        kind = getattr(pyvo.dal, name)
        signature = inspect.signature(getattr(kind, methods))

        class Stand:
            def __init__(self, address: str, signature: inspect.Signature = signature, name: str = name) -> None:
                assert address.startswith("https://example.org/vo/")
                self.signature, self.name = signature, name

            def search(self, *arguments: object, **keywords: object) -> Stand:
                self.signature.bind(self, *arguments, **keywords)
                called.append(self.name)
                return self

            def to_table(self) -> str:
                return ""

        monkeypatch.setattr(pyvo.dal, name, Stand)
    for path in ("/", "/survey/", "/search/"):
        blocks = re.findall(r"<pre>(.*?)</pre>", client.get(path).text, re.DOTALL)
        lines = [html.unescape(block) for block in blocks if "pyvo" in block or "tap.search" in block]
        exec("\n".join(lines), {})
    assert called == ["TAPService", "SSAService", "TAPService", "SCSService", "TAPService"]


def test_what_is_written_in_a_record_is_text(client: Client) -> None:
    text = client.get("/survey/").text
    assert "&lt;b&gt;nothing&lt;/b&gt;" in text
    assert "<b>" not in text
    assert "O&#39;Hara &amp; Sons" in text


def test_a_page_has_no_script_and_asks_no_other_host(client: Client) -> None:
    for path in ("/", "/survey/", "/search/", "/tap/examples"):
        text = client.get(path).text
        assert "<script" not in text
        assert "style=" not in text
        root = text.split("<head>")[1].split("</head>")[0]
        assert root.count("https://example.org/vo/style.css") == root.count("http") == 1


def test_no_page_names_a_folder(client: Client, published_folder: Path) -> None:
    for path in ("/", "/survey/", "/search/", "/tap/examples"):
        text = client.get(path).text
        assert str(published_folder) not in text
        assert "/secret" not in text


def test_addresses_without_a_slash_lead_on(client: Client) -> None:
    answer = client.get("/survey")
    assert (answer.status_code, answer.headers["location"]) == (308, "https://example.org/vo/survey/")
    assert client.get("/nowhere").status_code == 404
    assert client.get("/nowhere/").status_code == 404


def test_nothing_published_is_said(own: Path) -> None:
    client = Client(landing.routes(Published(Workspace(own))))
    assert "Nothing is published here yet" in client.get("/").text
    assert client.get("/tap/examples").status_code == 200
    ElementTree.fromstring(client.get("/tap/examples").content)


def test_the_examples_are_rdfa(client: Client) -> None:
    answer = client.get("/tap/examples")
    assert answer.headers["content-type"].startswith("application/xhtml+xml")
    root = ElementTree.fromstring(answer.content)
    assert [e.attrib["vocab"] for e in root.iter() if "vocab" in e.attrib] == ["http://www.ivoa.net/rdf/examples#"]
    found = [e for e in root.iter() if e.attrib.get("typeof") == "example"]
    assert len(found) == 6
    assert len({e.attrib["id"] for e in found}) == 6
    for item in found:
        assert item.attrib["resource"] == f"#{item.attrib['id']}"
        properties = {e.attrib["property"]: "".join(e.itertext()) for e in item.iter() if "property" in e.attrib}
        assert properties.keys() == {"name", "table", "query"}
        assert all(properties.values())


def test_the_examples_work(published: Published) -> None:
    snapshot = published.snapshot()
    runner = Runner(snapshot.tables("https://example.org/vo").with_tap_schema())
    for example in landing.examples(snapshot):
        table = runner.run(example.query).read_all()
        assert len(table) > 0, example.query


def test_without_positions_there_are_fewer_examples(own: Path) -> None:
    import pyarrow.parquet as pq

    path = own / "survey" / "catalogue.parquet"
    table = pq.read_table(path)
    import pyarrow as pa

    nowhere = pa.array([-1] * len(table), pa.int64())
    pq.write_table(
        table.set_column(table.schema.get_field_index("healpix"), table.schema.field("healpix"), nowhere), path
    )
    publish(own / "survey", **SETTINGS)
    published = Published(Workspace(own))
    assert [example.id for example in landing.examples(published.snapshot())] == ["survey-best", "halpha"]
    assert Client(landing.routes(published)).get("/survey/").status_code == 200
