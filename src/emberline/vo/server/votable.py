"""VOTable 1.4 (https://www.ivoa.net/documents/VOTable/), written as rows arrive, and what DAL answers add to it."""

from __future__ import annotations

import dataclasses
import functools
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal, TypeAlias

import pyarrow as pa

from emberline.vo.server._cells import Base64, binary2_rows, tabledata_rows
from emberline.vo.server.adql.tables import Column

__all__ = [
    "MEDIA_TYPE",
    "Batch",
    "Info",
    "Limited",
    "Param",
    "Rendered",
    "Service",
    "TableDocument",
    "attributes",
    "error_document",
    "write_votable",
]

_LOG = logging.getLogger(__name__)
MEDIA_TYPE = "application/x-votable+xml"
_PROLOGUE = (
    "<?xml version='1.0' encoding='UTF-8'?>\n"
    '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"'
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    ' xsi:schemaLocation="http://www.ivoa.net/xml/VOTable/v1.3 http://www.ivoa.net/xml/VOTable/v1.3">\n'
)
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}
_ODD = re.compile('[&<>"\n\r\t]|' + _FORBIDDEN.pattern)
_SPECIAL = re.compile('[&<>"\n\r\t]')

Serialization = Literal["tabledata", "binary2"]


def _escape(value: str) -> str:
    if value.isalnum() or not _ODD.search(value):
        return value
    return _SPECIAL.sub(lambda found: _ESCAPES[found[0]], _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", value))


def _text(value: str) -> str:
    return _escape(value).replace("&#10;", "\n").replace("&quot;", '"')


def attributes(**values: str) -> str:
    """XML attributes that are not empty, each after a blank; a trailing underscore is left out of the name."""
    return "".join(f' {name.rstrip("_")}="{_escape(value)}"' for name, value in values.items() if value)


def _described(name: str, head: str, description: str, *children: str) -> str:
    inside = [f"<DESCRIPTION>{_text(description)}</DESCRIPTION>"] if description else []
    inside += [child for child in children if child]
    return f"<{name}{head}>{''.join(inside)}</{name}>\n" if inside else f"<{name}{head}/>\n"


@dataclasses.dataclass(frozen=True)
class Info:
    """An INFO element: what the service says about the answer as a whole."""

    name: str
    value: str
    text: str = ""
    ucd: str = ""

    def xml(self) -> str:
        """The element."""
        head = f'{attributes(name=self.name)} value="{_escape(self.value)}"{attributes(ucd=self.ucd)}'
        return f"<INFO{head}>{_text(self.text)}</INFO>\n" if self.text else f"<INFO{head}/>\n"


@dataclasses.dataclass(frozen=True)
class Param:
    """A PARAM element: a value that holds for all rows, or an input of a service.

    Attributes
    ----------
    name, value, datatype, arraysize, unit, ucd, utype, xtype, description : str
    ref : str
        The ID of the FIELD whose value in a row is the input.
    least, most : str
        Bounds of the value.
    options : tuple of str
        The values that are allowed.
    """

    name: str
    value: str = ""
    datatype: str = "char"
    arraysize: str = ""
    unit: str = ""
    ucd: str = ""
    utype: str = ""
    xtype: str = ""
    description: str = ""
    ref: str = ""
    least: str = ""
    most: str = ""
    options: tuple[str, ...] = ()

    def xml(self) -> str:
        """The element."""
        size = self.arraysize or ("*" if self.datatype in ("char", "unicodeChar") else "")
        head = attributes(
            name=self.name,
            datatype=self.datatype,
            arraysize=size,
            unit=self.unit,
            ucd=self.ucd,
            utype=self.utype,
            xtype=self.xtype,
            ref=self.ref,
        )
        bounds = "".join(
            f'<{tag} value="{_escape(value)}"/>' for tag, value in (("MIN", self.least), ("MAX", self.most)) if value
        )
        options = "".join(f'<OPTION value="{_escape(value)}"/>' for value in self.options)
        values = f"<VALUES>{bounds}{options}</VALUES>" if bounds or options else ""
        return _described("PARAM", f'{head} value="{_escape(self.value)}"', self.description, values)


@functools.lru_cache(maxsize=1024)
def _xml_of(param: Param) -> str:
    """The element of a parameter that many descriptors share."""
    return param.xml()


@dataclasses.dataclass(frozen=True)
class Service:
    """A service descriptor after DataLink 1.1: how to call a service with values of the rows."""

    id: str
    access_url: str
    standard_id: str = ""
    parameters: tuple[Param, ...] = ()
    description: str = ""
    resource_identifier: str = ""
    content_type: str = ""

    def xml(self) -> str:
        """The RESOURCE."""
        own = [
            Param("accessURL", self.access_url, ucd="meta.ref.url"),
            Param("standardID", self.standard_id),
            Param("resourceIdentifier", self.resource_identifier),
            Param("contentType", self.content_type),
        ]
        params = "".join(_xml_of(param) for param in own if param.value)
        inputs = "".join(_xml_of(param) for param in self.parameters)
        head = attributes(ID=self.id, name=self.id, type="meta", utype="adhoc:service")
        return _described(
            "RESOURCE", head, self.description, f'\n{params}<GROUP name="inputParams">\n{inputs}</GROUP>\n'
        )


@dataclasses.dataclass(frozen=True, eq=False)
class TableDocument:
    """All of an answer but its rows.

    Attributes
    ----------
    columns : tuple of Column
    name, description, utype : str
        Of the table.
    about : str
        What the answer as a whole is.
    infos : tuple of Info
        QUERY_STATUS is added.
    params : tuple of Param
        Of the RESOURCE.
    constants : tuple of Param
        Of the TABLE: columns that have one value.
    ids : mapping of str to str
        IDs of FIELDs, by the column's name.
    services : tuple of Service
    positions : bool
        Whether to declare ICRS and to refer positions to it.
    plain : frozenset of str
        Columns that are known to need no escape.
    """

    columns: tuple[Column, ...]
    name: str = ""
    description: str = ""
    utype: str = ""
    about: str = ""
    infos: tuple[Info, ...] = ()
    params: tuple[Param, ...] = ()
    constants: tuple[Param, ...] = ()
    ids: Mapping[str, str] = dataclasses.field(default_factory=dict)
    services: tuple[Service, ...] = ()
    positions: bool = True
    plain: frozenset[str] = frozenset()
    status: Info = Info("QUERY_STATUS", "OK")

    @functools.cached_property
    def head(self) -> str:
        """Everything down to where DATA begins."""
        about = f"<DESCRIPTION>{_text(self.about)}</DESCRIPTION>\n" if self.about else ""
        placed = self.positions and any(_is_position(column.ucd) for column in self.columns)
        system = '<COOSYS ID="icrs" system="ICRS"/>\n' if placed else ""
        infos = "".join(info.xml() for info in (self.status, *self.infos))
        params = "".join(param.xml() for param in self.params)
        table = f"<TABLE{attributes(name=self.name, utype=self.utype)}>\n"
        words = f"<DESCRIPTION>{_text(self.description)}</DESCRIPTION>\n" if self.description else ""
        constants = "".join(param.xml() for param in self.constants)
        fields = "".join(self._field(column, placed) for column in self.columns)
        return f'{_PROLOGUE}{about}<RESOURCE type="results">\n{infos}{system}{params}{table}{words}{fields}{constants}'

    def _field(self, column: Column, placed: bool) -> str:
        head = attributes(
            ID=self.ids.get(column.name, ""),
            name=column.name,
            datatype=column.datatype,
            arraysize=column.arraysize,
            unit=column.unit,
            ucd=column.ucd,
            utype=column.utype,
            xtype=column.xtype,
            ref="icrs" if placed and _is_position(column.ucd) else "",
        )
        return _described("FIELD", head, column.description)

    def with_services(self, services: Iterable[Service]) -> TableDocument:
        """The same with other descriptors; what was made of the rest is kept."""
        other = dataclasses.replace(self, services=tuple(services))
        other.__dict__["head"] = self.head
        return other

    def foot(self, status: Info | None = None) -> str:
        """Everything from where DATA ends; `status` says that the table is not whole."""
        return f"</TABLE>\n{status.xml() if status else ''}</RESOURCE>\n{self._services}</VOTABLE>\n"

    @functools.cached_property
    def _services(self) -> str:
        return "".join(service.xml() for service in self.services)


def _is_position(ucd: str) -> bool:
    return ucd.lower().startswith(("pos.eq", "pos_eq"))


@dataclasses.dataclass(frozen=True)
class Rendered:
    """Rows that are TABLEDATA already: few, and made of texts."""

    num_rows: int
    data: bytes

    @classmethod
    def of(cls, rows: Sequence[Sequence[str]]) -> Rendered:
        """Rows of texts; an empty one is null."""
        lines = [f"<TR><TD>{'</TD><TD>'.join([_text(cell) for cell in row])}</TD></TR>\n" for row in rows]
        return cls(len(rows), "".join(lines).encode())

    def slice(self, start: int, length: int) -> Rendered:
        """All of them: they cannot be cut."""
        return self


Batch: TypeAlias = pa.RecordBatch | Rendered


class Limited:
    """Batches up to a number of rows, and whether there were more.

    Parameters
    ----------
    batches : iterable of RecordBatch
    limit : int, optional
    whole : bool
        Whether no batch may be cut.
    more : callable, optional
        Says after the last batch whether there were more rows.

    Attributes
    ----------
    overflow : bool
        Known when all batches were taken.
    rows : int
        How many came.
    """

    def __init__(
        self,
        batches: Iterable[pa.RecordBatch],
        limit: int | None,
        *,
        whole: bool = False,
        more: Callable[[], bool] | None = None,
    ) -> None:
        self._batches = batches
        self._limit = limit
        self._whole = whole
        self._more = more
        self.overflow = False
        self.rows = 0

    def __iter__(self) -> Iterator[Batch]:
        for batch in self._batches:
            left = batch.num_rows if self._limit is None else self._limit - self.rows
            self.overflow = batch.num_rows > left
            left = 0 if self._whole and self.overflow else min(left, batch.num_rows)
            self.rows += left
            if left:
                yield batch.slice(0, left)
            if self.overflow:
                return
        self.overflow = self._more is not None and self._more()


OVERFLOW = Info("QUERY_STATUS", "OVERFLOW", "There are more rows than this answer may have (MAXREC).")


def write_votable(
    document: TableDocument, rows: Limited, serialization: Serialization = "tabledata"
) -> Iterator[bytes]:
    """A VOTable in pieces, each as soon as its rows are there.

    A failure after the first row is told in an INFO after the table, as DALI asks.
    """
    binary = serialization == "binary2"
    start, end = (
        ("<BINARY2><STREAM encoding='base64'>", "</STREAM></BINARY2>") if binary else ("<TABLEDATA>", "</TABLEDATA>")
    )
    yield f"{document.head}<DATA>{start}\n".encode()
    status = None
    encoder = Base64()
    try:
        for batch in rows:
            if isinstance(batch, Rendered):
                yield batch.data
            elif binary:
                yield encoder.feed(binary2_rows(document.columns, batch))
            else:
                yield bytes(tabledata_rows(document.columns, batch, document.plain))
    except Exception:
        _LOG.exception("an answer broke off after %d rows", rows.rows)
        status = Info("QUERY_STATUS", "ERROR", "The rest of the rows could not be read.")
    if status is None and rows.overflow:
        status = OVERFLOW
    rest = encoder.end().decode()
    yield f"{rest}{end}</DATA>\n{document.foot(status)}".encode()


def error_document(message: str, infos: Iterable[Info] = (), outside: Iterable[Info] = ()) -> bytes:
    """A VOTable without a table that says what was wrong; `outside` stands before the RESOURCE."""
    before = "".join(info.xml() for info in outside)
    every = "".join(info.xml() for info in (Info("QUERY_STATUS", "ERROR", message), *infos))
    return f'{_PROLOGUE}{before}<RESOURCE type="results">\n{every}</RESOURCE>\n</VOTABLE>\n'.encode()
