"""The report is one page that loads nothing, shows no NaN, escapes what users wrote, and renders in a browser."""

from __future__ import annotations

import base64
import hashlib
import html
import itertools
import json
import math
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emberline.campaign import wording as words
from emberline.campaign.gallery import thumbnail
from emberline.campaign.report import confusion, render, write_report
from emberline.campaign.report_data import GalleryItem, Interval, ReportData
from emberline.campaign.svg import Scale, log_ticks, path, round_ticks, tag
from emberline.errors import EmberlineError
from emberline.learn.stopping import Gain

from ..chromium import ARGUMENTS, CHROMIUM
from . import report_examples as examples

CASES = {"full": examples.example(), **examples.edge_cases()}


class Reader(HTMLParser):
    """Every tag with its attributes, and the text that a person sees."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._inside: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("style", "script"):
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._inside and tag == self._inside[-1]:
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        if not self._inside:
            self.words.append(data)

    def all(self, *names: str) -> list[tuple[str, dict[str, str | None]]]:
        return [pair for pair in self.tags if pair[0] in names]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(params=CASES)
def page(request: pytest.FixtureRequest) -> Reader:
    return Reader(render(CASES[request.param]))


def test_no_nan_anywhere(page: Reader) -> None:
    everything = page.text + " ".join(str(value) for _, attributes in page.tags for value in attributes.values())
    assert not re.search(r"(?i:\bnan\b|\binf(inity)?\b|\bundefined\b)|\bNone\b", everything)


def test_page_loads_nothing(page: Reader) -> None:
    assert not page.all("script", "img", "iframe", "object", "embed", "form", "base", "video", "audio")
    for name, attributes in page.tags:
        assert "src" not in attributes
        assert "style" not in attributes
        assert not [key for key in attributes if key.startswith("on")]
        if "href" in attributes:
            assert str(attributes["href"]).startswith(("#", "data:image/svg+xml,")), name
    policy = next(a["content"] for _, a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy


def test_structure(page: Reader) -> None:
    levels = [int(name[1]) for name, _ in page.all("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    identifiers = [str(a["id"]) for _, a in page.tags if "id" in a]
    assert len(identifiers) == len(set(identifiers))
    for _, attributes in page.all("a"):
        assert str(attributes["href"])[1:] in identifiers
    assert page.all("html")[0][1]["lang"] == "en"
    for _, attributes in page.all("svg"):
        assert attributes.get("aria-label") or attributes.get("aria-hidden") == "true"
    for _, attributes in page.all("th"):
        assert attributes["scope"] in ("col", "row")


def test_style_matches_its_hash() -> None:
    page = render(CASES["full"])
    style = page[page.index("<style>") + 7 : page.index("</style>")]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in page


def test_hostile_text_is_only_text() -> None:
    page = render(CASES["hostile"])
    assert "<script" not in page
    assert "<img" not in page
    assert page.count("</title>") == 1 + page.count("<title>") - 1
    assert Reader(page).text.count("alert('x')") > 20
    assert html.escape(examples.HOSTILE, quote=False)[:20] in page


def test_numbers_on_the_page() -> None:
    text = Reader(render(CASES["full"])).text.replace("\N{NARROW NO-BREAK SPACE}", " ")
    for expected in (
        "Candidates 103",
        "97.7 %",
        "95 % interval 93.7–100 %",
        "known truth 97.2 %",
        "200 query, 160 control",
        "after 53 to start with",
        "28 targets found with 360 labels.",
        "Of the 41 candidates that nobody has labelled the network expects 37 to be targets; "
        "calibrated by 180 answers to spectra that it had not learnt from it is 30.",
        "It assumes that likelier spectra are targets more frequently",
        "From the random draw alone, without that: ≥ 31 % (31–100 %)",
        "The next 100 labels 2.0 new targets expected, 95 % interval 0 to 9",
        "That is less than the 5 that 100 labels are worth, but not with 90 % confidence",
        "2 control answers were changed after the network's opinion had been seen",
        "1 control spectrum could not be decided",
        "146 of 160 control labels agree with the prediction (91.2 %).",
        "Wilson intervals within each stratum",
        "1 870 spectra",
        '"recipe_hash": "7f3a9c01d2e4b586"',
        "J015918.73+275902.9",
    ):
        assert expected in text, expected


def test_provenance_is_whole_json() -> None:
    page = render(CASES["full"])
    record = html.unescape(re.findall(r"<pre[^>]*>(.*?)</pre>", page, re.DOTALL)[-1])
    assert json.loads(record)["configuration"] == {
        "seed": 1, "query": {"strategy": "entropy", "batch": 25}, "loss": None
    }  # fmt: skip


def test_charts_come_with_their_numbers() -> None:
    page = Reader(render(CASES["full"]))
    figures = page.all("figure")
    found = [a["id"] for _, a in figures]
    assert found == ["learning", "rounds", "effort", "timings", "probability", "reliability", "balance"]
    captions = re.findall(r'<caption class="hidden">(.*?)</caption>', render(CASES["full"]))
    assert len(captions) == len(figures) + 2


def test_unknown_estimates_are_said_to_be() -> None:
    text = Reader(render(CASES["no control labels"])).text
    assert text.count("not yet estimated") >= 4
    assert "there are no control labels" in text
    assert "Not yet estimated: there are too few control labels." in text


def test_a_report_says_where_nothing_tells_how_true_the_probabilities_are() -> None:
    assert "Not yet known: too few answers that no network learnt from." in Reader(render(CASES["nothing"])).text


def test_only_the_page_is_written(tmp_path: Path) -> None:
    written = write_report(CASES["full"], tmp_path / "new" / "report")
    assert written == tmp_path / "new" / "report" / "index.html"
    assert [item.name for item in written.parent.iterdir()] == ["index.html"]
    assert written.read_text("utf-8") == render(CASES["full"])


def test_a_failed_write_leaves_the_old_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = write_report(CASES["nothing"], tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("emberline.files.os.replace", full)
    with pytest.raises(EmberlineError, match="No space left"):
        write_report(CASES["full"], tmp_path)
    assert "Just begun" in written.read_text("utf-8")
    assert [item.name for item in tmp_path.iterdir()] == ["index.html"]


def test_48_pictures_stay_under_3_megabytes() -> None:
    assert len(render(examples.example(gallery=24)).encode()) < 3e6


def test_same_data_same_page() -> None:
    assert render(examples.example()) == render(examples.example())


# --- colours ---------------------------------------------------------------------------------------------------------


def palettes() -> dict[str, dict[str, str]]:
    css = (resources.files("emberline.campaign") / "templates" / "report.css").read_text("utf-8")
    light, dark = re.findall(r":root \{(.*?)\}", css, re.DOTALL)[:2]
    read = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)) for block in (light, dark)]
    return {"light": read[0], "dark": {**read[0], **read[1]}}


def rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255


def contrast(one: np.ndarray, two: np.ndarray) -> float:
    """WCAG 2.2 contrast ratio."""
    levels = [
        np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722] for c in (one, two)
    ]
    return float((max(levels) + 0.05) / (min(levels) + 0.05))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_has_contrast(theme: str) -> None:
    colours = {name: rgb(value) for name, value in palettes()[theme].items()}
    for ground in ("ground", "paper"):
        for ink in ("ink", "soft", "link", "chip-ink"):
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
    for share in (0.06, 0.46):
        shade = share * colours["blue"] + (1 - share) * colours["paper"]
        assert contrast(colours["shade-ink"], shade) >= 4.5, share
    for series in ("blue", "vermillion", "green", "grey", "flux", "whole"):
        assert contrast(colours[series], colours["paper"]) >= 3.0, series
    for ink in ("#ffb27a", "#d9d4cc", "#b4afa7", "#f3efe9"):
        assert contrast(rgb(ink), colours["top"]) >= 4.5
    assert contrast(rgb("#ffc89c"), rgb("#4a2a14")) >= 4.5


# --- words and small drawings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "low", "expected"),
    [(1.0, 0.135, "≥ 13.5 %"), (1.0, 0.97, "100 %"), (0.9, 0.5, "90 %"), (math.nan, math.nan, "not yet estimated")],
)
def test_a_headline_claims_no_more_than_the_interval_shows(value: float, low: float, expected: str) -> None:
    assert words.headline(Interval(value, low, 1.0)).replace("\N{NARROW NO-BREAK SPACE}", " ") == expected


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.934, "93.4 %"),
        (1.0, "100 %"),
        (0.99999, "> 99.9 %"),
        (1e-6, "< 0.1 %"),
        (0.0, "0 %"),
        (math.nan, "not yet estimated"),
    ],
)
def test_percent(share: float, expected: str) -> None:
    assert words.percent(share).replace("\N{NARROW NO-BREAK SPACE}", " ") == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.04, "0.0 s"),
        (9.96, "10 s"),
        (59.6, "1 min"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (7520, "2 h 5 min"),
        (math.nan, "not measured"),
    ],
)
def test_duration(seconds: float, expected: str) -> None:
    assert words.duration(seconds).replace("\N{NARROW NO-BREAK SPACE}", " ") == expected


def test_estimate_without_interval() -> None:
    assert words.estimate(Interval(0.5, math.nan, math.nan)) == words.percent(0.5)
    assert words.estimate(None) == words.UNKNOWN


@pytest.mark.parametrize(
    ("gain", "begins"),
    [
        (Gain(6.6, 2, 12, 200, bound=9.0), "Worth going on: 100 labels are worth the work from 5 new targets on."),
        (Gain(4.0, 1, 9, 200, bound=6.0), "That is less than the 5 that 100 labels are worth, but not with"),
        (Gain(1.0, 0, 4, 200, bound=2.0), "Stop: with 90 % confidence fewer than 5 are expected"),
        (Gain(1.0, 0, 4, 60, bound=2.0, rounds=1), "It is too early"),
    ],
)
def test_the_advice_on_more_labels(gain: Gain, begins: str) -> None:
    assert words.worth_of_next(gain, 5.0).startswith(begins)


def test_what_was_left_out_is_said_only_when_there_is_something() -> None:
    assert words.asides(0, 0) == []
    one, two = words.asides(1, 3)
    assert one.startswith("1 control answer was changed")
    assert two.startswith("3 control spectra could not be decided")


def test_tags_escape_and_shorten() -> None:
    assert tag("text", "<&>", x=1.0, class_='a"b') == '<text x="1" class="a&#34;b">&lt;&amp;&gt;</text>'
    assert path([0, 1, 2, 3], [1, math.nan, 2, 3.04]) == "M0 1M2 2L3 3"


def test_scales_and_ticks() -> None:
    assert Scale(0, 10, 100, 0).at(2.5) == 75
    assert Scale(1, 100, 0, 2, log=True)([1, 10, 100]).tolist() == [0, 1, 2]
    assert round_ticks(0, 1, 5) == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert round_ticks(0, 2, 5, whole=True) == [0, 1, 2]
    assert round_ticks(3, 3) == [3]
    assert log_ticks(1, 1e4) == [1, 10, 100, 1000, 10000]
    assert len(log_ticks(1, 1e12)) <= 6


def test_thumbnail_marks_only_lines_in_the_window() -> None:
    x = np.linspace(6500, 6600, 50)
    picture = thumbnail(GalleryItem(identifier="a", wavelength=x, values=np.sin(x)), {"Hα": 6564.6, "Hβ": 4862.7})
    assert "Hα" in picture
    assert "Hβ" not in picture


def test_confusion_counts() -> None:
    data = ReportData(name="x", confusion=np.array([[3, 1], [0, 0]]), confusion_classes=("a", "b"))
    matrix = confusion(data)
    assert matrix is not None
    assert [[cell["count"] for cell in row["cells"]] for row in matrix["rows"]] == [[3, 1], [0, 0]]
    assert [cell["shade"] for cell in matrix["rows"][0]["cells"]] == [7, 3]


# --- in a browser ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("Chromium is absent: install the package chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield running
        running.close()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
@pytest.mark.parametrize("case", ["full", "nothing", "hostile", "twenty classes", "only NaN"])
def test_chromium_shows_it(tmp_path: Path, browser: Any, case: str, scheme: str, width: int) -> None:
    written = write_report(CASES[case], tmp_path)
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: problems.append(request.url) if request.url != written.as_uri() else None)
    page.route(re.compile("^https?:"), lambda route: route.abort())
    page.goto(written.as_uri())
    assert page.title() == f"{CASES[case].name} · Emberline report"
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    expected = tuple(int(255 * part + 0.5) for part in rgb(palettes()[scheme]["ground"]))
    assert colour == f"rgb{expected}"
    shown = page.evaluate(
        "[...document.querySelectorAll('figure svg.chart')].filter(c => c.getClientRects().length).length"
    )
    assert shown == page.evaluate("document.querySelectorAll('figure .wide').length")
    for summary in page.locator("summary").all():
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()
    assert problems == []


def test_chromium_enforces_the_policy(tmp_path: Path, browser: Any) -> None:
    """The policy really forbids what the page does not contain: a picture and a script are refused."""
    written = write_report(CASES["full"], tmp_path)
    smuggled = "<script>document.title = 'owned'</script><img src='http://localhost:9/x.png'></main>"
    written.write_text(written.read_text("utf-8").replace("</main>", smuggled), "utf-8")
    page = browser.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.goto(written.as_uri())
    assert page.title() != "owned"
    assert len([text for text in problems if "Content Security Policy" in text]) == 2
    page.close()
