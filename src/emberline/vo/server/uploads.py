"""Tables that users send with a query: taken from the request within limits, one multipart part for each."""

from __future__ import annotations

import contextlib
import io
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from typing import IO

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from emberline.vo.server._requests import (
    MAX_PARAMETERS,
    Parameters,
    RequestError,
    address_items,
    checked,
    read_parameters,
)
from emberline.vo.server._tap_query import TapQuery, Upload
from emberline.vo.server._upload_fetch import FetchError, fetch
from emberline.vo.server._votable_reader import read_votable
from emberline.vo.server.adql.tables import Table
from emberline.vo.server.dali import DaliError
from emberline.vo.server.tap_limits import LIMITS

__all__ = ["TapParameters", "read_tap_parameters", "uploaded_tables"]

_ENVELOPE = 1 << 20
"""Bytes that a request may have beside its tables."""
_MOST_FILES = 100
_FIELD = 8 << 20
"""Bytes of a table that is sent like a text, without the name of a file: it waits in memory."""


class TapParameters(Parameters):
    """The parameters of a request, and the files that came with them.

    Attributes
    ----------
    files : dict of str to binary file
        By the exact names of their parts; `close` them.
    """

    def __init__(self, items: Iterable[tuple[str, str]] = (), files: Mapping[str, IO[bytes]] | None = None) -> None:
        super().__init__(items)
        self.files = dict(files or {})

    def close(self) -> None:
        """Close the files; those that are on disk are gone then."""
        for file in self.files.values():
            file.close()


async def read_tap_parameters(request: Request) -> TapParameters:
    """The parameters in the address and the body; tables may come as parts of a multipart body.

    Raises
    ------
    RequestError
        There is too much of something, or the body is something else.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if request.method == "POST" and kind == "multipart/form-data":
        return await _read_multipart(request)
    found = (await read_parameters(request)).rest()
    return TapParameters((name, value) for name, values in found.items() for value in values)


async def _read_multipart(request: Request) -> TapParameters:
    body = _within(request, LIMITS.upload_bytes + _ENVELOPE)
    parser = MultiPartParser(
        request.headers, body, max_files=_MOST_FILES, max_fields=MAX_PARAMETERS, max_part_size=_FIELD
    )
    try:
        parts = (await parser.parse()).multi_items()
    except MultiPartException as error:
        raise RequestError(400, error.message) from None
    files: dict[str, IO[bytes]] = {name: part.file for name, part in parts if isinstance(part, UploadFile)}
    items = [(name, part) for name, part in parts if isinstance(part, str)]
    try:
        wanted = {
            item.partition(":")[2].strip()
            for name, text in items
            if name.upper() == "UPLOAD"
            for item in text.split(";")
        }
        for name, text in items:
            if name in wanted:
                files[name] = io.BytesIO(text.encode())
        found = checked(address_items(request) + [item for item in items if item[0] not in wanted])
    except BaseException as error:
        TapParameters((), files).close()
        if isinstance(error, DaliError):
            raise RequestError(error.status, error.message) from None
        raise
    return TapParameters(((name, value) for name, values in found.rest().items() for value in values), files)


async def _within(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise RequestError(413, f"the request is too large (expected at most {limit} bytes)")
        yield chunk


def uploaded_tables(asked: TapQuery, files: Mapping[str, IO[bytes]]) -> list[Table]:
    """The tables that a query wants to read, beneath ``tap_upload``.

    Raises
    ------
    DaliError
        One is missing, is too large, or is not a VOTable.
    """
    left, found = LIMITS.upload_bytes, []
    for upload in asked.uploads:
        with _opened(upload, files, left) as file:
            left -= file.seek(0, io.SEEK_END)
            if left < 0:
                raise DaliError(f"UPLOAD: the tables are too large (expected at most {LIMITS.upload_bytes} bytes)", 413)
            file.seek(0)
            found.append(read_votable(file, upload.name))
    return found


@contextlib.contextmanager
def _opened(upload: Upload, files: Mapping[str, IO[bytes]], limit: int) -> Iterator[IO[bytes]]:
    if upload.url:
        try:
            with fetch(upload.url, limit=limit, seconds=LIMITS.fetch_seconds) as file:
                yield file
        except FetchError as error:
            raise DaliError(f"UPLOAD: {upload.name}: {error}") from None
        return
    file_or_none = files.get(upload.part)
    if file_or_none is None:
        raise DaliError(f"UPLOAD: the request has no part {upload.part[:60]!r} with the table {upload.name}")
    yield file_or_none
