"""Panels with the real server, its job, and other archives: they fill in, and a dead service comes back."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emberline.archive import ingest_blocks
from emberline.campaign import CampaignConfig, new_campaign
from emberline.config import from_mapping
from emberline.jobs import Workspace
from emberline.spectra import SpectrumBlock
from tests.campaign.conftest import lines
from tests.vo.client.other_archives import Fault, OtherArchives, other_archives
from tests.web.labelling import SETTINGS

from .conftest import Browser, Server, start, stop
from .test_context import beside, panel_of, width_of
from .test_label import at_spectrum, keep, page_of, press, shown

expect: Any = pytest.importorskip("playwright.sync_api").expect


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OtherArchives]:
    with other_archives(tmp_path_factory.mktemp("others") / "workspace") as running:
        yield running


@pytest.fixture
def served(tmp_path: Path, others: OtherArchives) -> Iterator[Server]:
    """A campaign whose spectra lie where the other archives know something, and a workspace that asks those alone."""
    others.faults.clear()
    folder = Workspace.open(tmp_path / "night-sky", create=True).folder
    block, _ = lines(2 * len(others.objects), targets=4, seed=5)
    meta = [
        dataclasses.replace(one, ra=place.ra, dec=place.dec, mjd=56000.0)
        for one, place in zip(block.meta, others.objects * 2, strict=True)
    ]
    block = SpectrumBlock(block.grid, block.flux, block.ivar, block.mask, meta)
    ingest_blocks([block], folder / "survey", survey="test")
    mapping = {
        **SETTINGS,
        "pool": {"archives": ["survey"]},
        "query": {"batch": 8, "strategy": "random", "cold_start": "random"},
        "control": {"per_round": 0},
    }
    campaign = new_campaign(folder / "search", from_mapping(CampaignConfig, mapping).resolved(folder))
    campaign.advance()
    campaign.close()
    (folder / "vo.toml").write_text(configuration(others))
    running = start(folder)
    yield running
    stop(running)


def configuration(others: OtherArchives) -> str:
    services = others.services
    names = ("registry", "simbad", "gaia", "vizier", "xmatch", "sesame", "hips2fits")
    addresses = "".join(f'{name} = "{getattr(services, name)}"\n' for name in names)
    return (
        'allow = ["127.0.0.1"]\nrate = 1000.0\ntries = 1\n'
        f'[services]\n{addresses}aladin = ""\nssap = ["{services.ssap[0]}"]\n'
    )


def test_panels_fill_in_from_services_and_a_dead_one_comes_back(
    served: Server, browser: Browser, others: OtherArchives
) -> None:
    others.faults.append(Fault("/hips2fits", times=-1, status=500, body=b"the disks are full"))
    page = page_of(browser.window(served, viewport={"width": 1700, "height": 1000}), served)
    page.get_by_role("button", name="Label", exact=True).click()
    at_spectrum(page)
    here = shown(page)
    beside(page)
    expect(panel_of(page, "identity").locator(".facts")).not_to_be_empty(timeout=60_000)
    expect(panel_of(page, "photometry").locator(".facts")).not_to_be_empty(timeout=60_000)
    sky = panel_of(page, "sky")
    expect(sky.locator(".state")).to_have_text("failed", timeout=60_000)
    expect(sky.locator(".failure")).to_contain_text(others.url.removeprefix("http://"))
    keep(page, "context-services-failed")
    press(page, "n")
    press(page, "b")
    assert shown(page) == here
    others.faults.clear()
    sky.get_by_role("button", name="Try again").click()
    expect(sky.locator("img")).to_be_visible(timeout=60_000)
    assert width_of(sky.locator("img")) > 1
    expect(sky.locator(".state")).to_have_text("")
    keep(page, "context-services")
    waiting = page.locator('.context-panel[data-state="waiting"]')
    expect(waiting).to_have_count(0, timeout=60_000)
    boxes = page.locator("#others input")
    expect(boxes.first).to_be_visible()
    page.keyboard.press("o")
    expect(page.locator("#whole-plot")).not_to_have_attribute("data-overlays", "0")
    expect(page.locator("#overlay-legend li").first).to_be_visible()
    keep(page, "context-services-overlaid")
    press(page, "n")
