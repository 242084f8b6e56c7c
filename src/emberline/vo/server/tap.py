"""Table Access Protocol 1.1 (https://www.ivoa.net/documents/TAP/): queries in ADQL on all that is published."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from emberline.vo.server._answers import stream_answer
from emberline.vo.server._tap_async import async_routes
from emberline.vo.server._tap_query import Answer, TapQuery, read_query, start_query, translated
from emberline.vo.server.adql import AdqlError
from emberline.vo.server.dali import Call, DaliError, Endpoint, votable_refusal
from emberline.vo.server.database import Catalogues, catalogues_of
from emberline.vo.server.tap_limits import LIMITS
from emberline.vo.server.uploads import TapParameters, read_tap_parameters, uploaded_tables

if TYPE_CHECKING:
    from emberline.vo.server.published import Published

__all__ = ["routes"]

_AT_ONCE = 1 << 16
"""Bytes up to which an answer is sent whole."""
_FEW = 2000
"""Characters of a query that is understood within a millisecond or two."""
_NEAR = 2.0
"""Degrees; such a cone holds few rows."""
_SLOW = ("fits", "parquet")


def routes(published: Published) -> list[BaseRoute]:
    """The routes of TAP but for those that VOSI shares with all services."""
    service = _Service(catalogues_of(published))
    sync = Endpoint(service.sync, votable_refusal(), service.quick, read_tap_parameters)
    home = Endpoint(service.home, votable_refusal())
    return [
        Route("/tap", home.answer, methods=["GET"]),
        Route("/tap/", home.answer, methods=["GET"]),
        Route("/tap/sync", sync.answer, methods=["GET", "POST"]),
        *async_routes(published),
    ]


class _Service:
    def __init__(self, catalogues: Catalogues) -> None:
        self._catalogues = catalogues
        self._places = threading.BoundedSemaphore(LIMITS.sync_queries)

    def home(self, call: Call) -> Response:
        """For people who open the service's address in a browser."""
        return RedirectResponse(f"{call.base}/tap/examples", 303)

    def quick(self, call: Call) -> bool:
        """Whether it is a small cone on a table that is open, asked for in few words, and a VOTable or text wanted."""
        try:
            asked = read_query(call.parameters)
            if asked.uploads or len(asked.query) > _FEW or asked.limit == 0 or asked.format.name in _SLOW:
                return False
            schema = self._catalogues.runner(call.base).schema
            cone = translated(asked.query, schema, asked.limit + 1).cone
        except (AdqlError, DaliError):
            return False
        return cone is not None and cone.radius <= _NEAR and self._catalogues.ready_named(cone.table.name)

    def sync(self, call: Call) -> Response:
        """The answer to a query, while its client waits."""
        parameters = call.parameters
        assert isinstance(parameters, TapParameters)
        try:
            asked = read_query(parameters)
            pieces = self._pieces(call, asked, parameters)
            first = next(pieces)
        finally:
            parameters.close()
        return _response(first, pieces, asked)

    def _pieces(self, call: Call, asked: TapQuery, parameters: TapParameters) -> Iterator[bytes]:
        """The answer; it holds its place until it has left, or nobody wants it any more."""
        if not self._places.acquire(timeout=LIMITS.sync_patience_seconds):
            raise DaliError("Too many queries are being answered. Try again, or ask asynchronously.", 503, "Transient")
        try:
            answer = self._start(call, asked, parameters)
            try:
                yield from answer.pieces()
            finally:
                answer.close()
        except AdqlError as error:
            raise DaliError(str(error)) from None
        finally:
            self._places.release()

    def _start(self, call: Call, asked: TapQuery, parameters: TapParameters) -> Answer:
        tables = uploaded_tables(asked, parameters.files)
        runner = self._catalogues.runner(call.base)
        return start_query(asked, runner, tables, seconds=LIMITS.sync_seconds, shelf=self._catalogues.table_named)


def _response(first: bytes, pieces: Iterator[bytes], asked: TapQuery) -> Response:
    """A short answer in one piece, a long one in a stream."""
    start, size, whole = [first], len(first), False
    while size < _AT_ONCE and not whole:
        piece = next(pieces, None)
        whole = piece is None
        start.append(piece or b"")
        size += len(start[-1])
    if whole:
        return Response(b"".join(start), media_type=asked.media_type, headers=_headers(asked))
    return stream_answer(itertools.chain(start, pieces), asked.media_type, headers=_headers(asked))


def _headers(asked: TapQuery) -> dict[str, str]:
    return {"Content-Disposition": f'inline; filename="result.{asked.format.extension}"'}
