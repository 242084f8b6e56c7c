"""Simple Cone Search over HTTP: archives and catalogues, verbosity, errors; read by astropy and pyvo."""

from __future__ import annotations

import io

import numpy as np
import pytest
import pyvo
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.io.votable import parse
from astropy.units import UnitsWarning
from dal_sky import CENTRE, Service, alpha_meta

pytestmark = pytest.mark.filterwarnings("ignore:.*VOUnit.*")  # astropy on ångström
NEAR = {"RA": str(CENTRE[0]), "DEC": str(CENTRE[1])}


def test_the_rows_of_a_cone(dal: Service) -> None:
    answer = dal.http.get("alpha/scs", params={**NEAR, "SR": "0.5"})
    assert answer.headers["content-type"].startswith("text/xml")
    table = parse(io.BytesIO(answer.content)).get_first_table()
    centre = SkyCoord(*CENTRE, unit="deg")
    near = [
        meta.identifier
        for meta in alpha_meta()
        if np.isfinite(meta.ra) and SkyCoord(meta.ra, meta.dec, unit="deg").separation(centre).deg <= 0.5
    ]
    assert sorted(map(str, table.array["identifier"])) == sorted([*near, "from-file"])


@pytest.mark.parametrize("name", ["alpha", "beta", "gems"])
@pytest.mark.parametrize("verbosity", ["1", "2", "3"])
def test_there_is_one_identifier_and_one_position(dal: Service, name: str, verbosity: str) -> None:
    answer = dal.http.get(f"{name}/scs", params={**NEAR, "SR": "3", "VERB": verbosity})
    table = parse(io.BytesIO(answer.content)).get_first_table()
    ucds = [field.ucd for field in table.fields]
    for ucd in ("ID_MAIN", "POS_EQ_RA_MAIN", "POS_EQ_DEC_MAIN"):
        assert ucds.count(ucd) == 1
    names = {field.name for field in table.fields}
    assert not names & {"part", "row", "grid", "start"}
    assert ("sha256" in names) == (verbosity == "3" and name != "gems")
    assert len(table.array)


def test_a_radius_of_zero_is_allowed_and_nothing_found_is_no_error(dal: Service) -> None:
    for parameters, rows in (({**NEAR, "SR": "0"}, 1), ({"RA": "200", "DEC": "-80", "SR": "1"}, 0)):
        answer = dal.http.get("alpha/scs", params=parameters)
        assert len(parse(io.BytesIO(answer.content)).get_first_table().array) == rows
        assert b"Error" not in answer.content


def test_the_whole_sky_and_overflow(dal: Service) -> None:
    answer = dal.http.get("alpha/scs", params={"RA": "-320", "DEC": "0", "SR": "180", "MAXREC": "10"})
    found = parse(io.BytesIO(answer.content))
    assert len(found.get_first_table().array) == 10
    assert found.resources[0].infos[-1].value == "OVERFLOW"
    answer = dal.http.get("alpha/scs", params={"RA": "10", "DEC": "0", "SR": "180"})
    assert len(parse(io.BytesIO(answer.content)).get_first_table().array) == 299  # two have no position


def test_binary(dal: Service) -> None:
    answer = dal.http.get("gems/scs", params={**NEAR, "SR": "3", "RESPONSEFORMAT": "votable/b2"})
    assert len(parse(io.BytesIO(answer.content)).get_first_table().array) == 30


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({}, "RA: is missing"),
        ({"RA": "1", "DEC": "2"}, "SR: is missing"),
        ({"RA": "x", "DEC": "2", "SR": "1"}, "RA: 'x'"),
        ({"RA": "1", "DEC": "91", "SR": "1"}, "DEC: '91'"),
        ({"RA": "1", "DEC": "2", "SR": "-1"}, "SR: '-1'"),
        ({"RA": "1", "DEC": "2", "SR": "1", "VERB": "4"}, "VERB: '4'"),
        ({"RA": "1", "DEC": "2", "SR": "1", "MAXREC": "x"}, "MAXREC: 'x'"),
    ],
)
def test_errors_are_the_protocols_own(dal: Service, parameters: dict[str, str], words: str) -> None:
    answer = dal.http.get("alpha/scs", params=parameters)
    assert answer.status_code == 200
    (info,) = [info for info in parse(io.BytesIO(answer.content), verify="exception").infos if info.name == "Error"]
    assert words in info.value


@pytest.mark.filterwarnings("ignore", category=UnitsWarning)
def test_pyvo(dal: Service) -> None:
    result = pyvo.dal.SCSService(f"{dal.base}/alpha/scs").search(SkyCoord(*CENTRE, unit="deg"), 0.01 * units.deg)
    (record,) = result
    assert record.id == "from-file"
    assert (record.pos.ra.deg, record.pos.dec.deg) == CENTRE
    assert record.getdatalink()[0].semantics == "#this"
    with pytest.raises(pyvo.dal.DALQueryError, match="VERB"):
        pyvo.dal.SCSService(f"{dal.base}/alpha/scs").search(SkyCoord(1, 2, unit="deg"), 1 * units.deg, VERB=9)
