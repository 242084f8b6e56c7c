"""Whether the stopping rule stops where it should: ``python benchmarks/stopping.py COMMAND``.

``run`` simulates campaigns (the `World` of ``estimates.py``: no network is trained, scores are badly calibrated and get
better round by round), ``networks`` runs searches with Emberline's own networks on simulated spectra; both write into
one JSON file. ``table``, ``plot`` and ``document`` read that file.

Each target that a label finds counts 1, each label costs ``worth / 100``. The best point is the round after which
targets less costs are most. A campaign stopped well when it has at least nine tenths of what it would have there.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberline.files import write_text
from emberline.learn.stopping import Gain, Yield, gain_of_next, highest_first, worth_stopping, yield_of_round
from emberline.learn.strategies import Query, strategy
from estimates import KINDS, Plan, World

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "stopping.json"
DOCUMENT = HERE.parent / "docs" / "explanation" / "estimates.md"
FIGURE = HERE.parent / "docs" / "_static" / "estimates" / "stopping.svg"
BASE = 20_261_120
"""Of the seeds of the table; the rule was fitted on others (501)."""

WORTHS = (2.0, 5.0, 10.0)
WORTH = 5.0
_SHARE = 0.1
_AFTER = 4
_KEPT = 600


@dataclasses.dataclass(frozen=True)
class Line:
    """Campaigns of one size: prevalence, spectra in the pool, queries a round, and how many rounds at most."""

    prevalence: float
    pool: int
    batch: int
    rounds: int


LINES = (
    Line(0.001, 50_000, 100, 12),
    Line(0.001, 50_000, 25, 40),
    Line(0.001, 200_000, 100, 20),
    Line(0.005, 50_000, 100, 20),
    Line(0.005, 200_000, 100, 35),
    Line(0.01, 50_000, 100, 25),
    Line(0.01, 200_000, 100, 60),
)


@dataclasses.dataclass(frozen=True)
class Step:
    """One round: its labels and new targets, and what was then expected of the next 100 labels."""

    labels: int
    targets: int
    gain: Gain


# Campaigns --------------------------------------------------------------------------------------------------------


def simulated(line: Line, kind: str, rng: np.random.Generator) -> tuple[int, Iterator[Step]]:
    """How many targets there are, and the rounds of one campaign."""
    world = _Part(Plan(line.prevalence, kind, n=line.pool), rng)
    return int(world.truth.sum()), _rounds(world, line, rng)


class _Part(World):
    """A pool without the 70 % whose lasting evidence is lowest: no strategy comes near them. Every target stays."""

    def __init__(self, plan: Plan, rng: np.random.Generator) -> None:
        super().__init__(plan, rng)
        kept = (self.lasting > np.quantile(self.lasting, 0.7)) | (self.truth == 1)
        self.truth, self.lasting, self.seen = self.truth[kept], self.lasting[kept], self.seen[kept]
        self.plan = dataclasses.replace(plan, n=int(kept.sum()))


def _rounds(world: World, line: Line, rng: np.random.Generator) -> Iterator[Step]:
    available, history, seek = np.ones(world.plan.n, dtype=bool), [], strategy("seek")
    # All that `seek` can choose: it takes the most probable and the most doubtful, and both are here.
    near = min(max(4000, 4 * int(world.truth.sum())), world.plan.n)
    for number in range(line.rounds):
        score = np.where(available, world.scores(min((number + 1) * line.batch / 500, 1.0)), -1.0)
        rows = np.argpartition(score, -near)[-near:]
        rows = rows[available[rows]]
        chance, free = score[rows], np.ones(len(rows), dtype=bool)
        query = Query(
            objects=rows, available=free, batch=line.batch, rng=rng, targets=(1,),
            probabilities=np.stack([1 - chance, chance], axis=1), embeddings=chance[:, None],
        )  # fmt: skip
        chosen = seek.select(query)
        target = world.truth[rows[chosen]] == 1
        history.append(yield_of_round(highest_first(chance, free), chance[chosen], chance[chosen], target))
        free[chosen] = available[rows[chosen]] = False
        gain = gain_of_next(history, highest_first(chance, free))
        assert gain is not None
        yield Step(len(chosen), int(target.sum()), gain)


def searched(unit: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """A search with networks from five targets and 45 other spectra: all that the rule sees of it, round by round."""
    sys.path.append(str(HERE.parent))
    from benchmarks.label_efficiency.contestants import contestant
    from benchmarks.label_efficiency.interface import Known
    from benchmarks.label_efficiency.pools import load

    pool = load(unit["pool"], unit["size"], seed)
    chance = np.random.default_rng([seed, 78])
    start = [chance.permutation(np.flatnonzero(pool.truth == one))[:count] for one, count in ((1, 5), (0, 45))]
    rows, player, rounds = np.concatenate(start), contestant("seek", pool, seed), []
    available = np.ones(len(pool), dtype=bool)
    for _ in range(unit["rounds"]):
        available[rows] = False
        known = Known(rows, pool.truth[rows])
        player.begin(known)
        score = player.probabilities()
        assert score is not None
        chosen = player.choose(known, unit["batch"])
        could, target = highest_first(score, available, pool.objects, rows), pool.is_target[chosen]
        told = yield_of_round(could, score[chosen], score[chosen], target)
        available[chosen] = False
        rows = np.append(rows, chosen)
        left = highest_first(score, available, pool.objects, rows)[:_KEPT]
        rounds.append({"yield": dataclasses.asdict(told), "left": [float(f"{p:.3g}") for p in left]})
    return {"seed": seed, "targets": int(pool.is_target.sum()), "rounds": rounds}


def told_again(trace: Mapping[str, Any]) -> list[Step]:
    """The steps of a search with networks, with today's rule."""
    history, steps = [], []
    for one in trace["rounds"]:
        history.append(Yield(**one["yield"]))
        gain = gain_of_next(history, np.array(one["left"]))
        assert gain is not None
        steps.append(Step(history[-1].labels, history[-1].targets, gain))
    return steps


def followed(steps: Iterator[Step]) -> list[Step]:
    """The rounds to the last one that matters.

    That is four rounds after every rule would have stopped, if these brought less than the cheapest label is worth.
    """
    taken: list[Step] = []
    stopped: dict[float, int] = {}
    for step in steps:
        taken.append(step)
        for worth in WORTHS:
            if worth not in stopped and worth_stopping(step.gain, worth):
                stopped[worth] = len(taken)
        late = taken[-_AFTER:]
        brought = 100 * sum(one.targets for one in late) / sum(one.labels for one in late)
        if len(stopped) < len(WORTHS) or len(taken) < max(stopped.values()) + _AFTER:
            continue
        if brought < min(WORTHS) / 2:
            break
    return taken


def outcome(total: int, steps: Sequence[Step]) -> dict[str, Any]:
    """One campaign as the file has it: targets, what each round found, and what the rules made of it."""
    found = np.cumsum([0, *(step.targets for step in steps)])
    labels = np.cumsum([0, *(step.labels for step in steps)])
    rules = {f"{worth:g}": _judged(worth, found, labels, steps) for worth in WORTHS}
    seen = min(rules[f"{WORTH:g}"]["stopped"] + 1, len(steps) - 1)
    inside = [_brought(steps, i) is not None and _inside(steps, i) for i in range(seen)]
    there = [_brought(steps, i) is not None for i in range(seen)]
    return {
        "targets": total,
        "found": found[1:].tolist(),
        "intervals": int(sum(there)),
        "inside": int(sum(inside)),
        "rules": rules,
    }


def _brought(steps: Sequence[Step], last: int) -> float | None:
    """New targets of the 100 labels after round `last`; None where fewer are there."""
    labels = targets = 0
    for step in steps[last + 1 :]:
        labels, targets = labels + step.labels, targets + step.targets
        if labels >= 100:
            return 100 * targets / labels
    return None


def _inside(steps: Sequence[Step], last: int) -> bool:
    gain, brought = steps[last].gain, _brought(steps, last)
    return brought is not None and gain.low <= brought <= gain.high


def _judged(worth: float, found: NDArray[np.int64], labels: NDArray[np.int64], steps: Sequence[Step]) -> dict[str, Any]:
    net = found - worth * labels / 100
    best = int(np.argmax(net))
    stops = [number for number, step in enumerate(steps, 1) if worth_stopping(step.gain, worth)]
    at = stops[0] if stops else len(steps)
    return {
        "best": best,
        "stopped": at,
        "never": not stops,
        "kept": round(float(net[at] / net[best]), 4) if net[best] > 0 else None,
        "well": bool(net[at] >= net[best] - _SHARE * abs(net[best])),
        "early": at < best,
        "after": _brought(steps, at - 1),
    }


def example(steps: Sequence[Step]) -> list[dict[str, float]]:
    """One campaign with its intervals, for the figure."""
    return [
        {"labels": step.labels, "targets": step.targets, **{k: round(v, 2) for k, v in _numbers(step.gain).items()}}
        for step in steps
    ]


def _numbers(gain: Gain) -> dict[str, float]:
    return {key: float(value) for key, value in dataclasses.asdict(gain).items() if key in _SHOWN and value is not None}


_SHOWN = ("value", "low", "high", "bound")


# The file ---------------------------------------------------------------------------------------------------------


def _load(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"simulated": [], "networks": []}


def _save(path: Path, result: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(result, separators=(",", ":")).replace('{"targets"', '\n{"targets"') + "\n")


def run(path: Path, campaigns: int, base: int, kinds: Sequence[str], lines: Sequence[Line]) -> None:
    """Simulate what the file does not have yet, line by line; what is interrupted goes on."""
    result = _load(path)
    for line in lines:
        for kind in kinds:
            name = {"kind": kind, "line": dataclasses.asdict(line), "base": base}
            entry = next((one for one in result["simulated"] if name.items() <= one.items()), None)
            if entry is None:
                entry = {**name, "campaigns": [], "example": []}
                result["simulated"].append(entry)
            begun = time.process_time()
            for number in range(len(entry["campaigns"]), campaigns):
                seed = [base, int(1e5 * line.prevalence), line.pool, line.batch, list(KINDS).index(kind), number]
                total, steps = simulated(line, kind, np.random.default_rng(seed))
                taken = followed(steps)
                entry["campaigns"].append(outcome(total, taken))
                entry["example"] = entry["example"] or example(taken)
                if number % 10 == 9 or number == campaigns - 1:
                    _save(path, result)
            print(f"{kind} {line}: {time.process_time() - begun:.0f} s", file=sys.stderr, flush=True)


def networks(path: Path, unit: dict[str, Any], seeds: Sequence[int]) -> None:
    """Search with networks, seed by seed, those that the file does not have yet; then judge all of them again."""
    result = _load(path)
    entry = next((one for one in result["networks"] if one["unit"] == unit), None)
    if entry is None:
        entry = {"unit": unit, "traces": []}
        result["networks"].append(entry)
    done = {trace["seed"] for trace in entry["traces"]}
    for seed in seeds:
        if seed not in done:
            entry["traces"].append(searched(unit, seed))
            _judge(entry)
            _save(path, result)
            print(unit["pool"], seed, entry["campaigns"][-1]["found"], file=sys.stderr, flush=True)
    _judge(entry)
    _save(path, result)


def _judge(entry: dict[str, Any]) -> None:
    steps = [told_again(trace) for trace in entry["traces"]]
    entry["campaigns"] = [outcome(trace["targets"], one) for trace, one in zip(entry["traces"], steps, strict=True)]
    entry["examples"] = [example(one) for one in steps]


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    commands = parser.add_subparsers(dest="command", required=True)
    simulate = commands.add_parser("run", help="simulated campaigns, those that the file does not have")
    simulate.add_argument("--campaigns", type=int, default=100)
    simulate.add_argument("--base", type=int, default=BASE, help="of the seeds")
    simulate.add_argument("--kind", nargs="+", choices=[*KINDS], default=[*KINDS])
    simulate.add_argument("--line", nargs="+", type=int, choices=range(len(LINES)), default=[*range(len(LINES))])
    search = commands.add_parser("networks", help="searches with networks, those that the file does not have")
    search.add_argument("--pool", default="sim-1")
    search.add_argument("--size", type=int, default=20_000)
    search.add_argument("--batch", type=int, default=100)
    search.add_argument("--rounds", type=int, default=8)
    search.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    commands.add_parser("table", help="print the tables")
    commands.add_parser("document", help="write the tables into the documentation, and draw its figure")
    plot = commands.add_parser("plot", help="draw the figure")
    plot.add_argument("--out", type=Path, default=FIGURE)
    options = parser.parse_args(arguments)
    if options.command == "run":
        run(options.results, options.campaigns, options.base, options.kind, [LINES[i] for i in options.line])
    elif options.command == "networks":
        unit = {name: getattr(options, name) for name in ("pool", "size", "batch", "rounds")}
        networks(options.results, unit, options.seeds)
    else:
        from stopping_shown import draw, tables, write_document

        found = _load(options.results)
        if options.command == "table":
            print(tables(found))
            return
        if options.command == "document":
            write_document(found, DOCUMENT)
        print(draw(found, FIGURE if options.command == "document" else options.out))


if __name__ == "__main__":
    main()
