"""The way to a host: connections that go only where the address was checked, and that can be cut at any moment."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import requests.adapters
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from emberline.addresses import AddressError, Allowed, IPAddress, SocketAddress, lookup

__all__ = ["Transport", "Watch"]

_current = threading.local()


class Watch:
    """Cuts the connection of one request when its time is over, whatever it waits for.

    Parameters
    ----------
    allowed : Allowed
        What may be asked beside the public internet.
    end : float
        The moment, by `time.monotonic`, at which everything ends.
    """

    def __init__(self, allowed: Allowed, end: float) -> None:
        self.allowed = allowed
        self.end = end
        self.expired = False
        self._handles: list[socket.socket] = []
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def on(self) -> Iterator[None]:
        """Watch the connections that this thread makes or uses in the block."""
        timer = threading.Timer(max(self.end - time.monotonic(), 0.0), self._cut)
        timer.daemon = True
        timer.start()
        _current.watch = self
        try:
            yield
        finally:
            _current.watch = None
            timer.cancel()
            with self._lock:
                for handle in self._handles:
                    handle.close()
                self._handles.clear()

    def _cut(self) -> None:
        with self._lock:
            self.expired = True
            for handle in self._handles:
                with contextlib.suppress(OSError):
                    handle.shutdown(socket.SHUT_RDWR)

    def hold(self, connection: socket.socket) -> None:
        """Keep a handle of its own on a connection: TLS takes the socket itself away."""
        with self._lock:
            handle = socket.socket(fileno=os.dup(connection.fileno()))
            self._handles.append(handle)
            if self.expired:
                with contextlib.suppress(OSError):
                    handle.shutdown(socket.SHUT_RDWR)


class _Checked(HTTPConnection):
    """A connection to an address that was looked up once and found to be allowed."""

    def _new_conn(self) -> socket.socket:
        watch: Watch | None = getattr(_current, "watch", None)
        if watch is None:  # nobody but `Transport.send` makes connections
            raise AddressError("was asked past the session")
        connection = self._connected(watch)
        watch.hold(connection)
        return connection

    def _connected(self, watch: Watch) -> socket.socket:
        host = self._dns_host.strip("[]")
        proxied = self.proxy is not None  # the proxy itself is named in the configuration
        free = proxied or watch.allowed.host(host, self.port)
        try:
            permitted = (lambda _: True) if free else watch.allowed.address
            places = _looked_up(host, self.port, permitted, _seconds(self.timeout, watch.end))
        except TimeoutError as error:
            raise ConnectTimeoutError(self, "the name of the host is not resolved") from error
        except OSError as error:
            raise NewConnectionError(self, f"there is no such host ({error.strerror or error})") from error
        last: OSError = OSError("no address")
        for family, place in places:
            connection = socket.socket(family, socket.SOCK_STREAM)
            try:
                for option in self.socket_options or ():
                    connection.setsockopt(*option)
                connection.settimeout(_seconds(self.timeout, watch.end))
                connection.connect(place)
                connection.settimeout(_seconds(self.timeout, None))
                return connection
            except OSError as error:
                connection.close()
                last = error
        if isinstance(last, TimeoutError):
            raise ConnectTimeoutError(self, "the host does not answer") from last
        raise NewConnectionError(self, f"no connection ({last.strerror or last})") from last

    def request(self, *arguments: Any, **keywords: Any) -> None:
        """Send a request; a connection that is used again comes under the new request's watch."""
        watch: Watch | None = getattr(_current, "watch", None)
        if watch is not None and self.sock is not None:
            watch.hold(self.sock)
        super().request(*arguments, **keywords)


def _looked_up(
    host: str, port: int, permitted: Callable[[IPAddress], bool], seconds: float | None
) -> list[SocketAddress]:
    """Look a host up, in a thread of its own: the system's resolver knows no limit of time."""
    found: list[list[SocketAddress] | Exception] = []

    def look() -> None:
        try:
            found.append(lookup(host, port, permitted))
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(seconds)
    if not found:
        raise TimeoutError
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


def _seconds(timeout: Any, end: float | None) -> float | None:
    plain = float(timeout) if isinstance(timeout, int | float) else None
    if end is None:
        return plain
    left = max(end - time.monotonic(), 0.01)
    return left if plain is None else min(plain, left)


class _CheckedTLS(_Checked, HTTPSConnection):
    """The same over TLS; the certificate is checked against the name, not the number."""


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Checked


class _TLSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _CheckedTLS


class Transport(requests.adapters.HTTPAdapter):
    """What sends one request, once, and leaves its body to be read within the same watch."""

    def __init__(self) -> None:
        super().__init__(pool_connections=16, pool_maxsize=16, max_retries=0)

    def init_poolmanager(self, *arguments: Any, **keywords: Any) -> None:
        """Make the pools' connections checked ones."""
        super().init_poolmanager(*arguments, **keywords)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}

    def proxy_manager_for(self, proxy: str, **keywords: Any) -> Any:
        """The same for connections through a proxy."""
        manager = super().proxy_manager_for(proxy, **keywords)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}
        return manager
