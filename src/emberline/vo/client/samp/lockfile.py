"""Find the running hub: the lock file of SAMP 1.3, section 4.3 (https://www.ivoa.net/documents/SAMP/)."""

from __future__ import annotations

import os
import urllib.parse
import xmlrpc.client
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emberline.vo.client.samp.errors import NoHubError, SampError

__all__ = ["HubAddress", "TimedProxy", "find_hub", "lock_file", "parse_lock_file"]

HubAddress = Mapping[str, str]
"""What a lock file says; ``samp.secret`` and ``samp.hub.xmlrpc.url`` are always there."""

_PREFIX = "std-lockurl:"
_LONGEST = 100_000
_NEEDED = ("samp.secret", "samp.hub.xmlrpc.url")
_PATIENCE = 10.0


def lock_file() -> Path:
    """The file by which hub and clients find each other: that of the environment's SAMP_HUB, else ``~/.samp``.

    Raises
    ------
    SampError
        SAMP_HUB names something else than a file of this machine.
    """
    given = os.environ.get("SAMP_HUB", "")
    if not given:
        return Path.home() / ".samp"
    address = urllib.parse.urlsplit(given.removeprefix(_PREFIX))
    local = address.netloc in ("", "localhost", "127.0.0.1")
    if not given.startswith(_PREFIX) or address.scheme != "file" or not local or not address.path:
        raise SampError(
            "this hub cannot be used",
            where="the environment variable SAMP_HUB",
            found=given[:200],
            expected="std-lockurl:file:///path/of/a/lock/file",
            action="Unset it to use ~/.samp.",
        )
    return Path(urllib.parse.unquote(address.path))


def parse_lock_file(text: str, where: str = "") -> dict[str, str]:
    """The key=value lines of a lock file; blank lines, comments and what is no pair are passed over.

    Raises
    ------
    SampError
        The secret or the hub's address is missing.
    """
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.lstrip().startswith("#"))
    # Java programs write the file as a properties file, in which a colon may stand behind a backslash.
    found = {key.strip(): value.strip().replace("\\", "") for key, _, value in pairs}
    missing = [key for key in _NEEDED if not found.get(key)]
    if missing:
        raise SampError(
            "is no lock file of a SAMP hub",
            where=where,
            expected=f"a line {missing[0]}=…",
            action="Remove it if no hub is running.",
        )
    return found


def find_hub(timeout: float = _PATIENCE) -> HubAddress | None:
    """The hub that is running; None where there is none, or only the lock file of one that has died.

    Raises
    ------
    SampError
        There is a lock file that cannot be understood, or SAMP_HUB cannot be used.
    """
    path = lock_file()
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            text = stream.read(_LONGEST)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SampError(f"cannot be read: {error.strerror or error}", where=str(path)) from error
    found = parse_lock_file(text, str(path))
    return found if _answers(found["samp.hub.xmlrpc.url"], timeout) else None


def _answers(url: str, timeout: float) -> bool:
    host = urllib.parse.urlsplit(url)
    if host.scheme not in ("http", "https") or not host.hostname:
        raise NoHubError("the lock file names no address of a hub", where=str(lock_file()), found=url[:200])
    try:
        with TimedProxy(url, timeout) as proxy:
            proxy.samp.hub.ping()
    except xmlrpc.client.Fault:  # somebody who speaks XML-RPC lives there, but no hub
        return False
    except xmlrpc.client.ProtocolError:
        return False
    except (OSError, xmlrpc.client.Error):
        return False
    return True


class TimedProxy(xmlrpc.client.ServerProxy):
    """A proxy for XML-RPC that does not wait for ever, and expands no entity of what it is sent.

    Parameters
    ----------
    url : str
    timeout : float
        Seconds to connect, and between two pieces of an answer.
    """

    def __init__(self, url: str, timeout: float, **options: Any) -> None:
        secure = url.startswith("https:")
        kind = _SafeTransport if secure else _Transport
        super().__init__(url, transport=kind(timeout), allow_none=True)


class _Timed:
    """Mixed into a transport: connections with a time limit, and a parser without external entities."""

    seconds: float

    def getparser(self) -> Any:
        from pyvo.samp.utils import get_safe_parser

        return get_safe_parser()

    def make_connection(self, host: Any) -> Any:
        connection = super().make_connection(host)  # type: ignore[misc]
        connection.timeout = self.seconds
        return connection


class _Transport(_Timed, xmlrpc.client.Transport):
    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds


class _SafeTransport(_Timed, xmlrpc.client.SafeTransport):
    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
