"""The life of a job in a real browser: write, submit, watch, look at results, run again, abort, delete."""

from __future__ import annotations

import re
from typing import Any

import pytest

from .conftest import REFUSED, Browser, Server

expect: Any = pytest.importorskip("playwright.sync_api").expect
ENDED = 40_000
GOES_ON = re.compile("Queued|Executing|Completed")


def fill(page: Any, **entries: str) -> None:
    for name, text in entries.items():
        page.get_by_label(re.compile(rf"^{name}\b")).fill(text)


def row(page: Any, label: str) -> Any:
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=label, exact=True))


def phase(page: Any) -> Any:
    return page.locator("#job .badge")


def test_submit_by_the_form_and_watch_it_to_its_end(server: Server, browser: Browser) -> None:
    page = browser.window(server)
    page.get_by_role("navigation").get_by_role("link", name="New job").click()
    page.get_by_role("link", name="Simulate a survey").click()
    page.get_by_role("link", name="Small survey to try things").click()
    expect(page.get_by_label(re.compile("^spectra"))).to_have_value("2000")
    fill(page, into="watched", spectra="60", seed="7", workers="1", label="Watched to its end")
    page.get_by_role("button", name="Run now").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Watched to its end")
    page.evaluate("window.sameDocument = true")
    expect(phase(page)).to_have_text("Completed", timeout=ENDED)
    expect(page.locator("#results")).to_contain_text("archive watched")
    expect(page.locator("#log")).to_contain_text(re.compile(r"begins\.\s.*with 1 result"))  # it grew while one looked
    expect(page.get_by_role("button", name="Abort")).to_have_count(0)
    assert page.evaluate("window.sameDocument"), "the page was loaded again"
    expect(page.locator("#command")).to_contain_text("emberline jobs submit simulate into=watched spectra=60 seed=7")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download summary.json").click()
    assert "watched" in download.value.path().read_text("utf-8")
    page.goto(f"{server.base}/")
    expect(page.locator("#archives")).to_contain_text("watched")


def test_what_is_wrong_is_said_at_the_field(server: Server, browser: Browser) -> None:
    browser.expected.append(REFUSED)
    page = browser.window(server)
    page.goto(f"{server.base}/jobs/new/simulate")
    fill(page, into="../outside", spectra="many", seed="1", label="Kept as typed")
    page.get_by_role("button", name="Run now").click()
    into, spectra = page.get_by_label(re.compile("^into")), page.get_by_label(re.compile("^spectra"))
    for entry in (into, spectra):
        expect(entry).to_have_attribute("aria-invalid", "true")
        described = entry.get_attribute("aria-describedby").split()
        assert page.locator(f"#{described[0]}").inner_text().strip()
    expect(into).to_be_focused()
    expect(spectra).to_have_value("many")
    expect(page.get_by_label(re.compile("^label"))).to_have_value("Kept as typed")
    expect(page.get_by_label(re.compile("^seed"))).not_to_have_attribute("aria-invalid", "true")
    expect(page.get_by_role("alert")).to_contain_text("Nothing has been started")
    with server.api() as api:
        assert api.get("/jobs", params={"search": "Kept as typed"}).json()["total"] == 0


def test_run_again_with_an_edited_parameter(server: Server, browser: Browser) -> None:
    first = server.submit("simulate", "Once more", run=False, into="again", spectra=40, seed=1, workers=1)
    with server.api() as api:
        api.post(f"/jobs/{first}/abort")
    page = browser.window(server)
    page.goto(f"{server.base}/jobs/{first}")
    page.get_by_role("link", name="Run again").click()
    expect(page.get_by_label(re.compile("^spectra"))).to_have_value("40")
    fill(page, seed="2", into="again-2")
    page.get_by_role("button", name="Run now").click()
    expect(page.get_by_role("link", name="made from an earlier job")).to_have_attribute("href", f"/jobs/{first}")
    second = page.locator("#job").get_attribute("data-id")
    assert second != first
    expected = server.job(first)["parameters"] | {"into": "again-2", "seed": 2, "preset": "lamost"}
    assert server.job(second)["parameters"] == expected
    assert server.job(first)["parameters"]["seed"] == 1
    expect(phase(page)).to_have_text("Completed", timeout=ENDED)


def test_keep_for_later_edit_and_run(server: Server, browser: Browser) -> None:
    page = browser.window(server)
    page.goto(f"{server.base}/jobs/new/simulate")
    fill(page, into="later", spectra="30", seed="3", label="For later")
    page.get_by_text("As TOML or JSON", exact=True).click()
    page.get_by_label("Parameters as TOML or JSON").fill('{"into": "later", "spectra": 35, "seed": 4}')
    page.get_by_role("button", name="Fill the form").click()
    expect(page.get_by_label(re.compile("^spectra"))).to_have_value("35")
    page.get_by_role("button", name="Keep for later").click()
    expect(phase(page)).to_have_text("Pending")
    page.get_by_role("link", name="Edit").click()
    fill(page, spectra="36")
    page.get_by_role("button", name="Save and run").click()
    expect(phase(page)).to_have_text(GOES_ON)
    expect(page.get_by_role("row", name="spectra 36")).to_be_visible()


def test_abort_a_running_job(server: Server, browser: Browser) -> None:
    id = server.submit("simulate", "Too large", into="too-large", spectra=2_000_000, seed=1, workers=1)
    page = browser.window(server)
    page.goto(f"{server.base}/jobs/{id}")
    expect(phase(page)).to_have_text("Executing", timeout=ENDED)
    expect(page.get_by_role("progressbar")).to_be_visible()
    expect(page.locator("#message")).to_contain_text("2,000,000", timeout=ENDED)
    page.get_by_role("button", name="Abort").click()
    expect(phase(page)).to_have_text("Aborted")
    expect(page.get_by_role("progressbar")).to_have_count(0)
    assert server.job(id)["phase"] == "ABORTED"


def test_a_failure_says_why_and_keeps_its_detail_closed(server: Server, browser: Browser) -> None:
    id = server.submit("round", "Cannot work", campaign="nothing-here")
    page = browser.window(server)
    page.goto(f"{server.base}/jobs/{id}")
    expect(phase(page)).to_have_text("Error", timeout=ENDED)
    expect(page.locator("#job")).to_contain_text("nothing-here: there is no campaign here")
    assert str(server.folder) not in page.locator("main").inner_text()
    expect(page.locator("#log")).not_to_contain_text("Traceback")
    expect(page.get_by_text("Traceback")).to_be_hidden()
    page.get_by_text("Detail for a report of the fault").click()
    expect(page.get_by_text("Traceback")).to_be_visible()


def test_delete_asks_first_and_names_what_is_lost(server: Server, browser: Browser) -> None:
    kept, *doomed = (
        server.submit("simulate", f"Row {number}", run=False, into=f"r{number}", spectra=10, seed=number)
        for number in range(3)
    )
    page = browser.window(server)
    page.goto(f"{server.base}/jobs?search=Row&type=simulate")
    delete = page.get_by_role("button", name="Delete")
    expect(delete).to_be_disabled()
    for number in (1, 2):
        page.get_by_role("checkbox", name=f"Select Row {number}").check()
    delete.click()
    dialog = page.get_by_role("dialog", name="Delete 2 jobs?")
    expect(dialog).to_contain_text("Row 1")
    expect(dialog).to_contain_text("Deleted for ever")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(delete).to_be_focused()
    delete.click()
    dialog.get_by_role("button", name="Delete 2 jobs").click()
    expect(page.get_by_text("Deleted: 2 jobs.")).to_be_visible()
    assert "search=Row" in page.url
    expect(row(page, "Row 0")).to_be_visible()
    expect(row(page, "Row 1")).to_have_count(0)
    assert server.job(kept)["phase"] == "PENDING"
    assert all("error" in server.job(id) and "phase" not in server.job(id) for id in doomed)


def test_two_tabs_see_the_same(server: Server, browser: Browser) -> None:
    one = browser.window(server)
    one.goto(f"{server.base}/jobs?search=Seen+twice")
    two = one.context.new_page()
    two.goto(f"{server.base}/jobs?search=Seen+twice")
    for page in (one, two):
        expect(page.get_by_text("No job fits")).to_be_visible()
    server.submit("simulate", "Seen twice", into="twice", spectra=40, seed=1, workers=1)
    for page in (one, two):
        expect(row(page, "Seen twice")).to_contain_text("Completed", timeout=ENDED)
    two.get_by_role("link", name="Seen twice").click()
    expect(two.get_by_role("button", name="Follow")).to_be_visible()  # the scripts are at work: they ask in a dialog
    two.get_by_role("button", name="Archive").click()
    two.get_by_role("dialog").get_by_role("button", name="Archive 1 job").click()
    expect(phase(two)).to_have_text("Archived")
    expect(row(one, "Seen twice")).to_have_count(0)


def test_a_row_changes_in_place(server: Server, browser: Browser) -> None:
    """Marks, focus and what one has scrolled to stay while other rows come and go."""
    id = server.submit("simulate", "Stays marked", run=False, into="marked", spectra=10, seed=1)
    page = browser.window(server)
    page.goto(f"{server.base}/jobs")
    box = page.get_by_role("checkbox", name="Select Stays marked")
    box.check()
    expect(page.get_by_text("1 selected")).to_be_visible()
    server.submit("simulate", "Comes later", run=False, into="comes", spectra=10, seed=1)
    expect(row(page, "Comes later")).to_be_visible()
    expect(box).to_be_checked()
    expect(box).to_be_focused()
    expect(page.get_by_text("1 selected")).to_be_visible()
    with server.api() as api:
        api.delete(f"/jobs/{id}")
    expect(box).to_have_count(0)
    expect(page.get_by_text("none selected")).to_be_visible()


def test_filters_stay_in_the_address(server: Server, browser: Browser) -> None:
    server.submit("simulate", "Filtered", run=False, into="filtered", spectra=10, seed=1)
    page = browser.window(server)
    page.goto(f"{server.base}/jobs")
    page.get_by_role("checkbox", name="Pending").check()
    page.get_by_label("Type").select_option("simulate")
    page.get_by_label("Search").fill("filt")
    expect(page).to_have_url(f"{server.base}/jobs?phase=PENDING&type=simulate&search=filt")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Job", exact=True).click()
    expect(page).to_have_url(re.compile("sort=label"))
    page.reload()
    expect(page.get_by_role("checkbox", name="Pending")).to_be_checked()
    expect(page.get_by_label("Type")).to_have_value("simulate")
    expect(page.get_by_label("Search")).to_have_value("filt")
    expect(page.get_by_role("columnheader", name="Job")).to_have_attribute("aria-sort", "ascending")
    expect(row(page, "Filtered")).to_be_visible()
    page.go_back()
    expect(page).to_have_url(f"{server.base}/jobs?phase=PENDING&type=simulate&search=filt")
    page.get_by_role("link", name="Clear").click()
    expect(page).to_have_url(f"{server.base}/jobs")


def test_without_scripts(server: Server, browser: Browser) -> None:
    """Everything that changes something works by plain forms too."""
    page = browser.window(server, java_script_enabled=False)
    page.goto(f"{server.base}/jobs/new/simulate")
    fill(page, into="plain", spectra="20", seed="1", label="Plain form")
    page.get_by_role("button", name="Keep for later").click()
    expect(phase(page)).to_have_text("Pending")
    page.get_by_role("button", name="Run").click()
    expect(phase(page)).to_have_text(GOES_ON)
    page.goto(f"{server.base}/jobs?search=Plain")
    page.get_by_role("checkbox", name="Select Plain form").check()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Delete 1 job “Plain form”?")).to_be_visible()
    page.get_by_role("button", name="Delete 1 job").click()
    expect(page.get_by_text("Deleted: 1 job.")).to_be_visible()
    expect(page.get_by_role("link", name="Plain form")).to_have_count(0)
