"""SIMBAD for many positions: one upload for a block, the nearest first, and what is not known left out."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.time import Time

from emberline.vo.client import ProtocolError, ServiceError, simbad
from emberline.vo.client.session import Session
from tests.vo.client.other_archives import Fault, OtherArchives
from tests.vo.client.other_sky import OBJECTS, object_at

PLACES = SkyCoord([item.ra for item in OBJECTS], [item.dec for item in OBJECTS], unit="deg")


def test_all_that_simbad_says_of_many_places_in_one_upload(session: Session, others: OtherArchives) -> None:
    found = simbad.around(session, PLACES, 1.0 * u.arcsec)
    assert [item.method for item in others.asked if item.path.endswith("/sync")] == ["POST"]
    known = [number for number, item in enumerate(OBJECTS) if item.main_id]
    assert found["place"].tolist() == known
    first = found[0]
    assert (first["main_id"], first["otype"], first["sp_type"], first["nbref"]) == ("* gam Emb", "Be*", "B2IVe", 1234)
    assert simbad.names(first["ids"]) == object_at(1).names
    assert (first["parallax"], first["pmra"], first["pmdec"]) == (6.5, 25.2, -3.9)
    assert first["vmag"] == pytest.approx(2.47)
    assert (found["parallax"].unit, found["pmra"].unit, found["vmag"].unit) == (u.mas, u.mas / u.yr, u.mag)
    assert found["vmag"].mask[known.index(6)], "the quasar has no magnitude"
    assert max(found["separation"]) < 1e-6


def test_neighbours_are_sorted_by_place_and_distance_across_the_meridian_and_at_the_pole(
    session: Session, others: OtherArchives
) -> None:
    places = SkyCoord([0.0001, 299.0, 359.9998], [-5.0, 89.9, -5.0], unit="deg")
    found = simbad.around(session, places, 3 * u.arcsec)
    assert list(zip(found["place"], found["main_id"], strict=True)) == [
        (0, "HD 10010B"), (0, "HD 10010A"), (2, "HD 10010B"), (2, "HD 10010A"),
    ]  # fmt: skip
    expected = places[0].separation(SkyCoord(359.9999, -5.0, unit="deg")).arcsec
    assert found["separation"][0] == pytest.approx(expected, abs=1e-6)
    assert simbad.around(session, SkyCoord(300.0, 89.9, unit="deg"), 0.21)["main_id"].tolist() == ["* pol Emb"]


def test_fast_stars_are_found_where_they_were_when_the_spectrum_was_taken(
    session: Session, others: OtherArchives
) -> None:
    star = object_at(6)
    ra, dec = star.at(2018.5)
    place = SkyCoord(ra, dec, unit="deg")
    assert len(simbad.around(session, place, 2 * u.arcsec)) == 0, "it has moved by 28 arcseconds"
    found = simbad.around(session, place, 2 * u.arcsec, epoch=2018.5)
    assert found["main_id"].tolist() == [star.main_id]
    assert found["separation"][0] < 0.01
    moment = SkyCoord(ra, dec, unit="deg", obstime=Time(2018.5, format="jyear"))
    assert len(simbad.around(session, moment, 2 * u.arcsec)) == 1


def test_positions_that_are_none_are_left_out(session: Session, others: OtherArchives) -> None:
    places = SkyCoord([np.nan, 40.0], [np.nan, 20.0], unit="deg")
    assert simbad.around(session, places, 1 * u.arcsec)["place"].tolist() == [1]
    with pytest.raises(ServiceError, match="no position"):
        simbad.around(session, places[:1], 1 * u.arcsec)


def test_blocks_keep_to_the_services_limit(session: Session, others: OtherArchives) -> None:
    many = SkyCoord(np.resize(PLACES.ra.deg, 2400), np.resize(PLACES.dec.deg, 2400), unit="deg")
    done: list[int] = []
    found = simbad.around(session, many, 1 * u.arcsec, finished=done.append)
    assert done == [1000, 2000, 2400], "the service takes a thousand"
    assert len(found) == 2400 // len(OBJECTS) * sum(bool(item.main_id) for item in OBJECTS)
    done.clear()
    simbad.around(session, PLACES, 1 * u.arcsec, block=5, finished=done.append)
    assert done == [5, 10, 12]


def test_a_block_that_fails_leaves_the_others(session: Session, others: OtherArchives) -> None:
    others.faults.append(Fault("/simbad/tap/sync", status=400, body=b"Not today"))
    found = simbad.around(session, PLACES, 1 * u.arcsec, block=6)
    (failure,) = found.meta["failures"]
    assert (failure.start, failure.stop, failure.error.service_said) == (0, 6, "Not today")
    assert found["place"].min() == 6


def test_an_answer_that_is_not_about_what_was_asked(session: Session, others: OtherArchives) -> None:
    text = (
        '<VOTABLE><RESOURCE type="results"><TABLE><FIELD name="place" datatype="int"/>'
        '<FIELD name="ra" datatype="double"/>'
        '<FIELD name="dec" datatype="double"/>{more}<DATA><TABLEDATA><TR><TD>99</TD><TD>1</TD><TD>2</TD>{cells}</TR>'
        "</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"
    )
    motion = '<FIELD name="pmra" datatype="double"/><FIELD name="pmdec" datatype="double"/>'
    for more, cells, words in (("", "", "no column 'pmra'"), (motion, "<TD/><TD/>", "not asked for")):
        body = text.format(more=more, cells=cells).encode()
        others.faults.append(Fault("/simbad/tap/sync", status=200, body=body))
        with pytest.raises(ProtocolError, match=words):
            simbad.around(session, PLACES, 1 * u.arcsec)


def test_a_service_that_is_switched_off(others: OtherArchives) -> None:
    services = dataclasses.replace(others.services, simbad="")
    config = dataclasses.replace(others.config, services=services)
    with Session(config) as session, pytest.raises(ServiceError, match="simbad is switched off"):
        simbad.around(session, PLACES, 1 * u.arcsec)
    assert not others.asked


def test_names() -> None:
    assert simbad.names("* gam  Emb|HD 1 | HD 1||") == ("* gam Emb", "HD 1")
    assert simbad.names("") == ()
