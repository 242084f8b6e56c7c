"""The registry: what is found by protocol, words, waveband and place, also where it knows nothing of places."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
from astropy import units
from astropy.coordinates import SkyCoord

from emberline.vo.client import ServiceError, StatusError, registry
from emberline.vo.client.session import Session
from tests.vo.client.other_archives import Fault, OtherArchives
from tests.vo.client.other_sky import registry_tables
from tests.vo.client.test_uws import Running, serving

GAMMA = SkyCoord(40.0, 20.0, unit="deg")


def names(found: tuple[registry.Service, ...]) -> set[str]:
    return {service.ivoid.removeprefix("ivo://emb.test/") for service in found}


ALL = {"alpha", "simbad", "gaia", "alpha-cone", "images", "far"}
CASES: list[tuple[dict[str, Any], set[str]]] = [
    ({}, ALL),
    ({"protocol": "ssa"}, {"alpha", "far"}),
    ({"protocol": "SSAP"}, {"alpha", "far"}),
    ({"protocol": "ivo://ivoa.net/std/SSA"}, {"alpha", "far"}),
    ({"protocol": "scs"}, {"alpha-cone"}),
    ({"protocol": "sia2"}, {"images"}),
    ({"protocol": "sia"}, set()),
    ({"protocol": "tap"}, {"simbad", "gaia"}),
    ({"keywords": ["be-stars"]}, {"alpha", "alpha-cone"}),
    ({"keywords": ["ALPHA", "cone"]}, {"alpha-cone"}),
    ({"keywords": ["o'hara"]}, set()),
    ({"keywords": [" "]}, ALL),
    ({"waveband": "optical"}, {"alpha", "gaia", "alpha-cone"}),
    ({"waveband": "Radio"}, {"images"}),
    ({"position": GAMMA}, ALL - {"images", "far"}),
    ({"position": GAMMA, "declared": True}, {"alpha", "alpha-cone"}),
    ({"position": SkyCoord(44.5, 20, unit="deg")}, {"simbad", "gaia"}),
    ({"position": SkyCoord(44.5, 20, unit="deg"), "radius": 2 * units.deg}, ALL - {"images", "far"}),
    ({"protocol": "ssa", "position": GAMMA.galactic, "waveband": "optical", "keywords": ["Be"]}, {"alpha"}),
]


@pytest.mark.parametrize(("asked", "expected"), CASES)
def test_what_is_found(asked: dict[str, Any], expected: set[str], session: Session) -> None:
    assert names(registry.search(session, **asked)) == expected


def test_what_is_told_of_a_service(session: Session, others: OtherArchives) -> None:
    (service,) = registry.search(session, protocol="ssa", keywords=["emission"], with_coverage=True)
    assert service == registry.Service(
        ivoid="ivo://emb.test/alpha",
        title="Emission spectra of Alpha",
        description="Be stars near gam Emb, R about 1800",
        protocol="ssa",
        access_url=others.ssap,
        publisher="The Alpha Observatory",
        waveband=("optical",),
        coverage="6/100-110",
    )
    assert session.get(service.access_url, params={"REQUEST": "queryData", "MAXREC": "1"}).status_code == 200
    assert len(registry.search(session, limit=2)) == 2


def test_one_question_is_enough(session: Session, others: OtherArchives) -> None:
    registry.search(session, protocol="ssa", position=GAMMA, keywords=["spectra"])
    assert len(others.asked) == 1


def test_an_identifier_becomes_an_address(session: Session, others: OtherArchives) -> None:
    assert registry.resolve(session, "ivo://EMB.test/alpha", "ssa") == others.ssap
    assert registry.resolve(session, "ivo://emb.test/gaia", "tap") == others.services.gaia
    with pytest.raises(ServiceError, match="no service of ssa"):
        registry.resolve(session, "ivo://emb.test/gaia", "ssa")


def test_words_that_are_none(session: Session, others: OtherArchives) -> None:
    with pytest.raises(ValueError, match="protocol 'gopher'"):
        registry.search(session, protocol="gopher")
    with pytest.raises(ValueError, match="waveband 'green'"):
        registry.search(session, waveband="green")
    assert not others.asked


@pytest.fixture(scope="module")
def old(_others: OtherArchives) -> Iterator[Running]:
    """A registry that knows nothing of places."""
    tables = registry_tables(_others.addresses)
    kept = tuple(table for table in tables if table.name != "rr.stc_spatial" and table.schema_name != "tap_schema")
    with serving("1.1", dataclasses.replace(tables, tables=kept).with_tap_schema()) as service:
        yield service


def test_a_registry_without_places_is_asked_for_the_rest(old: Running, session: Session) -> None:
    found = registry.search(session, protocol="ssa", position=GAMMA, url=old.url)
    assert names(found) == {"alpha", "far"}
    assert registry.search(session, protocol="scs", with_coverage=True, url=old.url)[0].coverage == ""
    with pytest.raises(StatusError, match="stc_spatial"):
        registry.search(session, position=GAMMA, declared=True, url=old.url)


def test_a_registry_without_mocs_is_asked_with_shapes(
    session: Session, monkeypatch: pytest.MonkeyPatch, others: OtherArchives
) -> None:
    from emberline.vo.server.adql import _functions

    monkeypatch.delitem(_functions.FUNCTIONS, "MOC")
    place = SkyCoord(40.01, 20.0, unit="deg")  # not asked for before: a service keeps what it has understood
    assert names(registry.search(session, position=place, declared=True)) == {"alpha", "alpha-cone"}
    assert len(others.asked) == 2


def test_a_refusal_of_a_registry_is_not_taken_for_ignorance(session: Session, others: OtherArchives) -> None:
    others.faults.append(Fault("/registry", times=2, status=400, body=b"Too many requests of yours"))
    with pytest.raises(StatusError, match="Too many"):
        registry.search(session, position=GAMMA)
