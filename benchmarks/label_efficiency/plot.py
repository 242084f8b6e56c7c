"""The figures, from the JSON lines alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.label_efficiency.contestants import CONTESTANTS
from benchmarks.label_efficiency.table import (
    FEWEST,
    Record,
    Setting,
    at_labels,
    calibration_of,
    contestant_of,
    groups,
    in_order,
    interval,
)

__all__ = ["draw"]

_STYLES = {"published": ("black", "-"), "random": ("0.6", "-")}
_COLOURS = (
    "#c1440e",
    "#1f77b4",
    "#2a9d4a",
    "#8c4fb3",
    "#d1a000",
    "#00919c",
    "#b0306a",
    "#6b6b1f",
    "#3b4cc0",
    "#7a5230",
)


def draw(folder: Path, out: Path) -> list[Path]:
    """One figure of learning curves a setting, and one of reliability; returns their files."""
    out.mkdir(parents=True, exist_ok=True)
    made = []
    for setting, by_name in groups(folder).items():
        if setting.start == "few":
            noise = f"-noise-{setting.noise:g}" if setting.noise else ""
            name = f"{setting.pool}-{setting.size}{noise}"
            made.append(_save(_curves(setting, by_name), out / f"{name}.png"))
    bins = {name: table for name, (table, _) in calibration_of(folder).items()}
    if bins:
        made.append(_save(_reliability(bins), out / "reliability.png"))
    return made


def _save(figure: Any, path: Path) -> Path:
    figure.savefig(path, dpi=80, metadata={"Software": None})
    return path


def _figure(columns: int) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6 * columns + 1.4, 4.0), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, columns, squeeze=False)[0]


def _curves(setting: Setting, by_name: dict[str, list[Record]]) -> Any:
    figure, (left, right) = _figure(2)
    colours = iter(_COLOURS * 3)
    for name in in_order(by_name):
        records = by_name[name]
        kind = contestant_of(name)
        colour, line = _STYLES.get(kind, (None, "--" if CONTESTANTS[kind].group == "other tools" else "-"))
        colour = colour or next(colours)
        labels = sorted({point["labels"] for record in records for point in record["curve"]})
        total = np.mean([record["targets"] for record in records])
        for axes, key, unit in ((left, "completeness", 1.0), (right, "found", total)):
            values = [np.array(at_labels(records, count, key)) / unit for count in labels]
            mean, low, high = np.array([interval(column) for column in values]).T
            axes.plot(labels, mean, line, color=colour, label=f"{name} ({len(records)})", marker=".")
            if min(map(len, values)) >= FEWEST:
                axes.fill_between(labels, np.clip(low, 0, 1), np.clip(high, 0, 1), color=colour, alpha=0.12, lw=0)
    left.axhline(0.95, color="0.8", lw=0.8)
    left.set(xlabel="labels", ylabel="completeness at 95 % purity", ylim=(0, 1.01))
    left.set_title(f"{setting.pool}, {setting.size:,} spectra")
    right.set(xlabel="labels", ylabel="share of the targets labelled", ylim=(0, 1.01))
    figure.legend(*right.get_legend_handles_labels(), fontsize=7, title="contestant (seeds)", loc="outside right upper")
    return figure


def _reliability(bins: dict[str, Any]) -> Any:
    figure, (axes,) = _figure(1)
    axes.plot([0, 1], [0, 1], color="0.8", lw=0.8)
    colours = iter(_COLOURS * 3)
    for name, table in bins.items():
        there = table["rows"] >= 5
        chance, share = (table[key][there] / table["rows"][there] for key in ("probability", "targets"))
        axes.plot(chance, share, marker=".", color=next(colours), label=name)
    axes.set(xlabel="stated probability of a target", ylabel="share that are targets", xlim=(0, 1), ylim=(0, 1))
    axes.legend(fontsize=7)
    return figure
