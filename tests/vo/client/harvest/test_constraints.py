"""What a person writes becomes what services are asked, or one clear error."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberline.errors import ConfigError, EmberlineError
from emberline.vo.client.harvest.constraints import (
    Constraints,
    parse_band,
    parse_coordinates,
    parse_options,
    parse_size,
    parse_time,
    resolve,
)
from tests.vo.client.harvest.spectra import session_for
from tests.vo.client.other_archives import OtherArchives


@pytest.mark.parametrize(
    ("text", "degrees"), [("0.1", 0.1), ("10arcsec", 10 / 3600), (" 3 arcmin ", 0.05), ("3'", 0.05), ('6"', 6 / 3600)]
)
def test_sizes(text: str, degrees: float) -> None:
    assert parse_size(text) == pytest.approx(degrees)


@pytest.mark.parametrize("text", ["", "0", "-1", "200", "1 parsec", "nan", "1e999"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match="size: cannot be understood"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "band"),
    [
        ("6500/6700", (6500, 6700)),
        ("650/670 nm", (6500, 6700)),
        ("0.65..0.67um", (6500, 6700)),
        ("6500/", (6500, math.inf)),
        ("/1 um", (0, 10000)),
        ("4.4e14/4.6e14 Hz", (2.99792458e18 / 4.6e14, 2.99792458e18 / 4.4e14)),
        ("440/ THz", (0, 2.99792458e18 / 4.4e14)),
    ],
)
def test_bands(text: str, band: tuple[float, float]) -> None:
    assert parse_band(text) == pytest.approx(band)


@pytest.mark.parametrize("text", ["", "/", "6500", "6700/6500", "-1/5", "1/2 parsec", "a/b"])
def test_bands_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match="band: cannot be understood"):
        parse_band(text)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2012-01-01/2013-06-30", ("2012-01-01T00:00:00", "2013-06-30T23:59:59")),
        ("2012/2013-06", ("2012-01-01T00:00:00", "2013-06-30T23:59:59")),
        ("2012", ("2012-01-01T00:00:00", "2012-12-31T23:59:59")),
        ("/2012-01-01T12:00:00Z", ("", "2012-01-01T12:00:00")),
        ("2012/", ("2012-01-01T00:00:00", "")),
    ],
)
def test_times(text: str, time: tuple[str, str]) -> None:
    assert parse_time(text) == time


@pytest.mark.parametrize("text", ["", "/", "yesterday", "2013/2012", "2012-13", "2012-02-30"])
def test_times_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match="time: cannot be understood"):
        parse_time(text)


def test_an_open_time_reaches_far() -> None:
    moments = Constraints(time=("2012-01-01T00:00:00", "")).moments()
    assert moments is not None
    assert moments[0].mjd == 55927
    assert moments[1].mjd > 61000


def test_options_are_names_with_values() -> None:
    assert parse_options(["cutout=6500/6700", "Format = fits", "Q=a=b"]) == {
        "CUTOUT": "6500/6700",
        "FORMAT": "fits",
        "Q": "a=b",
    }


@pytest.mark.parametrize("given", [["cutout"], ["=1"], ["a="], ["a=1", "A=2"]])
def test_options_that_are_none(given: list[str]) -> None:
    with pytest.raises(ConfigError, match="option: cannot be understood"):
        parse_options(given)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("83.6331 +22.0145", (83.6331, 22.0145)),
        ("83.6331,-22.0145", (83.6331, -22.0145)),
        ("05:34:31.9 +22:00:52", (83.6329, 22.0144)),
        ("05 34 31.9 -00 30 00", (83.6329, -0.5)),
        ("05h34m31.9s +22d00m52s", (83.6329, 22.0144)),
    ],
)
def test_coordinates(text: str, place: tuple[float, float]) -> None:
    assert parse_coordinates(text) == pytest.approx(place, abs=1e-4)


@pytest.mark.parametrize("text", ["gamma Cas", "HD 6226", "M 31", "28 Cyg", "omi And", "3C 273", "m31"])
def test_names_are_no_coordinates(text: str) -> None:
    assert parse_coordinates(text) is None


@pytest.mark.parametrize("text", ["83.6", "83.6 +95", "400 +1", "1:2:3"])
def test_coordinates_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match="position: cannot be understood"):
        parse_coordinates(text)


@given(st.floats(0, 359.9), st.floats(-90, 90))
def test_decimal_coordinates_come_back(ra: float, dec: float) -> None:
    assert parse_coordinates(f"{ra:.6f} {dec:+.6f}") == pytest.approx((ra, dec), abs=1e-6)


def test_names_are_resolved(others: OtherArchives) -> None:
    from emberline.vo.client.session import Session

    item = others.objects[0]
    found = resolve(Session(others.config), [item.names[0], "10.5 -20"])
    assert [text for text, _ in found] == [item.names[0], "10.5 -20"]
    assert found[0][1].ra.deg == pytest.approx(item.ra)
    assert found[1][1].dec.deg == pytest.approx(-20)


def test_a_name_that_nobody_knows(others: OtherArchives) -> None:
    from emberline.vo.client.session import Session

    with pytest.raises(EmberlineError, match=r"Nowhere 1: the name resolver knows no such object .*or coordinates"):
        resolve(Session(others.config), ["Nowhere 1"])


def test_coordinates_need_no_resolver() -> None:
    assert resolve(session_for(), ["1 2"])[0][1].ra.deg == 1
