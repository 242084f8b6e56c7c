"""How many targets are among the rows farthest out along the leading components, by how many of these are looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.label_efficiency.pools import Pool, load
from benchmarks.label_efficiency.units import append, read

from emberline.learn.strategies._features import Subspace, extremeness

__all__ = ["LEADING", "evaluate_all", "hits"]

LEADING = (2, 3, 4, 5, 8)
_TOP = 25
_SAMPLE = 20_000


def evaluate_all(path: Path, pool: str, size: int, seeds: list[int], cache: Path | None = None) -> None:
    """Do what is not in the file yet."""
    for seed in seeds:
        unit = {"pool": pool, "size": size, "seed": seed}
        if not any(record["unit"] == unit for record in read(path)):
            record = {"unit": unit, **hits(load(pool, size, seed, cache), seed)}
            append(path, record)
            print(record, flush=True)


def hits(pool: Pool, seed: int) -> dict[str, Any]:
    """Targets among the 25 rows farthest out, without any spreading; for the first 2, 3, 4, 5 and 8 components."""
    rows = np.arange(len(pool))
    sample = np.random.default_rng(seed).permutation(len(pool))[:_SAMPLE]
    found = {}
    for leading in LEADING:
        scores, _ = extremeness(pool.values, Subspace.fit(pool.values[sample], leading), rows, sample)
        found[str(leading)] = int(pool.is_target[np.argsort(-scores, kind="stable")[:_TOP]].sum())
    return {"rows": len(pool), "targets": int(pool.is_target.sum()), "top": _TOP, "found": found}
