"""Modified Julian dates, as catalogues have them, from and to the calendar."""

from __future__ import annotations

import datetime

__all__ = ["calendar_date", "modified_julian_date"]

_EPOCH = datetime.datetime(1858, 11, 17)


def modified_julian_date(moment: datetime.datetime) -> float:
    """Days since midnight of 17 November 1858; `moment` has no time zone."""
    return (moment - _EPOCH) / datetime.timedelta(days=1)


def calendar_date(mjd: float) -> datetime.date:
    """The day on which a finite modified Julian date falls."""
    return (_EPOCH + datetime.timedelta(days=int(mjd))).date()
