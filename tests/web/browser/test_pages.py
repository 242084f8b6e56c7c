"""Who sees what, how the pages look and are used by keyboard, and what they do when the server goes away."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emberline.archive import ingest_blocks
from emberline.campaign import CampaignConfig, new_campaign
from emberline.campaign.config import ControlConfig, PoolConfig
from emberline.jobs import Workspace
from emberline.web.accounts import Accounts
from tests.campaign.conftest import lines

from .conftest import REFUSED, Browser, Server, start, stop

expect: Any = pytest.importorskip("playwright.sync_api").expect
PASSWORD = "correct horse battery"
GONE = r"ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET"
SEEN = {
    "/": "Workspace",
    "/jobs": "Jobs",
    "/jobs?phase=HELD": "Jobs",
    "/jobs/new": "New job",
    "/jobs/new/simulate": "New job",
    "/jobs/new/ingest": "New job",
    "/account": "",
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A workspace with accounts."""
    workspace = Workspace.open(tmp_path_factory.mktemp("guarded") / "observatory", create=True)
    accounts = Accounts.of(workspace.private)
    for name, role in (("ada", "admin"), ("eva", "reader"), ("petr", "annotator")):
        accounts.add(name, role, PASSWORD)
    accounts.close()
    running = start(workspace.folder)
    yield running
    stop(running)


def sign_in(page: Any, server: Server, name: str, password: str = PASSWORD) -> None:
    page.goto(f"{server.base}/")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def test_sign_in_and_out(guarded: Server, browser: Browser) -> None:
    browser.expected.append(REFUSED)
    page = browser.window()
    page.goto(f"{guarded.base}/jobs?type=simulate")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill("wrong horse battery")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("The name or the password is wrong.")
    expect(page.get_by_label("Name")).to_have_value("ada")
    expect(page.get_by_label("Password")).to_be_focused()
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{guarded.base}/jobs?type=simulate")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    page.goto(f"{guarded.base}/jobs")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_without_the_printed_address(server: Server, browser: Browser) -> None:
    browser.expected.append(REFUSED)
    page = browser.window()
    page.goto(f"{server.base}/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Open with the address that was printed")
    page.get_by_label("Or enter the token alone").fill(server.key)
    page.get_by_role("button", name="Open").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("night-sky")
    assert "token" not in page.url


def test_each_role_sees_what_it_may_do(guarded: Server, browser: Browser) -> None:
    browser.expected.append(REFUSED)
    reader, annotator = browser.window(), browser.window()
    sign_in(reader, guarded, "eva")
    expect(reader.get_by_role("navigation").get_by_role("link", name="New job")).to_have_count(0)
    reader.goto(f"{guarded.base}/jobs/new/simulate")
    expect(reader.get_by_role("heading", level=1)).to_have_text("Not allowed")
    expect(reader.get_by_text("403")).to_be_visible()
    sign_in(annotator, guarded, "petr")
    annotator.get_by_role("navigation").get_by_role("link", name="New job").click()
    expect(annotator.get_by_role("link", name="Run a round")).to_be_visible()
    expect(annotator.get_by_role("link", name="Simulate a survey")).to_have_count(0)
    annotator.goto(f"{guarded.base}/nowhere")
    expect(annotator.get_by_role("heading", level=1)).to_have_text("Not here")


def test_tokens_passwords_and_accounts(guarded: Server, browser: Browser) -> None:
    browser.expected.append(REFUSED)
    page = browser.window()
    sign_in(page, guarded, "ada")
    page.get_by_role("link", name=re.compile("your account")).click()
    page.get_by_label("What it is for").fill("notebook")
    page.get_by_role("button", name="Make a token").click()
    expect(page.locator("#token")).to_have_text(re.compile("^emberline_"))
    page.reload()
    expect(page.locator("#tokens")).to_contain_text("notebook")
    expect(page.locator("#token")).to_be_hidden()
    page.get_by_role("button", name="Delete the token notebook").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.locator("#tokens")).to_be_hidden()
    form = page.locator("#account-form")
    form.get_by_label("Name").fill("nina")
    form.get_by_label("Password").fill("short")
    form.get_by_role("button").click()
    expect(form.get_by_role("status")).to_contain_text("10 to 1000")
    expect(form.get_by_label("Password")).to_be_focused()
    form.get_by_label("Password").fill(PASSWORD)
    form.get_by_role("button").click()
    page.get_by_label("Role of nina").select_option("annotator")
    expect(page.get_by_text("nina is now annotator.")).to_be_visible()
    other = browser.window()
    sign_in(other, guarded, "nina")
    other.goto(f"{guarded.base}/account")
    other.get_by_label("Present password").fill(PASSWORD)
    other.get_by_label("New password").fill(PASSWORD + " staple")
    other.get_by_role("button", name="Change the password").click()
    expect(other.get_by_text("Your password is changed.")).to_be_visible()
    page.get_by_role("button", name="Delete the account nina").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("The account nina is gone.")).to_be_visible()


@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (640, "dark"), (1280, "dark")])
def test_pages_fit_and_are_named(server: Server, browser: Browser, width: int, scheme: str) -> None:
    """Nothing is wider than the window, at a phone's width and at 200 % of a laptop's; every entry has a name."""
    page = browser.window(server, viewport={"width": width, "height": 800}, color_scheme=scheme)
    long = "A_label_without_any_space_" * 5
    addresses = [*SEEN, f"/jobs/{server.submit('simulate', long, run=False, into='x' * 90, spectra=1, seed=1)}"]
    for address in addresses:
        page.goto(server.base + address)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, address
        assert page.locator("h1").count() == 1
        unnamed = page.evaluate(
            "[...document.querySelectorAll('input:not([type=hidden]), select, textarea')]"
            ".filter(e => !e.closest('[hidden]') && !e.labels.length && !e.ariaLabel).map(e => e.outerHTML)"
        )
        assert unnamed == [], address
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == (
            "rgb(17, 19, 23)" if scheme == "dark" else "rgb(246, 244, 241)"
        )
        if SEEN.get(address):
            expect(page.locator("nav [aria-current=page]").first).to_have_text(SEEN[address])


def test_the_colours_are_remembered(server: Server, browser: Browser) -> None:
    page = browser.window(server, color_scheme="light")
    page.get_by_role("button", name="Colours: Auto").click()
    page.get_by_role("button", name="Colours: Light").click()
    page.goto(f"{server.base}/jobs")
    expect(page.get_by_role("button", name="Colours: Dark")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 19, 23)"


def test_by_keyboard_alone(server: Server, browser: Browser) -> None:
    """The first stop leads to the content; every stop can be seen; a job is made and found without a mouse."""
    page = browser.window(server)
    page.goto(f"{server.base}/jobs/new/simulate")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    stops = []
    for _ in range(40):
        page.keyboard.press("Tab")
        stop = page.evaluate(
            "(() => { const e = document.activeElement, s = getComputedStyle(e);"
            " return [e.id || e.textContent.trim(), s.outlineStyle !== 'none' && s.outlineWidth !== '0px']; })()"
        )
        stops.append(stop[0])
        assert stop[1], f"focus cannot be seen at {stop[0]}"
        if stop[0] in ("p-into", "p-spectra", "p-seed", "label"):
            page.keyboard.type({"p-into": "keys", "p-spectra": "10", "p-seed": "1", "label": "By keyboard"}[stop[0]])
        if stop[0] == "Keep for later":
            break
    entries = [stop for stop in stops if stop.startswith("p-")]
    assert entries[:4] == ["p-into", "p-spectra", "p-seed", "p-prevalence"]
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("By keyboard")


def test_times_are_the_readers_own(server: Server, browser: Browser) -> None:
    id = server.submit("simulate", "When", run=False, into="when", spectra=1, seed=1)
    created = server.job(id)["created"]
    page = browser.window(server, timezone_id="Asia/Tokyo")
    page.goto(f"{server.base}/jobs/{id}")
    shown = page.locator("#times time").first
    expect(shown).to_have_attribute("title", re.compile(re.escape(created[11:19]) + r".* UTC \(shown in UTC\+09:00\)"))
    hour = (int(created[11:13]) + 9) % 24
    expect(shown).to_contain_text(f" {hour:02}:{created[14:19]}")


def test_when_the_server_goes_away(browser: Browser, tmp_path: Path) -> None:
    browser.expected += [GONE, REFUSED]
    server = start(Workspace.open(tmp_path / "gone", create=True).folder)
    page = browser.window(server)
    page.goto(f"{server.base}/jobs")
    port = int(server.base.rpartition(":")[2])
    try:
        stop(server, signal.SIGKILL)
        expect(page.locator("#lost")).to_contain_text("The server does not answer", timeout=10_000)
    finally:
        stop(server, signal.SIGKILL)
    again = start(server.folder, port)
    try:
        expect(page.locator("#lost")).to_be_hidden(timeout=15_000)
        again.submit("simulate", "After the restart", run=False, into="after", spectra=1, seed=1)
        expect(page.get_by_role("link", name="After the restart")).to_be_visible()
    finally:
        stop(again)


def test_a_report_is_shown_inside(server: Server, browser: Browser) -> None:
    block, _ = lines(60, targets=6, seed=3)
    ingest_blocks([block], server.folder / "survey", survey="test")
    config = CampaignConfig(
        name="Shown inside",
        classes=("none", "emission"),
        targets=("emission",),
        recipe="halpha-140",
        pool=PoolConfig(archives=(server.folder / "survey",)),
        control=ControlConfig(),
    )
    new_campaign(server.folder / "search", config).close()
    id = server.submit("report", "Its report", campaign="search")
    assert server.finished(id)["phase"] == "COMPLETED"
    page = browser.window(server)
    expect(page.locator("#campaigns")).to_contain_text("Shown inside")
    page.goto(f"{server.base}/jobs/{id}")
    inside = page.frame_locator("iframe")
    expect(inside.get_by_role("heading", level=1)).to_have_text("Shown inside")
    assert "allow-same-origin" not in page.locator("iframe").get_attribute("sandbox")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Full screen").click()
    expect(opened.value.get_by_role("heading", level=1)).to_have_text("Shown inside")
