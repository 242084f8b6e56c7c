"""VOSI 1.1 (https://www.ivoa.net/documents/VOSI/): is a service up, what can it do, which tables does it have."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from emberline.vo.server._capabilities import item_capabilities, sia_capabilities, tap_capabilities
from emberline.vo.server._markup import Element, element, write
from emberline.vo.server.dali import Call, DaliError, Endpoint, one_of, plain_refusal, single

if TYPE_CHECKING:
    from emberline.vo.server.adql.tables import Column, Key, Schema, Table, TableSet
    from emberline.vo.server.published import Published, PublishedArchive, PublishedCatalogue

__all__ = ["availability_document", "capabilities_document", "item_of", "routes", "table_elements", "tables_document"]

_XML = "text/xml;charset=UTF-8"


def routes(published: Published) -> list[BaseRoute]:
    """The routes of VOSI: for TAP, for SIA 2, and for each published archive or catalogue."""
    service = _Service(published)
    places = {
        "/availability": service.availability,
        "/tap/availability": service.availability,
        "/tap/capabilities": service.tap_capabilities,
        "/tap/tables": service.tap_tables,
        "/tap/tables/{table}": service.tap_table,
        "/sia2/availability": service.availability,
        "/sia2/capabilities": service.sia_capabilities,
        "/{name}/availability": service.item_availability,
        "/{name}/capabilities": service.item_capabilities,
        "/{name}/soda/availability": service.item_availability,
        "/{name}/soda/capabilities": service.item_capabilities,
        "/{name}/tables": service.item_tables,
        "/{name}/tables/{table}": service.item_table,
    }
    return [Route(path, Endpoint(handler, plain_refusal).answer, methods=["GET"]) for path, handler in places.items()]


def item_of(published: Published, name: str) -> PublishedArchive | PublishedCatalogue:
    """What is published under a name; otherwise the refusal."""
    item = published.by_name(name)
    if item is None:
        raise DaliError("Nothing of this name is published here.", 404, "NotFoundFault")
    return item


class _Service:
    def __init__(self, published: Published) -> None:
        self.published = published
        self._since = datetime.datetime.now(datetime.UTC)
        self._documents = functools.lru_cache(maxsize=64)(self._document)

    def availability(self, call: Call) -> Response:
        return _answer(availability_document(self._since))

    def item_availability(self, call: Call) -> Response:
        item_of(self.published, call.name)
        return self.availability(call)

    def tap_capabilities(self, call: Call) -> Response:
        return self._kept("tap", call)

    def sia_capabilities(self, call: Call) -> Response:
        return self._kept("sia", call)

    def item_capabilities(self, call: Call) -> Response:
        item_of(self.published, call.name)
        return self._kept("item", call)

    def tap_tables(self, call: Call) -> Response:
        detail = one_of("detail", single(call.parameters, "DETAIL") or "max", ("min", "max"))
        return self._kept(f"tables-{detail}", call)

    def tap_table(self, call: Call) -> Response:
        return _table_answer(self.published.snapshot().tables(call.base).with_tap_schema(), call)

    def item_tables(self, call: Call) -> Response:
        item = item_of(self.published, call.name)
        detail = one_of("detail", single(call.parameters, "DETAIL") or "max", ("min", "max"))
        return _answer(tables_document(_tables_of(item), columns=detail == "max"))

    def item_table(self, call: Call) -> Response:
        return _table_answer(_tables_of(item_of(self.published, call.name)), call)

    def _kept(self, which: str, call: Call) -> Response:
        return _answer(self._documents(which, call.name, call.base, self.published.snapshot().number))

    def _document(self, which: str, name: str, base: str, number: int) -> bytes:
        """A document that stays as it is until something else is published."""
        snapshot = self.published.snapshot()
        if which == "tap":
            return capabilities_document(tap_capabilities(snapshot, base))
        if which == "sia":
            return capabilities_document(sia_capabilities(base))
        if which == "item":
            return capabilities_document(item_capabilities(item_of(self.published, name), base))
        return tables_document(snapshot.tables(base).with_tap_schema(), columns=which == "tables-max")


def _tables_of(item: PublishedArchive | PublishedCatalogue) -> TableSet:
    from emberline.vo.server.adql.tables import Schema, TableSet

    return TableSet((item.table,), (Schema(item.name, item.publication.title),))


def _answer(document: bytes) -> Response:
    return Response(document, media_type=_XML)


def _table_answer(tables: TableSet, call: Call) -> Response:
    table = tables.by_name.get(str(call.request.path_params["table"]).lower())
    if table is None:
        raise DaliError("There is no such table here.", 404, "NotFoundFault")
    return _answer(write(_table(table, _keys_of(tables, table), columns=True, name="vosit:table")))


def availability_document(since: datetime.datetime) -> bytes:
    """The document ``availability`` of a service that has been up since then."""
    from vo_models.voresource.types import UTCTimestamp
    from vo_models.vosi.availability.models import Availability

    document = Availability(available=True, up_since=UTCTimestamp.fromisoformat(since.isoformat()))
    text = document.to_xml(encoding="UTF-8", xml_declaration=True, skip_empty=True)
    return text if isinstance(text, bytes) else text.encode()


def capabilities_document(capabilities: Sequence[Element]) -> bytes:
    """The document ``capabilities``."""
    return write(element("vosi:capabilities", capabilities))


def tables_document(tables: TableSet, *, columns: bool) -> bytes:
    """The document ``tables``, with or without the columns of each table."""
    return write(element("vosit:tableset", table_elements(tables, columns=columns)))


def table_elements(tables: TableSet, *, columns: bool = True) -> list[Element]:
    """The schemas of a table set as VODataService describes them."""
    return [_schema(tables, schema, columns=columns) for schema in tables.all_schemas()]


def _schema(tables: TableSet, schema: Schema, *, columns: bool) -> Element:
    from emberline.vo.server.adql.tap_schema import written

    mine = [table for table in tables if table.schema_name.lower() == schema.name.lower()]
    return element(
        "schema",
        element("name", written(schema.name)),
        _optional("description", schema.description),
        _optional("utype", schema.utype),
        [_table(table, _keys_of(tables, table), columns=columns) for table in mine],
    )


def _keys_of(tables: TableSet, table: Table) -> list[Key]:
    return [key for key in tables.keys if key.from_table.lower() == table.name.lower()]


def _table(table: Table, keys: Iterable[Key], *, columns: bool, name: str = "table") -> Element:
    from emberline.vo.server.adql.tap_schema import written_table

    return element(
        name,
        element("name", written_table(table)),
        _optional("description", table.description),
        _optional("utype", table.utype),
        element("nrows", str(table.rows)) if table.rows else None,
        [_column(column) for column in table.columns] if columns else None,
        [_key(key) for key in keys] if columns else None,
        attributes={"type": table.kind},
    )


def _column(column: Column) -> Element:
    from emberline.vo.server.adql.tap_schema import written

    kind = element(
        "dataType",
        column.datatype,
        attributes={
            "xsi:type": "vs:VOTableType",
            "arraysize": column.arraysize,
            "extendedType": column.xtype,
        },
    )
    flags = [element("flag", word) for word in ("principal", "indexed", "std") if getattr(column, word)]
    return element(
        "column",
        element("name", written(column.name)),
        _optional("description", column.description),
        _optional("unit", column.unit),
        _optional("ucd", column.ucd),
        _optional("utype", column.utype),
        kind,
        flags,
        attributes={"std": "true" if column.std else "false"},
    )


def _key(key: Key) -> Element:
    pairs = [
        element("fkColumn", element("fromColumn", source), element("targetColumn", target))
        for source, target in key.columns
    ]
    return element(
        "foreignKey",
        element("targetTable", key.target_table),
        pairs,
        _optional("description", key.description),
        _optional("utype", key.utype),
    )


def _optional(name: str, text: str) -> Element | None:
    return element(name, text) if text else None
