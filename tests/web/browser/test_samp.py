"""The label page at a real SAMP hub, in a real browser: it asks to come in, sends, and takes sets to label."""

from __future__ import annotations

import concurrent.futures
import queue
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from astropy.table import Table

from emberline.campaign import Campaign
from emberline.jobs import Workspace
from tests.vo.client.samp_places import QUIET, own_place, web_port
from tests.web.labelling import make_campaign

from .conftest import Browser, Server, start, stop

pytest.importorskip("pyvo")
expect: Any = pytest.importorskip("playwright.sync_api").expect

from emberline.vo.client.samp import Samp, connect, start_hub  # noqa: E402
from emberline.vo.client.samp.documents import read_table  # noqa: E402

pytestmark = [pytest.mark.filterwarnings(text) for text in QUIET]

WAIT = 60_000
"""Milliseconds; somebody's machine may be busy."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = Workspace.open(tmp_path_factory.mktemp("samp") / "night-sky", create=True).folder
    make_campaign(folder)
    running = start(folder)
    yield running
    stop(running)


class Friend:
    """Another program at the hub: it keeps what it is sent."""

    def __init__(self, samp: Samp) -> None:
        self.samp = samp
        self.tables: queue.Queue[Any] = queue.Queue()
        self.spectra: queue.Queue[Any] = queue.Queue()
        self.places: queue.Queue[Any] = queue.Queue()
        samp.on_table(self.tables.put)
        samp.on_spectrum(self.spectra.put)
        samp.on_position(self.places.put)


class Door:
    """Who asked to come in, and whether they may."""

    def __init__(self) -> None:
        self.open = True
        self.asked: list[tuple[str, str]] = []

    def __call__(self, name: str, origin: str) -> bool:
        self.asked.append((name, origin))
        return self.open


@pytest.fixture
def door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """A hub for pages; its user is the test."""
    own_place(tmp_path / "home", monkeypatch)
    guard = Door()
    with web_port():
        hub = start_hub(web=True, confirm=guard)
        try:
            yield guard
        finally:
            hub.stop()


@pytest.fixture
def friend(door: Door) -> Iterator[Friend]:
    with connect("Friend") as samp:
        yield Friend(samp)


def opened(browser: Browser, server: Server) -> Any:
    page = browser.window(server)
    for host in ("localhost", "127.0.0.1"):
        page.context.route(f"http://{host}:21012/**", lambda route: route.continue_())
    page.goto(f"{server.base}/label/search")
    page.get_by_role("button", name="SAMP", exact=True).click()
    expect(page.locator("#samp")).to_be_visible()
    return page


def joined(browser: Browser, server: Server) -> Any:
    page = opened(browser, server)
    page.get_by_role("button", name="Connect to other programs").click()
    expect(page.locator('#samp[data-state="connected"]')).to_be_attached(timeout=WAIT)
    return page


def meanwhile(page: Any, work: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Do something that waits for the page: its requests pass through this thread, so it must not stand still."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        job = pool.submit(work, *arguments, **options)
        while not job.done():
            page.wait_for_timeout(20)
        return job.result()


def part(page: Any, name: str) -> Any:
    return page.locator(f'[data-samp="{name}"]')


def test_what_is_seen_is_sent(door: Door, friend: Friend, served: Server, browser: Browser) -> None:
    page = joined(browser, served)
    assert door.asked == [("Emberline: Search", served.base)]
    page.get_by_role("button", name="Label", exact=True).click()
    expect(page.locator("#label[data-painted]")).to_be_attached()
    identifier = page.locator("#label").get_attribute("data-painted")
    expect(part(page, "peer")).to_have_text("Friend", timeout=WAIT)

    part(page, "send").click()
    got = meanwhile(page, friend.spectra.get, timeout=60)
    expect(part(page, "said")).to_contain_text("Friend took star", timeout=WAIT)
    assert got.spectrum_id == identifier
    assert got.url.startswith(f"{served.base}/shared/")
    assert got.meta["Access.Reference"] == got.url
    assert len(read_table(got.content, "votable")) > 100

    part(page, "what").select_option("position")
    part(page, "send").click()
    place = meanwhile(page, friend.places.get, timeout=60)
    campaign = Campaign(served.folder / "search")
    meta = campaign.pool.archives[0].spectrum(identifier).meta
    campaign.close()
    assert (place.ra, place.dec) == pytest.approx((meta.ra, meta.dec), abs=1e-9)

    part(page, "what").select_option("moc")
    expect(part(page, "peer")).to_have_text("nobody takes it")
    expect(part(page, "send")).to_be_disabled()


def test_a_set_comes_and_is_labelled(door: Door, friend: Friend, served: Server, browser: Browser) -> None:
    page = joined(browser, served)
    campaign = Campaign(served.folder / "search")
    asked = {question.identifier for question in campaign.database.questions()}
    new = [name for name in campaign.pool.identifiers.tolist() if name not in asked][:3]
    campaign.close()
    stars = Table({"star": [new[2], "unknown", new[0], new[1]]})
    (sent,) = meanwhile(page, friend.samp.send_table, stars, name="stars", table_id="stars-1", to="Emberline: Search")
    assert sent.ok, sent.error
    expect(part(page, "offer-text")).to_contain_text(
        "stars from Friend: 3 spectra of the pool by the column star, of 4 rows"
    )
    (sent,) = meanwhile(page, friend.samp.select_rows, "stars-1", [3, 1, 0], to="Emberline: Search")
    assert sent.ok, sent.error
    expect(part(page, "offer-text")).to_contain_text("3 rows of stars from Friend: 2 spectra")
    page.get_by_role("button", name="Label these 2 spectra").click()
    expect(part(page, "offer-text")).to_contain_text("2 spectra were added to the questions of round 0", timeout=WAIT)
    campaign = Campaign(served.folder / "search")
    added = [question for question in campaign.database.questions() if question.added]
    campaign.close()
    assert [question.identifier for question in added] == [new[1], new[2]]
    assert added[0].reason == "set received by SAMP: 3 rows of stars from Friend"
    part(page, "begin").click()
    expect(page.locator(f'#label[data-painted="{new[1]}"]')).to_be_attached(timeout=WAIT)


def test_rows_of_the_candidates_come_back(door: Door, friend: Friend, served: Server, browser: Browser) -> None:
    page = joined(browser, served)
    part(page, "what").select_option("table")
    expect(part(page, "peer")).to_have_text("Friend", timeout=WAIT)
    part(page, "send").click()
    got = meanwhile(page, friend.tables.get, timeout=60)
    expect(part(page, "said")).to_contain_text("Friend took Search: questions of round 0.", timeout=WAIT)
    (sent,) = meanwhile(page, friend.samp.select_rows, got.table_id, [1], to="Emberline: Search")
    assert sent.ok, sent.error
    expect(part(page, "offer-text")).to_contain_text("1 row of Search: questions of round 0 from Friend: 1 spectrum")
    page.get_by_role("button", name="Label this spectrum").click()
    expect(part(page, "offer-text")).to_contain_text("1 was asked about before", timeout=WAIT)

    odd = {"table-id": "other", "row-list": ["1"]}
    (refused,) = meanwhile(page, friend.samp.send, "table.select.rowList", odd, to="Emberline: Search")
    assert "neither sent nor received" in refused.error
    bad = Table({"flux": [1.5, 2.5]})
    browser.expected.append(r"status of 400")
    (refused,) = meanwhile(page, friend.samp.send_table, bad, to="Emberline: Search")
    assert "no row of the table is a spectrum of the pool" in refused.error


def test_it_leaves_and_the_hub_may_end(door: Door, friend: Friend, served: Server, browser: Browser) -> None:
    page = joined(browser, served)
    assert [peer.name for peer in friend.samp.peers()] == ["Emberline: Search"]
    part(page, "leave").click()
    expect(part(page, "connect")).to_be_visible()
    gone = page.context.new_page()
    gone.close()
    page.get_by_role("button", name="Connect to other programs").click()
    expect(page.locator('#samp[data-state="connected"]')).to_be_attached(timeout=WAIT)
    page.goto("about:blank")


def test_nobody_comes_in_who_was_not_let_in(door: Door, served: Server, browser: Browser) -> None:
    door.open = False
    page = opened(browser, served)
    page.get_by_role("button", name="Connect to other programs").click()
    expect(part(page, "said")).to_contain_text("rejected by the user", timeout=WAIT)
    expect(part(page, "connect")).to_be_visible()


def test_without_a_hub_the_page_says_what_to_start(served: Server, browser: Browser) -> None:
    browser.expected.append(r"ERR_CONNECTION_REFUSED")
    with web_port():
        page = opened(browser, served)
        page.get_by_role("button", name="Connect to other programs").click()
        expect(part(page, "said")).to_contain_text("no SAMP hub answers on this machine", timeout=WAIT)


@pytest.mark.parametrize("width", [1280, 1600])
def test_it_takes_no_room_from_the_plots(served: Server, browser: Browser, width: int) -> None:
    page = browser.window(served)
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(f"{served.base}/label/search")
    page.get_by_role("button", name="Label", exact=True).click()
    expect(page.locator("#label[data-painted]")).to_be_attached()
    above = page.locator("#spectrum").bounding_box()["y"]
    rows = {round(box["y"]) for button in page.locator(".round .tools button").all() if (box := button.bounding_box())}
    assert len(rows) == 1, "one row of buttons"
    page.get_by_role("button", name="SAMP", exact=True).click()
    expect(part(page, "connect")).to_be_visible()
    assert page.locator("#spectrum").bounding_box()["y"] == above
    part(page, "connect").press("Escape")
    expect(page.locator("#samp")).to_be_hidden()
    expect(page.locator("#samp-open")).to_be_focused()
