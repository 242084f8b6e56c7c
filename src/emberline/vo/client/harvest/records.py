"""A record: one spectrum that some service offers, with what is needed to fetch it and to say where it came from."""

from __future__ import annotations

import dataclasses
import math
import re
import urllib.parse
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from emberline.errors import ReadError

if TYPE_CHECKING:
    from astropy.table import Table

    from emberline.vo.client.ssap import SpectrumRecord

__all__ = ["Record", "of_spectrum_record", "of_table"]

_KILOBYTE = 1024
_ROLES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {  # what a utype ends with; what a column is called
    "address": (("access.reference",), ("access_url", "accref", "acref", "accessurl", "access_reference")),
    "media_type": (("access.format",), ("access_format", "mime", "format", "accessformat")),
    "kilobytes": (("access.size", "access.estsize"), ("access_estsize", "size", "accsize")),
    "title": (("dataid.title",), ("obs_title", "title", "ssa_dstitle", "dataid_title")),
    "target": (("target.name",), ("target_name", "targname", "ssa_targname", "object")),
    "publisher_did": (("curation.publisherdid",), ("obs_publisher_did", "pubdid", "ssa_pubdid", "publisher_did")),
    "creator": (("dataid.creator",), ("obs_creator_name", "creator", "ssa_creator")),
    "collection": (("dataid.collection",), ("obs_collection", "collection", "ssa_collection")),
    "ra": (("char.spatialaxis.coverage.location.coord.position2d.value2.c1",), ("s_ra", "ra", "raj2000")),
    "dec": (("char.spatialaxis.coverage.location.coord.position2d.value2.c2",), ("s_dec", "dec", "dej2000")),
    "place": (("target.pos", "char.spatialaxis.coverage.location.value"), ("location", "ssa_location", "target_pos")),
    "datalink": ((), ("datalink", "datalink_url")),
}  # fmt: skip
_PICTURES = ("image/", "text/html", "application/pdf", "application/postscript", "video/")


@dataclasses.dataclass(frozen=True)
class Record:
    """One spectrum that some service offers.

    Attributes
    ----------
    address : str
        Where it is fetched.
    service, service_title : str
        The address or identifier of the service that told of it, and what the service calls itself.
    media_type, title, target, creator, collection, publisher_did : str
        As the service says; empty where it does not.
    ra, dec : float
        ICRS degrees; NaN where it is not said.
    band : tuple of float
        First and last wavelength, Å; NaN where it is not said.
    mjd : float
        Middle of the exposure; NaN where it is not said.
    bytes : int or None
        About how long it is.
    datalink : str
        The address of its links; empty where there are none.
    """

    address: str
    service: str = ""
    service_title: str = ""
    media_type: str = ""
    title: str = ""
    target: str = ""
    creator: str = ""
    collection: str = ""
    publisher_did: str = ""
    ra: float = math.nan
    dec: float = math.nan
    band: tuple[float, float] = (math.nan, math.nan)
    mjd: float = math.nan
    bytes: int | None = None
    datalink: str = ""

    @property
    def host(self) -> str:
        """Whom it will be asked of."""
        return urllib.parse.urlsplit(self.address).netloc.lower()

    @property
    def why_not(self) -> str:
        """Why this cannot be a spectrum, by its media type; empty when it can."""
        kind = self.media_type.lower().strip()
        return f"the service offers it as {kind}" if kind.startswith(_PICTURES) else ""

    def to_mapping(self) -> dict[str, Any]:
        """What JSON can hold; what is unknown is null."""
        return {key: _plain(value) for key, value in dataclasses.asdict(self).items()}

    @classmethod
    def of_mapping(cls, mapping: dict[str, Any]) -> Record:
        """The inverse of `to_mapping`."""
        values = dict(mapping)
        for name in ("ra", "dec", "mjd"):
            values[name] = math.nan if values.get(name) is None else float(values[name])
        low, high = values.get("band") or (None, None)
        values["band"] = (math.nan if low is None else low, math.nan if high is None else high)
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(**{key: value for key, value in values.items() if key in known})


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def of_spectrum_record(found: SpectrumRecord, service: str, title: str) -> Record:
    """A record of what an SSAP service answered."""
    return Record(
        address=found.access_url,
        service=service,
        service_title=title,
        media_type=found.media_type,
        title=found.title,
        target=found.target,
        creator=found.creator,
        collection=found.collection,
        publisher_did=found.publisher_did,
        ra=found.ra,
        dec=found.dec,
        band=found.band,
        mjd=found.mjd,
        bytes=found.bytes,
        datalink=found.datalink,
    )


def of_table(table: Table, service: str, title: str) -> Iterator[Record]:
    """The records in a table: an SSAP answer, ObsCore, or any table with a column of addresses.

    Raises
    ------
    ReadError
        No column has addresses.
    """
    columns = _columns(table)
    if "address" not in columns:
        raise ReadError(
            "the table has no column with the addresses of spectra",
            reason="no-spectrum",
            where=title,
            found=f"columns {', '.join(table.colnames[:12]) or 'none'}",
            expected="access_url (ObsCore), or a column of the utype ssa:Access.Reference or the UCD meta.ref.url",
        )
    for row in table:
        record = _record(row, columns, service, title)
        if record.address:
            yield record


def _columns(table: Table) -> dict[str, str]:
    """The table's column for each role: by utype, then by name; an address also by UCD."""
    found: dict[str, str] = {}
    facts = []
    for name in table.colnames:
        meta = table[name].meta
        utype = str(getattr(table[name].info, "utype", "") or meta.get("utype", "") or "").lower()
        ucd = str(meta.get("ucd", "") or "").lower()
        facts.append((name, re.sub(r"^\w+:", "", utype), ucd))
    for role, (endings, names) in _ROLES.items():
        by_utype = [name for name, utype, _ in facts if utype and utype.endswith(endings)] if endings else []
        lower = {name.lower(): name for name in reversed(table.colnames)}
        by_name = [lower[name] for name in names if name in lower]
        if by_utype or by_name:
            found[role] = (by_utype or by_name)[0]
    if "address" not in found:
        urls = [name for name, _, ucd in facts if ucd.startswith("meta.ref.url")]
        if urls:
            found["address"] = urls[0]
    return found


def _record(row: Any, columns: dict[str, str], service: str, title: str) -> Record:
    def text(role: str) -> str:
        return _text(row[columns[role]]) if role in columns else ""

    def number(role: str) -> float:
        return _number(row[columns[role]]) if role in columns else math.nan

    ra, dec = number("ra"), number("dec")
    if not (math.isfinite(ra) and math.isfinite(dec)) and "place" in columns:
        ra, dec = _pair(row[columns["place"]])
    kilobytes, media_type, address = number("kilobytes"), text("media_type"), text("address")
    linked = "content=datalink" in media_type.lower().replace(" ", "")
    return Record(
        address=address,
        service=service,
        service_title=title,
        media_type=media_type,
        title=text("title"),
        target=text("target"),
        creator=text("creator"),
        collection=text("collection"),
        publisher_did=text("publisher_did"),
        ra=ra,
        dec=dec,
        bytes=int(kilobytes * _KILOBYTE) if kilobytes >= 0 else None,
        datalink=address if linked else text("datalink"),
    )


def _text(value: Any) -> str:
    if value is None or getattr(value, "mask", False) is True or type(value).__name__ == "MaskedConstant":
        return ""
    return value.decode("utf-8", "replace").strip() if isinstance(value, bytes) else str(value).strip()


def _number(value: Any) -> float:
    try:
        return math.nan if type(value).__name__ == "MaskedConstant" else float(value)
    except (TypeError, ValueError):
        return math.nan


def _pair(value: Any) -> tuple[float, float]:
    """A position as an array of two, or as text of two numbers."""
    items: Sequence[Any] = str(value).split() if isinstance(value, str | bytes) else list(value) if _many(value) else ()
    return (_number(items[0]), _number(items[1])) if len(items) == 2 else (math.nan, math.nan)


def _many(value: Any) -> bool:
    return getattr(value, "shape", ()) == (2,) or isinstance(value, tuple | list)
