"""A SAMP hub of our own: pyvo's, with secrets that cannot be guessed and a careful Web profile."""

from __future__ import annotations

import contextlib
import logging
import queue
import secrets
import threading
import urllib.parse
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from astropy import log

from emberline.errors import MissingExtraError
from emberline.vo.client.samp.errors import NoHubError, SampError
from emberline.vo.client.samp.lockfile import find_hub, lock_file

try:
    from pyvo.samp import SAMPHubServer, SAMPWarning, conf
    from pyvo.samp.errors import SAMPProxyError
    from pyvo.samp.utils import ServerProxyPool
    from pyvo.samp.web_profile import WebProfileRequestHandler, WebProfileXMLRPCServer
except ModuleNotFoundError as error:
    raise MissingExtraError(error.name or "pyvo", "vo") from error

__all__ = ["WEB_PORT", "Confirm", "Hub", "quiet_samp", "start_hub"]

WEB_PORT = 21012
"""Where the standard says that pages look for a hub."""

Confirm = Callable[[str, str], bool]
"""Asked before a page may register: the name that it gives itself, and where it comes from (its origin)."""

_LOG = logging.getLogger("emberline.vo.client.samp")
_LONGEST_POLL = 10.0
_TRANSLATED = 200_000_000
_KEPT_ADDRESSES = 1000


def start_hub(*, web: bool = False, confirm: Confirm | None = None, web_port: int = WEB_PORT) -> Hub:
    """Start a hub in this process, and write the lock file by which others find it.

    Parameters
    ----------
    web : bool
        Whether pages in a browser may ask to register (the Web profile).
    confirm : function, optional
        Says for each page whether it may. Without it none may: nobody is let in silently.
    web_port : int
        Any other than the standard's is for tests.

    Raises
    ------
    SampError
        A hub is running already, the lock file cannot be written, or pages are wanted and their port is taken.
    """
    if find_hub() is not None:
        raise SampError("a SAMP hub is running already", where=str(lock_file()), action="Use it, or end it first.")
    with quiet_samp():
        hub = Hub(web=web, confirm=confirm, web_port=web_port)
        try:
            lock_file().unlink(missing_ok=True)  # what is there was left behind by a hub that has died
            hub.start()
        except OSError as error:
            raise SampError(f"cannot be written: {error.strerror or error}", where=str(lock_file())) from error
        except ValueError as error:  # pyvo looks into ~/.samp too, whatever SAMP_HUB says
            raise SampError("is no lock file of a SAMP hub", where="~/.samp", action="Remove it.") from error
    return hub


@contextlib.contextmanager
def quiet_samp() -> Iterator[None]:
    """Keep pyvo from asking the internet whether it is there, and from chatting about hubs and peers.

    A peer that has gone is no fault of anybody's, and a thread of the hub tells it at any later time: so that filter,
    on this one kind of warning, stays.
    """
    warnings.filterwarnings("ignore", category=SAMPWarning)
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        with conf.set_temp("use_internet", False):
            yield
    finally:
        log.setLevel(level)


def without_waiting(server: Any) -> None:
    """Let a server end although somebody holds a connection open, as browsers do that may want it later."""
    server.daemon_threads = True
    server.block_on_close = False


class Hub(SAMPHubServer):  # type: ignore[misc]
    """A hub on this machine's loopback; make it with `start_hub`. End it by `stop`."""

    def __init__(self, *, web: bool, confirm: Confirm | None, web_port: int = WEB_PORT) -> None:
        self._doorkeeper = _Doorkeeper(confirm)
        self._web_port: int
        self._named: list[str] = []
        super().__init__(
            secret=secrets.token_hex(16),
            addr="127.0.0.1",
            label="Emberline",
            web_profile=web,
            web_profile_dialog=self._doorkeeper if web else None,
            web_port=web_port,
        )

    @property
    def for_pages(self) -> bool:
        """Whether pages may ask to register."""
        return bool(self._web_profile)

    def start(self, wait: bool = False) -> None:
        """Start, unless another hub was faster."""
        wanted = self.for_pages
        with quiet_samp():
            super().start()
        if not self._lockfile:
            self.stop()
            raise SampError("another SAMP hub was started at the same moment", where=str(lock_file()))
        if wanted and not self.for_pages:
            self.stop()
            raise SampError(
                f"port {self._web_port} is taken, so pages cannot reach this hub",
                action="End the program that holds it, or start the hub without pages.",
            )
        if wanted:
            self._doorkeeper.start()

    def stop(self) -> None:
        """Tell the clients, take the lock file away, and end."""
        self._doorkeeper.stop()
        pools = [pool for _, pool in self._xmlrpc_endpoints.values() if isinstance(pool, ServerProxyPool)]
        with quiet_samp():
            super().stop()
        for pool in pools:
            pool.shutdown()

    # What pyvo's hub does in another way ------------------------------------------------------------------------

    def _get_new_ids(self) -> tuple[str, str]:
        """As pyvo, but with a private key that nobody can work out from the time and the machine."""
        _, public = super()._get_new_ids()
        return secrets.token_hex(16), public

    def _start_standard_server(self) -> None:
        super()._start_standard_server()
        without_waiting(self._server)

    def _start_web_profile_server(self) -> None:
        self._web_profile_requests_queue = self._doorkeeper.queue_request
        self._web_profile_requests_result = self._doorkeeper.queue_result
        self._web_profile_requests_semaphore: queue.Queue[str] = queue.Queue(1)
        try:
            server = WebProfileXMLRPCServer(
                ("localhost", self._web_port), _LOG, _Handler, logRequests=False, allow_none=True
            )
        except OSError:
            self._web_profile = False
            return
        server.allows = self._named.__contains__
        without_waiting(server)
        self._web_profile_server = server
        self._web_port = server.socket.getsockname()[1]
        self._register_web_profile_api(server)

    def _web_profile_pullCallbacks(self, private_key: str, timeout_secs: str) -> list[Any]:  # noqa: N802
        """As pyvo, but it waits for a message as long as the page asks for: the page need not ask all the time."""
        self._update_last_activity_time()
        waiting = self._web_profile_callbacks.get(private_key)
        if private_key not in self._private_keys or waiting is None:
            raise SAMPProxyError(5, "The private key has expired or is invalid.")
        found: list[Any] = []
        with contextlib.suppress(queue.Empty, ValueError):
            seconds = min(max(float(timeout_secs), 0.0), _LONGEST_POLL)
            found.append(waiting.get(timeout=seconds) if seconds else waiting.get_nowait())
            while True:
                found.append(waiting.get_nowait())
        return found

    def _retry_method(self, private_key: str, public_id: str, method: str, arguments: tuple[Any, ...]) -> None:
        """As pyvo, but addresses in what pages are sent are remembered: these, and no others, they may fetch here."""
        if private_key in self._web_profile_callbacks:
            self._named.extend(_addresses(arguments))
            del self._named[:-_KEPT_ADDRESSES]
        super()._retry_method(private_key, public_id, method, arguments)


def _addresses(value: Any) -> Iterator[str]:
    """The URLs in a message."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _addresses(item)
    elif isinstance(value, str) and value.startswith(("http://", "https://", "file:")):
        yield value


class _Handler(WebProfileRequestHandler):  # type: ignore[misc]
    """Requests of pages; what it fetches for them was named in a message to a page, and nothing else."""

    timeout = 60

    def do_GET(self) -> None:  # noqa: N802
        from emberline.vo.client.samp.documents import fetch

        path, _, query = self.path.partition("?")
        if not self.is_http_path_valid() or not path.startswith("/translator/"):
            self.report_404()
            return
        wanted = urllib.parse.parse_qs(query).get("ref", [""])[0]
        try:
            content = fetch(wanted, max_bytes=_TRANSLATED) if self.server.allows(wanted) else None
        except SampError as error:
            _LOG.warning("not fetched for a page: %s", error)
            content = None
        if content is None:
            self.report_404()
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing on the terminal."""


class _Doorkeeper:
    """Puts each page that wants to register before the user, one at a time; pyvo's "dialog"."""

    def __init__(self, confirm: Confirm | None) -> None:
        self.queue_request: queue.Queue[Any] = queue.Queue(1)
        self.queue_result: queue.Queue[bool] = queue.Queue(1)
        self._confirm = confirm
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._serve, name="SAMP registrations", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        if self._thread is not None and self._thread is not threading.current_thread():
            self.queue_request.put(None)
            self._thread.join(1.0)
            self._thread = None

    def _serve(self) -> None:
        while (request := self.queue_request.get()) is not None:
            identity, _, origin = request
            name = identity if isinstance(identity, str) else str(identity.get("samp.name", ""))
            self.queue_result.put(self._asked(_printable(name), _printable(str(origin))))

    def _asked(self, name: str, origin: str) -> bool:
        if self._confirm is None:
            _LOG.warning("the page %s of %s is refused: nobody is there to confirm", name, origin)
            return False
        try:
            return bool(self._confirm(name, origin))
        except Exception:
            _LOG.exception("the page %s of %s is refused", name, origin)
            return False


def _printable(text: str) -> str:
    """What somebody else calls itself, on one short line."""
    return "".join(c if c.isprintable() else "?" for c in text)[:200]


def require_hub() -> dict[str, str]:
    """The running hub, or `NoHubError`."""
    found = find_hub()
    if found is None:
        raise NoHubError(
            "no SAMP hub is running",
            where=str(lock_file()),
            action="Start TOPCAT or Aladin, or a hub of your own: emberline samp hub",
        )
    return dict(found)
