"""Positions at another epoch, judged by astropy's space motion; distances at all angles."""

from __future__ import annotations

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.time import Time
from hypothesis import given, settings
from hypothesis import strategies as st

from emberline.vo.client._cells import quiet
from emberline.vo.client._motion import moved, separation


@given(
    st.floats(0, 360, exclude_max=True),
    st.floats(-89.9, 89.9),
    st.floats(-11_000, 11_000),
    st.floats(-11_000, 11_000),
    st.floats(-60, 60),
)
@settings(max_examples=60, deadline=None)
def test_positions_are_those_of_astropy(ra: float, dec: float, pmra: float, pmdec: float, years: float) -> None:
    start = Time(2016.0, format="jyear")
    star = SkyCoord(ra * u.deg, dec * u.deg, pm_ra_cosdec=pmra * u.mas / u.yr, pm_dec=pmdec * u.mas / u.yr,
                    distance=1 * u.kpc, radial_velocity=0 * u.km / u.s, obstime=start)  # fmt: skip
    with quiet():
        expected = star.apply_space_motion(new_obstime=Time(2016.0 + years, format="jyear"))
    found = SkyCoord(*moved(ra, dec, pmra, pmdec, years), unit="deg")
    assert found.separation(SkyCoord(expected.ra, expected.dec)).mas < 1.0


def test_what_has_no_motion_stays() -> None:
    ra, dec = moved([10.0, 350.0], [0.0, -89.0], np.ma.array([1.0, 1.0], mask=[True, False]), [1.0, np.nan], 1e4)
    assert ra[0] == 10.0
    np.testing.assert_allclose(dec, [1e4 / 3.6e6, -89.0], atol=1e-9)


@given(st.floats(0, 360), st.floats(-90, 90), st.floats(0, 360), st.floats(-90, 90))
@settings(max_examples=60, deadline=None)
def test_distances_are_those_of_astropy(ra: float, dec: float, ra2: float, dec2: float) -> None:
    expected = SkyCoord(ra, dec, unit="deg").separation(SkyCoord(ra2, dec2, unit="deg")).deg
    assert abs(separation(ra, dec, ra2, dec2) - expected) < 1e-9
