"""Any parameters to TAP: an answer or an error document, never a failure, never a path of this machine."""

from __future__ import annotations

import asyncio
import io
import re
from typing import Any

import httpx
import pytest
from astropy.io.votable import parse
from dal_sky import Service, status_of
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Mount

from emberline.vo.server import vo_routes

LEAKS = re.compile(rb"Traceback|File \"|/tmp/|site-packages|pyarrow|duckdb|sqlglot", re.IGNORECASE)
QUERIES = (
    "SELECT TOP 3 * FROM alpha.spectra", "SELECT 1/0 AS x FROM alpha.spectra", "SELECT * FROM TAP_UPLOAD.t",
    "SELECT TOP 2 * FROM ivoa.obscore", "SELECT * FROM alpha.spectra WHERE 1=CONTAINS(POINT(ra,dec),CIRCLE(40,20,1))",
    "SELECT * FROM read_csv('/etc/passwd')", "SELECT 1; DROP TABLE x", "COPY x TO 'y'", "ATTACH 'x'", "PRAGMA version",
    "SELECT '", "((((((", "SELECT * FROM \"../../etc/passwd\"", "SELECT CAST(name AS INTEGER) FROM alpha.spectra",
    "SELECT 1e999 AS x, -1e999 AS y FROM tap_schema.keys", "SELECT * FROM tap_schema.columns AS \"\x00\"", "\ud7ff",
    "SELECT identifier AS \"<&>\" FROM alpha.spectra", "SELECT POINT(ra, dec) FROM beta.spectra", "",
)  # fmt: skip
WORDS = (
    "", "0", "1", "-1", "1e9", "99999999999999999999", "ADQL", "adql-2.1", "PQL", "doQuery", "getCapabilities", "csv",
    "votable", "votable/b2", "fits", "parquet", "json", "tsv", "text/html", "application/x-votable+xml;x=\r\nA: b",
    "t,param:t", "t,param:", "t,http://127.0.0.1/", "t,http://[", ",", ";", "t,param:t;u,param:t", "RUN", "ABORT",
    "../../etc/passwd", "<script>", "\x00", "x" * 3000, "١", "2999-01-01", "file:///etc/passwd",
)  # fmt: skip
NAMES = (
    "QUERY", "LANG", "REQUEST", "RESPONSEFORMAT", "FORMAT", "MAXREC", "RUNID", "UPLOAD", "PHASE", "VERSION", "ACTION",
    "EXECUTIONDURATION", "DESTRUCTION", "t", "\x00",
)  # fmt: skip
VALUES = st.one_of(st.sampled_from(WORDS), st.sampled_from(QUERIES), st.text(max_size=30))
ITEMS = st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=6)


@pytest.fixture(scope="module")
def application(tap: Service) -> Starlette:
    return Starlette(routes=[Mount("/vo", routes=vo_routes(tap.published))])


def ask(application: Starlette, method: str, path: str, **options: Any) -> httpx.Response:
    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(application, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as client:
            return await client.request(method, f"/vo/tap/{path}", **options)

    return asyncio.run(asked())


def check(answer: httpx.Response) -> None:
    assert answer.status_code < 500 or answer.status_code == 503, answer.text
    assert not LEAKS.search(answer.content), answer.text
    if answer.status_code >= 400:
        assert answer.headers["content-type"].startswith("application/x-votable+xml")
        assert status_of(parse(io.BytesIO(answer.content))) == ["ERROR"]


FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@FUZZ
@given(items=ITEMS, query=st.sampled_from(QUERIES) | st.text(max_size=60), post=st.booleans())
@example(items=[("FORMAT", "fits"), ("MAXREC", "0")], query=QUERIES[0], post=True)
@example(items=[("FORMAT", "parquet"), ("MAXREC", "0")], query=QUERIES[0], post=False)
def test_sync(application: Starlette, items: list[tuple[str, str]], query: str, post: bool) -> None:
    items = [("QUERY", query), *items]
    where = {"data": as_lists(items)} if post else {"params": items}
    check(ask(application, "POST" if post else "GET", "sync", **where))


def as_lists(items: list[tuple[str, str]]) -> dict[str, list[str]]:
    return {name: [value for other, value in items if other == name] for name, _ in items}


@FUZZ
@given(body=st.binary(max_size=300) | st.sampled_from([b"<VOTABLE/>", b"<VOTABLE><RESOURCE><TABLE><FIELD/></TABLE>"]))
def test_uploads(application: Starlette, body: bytes) -> None:
    data = {"QUERY": "SELECT * FROM TAP_UPLOAD.t", "UPLOAD": "t,param:f"}
    answer = ask(application, "POST", "sync", data=data, files={"f": ("f", body)})
    check(answer)
    assert answer.status_code == 400


@FUZZ
@given(
    body=st.binary(max_size=200), kind=st.sampled_from(["multipart/form-data; boundary=x", "multipart/form-data", "a"])
)
def test_bodies(application: Starlette, body: bytes, kind: str) -> None:
    for path in ("sync", "async"):
        for start in (b"", b'--x\r\nContent-Disposition: form-data; name="QUERY"\r\n\r\n'):
            answer = ask(application, "POST", path, content=start + body, headers={"Content-Type": kind})
            check(answer)


@FUZZ
@given(items=ITEMS)
def test_async(application: Starlette, items: list[tuple[str, str]]) -> None:
    answer = ask(application, "POST", "async", data=as_lists([item for item in items if item != ("PHASE", "RUN")]))
    check(answer)
    if answer.status_code == 303:
        path = answer.headers["location"].partition("/vo/tap/")[2]
        try:
            for what in ("", "/parameters", "/phase", "/executionduration", "/destruction"):
                check(ask(application, "POST", path + what, data=as_lists(items)))
            for what in ("", "/error", "/results", "/results/result", "/owner", "/quote", "/parameters/QUERY"):
                check(ask(application, "GET", path + what))
        finally:
            ask(application, "DELETE", path)
