"""Groups of control labels: sums of exact distributions, and groups joined where labels are wanting."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from emberline.learn._sample import SAMPLES, Cell, Sample, totals
from emberline.learn.control import ControlDraw


def cell(size: int, n: int, positives: int) -> Cell:
    return Cell(size, n, positives, float(n), positives / n if n else 0.0, n)


def bound(cells: list[Cell], level: float = 0.975, seed: int = 1) -> float:
    rng = np.random.default_rng(seed)
    return float(np.quantile(totals(cells, rng.random(SAMPLES) < 0.5, rng), level))


def test_an_unseen_target_is_counted_once_over_all_groups() -> None:
    """Six groups with no target in their labels hold no more, at 97.5 %, than one of them: mid-p of a single sample."""
    alone = bound([cell(10_000, 40, 0)])
    exact = np.arange(2000)[stats.hypergeom.pmf(0, 10_000, np.arange(2000), 40) / 2 > 0.025].max()
    assert alone == pytest.approx(exact, rel=0.05)
    assert bound([cell(10_000, 40, 0)] * 6) == pytest.approx(exact, rel=0.05)


def test_the_unseen_target_lies_where_it_counts_most() -> None:
    """A group of 40 rows and one label cannot hold what one of 3000 rows and 100 labels can."""
    assert bound([cell(40, 1, 0), cell(3000, 100, 0)]) == pytest.approx(bound([cell(3000, 100, 0)]), rel=0.05)


@pytest.mark.parametrize(
    ("sizes", "labels", "positives"),
    [
        ((3000, 30_000, 160_000), (60, 60, 280), (60, 20, 1700)),
        ((10_000,) * 6, (40,) * 6, (60,) * 6),
        ((10_000,) * 6, (40,) * 6, (360, 0, 0, 0, 0, 0)),
        ((30,) * 10, (4,) * 10, (15,) * 10),
        ((900, 400, 100, 50), (30, 10, 5, 4), (880, 360, 80, 30)),
    ],
)
def test_sums_over_groups_hold_the_truth(
    sizes: tuple[int, ...], labels: tuple[int, ...], positives: tuple[int, ...]
) -> None:
    """At 95 % coverage more than 13 misses in 120 samples have a chance of 0.5 %."""
    rng, missed = np.random.default_rng(7), 0
    for _ in range(120):
        seen = rng.hypergeometric(positives, np.subtract(sizes, positives), labels)
        cells = [cell(*each) for each in zip(sizes, labels, seen.tolist(), strict=True)]
        low, high = np.quantile(totals(cells, rng.random(SAMPLES) < 0.5, rng), [0.025, 0.975])
        missed += not low <= sum(positives) <= high
    assert missed <= 13


def test_a_group_without_labels_is_joined_to_one_of_like_chance() -> None:
    """Rows 0–3 could be drawn by one draw of half, row 4 by one of a third and was not: no bound of none or all."""
    first = ControlDraw(np.array([0, 0, 0, 0, -1, -1, -1], dtype=np.int8), np.array([0, 1]))
    second = ControlDraw(np.array([-1, -1, -1, -1, 0, 0, 0], dtype=np.int8), np.array([5]))
    predicted = np.array([0, 0, 0, 0, 0, 1, 1])
    sample = Sample.gather([first, second], {0: 0, 1: 0, 5: 1}, predicted, {})
    cells = sample.cells(predicted == 1, sample.truth == 1, False)
    assert [(one.size, one.labels) for one in cells] == [(5, 2)]


def test_a_group_far_from_all_others_holds_none_or_all() -> None:
    first = ControlDraw(np.array([0] * 4 + [-1] * 41, dtype=np.int8), np.array([0, 1]))
    second = ControlDraw(np.array([-1] * 4 + [0] * 41, dtype=np.int8), np.array([44]))
    predicted = np.array([0] * 44 + [1])
    sample = Sample.gather([first, second], {0: 0, 1: 0, 44: 1}, predicted, {})
    cells = sample.cells(predicted == 1, sample.truth == 1, False)
    assert sorted((one.size, one.labels) for one in cells) == [(4, 2), (40, 0)]
    assert bound(cells) == 40 + 2
