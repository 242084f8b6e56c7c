"""DataLink over HTTP: what belongs to a spectrum; faults, many identifiers, overflow; read by astropy and pyvo."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import pyvo
from astropy import units
from astropy.coordinates import SkyCoord
from dal_sky import ODD, Service

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    """The words that pyvo fetches from the IVOA."""
    terms = {name: {"narrower": []} for name in ("this", "preview")}
    monkeypatch.setattr("pyvo.utils.vocabularies.get_vocabulary", lambda *_: {"terms": terms})


def links(dal: Service, *identifiers: str, name: str = "alpha", **more: str) -> list[dict[str, Any]]:
    """The rows as mappings."""
    found = dal.votable(f"{name}/datalink", ID=list(identifiers), **more)
    table = found.get_first_table()
    return [{field.name: row[field.ID] for field in table.fields} for row in table.array]


def by_word(rows: list[dict[str, Any]], word: str) -> list[dict[str, Any]]:
    return [row for row in rows if str(row["local_semantics"]) == word]


def test_everything_that_belongs_to_a_spectrum(dal: Service) -> None:
    rows = links(dal, dal.did("alpha-0008"))
    words = [str(row["local_semantics"]) for row in rows]
    assert words == [
        "fits", "votable", "picture", "drawing", "repeat", "elsewhere", "elsewhere", "candidate", "soda",
    ]  # fmt: skip
    assert [str(row["semantics"]) for row in rows[:4]] == ["#this", "#this", "#preview", "#preview"]
    assert "alpha-0009" in str(by_word(rows, "repeat")[0]["access_url"])
    assert {str(row["access_url"])[-1] for row in by_word(rows, "elsewhere")} == {"8", "9"}
    assert str(by_word(rows, "soda")[0]["service_def"]) == "soda"
    assert {str(row["ID"]) for row in rows} == {dal.did("alpha-0008")}


def test_every_address_gives_what_it_promises(dal: Service) -> None:
    for identifier in ("alpha-0008", ODD, "from-file"):
        for row in links(dal, dal.did(identifier)):
            if str(row["access_url"]):
                answer = dal.http.get(str(row["access_url"]))
                assert answer.status_code == 200, row
                promised = str(row["content_type"])
                if row["local_semantics"] not in ("source", "candidate"):
                    assert answer.headers["content-type"].startswith(promised)
                if row["content_length"]:
                    assert len(answer.content) == row["content_length"]


def test_the_candidate_is_the_one(dal: Service) -> None:
    (row,) = by_word(links(dal, dal.did("alpha-0003")), "candidate")
    assert b"<TD>alpha-0003</TD>" in dal.http.get(str(row["access_url"])).content
    assert not by_word(links(dal, dal.did("alpha-0200")), "candidate")


def test_the_source_file_when_it_is_in_the_workspace(dal: Service) -> None:
    (row,) = by_word(links(dal, dal.did("from-file")), "source")
    assert (str(row["semantics"]), str(row["content_type"])) == ("#progenitor", "application/fits")
    answer = dal.http.get(str(row["access_url"]))
    assert answer.content.startswith(b"SIMPLE")
    assert 'filename="one.fits"' in answer.headers["content-disposition"]
    assert not by_word(links(dal, dal.did("alpha-0008")), "source")


def test_without_a_position_there_are_still_the_files(dal: Service) -> None:
    words = [str(row["local_semantics"]) for row in links(dal, dal.did("alpha-0298"))]
    assert words == ["fits", "votable", "picture", "drawing", "soda"]


def test_several_identifiers_each_together_and_faults_among_them(dal: Service) -> None:
    wanted = [
        dal.did("alpha-0008"),
        "ivo://example.org/alpha?nosuch",
        "alpha-0010",
        "rubbish",
        dal.did("beta 3", "beta"),
    ]
    rows = links(dal, *wanted)
    order = list(dict.fromkeys(str(row["ID"]) for row in rows))
    assert order == wanted
    faults = [row for row in rows if str(row["error_message"])]
    assert [str(row["ID"]) for row in faults] == [wanted[1], wanted[3]]
    assert all(str(row["error_message"]).startswith("NotFoundFault") for row in faults)
    for row in rows:
        assert sum(bool(str(row[name])) for name in ("access_url", "service_def", "error_message")) == 1


def test_no_identifier_no_row(dal: Service) -> None:
    assert links(dal) == []
    assert dal.http.get("alpha/datalink").headers["content-type"] == "application/x-votable+xml;content=datalink"


def test_an_identifiers_links_are_never_cut_apart(dal: Service) -> None:
    wanted = [dal.did("alpha-0008"), dal.did("alpha-0009")]
    found = dal.votable("alpha/datalink", ID=wanted, MAXREC="12")
    assert {str(row["ID"]) for row in found.get_first_table().array} == {wanted[0]}
    assert found.resources[0].infos[-1].value == "OVERFLOW"
    assert len(dal.votable("alpha/datalink", ID=wanted, MAXREC="0").get_first_table().array) == 0


@pytest.mark.parametrize(
    ("path", "parameters", "status", "words"),
    [
        ("alpha/datalink", {"ID": "x", "RESPONSEFORMAT": "image/png"}, 400, "RESPONSEFORMAT: 'image/png'"),
        ("alpha/datalink", {"ID": "x", "MAXREC": "-1"}, 400, "MAXREC: '-1'"),
        ("alpha/datalink", {"ID": ["x"] * 1001}, 413, "too many parameters"),
        ("nosuch/datalink", {"ID": "x"}, 404, "nothing of this name"),
    ],
)
def test_refusals(dal: Service, path: str, parameters: dict[str, Any], status: int, words: str) -> None:
    answer = dal.http.post(path, data=parameters)
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (status, "text/plain")
    assert words in answer.text


def test_the_document_is_as_it_was_agreed(dal: Service) -> None:
    text = dal.http.get("alpha/datalink", params={"ID": dal.did("alpha-0008")}).text
    text = re.sub(r"http://127\.0\.0\.1:\d+", "http://localhost", text)
    assert text == (GOLDEN / "datalink.xml").read_text(encoding="utf-8")


@pytest.mark.usefixtures("vocabulary")
def test_pyvo_follows_the_links(dal: Service) -> None:
    result = pyvo.dal.SSAService(f"{dal.base}/alpha/ssa").search(TARGETNAME="Star 8,Star 9,Filed")
    found = list(result.iter_datalinks())
    assert len(found) == 3
    record = result[0]
    this = next(record.getdatalink().bysemantics("#this"))
    assert this.content_type == "application/fits"
    assert record.getdataset().read()[:6] == b"SIMPLE"
    assert len(list(record.getdatalink().bysemantics("#preview"))) == 2


@pytest.mark.usefixtures("vocabulary")
@pytest.mark.filterwarnings("ignore:.*VOUnit.*")
def test_candidates_lead_to_their_spectra(dal: Service) -> None:
    result = pyvo.dal.SCSService(f"{dal.base}/gems/scs").search(SkyCoord(40, 20, unit="deg"), 4 * units.deg)
    record = next(record for record in result if record.id == ODD)
    this = next(record.getdatalink().bysemantics("#this"))
    assert dal.did(ODD).encode() in dal.http.get(this.access_url).content
