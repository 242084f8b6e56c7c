"""Tables and figure of `benchmarks.label_efficiency.calibration`, from the JSON lines alone."""

from __future__ import annotations

import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.label_efficiency.calibration import perfect
from benchmarks.label_efficiency.measures import calibration_error
from benchmarks.label_efficiency.units import Unit, read
from numpy.typing import NDArray

__all__ = ["Cell", "draw", "merged", "table"]

_NAMES = {
    "stated": "as the network states it",
    "shift": "prior shift, no answers",
    "queries": "by queries",
    "control": "by control labels",
    "calibrated": "**by both**",
}
_COLOURS = {"stated": "#1f77b4", "calibrated": "#c1440e"}
_FIRST, _CANDIDATES, _BINS = 1, 10, 20

Bins = dict[str, NDArray[np.float64]]


@dataclasses.dataclass(frozen=True, order=True)
class Cell:
    """What is put together: campaigns on pools of one kind after the same round."""

    pool: str
    size: int
    number: int
    closing: bool

    def __str__(self) -> str:
        when = f"after the closing round, {self.number}" if self.closing else f"after round {self.number}"
        return f"{self.pool}, {self.size:,} spectra, {when}"


def merged(folder: Path, seeds: Collection[int] = ()) -> dict[Cell, dict[str, list[Any]]]:
    """Cell → counts of each seed, ``n_labels`` and so on, and, by forecaster, its bins; of some seeds or of all."""
    found: dict[Cell, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(folder.glob("*.jsonl")):
        records = {Unit(**record["unit"]): record for record in read(path)}
        for unit, record in sorted(records.items(), key=lambda item: item[0]):
            if seeds and unit.seed not in seeds:
                continue
            for moment in record["moments"]:
                here = found[Cell(unit.pool, unit.size, moment["round"], moment["closing"])]
                here["seeds"].append(unit.seed)
                for name in ("control", "labels", "left", "targets"):
                    here[f"n_{name}"].append(moment[name])
                for name, loss in moment["loss"].items():
                    here[f"loss_{name}"].append(loss)
                for name, bins in moment["bins"].items():
                    here[name].append({key: np.asarray(values) for key, values in bins.items()})
    return {key: dict(found[key]) for key in sorted(found)}


def summed(bins: list[Bins]) -> Bins:
    """The bins of several campaigns together."""
    return {key: np.sum([one[key] for one in bins], axis=0) for key in bins[0]}


def table(folder: Path, seeds: Collection[int] = ()) -> str:
    """Everything that was measured, as Markdown; of some seeds or of all."""
    return "\n\n".join(_one(str(cell), moment) for cell, moment in merged(folder, seeds).items())


def _one(title: str, moment: dict[str, list[Any]]) -> str:
    head = ["probabilities", "rows from 0.05 up", "error over all", "error from 0.05 up", "a perfect one shows"]
    head += ["too high by", "rows from 0.5 up", "too high by", "log loss"]
    lines = [head, ["---"] * len(head)]
    for name, words in _NAMES.items():
        bins = summed(moment[name])
        chance = perfect(bins, _FIRST)
        lines.append(
            [
                words,
                f"{bins['rows'][_FIRST:].sum():,.0f}",
                f"{calibration_error(bins):.4f}",
                f"{calibration_error(bins, _FIRST):.3f}",
                f"{chance.mean():.3f} (95 %: under {np.quantile(chance, 0.95):.3f})",
                _bias(bins, _FIRST),
                f"{bins['rows'][_CANDIDATES:].sum():,.0f}",
                _bias(bins, _CANDIDATES),
                f"{sum(moment[f'loss_{name}']):.0f}",
            ]
        )
    labels, control = moment["n_labels"], moment["n_control"]
    said = f"seeds {', '.join(map(str, moment['seeds']))}; {np.mean(labels):.0f} labels"
    said += f" and {np.mean(control):.0f} control labels, {sum(moment['n_targets'])} targets left in all"
    return f"**{title}** ({said})\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _bias(bins: Bins, first: int) -> str:
    """The mean stated probability less the share of targets, with its standard error if the probabilities were true."""
    rows = max(bins["rows"][first:].sum(), 1.0)
    gap = (bins["probability"] - bins["targets"])[first:].sum() / rows
    return f"{gap:+.3f} ± {np.sqrt(bins['spread'][first:].sum()) / rows:.3f}"


def draw(folder: Path, out: Path) -> list[Path]:
    """Reliability before and after, a panel a kind of pool, all rounds and seeds together; returns the file."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    panels = _shown(merged(folder))
    figure = Figure(figsize=(4.4 * len(panels), 4.2), layout="constrained")
    FigureCanvasSVG(figure)
    for axes, (title, moment) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        axes.plot([0, 1], [0, 1], color="0.8", lw=0.8)
        for name, colour in _COLOURS.items():
            chance, share, low, high, rows = np.array(list(_points(summed(moment[name])))).T
            axes.errorbar(
                chance, share, yerr=[share - low, high - share], color=colour, lw=1.2, elinewidth=0.8, zorder=3
            )
            axes.scatter(
                chance, share, s=4 + 26 * np.sqrt(rows / rows.max()), color=colour, label=_plain(name), zorder=4
            )
        axes.set(xlabel="probability of a target", xlim=(0, 1), ylim=(0, 1), title=title)
        axes.set_ylabel("share that are targets")
        axes.legend(fontsize=8, loc="upper left")
    out.mkdir(parents=True, exist_ok=True)
    path = out / "calibration.svg"
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    return [path]


def _shown(cells: dict[Cell, dict[str, list[Any]]]) -> dict[str, dict[str, list[Bins]]]:
    """Title of a panel → the bins of each forecaster."""
    panels: dict[str, dict[str, list[Bins]]] = defaultdict(lambda: defaultdict(list))
    for cell, moment in cells.items():
        for name in _COLOURS:
            panels[f"{cell.pool}, {cell.size:,} spectra"][name] += moment[name]
    return dict(panels)


def _plain(name: str) -> str:
    return _NAMES[name].strip("*")


def _points(bins: Bins) -> Iterator[tuple[float, float, float, float, float]]:
    """Mean probability, share of targets with its 68 % interval (Jeffreys), and rows; bins in fours from 0.05 up."""
    from scipy.stats import beta

    edges = [0, 1, 2, 4, 6, 9, 12, 15, 18, _BINS]
    for first, end in itertools.pairwise(edges):
        rows, chance, targets = (bins[key][first:end].sum() for key in ("rows", "probability", "targets"))
        if rows >= 5:
            low, high = beta.ppf([0.16, 0.84], targets + 0.5, rows - targets + 0.5)
            share = targets / rows
            yield chance / rows, share, min(low, share), max(high, share), rows
