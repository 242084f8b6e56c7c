"""Simple Spectral Access 1.1 (https://www.ivoa.net/documents/SSA/): the spectra of one archive."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from emberline.vo.server._answers import table_answer
from emberline.vo.server._descriptors import datalink_service, soda_service
from emberline.vo.server._ssa_columns import Access, constants, plain_columns, ssa_batch, ssa_columns
from emberline.vo.server._ssa_query import INPUTS, conditions, cone_of, top
from emberline.vo.server.dali import (
    Call,
    DaliError,
    Endpoint,
    at_most,
    maximum_rows,
    one_of,
    single,
    usage,
    votable_refusal,
)
from emberline.vo.server.database import Catalogues, ShelfTable, catalogues_of
from emberline.vo.server.spectrum_files import FORMATS, SpectrumFormat, spectrum_address
from emberline.vo.server.votable import Info, Param, TableDocument

if TYPE_CHECKING:
    from emberline.vo.server.published import Published, PublishedArchive

__all__ = ["DEFAULT_ROWS", "MOST_ROWS", "routes"]

DEFAULT_ROWS = 100_000
"""MAXREC where it is not given."""
MOST_ROWS = 10_000_000
_PROTOCOL = Info("SERVICE_PROTOCOL", "1.1", "SSAP")


def routes(published: Published) -> list[BaseRoute]:
    """The routes of SSAP: ``/<name>/ssa`` for each published archive."""
    service = _Service(published, catalogues_of(published))
    endpoint = Endpoint(service.answer, votable_refusal(_PROTOCOL, status=200), service.quick)
    return [Route("/{name}/ssa", endpoint.answer, methods=["GET", "POST"])]


@dataclasses.dataclass(frozen=True)
class _Service:
    published: Published
    catalogues: Catalogues

    def quick(self, call: Call) -> bool:
        """Whether it is a small cone on a table that is open."""
        item = self.published.by_name(call.name)
        small = at_most(call.parameters, "SIZE", 4.0) and len(call.parameters.all("POS")) == 1
        return small and item is not None and not call.parameters.all("FORMAT") and self.catalogues.ready(item)

    def answer(self, call: Call) -> Response:
        """The answer to one query."""
        item = archive_of(self.published, call.name)
        one_of("REQUEST", single(call.parameters, "REQUEST") or "queryData", ("queryData",))
        version = single(call.parameters, "VERSION")
        if version is not None and version not in ("1", "1.0", "1.1"):
            raise usage("VERSION", version, "1.1")
        wanted = single(call.parameters, "FORMAT") or "ALL"
        cone, keep = cone_of(call.parameters), conditions(call.parameters, item.publication)
        limit = maximum_rows(call.parameters, DEFAULT_ROWS, MOST_ROWS)
        best = top(call.parameters)
        table = self.catalogues.table(item)
        if wanted.lower() == "metadata":
            return table_answer(metadata_document(_document(item, call.base, table)), [], None)
        offered = _format(wanted)
        document = _document(item, call.base, table, offered)
        if offered is None:
            return table_answer(document, [], None)
        access = _access(item, call.base, offered)
        found = table.search(cone, keep)
        if offered.name == "native":
            found = self._with_source(item, found)
        if best is not None:
            found = _first(found, best)
        return table_answer(document, (ssa_batch(rows, access) for rows in found), limit)

    def _with_source(self, item: PublishedArchive, found: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for rows in found:
            names = rows.column("identifier").to_pylist()
            yield rows.filter(pa.array([self.catalogues.source(item, name) is not None for name in names]))


def archive_of(published: Published, name: str) -> PublishedArchive:
    """The published archive of this name."""
    for item in published.archives:
        if item.name == name:
            return item
    raise DaliError("There is no such archive here.", 404, "NotFoundFault")


def _first(batches: Iterator[pa.RecordBatch], count: int) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield batch.slice(0, count)
        count -= batch.num_rows
        if count <= 0:
            return


def _format(text: str) -> SpectrumFormat | None:
    """The first of the wanted formats that is offered; None when none of them is."""
    words = {
        "all": "fits",
        "compliant": "fits",
        "fits": "fits",
        "votable": "votable",
        "native": "native",
        "graphic": "png",
    }
    for item in text.lower().split(","):
        key = item.strip().replace(" ", "")
        name = words.get(key) or next((form.name for form in FORMATS.values() if key in form.media_types), None)
        if name is not None:
            return FORMATS[name]
        if key != "xml" and "/" not in key:
            raise usage(
                "FORMAT", item.strip(), "ALL, COMPLIANT, NATIVE, GRAPHIC, FITS, VOTABLE, METADATA or a media type"
            )
    return None


@functools.lru_cache(maxsize=64)
def _access(item: PublishedArchive, base: str, form: SpectrumFormat) -> Access:
    address = spectrum_address(base, item.name, form)
    return Access(item.publication, address, form.media_type, form.bytes_per_pixel, form.bytes_in_all)


@functools.lru_cache(maxsize=64)
def _document(
    item: PublishedArchive, base: str, table: ShelfTable, form: SpectrumFormat | None = None
) -> TableDocument:
    publication = item.publication
    return TableDocument(
        ssa_columns(table),
        name="spectra",
        description=f"Spectra of {publication.title}",
        about=f"{publication.title}: {publication.description}",
        infos=(
            _PROTOCOL,
            Info("standardID", "ivo://ivoa.net/std/SSA"),
            Info("publisher", publication.publisher),
            Info("citation", publication.citation),
        ),
        constants=constants(publication),
        ids={"pubdid": "pubdid"},
        plain=plain_columns(table, _access(item, base, form)) if form else frozenset(),
        services=(datalink_service(item, base, "pubdid"), soda_service(item, base, ref="pubdid")),
    )


def metadata_document(document: TableDocument) -> TableDocument:
    """The same without rows, and with the inputs and outputs of the service as parameters."""
    outputs = tuple(
        Param(
            f"OUTPUT:{column.name}",
            "",
            column.datatype,
            column.arraysize,
            column.unit,
            column.ucd,
            column.utype,
            column.xtype,
            column.description,
        )
        for column in document.columns
    )
    return dataclasses.replace(document, params=(*INPUTS, *outputs))
