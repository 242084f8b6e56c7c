"""Simple Image Access 2.0 (https://www.ivoa.net/documents/SIA/): all archives, described by ObsCore.

A spectrum is an image of one axis in the protocol's own terms, so that spectra are listed, as what they are: their
``dataproduct_type`` is ``spectrum``. A client that wants pictures of the sky asks for ``DPTYPE=image`` and gets none.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from emberline.vo.server._answers import table_answer
from emberline.vo.server._sia_query import condition
from emberline.vo.server.adql._error import AdqlError
from emberline.vo.server.dali import Call, DaliError, Endpoint, maximum_rows, response_format, votable_refusal
from emberline.vo.server.database import Catalogues, catalogues_of
from emberline.vo.server.obscore import OBSCORE_UTYPE
from emberline.vo.server.votable import MEDIA_TYPE, Info, TableDocument

if TYPE_CHECKING:
    from emberline.vo.server.published import Published

__all__ = ["DEFAULT_ROWS", "MOST_ROWS", "routes"]

DEFAULT_ROWS = 100_000
MOST_ROWS = 10_000_000
_PROTOCOL = Info("standardID", "ivo://ivoa.net/std/SIA#query-2.0")
_FORMATS = {
    "votable": "tabledata",
    MEDIA_TYPE: "tabledata",
    "text/xml": "tabledata",
    f"{MEDIA_TYPE};serialization=tabledata": "tabledata",
    f"{MEDIA_TYPE};serialization=binary2": "binary2",
    "votable/td": "tabledata",
    "votable/b2": "binary2",
}


def routes(published: Published) -> list[BaseRoute]:
    """The routes: ``/sia2`` over everything."""
    service = _Service(published, catalogues_of(published))
    endpoint = Endpoint(service.answer, votable_refusal(_PROTOCOL))
    return [Route("/sia2", endpoint.answer, methods=["GET", "POST"])]


@dataclasses.dataclass(frozen=True)
class _Service:
    published: Published
    catalogues: Catalogues

    def answer(self, call: Call) -> Response:
        """The answer to one query."""
        where = condition(call.parameters)
        kind, media_type = _format(call)
        limit = maximum_rows(call.parameters, DEFAULT_ROWS, MOST_ROWS)
        if not self.published.archives:
            raise DaliError("No archive is published here.", 404, "NotFoundFault")
        query = "SELECT * FROM ivoa.obscore" + (f" WHERE {where}" if where else "")
        try:
            result = self.catalogues.runner(call.base).run(query, maxrec=limit)
        except AdqlError as error:
            raise DaliError(f"The query cannot be answered: {error.message}.") from None
        document = TableDocument(
            result.columns,
            name="obscore",
            description="All published spectra",
            utype=OBSCORE_UTYPE,
            infos=(_PROTOCOL,),
        )
        binary = kind == "binary2"
        return table_answer(
            document,
            result,
            None,
            overflow=lambda: result.overflow,
            serialization="binary2" if binary else "tabledata",
            media_type=media_type or MEDIA_TYPE,
        )


def _format(call: Call) -> tuple[str, str]:
    """RESPONSEFORMAT alone: FORMAT is a condition on what is listed."""
    only = [("RESPONSEFORMAT", text) for text in call.parameters.all("RESPONSEFORMAT")]
    return response_format(type(call.parameters)(only), _FORMATS, "votable")
