"""Options by name: found in a service's own words, asked in its units, refused with what it does offer."""

from __future__ import annotations

import pytest

from emberline.vo.client.datalink import Link
from emberline.vo.client.harvest.history import HarvestError
from emberline.vo.client.harvest.options import offers, order
from emberline.vo.client.harvest.records import Record
from emberline.vo.client.session import Session
from emberline.vo.client.soda import Descriptor, Parameter
from tests.vo.client.harvest.spectra import session_for
from tests.vo.client.other_archives import OtherArchives

SODA = "ivo://ivoa.net/std/SODA#sync-1.0"


def service(*parameters: Parameter) -> Descriptor:
    return Descriptor("s", SODA, "http://x.test/soda", (Parameter("ID", value="ivo://x/y?1"), *parameters))


BAND = Parameter("BAND", "double", "2", "interval", "m", "em.wl")
CALIBRATION = Parameter("FLUXCALIB", options=(("ABSOLUTE", ""), ("NORMALIZED", "")))
FORMAT = Parameter("FORMAT", options=(("application/fits", ""), ("application/x-votable+xml", ""), ("text/csv", "")))
RECIPE = Parameter("RECIPE", options=(("a-1", ""), ("b-2", "")))


def told(descriptor: Descriptor, **options: str) -> dict[str, object]:
    found = order(session_for(), Record("http://x.test/1", services=(descriptor,)), options)
    assert found.descriptor == descriptor
    return dict(found.parameters)


def test_without_options_the_address_itself_is_asked() -> None:
    record = Record("http://x.test/1", services=(service(BAND),), datalink="http://x.test/links")
    assert order(session_for(), record, {}).url == "http://x.test/1"


@pytest.mark.parametrize("text", ["6500/6700", "650/670 nm", "0.65..0.67 um"])
def test_a_cut_out_is_asked_in_the_services_unit(text: str) -> None:
    assert told(service(BAND), CUTOUT=text) == {"BAND": (6.5e-7, 6.7e-7)}
    nanometres = Parameter("BAND", "double", "2", "interval", "nm", "em.wl")
    assert told(service(nanometres), CUTOUT=text) == {"BAND": (650.0, 670.0)}


def test_the_names_that_mean_the_same_everywhere() -> None:
    assert told(service(FORMAT), FORMAT="votable") == {"FORMAT": "application/x-votable+xml"}
    assert told(service(Parameter("RESPONSEFORMAT")), FORMAT="fits") == {"RESPONSEFORMAT": "fits"}
    assert told(service(CALIBRATION), RECTIFIED="yes") == {"FLUXCALIB": "NORMALIZED"}
    assert told(service(RECIPE), RECTIFIED="b-2") == {"RECIPE": "b-2"}
    assert told(service(BAND), RECTIFIED="no", CUTOUT="1/2") == {"BAND": (1e-10, 2e-10)}
    assert told(service(CALIBRATION), FLUXCALIB="absolute") == {"FLUXCALIB": "ABSOLUTE"}


@pytest.mark.parametrize(
    ("descriptor", "options", "message"),
    [
        (service(BAND), {"FORMAT": "fits"}, r"no option FORMAT \(found FORMAT, expected one of BAND\)"),
        (service(FORMAT), {"FORMAT": "jpeg"}, "does not take this value of FORMAT .*application/fits, .*text/csv"),
        (service(BAND), {"CUTOUT": "red"}, "the option CUTOUT is no range"),
        (service(RECIPE), {"RECTIFIED": "yes"}, r"rectifies in several ways by RECIPE .*one of a-1, b-2"),
        (service(Parameter("BAND", unit="furlong")), {"CUTOUT": "1/2"}, "a unit that is not known here"),
    ],
)
def test_what_is_not_offered_is_said_with_what_is(
    descriptor: Descriptor, options: dict[str, str], message: str
) -> None:
    with pytest.raises(HarvestError, match=message):
        told(descriptor, **options)


def test_a_record_without_services() -> None:
    with pytest.raises(HarvestError, match="offers no options for this spectrum"):
        order(session_for(), Record("http://x.test/1"), {"FORMAT": "fits"})


def test_the_first_service_that_takes_all_is_asked() -> None:
    record = Record("http://x.test/1", services=(service(BAND), service(BAND, FORMAT)))
    assert order(session_for(), record, {"CUTOUT": "1/2", "FORMAT": "csv"}).descriptor == service(BAND, FORMAT)


def test_a_list_of_links_leads_to_the_spectrum(monkeypatch: pytest.MonkeyPatch) -> None:
    from emberline.vo.client import datalink

    links = (
        Link("i", "#preview", "http://x.test/p.png", media_type="image/png"),
        Link("i", "#this", "http://x.test/t.png", media_type="image/png"),
        Link("i", "#this", "http://x.test/t.fits", media_type="application/fits"),
        Link("i", "#derivation", "http://x.test/r.fits", "rectified by hand"),
        Link("i", "#progenitor", error="NotFoundFault: gone"),
    )
    monkeypatch.setattr(datalink, "links", lambda session, address: links)
    record = Record("http://x.test/l", datalink="http://x.test/l")
    assert order(session_for(), record, {}).url == "http://x.test/t.fits"
    assert order(session_for(), record, {"LINK": "#derivation"}).url == "http://x.test/r.fits"
    assert order(session_for(), record, {"LINK": "by hand"}).url == "http://x.test/r.fits"
    with pytest.raises(HarvestError, match=r"there is no link '#progenitor' .*NotFoundFault"):
        order(session_for(), record, {"LINK": "#progenitor"})


def test_the_offers_of_real_services_are_joined(others: OtherArchives) -> None:
    links = f"{others.vo}/alpha/datalink?ID=ivo%3A%2F%2Femb.test%2Falpha%3Fsim-lamost-7-00000000"
    records = [
        Record("http://x.test/1", "one", "One", datalink=links),
        Record("http://x.test/2", "two", "Two", services=(service(Parameter("RECIPE", options=(("own", ""),))),)),
        Record("http://x.test/3", "three", "Three"),
        Record("http://x.test/4", "four", "Four", datalink=f"{others.url}/nowhere"),
    ]
    found, wrong = offers(Session(others.config), records)
    by_name = {offer.name: offer for offer in found}
    assert set(by_name) == {"BAND", "RECIPE", "RESPONSEFORMAT"}
    assert by_name["RECIPE"].values == ("halpha-140", "halpha-ondrejov", "optical-1024", "own")
    assert by_name["RECIPE"].services == ("One", "Two")
    assert not any(value.startswith("image/") for value in by_name["RESPONSEFORMAT"].values)
    assert list(wrong) == ["Four"]
