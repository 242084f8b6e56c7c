"""The tables and the plot of ``docs/explanation/estimates.md``, from ``benchmarks/results/estimates.json``."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from emberline.files import atomic_path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs/explanation/estimates.md"
PICTURE = ROOT / "docs/_static/estimates/coverage.svg"
LABELS = {
    "purity": "purity",
    "completeness": "completeness, scores believed",
    "completeness_from_draw": "completeness, draw alone",
}
AIMS = {"nothing": ("purity", "completeness_from_draw"), "scores": ("purity", "completeness")}
COLOURS = {"purity": "#0072b2", "completeness": "#d55e00", "completeness_from_draw": "#555555"}


def uncertainty(share: float, n: int) -> float:
    """The Monte-Carlo standard error of a share of n campaigns, by Agresti & Coull: two of either sort are added."""
    p = (share * n + 2) / (n + 4)
    return math.sqrt(p * (1 - p) / (n + 4))


def markdown(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    names = list(head)
    lines = [names, ["---"] * len(names), *map(list, rows)]
    return (
        "\n".join("| " + " | ".join(line) + " |" for line in lines).replace("| --- ", "|---").replace("--- |", "---|")
    )


def percent(value: float) -> str:
    """A prevalence as people write it."""
    return f"{100 * value:g} %"


def coverage_table(cells: list[dict[str, Any]]) -> str:
    """How often the intervals held the truth."""
    rows = []
    for cell in cells:
        names = AIMS[cell["draw"]] if cell["kind"] == "linear" else [*LABELS]
        for name in names:
            row = cell["rows"][name]
            n = int(row["campaigns"])
            covered = f"{row['coverage']:.3f} ± {uncertainty(row['coverage'], n):.3f}"
            numbers = [f"{row[key]:.3f}" for key in ("above", "below", "width", "error", "true")]
            rows.append([cell["kind"], percent(cell["prevalence"]), str(n), LABELS[name], covered, *numbers])
    head = (
        "targets",
        "prevalence",
        "campaigns",
        "estimate",
        "coverage",
        "truth above",
        "below",
        "width",
        "error",
        "truth",
    )
    return markdown(head, rows)


def allocation_table(cells: list[dict[str, Any]]) -> str:
    """Our widths over those of the best allocation that knew the truth."""
    rows = []
    for draw, aim in AIMS.items():
        for cell in cells:
            found = cell[draw]
            both = [f"{found['ours'][name]:.3f} / {found['both']['width'][name]:.3f}" for name in aim]
            ratios = []
            for goal in ("both", *aim):
                ratio, error = found[goal]["ratio"], found[goal]["error"]
                ratios.append("(exact)" if ratio is None else f"{ratio:.2f} ± {error or 0:.2f}")
            rows.append([f"`{draw}`", percent(cell["prevalence"]), *both, *ratios])
    head = (
        "`assume`", "prevalence", "purity: ours / best", "completeness: ours / best", "sum: ratio",
        "best for purity alone", "best for completeness alone",
    )  # fmt: skip
    return markdown(head, rows)


def errors_table(cells: list[dict[str, Any]]) -> str:
    """Coverage and width when answers are wrong, with the model of them and without."""
    rows = []
    for cell in cells:
        numbers = []
        for name in AIMS["nothing"]:
            row = cell["rows"][name]
            error = uncertainty(row["coverage"], int(row["campaigns"]))
            numbers += [f"{row['coverage']:.2f} ± {error:.2f}", f"{row['width']:.3f}"]
        model = "modelled" if cell["model"] else "taken as true"
        rows.append([percent(cell["wrong"]), percent(cell["prevalence"]), model, *numbers])
    head = "wrong answers", "prevalence", "answers", "purity covers", "width", "completeness covers", "width"
    return markdown(head, rows)


def labels_table(cells: list[dict[str, Any]]) -> str:
    """What so many control labels buy."""
    rows = []
    for cell in cells:
        plain, believed = cell["rows"]["nothing"], cell["rows"]["scores"]
        numbers = (
            plain["purity"]["width"], plain["completeness_from_draw"]["low"], plain["completeness_from_draw"]["width"],
            believed["purity"]["width"], believed["completeness"]["low"], believed["completeness"]["width"],
        )  # fmt: skip
        rows.append([percent(cell["prevalence"]), f"{cell['labels']:,}", *(f"{number:.3f}" for number in numbers)])
    head = (
        "prevalence", "control labels", "purity: width", "completeness at least", "width",
        "with `scores`: purity", "completeness at least", "width",
    )  # fmt: skip
    return markdown(head, rows)


TABLES = {
    "coverage": coverage_table, "allocation": allocation_table, "errors": errors_table, "labels": labels_table,
}  # fmt: skip


def filled(text: str, result: dict[str, Any]) -> str:
    """The document with its tables written again, each between its two comments."""
    for name, make in TABLES.items():
        if name in result:
            pattern = re.compile(rf"(<!-- {name}: [^\n]*-->\n).*?(\n<!-- end -->)", re.DOTALL)
            table = make(result[name])
            text, count = pattern.subn(lambda match, table=table: f"{match[1]}\n{table}\n{match[2]}", text)
            if count != 1:
                raise SystemExit(f"the document has {count} places for the table {name!r}; it should have one")
    return text


def write_document(results: Path, document: Path = DOCUMENT, picture: Path = PICTURE) -> None:
    """Write the tables into the document, and the plot beside it."""
    result = json.loads(results.read_text(encoding="utf-8"))
    text = filled(document.read_text(encoding="utf-8"), result)
    with atomic_path(document) as temporary:
        temporary.write_text(text, encoding="utf-8")
    if "coverage" in result:
        picture.parent.mkdir(parents=True, exist_ok=True)
        plot(result["coverage"], picture)


def plot(cells: list[dict[str, Any]], path: Path) -> None:
    """Coverage with its Monte-Carlo error, and width, against prevalence."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "emberline"
    import matplotlib.pyplot as plt

    kinds = list(dict.fromkeys(cell["kind"] for cell in cells))
    size = max(2.6 * len(kinds) + 0.6, 5.0), 5.2
    options: dict[str, Any] = {"sharex": True, "sharey": "row", "layout": "constrained", "squeeze": False}
    figure, axes = plt.subplots(2, len(kinds), figsize=size, **options)
    for column, kind in enumerate(kinds):
        for place, (name, colour) in enumerate(COLOURS.items()):
            chosen = [
                cell for cell in cells
                if cell["kind"] == kind and (kind != "linear" or name in AIMS[cell["draw"]])
                and not (kind == "linear" and name == "purity" and cell["draw"] == "scores")
            ]  # fmt: skip
            x = [100 * cell["prevalence"] * 1.06 ** (place - 1) for cell in chosen]
            rows = [cell["rows"][name] for cell in chosen]
            bars = [uncertainty(row["coverage"], int(row["campaigns"])) for row in rows]
            axes[0, column].errorbar(x, [row["coverage"] for row in rows], bars, fmt="o", ms=4, color=colour)
            axes[1, column].plot(x, [row["width"] for row in rows], "o-", ms=4, color=colour, label=LABELS[name])
        axes[0, column].axhspan(0.93, 0.97, color="#dddddd", zorder=0)
        axes[0, column].set(title=kind, xscale="log")
        axes[1, column].set(xlabel="Targets in the pool / %", ylim=(0, 1))
        axes[1, column].set_xticks([100 * cell["prevalence"] for cell in chosen], minor=False)
        axes[1, column].get_xaxis().set_major_formatter("{x:g}")
        axes[1, column].minorticks_off()
    axes[0, 0].set_ylabel("Coverage of 95 % intervals")
    axes[1, 0].set_ylabel("Mean width")
    figure.legend(
        *axes[1, 0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=3 if len(kinds) > 2 else 1,
        fontsize=8,
    )
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
