"""One search from beginning to end, and the file of searches that are done."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from benchmarks.label_efficiency.contestants import contestant
from benchmarks.label_efficiency.interface import Contestant, Known
from benchmarks.label_efficiency.measures import average_precision, calibration, completeness_at, ranking
from benchmarks.label_efficiency.pools import BAD, CLASSES, Pool
from benchmarks.label_efficiency.pools import load as load_pool
from numpy.typing import NDArray

from emberline._version import __version__

__all__ = ["Unit", "append", "read", "run"]

_START_TARGETS, _START_OTHERS = 5, 45
_PURITY = 0.95


@dataclasses.dataclass(frozen=True, order=True)
class Unit:
    """One cell of the grid, for one seed.

    Attributes
    ----------
    pool, contestant : str
    size : int
        Rows of the pool.
    noise : float
        The share of the oracle's answers that are wrong.
    start : "few" or "zero"
        Five targets and 45 other spectra, the same for all contestants, or no labels at all.
    batch, rounds : int
    seed : int
        Of the pool, the start, the oracle's errors and the contestant.
    """

    pool: str
    contestant: str
    size: int
    noise: float = 0.0
    start: Literal["few", "zero"] = "few"
    batch: int = 50
    rounds: int = 10
    seed: int = 0


class Oracle:
    """Known truth; a share of the answers is wrong, always the same ones."""

    def __init__(self, pool: Pool, noise: float, seed: int) -> None:
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(77,)))
        wrong = (rng.random(len(pool)) < noise) & (pool.truth != BAD)
        self._answers = np.where(wrong, len(CLASSES) - 1 - pool.truth, pool.truth)

    def __call__(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return self._answers[rows]


def _start(pool: Pool, unit: Unit) -> NDArray[np.int64]:
    """The labels that every contestant begins with."""
    if unit.start == "zero":
        return np.empty(0, np.int64)
    rng = np.random.default_rng(np.random.SeedSequence(unit.seed, spawn_key=(78,)))
    targets = rng.permutation(np.flatnonzero(pool.is_target))[:_START_TARGETS]
    others = rng.permutation(np.flatnonzero(pool.truth == 0))[:_START_OTHERS]
    return np.concatenate([targets, others])


def run(unit: Unit, cache: Path | None = None) -> dict[str, Any]:
    """Search, and measure after each round.

    Returns
    -------
    dict
        ``unit``; ``curve``, a list with labels, targets found, completeness, average precision and seconds of each
        round; ``calibration`` of the last round's probabilities on what was not labelled; what ran it.
    """
    pool = load_pool(unit.pool, unit.size, unit.seed, cache)
    oracle = Oracle(pool, unit.noise, unit.seed)
    rows = _start(pool, unit)
    known = Known(rows, oracle(rows))
    player, curve = contestant(unit.contestant, pool, unit.seed), []
    first = None
    for turn in range(unit.rounds + 1):
        begun, worked = time.perf_counter(), time.process_time()
        player.begin(known)
        chosen = player.choose(known, unit.batch) if turn < unit.rounds else np.empty(0, np.int64)
        seconds, work = time.perf_counter() - begun, time.process_time() - worked
        curve.append({**_measured(pool, player, known), "seconds": round(seconds, 3), "processor": round(work, 3)})
        if first is None and pool.is_target[chosen].any():
            first = len(known.rows) + int(np.flatnonzero(pool.is_target[chosen])[0]) + 1
        known = Known(np.append(known.rows, chosen), np.append(known.answers, oracle(chosen)))
    return {
        "unit": dataclasses.asdict(unit),
        "rows": len(pool),
        "targets": int(pool.is_target.sum()),
        "first_target": first,
        "curve": curve,
        "calibration": _calibrated(pool, player, known),
        "made_by": {"emberline": __version__, "python": platform.python_version(), "numpy": np.__version__},
    }


def _measured(pool: Pool, player: Contestant, known: Known) -> dict[str, Any]:
    placed = ranking(player.scores(), known.rows, known.answers)
    rest = np.ones(len(pool), bool)
    rest[known.rows] = False
    unseen = pool.is_target[rest]
    return {
        "labels": len(known.rows),
        "found": int(pool.is_target[known.rows].sum()),
        "completeness": round(completeness_at(_PURITY, placed, pool.is_target), 5),
        "average_precision": round(average_precision(placed, pool.is_target), 5),
        "unseen_precision": round(average_precision(player.scores()[rest], unseen), 5) if unseen.any() else None,
    }


def _calibrated(pool: Pool, player: Contestant, known: Known) -> dict[str, list[float]] | None:
    chance = player.probabilities()
    if chance is None:
        return None
    rest = np.ones(len(pool), bool)
    rest[known.rows] = False
    return calibration(chance[rest], pool.is_target[rest])


# The file of what is done -----------------------------------------------------------------------------------------


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a file of JSON lines; a line that a kill left unfinished is passed over."""
    if not path.is_file():
        return
    with open(path, encoding="utf-8") as stream:
        for line in stream:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict) and "unit" in record:
                yield record


def append(path: Path, record: dict[str, Any]) -> None:
    """Add a record as one line in one write, after whatever a kill may have left unfinished."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab+") as stream:
        end = stream.seek(0, os.SEEK_END)
        if end:
            stream.seek(end - 1)
        torn = bool(end) and stream.read(1) != b"\n"
        stream.write((("\n" if torn else "") + json.dumps(record) + "\n").encode())
        stream.flush()
        os.fsync(stream.fileno())
