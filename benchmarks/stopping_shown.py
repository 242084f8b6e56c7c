"""The tables and the figure of the stopping benchmark, from its JSON file alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emberline.files import atomic_path

__all__ = ["draw", "tables", "write_document"]

WORTH = "5"
_BEGIN = "<!-- stopping: written by `python benchmarks/stopping.py document` -->"
_COLOURS = {"linear": "#0072b2", "heavy": "#d55e00", "hidden": "#009e73", "networks": "#8c4fb3"}
_MARKS = {"linear": "o", "heavy": "s", "hidden": "^", "networks": "D"}


def _name(entry: dict[str, Any]) -> str:
    """Prevalence, pool and batch of simulated campaigns, or of searches with networks."""
    if "unit" in entry:
        unit = entry["unit"]
        return f"{unit['pool'].removeprefix('sim-')} %, {unit['size']:,}, {unit['batch']}"
    line = entry["line"]
    return f"{100 * line['prevalence']:g} %, {line['pool']:,}, {line['batch']}"


def _batch(entry: dict[str, Any]) -> int:
    return int((entry.get("line") or entry["unit"])["batch"])


def _entries(result: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    simulated = [(entry["kind"], entry) for entry in result["simulated"]]
    simulated.sort(key=lambda one: (one[1]["line"]["prevalence"], one[1]["line"]["pool"], -one[1]["line"]["batch"]))
    return simulated + [("networks", entry) for entry in result["networks"]]


def _rules(entry: dict[str, Any], worth: str = WORTH) -> list[dict[str, Any]]:
    return [campaign["rules"][worth] for campaign in entry["campaigns"]]


def _coverage(campaigns: Sequence[dict[str, Any]]) -> tuple[float, float]:
    """The share of intervals that held, and its standard error with each campaign's intervals taken as one."""
    inside = np.array([one["inside"] for one in campaigns], dtype=float)
    there = np.array([one["intervals"] for one in campaigns], dtype=float)
    share = inside.sum() / there.sum()
    return float(share), float(np.sqrt(((inside - share * there) ** 2).sum()) / there.sum())


def tables(result: dict[str, Any]) -> str:
    """The Markdown tables of the documentation."""
    lines = [
        "| campaigns | prevalence, pool, batch | stopped well | kept | best at | stopped at | next 100 labels inside "
        "| fewer than 5 after |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind, entry in _entries(result):
        rules, batch = _rules(entry), _batch(entry)
        share, error = _coverage(entry["campaigns"])
        kept = [rule["kept"] for rule in rules if rule["kept"] is not None]
        after = [rule["after"] < float(WORTH) for rule in rules if rule["after"] is not None]
        cells = [
            f"{kind}, {len(rules)}",
            _name(entry),
            f"{np.mean([rule['well'] for rule in rules]):.2f}",
            f"{np.mean(kept):.2f}",
            f"{batch * np.mean([rule['best'] for rule in rules]):,.0f}",
            f"{batch * np.mean([rule['stopped'] for rule in rules]):,.0f}",
            f"{share:.3f} ± {error:.3f}",
            f"{np.mean(after):.2f}" if after else "–",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", *_by_worth(result), "", _sum(result)]
    return "\n".join(lines)


def write_document(result: dict[str, Any], document: Path) -> None:
    """Put the tables between their marks in the document."""
    before, begin, rest = document.read_text(encoding="utf-8").partition(_BEGIN)
    _, end, after = rest.partition("<!-- end -->")
    if not begin or not end:
        raise ValueError(f"{document} has no place for the tables: {_BEGIN} … <!-- end -->")
    with atomic_path(document) as temporary:
        temporary.write_text(f"{before}{begin}\n{tables(result)}\n{end}{after}", encoding="utf-8")


def _by_worth(result: dict[str, Any]) -> list[str]:
    worths = list(next(iter(_entries(result)))[1]["campaigns"][0]["rules"])
    lines = [
        "| prevalence, pool, batch | " + " | ".join(f"worth = {worth}" for worth in worths) + " |",
        "|---" * (len(worths) + 1) + "|",
    ]
    names = dict.fromkeys(_name(entry) for kind, entry in _entries(result) if kind != "networks")
    for name in names:
        entries = [entry for kind, entry in _entries(result) if kind != "networks" and _name(entry) == name]
        cells = [np.mean([rule["well"] for entry in entries for rule in _rules(entry, worth)]) for worth in worths]
        lines.append(f"| {name} | " + " | ".join(f"{cell:.2f}" for cell in cells) + " |")
    return lines


def _sum(result: dict[str, Any]) -> str:
    every = [campaign for kind, entry in _entries(result) if kind != "networks" for campaign in entry["campaigns"]]
    share, error = _coverage(every)
    rules = [campaign["rules"][WORTH] for campaign in every]
    after = [rule["after"] < float(WORTH) for rule in rules if rule["after"] is not None]
    return (
        f"All {len(every):,} simulated campaigns: {sum(one['intervals'] for one in every):,} intervals, "
        f"{share:.3f} ± {error:.3f} held; stopped well {np.mean([rule['well'] for rule in rules]):.3f}, "
        f"before the best round {np.mean([rule['early'] for rule in rules]):.3f}, "
        f"never {np.mean([rule['never'] for rule in rules]):.3f}; "
        f"fewer than {WORTH} in the 100 labels after the stop {np.mean(after):.3f}."
    )


# The figure -------------------------------------------------------------------------------------------------------


def draw(result: dict[str, Any], out: Path) -> Path:
    """A search and its intervals, what campaigns kept by the rule, and how many intervals held."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "emberline"
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(12.5, 4.6), layout="constrained", width_ratios=(1.1, 1, 1))
    _one(axes[0], result)
    _kept(axes[1], result)
    _held(axes[2], result)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, metadata={"Date": None, "Creator": None})
    plt.close(figure)
    return out


def _one(axis: Any, result: dict[str, Any]) -> None:
    """The first search with networks, or the first simulated campaign where there is none."""
    simulated = sorted(result["simulated"], key=lambda entry: abs(entry["line"]["prevalence"] - 0.005))
    entry = (result["networks"] or simulated)[0]
    steps = entry["examples"][0] if "examples" in entry else entry["example"]
    labels = np.cumsum([step["labels"] for step in steps])
    found = [100 * step["targets"] / step["labels"] for step in steps]
    axis.plot(labels, found, "k.-", label="found in the last 100 labels")
    middle = labels[:-1] + np.diff(labels)
    value, low, high = (np.array([step[key] for step in steps[:-1]]) for key in ("value", "low", "high"))
    axis.errorbar(
        middle + 12, value, [value - low, high - value], fmt="D", color=_COLOURS["networks"], ms=4, capsize=3,
        label="expected before, with the 95 % interval",
    )  # fmt: skip
    axis.axhline(float(WORTH), color="0.5", ls="--", lw=1, label=f"worth {WORTH}")
    stopped = entry["campaigns"][0]["rules"][WORTH]
    if not stopped["never"]:
        at = labels[stopped["stopped"] - 1]
        axis.axvline(at, color="#c1440e", lw=1)
        axis.text(at - 8, axis.get_ylim()[1], "stop", color="#c1440e", ha="right", va="top")
    axis.set(title=f"One search: {_name(entry)} a round", xlabel="query labels", ylabel="new targets per 100 labels")
    axis.set_ylim(0)
    axis.legend(fontsize=7, loc="upper right")


def _places(result: dict[str, Any]) -> list[tuple[float, str, dict[str, Any]]]:
    """Where each entry stands: one row a size, its kinds a little apart."""
    rows: dict[tuple[bool, str], int] = {}
    placed = []
    for kind, entry in _entries(result):
        row = rows.setdefault((kind == "networks", _name(entry)), len(rows))
        shift = {"linear": -0.22, "heavy": 0.0, "hidden": 0.22, "networks": 0.0}[kind]
        placed.append((row + shift, kind, entry))
    return placed


def _axis_of_sizes(axis: Any, result: dict[str, Any]) -> None:
    names = {}
    for place, kind, entry in _places(result):
        names[round(place)] = _name(entry) + ("\n(networks)" if kind == "networks" else "")
    axis.set_yticks(list(names), list(names.values()), fontsize=8)
    axis.invert_yaxis()


def _kept(axis: Any, result: dict[str, Any]) -> None:
    """Of what a campaign has at its best point, the share that it has where the rule stopped it: median, 10 to 90 %."""
    named = set()
    for place, kind, entry in _places(result):
        kept = [rule["kept"] for rule in _rules(entry) if rule["kept"] is not None]
        tenth, middle, most = np.quantile(kept, [0.1, 0.5, 0.9])
        axis.plot([tenth, most], [place, place], color=_COLOURS[kind], lw=1.5)
        axis.plot(middle, place, _MARKS[kind], color=_COLOURS[kind], ms=5, label=None if kind in named else kind)
        named.add(kind)
    axis.axvline(0.9, color="0.5", ls="--", lw=1)
    axis.set(title="Kept of the best net gain", xlabel="median, and the middle 80 % of campaigns", xlim=(None, 1.01))
    _axis_of_sizes(axis, result)
    axis.legend(fontsize=7, loc="lower left")


def _held(axis: Any, result: dict[str, Any]) -> None:
    """The share of intervals that held the yield of the next 100 labels, with two standard errors."""
    for place, kind, entry in _places(result):
        share, error = _coverage(entry["campaigns"])
        axis.errorbar(share, place, xerr=2 * error, fmt=_MARKS[kind], color=_COLOURS[kind], ms=5, capsize=2)
    axis.axvline(0.95, color="0.5", ls="--", lw=1)
    axis.set(title="Intervals that held the next 100 labels", xlabel="share, ± 2 standard errors", xlim=(None, 1.01))
    _axis_of_sizes(axis, result)
