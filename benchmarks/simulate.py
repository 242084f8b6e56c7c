"""How fast surveys are simulated, against the same spectra made one by one.

Run it with ``python benchmarks/simulate.py``. The baseline is this package called for single spectra (a block of one),
which pays for every array operation, transform and random stream once a spectrum instead of once a thousand. Rates are
per second of CPU time, medians of several rounds in which the two take turns; building the templates is told apart.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

from emberline.features import Recipe
from emberline.simulate import Survey, feature_block, make_block


def seconds(work: Callable[[], object]) -> float:
    """The CPU time that `work` takes: other work on the machine does not count."""
    start = time.process_time()
    work()
    return time.process_time() - start


def compare(name: str, blocks: Callable[[], object], singles: Callable[[], object], few: int, rounds: int) -> None:
    """Print the rates of 1000 spectra in one block and of `few` in blocks of one, and the median of their ratio."""
    fast, slow = [], []
    for _ in range(rounds):
        fast.append(1000 / seconds(blocks))
        slow.append(few / seconds(singles))
    ratios = [a / b for a, b in zip(fast, slow, strict=True)]
    print(
        f"{name:<34} {statistics.median(fast):>9,.0f} /s   one by one {statistics.median(slow):>7,.0f} /s   "
        f"ratio {statistics.median(ratios):5.1f} ({min(ratios):.1f} to {max(ratios):.1f})"
    )


def main() -> None:
    """Measure whole spectra and feature vectors of both presets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    recipe = Recipe.load("halpha-140")
    few = 20
    for preset in ("lamost", "ondrejov"):
        many = Survey(preset=preset, spectra=2000, seed=1)
        one = Survey(preset=preset, spectra=few, seed=1, block=1)
        first = seconds(lambda many=many: make_block(many, 0)) + seconds(
            lambda many=many: feature_block(many, 0, recipe)
        )
        print(f"{preset}: templates and first blocks {first:.1f} s, once a process")
        compare(
            f"{preset} whole spectra",
            lambda many=many: make_block(many, 1),
            lambda one=one: [make_block(one, index) for index in range(few)],
            few,
            rounds,
        )
        compare(
            f"{preset} feature vectors ({recipe.name})",
            lambda many=many: feature_block(many, 1, recipe),
            lambda one=one: [feature_block(one, index, recipe) for index in range(few)],
            few,
            rounds,
        )


if __name__ == "__main__":
    main()
