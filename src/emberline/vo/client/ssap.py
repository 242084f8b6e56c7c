"""Simple Spectral Access 1.0 and 1.1: the spectra that another archive has near a position."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from astropy.coordinates import Angle, SkyCoord
    from astropy.table import Table
    from astropy.time import Time

    from emberline.vo.client.session import Session

__all__ = ["SpectrumRecord", "SpectrumRecords", "search"]


@dataclasses.dataclass(frozen=True)
class SpectrumRecord:
    """One spectrum of another archive, wherever its service puts these values.

    Attributes
    ----------
    access_url, media_type : str
    title, creator, collection, instrument, target : str
    publisher_did, creator_did : str
    ra, dec : float
        ICRS degrees; NaN where it is not said.
    mjd, exposure : float
        Middle of the exposure; its length in seconds. NaN where it is not said.
    band : tuple of float
        First and last wavelength, vacuum Å as far as the service keeps the standard; NaN where it is not said.
    bytes : int or None
        Estimated size.
    datalink : str
        Address of its links; empty where the service has none.
    row : int
        In the table of the answer.
    """

    access_url: str
    media_type: str = ""
    title: str = ""
    creator: str = ""
    collection: str = ""
    instrument: str = ""
    target: str = ""
    publisher_did: str = ""
    creator_did: str = ""
    ra: float = float("nan")
    dec: float = float("nan")
    mjd: float = float("nan")
    exposure: float = float("nan")
    band: tuple[float, float] = (float("nan"), float("nan"))
    bytes: int | None = None
    datalink: str = ""
    row: int = 0


@dataclasses.dataclass(frozen=True, eq=False)
class SpectrumRecords(Sequence[SpectrumRecord]):
    """What a service answered.

    Attributes
    ----------
    records : tuple of SpectrumRecord
    table : Table
        All that it said, with its own names of columns.
    overflow : bool
        Whether it has more.
    url : str
        What was asked.
    """

    records: tuple[SpectrumRecord, ...]
    table: Table
    overflow: bool = False
    url: str = ""

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return self.records[index]

    def __iter__(self) -> Iterator[SpectrumRecord]:
        return iter(self.records)


def search(
    session: Session,
    url: str,
    position: SkyCoord,
    radius: Angle | float,
    *,
    band: tuple[float, float] | None = None,
    time: tuple[Time, Time] | None = None,
    limit: int | None = None,
) -> SpectrumRecords:
    """The spectra within `radius` (degrees where it has no unit) of a position; `band` in vacuum Å."""
    raise NotImplementedError
