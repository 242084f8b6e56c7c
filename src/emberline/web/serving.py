"""Serve a workspace: find an address, listen, say where, and stop in good order."""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import ipaddress
import logging
import signal
import socket
import threading
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any

from emberline.errors import ConfigError, EmberlineError, MissingExtraError
from emberline.jobs import Workspace

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

__all__ = ["DEFAULT_PORT", "create_app", "listen_at", "serve", "server_of"]

DEFAULT_PORT = 8765
_PATIENCE = 3
"""Seconds that requests which are being answered get when the server stops."""


def create_app(workspace: Workspace, **options: Any) -> FastAPI:
    """The ASGI application that serves a workspace; see `emberline.web.application.create_app`.

    Raises
    ------
    MissingExtraError
        The extra ``web`` is not installed.
    """
    try:
        from emberline.web import application
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("emberline"):
            raise
        raise MissingExtraError(error.name or "fastapi", "web") from error
    return application.create_app(workspace, **options)


def serve(
    workspace: Workspace,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    *,
    names: Collection[str] = (),
    proxies: Collection[str] = ("127.0.0.1", "::1"),
    announce: Callable[[str], None] = print,
    supervise: bool = True,
    verbose: bool = False,
) -> None:
    """Serve a workspace, and run its jobs, until the process is told to end (SIGINT or SIGTERM).

    Parameters
    ----------
    workspace : Workspace
    host, port
        Where to listen; port 0 takes any that is free.
    names : collection of str
        Host names under which the server is reached, for instance through a proxy.
    proxies : collection of str
        Addresses of proxies that are believed when they say who asks and whether TLS is used.
    announce : callable
        Told the address once the server answers there.
    supervise : bool
        Whether jobs are run.
    verbose : bool
        Log every request, not only changes and failures.

    Raises
    ------
    ConfigError
        It would be reached from other machines, but there are no accounts.
    EmberlineError
        The address cannot be listened at.
    MissingExtraError
        The extra ``web`` is not installed.
    """
    if importlib.util.find_spec("uvicorn") is None:
        raise MissingExtraError("uvicorn", "web")
    listener = listen_at(host, port)
    with contextlib.closing(listener):
        bound = ipaddress.ip_address(listener.getsockname()[0])
        _check_accounts(workspace, bound, names)
        known = {host, *names} | ({socket.gethostname(), socket.getfqdn()} if bound.is_unspecified else set())
        application = create_app(workspace, names=known, any_address=not bound.is_loopback, supervise=supervise)
        _begin_log(verbose)
        address = _address(host, bound, listener.getsockname()[1], application.state.site.key)
        server = server_of(application, lambda: announce(address), proxies=proxies)
        server.run(sockets=[listener])
        if not server.started:
            raise EmberlineError("the server could not start", action="The log above says why.")


def listen_at(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes any that is free. Raises `EmberlineError`."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError, OverflowError) as error:
        raise EmberlineError(
            "there is no such address to listen at", where=f"{host}:{port}", found=str(error)
        ) from error
    family, _, _, _, place = min(found, key=lambda item: item[0] != socket.AF_INET)
    # Only for sockets that say that they are TCP does asyncio send small answers at once; others wait some 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        listener.listen(256)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            action = "Choose another with --port; 0 takes any that is free."
            raise EmberlineError(f"the port {port} is in use", where=host, action=action) from error
        raise EmberlineError(f"cannot listen: {error.strerror}", where=f"{host}:{port}") from error
    return listener


def _check_accounts(
    workspace: Workspace, bound: ipaddress.IPv4Address | ipaddress.IPv6Address, names: Collection[str]
) -> None:
    """Without accounts the one local user may do everything: nobody else must reach the server."""
    from emberline.web.accounts import Accounts

    elsewhere = [name for name in names if name.lower() != "localhost"]
    if (bound.is_loopback and not elsewhere) or len(Accounts.of(workspace.private)):
        return
    reached = f"at {bound}" if not bound.is_loopback else f"as {elsewhere[0]}"
    raise ConfigError(
        f"it would be reached {reached} by others, but nobody has an account",
        where=str(workspace.folder),
        action=f"Make one first: emberline accounts add {workspace.folder} NAME --role admin",
    )


def _address(host: str, bound: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int, key: str) -> str:
    name = socket.getfqdn() if bound.is_unspecified else host
    shown = f"[{name}]" if ":" in name else name
    return f"http://{shown}:{port}/" + (f"?token={key}" if key else "")


def _begin_log(verbose: bool) -> None:
    """Log to standard error unless the program that calls has said where to."""
    log = logging.getLogger("emberline")
    if not log.handlers and not logging.getLogger().handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        log.addHandler(handler)
        log.setLevel(logging.INFO)
    if verbose:
        logging.getLogger("emberline.web.requests").setLevel(logging.DEBUG)


def server_of(
    application: FastAPI, announce: Callable[[], None], *, proxies: Collection[str] = ("127.0.0.1", "::1")
) -> uvicorn.Server:
    """A server for an application that `create_app` has made; `announce` is called when it listens."""
    import uvicorn

    class Server(uvicorn.Server):
        """Says when it listens, and ends what stays open for long before it waits for the rest."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                announce()

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            application.state.stop.set()
            application.state.site.hub.close()
            await super().shutdown(sockets)

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            # uvicorn's own raises the signal again at the end; to be told to stop is no failure of ours.
            if threading.current_thread() is not threading.main_thread():
                yield
                return
            numbers = (signal.SIGINT, signal.SIGTERM)
            before = {number: signal.signal(number, self.handle_exit) for number in numbers}
            try:
                yield
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)

    config = uvicorn.Config(
        application,
        log_config=None,
        access_log=False,
        proxy_headers=True,
        forwarded_allow_ips=list(proxies),
        timeout_graceful_shutdown=_PATIENCE,
        server_header=False,
        lifespan="on",
        ws="none",
    )
    return Server(config)
