"""Modified Julian dates against known ones, and there and back."""

from __future__ import annotations

import datetime

import pytest

from emberline.dates import calendar_date, modified_julian_date


@pytest.mark.parametrize(
    ("moment", "mjd"),
    [
        (datetime.datetime(1858, 11, 17), 0.0),
        (datetime.datetime(2000, 1, 1, 12), 51544.5),
        (datetime.datetime(2011, 10, 24, 18), 55858.75),
    ],
)
def test_known_dates(moment: datetime.datetime, mjd: float) -> None:
    assert modified_julian_date(moment) == mjd
    assert calendar_date(mjd) == moment.date()
