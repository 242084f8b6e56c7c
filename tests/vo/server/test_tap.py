"""TAP queries that are answered at once: parameters, formats, limits, and what is said of what is wrong."""

from __future__ import annotations

import dataclasses
import io
import json
import re
import threading
from typing import Any

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest
import pyvo
from astropy.io.votable import parse
from astropy.io.votable.tree import VOTableFile
from astropy.table import Table
from dal_sky import ALPHA, CENTRE, Service, alpha_meta, message_of, status_of

from emberline.vo.server import tap as tap_module
from emberline.vo.server._tap_query import translated
from emberline.vo.server.database import catalogues_of
from emberline.vo.server.tap_limits import LIMITS

POSITIONED = "SELECT identifier, ra, dec, snr FROM alpha.spectra"
HEAVY = "SELECT COUNT(*) AS n FROM alpha.spectra AS a, alpha.spectra AS b, alpha.spectra AS c, alpha.spectra AS d"


def sync(tap: Service, query: str, **parameters: Any) -> httpx.Response:
    return tap.http.get("tap/sync", params={"LANG": "ADQL", "QUERY": query, **parameters})


def votable(answer: httpx.Response, status: int = 200) -> VOTableFile:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/x-votable+xml")
    return parse(io.BytesIO(answer.content), verify="exception")


def rows(answer: httpx.Response) -> Table:
    return votable(answer).get_first_table().to_table()


def refused(answer: httpx.Response, *words: str, status: int = 400) -> str:
    found = votable(answer, status)
    assert status_of(found) == ["ERROR"]
    message = message_of(found)
    for word in words:
        assert word in message
    return message


# --- parameters ------------------------------------------------------------------------------------------------------


def test_a_query_is_answered_by_get_and_post_with_names_in_any_case(tap: Service) -> None:
    by_get = tap.http.get("tap/sync", params={"lang": "ADQL-2.1", "Query": POSITIONED, "request": "doQuery"})
    by_post = tap.http.post("tap/sync", data={"LANG": "adql-2.0", "QUERY": POSITIONED, "RUNID": "x", "OTHER": "y"})
    multipart = tap.http.post("tap/sync", files={"LANG": (None, "ADQL"), "QUERY": (None, POSITIONED)})
    assert len(rows(by_get)) == len(rows(by_post)) == len(rows(multipart)) == ALPHA + 1


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({}, ["QUERY", "missing"]),
        ({"QUERY": " "}, ["QUERY", "missing"]),
        ({"QUERY": POSITIONED, "LANG": "PQL"}, ["LANG", "PQL", "ADQL-2.1"]),
        ({"QUERY": POSITIONED, "REQUEST": "getCapabilities"}, ["REQUEST", "doQuery"]),
        ({"QUERY": POSITIONED, "MAXREC": "many"}, ["MAXREC", "many", "whole number"]),
        ({"QUERY": POSITIONED, "RESPONSEFORMAT": "text/klingon"}, ["RESPONSEFORMAT", "klingon", "parquet"]),
        ({"QUERY": [POSITIONED, POSITIONED]}, ["QUERY", "2 times"]),
        ({"QUERY": POSITIONED, "RUNID": ["a", "b"]}, ["RUNID", "2 times"]),
        ({"QUERY": POSITIONED, "UPLOAD": "mine,ftp://host/x"}, ["UPLOAD", "ftp", "param:"]),
        ({"QUERY": POSITIONED, "UPLOAD": "mine,param:x"}, ["UPLOAD", "no part", "mine"]),
        ({"QUERY": POSITIONED, "UPLOAD": "select,param:x"}, ["UPLOAD", "select", "ADQL word"]),
        ({"QUERY": POSITIONED, "UPLOAD": ["a,param:x", "A,param:y"]}, ["UPLOAD", "twice"]),
        ({"QUERY": "SELECT nothing FROM alpha.spectra"}, ["line 1, column 8", "nothing"]),
        ({"QUERY": "SELECT * FROM read_csv('/etc/passwd')"}, ["line 1"]),
        ({"QUERY": "DROP TABLE alpha.spectra"}, ["line 1"]),
    ],
)
def test_what_is_wrong_is_said_in_an_error_document(tap: Service, parameters: dict[str, Any], words: list[str]) -> None:
    refused(tap.http.get("tap/sync", params=parameters), *words)


def test_a_query_that_is_too_long_is_refused(tap: Service) -> None:
    long = f"{POSITIONED} WHERE snr IN ({','.join(['1'] * 40_000)})"
    refused(tap.http.post("tap/sync", data={"LANG": "ADQL", "QUERY": long}), "QUERY", "too long", status=413)


def test_a_body_of_another_kind_is_refused(tap: Service) -> None:
    answer = tap.http.post("tap/sync", content=b"{}", headers={"Content-Type": "application/json"})
    refused(answer, "application/json", status=415)


def test_who_opens_the_address_in_a_browser_gets_the_examples(tap: Service) -> None:
    answer = tap.http.get("tap")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{tap.base}/tap/examples")


# --- rows and metadata -----------------------------------------------------------------------------------------------


def test_columns_are_described_as_in_the_published_table(tap: Service) -> None:
    query = "SELECT ra AS alpha, 2 * snr AS twice FROM alpha.spectra"
    found = votable(sync(tap, query))
    fields = found.get_first_table().fields
    assert [field.name for field in fields] == ["alpha", "twice"]
    assert (fields[0].unit, fields[0].ucd) == ("deg", "pos.eq.ra;meta.main")
    assert "ICRS" in fields[0].description
    assert [info.value for info in found.resources[0].infos if info.name == "QUERY"] == [query]


def test_maxrec_cuts_and_says_so(tap: Service) -> None:
    found = votable(sync(tap, POSITIONED, MAXREC=7))
    assert len(found.get_first_table().array) == 7
    assert status_of(found) == ["OK", "OVERFLOW"]
    assert status_of(votable(sync(tap, POSITIONED, MAXREC=ALPHA + 1))) == ["OK"]
    top = votable(sync(tap, POSITIONED.replace("SELECT", "SELECT TOP 7"), MAXREC=7))
    assert (len(top.get_first_table().array), status_of(top)) == (7, ["OK"])


def test_maxrec_0_gives_the_columns_only(tap: Service) -> None:
    table = votable(sync(tap, POSITIONED, MAXREC=0)).get_first_table()
    assert [field.name for field in table.fields] == ["identifier", "ra", "dec", "snr"]
    assert len(table.array) == 0


def test_no_rows_are_a_table_all_the_same(tap: Service) -> None:
    assert len(rows(sync(tap, f"{POSITIONED} WHERE snr < -5"))) == 0


def test_tap_schema_can_be_asked(tap: Service) -> None:
    names = rows(sync(tap, "SELECT table_name FROM TAP_SCHEMA.tables"))["table_name"]
    assert {"alpha.spectra", "gems.candidates", "ivoa.obscore", "ivoa.obsplan", "tap_schema.columns"} <= set(names)


def test_a_join_of_a_catalogue_and_an_archive(tap: Service) -> None:
    query = "SELECT g.class, a.snr FROM gems.candidates AS g JOIN alpha.spectra AS a ON g.identifier = a.identifier"
    assert len(rows(sync(tap, query))) == 30


# --- formats ---------------------------------------------------------------------------------------------------------

FORMATS = {
    "votable": "application/x-votable+xml",
    "votable/td": "application/x-votable+xml",
    "application/x-votable+xml;serialization=TABLEDATA": "application/x-votable+xml;serialization=TABLEDATA",
    "votable/b2": "application/x-votable+xml;serialization=BINARY2",
    "application/x-votable+xml; serialization=binary2": "application/x-votable+xml; serialization=binary2",
    "text/xml": "text/xml; charset=utf-8",
    "fits": "application/fits",
    "application/fits": "application/fits",
    "csv": "text/csv",
    "text/csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "parquet": "application/vnd.apache.parquet",
    "json": "application/json",
}


def table_of(content: bytes, media_type: str) -> Table:
    stream = io.BytesIO(content)
    if "xml" in media_type:
        return parse(stream, verify="exception").get_first_table().to_table()
    if "fits" in media_type:
        return Table.read(stream, format="fits")
    if "parquet" in media_type:
        arrow = pq.read_table(stream)
        return Table(rows=list(zip(*arrow.to_pydict().values(), strict=True)), names=arrow.column_names)
    if "json" in media_type:
        found = json.loads(content)
        return Table(rows=found["data"], names=[column["name"] for column in found["metadata"]])
    return Table.read(content.decode(), format="ascii.csv", delimiter="," if "csv" in media_type else "\t")


@pytest.mark.parametrize("method", ["cone", "database"])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_holds_the_same(tap: Service, name: str, method: str) -> None:
    where = f"WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE({CENTRE[0]}, {CENTRE[1]}, 0.8))"
    query = f"{POSITIONED} {where}" + (" ORDER BY identifier" if method == "database" else "")
    answer = sync(tap, query, RESPONSEFORMAT=name)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith(FORMATS[name])
    found = table_of(answer.content, answer.headers["content-type"])
    found.sort("identifier")
    expected = rows(sync(tap, f"{POSITIONED} {where} ORDER BY identifier"))
    assert len(found) == len(expected) > 15
    assert [str(word) for word in found["identifier"]] == [str(word) for word in expected["identifier"]]
    for column in ("ra", "dec", "snr"):
        values = [np.nan if value is None or value is np.ma.masked else float(value) for value in found[column]]
        wanted = np.ma.filled(expected[column].astype(float), np.nan)
        np.testing.assert_allclose(np.array(values, float), wanted, rtol=1e-7)


def test_format_is_another_name_of_responseformat(tap: Service) -> None:
    assert sync(tap, POSITIONED, FORMAT="csv").headers["content-type"].startswith("text/csv")


@pytest.mark.parametrize("name", ["votable", "votable/b2", "fits", "csv", "parquet", "json"])
def test_errors_are_votables_whatever_is_asked_for(tap: Service, name: str) -> None:
    refused(sync(tap, "SELECT x FROM nowhere.at_all", RESPONSEFORMAT=name), "nowhere")


# --- cones -----------------------------------------------------------------------------------------------------------

CONES = [
    "1 = CONTAINS(POINT(ra, dec), CIRCLE({ra}, {dec}, {r}))",
    "CONTAINS(POINT('ICRS', t.ra, t.dec), CIRCLE('ICRS', {ra}, {dec}, {r})) = 1",
    "CONTAINS(POINT(RA, DEC), CIRCLE(POINT({ra}, {dec}), {r})) = 1",
    "DISTANCE(POINT(ra, dec), POINT({ra}, {dec})) < {r}",
    "DISTANCE(POINT({ra}, {dec}), POINT(ra, dec)) <= {r}",
]


@pytest.mark.filterwarnings("ignore:The unit 'Angstrom' has been deprecated")
@pytest.mark.parametrize("condition", CONES)
@pytest.mark.parametrize("place", [(40.0, 20.0, 1.0), (41.5, 18.5, 0.3), (-319.0, 21.0, 2.5), (40.0, 89.0, 75.0)])
def test_the_index_gives_the_rows_that_the_database_gives(
    tap: Service, condition: str, place: tuple[float, float, float]
) -> None:
    ra, dec, r = place
    query = f"SELECT t.*, dec AS d2 FROM alpha.spectra AS t WHERE {condition.format(ra=ra, dec=dec, r=r)}"
    runner = catalogues_of(tap.published).runner(tap.base)
    assert translated(query, runner.schema, 10).cone is not None
    quick, slow = (votable(sync(tap, text)).get_first_table() for text in (query, f"{query} AND 1 = 1"))
    assert [(f.name, f.datatype, f.unit, f.ucd) for f in quick.fields] == [
        (f.name, f.datatype, f.unit, f.ucd) for f in slow.fields
    ]
    assert len(quick.array) > 0
    assert sorted(quick.array.tolist(), key=repr) == sorted(slow.array.tolist(), key=repr)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT DISTINCT ra FROM alpha.spectra WHERE DISTANCE(POINT(ra, dec), POINT(40, 20)) < 1",
        "SELECT ra FROM alpha.spectra WHERE DISTANCE(POINT(ra, dec), POINT(40, 20)) > 1",
        "SELECT ra FROM alpha.spectra WHERE DISTANCE(POINT(dec, ra), POINT(40, 20)) < 1",
        "SELECT ra FROM alpha.spectra WHERE DISTANCE(POINT(ra, dec), POINT(40, 20)) < snr",
        "SELECT ra FROM alpha.spectra WHERE 0 = CONTAINS(POINT(ra, dec), CIRCLE(40, 20, 1))",
        "SELECT ra FROM alpha.spectra WHERE 1 = CONTAINS(POINT(40, 20), CIRCLE(ra, dec, 1))",
        "SELECT ra + 0 FROM alpha.spectra WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE(40, 20, 1))",
        "SELECT COUNT(*) FROM alpha.spectra WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE(40, 20, 1))",
        "SELECT ra FROM alpha.spectra WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE(40, 20, 1)) ORDER BY ra",
        "SELECT ra FROM alpha.spectra WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE(40, 20, 1)) OFFSET 2",
        "SELECT a.ra FROM alpha.spectra AS a, gems.candidates WHERE 1 = CONTAINS(POINT(a.ra, a.dec), CIRCLE(4, 2, 1))",
    ],
)
def test_everything_else_is_for_the_database(tap: Service, query: str) -> None:
    runner = catalogues_of(tap.published).runner(tap.base)
    assert translated(query, runner.schema, 10).cone is None


def test_a_cone_obeys_top_and_maxrec(tap: Service) -> None:
    query = "SELECT TOP 5 identifier FROM alpha.spectra WHERE DISTANCE(POINT(ra, dec), POINT(40, 20)) < 2"
    five = votable(sync(tap, query))
    assert (len(five.get_first_table().array), status_of(five)) == (5, ["OK"])
    three = votable(sync(tap, query, MAXREC=3))
    assert (len(three.get_first_table().array), status_of(three)) == (3, ["OK", "OVERFLOW"])


# --- limits ----------------------------------------------------------------------------------------------------------


def limited(monkeypatch: pytest.MonkeyPatch, **limits: Any) -> None:
    monkeypatch.setattr(tap_module, "LIMITS", dataclasses.replace(LIMITS, **limits))


def test_a_query_that_takes_too_long_is_ended(tap: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, sync_seconds=0.3)
    refused(sync(tap, HEAVY), "longer than 0.3 s")


def test_who_finds_all_places_taken_is_told_to_come_again(tap: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    limited(monkeypatch, sync_queries=1, sync_patience_seconds=0.1, sync_seconds=4)
    application = Starlette(routes=[Mount("/vo", routes=tap_module.routes(tap.published))])
    answers: list[int] = []

    def ask(query: str) -> int:
        import asyncio

        async def asked() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://x") as client:
                return await client.get("/vo/tap/sync", params={"QUERY": query})

        answers.append(asyncio.run(asked()).status_code)
        return answers[-1]

    thread = threading.Thread(target=ask, args=[HEAVY])
    thread.start()
    while thread.is_alive() and ask("SELECT TOP 1 snr FROM alpha.spectra") != 503:
        pass
    thread.join()
    assert 503 in answers
    assert ask("SELECT TOP 1 snr FROM alpha.spectra") == 200  # its place is free again


def test_a_long_answer_comes_in_pieces(tap: Service) -> None:
    query = "SELECT a.*, b.identifier AS other FROM alpha.spectra AS a, alpha.spectra AS b"
    parameters = {"QUERY": query, "LANG": "ADQL", "MAXREC": 40_000}
    with tap.http.stream("GET", "tap/sync", params=parameters) as answer:
        assert "content-length" not in answer.headers
        start = next(answer.iter_bytes())
        assert start.startswith(b"<?xml")
    assert len(rows(sync(tap, "SELECT TOP 1 snr FROM alpha.spectra"))) == 1  # who hangs up blocks nobody


# --- clients ---------------------------------------------------------------------------------------------------------


def test_pyvo_searches_and_reads_tables_and_examples(tap: Service) -> None:
    service = pyvo.dal.TAPService(f"{tap.base}/tap")
    found = service.search(POSITIONED, maxrec=1000)
    assert len(found) == ALPHA + 1
    assert found.getcolumn("ra").dtype == np.float64
    assert sum(np.isfinite(meta.ra) for meta in alpha_meta()) + 1 == np.ma.count(found["ra"])
    assert {"alpha.spectra", "ivoa.obscore"} <= set(service.tables.keys())
    assert service.tables["alpha.spectra"].columns[0].name == "identifier"
    assert service.maxrec == LIMITS.default_rows
    assert service.hardlimit == LIMITS.most_rows
    assert {re.sub(".*#upload-", "", method.ivo_id) for method in service.upload_methods} == {"inline", "http", "https"}
    assert len(service.examples) >= 5
    for example in service.examples:
        assert len(example.execute()) > 0


def test_pyvo_says_what_was_wrong(tap: Service) -> None:
    service = pyvo.dal.TAPService(f"{tap.base}/tap")
    with pytest.raises(pyvo.dal.DALQueryError, match="no such column"):
        service.search("SELECT nonsense FROM alpha.spectra")


def test_capabilities_promise_the_formats_that_there_are(tap: Service) -> None:
    from pyvo.io.vosi import parse_capabilities

    found = parse_capabilities(io.BytesIO(tap.http.get("tap/capabilities").content))
    formats = next(item for item in found if item.standardid == "ivo://ivoa.net/std/TAP").outputformats
    names = [name for form in formats for name in (form.mime, *form.aliases)]
    assert {"text/csv", "csv", "votable/b2", "parquet", "json", "fits", "tsv"} <= {*names, "text/csv"}
    for name in names:
        assert sync(tap, "SELECT TOP 1 snr FROM alpha.spectra", RESPONSEFORMAT=str(name)).status_code == 200
