"""The chart of a report that shows how true the probabilities are."""

from __future__ import annotations

import dataclasses

import numpy as np
from markupsafe import Markup

from emberline.campaign import wording as words
from emberline.campaign.plots import NARROW, WIDE, Figure, swatch
from emberline.campaign.report_data import Reliability, ReportData
from emberline.campaign.svg import Panel, marker, path, svg, tag

__all__ = ["reliability"]

_TITLE = "Are the probabilities true?"
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)


def reliability(data: ReportData) -> Figure:
    """What holds in the pool against what the network states, with the answers that tell; the diagonal is dashed."""
    given = data.reliability
    if given is None:
        return Figure("reliability", _TITLE, "Not yet known: too few answers that no network learnt from.")
    drawn = []
    summary = words.calibrated(given.labels, given.candidates, given.promised, given.expected)
    for width in (WIDE, NARROW):
        height = 330.0 if width > NARROW else 270.0
        drawn.append(svg(width, height, f"{_TITLE} {summary}", *_parts(given, width, height)))
    legend = [
        (swatch("line", "completeness"), "calibrated, with 95 % interval"),
        (swatch("dashed", "c-other"), "as stated"),
        (_circle(), "answers, in bins"),
    ]
    figure = Figure("reliability", _TITLE, summary, legend=legend, columns=("Stated", "Answers", "Share of targets"))
    rows = [
        (words.probability(stated), words.count(count), words.percent(share))
        for stated, share, count in zip(given.answers_stated, given.answers_share, given.answers_count, strict=True)
    ]
    return dataclasses.replace(figure, wide=drawn[0], narrow=drawn[1], rows=rows)


def _circle() -> Markup:
    dot = marker("circle", 13, 7, 4, class_="dot c-query")
    return tag("svg", dot, class_="swatch", viewBox="0 0 26 14", aria_hidden="true")


def _parts(given: Reliability, width: float, height: float) -> list[Markup]:
    panel = Panel.inside((46, 12, width - 14, height - 46), (0.0, 1.0), (0.0, 1.0))
    ticks = [f"{tick:g}" for tick in _TICKS]
    x = panel.x(given.stated)
    band = path(np.r_[x, x[::-1]], panel.y(np.r_[given.high, given.low[::-1]])) + "Z"
    parts = [
        panel.y_axis(_TICKS, ticks),
        panel.x_axis(_TICKS, ticks, "stated probability of a target"),
        tag("path", d=band, class_="band completeness"),
        tag("path", d=path(panel.x(_TICKS), panel.y(_TICKS)), class_="line truth c-other"),
        tag("path", d=path(x, panel.y(given.value)), class_="line completeness"),
    ]
    most = max(float(given.answers_count.max(initial=1)), 1.0)
    for stated, share, count in zip(given.answers_stated, given.answers_share, given.answers_count, strict=True):
        hint = tag("title", f"stated {stated:.2f}: {words.percent(share)} of {words.plural(int(count), 'answer')}")
        size = 2.0 + 4.0 * float(np.sqrt(count / most))
        parts.append(marker("circle", panel.x.at(stated), panel.y.at(share), size, hint, class_="dot c-query"))
    return parts
