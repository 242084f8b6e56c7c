"""Draw the picture in README.md: what is searched for, and how a search goes. Run `make demo` first: it shows that."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from emberline import Recipe
from emberline.simulate import Survey, make_block

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

SHOWN = {
    "Be star, face on": ("be", "emission", "#c2410c"),
    "Be star, inclined": ("be", "double-peak", "#c2410c"),
    "Be star, edge on": ("be", "shell", "#c2410c"),
    "nebula before a star": ("nebular", "emission", "#0f766e"),
    "active M dwarf": ("m-dwarf-emission", "emission", "#0f766e"),
    "quasar": ("quasar", "", "#0f766e"),
    "ordinary star": ("star", "absorption", "#64748b"),
}
"""Caption → class, kind of profile, colour."""
SURVEY = Survey(seed=1, spectra=1000, prevalence=0.12, nebular=0.03, dwarf_emission=0.03, quasars=0.05, defects=0.3)


def examples() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """One clean example of each kind: vacuum wavelengths and flux, standardised as the network sees it."""
    recipe = Recipe.load("halpha-140")
    made = make_block(SURVEY, 0)
    low, high = recipe.window_angstrom
    wavelength = made.block.grid.wavelength
    inside = (wavelength > low) & (wavelength < high)
    found = {}
    for caption, (name, kind, _) in SHOWN.items():
        fits = (made.truth["class"] == name) & (made.truth["snr"] > 60)
        if kind:
            fits &= made.truth["kind"] == kind
        if name == "star":
            fits &= abs(made.truth["teff"] - 8000) < 1000
        flux = made.block.flux[:, inside]
        line = np.abs(wavelength[inside] - (6640 if name == "quasar" else 6564.6)) < (25 if name == "quasar" else 4)
        contrast = flux[:, line].mean(axis=1) / np.percentile(flux, 20, axis=1)
        rank = 0 if name == "quasar" else int(fits.sum()) // 3
        row = int(np.argsort(np.where(fits, contrast, -np.inf))[-(1 + rank)])
        values = flux[row] / np.median(flux[row])
        found[caption] = (wavelength[inside], (values - values.min()) / np.ptp(values))
    return found


def draw_spectra(axes: Axes) -> None:
    """The kinds of spectra, one above the other."""
    shown = list(reversed(examples().items()))
    for height, (caption, (wavelength, values)) in enumerate(shown):
        axes.plot(wavelength, 0.82 * values + height, color=SHOWN[caption][2], lw=1.1)
    axes.set_yticks([height + 0.3 for height in range(len(shown))], [caption for caption, _ in shown])
    for label in axes.get_yticklabels():
        label.set_color(SHOWN[label.get_text()][2])
    axes.tick_params(axis="y", length=0)
    axes.set(xlabel="vacuum wavelength (Å)", xlim=(6517, 6734), title="What a search must tell apart")
    axes.set_xticks(range(6550, 6701, 50))


def draw_rounds(axes: Axes, rounds: list[dict[str, Any]]) -> None:
    """Purity and completeness by the labels given, as the known truth says and as the control sample estimates."""
    labels = [row["labels"] for row in rounds]
    for name, colour in (("purity", "#c2410c"), ("completeness", "#1d4ed8")):
        axes.plot(
            labels,
            [row[f"{name}_true"] for row in rounds],
            "o-",
            color=colour,
            ms=4,
            lw=1.6,
            label=f"{name}, by the truth",
        )
        last = rounds[-1][name]
        if last and last["value"] is not None:
            error = [[last["value"] - last["low"]], [last["high"] - last["value"]]]
            shift = labels[-1] * (1.03 if name == "purity" else 1.06)
            axes.errorbar(shift, last["value"], error, color=colour, fmt="D", ms=4, capsize=3, lw=1.2)
    axes.plot([], [], "D", color="0.4", ms=4, label="estimate from the\ncontrol sample, 95 %")
    axes.set(ylim=(0, 1.04), xlabel="labels given so far", title="A search of 20,000 simulated spectra")
    axes.set_xlim(left=0)
    axes.legend(loc="center", fontsize=8.5, frameon=False)
    axes.grid(alpha=0.25)


def main(summary: Path) -> None:
    """Write emberline.png beside this script."""
    rounds = json.loads(summary.read_text(encoding="utf-8"))["rounds"]
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.2), width_ratios=(1.15, 1), layout="constrained")
    draw_spectra(left)
    left.spines["left"].set_visible(False)
    draw_rounds(right, rounds)
    figure.savefig(Path(__file__).with_name("emberline.png"), dpi=125, metadata={"Software": None})


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo/summary.json"))
