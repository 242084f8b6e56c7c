"""Tables on their way out: small answers in one piece, long ones in a stream."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping

from starlette.responses import Response, StreamingResponse

from emberline.vo.server.votable import MEDIA_TYPE, Batch, Limited, Serialization, TableDocument, write_votable

__all__ = ["stream_answer", "table_answer"]

_SMALL = 200
"""Rows; the answer to most cones is not worth a stream."""


def table_answer(
    document: TableDocument,
    batches: Iterable[Batch],
    limit: int | None,
    *,
    serialization: Serialization = "tabledata",
    media_type: str = MEDIA_TYPE,
    whole: bool = False,
    overflow: Callable[[], bool] | None = None,
) -> Response:
    """A VOTable with the rows of `batches` up to `limit`; with `whole` no batch is cut.

    `overflow` says after the last batch whether there were more rows, where whoever makes the batches has cut them.
    """
    # What fails at once is an error of its own; only what fails later is told behind the rows.
    rest = iter(batches)
    first = list(itertools.islice(rest, 1))
    rows = Limited(itertools.chain(first, rest), limit, whole=whole, more=overflow)
    pieces = write_votable(document, rows, serialization)
    start = [next(pieces), next(pieces)]
    if rows.rows < _SMALL:
        start += itertools.islice(pieces, 1)
    last = start[-1].endswith(b"</VOTABLE>\n")
    if last:
        return Response(b"".join(start), media_type=media_type)
    return stream_answer(itertools.chain(start, pieces), media_type)


def stream_answer(pieces: Iterator[bytes], media_type: str, *, headers: Mapping[str, str] | None = None) -> Response:
    """An answer of unknown length, in pieces that a thread makes one at a time."""
    return StreamingResponse(pieces, media_type=media_type, headers=dict(headers or {}))
