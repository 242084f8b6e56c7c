"""The tables, from the JSON lines alone."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.label_efficiency.measures import calibration_error, merge
from benchmarks.label_efficiency.units import Unit, read

__all__ = [
    "FEWEST",
    "Setting",
    "at_labels",
    "calibration_of",
    "calibration_table",
    "contestant_of",
    "entrant",
    "groups",
    "in_order",
    "interval",
    "labels_needed",
    "tables",
]

_GOAL = 0.95
_LARGE = 2000
FEWEST = 3
"""Seeds for which an interval is given; the numbers of fewer stand by themselves."""


@dataclasses.dataclass(frozen=True, order=True)
class Setting:
    """What is compared within one table: everything of a unit but contestant, batch, rounds and seed."""

    pool: str
    size: int
    noise: float
    start: str

    @classmethod
    def of(cls, unit: Unit) -> Setting:
        """The setting that a unit belongs to."""
        return cls(*(getattr(unit, field.name) for field in dataclasses.fields(cls)))

    def __str__(self) -> str:
        noise = f", {self.noise:.0%} of the answers wrong" if self.noise else ""
        start = "5 targets and 45 others to start from" if self.start == "few" else "no labels to start from"
        return f"{self.pool}, {self.size:,} spectra, {start}{noise}"


Record = dict[str, Any]


def entrant(unit: Unit) -> str:
    """How a contestant with its batch is called."""
    return f"{unit.contestant}, {unit.batch}"


def contestant_of(name: str) -> str:
    """The contestant of an entrant."""
    return name.partition(",")[0]


def in_order(names: Iterable[str]) -> list[str]:
    """Entrants in the order of the contestants."""
    from benchmarks.label_efficiency.contestants import CONTESTANTS

    return sorted(names, key=lambda name: (list(CONTESTANTS).index(contestant_of(name)), name))


def groups(folder: Path) -> dict[Setting, dict[str, list[Record]]]:
    """All records of a folder by setting and entrant, those of a unit that was run twice once; by seed.

    An entrant is a contestant with the number of labels that it asks for in a round, as `entrant` writes it.
    """
    found: dict[Unit, Record] = {}
    for path in sorted(folder.glob("*.jsonl")):
        if path.stem not in ("trust", "extremes"):
            found.update((Unit(**record["unit"]), record) for record in read(path))
    result: dict[Setting, dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for unit, record in sorted(found.items(), key=lambda item: item[0]):
        result[Setting.of(unit)][entrant(unit)].append(record)
    return {setting: dict(result[setting]) for setting in sorted(result)}


def interval(values: Iterable[float]) -> tuple[float, float, float]:
    """The mean and its 95 % interval by Student's t over seeds; the ends are NaN for a single one."""
    from scipy.stats import t

    numbers = np.asarray(list(values), float)
    mean = float(numbers.mean())
    if len(numbers) < 2:
        return mean, float("nan"), float("nan")
    half = float(t.ppf(0.975, len(numbers) - 1) * numbers.std(ddof=1) / np.sqrt(len(numbers)))
    return mean, mean - half, mean + half


def labels_needed(curve: list[dict[str, Any]], goal: float = _GOAL) -> int | None:
    """The labels at which the completeness first reaches `goal`; None when it does not."""
    return next((point["labels"] for point in curve if point["completeness"] >= goal), None)


def tables(folder: Path) -> str:
    """Everything that was measured, as Markdown."""
    parts = [_comparison(setting, by_name) for setting, by_name in groups(folder).items()]
    parts += [_extremes(folder / "extremes.jsonl"), calibration_table(folder), _trust(folder / "trust.jsonl")]
    return "\n\n".join(part for part in parts if part)


def _comparison(setting: Setting, by_name: dict[str, list[Record]]) -> str:
    names = in_order(by_name)
    if setting.start == "zero":
        rows = [["contestant, batch", "seeds", "label that showed the first target", "targets found"]]
        rows += [[name, str(len(by_name[name])), *_first(by_name[name])] for name in names]
    else:
        labels = _shown([{point["labels"] for r in some for point in r["curve"]} for some in by_name.values()])
        rows = [
            ["contestant, batch", "seeds", *(f"{count} labels" for count in labels), "to 95 %", "found", "s a round"]
        ]
        rows += [[name, str(len(by_name[name])), *_row(by_name[name], labels)] for name in names]
    return f"### {setting}\n\n" + _markdown(rows)


def _first(records: list[Record]) -> list[str]:
    """By seed: the first target's label, and how many targets the labels had shown in the end."""
    firsts = [record["first_target"] or f"none in {record['curve'][-1]['labels']}" for record in records]
    return [", ".join(map(str, firsts)), ", ".join(f"{r['curve'][-1]['found']} of {r['targets']}" for r in records)]


def _shown(reached: list[set[int]]) -> list[int]:
    """Three numbers of labels at which completeness is given: early, half-way, late, of those nearly all reached."""
    every = sorted(set().union(*reached))
    most = [count for count in every if sum(count in some for some in reached) > 0.85 * len(reached)] or every
    return sorted({most[min(1, len(most) - 1)], most[len(most) // 2], most[-1]})


def at_labels(records: list[Record], labels: int, key: str) -> list[float]:
    """What the searches had reached at a number of labels, as far as they went."""
    return [point[key] for record in records for point in record["curve"] if point["labels"] == labels]


def _row(records: list[Record], labels: list[int]) -> list[str]:
    reached = [_spread(at_labels(records, count, "completeness")) for count in labels]
    needed = [labels_needed(record["curve"]) or f"> {record['curve'][-1]['labels']}" for record in records]
    found = np.mean([record["curve"][-1]["found"] / record["targets"] for record in records])
    seconds = np.median([point["processor"] for record in records for point in record["curve"]])
    last = max(record["curve"][-1]["labels"] for record in records)
    return [*reached, ", ".join(map(str, needed)), f"{found:.0%} in {last}", f"{seconds:.2g}"]


def _spread(values: list[float]) -> str:
    if not values:
        return "not run"
    if len(values) < FEWEST:
        return ", ".join(f"{value:.3f}" for value in values)
    mean, low, high = interval(values)
    return f"{mean:.3f} ({max(low, 0):.3f} to {min(high, 1):.3f})"


def calibration_of(folder: Path) -> dict[str, tuple[dict[str, Any], int]]:
    """The reliability bins of each contestant, all pools with few labels and true answers together; how many runs."""
    tables: dict[str, list[Any]] = defaultdict(list)
    for setting, by_name in groups(folder).items():
        if setting.noise == 0 and setting.start == "few":
            for name, records in by_name.items():
                tables[contestant_of(name)] += [record["calibration"] for record in records if record["calibration"]]
    return {name: (merge(found), len(found)) for name, found in tables.items() if found}


def _extremes(path: Path) -> str:
    records = list(read(path))
    if not records:
        return ""
    leading = list(records[0]["found"])
    rows = [["pool", "targets, by seed", *(f"first {count} components" for count in leading)]]
    for pool in dict.fromkeys((record["unit"]["pool"], record["rows"]) for record in records):
        mine = [record for record in records if (record["unit"]["pool"], record["rows"]) == pool]
        found = [", ".join(str(record["found"][count]) for record in mine) for count in leading]
        rows.append([f"{pool[0]}, {pool[1]:,} spectra", ", ".join(str(record["targets"]) for record in mine), *found])
    return f"### Targets among the {records[0]['top']} spectra farthest out\n\n{_markdown(rows)}"


def _trust(path: Path) -> str:
    records = [record for record in read(path) if record["unit"]["size"] >= _LARGE]
    if not records:
        return ""
    rows = [["class left out", "AUROC of the distance", "of the disagreement", "flagged", "called a target"]]
    for kind in records[0]["flagged"]:
        scores = [_spread([r["auroc"][name][kind] for r in records]) for name in ("distance", "disagreement")]
        shares = [f"{np.mean([r[name][kind] for r in records]):.0%}" for name in ("flagged", "called_target")]
        rows.append([kind, *scores, *shares])
    false = np.mean([r["false_flags"] for r in records])
    targets = np.mean([r["false_flags_targets"] for r in records])
    sizes = sorted({record["unit"]["size"] for record in records})
    return (
        f"### Classes left out of training, {len(records)} surveys of {sizes[0]:,} spectra\n\n{_markdown(rows)}\n\n"
        f"False flags among the classes taught: {false:.1%}; among targets {targets:.1%}."
    )


def _markdown(rows: list[list[str]]) -> str:
    head, *body = ("| " + " | ".join(row) + " |" for row in rows)
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])


def calibration_table(folder: Path) -> str:
    """The calibration error of each contestant that states probabilities, over all rows and where it matters."""
    rows = [["contestant", "runs", "error over all", "error from 0.05 up"]]
    for name, (bins, runs) in calibration_of(folder).items():
        errors = (calibration_error(bins), calibration_error(bins, first=1))
        rows.append([name, str(runs), *(f"{value:.4f}" for value in errors)])
    return "### Probabilities of being a target, spectra without a label\n\n" + _markdown(rows) if len(rows) > 1 else ""
