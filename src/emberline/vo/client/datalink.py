"""DataLink 1.0 and 1.1: what belongs to a dataset of another archive, files and services alike.

https://www.ivoa.net/documents/DataLink/
"""

from __future__ import annotations

import dataclasses
import urllib.parse
from typing import TYPE_CHECKING, Any

import numpy as np

from emberline.vo.client._descriptors import bound, described
from emberline.vo.client._tables import document_of, table_of
from emberline.vo.client.errors import ServiceError
from emberline.vo.client.spectrum_record import SpectrumRecord

if TYPE_CHECKING:
    from astropy.table import Row

    from emberline.vo.client.session import Session
    from emberline.vo.client.soda import Descriptor

__all__ = ["Link", "links"]

_MUST = ("ID", "access_url", "service_def", "error_message", "semantics")


@dataclasses.dataclass(frozen=True)
class Link:
    """One thing that belongs to a dataset.

    Attributes
    ----------
    identifier : str
        Of the dataset.
    semantics : str
        ``#this``, ``#preview``, ``#cutout`` …; words of the service's own are addresses.
    url : str
        Where it is; empty for a service and for an error.
    description, media_type : str
    bytes : int or None
    descriptor : Descriptor or None
        The service, when it is one.
    error : str
        Why there is nothing.
    readable : bool or None
        Whether we may read it, where the service says so.
    """

    identifier: str
    semantics: str
    url: str = ""
    description: str = ""
    media_type: str = ""
    bytes: int | None = None
    descriptor: Descriptor | None = None
    error: str = ""
    readable: bool | None = None


def links(session: Session, url_or_record: str | SpectrumRecord) -> tuple[Link, ...]:
    """All links of a dataset.

    Parameters
    ----------
    session : Session
    url_or_record : str or SpectrumRecord
        The address of the links, or a spectrum that has them.

    Raises
    ------
    ServiceError
        The spectrum has no links, the service refused, or could not be asked.
    ProtocolError
        The answer is no list of links.
    """
    url = url_or_record if isinstance(url_or_record, str) else url_or_record.datalink
    if not url:
        title = getattr(url_or_record, "title", "") or getattr(url_or_record, "access_url", "")
        raise ServiceError("the service gives no links of this spectrum", found=title)
    answer = session.get(url)
    document = document_of(answer)
    table = table_of(document, answer, _MUST)
    columns = {name.lower(): name for name in table.colnames}
    services = described(document, str(answer.url))
    results = document.results()
    fields = results.tables[0].fields if results is not None else []
    names = {field.ID or field.name: field.name for field in fields}
    found = []
    for row in table:
        link = _link(row, columns, str(answer.url))
        name = _text(row, columns, "service_def")
        if name and not link.url:
            mine = {ID: str(row[column]).strip() for ID, column in names.items() if row[column] is not np.ma.masked}
            link = _with_service(link, name, services, mine)
        found.append(link)
    return tuple(found)


def _with_service(link: Link, name: str, services: dict[str, Descriptor], row: dict[str, str]) -> Link:
    descriptor = services.get(name)
    if descriptor is None:
        return dataclasses.replace(link, error=link.error or f"the answer does not describe its service {name!r}")
    return dataclasses.replace(link, descriptor=bound(descriptor, row))


def _link(row: Row, columns: dict[str, str], url: str) -> Link:
    address = _text(row, columns, "access_url")
    error = _text(row, columns, "error_message")
    if not address and not error and not _text(row, columns, "service_def"):
        error = "the service gives no address"
    return Link(
        identifier=_text(row, columns, "id"),
        semantics=_text(row, columns, "semantics"),
        url=urllib.parse.urljoin(url, address) if address else "",
        description=_text(row, columns, "description"),
        media_type=_text(row, columns, "content_type"),
        bytes=_size(row, columns),
        error=error,
        readable=_truth(row, columns),
    )


def _value(row: Row, columns: dict[str, str], name: str) -> Any:
    value = row[columns[name]] if name in columns else None
    return None if value is np.ma.masked else value


def _text(row: Row, columns: dict[str, str], name: str) -> str:
    value = _value(row, columns, name)
    return "" if value is None else str(value).strip()


def _size(row: Row, columns: dict[str, str]) -> int | None:
    value = _value(row, columns, "content_length")
    try:
        return None if value is None or int(value) < 0 else int(value)
    except (TypeError, ValueError):
        return None


def _truth(row: Row, columns: dict[str, str]) -> bool | None:
    for name in ("link_authorized", "readable"):
        value = _value(row, columns, name)
        if isinstance(value, bool | np.bool_):
            return bool(value)
    return None
