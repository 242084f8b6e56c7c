"""Simple Image Access 2 over HTTP: ObsCore rows of all archives, by every parameter."""

from __future__ import annotations

import pytest
import pyvo
from astropy import units
from astropy.coordinates import SkyCoord
from dal_sky import ALPHA, BETA, CENTRE, Service, message_of, status_of

TOTAL = ALPHA + BETA + 1


def count(dal: Service, **parameters: str | list[str]) -> int:
    return len(dal.votable("sia2", **parameters).get_first_table().array)


def test_the_spectra_of_all_archives_are_listed_as_spectra(dal: Service) -> None:
    array = dal.votable("sia2").get_first_table().array
    assert len(array) == TOTAL
    assert {str(kind) for kind in array["dataproduct_type"]} == {"spectrum"}
    assert count(dal, DPTYPE="image") == count(dal, DPTYPE="cube") == 0
    assert count(dal, DPTYPE=["image", "spectrum"]) == TOTAL


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"POS": "CIRCLE 40 20 0.0001"}, 1),
        ({"POS": "RANGE 39.99 40.01 19.99 20.01"}, 1),
        ({"POS": "RANGE -Inf +Inf -Inf 0"}, 0),
        ({"POS": "POLYGON 39.99 19.99 40.01 19.99 40.01 20.01 39.99 20.01"}, 1),
        ({"POS": ["CIRCLE 40 20 0.0001", "CIRCLE 10 -50 1"]}, 1),
        ({"BAND": "1e-7 2e-7"}, 0),
        ({"BAND": "6.5e-7"}, TOTAL),
        ({"BAND": ["1e-7 2e-7", "6.4e-7 6.45e-7"]}, ALPHA + 1),
        ({"TIME": "58000 58000"}, 1),
        ({"TIME": "-Inf 1000"}, 0),
        ({"SPECRP": "5000 +Inf"}, BETA),
        ({"EXPTIME": "899 901"}, ALPHA + BETA),
        ({"COLLECTION": "Beta"}, BETA),
        ({"INSTRUMENT": "Spectrograph"}, TOTAL),
        ({"FACILITY": "it's none"}, 0),
        ({"TARGET": "Filed"}, 1),
        ({"CALIB": "2"}, TOTAL),
        ({"CALIB": "0"}, 0),
        ({"POL": "I"}, 0),
        ({"FOV": "-Inf 1000"}, None),
        ({"FORMAT": "application/fits"}, 0),
        ({"MAXREC": "5"}, 5),
    ],
)
def test_parameters(dal: Service, parameters: dict[str, str], expected: int | None) -> None:
    found = count(dal, **parameters)
    assert expected is None or found == expected


def test_by_identifier_and_what_is_told_of_it(dal: Service) -> None:
    (row,) = dal.votable("sia2", ID=dal.did("alpha-0008")).get_first_table().array
    assert str(row["access_format"]) == "application/x-votable+xml;content=datalink"
    assert dal.http.get(str(row["access_url"])).status_code == 200


def test_overflow(dal: Service) -> None:
    assert status_of(dal.votable("sia2", MAXREC="5")) == ["OK", "OVERFLOW"]
    assert status_of(dal.votable("sia2", MAXREC=str(TOTAL))) == ["OK"]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"POS": "40 20"}, "POS: '40 20'"),
        ({"POS": "CIRCLE 40 95 1"}, "CIRCLE"),
        ({"POS": "CIRCLE 40 20 -1"}, "CIRCLE"),
        ({"POS": "RANGE 2 1 0 1"}, "RANGE"),
        ({"POS": "POLYGON 1 2 3 4"}, "POLYGON"),
        ({"BAND": "5e-7/6e-7"}, "BAND: "),
        ({"TIME": "2015-01-01"}, "TIME: "),
        ({"CALIB": "9"}, "CALIB: '9'"),
        ({"DPTYPE": "table"}, "image, cube, spectrum"),
        ({"POL": "'); DROP"}, "POL: "),
        ({"RESPONSEFORMAT": "jpeg"}, "RESPONSEFORMAT: 'jpeg'"),
        ({"TARGET": "a\nb"}, "TARGET: "),
    ],
)
def test_errors(dal: Service, parameters: dict[str, str], words: str) -> None:
    found = dal.votable("sia2", status=400, **parameters)
    assert status_of(found) == ["ERROR"]
    assert words in message_of(found)


def test_pyvo(dal: Service) -> None:
    service = pyvo.dal.SIA2Service(f"{dal.base}/sia2", check_baseurl=False)
    (record,) = service.search(pos=(SkyCoord(*CENTRE, unit="deg"), 0.0001 * units.deg))
    assert record.target_name == "Filed"
    assert record.dataproduct_type == "spectrum"
    assert (record.s_ra.value, record.s_dec.value) == CENTRE
    assert next(iter(record.getdatalink())).content_type == "application/fits"
