"""What is known beside a spectrum: panels fill in, fail by name, come back, and never stand in the oracle's way."""

from __future__ import annotations

import http.server
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from emberline.jobs import Workspace
from tests.web.labelling import make_campaign

from .conftest import REFUSED, Browser, Server, start, stop
from .contexts import Answers, Document, document
from .test_label import at_spectrum, axe_source, keep, page_of, press, saved, shown

expect: Any = pytest.importorskip("playwright.sync_api").expect
HOSTILE = "<img src=x onerror=\"window.hacked=1\"><script>window.hacked=1</script> &amp; 'x'"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One campaign for all tests here: each looks at it with a browser of its own."""
    folder = Workspace.open(tmp_path_factory.mktemp("context") / "night-sky", create=True).folder
    make_campaign(folder)
    running = start(folder)
    yield running
    stop(running)


def opened(browser: Browser, server: Server, documents: Any = document, **options: Any) -> tuple[Any, Answers]:
    """A window at a spectrum, whose requests for the context are answered by `documents`."""
    page = browser.window(server, **options)
    return page, begun(page, server, documents)


def begun(page: Any, server: Server, documents: Any = document) -> Answers:
    answers = Answers(page, documents)
    page_of(page, server)
    label = page.get_by_role("button", name="Label", exact=True)
    expect(label.or_(page.locator("#label[data-painted]")).first).to_be_attached()
    if label.is_visible():
        label.click()
    at_spectrum(page)
    return answers


def width_of(picture: Any) -> int:
    """The pixels of an image that has come."""
    return int(picture.evaluate("async (image) => { await image.decode(); return image.naturalWidth; }"))


def panel_of(page: Any, name: str) -> Any:
    return page.locator(f'.context-panel[data-panel="{name}"]')


def beside(page: Any) -> None:
    """Wait until the panels are those of the spectrum that is seen."""
    expect(page.locator("#context")).to_have_attribute("data-spectrum", shown(page))
    expect(page.locator("#context")).to_have_attribute("data-state", "shown")


def test_panels_fill_in(served: Server, browser: Browser) -> None:
    page, _ = opened(browser, served)
    beside(page)
    expect(panel_of(page, "identity")).to_contain_text("B1IVe")
    expect(panel_of(page, "photometry")).to_contain_text("0.731 ± 0.024 mas")
    link = panel_of(page, "identity").get_by_role("link", name="HD 43703")
    assert link.get_attribute("rel") == "noopener noreferrer"
    assert link.get_attribute("href") == "https://simbad.cds.unistra.fr/simbad/sim-id?Ident=HD+43703"
    expect(panel_of(page, "variability").get_by_role("link")).to_have_count(2)
    expect(panel_of(page, "literature").get_by_role("link")).to_have_text("87 articles in ADS")
    picture = page.get_by_alt_text("DSS2 colour, 2′ around the object, north up, east to the left")
    expect(picture).to_be_visible()
    assert width_of(picture) == 160
    expect(panel_of(page, "sky").locator(".marks")).to_contain_text("30″")
    expect(page.get_by_role("status").filter(has_text="Danger: A star 2.9 mag brighter")).to_be_visible()
    expect(page.locator("#warnings")).to_contain_text("and 1 more")
    expect(panel_of(page, "confusion")).to_contain_text("Caution: Nebular lines")
    panels = page.evaluate("[...document.querySelectorAll('.context-panel')].map((each) => each.dataset.panel)")
    assert panels == [
        "confusion", "identity", "photometry", "others", "catalogues", "sky", "variability", "literature",
    ]  # fmt: skip


def test_spectra_that_come_next_are_asked_about_beforehand(served: Server, browser: Browser) -> None:
    page, answers = opened(browser, served)
    beside(page)
    for _ in range(3):
        press(page, "n")
        beside(page)
    page.wait_for_timeout(300)
    asked = list(answers.asked)
    press(page, "n")
    assert shown(page) in asked
    assert len(asked) == len(set(asked)), "what is here is not asked for again"


def test_a_dead_service_is_named_and_comes_back(served: Server, browser: Browser) -> None:
    dead = True
    page, answers = opened(browser, served, lambda name: document(name, **({"identity": "failed"} if dead else {})))
    identity = panel_of(page, "identity")
    expect(identity).to_contain_text("simbad.cds.unistra.fr: did not answer within 20 s")
    expect(identity.locator(".state")).to_have_text("failed")
    expect(panel_of(page, "photometry")).to_contain_text("RUWE")
    identity.get_by_role("button", name="Try again").click()
    expect(identity.locator(".state")).to_have_text("waiting …")
    expect(page.locator("#object-name")).to_be_focused()
    assert answers.retried == [{"spectrum": shown(page), "panel": "identity"}]
    dead = False
    answers.events.append(json.dumps({"spectrum": shown(page), "panel": "identity"}))
    expect(identity).to_contain_text("B1IVe")
    press(page, "n")


def test_what_waits_fills_in_by_itself_and_nothing_moves(served: Server, browser: Browser) -> None:
    everything = ("confusion", "identity", "photometry", "spectra", "catalogues", "sky", "variability", "literature")
    page, answers = opened(browser, served, lambda name: document(name, **dict.fromkeys(everything, "waiting")))
    expect(panel_of(page, "identity")).to_contain_text("Has not been asked yet")
    expect(page.locator("#warnings")).to_have_text("Not yet known whether other sources confuse this one")
    page.wait_for_timeout(300)  # the plots settle
    before = places(page)
    answers.documents = document
    answers.events.append(json.dumps({"spectrum": shown(page)}))
    expect(panel_of(page, "identity")).to_contain_text("B1IVe")
    expect(page.locator("#warnings")).to_contain_text("Danger")
    assert width_of(page.locator(".sky img")) == 160
    assert places(page) == before


def places(page: Any) -> Any:
    """Where everything stands that one looks at."""
    return page.evaluate(
        """() => [...document.querySelectorAll(
             ".context-panel, .context-panel h3, .toolbar, .plot, #warnings, .answers, #classes button")]
           .map((each) => { const { x, y, width, height } = each.getBoundingClientRect();
                            return [each.className, x, y, width, height]; })"""
    )


def test_services_are_hostile_and_their_words_are_words(served: Server, browser: Browser) -> None:
    def hostile(name: str) -> Document:
        found = document(name)
        for each in found["panels"]:
            each.update(service=HOSTILE, message=HOSTILE, title=HOSTILE)
            each["facts"] = [dict.fromkeys(("label", "value", "unit", "link", "title"), HOSTILE)]
            each["links"] = [
                {"text": HOSTILE, "href": "javascript:window.hacked=1"},
                {"text": "data", "href": "data:text/html,<script>1</script>"},
                {"text": "relative", "href": "/signout"},
            ]
            each["warnings"] = [{"severity": "danger", "text": HOSTILE}]
            each["overlays"] = [{**overlay, "title": HOSTILE} for overlay in each["overlays"]]
            if each["image"]:
                each["image"] = {**each["image"], "alt": HOSTILE, "href": "https://elsewhere.example/x.png"}
        found["panels"][1]["state"] = "failed"
        return found

    page, _ = opened(browser, served, hostile)
    expect(panel_of(page, "identity")).to_contain_text(HOSTILE)
    expect(page.locator("#warnings")).to_contain_text(HOSTILE)
    expect(page.locator("#others")).to_contain_text(HOSTILE)
    page.keyboard.press("o")
    expect(page.locator("#overlay-legend")).to_contain_text(HOSTILE)
    expect(panel_of(page, "sky")).to_contain_text("The picture is not on this server.")
    assert page.evaluate("[window.hacked, document.querySelectorAll('#context img, #context script').length]") == [
        None,
        0,
    ]
    assert page.locator("#context a").count() == 0
    press(page, "n")


def test_other_spectra_are_laid_over_and_gone_with_the_spectrum(served: Server, browser: Browser) -> None:
    page, _ = opened(browser, served)
    beside(page)
    expect(page.locator("#others input")).to_have_count(2)
    colour = page.evaluate(
        """() => { const probe = document.createElement("span"); probe.className = "plot-colour overlay-1";
                   document.body.append(probe); const found = getComputedStyle(probe).color; probe.remove();
                   return found.match(/\\d+/g).slice(0, 3).map(Number); }"""
    )
    assert painted(page, colour) == 0
    page.keyboard.press("o")
    expect(page.locator("#whole-plot")).to_have_attribute("data-overlays", "2")
    expect(page.get_by_role("button", name="Other spectra O", exact=True)).to_have_attribute("aria-pressed", "true")
    legend = page.locator("#overlay-legend li")
    expect(legend).to_have_count(2)
    expect(legend.first).to_contain_text(re.compile(r"FEROS, 2009-12-24× 0\.3\d*, barycentric frame"))
    assert painted(page, colour) > 30, "the first is drawn in its colour"
    page.get_by_label("FEROS, 2009-12-24").uncheck()
    expect(page.locator("#whole-plot")).to_have_attribute("data-overlays", "1")
    assert painted(page, colour) == 0
    page.get_by_label("FEROS, 2009-12-24").check()
    expect(page.locator("#whole-plot")).to_have_attribute("data-overlays", "2")
    page.locator("#object-name").focus()
    press(page, "n")
    beside(page)
    expect(page.locator("#whole-plot")).to_have_attribute("data-overlays", "0")
    expect(page.locator("#overlay-legend")).to_be_hidden()
    expect(page.locator("#others input:checked")).to_have_count(0)
    page.keyboard.press("o")
    expect(page.locator("#whole-plot")).to_have_attribute("data-overlays", "2")
    page.keyboard.press("o")
    expect(page.locator("#whole-plot")).to_have_attribute("data-overlays", "0")


def painted(page: Any, colour: list[int]) -> int:
    """Pixels of about that colour on the plot of the whole spectrum."""
    return int(
        page.evaluate(
            """async ([r, g, b]) => {
                 await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
                 const canvas = document.querySelector("#whole-plot canvas");
                 const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
                 let count = 0;
                 for (let i = 0; i < data.length; i += 4) {
                   const near = Math.abs(data[i] - r) + Math.abs(data[i + 1] - g) + Math.abs(data[i + 2] - b) < 24;
                   count += near && data[i + 3] > 200;
                 }
                 return count;
               }""",
            colour,
        )
    )


def test_the_level_of_another_spectrum_is_taken_where_both_were_observed(served: Server, browser: Browser) -> None:
    page, _ = opened(browser, served)
    factor = page.evaluate(
        """async () => {
             const { levelFactor } = await import("/static/js/label/overlays.js");
             const wide = Array.from({ length: 600 }, (_, i) => 4000 + 10 * i);
             const own = { wavelength: wide, flux: wide.map((w) => (w < 6400 ? 1000 : 2)) };
             const part = wide.filter((w) => w > 6500 && w < 6700);
             const other = { wavelength: part, flux: part.map((_, i) => (i === 3 ? null : 0.5)) };
             return levelFactor(other, own);
           }"""
    )
    assert factor == pytest.approx(4.0)


COUNT = """
window.underWay = { most: 0, low: true };
const signals = new Set();
const ask = window.fetch;
window.fetch = async (address, options) => {
  if (!String(address).includes("/context?")) return ask(address, options);
  const count = window.underWay;
  signals.add(options.signal);
  count.most = Math.max(count.most, [...signals].filter((signal) => !signal.aborted).length);
  count.low &&= options.priority === "low";
  try {
    return await ask(address, options);
  } finally {
    signals.delete(options.signal);
  }
};
"""


def test_keys_go_on_while_every_panel_hangs(served: Server, browser: Browser) -> None:
    page = browser.window(served)
    page.add_init_script(COUNT)
    answers = begun(page, served, lambda name: None)
    expect(panel_of(page, "others")).to_contain_text("Asking what others have")
    seen = [press(page, "n") for _ in range(12)]
    beside(page)
    assert len(set(seen)) == 12
    expect(page.locator("#warnings")).to_have_text("Not yet known whether other sources confuse this one")
    assert shown(page) in answers.asked, "the spectrum that is seen is asked about though all before it hang"
    assert page.evaluate("window.underWay") == {"most": 2, "low": True}
    page.keyboard.press("b")
    expect(page.locator("#label")).to_have_attribute("data-painted", seen[-1])


def test_what_was_known_of_another_never_stands_beside(served: Server, browser: Browser) -> None:
    first: list[str] = []

    def known(name: str) -> Document | None:
        first[:] = first or [name]
        return document(name) if name == first[0] else None

    page = browser.window(served)
    held: list[Any] = []

    def view(route: Any) -> None:
        if held or parse_qs(urlsplit(route.request.url).query)["identifier"] != first[:1]:
            held.append(route)
        else:
            route.continue_()

    page_of(page, served)
    asked = begun(page, served, known)
    expect(panel_of(page, "identity").get_by_text("B1IVe")).to_be_visible()
    assert first == asked.asked[:1] == [shown(page)]
    page.route("**/view?*", view)
    page.reload()
    at_spectrum(page)
    expect(panel_of(page, "identity").get_by_text("B1IVe")).to_be_visible()
    page.keyboard.press("n")
    expect(page.get_by_text("B1IVe")).to_be_hidden()  # while the next spectrum is still on its way
    expect(page.get_by_text("Danger:")).to_have_count(2)
    expect(page.locator("#warnings .warning")).to_be_hidden()
    for route in held:
        route.continue_()
    page.unroute("**/view?*", view)
    expect(page.locator("#label")).not_to_have_attribute("data-painted", first[0])
    expect(page.locator("#warnings")).not_to_contain_text("Danger")
    page.keyboard.press("b")
    expect(page.locator("#warnings")).to_contain_text("Danger")


def test_a_server_that_does_not_answer_for_panels_says_so(served: Server, browser: Browser) -> None:
    browser.expected.append(r"Failed to load resource: .* 500")
    page = browser.window(served)
    broken = True
    answers = Answers(page)
    page.route(
        "**/context?*",
        lambda route: (
            route.fulfill(status=500, json={"error": {"message": "the disk is full"}})
            if broken
            else answers._document(route)
        ),
    )
    page_of(page, served)
    label = page.get_by_role("button", name="Label", exact=True)
    expect(label.or_(page.locator("#label[data-painted]")).first).to_be_attached()
    if label.is_visible():
        label.click()
    at_spectrum(page)
    expect(page.locator("#context-trouble")).to_contain_text("What is known could not be read: the disk is full.")
    broken = False
    page.locator("#context-trouble").get_by_role("button", name="Try again").click()
    expect(panel_of(page, "identity")).to_contain_text("B1IVe")
    expect(page.locator("#context-trouble")).to_be_hidden()


def test_panels_are_put_away_by_a_key_and_stay_away(served: Server, browser: Browser) -> None:
    page, _ = opened(browser, served)
    beside(page)
    wide = page.locator("#whole-plot").bounding_box()["width"]
    panel_of(page, "identity").get_by_role("button", name="Identity", exact=True).click()
    expect(panel_of(page, "identity").locator(".body")).to_be_hidden()
    page.keyboard.press("p")
    expect(page.locator("#context")).to_be_hidden()
    assert page.locator("#whole-plot").bounding_box()["width"] >= wide
    expect(page.locator("#warnings")).to_contain_text("Danger"), "a warning is no panel"
    page.keyboard.press("?")
    expect(page.locator("#help")).to_contain_text("Panels: what is known of the object")
    page.reload()
    at_spectrum(page)
    expect(page.locator("#context")).to_be_hidden()
    page.keyboard.press("p")
    expect(page.locator("#context")).to_be_visible()
    expect(panel_of(page, "photometry")).to_contain_text("RUWE")
    expect(panel_of(page, "identity").locator(".body")).to_be_hidden()
    expect(panel_of(page, "identity").get_by_role("button")).to_have_attribute("aria-expanded", "false")


def test_a_key_of_ones_own_is_not_taken_by_the_panels(served: Server, browser: Browser) -> None:
    page = browser.window(served)
    page.evaluate("localStorage.setItem('emberline.keys', JSON.stringify({ next: 'p' }))")
    begun(page, served)
    press(page, "p")
    expect(page.locator("#context")).to_be_visible()
    expect(page.locator('button[data-action="panels"] kbd')).to_have_text("")


def test_the_answer_says_what_was_seen(served: Server, browser: Browser) -> None:
    page, _ = opened(browser, served)
    beside(page)
    expect(panel_of(page, "identity")).to_contain_text("B1IVe")
    sent: list[Document] = []
    page.on("request", lambda request: sent.append(request.post_data_json) if "/actions" in request.url else None)
    press(page, "0")
    page.keyboard.press("p")
    press(page, "0")
    saved(page)
    actions = [action for body in sent for action in body["actions"]]
    assert [action["shown"]["context"] for action in actions] == [True, False]
    page.keyboard.press("Backspace")
    page.keyboard.press("Backspace")
    saved(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_stands_in_anybodys_way(served: Server, browser: Browser, scheme: str) -> None:
    some = {"identity": "failed", "photometry": "waiting", "catalogues": "offline", "literature": "nothing"}
    for name, states, size in (("full", {}, (1680, 1000)), ("mixed", some, (1280, 900))):
        viewport = {"width": size[0], "height": size[1]}
        page = browser.window(served, color_scheme=scheme, bypass_csp=True, viewport=viewport)
        begun(page, served, lambda spectrum, states=states: document(spectrum, **states))
        beside(page)
        expect(page.locator("#others input")).to_have_count(2)
        page.keyboard.press("o")
        expect(page.locator("#overlay-legend li")).to_have_count(2)
        keep(page, f"context-{name}-{scheme}")
        page.evaluate(axe_source())
        found = page.evaluate("async () => (await axe.run()).violations")
        serious = [
            (item["id"], [node["html"][:160] for node in item["nodes"][:3]])
            for item in found
            if item["impact"] in ("serious", "critical")
        ]
        assert serious == [], f"{name}: {json.dumps(serious, indent=1)}"


def test_a_narrow_window_shows_all_of_it(served: Server, browser: Browser) -> None:
    page, _ = opened(browser, served, viewport={"width": 400, "height": 800})
    beside(page)
    wide = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide[0] <= wide[1]
    expect(page.locator("#warnings")).to_be_in_viewport()
    panel_of(page, "literature").scroll_into_view_if_needed()
    expect(panel_of(page, "literature").get_by_role("link")).to_be_in_viewport()
    keep(page, "context-narrow")
    press(page, "n")


# Aladin Lite -------------------------------------------------------------------------------------------------------

STAND_IN = """
window.calls = [];
window.A = {
  init: Promise.resolve(),
  aladin: (place, options) => {
    window.calls.push(["aladin", place, options]);
    document.querySelector(place).textContent = "the sky at " + options.target;
    return {
      gotoRaDec: (ra, dec) => window.calls.push(["gotoRaDec", ra, dec]),
      setFoV: (fov) => window.calls.push(["setFoV", fov]),
    };
  },
};
"""


class _Elsewhere(http.server.BaseHTTPRequestHandler):
    """The host of Aladin Lite's script."""

    def do_GET(self) -> None:
        found = self.path == "/aladin.js"
        self.send_response(200 if found else 404)
        self.send_header("content-type", "text/javascript")
        self.end_headers()
        if found:
            self.wfile.write(STAND_IN.encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Elsewhere) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join(10)


@pytest.fixture
def aladin(served: Server, elsewhere: str) -> Iterator[Path]:
    """The workspace says where Aladin Lite lies."""
    config = served.folder / "vo.toml"
    config.write_text(f'[services]\naladin = "{elsewhere}/aladin.js"\nhips = "CDS/P/DSS2/color"\n')
    yield config
    config.unlink()


def test_aladin_lite_shows_the_sky_in_a_sandbox(served: Server, browser: Browser, aladin: Path) -> None:
    page, _ = opened(browser, served)
    beside(page)
    sky = page.frame_locator(".sky iframe")
    expect(sky.locator("#sky")).to_contain_text("the sky at ")
    expect(page.locator(".sky-box")).to_have_class(re.compile("aladin"))
    expect(page.locator(".sky img")).to_be_hidden()
    frame = next(frame for frame in page.frames if frame.url.endswith("/sky"))
    [made] = frame.evaluate("window.calls")
    options = made[2]
    assert made[:2] == ["aladin", "#sky"]
    assert options["log"] is False
    assert options["survey"] == "CDS/P/DSS2/color"
    assert options["fov"] == pytest.approx(120 / 3600)
    positions = [[float(part) for part in options["target"].split()]]
    for _ in range(3):
        press(page, "n")
        beside(page)
        expect(page.locator(".sky-box")).to_have_class(re.compile("aladin"))
        page.wait_for_timeout(100)
        gone = [call[1:] for call in frame.evaluate("window.calls") if call[0] == "gotoRaDec"]
        positions.append(gone[-1])
    assert len({tuple(position) for position in positions}) == 4, "each spectrum has its own place on the sky"
    assert [call[0] for call in frame.evaluate("window.calls")].count("aladin") == 1, "one instance for all"
    told = page.locator(".sky p").inner_text()
    assert f"{positions[-1][0]:.5f} {positions[-1][1]:+.5f}" in told
    reach = "() => { try { return String(window.parent.document.title); } catch (error) { return error.name; } }"
    assert frame.evaluate(reach) == "SecurityError"
    assert (
        frame.evaluate("() => { try { return document.cookie; } catch (error) { return error.name; } }")
        == "SecurityError"
    )
    frame.locator("#sky").click()
    expect(page.locator("#object-name")).to_be_focused()
    press(page, "n")


def test_without_aladin_lite_the_cut_out_serves(served: Server, browser: Browser, aladin: Path) -> None:
    browser.expected.append(REFUSED)
    aladin.write_text(aladin.read_text().replace("aladin.js", "gone.js"))
    page, _ = opened(browser, served)
    beside(page)
    expect(page.locator(".sky iframe")).to_have_count(0)
    expect(page.locator(".sky img")).to_be_visible()
    expect(page.locator(".sky .marks")).to_be_visible()
    press(page, "n")
    beside(page)
    expect(page.locator(".sky img")).to_be_visible()
