"""TOPCAT on a screen that nobody sees, with a home of its own; ended with all that it has started."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from astropy.table import Table

from emberline.vo.client.samp import Peer, Samp
from emberline.vo.client.samp.documents import fetch, read_table

PATIENCE = 240.0
"""Seconds for Java to start, on a machine that has much else to do."""
_POLL = 0.25


def needs_topcat() -> None:
    """Skip where TOPCAT or a screen for it is absent."""
    for program, package in (("topcat", "topcat"), ("xvfb-run", "xvfb")):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is absent: install the Debian package {package}")


@contextlib.contextmanager
def running(command: list[str], home: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program in a session of its own."""
    home.mkdir(parents=True, exist_ok=True)
    java = f"-Duser.home={home} -Djava.io.tmpdir={home} -Djava.util.prefs.userRoot={home} -Xmx256m"
    environment = os.environ | {"HOME": str(home), "JAVA_TOOL_OPTIONS": java, "XDG_CACHE_HOME": str(home)}
    with open(log, "wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment, start_new_session=True)
    try:
        yield process
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)


@contextlib.contextmanager
def topcat(folder: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """TOPCAT, with SAMP on; it finds the hub by the environment's SAMP_HUB."""
    screen = ["xvfb-run", "--auto-servernum", "--server-args", "-screen 0 1024x768x24"]
    with running([*screen, "topcat", "-samp", *options], folder / "topcat-home", folder / "topcat.log") as process:
        yield process


def peer_called(samp: Samp, name: str, process: subprocess.Popen[bytes], log: Path) -> Peer:
    """A program once it has come and said what it takes."""
    left = PATIENCE
    while left > 0:
        found = [peer for peer in samp.peers() if peer.name.lower() == name and peer.accepts("table.load.votable")]
        if found:
            return found[0]
        assert process.poll() is None, f"{name} has ended: {log.read_text(errors='replace')[-2000:]}"
        threading.Event().wait(_POLL)
        left -= _POLL
    raise AssertionError(f"{name} did not come: {log.read_text(errors='replace')[-2000:]}")


def current_table(samp: Samp, columns: list[str], rows: int) -> Table:
    """The table that TOPCAT shows, as it gives it back when it is asked for it, once it is one of this shape.

    TOPCAT says that it has a table before its window shows it.
    """
    left, seen = PATIENCE, "nothing"
    while left > 0:
        (answer,) = samp.send("table.get.stil", {"format": "votable"}, to="topcat", timeout=PATIENCE)
        if answer.ok:
            table = read_table(fetch(str(answer.result["url"])), "votable")
            if (table.colnames, len(table)) == (columns, rows):
                return table
            seen = f"{len(table)} rows of {table.colnames}"
        threading.Event().wait(_POLL)
        left -= _POLL
    raise AssertionError(f"TOPCAT shows {seen}; {answer.error}")
