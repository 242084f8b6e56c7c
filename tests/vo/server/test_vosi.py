"""VOSI documents: golden ones, what pyvo makes of them, and what STILTS says where it is found."""

from __future__ import annotations

import io
import re
import warnings
from pathlib import Path

import pytest
from publishing_sky import Client, stilts

from emberline.jobs import Workspace
from emberline.vo.server import vosi
from emberline.vo.server.published import Published
from emberline.vo.server.tap_limits import LIMITS

GOLDEN = Path(__file__).parent / "golden"
DOCUMENTS = {
    "vosi-archive-capabilities.xml": "/survey/capabilities",
    "vosi-archive-tables.xml": "/survey/tables",
    "vosi-archive-tables-min.xml": "/survey/tables?detail=min",
    "vosi-sia2-capabilities.xml": "/sia2/capabilities",
    "vosi-tap-capabilities.xml": "/tap/capabilities",
    "vosi-obscore.xml": "/tap/tables/ivoa.obscore",
}
"""The golden files were checked against the schemata of VOSI, TAPRegExt, SSA and ConeSearch."""


@pytest.fixture(scope="module")
def client(published_folder: Path) -> Client:
    return Client(vosi.routes(Published(Workspace(published_folder))))


@pytest.mark.parametrize(("file", "path"), DOCUMENTS.items(), ids=list(DOCUMENTS))
def test_documents_are_as_they_were_checked(client: Client, file: str, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/xml")
    text = re.sub(r"(?<=>)\d+(?=</(default|hard)>)", "0", answer.text)  # limits are tested for themselves
    assert text == (GOLDEN / file).read_text(encoding="utf-8")


def test_pyvo_reads_the_capabilities(client: Client) -> None:
    from pyvo.io.vosi import parse_capabilities

    found = {item.standardid: item for item in parse_capabilities(io.BytesIO(client.get("/tap/capabilities").content))}
    tap = found["ivo://ivoa.net/std/TAP"]
    assert tap.interfaces[0].accessurls[0].content == "https://example.org/vo/tap"
    assert [model.ivo_id for model in tap.datamodels] == ["ivo://ivoa.net/std/ObsCore#core-1.1"]
    assert "2.1" in [str(version.content) for version in tap.get_adql().versions]
    assert tap.get_adql().get_feature("ivo://ivoa.net/std/TAPRegExt#features-adqlgeo", "CIRCLE") is not None
    assert tap.outputlimit.hard.content == LIMITS.most_rows
    with warnings.catch_warnings():  # pyvo knows no types but those of TAP
        warnings.filterwarnings("ignore", ".*Unknown (xsi:type|element)")
        archive = parse_capabilities(io.BytesIO(client.get("/survey/capabilities").content))
    standards = {item.standardid for item in archive}
    for name in ("SSA", "ConeSearch", "DataLink#links-1.1", "SODA#sync-1.0", "VOSI#capabilities", "VOSI#availability"):
        assert f"ivo://ivoa.net/std/{name}" in standards


def test_a_catalogue_offers_no_spectra(client: Client) -> None:
    text = client.get("/search/capabilities").text
    assert "std/ConeSearch" in text
    for name in ("SSA", "SODA", "DataLink"):
        assert f"std/{name}" not in text


def test_pyvo_reads_the_tables(client: Client) -> None:
    from pyvo.io.vosi import parse_tables

    tables = {table.name: table for table in parse_tables(io.BytesIO(client.get("/tap/tables").content)).iter_tables()}
    assert {"survey.spectra", "search.candidates", "ivoa.obscore", "tap_schema.columns"} <= tables.keys()
    ra = next(column for column in tables["survey.spectra"].columns if column.name == "ra")
    assert (ra.unit, ra.ucd, ra.datatype.content) == ("deg", "pos.eq.ra;meta.main", "double")
    keys = tables["search.candidates"].foreignkeys
    assert [key.targettable for key in keys] == ["survey.spectra"]
    least = parse_tables(io.BytesIO(client.get("/tap/tables?DETAIL=min").content))
    assert {table.name for table in least.iter_tables()} == set(tables)
    assert not any(table.columns for table in least.iter_tables())


def test_availability(client: Client) -> None:
    from pyvo.io.vosi import parse_availability

    for path in ("/availability", "/tap/availability", "/survey/availability", "/survey/soda/availability"):
        found = parse_availability(io.BytesIO(client.get(path).content))
        assert found.available
        assert found.upsince


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/nowhere/capabilities", 404, "Nothing of this name"),
        ("/nowhere/availability", 404, "Nothing of this name"),
        ("/survey/tables/none", 404, "no such table"),
        ("/survey/tables/search.candidates", 404, "no such table"),
        ("/tap/tables/none.none", 404, "no such table"),
        ("/tap/tables?detail=all", 400, "min, max"),
        ("/tap/tables?detail=min&DETAIL=max", 400, "detail"),
        ("/..%2f..%2f/capabilities", 404, ""),
    ],
)
def test_what_is_not_there(client: Client, path: str, status: int, said: str) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert said.lower() in answer.text.lower()


def test_what_is_published_later_changes_the_documents(own: Path) -> None:
    from publishing_sky import SETTINGS

    from emberline.vo.server.publication import publish, withdraw

    client = Client(vosi.routes(Published(Workspace(own), seconds=0)))
    assert "survey.spectra" not in client.get("/tap/tables").text
    assert "ObsCore" not in client.get("/tap/capabilities").text
    publish(own / "survey", **SETTINGS)
    assert "survey.spectra" in client.get("/tap/tables").text
    assert "ObsCore" in client.get("/tap/capabilities").text
    withdraw(own / "survey")
    assert "survey.spectra" not in client.get("/tap/tables").text


@pytest.mark.parametrize(
    "path",
    ["/tap/capabilities", "/tap/tables", "/sia2/capabilities", "/survey/tables", "/search/tables", "/availability"],
)
def test_stilts_finds_no_fault(client: Client, tmp_path: Path, path: str) -> None:
    (tmp_path / "document.xml").write_bytes(client.get(path).content)
    judged = stilts("xsdvalidate", "uselocals=true", f"doc={tmp_path / 'document.xml'}")
    if judged is None:
        pytest.skip("STILTS is not found")
    assert judged.returncode == 0, judged.stdout + judged.stderr
    assert "ERROR" not in judged.stdout + judged.stderr
