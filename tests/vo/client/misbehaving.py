"""A server on this machine that misbehaves in every way a service can, each fault at its own path, all of them counted.

``/503`` always answers 503; any path does after ``server.fault = "503"``. What behaves well is put there by `serve`.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import gzip
import http.server
import socket
import struct
import threading
import urllib.parse
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

VOTABLE = "application/x-votable+xml"
GOOD = b"""<?xml version="1.0" encoding="UTF-8"?>
<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE type="results">
<INFO name="QUERY_STATUS" value="OK"/><TABLE>
<FIELD name="name" datatype="char" arraysize="*"/><FIELD name="ra" datatype="double" unit="deg"/>
<DATA><TABLEDATA><TR><TD>omi And</TD><TD>345.48</TD></TR></TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"""
REFUSAL = b"""<?xml version="1.0"?><VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">
<RESOURCE type="results"><INFO name="QUERY_STATUS" value="ERROR">Unknown column "raa" &amp; no more</INFO>
</RESOURCE></VOTABLE>"""
BOMB = b"""<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;">]><VOTABLE>&d;</VOTABLE>"""
EXTERNAL = b"""<?xml version="1.0"?><!DOCTYPE v [<!ENTITY x SYSTEM "file:///etc/passwd">]><VOTABLE>&x;</VOTABLE>"""
LYING = GOOD.replace(b'name="ra" datatype="double"', b'name="ra" datatype="int"').replace(b"345.48", b"no number")
EXTRA_CELLS = GOOD.replace(b"<TD>345.48</TD>", b"<TD>345.48</TD><TD>1</TD><TD>2</TD>")
OTHER_COLUMNS = GOOD.replace(b'name="ra"', b'name="raj2000_of_something_else"')
PAGE = b"""<html><head><title>Down</title></head>
<body><h1>Service under maintenance</h1><p>Back on Monday.</p></body></html>"""


@dataclass(frozen=True)
class Request:
    """One request as it came in."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes


@dataclass
class Served:
    """What a path answers when it behaves."""

    body: bytes
    media_type: str = VOTABLE
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class Misbehaving:
    """The server; a context manager.

    Attributes
    ----------
    fault : str or None
        While it names one of `FAULTS`, every path shows that fault.
    requests : list of Request
        What was asked, in order.
    """

    def __init__(self) -> None:
        self.fault: str | None = None
        self.requests: list[Request] = []
        self.connections = 0
        self.ended = threading.Event()
        self._served: dict[str, Served | Callable[[Request], Served]] = {"/good": Served(GOOD)}
        self._lock = threading.Lock()
        self._counts: collections.Counter[str] = collections.Counter()

    def __enter__(self) -> Misbehaving:
        owner = self

        class Handler(_Handler):
            server_of_faults = owner

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        """The port that the system chose."""
        return int(self._server.server_address[1])

    @property
    def host(self) -> str:
        """``127.0.0.1:port``, as `allow` takes it."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://{self.host}"

    def serve(
        self,
        path: str,
        body: bytes | Callable[[Request], Served],
        media_type: str = VOTABLE,
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> str:
        """Answer at `path` with a body, or with what a function makes of the request; returns the address."""
        self._served[path] = body if callable(body) else Served(body, media_type, status, headers or {})
        return self.url + path

    def count(self, path: str | None = None) -> int:
        """How often a path, or anything, was asked."""
        with self._lock:
            return self._counts[path] if path is not None else sum(self._counts.values())

    def note(self, request: Request) -> int:
        """Write a request down; returns how often its path has now been asked."""
        with self._lock:
            self.requests.append(request)
            self._counts[request.path] += 1
            return self._counts[request.path]

    def served(self, request: Request) -> Served:
        """What behaves well at this path."""
        found = self._served.get(request.path, Served(b"nothing here", "text/plain", 404))
        return found(request) if callable(found) else found


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is expected here."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_of_faults: Misbehaving

    def setup(self) -> None:
        super().setup()
        self.server_of_faults.connections += 1

    def _handle(self) -> None:
        parts = urllib.parse.urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        query = urllib.parse.parse_qs(parts.query, keep_blank_values=True)
        request = Request(self.command, parts.path, query, dict(self.headers.items()), body)
        number = self.server_of_faults.note(request)
        name = self.server_of_faults.fault or parts.path.strip("/")
        with contextlib.suppress(OSError):
            if name in FAULTS:
                FAULTS[name](self, number)
            else:
                served = self.server_of_faults.served(request)
                self.answer(served.body, served.media_type, served.status, served.headers)

    do_GET = do_POST = do_HEAD = do_DELETE = do_PUT = _handle  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def answer(
        self, body: bytes, media_type: str = VOTABLE, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        """A whole answer; a header given as empty is left out."""
        self.send_response(status)
        for name, value in {"Content-Type": media_type, "Content-Length": str(len(body)), **(headers or {})}.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def wait(self, seconds: float) -> bool:
        """Wait, but not longer than the server lives."""
        return self.server_of_faults.ended.wait(seconds)


def _slow(handler: _Handler, _: int) -> None:
    handler.close_connection = True
    handler.wait(60)


def _drip(handler: _Handler, _: int) -> None:
    """One byte now and then, for ever: each is in time, the whole is not."""
    handler.close_connection = True
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    while not handler.wait(0.05):
        handler.wfile.write(b"<")
        handler.wfile.flush()


def _drip_headers(handler: _Handler, _: int) -> None:
    handler.close_connection = True
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while not handler.wait(0.05):
        handler.wfile.write(b"a")
        handler.wfile.flush()


def _truncated(handler: _Handler, _: int) -> None:
    handler.close_connection = True
    handler.answer(GOOD[:200], headers={"Content-Length": str(len(GOOD))})


def _truncated_chunks(handler: _Handler, _: int) -> None:
    handler.close_connection = True
    handler.answer(b"", headers={"Content-Length": "", "Transfer-Encoding": "chunked"})
    handler.wfile.write(b"%x\r\n%s\r\n" % (200, GOOD[:200]))


def _truncated_gzip(handler: _Handler, _: int) -> None:
    packed = gzip.compress(GOOD)
    handler.answer(packed[: len(packed) // 2], headers={"Content-Encoding": "gzip"})


def _flaky_truncated(handler: _Handler, number: int) -> None:
    (_truncated if number == 1 else _good)(handler, number)


def _good(handler: _Handler, _: int) -> None:
    handler.answer(GOOD)


def _gzip(handler: _Handler, _: int) -> None:
    half = len(GOOD) // 2
    handler.answer(gzip.compress(GOOD[:half]) + gzip.compress(GOOD[half:]), headers={"Content-Encoding": "gzip"})


def _deflate(handler: _Handler, _: int) -> None:
    packer = zlib.compressobj(wbits=-15)
    handler.answer(packer.compress(GOOD) + packer.flush(), headers={"Content-Encoding": "deflate"})


def _huge(handler: _Handler, _: int) -> None:
    """A terabyte, by its own account."""
    handler.close_connection = True
    handler.answer(b"<", headers={"Content-Length": str(10**12)})


def _endless(handler: _Handler, _: int) -> None:
    handler.close_connection = True
    handler.answer(b"", headers={"Content-Length": "", "Transfer-Encoding": "chunked"})
    piece = b"%x\r\n%s\r\n" % (1 << 16, b" " * (1 << 16))
    while not handler.server_of_faults.ended.is_set():
        handler.wfile.write(piece)


@functools.cache
def _bomb() -> bytes:
    """A hundred kilobytes that become a hundred megabytes."""
    packer = zlib.compressobj(1, wbits=31)
    block = bytes(1 << 20)
    return b"".join(packer.compress(block) for _ in range(100)) + packer.flush()


def _gzip_bomb(handler: _Handler, _: int) -> None:
    handler.answer(_bomb(), headers={"Content-Encoding": "gzip"})


def _redirect(target: str) -> Callable[[_Handler, int], None]:
    def fault(handler: _Handler, number: int) -> None:
        here = handler.server_of_faults
        handler.answer(b"", status=302, headers={"Location": target.format(port=here.port, number=number)})

    return fault


def _status(
    status: int, body: bytes = PAGE, kind: str = "text/html", after: str = ""
) -> Callable[[_Handler, int], None]:
    def fault(handler: _Handler, _: int) -> None:
        handler.answer(body, kind, status, {"Retry-After": after})

    return fault


def _says(body: bytes, kind: str = VOTABLE, **headers: str) -> Callable[[_Handler, int], None]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler, _: handler.answer(body, kind, headers=named)


def _flaky(handler: _Handler, number: int) -> None:
    """Fails twice, then behaves."""
    if number <= 2:
        _status(503, after="0")(handler, number)
    else:
        handler.answer(GOOD)


def _reset(handler: _Handler, _: int) -> None:
    handler.close_connection = True
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def _no_answer(handler: _Handler, _: int) -> None:
    handler.close_connection = True


def _no_http(handler: _Handler, _: int) -> None:
    handler.close_connection = True
    handler.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n")


FAULTS: dict[str, Callable[[_Handler, int], None]] = {
    "slow": _slow,
    "drip": _drip,
    "drip-headers": _drip_headers,
    "truncated": _truncated,
    "truncated-chunks": _truncated_chunks,
    "truncated-gzip": _truncated_gzip,
    "flaky-truncated": _flaky_truncated,
    "huge": _huge,
    "endless": _endless,
    "gzip": _gzip,
    "deflate": _deflate,
    "gzip-bomb": _gzip_bomb,
    "bad-gzip": _says(b"no gzip at all", Content_Encoding="gzip"),
    "unknown-encoding": _says(GOOD, Content_Encoding="br"),
    "wrong-type": _says(PAGE, "text/html"),
    "empty": _says(b"", VOTABLE),
    "no-xml": _says(b"\x89PNG\r\n\x1a\n", VOTABLE),
    "xml-bomb": _says(BOMB),
    "xml-bomb-utf16": _says(BOMB.replace(b'"1.0"', b'"1.0" encoding="UTF-16"', 1).decode().encode("utf-16")),
    "xml-external": _says(EXTERNAL, "text/plain"),
    "lying-columns": _says(LYING),
    "extra-cells": _says(EXTRA_CELLS),
    "other-columns": _says(OTHER_COLUMNS),
    "refusal": _says(REFUSAL),
    "redirect": _redirect("/good"),
    "redirect-local": _redirect("http://localhost:{port}/good"),
    "redirect-metadata": _redirect("http://169.254.169.254/latest/meta-data/"),
    "redirect-file": _redirect("file:///etc/passwd"),
    "redirect-user": _redirect("http://user:secret@127.0.0.1:{port}/good"),
    "redirect-loop": _redirect("/redirect-loop?again={number}"),
    "400": _status(400, REFUSAL, VOTABLE),
    "404": _status(404),
    "500": _status(500),
    "500-refusal": _status(500, REFUSAL, VOTABLE),
    "502": _status(502),
    "503": _status(503),
    "503-later": _status(503, after="3600"),
    "504": _status(504),
    "429": _status(429, b"Slow down, please", "text/plain", "0"),
    "429-later": _status(429, b"Slow down, please", "text/plain", "3600"),
    "no-store": _says(GOOD, Cache_Control="private, no-store"),
    "no-cache": _says(GOOD, Cache_Control="no-cache"),
    "cookie": _says(GOOD, Set_Cookie="JSESSIONID=1; Path=/"),
    "flaky": _flaky,
    "reset": _reset,
    "no-answer": _no_answer,
    "no-http": _no_http,
}  # fmt: skip
"""What can be wrong, by the name that is its path."""
