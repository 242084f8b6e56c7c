"""The elements of a VOTable, read without trust: what is there, where, and nothing fetched from elsewhere.

VOTable 1.0 to 1.5 (https://www.ivoa.net/documents/VOTable/). Elements are taken by their local names, whatever their
namespace says: real services disagree about it.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any
from xml.parsers import expat

from emberline.vo.client._answers import said
from emberline.vo.client.errors import ProtocolError, UnsafeXMLError

__all__ = ["Document", "Field", "Info", "Resource", "Table", "parse"]

_DEPTH = 64
_COLUMNS = 20_000


@dataclasses.dataclass
class Info:
    """An INFO: its name, its value and its text."""

    name: str
    value: str
    text: str = ""


@dataclasses.dataclass
class Field:
    """A FIELD or a PARAM.

    Attributes
    ----------
    null, least, most : str or None
        VALUES' null, MIN and MAX.
    options : list of (str, str)
        Allowed values, and their names.
    value : str or None
        A PARAM's.
    """

    name: str = ""
    ID: str = ""
    datatype: str = ""
    arraysize: str = ""
    xtype: str = ""
    unit: str = ""
    ucd: str = ""
    utype: str = ""
    ref: str = ""
    description: str = ""
    value: str | None = None
    null: str | None = None
    least: str | None = None
    most: str | None = None
    options: list[tuple[str, str]] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Table:
    """A TABLE: columns, constants, and its rows as texts or as one stream."""

    name: str = ""
    ID: str = ""
    ref: str = ""
    description: str = ""
    fields: list[Field] = dataclasses.field(default_factory=list)
    params: list[Field] = dataclasses.field(default_factory=list)
    form: str = ""
    encoding: str = ""
    rows: list[list[str]] = dataclasses.field(default_factory=list)
    stream: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Resource:
    """A RESOURCE; `groups` holds the PARAMs of its GROUPs by their names, such as ``inputParams``."""

    type: str = ""
    utype: str = ""
    ID: str = ""
    name: str = ""
    description: str = ""
    infos: list[Info] = dataclasses.field(default_factory=list)
    params: list[Field] = dataclasses.field(default_factory=list)
    groups: dict[str, list[Field]] = dataclasses.field(default_factory=dict)
    tables: list[Table] = dataclasses.field(default_factory=list)
    resources: list[Resource] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Document:
    """A VOTABLE; its own INFO and PARAM elements stand in `top`."""

    top: Resource = dataclasses.field(default_factory=Resource)

    def resources(self) -> Iterator[Resource]:
        """All resources, those within others after these."""
        waiting = list(self.top.resources)
        while waiting:
            resource = waiting.pop(0)
            yield resource
            waiting[:0] = resource.resources

    def results(self) -> Resource | None:
        """The resource of type ``results``; where none says so, the first one with a table."""
        found = list(self.resources())
        typed = [resource for resource in found if resource.type.lower() == "results"]
        with_table = [resource for resource in typed or found if resource.tables]
        return next(iter(with_table or typed), None)

    def infos(self, name: str) -> Iterator[Info]:
        """All INFO elements of a name, in whatever case, outside of services' descriptions."""
        for resource in (self.top, *self.resources()):
            if resource.type.lower() != "meta":
                yield from (info for info in resource.infos if info.name.lower() == name.lower())


def parse(body: bytes, url: str) -> Document:
    """Read a document.

    Raises
    ------
    ProtocolError
        It is no VOTable, or is cut short; what it says is told.
    UnsafeXMLError
        It declares entities.
    """
    reader = _Reader(url)
    try:
        reader.parser.Parse(body.lstrip(b" \t\r\n"), True)
    except expat.ExpatError as error:
        raise _no_votable(body, url, reader, error) from None
    except _OtherRootError as error:
        kind = "an HTML page" if str(error).lower() == "html" else f"the element {error}"
        raise ProtocolError("the answer is no VOTable", url=url, found=kind, service_said=said(body)) from None
    except (ValueError, LookupError) as error:
        raise ProtocolError(f"is no readable XML ({str(error)[:80]})", url=url, service_said=said(body)) from None
    return reader.document


def _no_votable(body: bytes, url: str, reader: _Reader, error: expat.ExpatError) -> ProtocolError:
    reason = expat.errors.messages[error.code]
    if reader.began:
        ended = error.code in (expat.errors.codes[expat.errors.XML_ERROR_NO_ELEMENTS], 3, 5, 6)
        where = f"line {error.lineno}"
        message = "the VOTable is cut short" if ended else "the VOTable is damaged"
        return ProtocolError(message, url=url, found=f"{reason} in {where}", expected="a whole document")
    return ProtocolError("the answer is no VOTable", url=url, found=_kind(body), service_said=said(body))


def _kind(body: bytes) -> str:
    start = body[:512].lstrip().lower()
    if not start:
        return "an empty answer"
    if start.startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    names = {b"simple  =": "a FITS file", b"\x1f\x8b": "a compressed file", b"{": "JSON", b"%pdf": "a PDF"}
    return next((name for head, name in names.items() if start.startswith(head)), "something else")


class _OtherRootError(Exception):
    """It is XML, but no VOTable."""


class _Reader:
    """Builds the document element by element."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.began = False
        self.document = Document()
        self._path: list[str] = []
        self._resources: list[Resource] = [self.document.top]
        self._table: Table | None = None
        self._groups: list[str] = []
        self._field: Field | None = None
        self._info: Info | None = None
        self._row: list[str] = []
        self._text: list[str] = []
        self.parser = parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.EntityDeclHandler = self._entity
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append

    def _entity(self, *_: Any) -> None:
        raise UnsafeXMLError("the answer is XML that declares entities, which is not read", url=self.url)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition(":")[2]
        self._path.append(name)
        if name == "TD":
            self._text.clear()
            return
        if not self.began:
            if name.upper() != "VOTABLE":
                raise _OtherRootError(name)
            self.began = True
        if len(self._path) > _DEPTH:
            raise ProtocolError("the VOTable's elements are nested too deeply", url=self.url)
        handler = _STARTS.get(name)
        if handler is not None:
            handler(self, {key.rpartition(":")[2].lower(): value for key, value in attributes.items()})
        self._text.clear()

    def _end(self, tag: str) -> None:
        name = self._path.pop()
        if name == "TD":
            self._row.append("".join(self._text))
            self._text.clear()
            return
        handler = _ENDS.get(name)
        if handler is not None:
            handler(self)
        self._text.clear()

    def _said(self) -> str:
        return re.sub(r"\s+", " ", "".join(self._text)).strip()

    def resource(self, attributes: dict[str, str]) -> None:
        kind, utype, identifier, name = (attributes.get(key, "") for key in ("type", "utype", "id", "name"))
        resource = Resource(type=kind, utype=utype, ID=identifier, name=name)
        self._resources[-1].resources.append(resource)
        self._resources.append(resource)

    def end_resource(self) -> None:
        self._resources.pop()

    def info(self, attributes: dict[str, str]) -> None:
        self._info = Info(attributes.get("name", ""), attributes.get("value", ""))
        self._resources[-1].infos.append(self._info)

    def end_info(self) -> None:
        if self._info is not None:
            self._info.text = self._said()
        self._info = None

    def table(self, attributes: dict[str, str]) -> None:
        name, identifier, ref = (attributes.get(key, "") for key in ("name", "id", "ref"))
        self._table = Table(name=name, ID=identifier, ref=ref)
        self._resources[-1].tables.append(self._table)

    def end_table(self) -> None:
        self._table = None

    def group(self, attributes: dict[str, str]) -> None:
        self._groups.append(attributes.get("name", ""))
        if self._table is None:
            self._resources[-1].groups.setdefault(self._groups[-1], [])

    def end_group(self) -> None:
        self._groups.pop()

    def field(self, attributes: dict[str, str]) -> None:
        self._field = _field(attributes)
        if self._table is not None:
            if len(self._table.fields) >= _COLUMNS:
                raise ProtocolError(f"the table has more than {_COLUMNS} columns", url=self.url)
            self._table.fields.append(self._field)

    def param(self, attributes: dict[str, str]) -> None:
        self._field = _field(attributes)
        if self._table is not None:
            self._table.params.append(self._field)
        elif self._groups:
            self._resources[-1].groups[self._groups[-1]].append(self._field)
        else:
            self._resources[-1].params.append(self._field)

    def end_field(self) -> None:
        self._field = None

    def values(self, attributes: dict[str, str]) -> None:
        if self._field is not None and self._field.null is None:
            self._field.null = attributes.get("null")

    def least(self, attributes: dict[str, str]) -> None:
        if self._field is not None:
            self._field.least = attributes.get("value")

    def most(self, attributes: dict[str, str]) -> None:
        if self._field is not None:
            self._field.most = attributes.get("value")

    def option(self, attributes: dict[str, str]) -> None:
        if self._field is not None:
            self._field.options.append((attributes.get("value", ""), attributes.get("name", "")))

    def data(self, attributes: dict[str, str]) -> None:
        if self._table is not None and not self._table.form:
            self._table.form = self._path[-1]

    def row(self, attributes: dict[str, str]) -> None:
        self._row = []

    def end_row(self) -> None:
        if self._table is not None:
            self._table.rows.append(self._row)

    def stream(self, attributes: dict[str, str]) -> None:
        if "href" in attributes:
            raise ProtocolError(
                "the rows of the table lie elsewhere, which is not followed", url=self.url, found="STREAM with href"
            )
        if self._table is not None:
            self._table.encoding = attributes.get("encoding", "")

    def end_stream(self) -> None:
        if self._table is not None:
            self._table.stream.extend(self._text)

    def end_description(self) -> None:
        place = self._path[-1] if self._path else ""
        owner: Any = {"FIELD": self._field, "PARAM": self._field, "TABLE": self._table}.get(place)
        if place in ("RESOURCE", "VOTABLE"):
            owner = self._resources[-1]
        if owner is not None and not owner.description:
            owner.description = self._said()


def _field(attributes: dict[str, str]) -> Field:
    words = ("name", "ID", "datatype", "arraysize", "xtype", "unit", "ucd", "utype", "ref")
    field = Field(value=attributes.get("value"))
    for word in words:
        setattr(field, word, attributes.get(word.lower(), "").strip())
    return field


_STARTS = {
    "RESOURCE": _Reader.resource, "INFO": _Reader.info, "TABLE": _Reader.table, "GROUP": _Reader.group,
    "FIELD": _Reader.field, "PARAM": _Reader.param, "VALUES": _Reader.values, "MIN": _Reader.least,
    "MAX": _Reader.most, "OPTION": _Reader.option, "TABLEDATA": _Reader.data, "BINARY": _Reader.data,
    "BINARY2": _Reader.data, "FITS": _Reader.data, "TR": _Reader.row, "STREAM": _Reader.stream,
}  # fmt: skip
_ENDS = {
    "RESOURCE": _Reader.end_resource, "INFO": _Reader.end_info, "TABLE": _Reader.end_table, "GROUP": _Reader.end_group,
    "FIELD": _Reader.end_field, "PARAM": _Reader.end_field, "TR": _Reader.end_row, "STREAM": _Reader.end_stream,
    "DESCRIPTION": _Reader.end_description,
}  # fmt: skip
