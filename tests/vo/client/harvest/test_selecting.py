"""Many services at once, tables and queries: every answer stands for itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from emberline.archive import open_archive
from emberline.errors import EmberlineError
from emberline.vo.client.harvest.constraints import Constraints
from emberline.vo.client.harvest.history import HarvestError
from emberline.vo.client.harvest.running import harvest
from emberline.vo.client.harvest.searching import Search
from emberline.vo.client.harvest.selecting import Answer, Sources, check_answers, read_votable, select, title_of
from emberline.vo.client.session import Session
from tests.vo.client.harvest.spectra import listing, session_for, write_listing
from tests.vo.client.misbehaving import Misbehaving
from tests.vo.client.other_archives import Fault, OtherArchives

HERE = Constraints(("40.0 20.0",), size=20.0)


def session(others: OtherArchives) -> Session:
    made = Session(others.config)
    made.backoff = 0.001
    return made


def test_each_service_answers_for_itself(others: OtherArchives) -> None:
    asked = Constraints(("40.0 20.0", "200 -80"), size=20.0)
    far = others.addresses["far"]
    answers = list(select(session(others), Sources((others.ssap, far)), asked))
    found = {(answer.service, answer.position): answer for answer in answers}
    assert len(found) == 4
    here = found[others.ssap, "40.0 20.0"]
    assert here.state == "asked"
    assert len(here.records) > 10
    assert here.records[0].services
    assert here.records[0].service == others.ssap
    assert found[others.ssap, "200 -80"].records == ()
    assert found[far, "200 -80"].state == "failed"
    assert "404" in found[far, "200 -80"].error


def test_the_limit_is_said_to_have_cut(others: OtherArchives) -> None:
    (answer,) = select(session(others), Sources((others.ssap,)), Constraints(("40 20",), 20.0, limit=3))
    assert len(answer.records) == 3
    assert answer.more


def test_the_band_is_passed_on(others: OtherArchives) -> None:
    far = Constraints(("40 20",), 20.0, band=(20000.0, 30000.0))
    (answer,) = select(session(others), Sources((others.ssap,)), far)
    assert answer.records == ()


def test_a_service_by_its_identifier(others: OtherArchives) -> None:
    (answer,) = select(session(others), Sources(("ivo://emb.test/alpha",)), HERE)
    assert answer.error == ""
    assert len(answer.records) > 10


def test_a_query_whose_answer_has_addresses(others: OtherArchives, tmp_path: Path) -> None:
    query = "SELECT TOP 4 * FROM ivoa.obscore ORDER BY obs_id"
    summary = harvest(session(others), tmp_path / "a", Sources(tap=query, service=others.addresses["tap"]))
    assert (summary.selected, summary.spectra, summary.failed) == (4, 4, 0)


def test_a_query_without_addresses(others: OtherArchives) -> None:
    (answer,) = select(
        session(others), Sources(tap="SELECT obs_id FROM ivoa.obscore", service=others.addresses["tap"]), HERE
    )
    assert answer.state == "failed"
    assert "no column with the addresses of spectra" in answer.error
    with pytest.raises(HarvestError, match="no column with the addresses of spectra"):
        check_answers([answer])


def test_options_of_a_real_service(others: OtherArchives, tmp_path: Path) -> None:
    asked = Constraints(("40.0 20.0",), 20.0, limit=3)
    options = {"CUTOUT": "6500/6600", "FORMAT": "votable"}
    summary = harvest(session(others), tmp_path / "cut", Sources((others.ssap,)), asked, options=options)
    assert (summary.spectra, summary.failed) == (3, 0)
    row = open_archive(tmp_path / "cut").catalogue().to_pylist()[0]
    assert 6499 < row["wavelength_min"] < row["wavelength_max"] < 6601
    assert row["source_file"].endswith("#CUTOUT=6500/6600&FORMAT=votable")
    rectified = harvest(
        session(others), tmp_path / "cut", Sources((others.ssap,)), asked, options={"RECTIFIED": "halpha-140"}
    )
    assert (rectified.spectra, rectified.failed) == (3, 0)


def test_a_cut_out_where_there_is_nothing_fails_with_the_range(others: OtherArchives, tmp_path: Path) -> None:
    asked = Constraints(("40.0 20.0",), 20.0, limit=1)
    summary = harvest(
        session(others), tmp_path / "cut", Sources((others.ssap,)), asked, options={"CUTOUT": "20000/21000"}
    )
    assert summary.failed == 1
    assert "BAND" in str(summary.errors[0]["error"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"SIMPLE  = T", "l.vot"),
        (b'<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "ha">]><VOTABLE>&a;</VOTABLE>', "entit"),
        (
            listing({"url": "x"})
            .replace(b"acref", b"n")
            .replace(b"ssa:Access.Reference", b"")
            .replace(b"meta.ref.url", b""),
            "no addresses of spectra",
        ),
    ],
)
def test_files_that_are_no_lists(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "l.vot"
    path.write_bytes(content)
    with pytest.raises(EmberlineError, match=message):
        read_votable(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EmberlineError, match="cannot be read: No such file"):
        read_votable(tmp_path / "none.vot")


def test_a_saved_answer(tmp_path: Path) -> None:
    path = write_listing(tmp_path / "l.vot", {"url": "https://x.test/1", "title": "T", "pos": "10 20"}, {"url": ""})
    (record,) = read_votable(path)
    assert (record.address, record.title, record.ra, record.dec) == ("https://x.test/1", "T", 10.0, 20.0)


def test_titles() -> None:
    assert title_of("https://user:pw@x.test:8080/a/ssa?x=1&") == "x.test:8080/a/ssa"
    assert title_of("ivo://org.gavo.dc/flashheros/q/ssa") == "org.gavo.dc/flashheros/q/ssa"
    check_answers([Answer("a", "a", state="failed", error="x"), Answer("b", "b")])


# Behind a page --------------------------------------------------------------------------------------------------------


def finished(search: Search) -> dict[str, object]:
    version = -1
    while (document := search.document())["busy"]:
        search.wait(int(document["version"]), 20)
        assert document["version"] >= version
        version = int(document["version"])
    return search.document()


def test_a_search_joins_what_many_services_have(others: OtherArchives) -> None:
    search = Search(session(others), {others.ssap: "Alpha", others.addresses["far"]: ""}, HERE)
    found = finished(search)
    states = {state["title"]: state for state in found["services"]}  # type: ignore[index, attr-defined]
    assert states["Alpha"]["state"] == "asked"
    assert states["Alpha"]["records"] == found["total"] > 10  # type: ignore[operator]
    failed = next(state for title, state in states.items() if title != "Alpha")
    assert failed["state"] == "failed"
    assert "404" in failed["error"]
    assert [record["number"] for record in search.document(5)["records"]] == list(range(5, int(found["total"])))  # type: ignore[call-overload]


def test_a_service_that_failed_is_asked_again(others: OtherArchives) -> None:
    others.faults.append(Fault("/vo/alpha/ssa", times=100, status=500))
    search = Search(session(others), {others.ssap: ""}, HERE)
    assert finished(search)["total"] == 0
    others.faults.clear()
    assert search.retry(others.ssap)
    assert int(finished(search)["total"]) > 10  # type: ignore[call-overload]
    assert finished(search)["services"][0]["state"] == "asked"  # type: ignore[index]
    assert not search.retry("http://x.test/unknown")


def test_a_name_that_nobody_knows_ends_the_search(others: OtherArchives) -> None:
    search = Search(session(others), {others.ssap: ""}, Constraints(("Nowhere 1",)))
    found = finished(search)
    assert "knows no such object" in str(found["error"])
    assert found["services"][0]["state"] == "failed"  # type: ignore[index]


def test_two_services_with_the_same_spectra_give_them_once(tmp_path: Path) -> None:
    with Misbehaving() as server:
        body = listing({"url": "https://x.test/1"}, {"url": "https://x.test/2"})
        services = {server.serve(f"/ssa{n}", body): f"S{n}" for n in range(3)}
        found = finished(Search(session_for(server), services, Constraints(("1 2",))))
        assert found["total"] == 2
        assert sorted(state["records"] for state in found["services"]) == [0, 0, 2]  # type: ignore[attr-defined]


def test_a_service_at_no_address_can_be_asked_again(others: OtherArchives) -> None:
    here = "http://127.0.0.1:22/ssa"
    search = Search(session(others), {here: ""}, HERE)
    search.wait(10**6, 30.0)
    assert search.retry(here)
    search.wait(10**6, 30.0)
    (state,) = search.document()["services"]
    assert state["state"] == "failed"
    assert "port" in state["error"]
