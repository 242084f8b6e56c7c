"""Spectra of other archives: our own service, answers of real ones, values wherever services put them."""

from __future__ import annotations

import math
import urllib.parse
from pathlib import Path

import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.time import Time

from emberline.vo.client import ProtocolError, StatusError, ssap
from emberline.vo.client.session import Session
from tests.vo.client.other_archives import SPECTRA, Fault, OtherArchives
from tests.vo.client.other_sky import OBJECTS, object_at

GOLDEN = Path(__file__).parent / "golden"
GAMMA = SkyCoord(40.0, 20.0, unit="deg")


def golden(others: OtherArchives, name: str) -> str:
    return others.document(name, (GOLDEN / name).read_bytes())


def sent(others: OtherArchives) -> dict[str, str]:
    return {name: values[0] for name, values in urllib.parse.parse_qs(others.asked[-1].query).items()}


def test_our_own_spectra(session: Session, others: OtherArchives) -> None:
    found = ssap.search(session, others.ssap, GAMMA, 2 * units.arcsec)
    assert len(found) == math.ceil(SPECTRA / len(OBJECTS))
    assert len(ssap.search(session, others.ssap, SkyCoord([40.0], [20.0], unit="deg"), 2 * units.arcsec)) == len(found)
    assert not found.overflow
    first = min(found, key=lambda record: record.mjd)
    assert (first.ra, first.dec, first.mjd) == (40.0, 20.0, 57000.5)
    assert first.media_type == "application/fits"
    assert first.target == object_at(1).names[-1]
    assert first.creator == "Doe, J."
    assert first.publisher_did.startswith("ivo://emb.test/alpha?")
    assert first.band == pytest.approx((3700, 9099.1), abs=1)
    assert first.bytes is not None
    assert 10_000 < first.bytes < 1_000_000
    assert first.datalink.startswith(f"{others.vo}/alpha/datalink?ID=ivo%3A%2F%2Femb.test%2Falpha%3F")
    assert [service.is_soda for service in first.services] == [False, True]
    assert session.get(first.access_url).content.startswith(b"SIMPLE")


def test_the_diameter_the_band_and_the_time_are_sent_as_the_standard_writes_them(
    session: Session, others: OtherArchives
) -> None:
    ssap.search(
        session,
        others.ssap,
        SkyCoord(0.5, -0.00001, unit="deg"),
        0.25,
        band=(6500.0, math.inf),
        time=(Time("2015-01-01T00:00:00"), Time(57200.0, format="mjd")),
        media_type="fits",
        limit=7,
    )
    assert sent(others) == {
        "REQUEST": "queryData", "POS": "0.5,-1e-05", "SIZE": "0.5", "BAND": "6.5e-07/",
        "TIME": "2015-01-01T00:00:00/2015-06-27T00:00:00", "FORMAT": "fits", "MAXREC": "7",
    }  # fmt: skip


def test_band_and_time_select(session: Session, others: OtherArchives) -> None:
    time = (Time(57000.0, format="mjd"), Time(57001.0, format="mjd"))
    assert len(ssap.search(session, others.ssap, None, time=time)) == 1
    assert len(ssap.search(session, others.ssap, None)) == SPECTRA
    assert len(ssap.search(session, others.ssap, GAMMA, 1.0, band=(20_000.0, 30_000.0))) == 0


def test_more_spectra_than_asked_for(session: Session, others: OtherArchives) -> None:
    found = ssap.search(session, others.ssap, None, limit=4)
    assert (len(found), found.overflow) == (4, True)
    assert found[1:3] == tuple(found)[1:3]


def test_addresses_of_services_with_parameters_of_their_own(session: Session, others: OtherArchives) -> None:
    for base in (f"{others.ssap}?", f"{others.ssap}?collection=a&", f"{others.ssap}?REQUEST=queryData&VERSION=1.1"):
        assert len(ssap.search(session, base, GAMMA, 2 * units.arcsec)) == 3
        assert others.asked[-1].query.count("REQUEST") == 1


def test_values_by_ucd_and_by_name(session: Session, others: OtherArchives) -> None:
    found = ssap.search(session, golden(others, "ssa-ucd1.xml"), GAMMA, 1.0)
    first, second = found
    assert first.access_url == f"{others.url}/document/spectra/1.fits"
    assert (first.media_type, first.title, first.bytes) == ("spectrum/fits", "P Cyg", 2880)
    assert (first.ra, first.dec) == (304.4466, 38.0329)
    assert first.mjd == 51543.5
    assert first.band == pytest.approx((4000, 6800))
    assert (second.access_url, second.bytes, second.title) == ("", None, "lost")
    assert all(math.isnan(value) for value in (second.ra, second.dec, second.mjd, *second.band))


def test_positions_in_other_frames_sizes_without_units_and_services_on_rows(
    session: Session, others: OtherArchives
) -> None:
    found = ssap.search(session, golden(others, "ssa-descriptors.xml"), GAMMA, 1.0)
    first, second = found
    place = SkyCoord(first.ra, first.dec, unit="deg")
    assert place.separation(SkyCoord(75.825, 1.3201, unit="deg", frame="galactic")).arcsec < 0.001, (
        "the double, not the float"
    )
    assert first.bytes == 12_000, "SSAP counts in kilobytes"
    assert first.band == pytest.approx((5000, 6000))
    assert first.mjd == 51544.5
    assert first.creator == "Doe, J."
    assert first.datalink == "https://archive.example/links?from=ssa&ID=ivo%3A%2F%2Farchive.example%2Fs%3F1%2B2"
    soda = first.services[0]
    assert soda.access_url == f"{others.url}/soda"
    assert soda.parameter("id").value == "ivo://archive.example/s?1+2"
    assert soda.description == "Cut-outs"
    assert second.datalink == "https://archive.example/links?ID=3"
    assert math.isnan(second.ra)


def test_an_answer_without_addresses(session: Session, others: OtherArchives) -> None:
    text = (GOLDEN / "ssa-ucd1.xml").read_text().replace("VOX:Image_AccessReference", "meta.note")
    with pytest.raises(ProtocolError, match=r"Access\.Reference"):
        ssap.search(session, others.document("no-url", text), GAMMA, 1.0)


def test_a_refusal(session: Session, others: OtherArchives) -> None:
    with pytest.raises(StatusError, match="BAND"):
        ssap.search(session, f"{others.ssap}?BAND=nonsense", GAMMA, 1.0)
    others.faults.append(Fault("/vo/alpha/ssa", status=404, body=b"No such archive."))
    with pytest.raises(StatusError, match="No such archive"):
        ssap.search(session, others.ssap, GAMMA, 1.0)


def test_what_cannot_be_asked(session: Session, others: OtherArchives) -> None:
    with pytest.raises(ValueError, match="radius"):
        ssap.search(session, others.ssap, GAMMA, -1)
    with pytest.raises(ValueError, match="before it begins"):
        ssap.search(session, others.ssap, GAMMA, 1, band=(7000, 6000))
    with pytest.raises(ValueError, match="not for 2"):
        ssap.search(session, others.ssap, SkyCoord([1, 2], [1, 2], unit="deg"), 1)
    with pytest.raises(ValueError, match="not finite"):
        ssap.search(session, others.ssap, SkyCoord(math.nan, 1, unit="deg"), 1)
    assert not others.asked


# --- recorded answers of real services -------------------------------------------------------------------------------


@pytest.mark.data
def test_a_service_of_1_0_with_groups(data: Path, session: Session, others: OtherArchives) -> None:
    url = others.document("sdss", (data / "vo" / "ssa_result.xml").read_bytes(), "text/xml")
    found = ssap.search(session, url, SkyCoord(180.0, 1.0, unit="deg"), 0.1)
    assert len(found) == 36
    assert found[0].title == "SDSS J115923.80+005905.16 GALAXY"
    assert (found[0].ra, found[0].dec) == (179.849160, 0.984768)
    assert found[0].publisher_did == "ivo://jhu/sdss/dr6/spec/2.5#80442261170552832"
    assert found[0].collection == "SDSS DR6"
    assert {record.bytes for record in found} == {800_000}, "a constant, in a group"
    assert all("PubDID=" in record.access_url for record in found)
    assert not found[0].datalink


@pytest.mark.data
def test_a_service_with_constants_and_descriptors(data: Path, session: Session, others: OtherArchives) -> None:
    url = others.document("flash", (data / "vo" / "datalink_datalink-ssa.xml").read_bytes())
    found = ssap.search(session, url, SkyCoord(304.4, 38.0, unit="deg"), 0.5)
    (record,) = found
    assert found.overflow, "the service says so in a warning"
    assert record.title.startswith("Flash/Heros p Cyg 1990-10-11")
    assert (record.ra, record.dec) == (304.446675349555, 38.0329313131891)
    assert record.band == pytest.approx((4010.53, 6792.0), abs=0.01)
    assert (record.bytes, record.instrument, record.collection) == (100_800, "Flash/Heros", "flashheros")
    assert record.mjd == pytest.approx(48175.39453125)
    assert record.datalink.startswith("http://example.com/datalink?ID=ivo%3A%2F%2Forg.gavo.dc%2F~%3Fflashheros")
    soda = record.services[0]
    assert [item.name for item in soda.parameters] == ["ID", "FLUXCALIB", "BAND", "FORMAT"]
    assert soda.parameter("BAND").most == "6.79232e-07"
    assert ("application/fits", "FITS binary table") in soda.parameter("FORMAT").options
