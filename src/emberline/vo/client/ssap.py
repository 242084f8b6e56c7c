"""Simple Spectral Access 1.0 and 1.1: the spectra that another archive has near a position.

https://www.ivoa.net/documents/SSA/
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

from emberline.vo.client._asking import ask, decimal, degrees, icrs, metres
from emberline.vo.client._ssap_records import records_of
from emberline.vo.client._tables import document_of
from emberline.vo.client.spectrum_record import SpectrumRecord

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord
    from astropy.table import Table
    from astropy.time import Time

    from emberline.vo.client.session import Session
    from emberline.vo.client.soda import Descriptor

__all__ = ["SpectrumRecord", "SpectrumRecords", "search"]


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
    descriptors : tuple of Descriptor
        Services on the spectra, such as SODA, for all rows; those of one row are in its record.
    """

    records: tuple[SpectrumRecord, ...]
    table: Table
    overflow: bool = False
    url: str = ""
    descriptors: tuple[Descriptor, ...] = ()

    def __len__(self) -> int:
        return len(self.records)

    @overload
    def __getitem__(self, index: int) -> SpectrumRecord: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[SpectrumRecord, ...]: ...
    def __getitem__(self, index: int | slice) -> SpectrumRecord | tuple[SpectrumRecord, ...]:
        return self.records[index]

    def __iter__(self) -> Iterator[SpectrumRecord]:
        return iter(self.records)


def search(
    session: Session,
    url: str,
    position: SkyCoord | None,
    radius: Any = 0.0,
    *,
    band: tuple[float, float] | None = None,
    time: tuple[Time, Time] | None = None,
    media_type: str = "",
    limit: int | None = None,
) -> SpectrumRecords:
    """The spectra within `radius` of a position.

    Parameters
    ----------
    session : Session
    url : str
        The service's base address.
    position : SkyCoord or None
        None for the whole sky.
    radius : Angle or float
        Degrees where it has no unit. The protocol asks for the diameter, which is what is sent.
    band : tuple of float, optional
        First and last wavelength, vacuum Å; either may be infinite.
    time : tuple of Time, optional
    media_type : str
        FORMAT: ``fits``, ``votable``, ``compliant`` or a media type.
    limit : int, optional
        At most so many spectra (MAXREC).

    Raises
    ------
    ServiceError
        The service refused, or could not be asked.
    ProtocolError
        The answer is not what the standard says; it has no address of spectra, for example.
    """
    parameters = {"REQUEST": "queryData"}
    if position is not None:
        ra, dec = icrs(position)
        parameters |= {"POS": f"{decimal(ra)},{decimal(dec)}", "SIZE": decimal(2 * degrees(radius))}
    if band is not None:
        parameters["BAND"] = "/".join(_open(value) for value in metres(band))
    if time is not None:
        parameters["TIME"] = "/".join(_iso(moment) for moment in time)
    if media_type:
        parameters["FORMAT"] = media_type
    if limit is not None:
        parameters["MAXREC"] = str(limit)
    answer = ask(session, url, parameters)
    records, table, descriptors = records_of(document_of(answer), answer)
    return SpectrumRecords(records, table, bool(table.meta["overflow"]), str(answer.url), descriptors)


def _open(value: float) -> str:
    return "" if value in (float("inf"), float("-inf")) else repr(value)


def _iso(moment: Time) -> str:
    return str(moment.utc.isot).partition(".")[0]
