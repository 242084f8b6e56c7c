"""A place of its own for each test's hub, and the one port at which pages look for hubs, used by one test at a time."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from emberline.vo.client.samp.hub import WEB_PORT

QUIET = (
    "ignore::pyvo.samp.SAMPWarning",  # pyvo's hub tells of peers that have gone, in threads of its own
    "ignore:unclosed:ResourceWarning",  # pyvo leaves connections that peers have opened to the garbage collector
)


def own_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lock file of one's own, and a home where no hub is."""
    folder.mkdir(parents=True, exist_ok=True)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("SAMP_HUB", f"std-lockurl:file://{folder}/lock")
    return folder / "lock"


@contextlib.contextmanager
def web_port() -> Iterator[None]:
    """The standard's port for pages, which all tests share; skips when some other program has it."""
    with open(Path(tempfile.gettempdir()) / f"emberline-test-port-{WEB_PORT}.lock", "a+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", WEB_PORT))
            except OSError:
                pytest.skip(f"another program holds port {WEB_PORT}, at which SAMP's Web profile is")
        yield
