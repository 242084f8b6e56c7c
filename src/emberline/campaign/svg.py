"""A little SVG: tags that escape their text, scales with round ticks, and a panel with axes; colours come from CSS."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import ArrayLike, NDArray

__all__ = ["Panel", "Scale", "compact", "log_ticks", "marker", "number", "path", "round_ticks", "svg", "tag", "text"]


def number(value: float) -> str:
    """A coordinate to a tenth of a pixel, as short as can be."""
    return f"{value:.1f}".removesuffix(".0") if abs(value) >= 0.05 else "0"


def tag(name: str, *children: str, **attributes: object) -> Markup:
    """An element; ``class_`` becomes ``class``, other underscores hyphens; None leaves an attribute out."""
    pairs = [(key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items() if value is not None]
    texts = [f'{key}="{escape(number(v) if isinstance(v, float) else v)}"' for key, v in pairs]
    opening = " ".join([name, *texts])
    if not children:
        return Markup(f"<{opening}/>")
    return Markup(f"<{opening}>{Markup().join(children)}</{name}>")


def svg(width: float, height: float, label: str, *children: str, class_: str = "chart") -> Markup:
    """A picture that scales with the page; `label` is what a screen reader says."""
    return tag(
        "svg",
        *children,
        class_=class_,
        viewBox=f"0 0 {number(width)} {number(height)}",
        role="img",
        aria_label=label,
    )


def text(x: float, y: float, words: str, class_: str = "tick", anchor: str = "middle", **more: object) -> Markup:
    """Words at a point."""
    return tag("text", words, x=float(x), y=float(y), class_=class_, text_anchor=anchor, **more)


def path(x: ArrayLike, y: ArrayLike) -> str:
    """The ``d`` of a line through points; it is broken where either coordinate is not finite."""
    pieces: list[str] = []
    pen = "M"
    for a, b in zip(np.ravel(x), np.ravel(y), strict=True):
        if not (math.isfinite(a) and math.isfinite(b)):
            pen = "M"
            continue
        pieces.append(f"{pen}{number(a)} {number(b)}")
        pen = "L"
    return "".join(pieces)


def marker(shape: str, x: float, y: float, size: float = 4.0, *children: str, **attributes: object) -> Markup:
    """A ``circle``, ``diamond``, ``square`` or ``triangle`` centred on a point."""
    if shape == "circle":
        return tag("circle", *children, cx=float(x), cy=float(y), r=float(size), **attributes)
    shapes: dict[str, list[tuple[float, float]]] = {
        "diamond": [(0, -1.35), (1.35, 0), (0, 1.35), (-1.35, 0)],
        "square": [(-1, -1), (1, -1), (1, 1), (-1, 1)],
        "triangle": [(0, -1.25), (1.2, 0.95), (-1.2, 0.95)],
    }
    corners = np.array([x, y]) + size * np.array(shapes[shape])
    outline = path(corners[:, 0], corners[:, 1]) + "Z"
    return tag("path", *children, d=outline, **attributes)


def compact(value: float) -> str:
    """A tick label: 0.25, 40, 1.5k, 2M."""
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.4g}{letter}"
    return f"{value:.4g}"


def round_ticks(low: float, high: float, count: int = 5, *, whole: bool = False) -> list[float]:
    """About `count` round numbers from `low` to `high`; `whole` keeps to integers."""
    span = high - low
    if not span > 0:
        return [low]
    rough = span / max(count, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if power * factor >= rough * 0.999)
    if whole:
        step = max(1.0, round(step))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def log_ticks(low: float, high: float, count: int = 6) -> list[float]:
    """Powers of ten from `low` to `high`, some left out when there are more than `count`."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    step = max(1, math.ceil((last - first + 1) / count))
    return [10.0**power for power in range(first, last + 1, step)]


@dataclasses.dataclass(frozen=True)
class Scale:
    """Data to pixels: `low` falls on `start`, `high` on `end`; logarithmic where asked."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: ArrayLike) -> NDArray[np.float64]:
        data = np.asarray(value, dtype=np.float64)
        low, high = self.low, self.high
        if self.log:
            data, low, high = np.log10(np.maximum(data, self.low)), math.log10(low), math.log10(high)
        share = (data - low) / (high - low) if high > low else np.full(data.shape, 0.5)
        return np.asarray(self.start + share * (self.end - self.start))

    def at(self, value: float) -> float:
        """One value's place."""
        return float(self(value))


@dataclasses.dataclass(frozen=True)
class Panel:
    """Where data are drawn: two scales, with grid lines and labels round them."""

    x: Scale
    y: Scale

    @classmethod
    def inside(
        cls,
        box: tuple[float, float, float, float],
        x: tuple[float, float],
        y: tuple[float, float],
        *,
        log_y: bool = False,
    ) -> Panel:
        """A panel whose data area is `box` (left, top, right, bottom) for data from x[0] to x[1] and y[0] to y[1]."""
        left, top, right, bottom = box
        return cls(Scale(*x, left, right), Scale(*y, bottom, top, log=log_y))

    def y_axis(self, ticks: Sequence[float], labels: Sequence[str], title: str = "") -> Markup:
        """Horizontal grid lines with labels at the left; the title stands above the axis."""
        left, right, top = self.x.start, self.x.end, self.y.end
        parts = []
        for value, label in zip(ticks, labels, strict=True):
            at = self.y.at(value)
            parts.append(tag("line", x1=left, x2=right, y1=at, y2=at, class_="grid"))
            parts.append(text(left - 7, at + 4, label, anchor="end"))
        if title:
            parts.append(text(left - 34, top - 12, title, class_="axis", anchor="start"))
        return tag("g", *parts) if parts else Markup()

    def x_axis(self, ticks: Sequence[float], labels: Sequence[str], title: str = "", *, marks: bool = True) -> Markup:
        """The base line with ticks and labels beneath, and a title in the middle."""
        left, right, bottom = self.x.start, self.x.end, self.y.start
        parts = [tag("line", x1=left, x2=right, y1=bottom, y2=bottom, class_="base")]
        for value, label in zip(ticks, labels, strict=True):
            at = self.x.at(value)
            if marks:
                parts.append(tag("line", x1=at, x2=at, y1=bottom, y2=bottom + 4, class_="base"))
            parts.append(text(at, bottom + 18, label))
        if title:
            parts.append(text((left + right) / 2, bottom + 37, title, class_="axis"))
        return tag("g", *parts)
