"""The card between two rounds: its three numbers with their intervals, what they rest on, and what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from emberline.campaign import Campaign
from emberline.jobs import Workspace
from tests.web.labelling import make_campaign

from .conftest import Browser, Server, start, stop
from .test_label import axe_source, keep, page_of

expect: Any = pytest.importorskip("playwright.sync_api").expect

SUMMARY: dict[str, Any] = {
    "number": 0,
    "labels_start": 0,
    "labels_query": 240,
    "labels_control": 90,
    "new_targets": 17,
    "unanswered": 0,
    "disputed": 0,
    "pool": 400,
    "flagged": 0,
    "seconds": {},
    "candidates": 61,
    "metrics": {},
    "truth": {},
    "purity": {"value": 0.93, "low": 0.85, "high": 0.98, "n": 31},
    "purity_by_class": {},
    "completeness": {"value": 0.88, "low": 0.71, "high": 0.97, "n": 90},
    "completeness_from_draw": {"value": 1.0, "low": 0.34, "high": 1.0, "n": 90},
    "assumed": "scores",
    "revised": 2,
    "unsure": 1,
    "worth": 5.0,
    "gain": {"value": 6.6, "low": 2.0, "high": 13.0, "n": 240, "last": 17.0, "bound": 9.2, "rounds": 3},
}
STOP = {"value": 1.2, "low": 0.0, "high": 4.0, "n": 240, "last": 2.0, "bound": 2.4, "rounds": 3}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A workspace with one campaign, whose first round each test closes as it likes."""
    folder = Workspace.open(tmp_path_factory.mktemp("card") / "night-sky", create=True).folder
    make_campaign(folder)
    running = start(folder)
    yield running
    stop(running)


def card_of(browser: Browser, server: Server, changes: dict[str, Any], **options: Any) -> Any:
    """The page at its card, after a round with this summary."""
    campaign = Campaign(server.folder / "search")
    campaign.database.finish_round(0, SUMMARY | changes)
    campaign.close()
    page = page_of(browser.window(server, **options), server)
    expect(page.locator("#card .estimate")).to_have_count(3)
    return page


def test_each_number_comes_with_its_interval_and_what_it_rests_on(server: Server, browser: Browser) -> None:
    page = card_of(browser, server, {})
    purity, completeness, gain = (page.locator("#card .estimate").nth(i) for i in range(3))
    expect(purity).to_contain_text("0.93")
    expect(purity).to_contain_text("95 % interval 0.85 to 0.98, from 31 control labels")
    expect(completeness.locator(".big")).to_have_text("0.88")
    expect(completeness).to_contain_text("95 % interval 0.71 to 0.97, from 90 control labels")
    expect(completeness).to_contain_text("It assumes that likelier spectra are targets more frequently")
    expect(completeness).to_contain_text("From the random draw alone, without that: ≥\u00a00.34 (0.34 to 1.00)")
    expect(gain.locator(".big")).to_have_text("6.6 new targets")
    expect(gain).to_contain_text("95 % interval 2 to 13 (the mark: 5)")
    expect(gain.locator(".verdict")).to_contain_text(
        "Worth going on: 100 labels are worth the work from 5 new targets on."
    )
    expect(page.locator("#card")).to_contain_text("2 control answers were changed after the network's opinion")
    expect(page.locator("#card")).to_contain_text("1 control spectrum could not be decided")


def test_the_pictures_show_the_numbers(server: Server, browser: Browser) -> None:
    """A line from 4 to 196 stands for 0 to 1, and for 0 to 1.2 times the upper end of what is expected."""
    page = card_of(browser, server, {})
    spans = page.evaluate(
        "[...document.querySelectorAll('#card .meter')].map((m) => ['.span@x1', '.span@x2', '.dot@cx', '.limit@x1']"
        ".map((w) => w.split('@')).map(([of, name]) => m.querySelector(of)?.getAttribute(name)).map(parseFloat))"
    )
    assert [round(x) for x in spans[0][:3]] == [round(4 + 192 * share) for share in (0.85, 0.98, 0.93)]
    assert [round(x) for x in spans[2][:3]] == [round(4 + 192 * share) for share in (0.34, 1.0, 1.0)]
    assert [round(x) for x in spans[3]] == [round(4 + 192 * number / 15.6) for number in (2, 13, 6.6, 5)]


def test_it_says_when_to_stop_and_nothing_of_what_was_not(server: Server, browser: Browser) -> None:
    page = card_of(browser, server, {"gain": STOP, "assumed": "nothing", "revised": 0, "unsure": 0})
    card = page.locator("#card")
    expect(card.locator(".verdict")).to_have_attribute("data-outlook", "stop")
    expect(card.locator(".verdict")).to_contain_text("Stop: with 90 % confidence fewer than 5 are expected")
    expect(card).to_contain_text("It rests on the random draw of the control sample alone")
    for absent in ("From the random draw alone", "changed after", "could not be decided"):
        expect(card).not_to_contain_text(absent)


def test_without_control_labels_and_network_it_says_what_it_takes(server: Server, browser: Browser) -> None:
    nothing = dict.fromkeys(("purity", "completeness", "completeness_from_draw", "gain"))
    page = card_of(browser, server, {**nothing, "labels_control": 0, "revised": 0, "unsure": 0})
    expect(page.locator("#card .big.none")).to_have_text(["not yet estimated", "not yet estimated", "not yet known"])
    expect(page.locator("#card")).to_contain_text("It takes control labels")
    expect(page.locator("#card .meter")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_nothing_of_it_stands_in_anybodys_way(server: Server, browser: Browser, scheme: str, width: int) -> None:
    options = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme, "bypass_csp": True}
    page = card_of(browser, server, {}, **options)
    keep(page, f"card-{width}-{scheme}")
    wide = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide[0] <= wide[1]
    page.evaluate(axe_source())
    found = page.evaluate("async () => (await axe.run('#card')).violations")
    serious = [
        (item["id"], item["nodes"][0]["html"][:160]) for item in found if item["impact"] in ("serious", "critical")
    ]
    assert serious == [], json.dumps(serious, indent=1)
