"""Which services answer: each of the configuration's, against ones that behave and ones that do not."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from emberline.vo.client import ClientConfig, ServicesConfig, Session, registry
from emberline.vo.client.check import Check, check
from tests.vo.client.misbehaving import GOOD, PAGE, REFUSAL, Misbehaving, Request, Served

SESAME = b"""<?xml version="1.0"?><Sesame><Target><Resolver name="S=Simbad"><jradeg>279.23473</jradeg>
<jdedeg>38.78369</jdedeg><oname>* alf Lyr</oname></Resolver></Target></Sesame>"""


def picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (32, 32)).save(out, "JPEG")
    return out.getvalue()


@pytest.fixture
def server() -> Iterator[Misbehaving]:
    with Misbehaving() as server:
        for path in ("/registry", "/simbad", "/gaia", "/vizier"):
            server.serve(f"{path}/sync", GOOD)
        server.serve("/xmatch", GOOD)
        server.serve("/sesame", SESAME, "text/xml")
        server.serve("/hips2fits", picture(), "image/jpeg")
        server.serve("/aladin.js", b"let A;", "text/javascript; charset=utf-8")
        server.serve("/literature/2020A%26A...643A.122S", PAGE, "text/html")
        server.serve("/lightcurves", PAGE, "text/html", 403)
        server.serve("/ssap", GOOD)
        yield server


def services(server: Misbehaving) -> ServicesConfig:
    names = ("registry", "simbad", "gaia", "vizier", "xmatch", "sesame", "hips2fits")
    return ServicesConfig(
        **{name: f"{server.url}/{name}" for name in names},
        aladin=f"{server.url}/aladin.js",
        literature=f"{server.url}/literature/{{bibcode}}",
        variability=(f"{server.url}/lightcurves?ra={{ra}}&dec={{dec}}",),
        ssap=(f"{server.url}/ssap",),
    )


def checked(server: Misbehaving, changed: ServicesConfig | None = None, **settings: Any) -> dict[str, Check]:
    given: dict[str, Any] = {"allow": (server.host,), "rate": 1000.0, "tries": 1, "timeout": 20.0, "total": 60.0}
    with Session(ClientConfig(**{**given, **settings}, services=changed or services(server))) as session:
        return {result.service: result for result in check(session)}


def test_all_answer(server: Misbehaving) -> None:
    told: list[Check] = []
    with Session(ClientConfig(allow=(server.host,), rate=1000.0, services=services(server))) as session:
        results = check(session, done=told.append)
    assert [result.state for result in results] == ["answers"] * 11, results
    assert sorted(told, key=lambda result: result.service) == sorted(results, key=lambda result: result.service)
    assert [result.service for result in results][:4] == ["registry", "simbad", "gaia", "vizier"]
    words = {result.service: result.message for result in results}
    assert "knows Vega" in words["sesame"]
    assert "not for programs (status 403)" in words["variability"]
    asked = {request.path: request for request in server.requests}
    assert b"TAP_SCHEMA.tables" in asked["/gaia/sync"].body
    assert b"345.48,42.326" in asked["/xmatch"].body
    assert asked["/lightcurves"].query == {"ra": ["345.48"], "dec": ["42.326"]}
    assert asked["/ssap"].query["REQUEST"] == ["queryData"]


@pytest.mark.parametrize(
    ("service", "path", "words"),
    [
        ("simbad", "/refusal", 'Unknown column "raa"'), ("simbad", "/400", "Unknown column"),
        ("gaia", "/503", "maintenance"),
        ("gaia", "/wrong-type", "VOTable"), ("vizier", "/xml-bomb", "entities"), ("registry", "/empty", "VOTable"),
        ("xmatch", "/lying-columns", "ra"), ("sesame", "/wrong-type", "no document of Sesame"),
        ("hips2fits", "/wrong-type", "no picture"), ("aladin", "/wrong-type", "no script"), ("aladin", "/404", "404"),
        ("literature", "/500", "maintenance"), ("literature", "/reset", "connection"),
        ("xmatch", "/truncated", "cut short"),
    ],
)  # fmt: skip
def test_what_fails_is_told_with_the_reason_and_the_rest_goes_on(
    server: Misbehaving, service: str, path: str, words: str
) -> None:
    address = server.url + path
    if service in ("simbad", "gaia", "vizier", "registry"):
        address = f"{server.url}/broken"
        server.serve("/broken/sync", fault(server, path))
    results = checked(server, dataclasses.replace(services(server), **{service: address}))
    assert {name for name, result in results.items() if result.state != "answers"} == {service}
    assert results[service].state == "fails"
    assert words in results[service].message


def fault(server: Misbehaving, path: str) -> Any:
    """A body that is wrong as the fault of that path is."""
    bodies = {"/refusal": (REFUSAL, 200), "/400": (REFUSAL, 400), "/503": (PAGE, 503), "/wrong-type": (PAGE, 200)}
    bodies |= {"/empty": (b"", 200), "/xml-bomb": (b'<!DOCTYPE a [<!ENTITY b "c">]><VOTABLE>&b;</VOTABLE>', 200)}
    body, status = bodies[path]

    def answer(_: Request) -> Served:
        return Served(body, "text/html" if body == PAGE else "text/xml", status)

    return answer


def test_vega_in_another_place_is_a_fault(server: Misbehaving) -> None:
    server.serve("/sesame", SESAME.replace(b"279.", b"179."), "text/xml")
    assert "not where it should be" in checked(server)["sesame"].message


def test_a_service_without_an_address_is_off(server: Misbehaving) -> None:
    results = checked(server, dataclasses.replace(services(server), gaia="", ssap=()))
    assert results["gaia"].state == "off"
    assert "ssap" not in results
    assert "/gaia/sync" not in {request.path for request in server.requests}


def test_an_identifier_is_looked_up_in_the_registry(server: Misbehaving, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def resolve(_: Session, ivoid: str, protocol: str) -> str:
        asked.append((ivoid, protocol))
        return f"{server.url}/ssap"

    monkeypatch.setattr(registry, "resolve", resolve)
    changed = dataclasses.replace(services(server), ssap=("ivo://a.example/ssap",))
    assert checked(server, changed)["ssap"].state == "answers"
    assert asked == [("ivo://a.example/ssap", "ssa")]
    without = checked(server, dataclasses.replace(changed, registry=""))["ssap"]
    assert (without.state, "switched off" in without.message) == ("fails", True)


def test_a_private_address_is_refused_and_said_so(server: Misbehaving) -> None:
    results = checked(server, allow=())
    assert {result.state for result in results.values()} == {"refused"}
    assert "allow" in results["simbad"].message
    assert server.connections == 0


def test_offline_nobody_is_asked(server: Misbehaving) -> None:
    results = checked(server, offline=True)
    assert {result.state for result in results.values()} == {"offline"}
    assert server.connections == 0


def test_a_service_that_was_left_alone_is_asked(server: Misbehaving) -> None:
    config = ClientConfig(allow=(server.host,), rate=1000.0, tries=1, services=services(server))
    with Session(config) as session:
        for _ in range(6):
            session.breaker.failed(server.host, "down")
        assert {result.state for result in check(session)} == {"answers"}
