"""Any parameters to any service: an answer or an error document, never a failure, never a path of this machine."""

from __future__ import annotations

import asyncio
import re
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
from dal_sky import Service, dal_routes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Mount

NAMES = {
    "alpha/ssa": (
        "REQUEST VERSION POS SIZE BAND TIME FORMAT SPECRP SPATRES SNR REDSHIFT VARAMPL TARGETNAME TARGETCLASS PUBDID"
        " CREATORDID COLLECTION TOP MAXREC MTIME COMPRESS RUNID APERTURE TIMERES FLUXCALIB WAVECALIB"
    ),
    "gems/scs": "RA DEC SR VERB MAXREC RESPONSEFORMAT",
    "sia2": (
        "POS BAND TIME POL FOV SPATRES SPECRP EXPTIME TIMERES ID COLLECTION FACILITY INSTRUMENT DPTYPE CALIB TARGET"
        " FORMAT MAXREC RESPONSEFORMAT"
    ),
    "alpha/datalink": "ID MAXREC RESPONSEFORMAT",
    "alpha/soda/sync": "ID BAND POS CIRCLE TIME POLYGON RECIPE RESPONSEFORMAT",
    "beta/spectrum": "ID FORMAT",
}
KNOWN = (
    "", "0", "1", "-1", "1e308", "1e-400", "NaN", "Inf", "-Inf +Inf", "40,20", "40 20", "CIRCLE 40 20 1", "a/b", "/",
    "1/2/3", ",", ";", "40,20;ICRS", "6.5e-7/6.6e-7", "6.5e-7 6.6e-7", "2015", "2015-13", "0000-00-00", "9999", "all",
    "RANGE 0 1 0 1", "POLYGON 0 0 1 0 1 1", "POLYGON 0 0 180 0 0 0", "POLYGON 1 1 1 1 1 1", "CIRCLE 0 90 180",
    "METADATA", "votable", "fits", "native", "png", "text/csv", "application/fits", "halpha-140", "alpha-0008",
    "ivo://example.org/alpha?alpha-0008", "ivo://example.org/alpha?", "ivo://", "../../etc/passwd", "/etc/passwd",
    "'; DROP TABLE x; --", "' OR 1=1 --", "\x00", "\ud7ff", "%00", "<script>", "&amp;", "x" * 5000, "1" * 400,
    "queryData", "1.1", "image", "true", "it's", "read_csv('/etc/passwd')", "1_0", "١", "+", " ", "\n",
)  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(KNOWN),
    st.text(max_size=20),
    st.floats().map(str),
    st.lists(st.floats(), max_size=8).map(lambda v: " ".join(map(str, v))),
)
LEAKS = re.compile(rb"Traceback|File \"|/tmp/|site-packages|/work|/home|pyarrow|duckdb", re.IGNORECASE)


@pytest.fixture(scope="module")
def application(dal: Service) -> Starlette:
    return Starlette(routes=[Mount("/vo", routes=dal_routes(dal.published))])


def ask(application: Starlette, path: str, method: str, items: list[tuple[str, str]]) -> httpx.Response:
    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(application, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            if method == "GET":
                return await client.get(f"/vo/{path}", params=items)
            data: dict[str, Any] = {}
            for name, value in items:
                data.setdefault(name, []).append(value)
            return await client.post(f"/vo/{path}", data=data)

    return asyncio.run(asked())


@pytest.mark.parametrize("path", NAMES)
@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_asked(application: Starlette, path: str, data: st.DataObject) -> None:
    names = st.one_of(st.sampled_from(NAMES[path].split()), st.sampled_from(NAMES[path].lower().split()))
    items = data.draw(st.lists(st.tuples(names, VALUES), max_size=5))
    method = data.draw(st.sampled_from(["GET", "POST"])) if path != "beta/spectrum" else "GET"
    answer = ask(application, path, method, items)
    assert answer.status_code < 500, (items, answer.text[:300])
    if answer.status_code >= 400 or b'value="ERROR"' in answer.content:
        assert b"QUERY_STATUS" in answer.content or re.match(rb"\w+: .+", answer.content), answer.text[:300]
    if not answer.headers.get("content-type", "").startswith(("image/", "application/octet-stream")):
        echoed = " ".join(value for _, value in items).encode()
        assert not set(LEAKS.findall(answer.content)) - set(LEAKS.findall(echoed)), answer.text[:500]


@pytest.mark.parametrize("path", NAMES)
def test_bodies_that_are_none(application: Starlette, path: str) -> None:
    async def asked() -> list[httpx.Response]:
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            bodies = [(b"\xff\xfe", "application/x-www-form-urlencoded"), (b"{}", "application/json")]
            bodies += [(b"--x\r\nbroken", "multipart/form-data; boundary=x"), (b"a=1&" * 400_000, bodies[0][1])]
            return [
                await client.post(f"/vo/{path}", content=body, headers={"content-type": kind}) for body, kind in bodies
            ]

    for answer in asyncio.run(asked()):
        assert answer.status_code in (200, 400, 405, 413, 415)


@pytest.mark.parametrize("host", ['x"<&>', "a'b", "x y", "[::1]:80", "é".encode().decode("latin-1"), "h/vo?x=1#y"])
@pytest.mark.parametrize("path", ["alpha/ssa?MAXREC=2", "alpha/scs?RA=40&DEC=20&SR=1", "alpha/datalink?ID=alpha-0008"])
def test_whatever_the_client_calls_this_host_the_answer_is_a_document(
    application: Starlette, path: str, host: str
) -> None:
    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get(f"/vo/{path}", headers={"host": host.encode("latin-1")})

    answer = asyncio.run(asked())
    assert answer.status_code == 200
    ElementTree.fromstring(answer.content)
