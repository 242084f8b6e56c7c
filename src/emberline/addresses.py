"""Addresses on the web that may be asked: never this machine or a private network unless somebody said so."""

from __future__ import annotations

import ipaddress
import socket
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["AddressError", "Allowed", "IPAddress", "SocketAddress", "WebAddress", "is_public", "lookup", "web_address"]

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
SocketAddress = tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int]]
"""The family of a socket, and where it connects to."""

_EMBEDDING = [ipaddress.ip_network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")]
"""IPv6 addresses that stand for IPv4 ones, which may be anything."""
_PORTS = {"http": 80, "https": 443}


class AddressError(Exception):
    """Why an address is not asked, as a clause."""


@dataclass(frozen=True)
class WebAddress:
    """Whom an address of http or https names.

    Attributes
    ----------
    scheme : str
        ``http`` or ``https``.
    host : str
        Its name or number as written, in lower case, without brackets.
    port : int
        Its port, the scheme's own where none is written.
    """

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def web_address(url: str) -> WebAddress:
    """Take an address apart.

    Raises
    ------
    AddressError
        It is no address of http or https, carries a user's name, or has a port that is not for the web.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        host = parts.hostname
    except ValueError:
        raise AddressError("is no address of http or https") from None
    if parts.scheme not in _PORTS or not host or not parts.netloc.isascii() or "\\" in parts.netloc:
        raise AddressError("is no address of http or https")
    if "@" in parts.netloc:
        raise AddressError("is no address to be asked: it holds a user's name")
    try:
        port = _PORTS[parts.scheme] if parts.port is None else parts.port
    except ValueError:
        raise AddressError("has a port that is none, where nothing can answer") from None
    if port < 1024 and port not in _PORTS.values():
        raise AddressError("has a port that is not for the web")
    return WebAddress(parts.scheme, host, port)


def is_public(address: IPAddress) -> bool:
    """Whether it is out on the internet: never this machine, nor one that only this machine can reach."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if any(address in network for network in _EMBEDDING):
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


class Allowed:
    """What may be asked beside the public internet: host names, ``host:port``, addresses and networks.

    Parameters
    ----------
    entries : tuple of str
        As in the key `allow` of ``vo.toml``.
    """

    def __init__(self, entries: tuple[str, ...] = ()) -> None:
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        self._hosts: set[str] = set()
        for entry in entries:
            try:
                self._networks.append(ipaddress.ip_network(entry.strip("[]")))
            except ValueError:
                self._hosts.add(entry.lower())

    def host(self, host: str, port: int) -> bool:
        """Whether this host may be asked at this port wherever its name leads."""
        name = host.lower().rstrip(".")
        written = f"[{name}]" if ":" in name else name
        return bool({name, written, f"{written}:{port}"} & self._hosts)

    def address(self, address: IPAddress) -> bool:
        """Whether this one address may be asked."""
        plain = getattr(address, "ipv4_mapped", None) or address
        return is_public(address) or any(plain in network for network in self._networks)


def lookup(host: str, port: int, permitted: Callable[[IPAddress], bool] = is_public) -> list[SocketAddress]:
    """Where a host is found; one that is not permitted at any of its addresses is refused as a whole.

    Whoever connects must connect to what is returned, and not look the name up again: the second answer may differ.

    Raises
    ------
    AddressError
        An address of it is not permitted.
    OSError
        There is no such host.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise socket.gaierror(socket.EAI_NONAME, f"no such name ({error.__class__.__name__})") from None
    places = [(family, place) for family, _, _, _, place in found if family in (socket.AF_INET, socket.AF_INET6)]
    for _, place in places:
        if not permitted(ipaddress.ip_address(str(place[0]).partition("%")[0])):
            raise AddressError("leads to this machine or to a private network")
    if not places:
        raise socket.gaierror(socket.EAI_NONAME, "the host has no address")
    return places  # type: ignore[return-value]
