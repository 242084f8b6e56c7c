"""Links of datasets: files, services, and what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from astropy.coordinates import SkyCoord

from emberline.vo.client import ProtocolError, ServiceError, StatusError, datalink, ssap
from emberline.vo.client.session import Session
from tests.vo.client.other_archives import Fault, OtherArchives

GOLDEN = Path(__file__).parent / "golden"


def test_the_links_of_a_spectrum_of_ours(session: Session, others: OtherArchives) -> None:
    record = ssap.search(session, others.ssap, SkyCoord(40.0, 20.0, unit="deg"), 0.001)[0]
    found = datalink.links(session, record)
    this = [link for link in found if link.semantics == "#this"]
    assert this[0].url == record.access_url
    assert all(link.identifier == record.publisher_did for link in found)
    (cutout,) = [link for link in found if link.descriptor is not None]
    assert cutout.descriptor is not None
    assert cutout.descriptor.is_soda
    assert cutout.descriptor.parameter("ID").value == record.publisher_did


def test_files_services_and_faults(session: Session, others: OtherArchives) -> None:
    url = others.document("links", (GOLDEN / "links.xml").read_bytes())
    this, cut, gone, missing, silent = datalink.links(session, url)
    assert (this.url, this.bytes, this.readable) == (f"{others.url}/get/1", 2880, True)
    assert (cut.url, cut.bytes, cut.readable) == ("", None, False)
    assert cut.descriptor is not None
    assert cut.descriptor.parameter("ID").value == "ivo://a/1", "the value of the row that it refers to"
    assert gone.descriptor is None
    assert "'gone'" in gone.error
    assert missing.error == "NotFoundFault: ivo://a/2"
    assert silent.error
    assert (silent.readable, silent.bytes) == (None, None)


def test_what_is_no_list_of_links(session: Session, others: OtherArchives) -> None:
    url = others.document("ssa", (GOLDEN / "ssa-ucd1.xml").read_bytes())
    with pytest.raises(ProtocolError, match="no column"):
        datalink.links(session, url)
    others.faults.append(Fault("/document/links", status=403, body=b"Not for you."))
    with pytest.raises(StatusError, match="Not for you"):
        datalink.links(session, f"{others.url}/document/links")


def test_a_spectrum_without_links(session: Session) -> None:
    with pytest.raises(ServiceError, match="no links"):
        datalink.links(session, ssap.SpectrumRecord("https://archive.example/1", title="One"))


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "count", "services", "first"),
    [
        ("datalink_cutout1.xml", 6, 4, "ivo://cadc.nrc.ca/MACHO?54150/cal054150r"),
        ("datalink_cutout2.xml", 3, 2, "ivo://cadc.nrc.ca/MACHO?54151/cal054151r"),
        ("datalink_datalink.xml", 4, 1, "ivo://org.gavo.dc/~?flashheros/data/ca90/f0011.mt"),
        ("datalink_proc.xml", 5, 1, "ivo://org.gavo.dc/~?bgds/data/gds_big/v6a/2010/GDS_0644-0035/i_s/eq010000ms/"),
        (
            "datalink_proc_units.xml",
            3,
            1,
            "ivo://org.gavo.dc/~?bgds/data/gds_big/v6a/2010/GDS_0644-0035/i_s/eq010000ms/",
        ),
    ],
)
def test_recorded_answers_of_real_services(
    name: str, count: int, services: int, first: str, data: Path, session: Session, others: OtherArchives
) -> None:
    found = datalink.links(session, others.document(name, (data / "vo" / name).read_bytes()))
    assert len(found) == count
    assert sum(link.descriptor is not None for link in found) == services
    assert not [link.error for link in found if link.error]
    assert found[0].identifier.startswith(first)
    assert all(link.url.startswith("http") for link in found if link.descriptor is None)


@pytest.mark.data
def test_a_recorded_size_and_permission(data: Path, session: Session, others: OtherArchives) -> None:
    url = others.document("cadc", (data / "vo" / "datalink_cutout1.xml").read_bytes())
    this, cutout, *_ = datalink.links(session, url)
    assert (this.semantics, this.bytes, this.readable) == ("#this", 18_616_320, True)
    assert cutout.descriptor is not None
    assert cutout.descriptor.parameter("BAND").least == "5.800000000000001E-7"
    assert cutout.descriptor.parameter("ID").value == "ad:MACHO/cal054150r.fits.fz"
