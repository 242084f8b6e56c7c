"""One self-contained HTML page about a campaign: no script, no request, the same in ten years."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from emberline._version import __version__
from emberline.campaign import plots
from emberline.campaign import wording as words
from emberline.campaign.gallery import thumbnail
from emberline.campaign.plots_reliability import reliability
from emberline.campaign.report_data import EstimateLike, ReportData, RoundSummary, known
from emberline.campaign.svg import Scale, marker, svg, tag
from emberline.files import write_text
from emberline.provenance import plain

__all__ = ["render", "write_report"]


def write_report(data: ReportData, folder: Path | str) -> Path:
    """Write ``index.html`` into `folder`, atomically, and return its path.

    The page loads nothing: style, charts and pictures are inside, and its content security policy forbids the rest.

    Raises
    ------
    EmberlineError
        The disk is full or the folder cannot be written.
    """
    page = Path(folder) / "index.html"
    text = render(data)
    page.parent.mkdir(parents=True, exist_ok=True)
    write_text(page, text)
    return page


def render(data: ReportData) -> str:
    """The page as text; all that comes from users is escaped."""
    folder = resources.files("emberline.campaign") / "templates"
    css = (folder / "report.css").read_text("utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals.update(words=words, known=known, thumbnail=thumbnail, meter=meter)
    template = environment.from_string((folder / "report.html.j2").read_text("utf-8"))
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    return template.render(
        data=data,
        last=data.rounds[-1] if data.rounds else None,
        truth=_truth(data.rounds[-1]) if data.rounds else {},
        css=css,
        css_hash=digest,
        version=__version__,
        seconds=[total for item in data.rounds if (total := _seconds(item)) > 0],
        figures={
            "rounds": [plots.learning_curve(data), plots.rounds(data), plots.effort(data), plots.timings(data)],
            "probability": plots.histogram(data),
            "reliability": reliability(data),
            "balance": plots.class_balance(data),
        },
        all_rounds=round_table(data.rounds),
        crossmatch_rows=crossmatch_table(data.crossmatch),
        by_class=_by_class(data),
        matrix=confusion(data),
        recipe=_pretty(data.recipe) if data.recipe else "",
        provenance=_pretty(data.provenance),
    )


def meter(given: EstimateLike | None, kind: str) -> str:
    """The interval on a line from 0 to 100 %: the picture beneath a headline number."""
    if given is None or not known(given):
        return ""
    scale = Scale(0, 1, 6, 194)
    parts = [tag("line", x1=6.0, x2=194.0, y1=8.0, y2=8.0, class_="track")]
    if math.isfinite(given.low) and math.isfinite(given.high):
        parts.append(
            tag("line", x1=scale.at(given.low), x2=scale.at(given.high), y1=8.0, y2=8.0, class_=f"span {kind}")
        )
    shape = "circle" if kind == "purity" else "diamond"
    parts.append(marker(shape, scale.at(given.value), 8, 5, class_=f"dot {kind}"))
    label = f"{kind} {words.estimate(given)} on a line from 0 to 100 %"
    return svg(200, 16, label, *parts, class_="meter")


def _seconds(item: RoundSummary) -> float:
    return sum(value for value in item.seconds.values() if math.isfinite(value))


def _truth(item: RoundSummary) -> dict[str, float]:
    return {name: value for name, value in item.truth.items() if math.isfinite(value)}


def round_table(rounds: Sequence[RoundSummary]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of the table of rounds; columns of metrics and known truth only where there are any."""
    metrics = list(dict.fromkeys(name for item in rounds for name in item.metrics))
    truths = [_truth(item) for item in rounds]
    truth = [name for name in ("purity", "completeness") if any(name in true for true in truths)]
    columns = ["Round", "Query labels", "Control labels", "New targets", "Candidates", "Purity", "Completeness"]
    columns += [f"True {name}" for name in truth] + [name.replace("_", " ") for name in metrics] + ["Time"]
    rows = [
        [
            str(item.number),
            *(words.count(v) for v in (item.labels_query, item.labels_control, item.new_targets, item.candidates)),
            words.estimate(item.purity),
            words.estimate(item.completeness),
            *(words.percent(true[name]) if name in true else "–" for name in truth),
            *(words.measure(item.metrics.get(name)) for name in metrics),
            words.duration(_seconds(item) or math.nan),
        ]
        for item, true in zip(rounds, truths, strict=True)
    ]
    return columns, rows


def crossmatch_table(summary: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of the table of catalogues that the candidates were matched with."""
    columns = ["Catalogue", "Found", "Ambiguous", "By chance", "Median separation", "Types"]
    rows = []
    for item in summary.get("catalogues", ()):
        if item["state"] == "failed":
            rows.append([item["name"], "failed", "–", "–", "–", item["message"]])
            continue
        apart, chance = item["median_separation_arcsec"], item.get("chance")
        types = [f"{name} {words.count(number)}" for name, number in list(item.get("types", {}).items())[:12]]
        rows.append(
            [
                item["name"],
                words.count(item["matched"]),
                words.count(item["ambiguous"]),
                words.percent(chance["rate"]) if chance else "–",
                "–" if apart is None else f"{apart:.2f}″",
                ", ".join(types) or "–",
            ]
        )
    return columns, rows


def _by_class(data: ReportData) -> list[tuple[str, str, str]]:
    """Target class, its purity after the last round, and its interval as a picture."""
    if not data.rounds:
        return []
    given = data.rounds[-1].purity_by_class
    return [(name, words.estimate(item), meter(item, "purity")) for name, item in given.items()]


def confusion(data: ReportData) -> dict[str, Any] | None:
    """The confusion matrix for the page: cells with a shade from 0 to 9 by their share of the row; None when empty."""
    matrix = np.asarray(data.confusion)
    if matrix.size == 0 or not matrix.sum() > 0:
        return None
    totals = matrix.sum(axis=1)
    rows = []
    for index, name in enumerate(data.confusion_classes):
        share = matrix[index] / max(int(totals[index]), 1)
        cells = [
            {
                "count": int(value),
                "shade": math.ceil(9 * part),
                "share": words.percent(float(part)),
                "same": column == index,
            }
            for column, (value, part) in enumerate(zip(matrix[index], share, strict=True))
        ]
        rows.append({"name": name, "cells": cells, "total": int(totals[index]), "target": name in data.targets})
    right, total = int(np.trace(matrix)), int(matrix.sum())
    summary = f"{words.count(right)} of {words.plural(total, 'control label')} agree with the prediction"
    return {"rows": rows, "summary": f"{summary} ({words.percent(right / total)}).", "many": len(rows) > 5}


def _pretty(record: Mapping[str, Any]) -> str:
    return json.dumps(plain(record), indent=2, ensure_ascii=False)
