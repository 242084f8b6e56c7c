"""The oracle's page when things go wrong or are done out of order: nothing is lost, and nothing is labelled unseen."""

from __future__ import annotations

import collections
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emberline.campaign import Campaign
from emberline.jobs import Workspace
from emberline.web.accounts import Accounts
from tests.web.labelling import make_campaign

from .conftest import REFUSED, Browser, Server, start, stop
from .test_label import PASSWORD, _signed_in, at_spectrum, begin, labels, page_of, press, saved, shown

expect: Any = pytest.importorskip("playwright.sync_api").expect


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Server]:
    folder = Workspace.open(tmp_path / "night-sky", create=True).folder
    make_campaign(folder)
    running = start(folder)
    yield running
    stop(running)


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Server]:
    """The same with two annotators' accounts."""
    folder = Workspace.open(tmp_path / "shared", create=True).folder
    make_campaign(folder)
    accounts = Accounts.of(Workspace(folder).private)
    for name in ("anna", "ben"):
        accounts.add(name, "annotator", PASSWORD)
    running = start(folder)
    yield running
    stop(running)


def label_by_script(server: Server, count: int) -> None:
    """Label so many in another window of the same person, and leave the rest free."""
    with server.api() as api:
        questions = api.post("/campaigns/search/queue", json={"count": count, "window": "script"}).json()["questions"]
        actions = [
            {
                "id": uuid.uuid4().hex,
                "kind": "label",
                "answer": "none",
                "identifier": q["identifier"],
                "task": q["task"],
            }
            for q in questions
        ]
        api.post("/campaigns/search/actions", json={"actions": actions, "window": "script"}).raise_for_status()


def test_who_is_signed_out_signs_in_again_and_nothing_is_lost(shared: Server, browser: Browser) -> None:
    browser.expected.append(REFUSED)
    page = _signed_in(browser, shared, "anna")
    page.get_by_role("button", name="Label", exact=True).click()
    at_spectrum(page)
    Accounts.of(Workspace(shared.folder).private).sessions.close_all("anna")
    given = {press(page, "2"): "emission" for _ in range(2)}
    expect(page.locator("#saved-text")).to_contain_text("signed out")
    tab = page.context.new_page()
    _sign_in(tab, shared, "ben")
    expect(page.locator("#saved-text")).to_contain_text("ben is signed in now", timeout=20_000)
    assert labels(shared.folder) == {}
    tab.context.clear_cookies()
    _sign_in(tab, shared, "anna")
    expect(page.locator("#saved-text")).to_have_text("Saved", timeout=20_000)
    assert labels(shared.folder) == given


def _sign_in(page: Any, server: Server, name: str) -> None:
    page.goto(f"{server.base}/signin")
    if page.get_by_label("Password").count():
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_label("Password")).to_have_count(0)


@pytest.mark.parametrize("how", ["indexedDB.open = () => { throw new DOMException('no', 'SecurityError'); }"])
def test_a_browser_that_keeps_nothing_labels_all_the_same(served: Server, browser: Browser, how: str) -> None:
    page = browser.window(served)
    page.context.add_init_script(how)
    page = page_of(page, served)
    page.get_by_role("button", name="Label", exact=True).click()
    at_spectrum(page)
    given = {press(page, "1"): "none" for _ in range(2)}
    saved(page)
    assert labels(served.folder) == given


def test_what_the_browser_cannot_keep_is_not_shown_as_done(served: Server, browser: Browser) -> None:
    page = begin(browser, served)
    here = shown(page)
    page.evaluate(
        "() => { IDBObjectStore.prototype.add = () => { throw new DOMException('full', 'QuotaExceededError'); }; }"
    )
    page.keyboard.press("1")
    expect(page.locator("#trouble")).to_contain_text("could not be kept")
    assert shown(page) == here
    expect(page.locator("#decided")).to_have_text("")


def test_two_keys_at_once_are_one_decision(served: Server, browser: Browser) -> None:
    page = begin(browser, served)
    first = shown(page)
    page.evaluate(
        "for (const key of '12') document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }))"
    )
    expect(page.locator("#label")).not_to_have_attribute("data-painted", first)
    second = shown(page)
    press(page, "b")
    assert shown(page) == first
    press(page, "n")
    assert shown(page) == second
    saved(page)
    assert labels(served.folder) == {first: "none"}


def test_what_was_passed_by_comes_before_the_end(served: Server, browser: Browser) -> None:
    label_by_script(served, 64)
    page = page_of(browser.window(served), served)
    at_spectrum(page)
    passed = [press(page, "n") for _ in range(2)]
    for _ in range(4):
        press(page, "1")
    assert shown(page) == passed[0]
    assert press(page, "2") == passed[0]
    page.keyboard.press("2")
    expect(page.locator("#card")).to_contain_text("every question has been put to you")
    saved(page)
    held = labels(served.folder)
    assert len(held) == 70
    assert {name: held[name] for name in passed} == dict.fromkeys(passed, "emission")


def test_a_note_without_an_answer_is_where_one_goes_on(served: Server, browser: Browser) -> None:
    page = begin(browser, served)
    press(page, "1")
    here = shown(page)
    page.keyboard.press("f")
    saved(page)
    page = page_of(page, served)
    assert shown(at_spectrum(page)) == here
    expect(page.locator("#flags input").first).to_be_checked()


def test_after_a_reload_undo_shows_what_held_before(served: Server, browser: Browser) -> None:
    page = begin(browser, served)
    first = press(page, "1")
    press(page, "b")
    press(page, "2")
    saved(page)
    page.reload()
    at_spectrum(page)
    page.keyboard.press("Backspace")
    expect(page.locator("#label")).to_have_attribute("data-painted", first)
    expect(page.locator("#decided")).to_have_text("You said: none.")
    page.keyboard.press("Backspace")
    expect(page.locator("#decided")).to_have_text("")
    saved(page)
    assert labels(served.folder) == {}


def test_after_a_reload_a_grid_action_is_taken_back_as_one(served: Server, browser: Browser) -> None:
    page = begin(browser, served)
    page.keyboard.press("g")
    for place in range(3):
        page.locator(".cell input").nth(place).check()
    page.get_by_role("button", name="emission", exact=True).last.click()
    page.get_by_role("button", name="Label 3").click()
    expect(page.locator("#grid")).to_contain_text("3 labelled")
    saved(page)
    assert len(labels(served.folder)) == 3
    page.reload()
    at_spectrum(page)
    page.keyboard.press("Backspace")
    expect(page.locator("#round-count")).to_have_text("0 of 70")
    saved(page)
    assert labels(served.folder) == {}


def test_a_question_that_comes_again_in_the_grid_stays_a_repeat(tmp_path: Path, browser: Browser) -> None:
    folder = Workspace.open(tmp_path / "night-sky", create=True).folder
    make_campaign(folder, repeats=0.5)
    served = start(folder)
    try:
        label_by_script(served, 30)
        page = page_of(browser.window(served), served)
        at_spectrum(page)
        page.keyboard.press("g")
        page.get_by_role("button", name="Choose all").click()
        page.get_by_role("button", name="emission", exact=True).last.click()
        page.get_by_role("button", name="Label ").last.click()
        saved(page)
        expect(page.locator("#grid")).to_contain_text("nothing left to ask")
    finally:
        stop(served)
    campaign = Campaign(folder / "search")
    events = campaign.database.events()
    campaign.close()
    told = collections.Counter(event["identifier"] for event in events if event["kind"] == "label")
    assert any(event["kind"] == "repeat" for event in events)
    assert set(told.values()) == {1}


def test_quality_by_the_arrows_and_space_after_a_click(served: Server, browser: Browser) -> None:
    page = begin(browser, served)
    page.locator('input[name="quality"][value=""]').focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator('input[name="quality"][value="4"]')).to_be_checked()
    first = shown(page)
    page.get_by_role("button", name="emission").click()
    expect(page.locator("#label")).not_to_have_attribute("data-painted", first)
    press(page, " ")
    saved(page)
    assert labels(served.folder) == {first: "emission"}


def test_an_address_leads_to_its_spectrum_or_to_the_next_question(served: Server, browser: Browser) -> None:
    browser.expected.append(REFUSED)
    campaign = Campaign(served.folder / "search")
    last = campaign.database.questions()[-1].identifier
    campaign.close()
    page = page_of(browser.window(served), served, f"?spectrum={last}")
    assert shown(at_spectrum(page)) == last
    press(page, "2")
    saved(page)
    assert labels(served.folder) == {last: "emission"}
    page = page_of(page, served, "?spectrum=nothing-of-the-kind")
    assert shown(at_spectrum(page)) not in (last, "")


def test_two_tabs_that_take_the_same_back_say_so_and_go_on(served: Server, browser: Browser) -> None:
    first = begin(browser, served)
    earlier, later = press(first, "1"), press(first, "2")
    saved(first)
    second = page_of(first.context.new_page(), served)
    at_spectrum(second)
    for page in (first, second):
        page.keyboard.press("Backspace")
        expect(page.locator("#label")).to_have_attribute("data-painted", later)
        saved(page)
    assert labels(served.folder) == {earlier: "none"}
    expect(second.locator("#refused")).to_contain_text("no such action to take back")
    second.get_by_role("button", name="I have seen it").click()
    expect(second.locator("#refused")).to_be_hidden()
    second.keyboard.press("2")
    expect(second.locator("#label")).not_to_have_attribute("data-painted", later)
    saved(second)
    assert labels(served.folder) == {earlier: "none", later: "emission"}


def test_a_second_look_leads_back_to_the_card(tmp_path: Path, browser: Browser) -> None:
    folder = Workspace.open(tmp_path / "night-sky", create=True).folder
    make_campaign(folder, repeats=0.5)
    served = start(folder)
    try:
        label_by_script(served, 30)
        page = page_of(browser.window(served), served)
        at_spectrum(page)
        for _ in range(20):
            press(page, "2")
        saved(page)
        page.get_by_role("button", name="Round").click()
        look = page.locator("#card tbody button").first
        identifier = look.inner_text()
        look.click()
        expect(page.locator("#label")).to_have_attribute("data-painted", identifier)
        expect(page.locator("#decided")).to_contain_text("You said: none.")
        page.keyboard.press("1")
        expect(page.locator("#card")).to_be_visible()
        expect(page.locator("#card tbody button", has_text=identifier)).to_have_count(0)
        page.get_by_role("button", name="Label", exact=True).click()
        expect(page.locator("#decided")).to_have_text("")
    finally:
        stop(served)


def test_who_is_not_blind_sees_the_opinion_at_once(tmp_path: Path, browser: Browser) -> None:
    folder = Workspace.open(tmp_path / "night-sky", create=True).folder
    make_campaign(folder, blind=False)
    served = start(folder)
    try:
        page = begin(browser, served)
        expect(page.locator("#opinion")).to_contain_text("No network has read this spectrum yet")
    finally:
        stop(served)


def test_an_archive_that_fails_is_named_and_can_be_asked_again(served: Server, browser: Browser) -> None:
    page = browser.window(served)
    broken = True

    def answer(route: Any) -> None:
        reply = route.fetch()
        failures = [{"archive": "gaia", "message": "it is down"}] if broken else []
        route.fulfill(response=reply, json={**reply.json(), "failures": failures})

    page.route("**/view?*", answer)
    page = page_of(page, served)
    page.get_by_role("button", name="Label", exact=True).click()
    at_spectrum(page)
    here = shown(page)
    expect(page.locator("#others")).to_contain_text("gaia could not be asked: it is down")
    broken = False
    page.get_by_role("button", name="Ask again").click()
    expect(page.locator("#others")).not_to_contain_text("gaia")
    assert shown(page) == here
    page.unroute_all(behavior="wait")
