"""Names resolved by Sesame, from documents as it writes them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emberline.vo.client import ClientConfig, ProtocolError, ServiceError, ServicesConfig, Session, StatusError
from emberline.vo.client.names import Resolved, resolve
from tests.vo.client.misbehaving import Misbehaving

FOUND = b"""<?xml version="1.0" encoding="UTF-8"?>
<Sesame xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="sesame_4x.xsd">
<Target option="SNVI"><name>omi And</name><!-- Q1 -->
<Resolver name="N=NED"><INFO>*** Nothing found ***</INFO></Resolver>
<Resolver name="S=Simbad (CDS, via client/server)"><otype>Be*</otype><jpos>23:01:55.26 +42:19:33.5</jpos>
<jradeg>345.48026</jradeg><jdedeg>+42.325980</jdedeg><oname>* omi  And</oname>
<alias>HD 217675</alias><alias>* omi And</alias><alias>1 And</alias></Resolver></Target></Sesame>"""
NOTHING = b"""<?xml version="1.0"?><Sesame><Target option="SNV"><name>nonsense</name><INFO>*** Nothing found ***</INFO>
</Target></Sesame>"""


@pytest.fixture
def server() -> Iterator[Misbehaving]:
    with Misbehaving() as server:
        server.serve("/sesame", FOUND, "text/xml")
        yield server


def session_for(server: Misbehaving, path: str = "/sesame") -> Session:
    services = ServicesConfig(sesame=server.url + path if path else "")
    return Session(ClientConfig(allow=(server.host,), rate=1000.0, services=services))


def test_a_name_is_resolved(server: Misbehaving) -> None:
    with session_for(server) as session:
        found = resolve(session, "  omi   And ")
    assert found == Resolved(
        "* omi And", 345.48026, 42.32598, ("* omi And", "HD 217675", "1 And"), object_type="Be*", resolver="Simbad"
    )
    assert found.coordinate.to_string("hmsdms", precision=0) == "23h01m55s +42d19m34s"
    assert server.requests[0].query == {"omi And": [""]}


@pytest.mark.parametrize("name", ["a&b=c", "SDSS J1+2", "100% star", "ä#?/"])
def test_every_character_arrives(server: Misbehaving, name: str) -> None:
    with session_for(server) as session:
        resolve(session, name)
    assert list(server.requests[0].query) == [name]


def test_an_unknown_name_is_none(server: Misbehaving) -> None:
    server.serve("/sesame", NOTHING, "text/xml")
    with session_for(server) as session:
        assert resolve(session, "nonsense") is None


@pytest.mark.parametrize("name", ["", "  ", "a" * 201, "a\0b"])
def test_what_is_no_name_is_not_asked_for(server: Misbehaving, name: str) -> None:
    with session_for(server) as session, pytest.raises(ServiceError, match="no name"):
        resolve(session, name)
    assert server.count() == 0


def test_no_resolver(server: Misbehaving) -> None:
    with session_for(server, "") as session, pytest.raises(ServiceError, match=r"services\.sesame"):
        resolve(session, "omi And")


@pytest.mark.parametrize("path", ["/wrong-type", "/empty", "/good", "/no-xml", "/truncated-document"])
def test_an_answer_that_is_none_of_sesames(server: Misbehaving, path: str) -> None:
    server.serve("/truncated-document", FOUND[:400], "text/xml")
    with session_for(server, path) as session, pytest.raises(ProtocolError, match="no document of Sesame"):
        resolve(session, "omi And")


@pytest.mark.parametrize(("old", "new"), [(b"345.48026", b"1345.4"), (b"345.48026", b"nan"), (b"+42.325980", b"+92")])
def test_a_position_that_is_none(server: Misbehaving, old: bytes, new: bytes) -> None:
    server.serve("/sesame", FOUND.replace(old, new), "text/xml")
    with session_for(server) as session, pytest.raises(ProtocolError, match="position"):
        resolve(session, "omi And")


def test_a_resolver_that_fails(server: Misbehaving) -> None:
    with session_for(server, "/404") as session, pytest.raises(StatusError, match="maintenance"):
        resolve(session, "omi And")
