"""The oracle's page in a real browser: key to the next spectrum, saved, pan and zoom, first page; medians and p95.

The named baseline is the same page without prefetching, which waits for the server after each key. What panels of
context cost is measured in turn with the same page without them: once full, once with every one at its time limit.

    python benchmarks/label_page.py [--spectra 1000000] [--keys 60] [--delay 0.2]

Needs Chromium. A label page that is quick must hide a slow server: each request is delayed on purpose.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run", "--disable-sync"]
PIXELS_OF_A_LARGE_SPECTRUM = 4000
WATCH = """
window.measured = {painted: [], saved: []};
let pressed = 0;
addEventListener("keydown", () => { pressed = performance.now(); }, {capture: true});
addEventListener("DOMContentLoaded", () => {
  const painted = () => { if (pressed) window.measured.painted.push(performance.now() - pressed); };
  new MutationObserver(painted).observe(document.getElementById("label"), {attributeFilter: ["data-painted"]});
  const saved = document.getElementById("saved");
  let before = saved.dataset.state;
  new MutationObserver(() => {
    if (saved.dataset.state === "saved" && before !== "saved") window.measured.saved.push(performance.now() - pressed);
    before = saved.dataset.state;
  }).observe(saved, {attributeFilter: ["data-state"]});
});
"""
FRAMES = """async () => {
  const times = [];
  for (let i = 0; i < 90; i += 1) {
    const key = i < 45 ? (i % 2 ? "ArrowLeft" : "ArrowRight") : (i % 2 ? "+" : "-");
    document.body.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
    times.push(await new Promise(requestAnimationFrame));
  }
  return times;
}"""


def make_archives(folder: Path, spectra: int) -> None:
    """An archive of many short spectra, and one of long ones, with their features."""
    from emberline.archive import ingest_blocks, open_archive
    from emberline.features import Recipe

    long = block(np.random.default_rng(0), 500, PIXELS_OF_A_LARGE_SPECTRUM, "long")
    ingest_blocks(blocks(spectra), folder / "survey", survey="benchmark")
    ingest_blocks([long], folder / "long", survey="long")
    for archive in ("survey", "long"):
        open_archive(folder / archive).build_features(Recipe.load("halpha-140"))


def make_campaigns(folder: Path) -> None:
    """Two campaigns whose first round has been asked; those of an earlier run are thrown away."""
    from emberline.campaign import CampaignConfig, new_campaign
    from emberline.config import from_mapping

    for name, archive in (("search", "survey"), ("long-search", "long")):
        shutil.rmtree(folder / name, ignore_errors=True)
        mapping = {
            "name": name, "classes": ["none", "emission"], "targets": ["emission"], "recipe": "halpha-140",
            "pool": {"archives": [archive]}, "query": {"batch": 600, "strategy": "random", "cold_start": "random"},
        }  # fmt: skip
        campaign = new_campaign(folder / name, from_mapping(CampaignConfig, mapping).resolved(folder))
        campaign.advance()
        campaign.close()


def blocks(spectra: int) -> Iterator[Any]:
    rng = np.random.default_rng(1)
    for start in range(0, spectra, 20_000):
        yield block(rng, min(20_000, spectra - start), 200, f"b{start}")


def block(rng: np.random.Generator, count: int, pixels: int, name: str) -> Any:
    """Noise around one, with positions all over the sky."""
    from emberline.spectra import Grid, Metadata, SpectrumBlock

    grid = Grid.log10(3.8125, 1e-4, pixels) if pixels < 1000 else Grid.log10(3.5682, 1e-4, pixels)
    flux = rng.normal(1, 0.05, (count, pixels)).astype("f4")
    ra, dec = rng.uniform(0, 360, count), np.degrees(np.arcsin(rng.uniform(-1, 1, count)))
    meta = [Metadata(identifier=f"{name}-{i}", ra=float(ra[i]), dec=float(dec[i])) for i in range(count)]
    return SpectrumBlock(grid, flux, np.full(flux.shape, 400, "f4"), np.zeros(flux.shape, "u1"), meta)


def serve(folder: Path, delay: float) -> None:
    """Serve the workspace with every request to the API delayed."""
    import uvicorn
    from starlette.requests import Request
    from starlette.responses import JSONResponse

    from emberline.jobs import Workspace
    from emberline.web import create_app

    app = create_app(Workspace(folder), key="benchmark", supervise=False)

    async def slowed(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/api/"):
            await asyncio.sleep(delay)
            if scope["path"].endswith("/context"):
                await context(scope, receive, send)
                return
        await app(scope, receive, send)

    async def context(scope: Any, receive: Any, send: Any) -> None:
        """What the page's header asks for: all panels full, or no answer until the page gives up."""
        request = Request(scope, receive)
        if request.headers.get("x-panels") == "hang":
            while not await request.is_disconnected():
                await asyncio.sleep(0.1)
        await JSONResponse(full_panels(request.query_params["spectrum"]))(scope, receive, send)

    config = uvicorn.Config(slowed, port=0, log_level="warning")
    server = uvicorn.Server(config)

    async def main() -> None:
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        print(server.servers[0].sockets[0].getsockname()[1], flush=True)
        await task

    asyncio.run(main())


def full_panels(spectrum: str) -> dict[str, Any]:
    """Eight panels with everything that a panel can have."""
    facts = [
        {"label": f"Magnitude {i}", "value": "12.34 ± 0.01", "unit": "mag", "link": "", "title": ""} for i in range(12)
    ]
    links = [{"text": f"Survey {i}", "href": f"https://example.org/{i}"} for i in range(4)]
    warning = {"severity": "danger", "text": "A star 2 mag brighter at 3″ puts its light into the fibre."}
    whole = {"service": "example.org", "asked": "2026-01-01T00:00:00Z", "message": "", "facts": facts, "links": links}
    panels = [
        {"name": name, "title": name.title(), "state": "found", "warnings": [], "overlays": [], "image": None, **whole}
        for name in ("confusion", "identity", "photometry", "spectra", "catalogues", "sky", "variability", "literature")
    ]
    panels[0]["warnings"] = [warning]
    panels[5]["image"] = {"href": f"/static/logo.svg?{spectrum}", "alt": "Sky", "width": 320, "height": 320, "fov": 120}
    return {"spectrum": spectrum, "panels": panels}


@contextlib.contextmanager
def served(folder: Path, delay: float) -> Iterator[str]:
    command = [sys.executable, __file__, "--serve", str(folder), "--delay", str(delay)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait(20)


def at_spectrum(page: Any, base: str, campaign: str) -> float:
    """Open the page and go to the first spectrum; the seconds from the click on the card to its picture."""
    page.goto(f"{base}/label/{campaign}?token=benchmark")
    button = page.get_by_role("button", name="Label", exact=True)
    page.locator("#card button, #label[data-painted]").first.wait_for()
    begun = time.perf_counter()
    if button.is_visible():
        button.click()
    page.locator("#label[data-painted]").wait_for()
    return time.perf_counter() - begun


def press_keys(page: Any, keys: int, pause_ms: int) -> dict[str, list[float]]:
    """Label, one key after the other as a quick person does; milliseconds to the next picture, and to saved."""
    page.evaluate("window.measured = {painted: [], saved: []}")
    for number in range(keys):
        page.keyboard.press("12"[number % 2])
        page.wait_for_timeout(pause_ms)
    page.wait_for_timeout(1500)
    found: dict[str, list[float]] = page.evaluate("window.measured")
    return found


def press_with_panels(browser: Any, base: str, keys: int, rounds: int) -> dict[str, list[float]]:
    """Milliseconds from key to picture, in turn without panels, with full ones, and with every one at its limit."""
    pages = {}
    for kind in ("none", "full", "hang"):
        pages[kind] = new_page(browser, "window.emberlineNoContext = true;" if kind == "none" else "", kind)
        at_spectrum(pages[kind], base, "search")
        press_keys(pages[kind], 4, 350)  # its first keys are not measured
    found: dict[str, list[float]] = {kind: [] for kind in pages}
    for _ in range(rounds):
        for kind, page in pages.items():
            page.bring_to_front()
            found[kind] += press_keys(page, max(4, keys // rounds), 350)["painted"]
    for page in pages.values():
        page.context.close()
    return found


def row(name: str, values: list[float], unit: str, limit: str) -> str:
    ordered = sorted(values)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    return f"{name:<52} {statistics.median(values):>8.1f} {p95:>8.1f} {unit:<4} {len(values):>4}   {limit}"


def measure(folder: Path, keys: int, delay: float) -> None:
    from playwright.sync_api import sync_playwright

    print(f"{'what':<52} {'median':>8} {'p95':>8} {'':<4} {'n':>4}   wanted")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        with served(folder, 0.0) as base:
            page = new_page(browser)
            begun = time.perf_counter()
            page.goto(f"{base}/label/search?token=benchmark")
            page.get_by_role("button", name="Label", exact=True).wait_for()
            print(row("first page (card)", [1000 * (time.perf_counter() - begun)], "ms", "1000"))
            print(row("first spectrum after the card", [1000 * at_spectrum(page, base, "search")], "ms", "1000"))
            quick = press_keys(page, keys, 350)
            print(row("key to painted", quick["painted"], "ms", "100"))
            print(row("key to saved", quick["saved"], "ms", "150"))
            found = press_with_panels(browser, base, keys, 4)
            print(row("key to painted, without panels of context", found["none"], "ms", ""))
            print(row("the same with all panels full", found["full"], "ms", "100"))
            print(row("the same with every panel at its time limit", found["hang"], "ms", "100"))
            for kind, words in (("full", "full"), ("hang", "at its time limit")):
                ratio = statistics.median(found[kind]) / statistics.median(found["none"])
                print(f"ratio to without panels, every panel {words}: {ratio:.2f}")
            at_spectrum(page, base, "long-search")
            times = page.evaluate(FRAMES)
            rate = sorted(1000 / (b - a) for a, b in itertools.pairwise(times) if b > a)
            worst = rate[round(0.05 * (len(rate) - 1))]
            shown = f"{statistics.median(rate):>8.1f} {worst:>8.1f} fps  {len(rate):>4}"
            print(f"{'pan and zoom, 4,000 pixels (median, slowest 5 %)':<52} {shown}   30")
        with served(folder, delay) as base:
            page = new_page(browser)
            at_spectrum(page, base, "search")
            slowed = press_keys(page, keys, 350)["painted"]
            print(row(f"key to painted, server slowed by {1000 * delay:.0f} ms", slowed, "ms", "100"))
            page = new_page(browser, "window.emberlineNoPrefetch = true;")
            at_spectrum(page, base, "search")
            bare = press_keys(page, min(keys, 20), 1200)["painted"]
            print(row("the same without prefetching (baseline)", bare, "ms", ""))
            print(f"ratio to the baseline: {statistics.median(bare) / statistics.median(slowed):.1f} times quicker")
        browser.close()


def new_page(browser: Any, more: str = "", panels: str = "none") -> Any:
    headers = {"x-panels": panels}
    page = browser.new_context(viewport={"width": 1440, "height": 900}, extra_http_headers=headers).new_page()
    page.add_init_script(WATCH + more)
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spectra", type=int, default=1_000_000)
    parser.add_argument("--keys", type=int, default=40)
    parser.add_argument("--delay", type=float, default=0.2)
    parser.add_argument("--serve", type=Path)
    parser.add_argument("--folder", type=Path, help="Keep the workspace here, and use it again.")
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.delay)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        if not (folder / "survey").exists():
            begun = time.perf_counter()
            make_archives(folder, options.spectra)
            print(f"{options.spectra:,} spectra, made in {time.perf_counter() - begun:.0f} s")
        make_campaigns(folder)
        measure(folder, options.keys, options.delay)


if __name__ == "__main__":
    main()
