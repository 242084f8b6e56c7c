"""Tables that a query names by their addresses: fetched from public hosts only, within limits of size and time."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Iterator
from typing import IO

from emberline import __version__
from emberline.addresses import AddressError, is_public, lookup, web_address

__all__ = ["FetchError", "fetch"]

_HOPS = 4
_CHUNK = 1 << 16
_SPOOLED = 1 << 20
_REDIRECTS = (301, 302, 303, 307, 308)


class FetchError(Exception):
    """Why something was not fetched, for whoever asked."""


def fetch(url: str, *, limit: int, seconds: float) -> IO[bytes]:
    """What lies at an address, as a file to be closed.

    Each redirection is held to the same rules. The host is looked up once, and the connection made to what was found.

    Raises
    ------
    FetchError
        It is no public address of http or https, does not answer in time, or has more than `limit` bytes.
    """
    end = time.monotonic() + seconds
    try:
        for _ in range(_HOPS):
            with _asked(url, end) as answer:
                if answer.status not in _REDIRECTS:
                    return _body(answer, limit)
                url = urllib.parse.urljoin(url, answer.getheader("Location", ""))
    except (OSError, http.client.HTTPException, ValueError) as error:
        text = "it took too long" if time.monotonic() >= end else type(error).__name__
        raise FetchError(f"the address does not answer ({text})") from None
    raise FetchError("the address leads on to others too often")


@contextlib.contextmanager
def _asked(url: str, end: float) -> Iterator[http.client.HTTPResponse]:
    """The answer to a request; at the moment `end` the connection is cut, whatever it waits for."""
    try:
        place = web_address(url)
    except AddressError as error:
        raise FetchError(f"the address {error}") from None
    if not url.isascii():
        raise FetchError("the address has characters that are not ASCII")
    parts, host, port, secure = urllib.parse.urlsplit(url), place.host, place.port, place.scheme == "https"
    with contextlib.closing(_connected(host, port, end)) as plain:
        timer = threading.Timer(max(end - time.monotonic(), 0), _cut, [plain])
        timer.daemon = True
        timer.start()
        try:
            connection = http.client.HTTPConnection(host, port)
            connection.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=host) if secure else plain
            path = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
            headers = {"User-Agent": f"Emberline/{__version__} (TAP upload)", "Connection": "close"}
            connection.request("GET", path, headers=headers)
            with contextlib.closing(connection), contextlib.closing(connection.getresponse()) as answer:
                yield answer
        finally:
            timer.cancel()


def _cut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _connected(host: str, port: int, end: float) -> socket.socket:
    try:
        found = lookup(host, port, is_public)
    except AddressError:
        raise FetchError("only tables on public hosts are fetched") from None
    except OSError:
        raise FetchError("there is no such host") from None
    address = str(found[0][1][0])
    return socket.create_connection((address, port), timeout=max(min(end - time.monotonic(), 10), 0.01))


def _body(answer: http.client.HTTPResponse, limit: int) -> IO[bytes]:
    if answer.status != 200:
        raise FetchError(f"the address answers with the status {answer.status}")
    file = tempfile.SpooledTemporaryFile(_SPOOLED)  # noqa: SIM115
    try:
        size = 0
        while chunk := answer.read1(_CHUNK):
            size += len(chunk)
            if size > limit:
                raise FetchError(f"there are more than {limit} bytes")
            file.write(chunk)
        if answer.length:  # what was announced has not come
            raise FetchError("the address has stopped answering")
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file
