"""The oracle's page in a real browser: keys, undo, lost connections, several windows, several people, access."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emberline.campaign import Campaign, CampaignConfig, new_campaign
from emberline.campaign.annotation import Desk
from emberline.features import Recipe
from emberline.jobs import Workspace
from emberline.web.accounts import Accounts
from tests.campaign.conftest import lines
from tests.web.labelling import SETTINGS, make_campaign

from .conftest import Browser, Server, start, stop

expect: Any = pytest.importorskip("playwright.sync_api").expect
PASSWORD = "correct horse battery"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Server]:
    """A campaign of its own for each test, served."""
    folder = Workspace.open(tmp_path / "night-sky", create=True).folder
    make_campaign(folder)
    running = start(folder)
    yield running
    stop(running)


def labels(folder: Path) -> dict[str, str]:
    campaign = Campaign(folder / "search")
    found = {label.identifier: label.answer for label in campaign.labels()}
    campaign.close()
    return found


def page_of(page: Any, server: Server, query: str = "") -> Any:
    page.goto(f"{server.base}/label/search{query}")
    return page


def begin(browser: Browser, server: Server, **options: Any) -> Any:
    """A window at the first spectrum."""
    page = page_of(browser.window(server, **options), server)
    page.get_by_role("button", name="Label", exact=True).click()
    return at_spectrum(page)


def at_spectrum(page: Any) -> Any:
    expect(page.locator("#label[data-painted]")).to_be_attached()
    return page


def shown(page: Any) -> str:
    return str(page.locator("#label").get_attribute("data-painted"))


def press(page: Any, key: str) -> str:
    """Press a key that goes on to another spectrum; the identifier of the one that it was pressed at."""
    before = shown(page)
    page.keyboard.press(key)
    expect(page.locator("#label")).not_to_have_attribute("data-painted", before)
    return before


def saved(page: Any) -> None:
    expect(page.locator("#saved-text")).to_have_text("Saved")


def test_fifty_spectra_by_the_keyboard_alone(served: Server, browser: Browser) -> None:
    page = page_of(browser.window(served), served)
    expect(page.get_by_role("button", name="Label", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    at_spectrum(page)
    given = {}
    for number in range(50):
        key, answer = [("1", "none"), ("2", "emission"), ("0", "not sure"), ("x", "bad")][number % 4]
        given[press(page, key)] = answer
    saved(page)
    expect(page.locator("#round-count")).to_have_text("50 of 70")
    assert len(given) == 50
    assert labels(served.folder) == given


def test_one_may_look_ahead_without_answering(served: Server, browser: Browser) -> None:
    page = begin(browser, served)
    seen = [press(page, "n") for _ in range(15)]
    assert len(set(seen)) == 15
    for identifier in reversed(seen):
        page.keyboard.press("b")
        expect(page.locator("#label")).to_have_attribute("data-painted", identifier)


def test_every_action_is_a_control_as_well(served: Server, browser: Browser) -> None:
    page = begin(browser, served)
    first = shown(page)
    page.get_by_role("button", name="emission").click()
    expect(page.locator("#label")).not_to_have_attribute("data-painted", first)
    second = shown(page)
    page.get_by_role("button", name="Skip").click()
    expect(page.locator("#label")).not_to_have_attribute("data-painted", second)
    page.get_by_role("button", name="Previous").click()
    expect(page.locator("#decided")).to_contain_text("skipped")
    page.get_by_role("button", name="Previous").click()
    expect(page.locator("#decided")).to_have_text("You said: emission.")
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#decided")).to_have_text("")
    saved(page)
    assert labels(served.folder) == {}
    names = [re.sub(r"\s.*", "", name) for name in page.locator("button[data-action]").all_inner_texts()]
    assert {"Previous", "Next", "Undo", "Grid", "Help", "Skip", "Reveal", "Reset"} <= set(names)


def test_a_killed_server_costs_nothing(served: Server, browser: Browser) -> None:
    browser.expected.append("Failed to load resource")
    page = begin(browser, served)
    given = {press(page, "1"): "none" for _ in range(3)}
    saved(page)
    served.process.kill()
    served.process.wait(10)
    given |= {press(page, "2"): "emission" for _ in range(3)}
    expect(page.locator("#saved-text")).to_contain_text("3 actions wait in this browser")
    assert set(labels(served.folder).values()) == {"none"}
    port = int(served.base.rsplit(":", 1)[1])
    again = start(served.folder, port)
    try:
        expect(page.locator("#saved-text")).to_have_text("Saved", timeout=30_000)
        assert labels(served.folder) == given
    finally:
        stop(again)


def test_a_reload_goes_on_at_the_same_spectrum_and_undo_reaches_back(served: Server, browser: Browser) -> None:
    page = begin(browser, served)
    order = [press(page, "1") for _ in range(4)]
    saved(page)
    here = shown(page)
    page.reload()
    assert shown(at_spectrum(page)) == here
    page.close()
    stop(served)
    again = start(served.folder)
    try:
        page = at_spectrum(page_of(browser.window(again), again))
        for identifier in reversed(order):
            page.keyboard.press("Backspace")
            expect(page.locator("#label")).to_have_attribute("data-painted", identifier)
        saved(page)
        assert labels(served.folder) == {}
    finally:
        stop(again)


def test_unsent_answers_survive_the_tab(served: Server, browser: Browser) -> None:
    browser.expected.append("Failed to load resource|ERR_INTERNET_DISCONNECTED")
    page = begin(browser, served)
    page.context.set_offline(True)
    given = {press(page, "2"): "emission" for _ in range(3)}
    expect(page.locator("#saved-text")).to_contain_text("3 actions wait")
    context = page.context
    page.close()
    assert labels(served.folder) == {}
    context.set_offline(False)
    page = page_of(context.new_page(), served)
    saved(page)
    deadline = time.monotonic() + 10
    while labels(served.folder) != given and time.monotonic() < deadline:
        page.wait_for_timeout(100)
    assert labels(served.folder) == given


def test_keys_do_not_fire_while_one_types(served: Server, browser: Browser) -> None:
    page = begin(browser, served)
    here = shown(page)
    page.keyboard.press("c")
    expect(page.locator("#comment")).to_be_focused()
    page.keyboard.type("2 peaks, x0 n ? – zvláštní")
    assert shown(page) == here
    expect(page.locator("#help")).to_be_hidden()
    page.keyboard.press("Enter")
    press(page, "2")
    page.keyboard.press("b")
    expect(page.locator("#label")).to_have_attribute("data-painted", here)
    expect(page.locator("#comment")).to_have_value("2 peaks, x0 n ? – zvláštní")
    saved(page)
    campaign = Campaign(served.folder / "search")
    made = next(made for made in Desk(campaign, _who(campaign)).history() if made.identifier == here)
    campaign.close()
    assert (made.answer, made.comment) == ("emission", "2 peaks, x0 n ? – zvláštní")


def _who(campaign: Campaign) -> str:
    return campaign.labels()[0].who


def test_keys_can_be_changed_and_switched_off(served: Server, browser: Browser) -> None:
    page = begin(browser, served)
    page.keyboard.press("?")
    page.get_by_role("button", name=re.compile("^Bad data: X")).click()
    page.keyboard.press("q")
    expect(page.get_by_role("button", name=re.compile("^Bad data: Q"))).to_be_focused()
    page.get_by_role("button", name="Help ?", exact=True).click()
    page.locator("#object-name").focus()
    bad = press(page, "q")
    page.reload()
    at_spectrum(page)
    saved(page)
    assert labels(served.folder) == {bad: "bad"}
    here = shown(page)
    page.keyboard.press("?")
    page.get_by_label("Keys are on").uncheck()
    page.locator("#object-name").focus()
    page.keyboard.press("1")
    page.wait_for_timeout(300)
    assert shown(page) == here
    assert labels(served.folder) == {bad: "bad"}


def test_two_tabs_get_different_spectra(served: Server, browser: Browser) -> None:
    first = begin(browser, served)
    second = page_of(first.context.new_page(), served)
    second.get_by_role("button", name="Label", exact=True).click()
    at_spectrum(second)
    seen = [press(page, "1") for _ in range(6) for page in (first, second)]
    saved(first)
    saved(second)
    assert len(set(seen)) == 12
    assert set(labels(served.folder)) == set(seen)


def test_a_grid_labels_many_at_once_and_undo_takes_them_all_back(served: Server, browser: Browser) -> None:
    page = begin(browser, served)
    page.keyboard.press("g")
    boxes = page.locator(".cell input")
    expect(boxes.first).to_be_visible()
    for place in range(5):
        boxes.nth(place).check()
    page.get_by_role("button", name="none", exact=True).last.click()
    page.get_by_role("button", name="Label 5").click()
    expect(page.locator("#grid")).to_contain_text("5 labelled as “none”")
    saved(page)
    assert list(labels(served.folder).values()) == ["none"] * 5
    page.get_by_role("button", name="Undo").click()
    saved(page)
    expect(page.locator("#round-count")).to_have_text("0 of 70")
    assert labels(served.folder) == {}


def test_two_annotators_overlap_disagree_and_are_adjudicated(tmp_path: Path, browser: Browser) -> None:
    folder = Workspace.open(tmp_path / "shared", create=True).folder
    make_campaign(folder, overlap=1.0)
    accounts = Accounts.of(Workspace(folder).private)
    for name, role in (("anna", "annotator"), ("ben", "annotator"), ("mia", "manager")):
        accounts.add(name, role, PASSWORD)
    running = start(folder)
    try:
        pages = [_signed_in(browser, running, name) for name in ("anna", "ben")]
        seen = []
        for page, key in zip(pages, ("1", "2"), strict=True):
            page.get_by_role("button", name="Label", exact=True).click()
            at_spectrum(page)
            seen.append([press(page, key) for _ in range(4)])
            saved(page)
        both = set(seen[0]) & set(seen[1])
        assert both, "an overlap of all questions gives both the same ones"
        assert labels(folder) == {
            **{name: "none" for name in seen[0] if name not in both},
            **{name: "emission" for name in seen[1] if name not in both},
        }
        manager = _signed_in(browser, running, "mia")
        expect(manager.locator("#card")).to_contain_text("in dispute")
        manager.get_by_label(f"Decision on {sorted(both)[0]}").select_option("emission")
        deadline = time.monotonic() + 10
        while sorted(both)[0] not in labels(folder) and time.monotonic() < deadline:
            manager.wait_for_timeout(100)
        assert labels(folder)[sorted(both)[0]] == "emission"
    finally:
        stop(running)


def _signed_in(browser: Browser, server: Server, name: str) -> Any:
    page = browser.window()
    page.goto(f"{server.base}/signin?next=/label/search")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    return page_of(page, server)


def test_the_plot_has_words_and_a_table(served: Server, browser: Browser) -> None:
    page = begin(browser, served)
    expect(page.locator("#summary")).to_contain_text("pixels from")
    page.get_by_text("The spectrum as a table").click()
    expect(page.locator("#table-body tbody tr").first).to_be_visible()
    page.locator("#medium").select_option("air")
    expect(page.locator("#label")).to_have_attribute("data-painted", shown(page))
    page.keyboard.press("l")
    page.keyboard.press("s")
    expect(page.locator("#smoothing-value")).to_have_text("0.5 px")
    page.locator("#redshift").fill("30 km/s")
    page.locator("#redshift").press("Tab")
    expect(page.locator("#velocity")).to_have_text("30.0 km/s")


def test_a_line_is_dragged_to_the_redshift(served: Server, browser: Browser) -> None:
    page = begin(browser, served)
    page.locator("#lines").select_option("Hydrogen")
    plot = page.locator("#window-plot .u-over")
    box = plot.bounding_box()
    low, high = Recipe.load("halpha-140").grid.wavelength[[0, -1]]
    at = box["x"] + (6564.6 - low) / (high - low) * box["width"]
    middle = box["y"] + box["height"] / 2
    page.mouse.move(at, middle)
    page.mouse.down()
    page.mouse.move(at + 0.1 * box["width"], middle, steps=4)
    page.mouse.up()
    redshift = float(page.locator("#redshift").input_value())
    assert redshift == pytest.approx(0.1 * (high - low) / 6564.6, rel=0.1)
    page.locator("#frame").select_option("rest")
    page.get_by_text("The spectrum as a table").click()
    first = page.locator("#table-body tbody tr td").first
    expect(first).to_have_text(re.compile(r"^6[34]\d\d"))


def test_a_round_is_finished_on_the_page(served: Server, browser: Browser) -> None:
    campaign = Campaign(served.folder / "search")
    desk = Desk(campaign, "someone")
    _, truth = lines(400, targets=40, seed=5)
    for task in desk.queue(200):
        desk.answer(task.identifier, truth[task.identifier], task=task.token)
    campaign.close()
    page = page_of(browser.window(served), served)
    expect(page.get_by_role("button", name="Finish the round and train")).to_be_visible()
    page.evaluate("history.replaceState(null, '', '?spectrum=s-000001')")  # as it is for one who has labelled
    page.get_by_role("button", name="Finish the round and train").click()
    expect(page.locator("#round-name")).to_have_text("Round 1", timeout=120_000)
    expect(page.locator("#card")).to_contain_text("70 labels")
    page.get_by_role("button", name="Label", exact=True).click()
    at_spectrum(page)
    expect(page.locator("#opinion")).to_contain_text("Hidden until you have answered")
    page.keyboard.press("h")
    expect(page.locator("#opinion")).to_contain_text("Accept")
    here = shown(page)
    page.keyboard.press("Enter")
    expect(page.locator("#label")).not_to_have_attribute("data-painted", here)
    saved(page)
    assert here in labels(served.folder)


def axe_source() -> str:
    axe = pytest.importorskip("axe_playwright_python")
    return (Path(axe.__file__).parent / "axe.min.js").read_text("utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_stands_in_anybodys_way(served: Server, browser: Browser, scheme: str) -> None:
    page = browser.window(served, color_scheme=scheme, bypass_csp=True)
    page_of(page, served)
    for face in ("card", "spectrum", "grid", "help"):
        if face == "spectrum":
            page.get_by_role("button", name="Label", exact=True).click()
            at_spectrum(page)
            page.keyboard.press("l")
        elif face in ("grid", "help"):
            page.keyboard.press({"grid": "g", "help": "?"}[face])
        page.wait_for_timeout(400)
        keep(page, f"label-{face}-{scheme}")
        page.evaluate(axe_source())
        found = page.evaluate("async () => (await axe.run()).violations")
        serious = [
            (item["id"], [node["html"][:160] for node in item["nodes"][:3]])
            for item in found
            if item["impact"] in ("serious", "critical")
        ]
        assert serious == [], f"{face}: {json.dumps(serious, indent=1)}"


def keep(page: Any, name: str) -> None:
    """Keep a picture of the page for whoever looks at what the tests saw."""
    folder = os.environ.get("EMBERLINE_ARTEFACTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def test_at_twice_the_size_nothing_is_cut_off(served: Server, browser: Browser) -> None:
    page = begin(browser, served, viewport={"width": 640, "height": 450}, device_scale_factor=2)
    wide = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide[0] <= wide[1]
    for name in ("none", "emission", "Skip", "Undo"):
        expect(page.get_by_role("button", name=re.compile(rf"^{name}")).first).to_be_visible()
    press(page, "1")


@pytest.mark.data
def test_real_spectra(tmp_path: Path, data: Path, browser: Browser) -> None:
    from emberline.archive import ingest
    from emberline.config import from_mapping

    folder = Workspace.open(tmp_path / "real", create=True).folder
    ingest([data / "lamost"], folder / "survey", workers=1)
    mapping = {**SETTINGS, "pool": {"archives": ["survey"]}, "query": {"batch": 12}}
    campaign = new_campaign(folder / "search", from_mapping(CampaignConfig, mapping).resolved(folder))
    campaign.advance()
    campaign.close()
    running = start(folder)
    try:
        page = begin(browser, running)
        keep(page, "label-real-spectrum")
        expect(page.locator("#object-facts")).to_contain_text("LAMOST")
        given = {press(page, "1"): "none" for _ in range(6)}
        saved(page)
        assert labels(folder) == given
    finally:
        stop(running)
