"""The charts of a report, each for a wide and a narrow page, with a summary in words and its numbers as a table."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from emberline.campaign import wording as words
from emberline.campaign.report_data import EstimateLike, ReportData, RoundSummary, known
from emberline.campaign.svg import Panel, Scale, compact, log_ticks, marker, path, round_ticks, svg, tag, text

__all__ = ["Figure", "class_balance", "effort", "histogram", "learning_curve", "rounds", "swatch", "timings"]

WIDE, NARROW = 540.0, 340.0
_NO_CONTROL = "Not yet estimated: there are too few control labels."
_SHARE_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
_ESTIMATES = (("purity", "Purity", "circle"), ("completeness", "Completeness", "diamond"))


@dataclasses.dataclass(frozen=True)
class Figure:
    """One chart: `wide` and `narrow` are SVG (empty when there is nothing to draw); `rows` are its numbers."""

    key: str
    title: str
    summary: str
    wide: str = ""
    narrow: str = ""
    legend: Sequence[tuple[Markup, str]] = ()
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


def _both(figure: Figure, draw: Callable[[float], tuple[float, list[Markup]]]) -> Figure:
    """The figure with its chart drawn at both widths; `draw` gives the height and the parts."""
    drawn = []
    for width in (WIDE, NARROW):
        height, parts = draw(width)
        drawn.append(svg(width, height, f"{figure.title}. {figure.summary}", *parts))
    return dataclasses.replace(figure, wide=drawn[0], narrow=drawn[1])


def swatch(kind: str, series: str, shape: str = "circle") -> Markup:
    """The key of a legend: a line with its marker, a whisker, or a filled box."""
    if kind == "box":
        parts = [
            tag("rect", x=4.0, y=1.0, width=20.0, height=12.0, rx=2.0, class_=f"fill {series}"),
            tag("rect", x=4.0, y=1.0, width=20.0, height=12.0, rx=2.0, class_=f"hatch {series}"),
        ]
    elif kind == "dashed":
        parts = [tag("path", d="M0 7L26 7", class_=f"line truth {series}")]
    else:
        parts = [
            tag("path", d="M0 7L26 7", class_=f"line {series}"),
            marker(shape, 13, 7, 4, class_=f"dot {series}"),
        ]
    return tag("svg", *parts, class_="swatch", viewBox="0 0 26 14", aria_hidden="true")


def _estimates(item: RoundSummary, key: str) -> EstimateLike | None:
    given: EstimateLike | None = getattr(item, key)
    return given if known(given) else None


def _series(given: Sequence[RoundSummary], key: str) -> NDArray[np.float64]:
    """Value, low and high of each round, shape (3, rounds), NaN where unknown."""
    rows = [_estimates(item, key) for item in given]
    return np.array([[row.value, row.low, row.high] if row else [math.nan] * 3 for row in rows]).reshape(-1, 3).T


def _truth(given: Sequence[RoundSummary], key: str) -> NDArray[np.float64]:
    return np.array([item.truth.get(key, math.nan) for item in given], dtype=np.float64)


def _share_panel(width: float, height: float, x: tuple[float, float]) -> tuple[Panel, Markup]:
    panel = Panel.inside((46, 12, width - 14, height - 46), x, (0.0, 1.0))
    return panel, panel.y_axis(_SHARE_TICKS, [f"{100 * tick:.0f}%" for tick in _SHARE_TICKS])


def _or_dash(share: float | None) -> str:
    return "–" if share is None or not math.isfinite(share) else words.percent(share)


def _now(given: Sequence[RoundSummary]) -> str:
    """Where purity and completeness stand after the last round, in words."""
    parts = [f"{key} {words.estimate(_estimates(given[-1], key))}" for key, _, _ in _ESTIMATES]
    return ", ".join(parts)


def learning_curve(data: ReportData) -> Figure:
    """Purity and completeness against the labels given, with interval bands; known truth dashed."""
    title, given = "Learning curve", data.rounds
    if not given:
        return Figure("learning", title, "No round has ended yet.")
    if not any(np.isfinite(curve(given, key)).any() for curve in (_series, _truth) for key, _, _ in _ESTIMATES):
        return Figure("learning", title, _NO_CONTROL)
    x = np.array([item.labels for item in given], dtype=np.float64)
    span = (min(0.0, x.min()), max(x.max() * 1.03, 1.0))

    def draw(width: float) -> tuple[float, list[Markup]]:
        height = 330.0 if width > NARROW else 270.0
        panel, axis = _share_panel(width, height, span)
        ticks = round_ticks(*span, 6 if width > NARROW else 4, whole=True)
        parts = [axis, panel.x_axis(ticks, [compact(tick) for tick in ticks], "labels given")]
        for key, _, shape in _ESTIMATES:
            parts.append(_curve(panel, x, _series(given, key), _truth(given, key), key, shape))
        return height, parts

    legend = [(swatch("line", key, shape), f"{name}, estimated") for key, name, shape in _ESTIMATES]
    legend += [
        (swatch("dashed", key), f"{name}, known truth")
        for key, name, _ in _ESTIMATES
        if np.isfinite(_truth(given, key)).any()
    ]
    summary = f"After {words.plural(given[-1].labels, 'label')}: {_now(given)}."
    columns = ("Labels", "Purity", "Completeness", "Purity, known truth", "Completeness, known truth")
    rows = [
        (
            words.count(item.labels),
            *(words.estimate(_estimates(item, key)) for key, _, _ in _ESTIMATES),
            *(_or_dash(item.truth.get(key)) for key, _, _ in _ESTIMATES),
        )
        for item in given
    ]
    return _both(Figure("learning", title, summary, legend=legend, columns=columns, rows=rows), draw)


def _curve(
    panel: Panel,
    x: NDArray[np.float64],
    series: NDArray[np.float64],
    truth: NDArray[np.float64],
    key: str,
    shape: str,
) -> Markup:
    """Band, dashed truth, line and markers of one quantity."""
    value, low, high = series
    at = panel.x(x)
    parts = []
    for run in _runs(np.isfinite(low) & np.isfinite(high) & np.isfinite(value)):
        edge = path(np.r_[at[run], at[run][::-1]], panel.y(np.r_[high[run], low[run][::-1]])) + "Z"
        parts.append(tag("path", d=edge, class_=f"band {key}"))
    if np.isfinite(truth).any():
        parts.append(tag("path", d=path(at, panel.y(truth)), class_=f"line truth {key}"))
    parts.append(tag("path", d=path(at, panel.y(value)), class_=f"line {key}"))
    size = max(1.5, min(4.0, 0.25 * (panel.x.end - panel.x.start) / x.size))
    for a, b, labels in zip(at, panel.y(value), x, strict=True):
        if math.isfinite(b):
            hint = tag("title", f"{key} after {words.count(labels)} labels")
            parts.append(marker(shape, a, b, size, hint, class_=f"dot {key}"))
    return tag("g", *parts)


def _runs(good: NDArray[np.bool_]) -> list[slice]:
    """The stretches where `good` holds."""
    edges = np.flatnonzero(np.diff(np.r_[False, good, False].astype(np.int8)))
    return [slice(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def rounds(data: ReportData) -> Figure:
    """Purity and completeness of each round as points with their intervals."""
    title, given = "Estimates by round", data.rounds
    if not any(_estimates(item, key) for item in given for key, _, _ in _ESTIMATES):
        return Figure("rounds", title, _NO_CONTROL)
    n = len(given)

    def draw(width: float) -> tuple[float, list[Markup]]:
        height = 330.0 if width > NARROW else 270.0
        panel, axis = _share_panel(width, height, (-0.5, n - 0.5))
        ticks = _every(n, 14 if width > NARROW else 8)
        parts = [axis, panel.x_axis(ticks, [str(given[i].number) for i in ticks], "round")]
        step = (panel.x.end - panel.x.start) / n
        size = max(1.5, min(4.5, 0.22 * step))
        for side, (key, _, shape) in zip((-1, 1), _ESTIMATES, strict=True):
            series = _series(given, key)
            for index in range(n):
                parts.append(_whisker(panel, index, side * min(0.2 * step, 9.0), series[:, index], key, shape, size))
        return height, parts

    legend = [(swatch("line", key, shape), f"{name} with 95 % interval") for key, name, shape in _ESTIMATES]
    first = next(item for item in given if any(_estimates(item, key) for key, _, _ in _ESTIMATES))
    summary = f"From round {first.number} ({_now([first])}) to round {given[-1].number} ({_now(given)})."
    columns = ("Round", "Purity", "Completeness")
    rows = [(str(item.number), *(words.estimate(_estimates(item, key)) for key, _, _ in _ESTIMATES)) for item in given]
    return _both(Figure("rounds", title, summary, legend=legend, columns=columns, rows=rows), draw)


def _whisker(
    panel: Panel, index: int, shift: float, series: NDArray[np.float64], key: str, shape: str, size: float
) -> Markup:
    """One estimate: its interval as a bar with caps, its value as a marker."""
    value, low, high = (float(item) for item in series)
    if not math.isfinite(value):
        return Markup()
    at = panel.x.at(index) + shift
    parts = [tag("title", f"{key}: {words.percent(value)}")]
    if math.isfinite(low) and math.isfinite(high):
        a, b = panel.y.at(low), panel.y.at(high)
        bar = path([at, at], [a, b]) + path([at - size, at + size], [a, a]) + path([at - size, at + size], [b, b])
        parts.append(tag("path", d=bar, class_=f"line thin {key}"))
    parts.append(marker(shape, at, panel.y.at(value), size, class_=f"dot {key}"))
    return tag("g", *parts)


def _every(n: int, most: int) -> list[int]:
    """Indices from 0 to n - 1, thinned evenly to `most` or fewer."""
    return list(range(0, n, max(1, math.ceil(n / most))))


def _spent(given: Sequence[RoundSummary]) -> NDArray[np.int64]:
    """Labels given in each round as query and as control, shape (rounds, 2)."""
    total = np.array([[item.labels_query, item.labels_control] for item in given], dtype=np.int64).reshape(-1, 2)
    return np.diff(total, axis=0, prepend=np.zeros((1, 2), dtype=np.int64))


def effort(data: ReportData) -> Figure:
    """New targets found in each round above the labels spent in it, on one axis of rounds."""
    title, given = "What each round found and cost", data.rounds
    if not given:
        return Figure("effort", title, "No round has ended yet.")
    spent, n = _spent(given), len(given)
    found = np.array([item.new_targets for item in given])

    def draw(width: float) -> tuple[float, list[Markup]]:
        height = 330.0
        upper = Panel.inside((46, 26, width - 14, 130), (-0.5, n - 0.5), _up_to(int(found.max())))
        lower = Panel.inside((46, 172, width - 14, height - 46), (-0.5, n - 0.5), _up_to(int(spent.sum(axis=1).max())))
        ticks = _every(n, 14 if width > NARROW else 8)
        parts = [_counts(upper, "new targets"), _counts(lower, "labels spent")]
        parts.append(upper.x_axis([], []))
        parts.append(lower.x_axis(ticks, [str(given[i].number) for i in ticks], "round", marks=False))
        for index in range(n):
            parts.append(_column(upper, index, n, [int(found[index])], ["c-target"]))
            parts.append(_column(lower, index, n, spent[index].tolist(), ["c-query", "c-control"]))
        return height, parts

    legend = [
        (swatch("box", "c-target"), "new targets"),
        (swatch("box", "c-query"), "query labels"),
        (swatch("box", "c-control"), "control labels"),
    ]
    summary = f"{words.plural(int(found.sum()), 'target')} found with {words.plural(given[-1].labels, 'label')}."
    columns = ("Round", "New targets", "Query labels", "Control labels")
    rows = [
        (str(item.number), words.count(hits), *(words.count(v) for v in row))
        for item, hits, row in zip(given, found, spent.tolist(), strict=True)
    ]
    return _both(Figure("effort", title, summary, legend=legend, columns=columns, rows=rows), draw)


def _up_to(most: int) -> tuple[float, float]:
    return (0.0, max(1.0, most * 1.05))


def _counts(panel: Panel, title: str) -> Markup:
    ticks = round_ticks(panel.y.low, panel.y.high, 3, whole=True)
    return panel.y_axis(ticks, [compact(tick) for tick in ticks], title)


def _column(panel: Panel, index: int, n: int, values: Sequence[int], series: Sequence[str]) -> Markup:
    """A stacked column with a gap between its parts."""
    step = (panel.x.end - panel.x.start) / n
    wide = max(2.0, min(step * 0.66, 36.0))
    parts, base = [], 0
    for value, key in zip(values, series, strict=True):
        if value > 0:
            low, high = panel.y.at(base), panel.y.at(base + value)
            hint = tag("title", f"{key.removeprefix('c-')}: {words.count(value)}")
            parts.append(_box(panel.x.at(index) - wide / 2, high, wide, max(low - high - 1, 1.0), key, hint))
        base += max(value, 0)
    return tag("g", *parts) if parts else Markup()


def _box(x: float, y: float, width: float, height: float, series: str, *children: Markup) -> Markup:
    """A filled box, with the hatch of its series over it."""
    place = {"x": float(x), "y": float(y), "width": float(width), "height": float(height), "rx": 1.5}
    solid = tag("rect", *children, class_=f"fill {series}", **place)
    return solid + tag("rect", class_=f"hatch {series}", pointer_events="none", **place)


def histogram(data: ReportData) -> Figure:
    """How many spectra have which probability of being a target, on a logarithmic count axis."""
    title = "Probability of being a target"
    counts, edges = (np.asarray(part, dtype=np.float64) for part in data.probabilities_histogram)
    if counts.size == 0 or not counts.sum() > 0:
        return Figure("probability", title, "No prediction has been made yet.")
    most = 10.0 ** math.ceil(math.log10(counts.max() * 1.05))
    sure = int(counts[edges[:-1] >= 0.9 - 1e-9].sum())

    def draw(width: float) -> tuple[float, list[Markup]]:
        height = 330.0 if width > NARROW else 270.0
        panel = Panel.inside((46, 26, width - 14, height - 46), (edges[0], edges[-1]), (0.6, most), log_y=True)
        ticks = log_ticks(1.0, most)
        x_ticks = round_ticks(float(edges[0]), float(edges[-1]), 5)
        parts = [panel.y_axis(ticks, [compact(tick) for tick in ticks], "spectra")]
        for value, low, high in zip(counts, edges[:-1], edges[1:], strict=True):
            if value > 0:
                a, b = panel.x.at(low), panel.x.at(high)
                hint = tag("title", f"{low:.3g} to {high:.3g}: {words.count(value)}")
                top = panel.y.at(value)
                parts.append(_box(a + 0.5, top, max(b - a - 1, 1.0), panel.y.start - top, "c-pool", hint))
        parts.append(panel.x_axis(x_ticks, [f"{tick:g}" for tick in x_ticks], "probability"))
        if math.isfinite(data.threshold):
            at = panel.x.at(data.threshold)
            parts.append(tag("line", x1=at, x2=at, y1=panel.y.end, y2=panel.y.start, class_="limit"))
            side, anchor = (5, "start") if data.threshold < 0.6 else (-5, "end")
            parts.append(text(at + side, panel.y.end - 8, f"candidates from {data.threshold:g}", "mark", anchor))
        return height, parts

    summary = f"Of {words.plural(int(counts.sum()), 'spectrum', 'spectra')}, {words.count(sure)} reach 0.9 or more."
    rows = [
        (f"{low:.3g} to {high:.3g}", words.count(value))
        for value, low, high in zip(counts, edges[:-1], edges[1:], strict=True)
    ]
    return _both(Figure("probability", title, summary, columns=("Probability", "Spectra"), rows=rows), draw)


def class_balance(data: ReportData) -> Figure:
    """How many labels each class has, targets marked by a diamond."""
    title = "Labels by class"
    order = sorted(data.class_balance.items(), key=lambda pair: -pair[1])
    total = sum(value for _, value in order)
    if total == 0:
        return Figure("balance", title, "No labels have been given yet.")

    def draw(width: float) -> tuple[float, list[Markup]]:
        letters = 24 if width > NARROW else 15
        left = 24 + 6.6 * min(letters, max(len(name) for name, _ in order))
        scale = Scale(0, max(1, order[0][1]), left, width - 52)
        parts = []
        for index, (name, value) in enumerate(order):
            at, target = 12 + 26.0 * index, name in data.targets
            if target:
                parts.append(marker("diamond", 7, at + 9, 4, class_="dot c-target"))
            parts.append(text(left - 8, at + 13, _shorten(name, letters), "name", "end"))
            long = max(scale.at(value) - left, 1.5)
            hint = tag("title", f"{name}: {words.count(value)}")
            if value > 0:
                parts.append(_box(left, at, long, 18, "c-target" if target else "c-other", hint))
            parts.append(text(left + long + 7, at + 13, words.count(value), "tick", "start"))
        return 12 + 26.0 * len(order), parts

    targets = sum(value for name, value in order if name in data.targets)
    legend = [(swatch("box", "c-target"), "target class"), (swatch("box", "c-other"), "other class")]
    share = words.percent(targets / total)
    summary = f"{words.plural(total, 'label')}, {words.count(targets)} of them targets ({share})."
    rows = [(name, "target" if name in data.targets else "", words.count(value)) for name, value in order]
    figure = Figure("balance", title, summary, legend=legend, columns=("Class", "Target", "Labels"), rows=rows)
    return _both(figure, draw)


def _shorten(name: str, letters: int) -> str:
    return name if len(name) <= letters else name[: letters - 1].rstrip() + "…"


def timings(data: ReportData) -> Figure:
    """Seconds of each step, stacked, one bar a round."""
    title, given = "Time by step and round", data.rounds
    steps = list(dict.fromkeys(step for item in given for step in item.seconds))
    table = np.array([[item.seconds.get(step, 0.0) for step in steps] for item in given], dtype=np.float64)
    table = np.where(np.isfinite(table), np.maximum(table, 0.0), 0.0)
    if not steps or not table.sum() > 0:
        return Figure("timings", title, "No time has been measured yet.")
    totals = table.sum(axis=1)

    def draw(width: float) -> tuple[float, list[Markup]]:
        scale = Scale(0, float(totals.max()), 34, width - 78)
        parts = [text(0, 12, "round", "axis", "start")]
        pitch = min(24.0, max(308.0 / len(given), 5.0))
        tall, named = min(17.0, pitch - 1), _every(len(given), int(308 / 14))
        for index, item in enumerate(given):
            at, x = 22 + pitch * index, scale.start
            middle = at + tall / 2 + 4
            if index in named:
                parts.append(text(26, middle, str(item.number), anchor="end"))
            for column, (step, value) in enumerate(zip(steps, table[index], strict=True)):
                long = scale.at(value) - scale.start
                if long > 0:
                    hint = tag("title", f"{step}: {words.duration(value)}")
                    parts.append(_box(x, at, max(long - 1, 0.4), tall, f"k{column % 8}", hint))
                x += long
            if index in named:
                parts.append(text(x + 7, middle, words.duration(totals[index]), "tick", "start"))
        return 26 + pitch * len(given), parts

    by_step = table.sum(axis=0)
    most = int(by_step.argmax())
    share = words.percent(float(by_step[most] / by_step.sum()))
    summary = f"{words.duration(float(by_step.sum()))} in all; {steps[most]} took {share} of it."
    rows = [
        (str(item.number), *(words.duration(v) for v in row), words.duration(sum(row)))
        for item, row in zip(given, table.tolist(), strict=True)
    ]
    legend = [(swatch("box", f"k{column % 8}"), step) for column, step in enumerate(steps)]
    figure = Figure("timings", title, summary, legend=legend, columns=("Round", *steps, "All"), rows=rows)
    return _both(figure, draw)
