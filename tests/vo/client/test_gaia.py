"""Gaia for many positions: sources where they were at the epoch of each position."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord

from emberline.vo.client import gaia
from emberline.vo.client.session import Session
from tests.vo.client.other_archives import OtherArchives
from tests.vo.client.other_sky import OBJECTS, object_at

PLACES = SkyCoord([item.ra for item in OBJECTS], [item.dec for item in OBJECTS], unit="deg")
KNOWN = [number for number, item in enumerate(OBJECTS) if item.source_id]


def test_positions_of_2000_find_stars_that_have_moved(session: Session, others: OtherArchives) -> None:
    found = gaia.around(session, PLACES, 1 * u.arcsec, epoch=2000.0)
    assert found["place"].tolist() == KNOWN
    assert found["source_id"].tolist() == [OBJECTS[number].source_id for number in KNOWN]
    assert max(found["separation"]) < 0.01
    still = gaia.around(session, PLACES, 1 * u.arcsec)
    assert still["place"].tolist() == [number for number in KNOWN if number != 5], "24 arcseconds away in 2016"
    assert len([item for item in others.asked if item.method == "POST"]) == 2


def test_each_position_has_its_own_epoch(session: Session, others: OtherArchives) -> None:
    star = object_at(6)
    epochs = np.array([1990.0, 2000.0, 2016.0, 2025.25])
    ra, dec = np.transpose([star.at(epoch) for epoch in epochs])
    found = gaia.around(session, SkyCoord(ra, dec, unit="deg"), 0.5 * u.arcsec, epoch=epochs)
    assert found["place"].tolist() == [0, 1, 2, 3]
    shifted = gaia.around(session, SkyCoord(ra, dec, unit="deg"), 0.5 * u.arcsec, epoch=epochs[::-1])
    assert len(shifted) == 0


def test_what_passes_by_is_not_taken_for_the_star(session: Session, others: OtherArchives) -> None:
    """Near the place in 2016, but elsewhere when the position was measured."""
    ra, dec = object_at(6).at(2016.0)
    assert len(gaia.around(session, SkyCoord(ra, dec, unit="deg"), 2 * u.arcsec, epoch=2000.0)) == 0


def test_what_gaia_knows(session: Session, others: OtherArchives) -> None:
    found = gaia.around(session, PLACES[:3], 1 * u.arcsec, epoch=2000.0)
    assert found.colnames == ["place", "separation", *gaia.COLUMNS]
    assert found["phot_g_mean_mag"].unit == u.mag
    assert found["parallax"].tolist() == [6.5, 1.25, 3.2]
    assert found["ruwe"][2] == pytest.approx(4.2)
    assert found["radial_velocity"].mask.tolist() == [True, False, True]
    assert found["teff_gspphot"][1] == 18000
    few = gaia.around(session, PLACES[:1], 1 * u.arcsec, epoch=2000.0, columns=("source_id", "phot_variable_flag"))
    assert few.colnames == ["place", "separation", "source_id", "phot_variable_flag", "ra", "dec", "pmra", "pmdec"]
