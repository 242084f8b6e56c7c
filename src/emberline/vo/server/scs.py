"""Simple Cone Search 1.03 (https://www.ivoa.net/documents/ConeSearch/): the rows of one table near a place."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from emberline.vo.server._answers import table_answer
from emberline.vo.server._descriptors import datalink_service
from emberline.vo.server.adql.tables import Column
from emberline.vo.server.dali import (
    Call,
    DaliError,
    Endpoint,
    Parameters,
    at_most,
    maximum_rows,
    number,
    one_of,
    response_format,
    single,
)
from emberline.vo.server.database import Catalogues, Cone, ShelfTable, catalogues_of
from emberline.vo.server.votable import Info, TableDocument, error_document

if TYPE_CHECKING:
    from emberline.vo.server.published import Published, PublishedArchive, PublishedCatalogue

__all__ = ["DEFAULT_ROWS", "MOST_ROWS", "routes"]

DEFAULT_ROWS = 100_000
MOST_ROWS = 10_000_000
MEDIA_TYPE = "text/xml"
_UCDS = {
    "meta.id;meta.main": "ID_MAIN",
    "pos.eq.ra;meta.main": "POS_EQ_RA_MAIN",
    "pos.eq.dec;meta.main": "POS_EQ_DEC_MAIN",
}
"""Version 1.03 of the protocol asks for these UCDs, of the first kind, by which clients find the columns."""
_SELDOM = ("sha256", "source_file", "ivar_source", "medium", "healpix")
_FORMATS = {
    "votable": "tabledata",
    "text/xml": "tabledata",
    "application/x-votable+xml": "tabledata",
    "application/x-votable+xml;serialization=tabledata": "tabledata",
    "application/x-votable+xml;serialization=binary2": "binary2",
    "votable/td": "tabledata",
    "votable/b2": "binary2",
}


def routes(published: Published) -> list[BaseRoute]:
    """The routes: ``/<name>/scs`` for each published archive and catalogue."""
    service = _Service(published, catalogues_of(published))
    endpoint = Endpoint(service.answer, refuse, service.quick)
    return [Route("/{name}/scs", endpoint.answer, methods=["GET", "POST"])]


def refuse(error: DaliError) -> Response:
    """The protocol's own document: an INFO called Error, with status 200 unless the service itself failed."""
    document = error_document(error.message, outside=(Info("Error", error.message),))
    return Response(document, error.status if error.status >= 500 else 200, media_type=MEDIA_TYPE)


@dataclasses.dataclass(frozen=True)
class _Service:
    published: Published
    catalogues: Catalogues

    def quick(self, call: Call) -> bool:
        """Whether it is a small cone on a table that is open."""
        item = self.published.by_name(call.name)
        return item is not None and at_most(call.parameters, "SR", 2.0) and self.catalogues.ready(item)

    def answer(self, call: Call) -> Response:
        """The rows of one cone."""
        item = self.published.by_name(call.name)
        if item is None:
            raise DaliError("There is no such table here.", 404, "NotFoundFault")
        parameters = call.parameters
        ra, dec = _degrees(parameters, "RA", -360.0, 360.0), _degrees(parameters, "DEC", -90.0, 90.0)
        radius = _degrees(parameters, "SR", 0.0, 180.0)
        verbosity = int(one_of("VERB", single(parameters, "VERB") or "2", ("1", "2", "3")))
        kind, _ = response_format(parameters, _FORMATS, "votable")
        limit = maximum_rows(parameters, DEFAULT_ROWS, MOST_ROWS)
        table = self.catalogues.table(item)
        document = _document(item, call.base, verbosity, table)
        names = [column.name for column in document.columns]
        rows = (batch.select(names) for batch in table.search(Cone(ra % 360.0, dec, radius)))
        binary = kind == "binary2"
        return table_answer(
            document, rows, limit, serialization="binary2" if binary else "tabledata", media_type=MEDIA_TYPE
        )


def _degrees(parameters: Parameters, name: str, least: float, most: float) -> float:
    value = number(parameters, name, least, most)
    if value is None:
        raise DaliError(f"{name}: is missing (expected degrees; a cone search needs RA, DEC and SR)")
    return value


@functools.lru_cache(maxsize=64)
def _document(
    item: PublishedArchive | PublishedCatalogue, base: str, verbosity: int, table: ShelfTable
) -> TableDocument:
    publication = item.publication
    columns = tuple(_shown(column, table.unicode) for column in item.table.columns if _wanted(column, verbosity))
    names = {column.name for column in columns}
    linked = "identifier" if publication.kind == "archive" else "obs_publisher_did"
    return TableDocument(
        columns,
        name=item.table.short_name,
        description=item.table.description,
        about=f"{publication.title}: {publication.description}",
        infos=(Info("publisher", publication.publisher), Info("citation", publication.citation)),
        ids={linked: "linked"},
        plain=frozenset(names) - table.special,
        services=(datalink_service(item, base, "linked"),) if linked in names else (),
    )


def _wanted(column: Column, verbosity: int) -> bool:
    if column.ucd in _UCDS or verbosity == 3:
        return True
    return column.principal if verbosity == 1 else column.name not in _SELDOM


def _shown(column: Column, unicode: frozenset[str]) -> Column:
    wide = column.name in unicode and column.datatype == "char"
    return dataclasses.replace(
        column, ucd=_UCDS.get(column.ucd, column.ucd), datatype="unicodeChar" if wide else column.datatype
    )
