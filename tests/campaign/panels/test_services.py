"""The panels against the tests' SIMBAD, Gaia, VizieR, hips2fits and SSAP: what they say, how often they ask."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emberline.campaign import Campaign
from emberline.campaign.panels import ContextConfig, ContextStore, Tools, prefetch
from emberline.campaign.panels.places import identifiers_of, places_of
from emberline.campaign.panels.services import spectrum_services
from emberline.vo.client.session import Session
from tests.campaign.panels.conftest import EPOCH, make_campaign, place
from tests.vo.client.other_archives import Fault, OtherArchives
from tests.vo.client.other_sky import OBJECTS

# The server within these tests takes uploads into files that nobody closes.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in.*Spooled:pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def session(world: OtherArchives) -> Iterator[Session]:
    with Session(world.config) as made:
        made.backoff = 0.0
        yield made


def by_object(campaign: Campaign, panel: str) -> dict[int, dict[str, Any]]:
    """The panel's document for one spectrum of each object."""
    found = {}
    with ContextStore.of(campaign.path) as store:
        for place in places_of(campaign, identifiers_of(campaign)):
            number = next(
                item.number
                for item in OBJECTS
                if abs((item.at(EPOCH)[0] - place.ra + 180) % 360 - 180) < 1e-6
                and abs(item.at(EPOCH)[1] - place.dec) < 1e-6
            )
            found[number] = store.documents(place.identifier)[panel]
    return found


def facts(document: dict[str, Any]) -> dict[str, str]:
    return {fact["label"]: fact["value"] for fact in document["facts"]}


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, _world: OtherArchives) -> tuple[Campaign, dict[str, Any]]:
    """A campaign whose whole first round has been asked about, and how often each service was asked."""
    campaign = make_campaign(tmp_path_factory.mktemp("asked"))
    _world.asked.clear()
    _world.faults.clear()
    with Session(_world.config) as session:
        outcome = prefetch(campaign, session=session)
    counts = {
        path: _world.count(path) for path in ("/simbad/tap/sync", "/gaia/tap/sync", "/hips2fits", "/vo/alpha/ssa")
    }
    posts = [item.path for item in _world.asked if item.method == "POST"]
    return campaign, {"outcome": outcome, "counts": counts, "posts": posts}


def test_each_service_gets_one_upload_for_the_whole_round(asked: tuple[Campaign, dict[str, Any]]) -> None:
    campaign, told = asked
    count = len(identifiers_of(campaign))
    assert count >= 12
    assert told["counts"]["/simbad/tap/sync"] == 1
    assert told["counts"]["/gaia/tap/sync"] == 1
    assert sorted(told["posts"]) == ["/gaia/tap/sync", "/simbad/tap/sync", "/vizier/tap/sync"]
    assert told["counts"]["/hips2fits"] == count
    assert all(set(states) <= {"found", "nothing"} for states in told["outcome"]["panels"].values())


def test_identity(asked: tuple[Campaign, dict[str, Any]]) -> None:
    found = by_object(asked[0], "identity")
    assert len(found) >= 8
    for number, document in found.items():
        item = OBJECTS[number - 1]
        if not item.main_id:
            assert document["state"] == "nothing"
            continue
        told = facts(document)
        assert told["Name"] == item.main_id
        assert told["Type"] == item.otype
        assert told["References"] == str(item.nbref)
        assert float(told["Separation"]) < 0.02
        assert document["links"][0]["href"].startswith("https://simbad.cds.unistra.fr/")


def test_photometry_at_the_date_of_the_spectrum(asked: tuple[Campaign, dict[str, Any]]) -> None:
    """The sixth object moves by 1.5″ a year: it is found where it was, and so are those that stay."""
    found = by_object(asked[0], "photometry")
    for number, document in found.items():
        item = OBJECTS[number - 1]
        if not item.source_id:
            assert document["state"] == "nothing"
            continue
        told = facts(document)
        assert told["G"] == f"{item.vmag - 0.1:.2f}"
        assert float(told["Separation"]) < 0.02
        assert ("Distance" in told) == (item.parallax > 0.15)
    assert any(OBJECTS[number - 1].source_id for number in found)


def test_catalogues_and_pictures(asked: tuple[Campaign, dict[str, Any]]) -> None:
    campaign, _ = asked
    two_mass = by_object(campaign, "catalogues")
    some = next(number for number in two_mass if number not in (3, 4, 6, 8))
    assert facts(two_mass[some])["2MASS Jmag"] == f"{OBJECTS[some - 1].vmag - 1.0:.6g}"
    with ContextStore.of(campaign.path) as store:
        image = store.image(identifiers_of(campaign)[0], "sky")
    assert image is not None
    assert image[0].startswith(b"\xff\xd8\xff")
    assert image[1] == "image/jpeg"


def test_other_spectra_are_overlaid_in_vacuum_and_one_frame(asked: tuple[Campaign, dict[str, Any]]) -> None:
    campaign, _ = asked
    document = by_object(campaign, "spectra")
    alpha = [
        (number, overlay)
        for number, each in document.items()
        for overlay in each["overlays"]
        if "Alpha" in overlay["title"]
    ]
    assert alpha, "SSAP has nothing"
    with ContextStore.of(campaign.path) as store:
        for place in places_of(campaign, identifiers_of(campaign)):
            for overlay in store.documents(place.identifier)["spectra"]["overlays"]:
                stored = store.overlay(place.identifier, overlay["id"])
                assert stored is not None
                assert stored["frame"] == "heliocentric"
                assert stored["note"] == ""
                assert stored["wavelength"].size == stored["flux"].size > 100
                assert (np.diff(stored["wavelength"]) > 0).all()


def test_a_service_that_covers_another_part_of_the_sky_is_not_asked(
    tmp_path: Path, world: OtherArchives, session: Session
) -> None:
    """The registry knows where; the tests' second SSAP service is in the south and does not even answer."""
    far = "ivo://emb.test/far"
    services = dataclasses.replace(world.services, ssap=(world.ssap, far))
    with Session(dataclasses.replace(world.config, services=services)) as both:
        tools = Tools(both, ContextConfig())
        near_by, distant = spectrum_services(tools)
        assert (near_by.url, near_by.name) == (world.ssap, "Emission spectra of Alpha")
        assert (near_by.covers(place("s", 40.0, 20.0)), distant.covers(place("s", 40.0, 20.0))) == (True, False)
        assert distant.covers(place("s", 200.0, -45.0))
        campaign = make_campaign(tmp_path)
        outcome = prefetch(campaign, identifiers_of(campaign)[:3], panels=["spectra"], session=both)
        assert "failed" not in outcome["panels"]["spectra"]
        assert world.count("/nowhere") == 0
        campaign.close()


def test_without_the_registry_services_are_asked_everywhere(world: OtherArchives, session: Session) -> None:
    world.faults.append(Fault("/registry", times=-1, status=500))
    (only,) = spectrum_services(Tools(session, ContextConfig()))
    assert only.url == world.ssap
    assert only.covers(place("s", 200.0, -45.0))


def test_one_table_that_fails_is_told_of_every_place_and_the_others_are_shown(tmp_path: Path, session: Session) -> None:
    tables = [{"table": "II/246/out", "columns": ["Jmag"], "title": "2MASS"}, {"table": "III/1/nope"}]
    campaign = make_campaign(tmp_path, context={"vizier": [*tables, {"table": "III/1/old", "columns": ["Name"]}]})
    names = identifiers_of(campaign)
    outcome = prefetch(campaign, panels=["catalogues"], session=session)
    assert outcome["panels"] == {"catalogues": {"failed": len(names)}}
    documents = by_object(campaign, "catalogues").values()
    assert all("III/1/nope" in document["service"] for document in documents)
    assert any("2MASS Jmag" in facts(document) for document in documents)
    assert all("III/1/old Name" in facts(document) for document in documents if document["facts"])
    campaign.close()


@pytest.mark.parametrize("path", ["/simbad", "/gaia", "/vizier", "/hips2fits", "/vo/alpha/ssa"])
def test_a_dead_service_is_named_and_the_others_answer(
    tmp_path: Path, world: OtherArchives, session: Session, path: str
) -> None:
    campaign = make_campaign(tmp_path)
    world.faults.append(Fault(path, times=-1, status=500, body=b"Out of order since Tuesday."))
    names = identifiers_of(campaign)[:3]
    outcome = prefetch(campaign, names, session=session)["panels"]
    hit = {
        "/simbad": {"identity", "confusion"},
        "/gaia": {"photometry", "confusion"},
        "/vizier": {"catalogues"},
        "/hips2fits": {"sky"},
        "/vo/alpha/ssa": {"spectra"},
    }[path]
    assert {name for name, states in outcome.items() if "failed" in states} == hit
    with ContextStore.of(campaign.path) as store:
        for panel in hit:
            document = store.documents(names[0])[panel]
            assert "127.0.0.1" in document["service"]
            assert document["message"]
    world.faults.clear()
    session.reset("127.0.0.1")
    again = prefetch(campaign, names, session=session)
    assert again["asked"] == len(hit) * len(names)
    assert not any("failed" in states for states in again["panels"].values())
    campaign.close()


def test_a_service_that_hangs_takes_its_time_and_no_more(
    tmp_path: Path, world: OtherArchives, session: Session
) -> None:
    campaign = make_campaign(tmp_path, context={"deadline": 2.0})
    world.faults.append(Fault("/simbad", times=-1, hang=threading.Event()))
    names = identifiers_of(campaign)[:3]
    outcome = prefetch(campaign, names, session=session)["panels"]
    assert outcome["identity"] == {"failed": 3}
    assert outcome["photometry"].keys() <= {"found", "nothing"}
    assert outcome["confusion"] == {"failed": 3}
    assert outcome["literature"].keys() <= {"found", "failed"}
    campaign.close()
