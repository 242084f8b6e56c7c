"""One small picture of a candidate: the window that the network saw, and the whole spectrum as a thin strip."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from emberline.campaign.report_data import GalleryItem
from emberline.campaign.svg import Panel, path, svg, tag, text

__all__ = ["thumbnail"]

_WIDTH, _WINDOW, _STRIP = 300.0, 118.0, 34.0
_COLUMNS = 140


def thumbnail(item: GalleryItem, lines: Mapping[str, float] | None = None) -> Markup:
    """The picture of one candidate; `lines` (name → vacuum Å) are marked where they fall into the window."""
    x, y = np.asarray(item.wavelength, dtype=np.float64), np.asarray(item.values, dtype=np.float64)
    finite = np.isfinite(x) & np.isfinite(y)
    if not finite.any():
        return svg(
            _WIDTH, _WINDOW, "No data in the window", text(_WIDTH / 2, 60, "no data in the window"), class_="thumb"
        )
    low, high = float(x[finite].min()), float(x[finite].max())
    panel = Panel.inside((2, 26, _WIDTH - 2, _WINDOW - 4), (low, high), _range(y[finite]))
    parts = [_marks(panel, lines or {})]
    parts.append(tag("path", d=path(panel.x(x), panel.y(y)), class_="flux"))
    parts.append(tag("line", x1=2.0, x2=_WIDTH - 2, y1=_WINDOW, y2=_WINDOW, class_="base"))
    parts.append(text(2, _WINDOW + 14, f"{low:.0f} Å", anchor="start"))
    parts.append(text(_WIDTH - 2, _WINDOW + 14, f"{high:.0f} Å", anchor="end"))
    strip = _strip(item, low, high)
    height = _WINDOW + 20 + (_STRIP + 24 if strip else 0)
    label = f"Spectrum of {item.name or item.identifier} from {low:.0f} to {high:.0f} Å as the network sees it"
    if strip:
        label += ", and the whole spectrum beneath"
    return svg(_WIDTH, height, label, *parts, *strip, class_="thumb")


def _range(values: NDArray[np.float64], outliers: float = 0.0) -> tuple[float, float]:
    """From the least to the greatest value with a margin, leaving out a share of outliers at each end."""
    low, high = (float(item) for item in np.quantile(values, [outliers, 1 - outliers]))
    margin = 0.06 * (high - low) or 1.0
    return low - margin, high + margin


def _marks(panel: Panel, lines: Mapping[str, float]) -> Markup:
    """Dashed lines with names; names that would touch go to a second row, and are left out of a third."""
    ends, parts = [-math.inf, -math.inf], []
    for name, wavelength in sorted(lines.items(), key=lambda pair: pair[1]):
        if not panel.x.low <= wavelength <= panel.x.high:
            continue
        at, half = panel.x.at(wavelength), 3.2 * len(name) + 2
        row = next((row for row in (0, 1) if at - half > ends[row]), None)
        top = panel.y.end - 4 if row is None else panel.y.end - 4 - 11 * row
        parts.append(tag("line", tag("title", name), x1=at, x2=at, y1=top + 2, y2=panel.y.start, class_="rest"))
        if row is not None:
            ends[row] = at + half
            inside = min(max(at, half), _WIDTH - half)
            parts.append(text(inside, top, name, "mark"))
    return tag("g", *parts) if parts else Markup()


def _strip(item: GalleryItem, low: float, high: float) -> list[Markup]:
    """The whole spectrum, thinned to its envelope, with the window shaded; nothing when it is not known."""
    if item.full_wavelength is None or item.full_flux is None:
        return []
    x, y = np.asarray(item.full_wavelength, dtype=np.float64), np.asarray(item.full_flux, dtype=np.float64)
    finite = np.isfinite(x) & np.isfinite(y)
    if finite.sum() < 2:
        return []
    x, y = x[finite], y[finite]
    top = _WINDOW + 24
    panel = Panel.inside((2, top, _WIDTH - 2, top + _STRIP), (float(x[0]), float(x[-1])), _range(y, 0.003))
    a, b = np.clip(panel.x([low, high]), 2, _WIDTH - 2)
    return [
        tag("rect", x=float(a), y=top - 2, width=max(float(b - a), 1.5), height=_STRIP + 4, class_="window"),
        *_envelope(panel, x, np.clip(y, panel.y.low, panel.y.high)),
        text(2, top + _STRIP + 14, f"{x[0]:.0f} Å", anchor="start"),
        text(_WIDTH - 2, top + _STRIP + 14, f"{x[-1]:.0f} Å", anchor="end"),
    ]


def _envelope(panel: Panel, x: NDArray[np.float64], y: NDArray[np.float64]) -> list[Markup]:
    """A line through few points; of many the mean of each of `_COLUMNS` columns, over their range as an area."""
    if x.size <= 2 * _COLUMNS:
        return [tag("path", d=path(panel.x(x), panel.y(y)), class_="whole")]
    starts = np.linspace(0, x.size, _COLUMNS, endpoint=False).astype(int)
    sizes = np.diff(np.r_[starts, x.size])
    across = panel.x(np.add.reduceat(x, starts) / sizes)
    least, most = np.minimum.reduceat(y, starts), np.maximum.reduceat(y, starts)
    area = path(np.r_[across, across[::-1]], panel.y(np.r_[most, least[::-1]])) + "Z"
    middle = path(across, panel.y(np.add.reduceat(y, starts) / sizes))
    return [tag("path", d=area, class_="extent"), tag("path", d=middle, class_="whole")]
