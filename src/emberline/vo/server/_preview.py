"""A picture of a spectrum: flux over wavelength, as SVG by hand and as PNG by matplotlib."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from emberline.campaign.svg import Panel, compact, path, round_ticks, svg, tag, text

if TYPE_CHECKING:
    from emberline.vo.server._spectra import Shown

__all__ = ["png_preview", "svg_preview"]

_WIDTH, _HEIGHT = 640.0, 300.0
_POINTS = 800
_STYLE = (
    "svg{background:#fff;font:12px sans-serif}.grid{stroke:#ddd}.base{stroke:#555}.axis,.tick{fill:#333}"
    ".line{fill:none;stroke:#1f5fa8;stroke-width:1}.title{fill:#111;font-weight:bold}"
)


def _thinned(shown: Shown) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """At most so many points as can be seen: the least and the greatest of each stretch, so that no line is lost."""
    x, y = shown.wavelength, shown.flux.astype(np.float64)
    y = np.where((shown.mask & 2) != 0, np.nan, y)
    if x.size <= 2 * _POINTS:
        return x, y
    size = -(-x.size // _POINTS)
    count = x.size // size * size
    columns, rows = np.where(np.isfinite(y[:count]), y[:count], 0.0).reshape(-1, size), np.arange(count // size)
    pairs = np.sort(np.stack([columns.argmin(axis=1), columns.argmax(axis=1)], axis=1), axis=1) + rows[:, None] * size
    picked = np.concatenate([pairs.ravel(), np.arange(count, x.size)])
    return x[picked], y[picked]


def _range(y: NDArray[np.float64]) -> tuple[float, float]:
    """What to show: all but single wild pixels."""
    known = y[np.isfinite(y)]
    if not known.size:
        return 0.0, 1.0
    low, high = np.percentile(known, [0.1, 99.9])
    margin = 0.05 * (high - low) or max(abs(high), 1.0) * 0.1
    return float(low - margin), float(high + margin)


def _label(shown: Shown) -> str:
    return f"Flux ({shown.flux_unit})" if shown.flux_unit else "Flux"


def svg_preview(shown: Shown) -> bytes:
    """As SVG that stands alone."""
    x, y = _thinned(shown)
    low, high = _range(y)
    span = (float(shown.edges[0]), float(shown.edges[-1]))
    panel = Panel.inside((60.0, 40.0, _WIDTH - 12, _HEIGHT - 48), span, (low, high))
    rows, columns = round_ticks(low, high), round_ticks(*span, 6)
    drawn = svg(
        _WIDTH,
        _HEIGHT,
        shown.title,
        tag("style", _STYLE),
        text(_WIDTH / 2, 16, shown.title, class_="title"),
        panel.y_axis(rows, [compact(tick) for tick in rows], _label(shown)),
        panel.x_axis(columns, [f"{tick:g}" for tick in columns], "Wavelength in vacuum (Å)"),
        tag("path", d=path(panel.x(x), panel.y(np.clip(y, low, high))), class_="line"),
    )
    return str(drawn).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1).encode()


def png_preview(shown: Shown) -> bytes:
    """As PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    x, y = _thinned(shown)
    figure = Figure(figsize=(6.4, 3.0), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    axes.plot(x, y, lw=0.8, color="#1f5fa8")
    axes.set(xlim=(shown.edges[0], shown.edges[-1]), ylim=_range(y), xlabel="Wavelength in vacuum (Å)")
    axes.set_ylabel(_label(shown))
    axes.set_title(shown.title.replace("$", r"\$"), fontsize=10)
    stream = io.BytesIO()
    FigureCanvasAgg(figure).print_png(stream)
    return stream.getvalue()
