"""Services on one dataset: what is asked is checked against what they declare, converted, and sent."""

from __future__ import annotations

import io
import math
import urllib.parse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits

from emberline.vo.client import ServiceError, StatusError, datalink, soda, ssap
from emberline.vo.client._soda_values import written
from emberline.vo.client.session import Session
from tests.vo.client.other_archives import Fault, OtherArchives

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def cutout(session: Session, others: OtherArchives) -> soda.Descriptor:
    """SODA on a spectrum of ours."""
    record = ssap.search(session, others.ssap, SkyCoord(40.0, 20.0, unit="deg"), 0.001)[0]
    return next(service for service in record.services if service.is_soda)


def described(session: Session, others: OtherArchives) -> soda.Descriptor:
    return soda.descriptors(session, others.document("ssa", (GOLDEN / "ssa-descriptors.xml").read_bytes()))[0]


def test_a_cut_out_in_any_spectral_unit(session: Session, others: OtherArchives, cutout: soda.Descriptor) -> None:
    frequencies = [(wave * u.AA).to(u.THz, u.spectral()) for wave in (6600, 6500)]
    for band in ((6500 * u.AA, 660 * u.nm), (650, 660) * u.nm, (6.5e-7, 6.6e-7), frequencies):
        body = soda.sync(session, cutout, BAND=band)
        with fits.open(io.BytesIO(body)) as found:
            wave = np.ravel(found[1].data[found[1].columns.names[0]])
        assert 6499 < wave.min() < 6502
        assert 6598 < wave.max() < 6601
        asked = urllib.parse.parse_qs(others.asked[-1].query)
        assert [float(value) for value in asked["BAND"][0].split()] == pytest.approx([6.5e-7, 6.6e-7])


def test_half_open_bands_and_formats_by_name(session: Session, others: OtherArchives, cutout: soda.Descriptor) -> None:
    body = soda.sync(session, cutout, band=(None, 4000 * u.AA), responseformat="text/csv")
    assert urllib.parse.parse_qs(others.asked[-1].query)["BAND"][0].startswith("-Inf ")
    assert b"," in body.splitlines()[1]


def test_options_of_the_service_alone(session: Session, cutout: soda.Descriptor) -> None:
    body = soda.sync(session, cutout, RECIPE="halpha-140", RESPONSEFORMAT="application/fits")
    with fits.open(io.BytesIO(body)) as found:
        assert np.asarray(found[1].data[found[1].columns.names[0]]).size == 140
    with pytest.raises(ServiceError, match="halpha-140"):
        soda.sync(session, cutout, RECIPE="nonsense")


def test_an_answer_into_a_file(session: Session, cutout: soda.Descriptor, tmp_path: Path) -> None:
    found = soda.sync(session, cutout, path=tmp_path / "cut.fits", BAND=(6500 * u.AA, 6600 * u.AA))
    assert found.path == tmp_path / "cut.fits"
    assert found.path.read_bytes() == soda.sync(session, cutout, BAND=(6500 * u.AA, 6600 * u.AA))


def test_nothing_is_asked_when_a_value_is_not_allowed(session: Session, others: OtherArchives) -> None:
    descriptor = described(session, others)
    others.asked.clear()
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"BAND": (9000 * u.AA, 9500 * u.AA)}, "4e-07 … 7e-07 m"),
        ({"BAND": (1, 2, 3)}, "3 numbers"),
        ({"BAND": (5 * u.kg, 6 * u.kg)}, "quantity in m"),
        ({"BAND": "abc def"}, "numbers in m"),
        ({"PIXELS": 5000}, "1 … 4096"),
        ({"PIXELS": 2.5}, "whole"),
        ({"PIXELS": math.nan}, "whole"),
        ({"CIRCLE": (10, 91, 1)}, "-90 … 90"),
        ({"CIRCLE": (10, 20, 0)}, "radius"),
        ({"FORMAT": "pdf"}, "application/fits, text/csv"),
        ({"BNAD": 1}, "perhaps BAND"),
    ]
    for parameters, words in wrong:
        with pytest.raises(ServiceError) as caught:
            soda.sync(session, descriptor, **parameters)
        assert words in str(caught.value)
    assert not others.asked


def test_how_values_are_written(session: Session, others: OtherArchives) -> None:
    item = described(session, others).parameter
    assert written(item("BAND"), (4.5e-7, math.inf), "") == "4.5e-07 +Inf"
    assert written(item("PIXELS"), 7.0, "") == "7"
    assert written(item("CIRCLE"), (SkyCoord(10, 20, unit="deg"), 30 * u.arcmin), "") == "10.0 20.0 0.5"
    assert written(item("FORMAT"), "fits table", "") == "application/fits"


def test_nothing_there(session: Session, others: OtherArchives) -> None:
    descriptor = described(session, others)
    others.faults.append(Fault("/soda", status=204, body=b""))
    with pytest.raises(ServiceError, match="nothing of this dataset"):
        soda.sync(session, descriptor, BAND=(5e-7, 6e-7))


def test_refusals_in_words_and_in_votables(session: Session, others: OtherArchives, tmp_path: Path) -> None:
    descriptor = described(session, others)
    others.faults.append(Fault("/soda", status=400, body=b"UsageError: no such dataset"))
    with pytest.raises(StatusError, match="no such dataset"):
        soda.sync(session, descriptor)
    refusal = '<INFO name="QUERY_STATUS" value="ERROR">Too wide</INFO>'
    body = f'<VOTABLE><RESOURCE type="results">{refusal}</RESOURCE></VOTABLE>'
    others.faults.append(Fault("/soda", status=200, body=body.encode()))
    with pytest.raises(StatusError, match="Too wide"):
        soda.sync(session, descriptor)
    others.faults.append(Fault("/soda", status=200, body=body.encode()))
    with pytest.raises(StatusError, match="Too wide"):
        soda.sync(session, descriptor, path=tmp_path / "cut.fits")
    assert not list(tmp_path.iterdir()), "a refusal is no spectrum"


def test_what_is_fixed_goes_with_every_request_and_what_refers_to_a_row_does_not(
    session: Session, others: OtherArchives
) -> None:
    others.faults.append(Fault("/soda", status=200, body=b"bytes"))
    soda.sync(session, described(session, others), PIXELS=4)
    assert others.asked[-1].query == "PIXELS=4"


@pytest.mark.data
def test_a_recorded_description(data: Path, session: Session, others: OtherArchives) -> None:
    url = others.document("proc", (data / "vo" / "datalink_proc_units.xml").read_bytes())
    link = next(link for link in datalink.links(session, url) if link.descriptor)
    assert link.descriptor is not None
    item = link.descriptor.parameter
    assert item("KIND").options[0] == ("HEADER", "Retrieve header only")
    assert written(item("KIND"), "header", "") == "HEADER"
    assert written(item("SCALE"), 4, "") == "4"
    with pytest.raises(ServiceError, match="2 … 32"):
        written(item("SCALE"), 64, "")
    assert written(item("RA"), (100, 101), "") == "100.0 101.0"
    assert written(item("PIXEL_1"), (1, 100), "") == "1 100"
    with pytest.raises(ServiceError, match=r"99\.9141 … 102\.314 deg"):
        written(item("RA"), (10, 11), "")
    assert soda._is_fixed(item("ID"))
    assert not soda._is_fixed(item("BAND")), "[0. 0.] is no band that anybody asked for"
