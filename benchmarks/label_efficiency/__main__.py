"""Run the grid, print its tables, draw its figures: ``python -m benchmarks.label_efficiency COMMAND``."""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from emberline.errors import EmberlineError

HERE = Path(__file__).parent
RESULTS = HERE / "results"
STATIC = HERE.parents[1] / "docs" / "_static" / "label-efficiency"
FIRST = ("published", "random", "seek", "entropy", "diverse", "modal-forest", "isolation-forest", "coniferest-pine")


def _parser() -> argparse.ArgumentParser:
    from benchmarks.label_efficiency.contestants import CONTESTANTS
    from benchmarks.label_efficiency.pools import POOLS

    parser = argparse.ArgumentParser(prog="python -m benchmarks.label_efficiency", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON lines")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="do what of the grid is not done yet")
    run.add_argument("--pool", nargs="+", choices=list(POOLS), default=["sim-1", "sim-0.1"])
    run.add_argument("--contestant", nargs="+", choices=list(CONTESTANTS), default=list(FIRST))
    run.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    run.add_argument("--size", type=int, default=20_000)
    run.add_argument("--noise", type=float, nargs="+", default=[0.0], help="shares of wrong answers")
    run.add_argument("--start", choices=["few", "zero"], default="few")
    run.add_argument("--batch", type=int, default=50)
    run.add_argument("--rounds", type=int, default=10)
    run.add_argument("--minutes", type=float, help="begin no search after so many minutes")
    run.add_argument("--cache", type=Path, help="folder of pools")
    trust = commands.add_parser("trust", help="the flag of what is unlike the training, on classes left out of it")
    trust.add_argument("--size", type=int, default=20_000)
    trust.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    extremes = commands.add_parser("extremes", help="targets among what lies farthest out, by leading components")
    extremes.add_argument("--pool", choices=list(POOLS), default="sim-0.1")
    extremes.add_argument("--size", type=int, default=40_000)
    extremes.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    extremes.add_argument("--cache", type=Path, help="folder of pools")
    commands.add_parser("table", help="print the tables")
    plot = commands.add_parser("plot", help="draw the figures")
    plot.add_argument("--out", type=Path, default=STATIC)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    options = _parser().parse_args(arguments)
    if options.command == "run":
        return _run(options)
    if options.command == "trust":
        from benchmarks.label_efficiency.trust import evaluate_all

        evaluate_all(options.results / "trust.jsonl", options.size, options.seeds)
    elif options.command == "extremes":
        from benchmarks.label_efficiency import extremes

        file = options.results / "extremes.jsonl"
        extremes.evaluate_all(file, options.pool, options.size, options.seeds, options.cache)
    elif options.command == "table":
        from benchmarks.label_efficiency.table import tables

        print(tables(options.results))
    else:
        from benchmarks.label_efficiency.plot import draw

        for path in draw(options.results, options.out):
            print(path)
    return 0


def _run(options: argparse.Namespace) -> int:
    """Seed by seed, so that a run that is cut short has compared everybody on the same pools."""
    from benchmarks.label_efficiency.interface import MissingExtraError
    from benchmarks.label_efficiency.units import Unit, append, read, run

    begun, missing = time.monotonic(), set()
    for seed, pool, noise, name in itertools.product(options.seeds, options.pool, options.noise, options.contestant):
        unit = Unit(pool, name, options.size, noise, options.start, options.batch, options.rounds, seed)
        file = options.results / f"{pool}.jsonl"
        if name in missing or any(Unit(**record["unit"]) == unit for record in read(file)):
            continue
        if options.minutes is not None and time.monotonic() - begun > options.minutes * 60:
            print("time is up; run the same command again to go on")
            return 0
        try:
            record = run(unit, options.cache)
        except MissingExtraError as error:
            missing.add(name)
            print(f"{name} is left out: {error}", file=sys.stderr)
            continue
        except EmberlineError as error:
            print(error, file=sys.stderr)
            return 1
        append(file, record)
        last = record["curve"][-1]
        print(
            f"{unit}: found {last['found']} of {record['targets']}, completeness {last['completeness']:.3f}", flush=True
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
