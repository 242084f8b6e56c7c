"""The rows of an answer of Simple Spectral Access as records: each value by its utype, its UCD, or its usual name."""

from __future__ import annotations

import math
import urllib.parse
from typing import TYPE_CHECKING, Any

import numpy as np

from emberline.vo.client._cells import quiet
from emberline.vo.client._descriptors import bound, described, links_address
from emberline.vo.client._tables import Columns, Wanted, table_of
from emberline.vo.client._votable import Document
from emberline.vo.client.errors import ProtocolError
from emberline.vo.client.spectrum_record import SpectrumRecord

if TYPE_CHECKING:
    import requests
    from astropy.table import Table

    from emberline.vo.client.soda import Descriptor

__all__ = ["records_of"]

_URL = Wanted(("Access.Reference", "DataAccess.Reference"), ("meta.ref.url;meta.dataset", "VOX:Image_AccessReference",
              "DATA_LINK", "meta.ref.url"), ("access_url", "accref", "acref", "accessreference"))  # fmt: skip
_TEXTS = {
    "media_type": Wanted(("Access.Format",), ("meta.code.mime", "VOX:Image_Format"),
                         ("mime", "format", "access_format")),
    "title": Wanted(("DataID.Title",), ("meta.title;meta.dataset", "VOX:Image_Title", "meta.title"), ("title",)),
    "creator": Wanted(("DataID.Creator",), ("meta.curation;meta.author",), ("creator",)),
    "collection": Wanted(("DataID.Collection",), (), ("collection", "obs_collection")),
    "instrument": Wanted(("DataID.Instrument",), ("meta.id;instr", "INST_ID"), ("instrument", "instrument_name")),
    "target": Wanted(("Target.Name",), ("meta.id;src",), ("targetname", "target_name", "object")),
    "publisher_did": Wanted(("Curation.PublisherDID",), ("meta.ref.ivoid", "meta.ref.uri;meta.curation"),
                            ("pubdid", "publisherdid", "ssa_pubdid", "obs_publisher_did")),
    "creator_did": Wanted(("DataID.CreatorDID", "DataID.DatasetID"), (), ("creatordid",)),
}  # fmt: skip
_POINTS = (
    Wanted(("Char.SpatialAxis.Coverage.Location.Value",)),
    Wanted(("AstroCoords.Position2D.Value2",)),
    Wanted(("Target.Pos", "Target.pos.spoint")),
    Wanted((), ("pos.eq",), ("spatiallocation", "targetpos")),
)
_PAIRS = (
    (Wanted(("Char.SpatialAxis.Coverage.Location.Value.C1",)),
     Wanted(("Char.SpatialAxis.Coverage.Location.Value.C2",))),
    (Wanted((), ("pos.eq.ra;meta.main", "POS_EQ_RA_MAIN", "pos.eq.ra"), ("s_ra", "ra", "raj2000")),
     Wanted((), ("pos.eq.dec;meta.main", "POS_EQ_DEC_MAIN", "pos.eq.dec"), ("s_dec", "dec", "dej2000"))),
)  # fmt: skip
_FRAME = Wanted(("CoordSys.SpaceFrame.Name",))
_TIME = Wanted(("Char.TimeAxis.Coverage.Location.Value",), ("time.epoch",), ("dateobs", "ssa_dateobs", "date_obs"))
_TIMES = (Wanted(("Char.TimeAxis.Coverage.Bounds.Start",)), Wanted(("Char.TimeAxis.Coverage.Bounds.Stop",)))
_EXPOSURE = Wanted(("Char.TimeAxis.Coverage.Bounds.Extent", "Char.TimeAxis.Coverage.Support.Extent"),
                   ("time.duration;obs.exposure", "time.duration"), ("t_exptime", "exptime"))  # fmt: skip
_START = Wanted(("Char.SpectralAxis.Coverage.Bounds.Start",), ("em.wl;stat.min",), ("em_min", "specstart"))
_STOP = Wanted(("Char.SpectralAxis.Coverage.Bounds.Stop",), ("em.wl;stat.max",), ("em_max", "specend"))
_MIDDLE = Wanted(("Char.SpectralAxis.Coverage.Location.Value",), ("em.wl;instr.bandpass",))
_EXTENT = Wanted(("Char.SpectralAxis.Coverage.Bounds.Extent",), ("em.wl;instr.bandwidth",))
_SIZE = Wanted(("Access.Size",), ("phys.size;meta.file", "VOX:Image_FileSize"), ("access_estsize", "accsize"))


def records_of(
    document: Document, answer: requests.Response
) -> tuple[tuple[SpectrumRecord, ...], Table, tuple[Descriptor, ...]]:
    """The records of an answer, its table, and the services on them."""
    table = table_of(document, answer)
    columns = Columns(table)
    if columns.place(_URL) is None and len(table):
        raise ProtocolError(
            "the answer has no addresses of spectra",
            url=str(answer.url),
            found=", ".join(table.colnames[:12]),
            expected="a column with the utype ssa:Access.Reference",
        )
    services = tuple(described(document, str(answer.url)).values())
    names = _names(document, table)
    reader = _Reader(columns, str(answer.url))
    records = []
    for row in range(len(table)):
        mine = {ID: _text(table[name][row]) for ID, name in names.items()} if services else {}
        records.append(reader.record(row, tuple(bound(service, mine) for service in services)))
    return tuple(records), table, services


def _names(document: Document, table: Table) -> dict[str, str]:
    """The names of the columns by their XML identifiers."""
    results = document.results()
    fields = results.tables[0].fields if results is not None and results.tables else []
    return {field.ID or field.name: field.name for field in fields if field.name in table.colnames}


def _text(value: Any) -> str:
    return "" if value is np.ma.masked else str(value).strip()


class _Reader:
    """Reads one row after the other."""

    def __init__(self, columns: Columns, url: str) -> None:
        self.columns, self.url = columns, url
        self._point = self._best_point()

    def record(self, row: int, services: tuple[Descriptor, ...]) -> SpectrumRecord:
        columns = self.columns
        words = {name: columns.text(wanted, row) for name, wanted in _TEXTS.items()}
        address = columns.text(_URL, row)
        address = urllib.parse.urljoin(self.url, address) if address else ""
        links = next((found for service in services if (found := links_address(service))), "")
        if "content=datalink" in words["media_type"].replace(" ", "").lower():
            links = address
        ra, dec = self._position(row)
        return SpectrumRecord(
            access_url=address,
            ra=ra,
            dec=dec,
            mjd=self._mjd(row),
            exposure=self._in("s", _EXPOSURE, row),
            band=self._band(row),
            bytes=self._size(row),
            datalink=links,
            services=services,
            row=row,
            **words,
        )

    # -- where ----------------------------------------------------------------------------------------------------

    def _best_point(self) -> Wanted | None:
        """The column with positions: one of double precision that is not empty before others."""
        found = []
        for number, wanted in enumerate(_POINTS):
            place = self.columns.place(wanted)
            if isinstance(place, str) and len(self.columns.table):
                data = np.ma.filled(self.columns.table[place].astype(float), np.nan) if _numeric(self, place) else None
                if data is None or data.ndim != 2 or data.shape[1] != 2 or not np.isfinite(data).any():
                    continue
                found.append((self.columns.table[place].dtype.itemsize < 8, number, wanted))
        return min(found, default=(0, 0, None), key=lambda item: item[:2])[2]

    def _position(self, row: int) -> tuple[float, float]:
        point = None if self._point is None else self.columns.value(self._point, row)
        ra, dec = (math.nan, math.nan) if point is None else (_number(point[0]), _number(point[1]))
        for first, second in _PAIRS:
            if math.isfinite(ra) and math.isfinite(dec):
                break
            ra, dec = self.columns.number(first, row), self.columns.number(second, row)
        if not (math.isfinite(ra) and math.isfinite(dec) and abs(dec) <= 90):
            return math.nan, math.nan
        return _icrs(ra, dec, self.columns.text(_FRAME, row))

    # -- when -----------------------------------------------------------------------------------------------------

    def _mjd(self, row: int) -> float:
        moment = _mjd_of(self.columns.value(_TIME, row))
        if math.isfinite(moment):
            return moment
        first, last = (_mjd_of(self.columns.value(wanted, row)) for wanted in _TIMES)
        return (first + last) / 2

    # -- how much -------------------------------------------------------------------------------------------------

    def _in(self, unit: str, wanted: Wanted, row: int, default: str = "") -> float:
        """A value in a unit; without a unit of its own it is taken to have the standard's."""
        from astropy import units

        value = self.columns.number(wanted, row)
        own = self.columns.unit(wanted) or units.Unit(default or unit)
        try:
            return float((value * own).to_value(unit)) if math.isfinite(value) else math.nan
        except (units.UnitsError, TypeError, ValueError, AttributeError):
            return math.nan

    def _band(self, row: int) -> tuple[float, float]:
        low, high = (self._in("Angstrom", wanted, row, "m") for wanted in (_START, _STOP))
        if not (math.isfinite(low) and math.isfinite(high)):
            middle, extent = (self._in("Angstrom", wanted, row, "m") for wanted in (_MIDDLE, _EXTENT))
            low, high = middle - extent / 2, middle + extent / 2
        return (low, high) if low <= high else (math.nan, math.nan)

    def _size(self, row: int) -> int | None:
        size = self._in("byte", _SIZE, row, "kbyte")  # the standard counts in kilobytes
        return int(size) if math.isfinite(size) and size >= 0 else None


def _numeric(reader: _Reader, place: str) -> bool:
    return reader.columns.table[place].dtype.kind in "fiu"


def _number(value: Any) -> float:
    return math.nan if value is np.ma.masked else float(value)


def _icrs(ra: float, dec: float, frame: str) -> tuple[float, float]:
    """A position in ICRS; FK5 differs by hundredths of arcseconds and is taken as it is, like what is not known."""
    name = frame.strip().lower()
    if name not in ("fk4", "galactic", "ecliptic"):
        return ra % 360.0, dec
    from astropy import units
    from astropy.coordinates import SkyCoord

    kind = {"ecliptic": "barycentrictrueecliptic"}.get(name, name)
    place = SkyCoord(ra, dec, unit=units.deg, frame=kind).icrs
    return float(place.ra.deg), float(place.dec.deg)


def _mjd_of(value: Any) -> float:
    """A time as MJD: services write MJD, JD, or ISO 8601 with and without Z and T."""
    if value is None:
        return math.nan
    try:
        number = float(value)
    except (TypeError, ValueError):
        return _mjd_of_text(str(value))
    return number - 2400000.5 if number > 1e6 else number


def _mjd_of_text(text: str) -> float:
    from astropy.time import Time

    words = text.strip().rstrip("Zz").replace(" ", "T", 1)
    with quiet():
        try:
            return float(Time(words, format="isot", scale="utc").mjd)
        except ValueError:
            return math.nan
