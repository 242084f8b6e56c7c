"""Getting spectra in a real browser, from real services: choose, constrain, look, select, fetch, follow, try again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from emberline.archive import open_archive
from emberline.config import to_toml
from emberline.jobs import Workspace
from tests.vo.client.misbehaving import PAGE
from tests.vo.client.other_archives import Fault, OtherArchives, other_archives

from .conftest import REFUSED, Browser, Server, start, stop

expect: Any = pytest.importorskip("playwright.sync_api").expect


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OtherArchives]:
    with other_archives(tmp_path_factory.mktemp("others") / "workspace") as running:
        yield running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, others: OtherArchives) -> Iterator[Server]:
    """A workspace that may ask the other archives of this machine."""
    folder = Workspace.open(tmp_path_factory.mktemp("served") / "observatory", create=True).folder
    (folder / "vo.toml").write_text(to_toml(others.config), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMBERLINE_CACHE", str(tmp_path_factory.mktemp("cache")))
        running = start(folder)
    yield running
    stop(running)


@pytest.fixture
def page(server: Server, browser: Browser) -> Any:
    window = browser.window(server)
    window.get_by_role("navigation").get_by_role("link", name="Get spectra").click()
    expect(window.get_by_role("heading", level=1)).to_have_text("Get spectra")
    return window


def search(page: Any, position: str = "40.0 20.0", size: str = "20 deg") -> None:
    page.get_by_label("Positions").fill(position)
    page.get_by_label("Diameter").fill(size)
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.locator("#asked")).to_have_text("All have answered.")


def test_from_the_registry_to_an_archive(page: Any, server: Server, others: OtherArchives) -> None:
    page.locator("#service-list input").first.uncheck()
    page.get_by_label("Words in the service's description").fill("emission")
    page.keyboard.press("Enter")
    page.get_by_label("Emission spectra of Alpha").check()
    own = page.get_by_label("Address or identifier of a server")
    own.fill(f"{others.url}/nowhere/ssap?")
    own.press("Enter")
    search(page)

    states = page.locator("#state-rows tr")
    expect(states).to_have_count(2)
    expect(states.filter(has_text="Emission spectra of Alpha")).to_contain_text("answered")
    expect(states.filter(has_text="nowhere")).to_contain_text("failed")
    expect(states.filter(has_text="nowhere")).to_contain_text("404")
    rows = page.locator("#rows tr")
    expect(rows).to_have_count(24)

    page.get_by_role("button", name="MJD").click()
    expect(page.get_by_role("columnheader", name="MJD")).to_have_attribute("aria-sort", "ascending")
    dates = [float(text) for text in page.locator("#rows tr td:nth-child(8)").all_inner_texts()]
    assert dates == sorted(dates)
    page.get_by_role("button", name="MJD").click()
    expect(page.get_by_role("columnheader", name="MJD")).to_have_attribute("aria-sort", "descending")

    boxes = page.locator("#rows input")
    boxes.nth(2).click()
    boxes.nth(6).click(modifiers=["Shift"])
    expect(page.locator("#chosen")).to_have_text("5 spectra selected")
    page.get_by_label("Filter the table").fill("HIP 9001")
    expect(rows).to_have_count(3)
    page.get_by_role("button", name="All", exact=True).click()
    page.get_by_label("Filter the table").fill("")
    chosen = page.locator("#rows input:checked").count()
    page.get_by_role("button", name="None", exact=True).click()
    expect(page.locator("#chosen")).to_have_text("nothing selected")
    assert 5 <= chosen <= 8
    boxes.nth(0).click()
    boxes.nth(3).click(modifiers=["Shift"])

    page.get_by_role("button", name="Ask the servers what they offer").click()
    page.get_by_label("Cut-out (BAND)").fill("6500/6600")
    page.get_by_label("RESPONSEFORMAT").select_option("application/x-votable+xml")
    page.get_by_label("Into the archive").fill("cut-outs")
    page.get_by_role("button", name="Fetch").click()
    expect(page.locator("#job-phase")).to_have_text("completed", timeout=60_000)
    expect(page.locator("#file-rows tr[data-state=ingested]")).to_have_count(4)
    expect(page.locator("#file-rows")).to_contain_text("BAND=6500/6600")
    table = open_archive(server.folder / "cut-outs").catalogue().to_pylist()
    assert len(table) == 4
    assert all(6499 < row["wavelength_min"] < row["wavelength_max"] < 6601 for row in table)


def test_what_fails_says_why_and_is_tried_again(page: Any, others: OtherArchives) -> None:
    search(page)
    boxes = page.locator("#rows input")
    boxes.nth(0).click()
    boxes.nth(1).click()
    page.get_by_label("Into the archive").fill("troubled")
    others.faults.append(Fault("/vo/alpha/spectrum", times=1, status=200, body=PAGE))
    page.get_by_role("button", name="Fetch").click()
    expect(page.locator("#job-phase")).to_have_text("completed", timeout=60_000)
    failed = page.locator("#file-rows tr[data-state=failed]")
    expect(failed).to_have_count(1)
    expect(failed).to_contain_text("found a web page 'Down'")
    page.get_by_label("failed 1").check()
    expect(page.locator("#file-rows tr")).to_have_count(1)
    failed.get_by_role("button", name="Try again").click()
    expect(page.locator("#file-rows tr[data-state=ingested]")).to_have_count(2, timeout=60_000)
    expect(page.locator("#again")).to_be_hidden()


def test_a_server_that_failed_is_asked_again(page: Any, others: OtherArchives) -> None:
    others.faults.append(Fault("/vo/alpha/ssa", times=1, status=500, body=b"<html><h1>Oops</h1></html>"))
    search(page, "41 20")
    state = page.locator("#state-rows tr")
    expect(state).to_have_attribute("data-state", "failed")
    expect(state).to_contain_text("Oops")
    page.get_by_role("button", name="Ask again").click()
    expect(state).to_have_attribute("data-state", "asked")
    expect(page.locator("#rows tr")).not_to_have_count(0)


def test_what_is_wrong_is_said_where_it_is(page: Any, browser: Browser) -> None:
    browser.expected.append(REFUSED)
    page.get_by_label("Positions").fill("40 20")
    page.get_by_label("Wavelengths").fill("red")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("band: cannot be understood")
    expect(page.get_by_label("Wavelengths")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Wavelengths")).to_be_focused()
    page.get_by_label("Wavelengths").fill("")
    page.locator("#service-list input").first.uncheck()
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("No server is chosen")
    own = page.get_by_label("Address or identifier of a server")
    own.fill("javascript:alert(1)")
    own.press("Enter")
    expect(page.locator("#found")).to_contain_text("This is no address")
    page.locator("#service-list input").first.check()
    page.get_by_label("Positions").fill("Nowhere 1")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.locator("#asked")).to_contain_text("knows no such object")


def test_the_search_outlives_a_reload(page: Any) -> None:
    search(page)
    expect(page.locator("#rows tr")).to_have_count(24)
    page.reload()
    expect(page.locator("#rows tr")).to_have_count(24)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_telephone(server: Server, browser: Browser, scheme: str) -> None:
    window = browser.window(server, viewport={"width": 400, "height": 800}, color_scheme=scheme)
    window.goto(f"{server.base}/harvest")
    search(window)
    expect(window.locator("#rows tr")).to_have_count(24)
    assert window.evaluate("document.documentElement.scrollWidth <= innerWidth")
    unnamed = window.evaluate(
        "[...document.querySelectorAll('main input, main select, main textarea')]"
        ".filter((e) => !e.labels?.length && !e.getAttribute('aria-label')).map((e) => e.id)"
    )
    assert unnamed == []
