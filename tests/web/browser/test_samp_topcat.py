"""The label page, the hub that comes with TOPCAT, and TOPCAT itself, which fetches from our server what it is sent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vo.client.samp_places import QUIET, own_place, web_port
from tests.vo.client.topcat import PATIENCE, current_table, needs_topcat, peer_called, running, topcat

from .conftest import Browser, Server
from .test_samp import WAIT, expect, joined, meanwhile, part, served

pytest.importorskip("pyvo")

from emberline.vo.client.samp import Samp, connect, find_hub

__all__ = ["served"]

pytestmark = [pytest.mark.slow, *(pytest.mark.filterwarnings(text) for text in QUIET)]


@pytest.fixture
def watcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Samp]:
    """Somebody at the hub of JSAMP, which lets every page in, with TOPCAT there too."""
    needs_topcat()
    own_place(tmp_path / "home", monkeypatch)
    hub = ["topcat", "-jsamp", "hub", "-mode", "no-gui", "-profiles", "std,web", "-web:auth", "true"]
    with web_port(), running(hub, tmp_path / "hub", tmp_path / "hub.log") as process:
        left = PATIENCE
        while left > 0 and find_hub() is None:
            assert process.poll() is None, (tmp_path / "hub.log").read_text(errors="replace")
            threading.Event().wait(0.25)
            left -= 0.25
        with connect("watcher") as samp, topcat(tmp_path, "-nohub") as program:
            peer_called(samp, "topcat", program, tmp_path / "topcat.log")
            yield samp


def test_topcat_fetches_what_the_page_sends(watcher: Samp, served: Server, browser: Browser) -> None:
    page = joined(browser, served)
    page.get_by_role("button", name="Label", exact=True).click()
    expect(page.locator("#label[data-painted]")).to_be_attached()
    expect(part(page, "peer")).to_contain_text("topcat", timeout=WAIT)
    part(page, "send").click()
    expect(part(page, "said")).to_contain_text("topcat took star", timeout=WAIT)
    spectrum = meanwhile(page, current_table, watcher, ["wave", "flux", "err", "mask"], 280)
    assert float(spectrum["wave"][0]) == pytest.approx(10**3.8075)

    part(page, "what").select_option("table")
    expect(part(page, "peer")).to_contain_text("topcat", timeout=WAIT)
    part(page, "send").click()
    expect(part(page, "said")).to_contain_text("topcat took Search: questions of round 0", timeout=WAIT)

    # What TOPCAT holds goes back to the page, which reads it through the hub.
    (answer,) = meanwhile(page, watcher.send, "table.get.stil", {"format": "votable"}, to="topcat", timeout=PATIENCE)
    assert answer.ok, answer.error
    back = {"url": str(answer.result["url"]), "name": "from topcat", "table-id": "back"}
    (sent,) = meanwhile(page, watcher.send, "table.load.votable", back, to="Emberline: Search", timeout=PATIENCE)
    assert sent.ok, sent.error
    expect(part(page, "offer-text")).to_contain_text("70 spectra of the pool by the column identifier", timeout=WAIT)
