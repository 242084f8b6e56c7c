"""Any table of VizieR: names that must be quoted, positions in whatever columns."""

from __future__ import annotations

import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord

from emberline.vo.client import ServiceError, StatusError, vizier
from emberline.vo.client.session import Session
from tests.vo.client.other_archives import OtherArchives
from tests.vo.client.other_sky import OBJECTS

PLACES = SkyCoord([item.ra for item in OBJECTS], [item.dec for item in OBJECTS], unit="deg")


def test_a_table_with_all_its_columns(session: Session, others: OtherArchives) -> None:
    found = vizier.around(session, PLACES, 1 * u.arcsec, "II/246/out")
    assert found["place"].tolist() == [number for number in range(len(OBJECTS)) if number != 3]
    assert found.colnames == ["place", "separation", "RAJ2000", "DEJ2000", "2MASS", "Jmag", "Hmag", "Kmag"]
    assert found["Jmag"].unit == u.mag
    assert found["Jmag"][0] == pytest.approx(1.47)
    assert found["Kmag"].mask.sum() == 1


def test_few_columns_among_them_those_that_must_be_quoted(session: Session, others: OtherArchives) -> None:
    found = vizier.around(session, PLACES[:1], 1 * u.arcsec, "II/246/out", columns=["2MASS", "Jmag"])
    assert found.colnames == ["place", "separation", "2MASS", "Jmag", "RAJ2000", "DEJ2000"]


def test_columns_of_positions(session: Session, others: OtherArchives) -> None:
    assert vizier.position_columns(session, "II/328/allwise") == ("RAJ2000", "DEJ2000")
    assert vizier.position_columns(session, "III/1/old") == ("_RA", "_DE"), "by UCDs of before 2003"
    assert len(vizier.around(session, PLACES, 1 * u.arcsec, "III/1/old")) == len(OBJECTS)
    with pytest.raises(ServiceError, match="no columns of positions"):
        vizier.position_columns(session, "III/1/notes")
    with pytest.raises(StatusError, match="IX/99"):
        vizier.around(session, PLACES, 1 * u.arcsec, "IX/99/none")


def test_another_service_with_plain_names(session: Session, others: OtherArchives) -> None:
    found = vizier.around(session, PLACES[:1], 1 * u.arcsec, "alpha.spectra", url=f"{others.vo}/tap")
    assert len(found) == 3
