"""A record: one spectrum that some service offers, with what is needed to fetch it and to say where it came from."""

from __future__ import annotations

import dataclasses
import math
import urllib.parse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from astropy.table import Table

    from emberline.vo.client.soda import Descriptor
    from emberline.vo.client.spectrum_record import SpectrumRecord

__all__ = ["Record", "of_document", "of_spectrum_record", "of_table"]

_LINKS = "ivo://ivoa.net/std/datalink"
_METRE = 1e10  # Å
_ADDRESSES = ("access_url", "accref", "acref", "accessurl", "access_reference")
_TEXTS = {  # a utype; what ObsCore and the tables behind SSAP services call it
    "media_type": ("access.format", ("access_format", "mime", "format")),
    "title": ("dataid.title", ("obs_title", "title", "ssa_dstitle")),
    "target": ("target.name", ("target_name", "ssa_targname", "object")),
    "publisher_did": ("curation.publisherdid", ("obs_publisher_did", "ssa_pubdid", "pubdid")),
    "creator": ("dataid.creator", ("obs_creator_name", "ssa_creator", "creator")),
    "collection": ("dataid.collection", ("obs_collection", "ssa_collection", "collection")),
}
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
    services : tuple of Descriptor
        Services on this spectrum that came with the answer, such as SODA.
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
    services: tuple[Descriptor, ...] = ()

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

    def to_row(self) -> dict[str, Any]:
        """The same without the services: what a table shows."""
        return dataclasses.replace(self, services=()).to_mapping()

    @classmethod
    def of_mapping(cls, mapping: dict[str, Any]) -> Record:
        """The inverse of `to_mapping`."""
        values = dict(mapping)
        for name in ("ra", "dec", "mjd"):
            values[name] = math.nan if values.get(name) is None else float(values[name])
        low, high = values.get("band") or (None, None)
        values["band"] = (math.nan if low is None else low, math.nan if high is None else high)
        values["services"] = tuple(_descriptor(item) for item in values.get("services", ()))
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(**{key: value for key, value in values.items() if key in known})


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _descriptor(mapping: dict[str, Any]) -> Descriptor:
    from emberline.vo.client.soda import Descriptor, Parameter

    parameters = tuple(
        Parameter(**{**item, "options": tuple(map(tuple, item["options"]))}) for item in mapping["parameters"]
    )
    return Descriptor(**{**mapping, "parameters": parameters})


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
        services=tuple(service for service in found.services if not service.standard.lower().startswith(_LINKS)),
    )


def of_document(data: bytes, name: str) -> Iterator[Record]:
    """The records in a VOTable: a saved answer of an SSAP service, with the services that it describes, or ObsCore.

    Raises
    ------
    ServiceError
        It is no VOTable, says that a service refused, or has no column of addresses.
    """
    from emberline.vo.client import _votable
    from emberline.vo.client._answers import Answer, refuse_unsafe_xml
    from emberline.vo.client._ssap_records import records_of

    refuse_unsafe_xml(data, name)
    answer = Answer()
    answer.url, answer.status_code = name, 200
    records, _, _ = records_of(_votable.parse(data, name), answer)
    for record in records:
        if record.access_url:
            yield of_spectrum_record(record, name, name)


def of_table(table: Table, service: str, title: str) -> Iterator[Record]:
    """The records in the answer to a TAP query: ObsCore, SSAP's own table, or any with a column of addresses.

    Raises
    ------
    ProtocolError
        No column has addresses.
    """
    from emberline.vo.client._tables import Columns, Wanted
    from emberline.vo.client.errors import ProtocolError

    columns = Columns(table)
    address = Wanted(("access.reference",), ("meta.ref.url;meta.dataset", "meta.ref.url"), _ADDRESSES)
    texts = {name: Wanted((utype,), (), names) for name, (utype, names) in _TEXTS.items()}
    ra, dec = Wanted((), (), ("s_ra", "ra", "raj2000")), Wanted((), (), ("s_dec", "dec", "dej2000"))
    if columns.place(address) is None:
        raise ProtocolError(
            "the answer has no column with the addresses of spectra",
            url=service,
            found=f"columns {', '.join(table.colnames[:12]) or 'none'}",
            expected="access_url (ObsCore), or a column of the utype ssa:Access.Reference or the UCD meta.ref.url",
        )
    for row in range(len(table)):
        url = columns.text(address, row)
        found: dict[str, Any] = {name: columns.text(wanted, row) for name, wanted in texts.items()}
        size = columns.number(Wanted((), (), ("access_estsize",)), row)
        times = [columns.number(Wanted((), (), (name,)), row) for name in ("t_min", "t_max")]
        low, high = (columns.number(Wanted((), (), (name,)), row) * _METRE for name in ("em_min", "em_max"))
        linked = "content=datalink" in found["media_type"].replace(" ", "").lower()
        if url:
            yield Record(
                url,
                service,
                title,
                ra=columns.number(ra, row),
                dec=columns.number(dec, row),
                band=(low, high),
                mjd=sum(times) / 2,
                bytes=int(size * 1024) if size >= 0 else None,
                datalink=url if linked else "",
                **found,
            )
