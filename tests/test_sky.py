"""Angles on the sky, against astropy and against the Hipparcos formulas written out another way."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.time import Time
from hypothesis import example, given, settings
from hypothesis import strategies as st

from emberline import sky

longitudes = st.floats(-720, 720)
latitudes = st.floats(-90, 90)
tiny = st.floats(-1e-6, 1e-6)


@settings(deadline=None)
@given(longitudes, latitudes, longitudes, latitudes)
@example(0.0, 90.0, 180.0, 90.0)
@example(0.0, 0.0, 180.0, 0.0)
@example(10.0, -90.0, 10.0, 90.0)
@example(359.9999999, 0.0, 0.0000001, 0.0)
def test_separation_is_that_of_astropy(ra1: float, dec1: float, ra2: float, dec2: float) -> None:
    one, two = SkyCoord(ra1, dec1, unit="deg"), SkyCoord(ra2, dec2, unit="deg")
    assert sky.separation(ra1, dec1, ra2, dec2) == pytest.approx(one.separation(two).deg, abs=1e-12)


@settings(deadline=None)
@given(longitudes, st.floats(-89.9, 89.9), tiny, tiny)
def test_a_tiny_separation_keeps_its_digits(ra: float, dec: float, east: float, north: float) -> None:
    """Flat geometry is right to one part in 1e8 here, or to the digits of the angles; cosines give noise."""
    there = dec + north
    flat = np.hypot((ra + east - ra) * np.cos(np.radians(dec + north / 2)), there - dec)
    assert sky.separation(ra, dec, ra + east, there) == pytest.approx(flat, rel=1e-7, abs=3e-14)


@settings(deadline=None)
@given(longitudes, latitudes, longitudes, latitudes)
def test_position_angle_is_that_of_astropy(ra1: float, dec1: float, ra2: float, dec2: float) -> None:
    one, two = SkyCoord(ra1, dec1, unit="deg"), SkyCoord(ra2, dec2, unit="deg")
    apart = one.separation(two).deg
    if not 1e-6 < apart < 180 - 1e-6 or max(abs(dec1), abs(dec2)) > 90 - 1e-6:
        return
    ours = float(sky.position_angle(ra1, dec1, ra2, dec2))
    assert 0 <= ours < 360
    assert abs((ours - one.position_angle(two).deg + 180) % 360 - 180) < 1e-6


@settings(deadline=None)
@given(longitudes, st.floats(-89.999, 89.999), st.floats(0, 359.9), st.floats(1e-6, 179.0))
def test_an_offset_lies_where_it_says(ra: float, dec: float, angle: float, distance: float) -> None:
    there = sky.offset(ra, dec, angle, distance)
    assert sky.separation(ra, dec, *there) == pytest.approx(distance, abs=1e-12, rel=1e-9)
    turn = (float(sky.position_angle(ra, dec, *there)) - angle + 180) % 360 - 180
    assert abs(turn) * np.sin(np.radians(distance)) < 1e-8


@settings(deadline=None)
@given(longitudes, latitudes)
def test_vectors_and_positions_are_inverse(ra: float, dec: float) -> None:
    vector = sky.unit_vectors(ra, dec)
    assert np.linalg.norm(vector) == pytest.approx(1)
    back = sky.positions_of(vector * 7)
    assert sky.separation(ra, dec, *back) < 1e-12 + 1e-9 * (abs(dec) > 89.999)
    assert 0 <= back[0] < 360


@settings(deadline=None)
@given(st.floats(0, 180))
def test_chords_and_angles_are_inverse(angle: float) -> None:
    assert sky.angle_of_chord(sky.chord_of_angle(angle)) == pytest.approx(angle, abs=1e-5)


stars = st.tuples(st.floats(0, 359.9), st.floats(-89.99, 89.99), st.floats(-2e4, 2e4), st.floats(-2e4, 2e4))


@settings(deadline=None)
@given(stars, st.floats(-150, 150))
def test_propagation_is_that_of_astropy_for_a_star_far_away(
    star: tuple[float, float, float, float], years: float
) -> None:
    """Astropy moves the star in space; with a parallax and no radial velocity that is the same straight line."""
    ra, dec, pmra, pmdec = star
    moved = sky.propagate(ra, dec, pmra, pmdec, years)
    ahead = sky.unit_vectors(ra, dec)
    mas = np.pi / 180 / 3.6e6
    a, d = np.radians([ra, dec])
    east = np.array([-np.sin(a), np.cos(a), 0.0])
    north = np.array([-np.sin(d) * np.cos(a), -np.sin(d) * np.sin(a), np.cos(d)])
    line = ahead + (pmra * east + pmdec * north) * mas * years
    assert sky.separation(*moved[:2], *sky.positions_of(line)) * 3.6e6 < 1e-4


def test_propagation_agrees_with_astropy_on_real_stars() -> None:
    """Barnard's star, Groombridge 1830 and Polaris, back to the time of the photographic surveys."""
    ra, dec = np.array([269.45207, 178.24487, 37.95456]), np.array([4.69339, 37.71868, 89.26411])
    pmra, pmdec = np.array([-801.551, 4002.655, 44.48]), np.array([10362.394, -5817.800, -11.85])
    start = SkyCoord(
        ra * units.deg,
        dec * units.deg,
        pm_ra_cosdec=pmra * units.mas / units.yr,
        pm_dec=pmdec * units.mas / units.yr,
        distance=np.full(3, 10.0) * units.pc,
        radial_velocity=np.zeros(3) * units.km / units.s,
        obstime=Time(2000.0, format="jyear"),
    )
    there = start.apply_space_motion(new_obstime=Time(1960.0, format="jyear"))
    ours = sky.propagate(ra, dec, pmra, pmdec, -40.0)
    assert (sky.separation(ours.ra, ours.dec, there.ra.deg, there.dec.deg) * 3.6e6 < 1.0).all()


@settings(deadline=None)
@given(stars, st.floats(-150, 150))
def test_propagation_can_be_taken_back(star: tuple[float, float, float, float], years: float) -> None:
    there = sky.propagate(*star, years)
    back = sky.propagate(*there, -years)
    path = np.hypot(*star[2:]) * abs(years) / 3.6e6 * np.pi / 180
    assert np.radians(sky.separation(star[0], star[1], back.ra, back.dec)) < 2 * path**3 + 1e-13
    assert np.hypot(*star[2:]) == pytest.approx(
        float(np.hypot(back.pmra, back.pmdec)), rel=5 * path**2 + 1e-9, abs=1e-6
    )


def test_a_star_passes_over_the_pole() -> None:
    there = sky.propagate(0.0, 89.9999, 0.0, 1000.0, 1000.0)
    assert float(there.ra) == pytest.approx(180.0)
    assert float(there.dec) == pytest.approx(90 - (1000 / 3600 - 0.0001), abs=1e-5)
    assert float(there.pmdec) == pytest.approx(-1000, rel=1e-4), "what went north now goes south"


def test_unknown_motion_counts_as_none() -> None:
    there = sky.propagate([10.0, 10.0], [20.0, 20.0], [np.nan, 1000.0], [np.nan, np.nan], 10.0)
    assert there.ra[0] == pytest.approx(10.0)
    assert there.ra[1] > 10.0


def test_epochs() -> None:
    assert sky.julian_year(51544.5) == 2000.0
    assert sky.julian_year(57388.5) == pytest.approx(2016.0)
    assert sky.mjd_of_year(2016.0) == pytest.approx(57388.5)
    assert sky.julian_year(56000.0) == pytest.approx(Time(56000.0, format="mjd").jyear)
