"""Control draws: right sizes, known chances, and queries that cannot tell who is in them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emberline.learn.control import SPLITS, Assume, ControlDraw, ask, control_strata, draw_control, fine_strata
from emberline.learn.strategies import Query, strategy


def test_strata_follow_the_probability() -> None:
    scores = np.array([0.9, 0.5, 0.49, 0.05, 0.049, 0.04, 0.0, np.nan, 0.9])
    available = np.array([True] * 8 + [False])
    strata = control_strata(scores, available, tail=0.2)
    assert strata.tolist() == [0, 0, 1, 1, 2, 3, 3, 3, -1]


def test_equal_scores_are_one_stratum() -> None:
    assert set(control_strata(np.zeros(100), np.ones(100, dtype=bool)).tolist()) == {3}


@settings(deadline=None, max_examples=30)
@given(
    size=st.integers(0, 400), n=st.integers(0, 450), seed=st.integers(0, 9), share=st.floats(0.0, 1.0, allow_nan=False)
)
def test_a_draw_has_its_size_and_no_row_that_is_not_available(size: int, n: int, seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    available = rng.random(size) < share
    draw = draw_control(rng.random(size) ** 4, available, n, rng)
    assert len(draw.rows) == min(n, available.sum())
    assert available[draw.rows].all()
    assert draw.sizes.sum() == available.sum()


def test_every_row_of_a_stratum_is_as_likely() -> None:
    rng = np.random.default_rng(5)
    scores, available = np.linspace(0, 1, 60) ** 6, np.ones(60, dtype=bool)
    times = np.zeros(60)
    for _ in range(2000):
        draw = draw_control(scores, available, 20, rng)
        times[draw.rows] += 1
    counts = np.bincount(draw.stratum, minlength=len(draw.sizes))
    expected = (counts / np.maximum(draw.sizes, 1))[draw.assignment]
    spread = np.sqrt(expected * (1 - expected) / 2000)
    assert np.abs(times / 2000 - expected).max() <= 4.5 * spread.max()


def test_small_strata_are_taken_whole_and_the_rest_goes_on() -> None:
    scores = np.r_[np.full(3, 0.9), np.full(5, 0.2), np.zeros(992)]
    draw = draw_control(scores, np.ones(1000, dtype=bool), 100, np.random.default_rng(1), assume="scores")
    drawn = {value: int(np.isin(draw.rows, np.flatnonzero(scores == value)).sum()) for value in (0.9, 0.2, 0.0)}
    assert drawn == {0.9: 3, 0.2: 5, 0.0: 92}


def test_strata_and_shares_must_agree() -> None:
    strata, rng = np.arange(6, dtype=np.int8), np.random.default_rng(1)
    with pytest.raises(ValueError, match="4 shares were given for 6 strata"):
        draw_control(np.zeros(6), np.ones(6, dtype=bool), 3, rng, strata=strata, shares=(0.25,) * 4)


def test_fine_strata_fall_with_the_score_and_share_the_spread_of_an_answer() -> None:
    scores = np.random.default_rng(2).random(50_000) ** 12
    available = np.arange(50_000) % 7 > 0
    strata = fine_strata(scores, available)
    assert set(strata[available].tolist()) == set(range(4, 11))
    assert (strata[~available] == -1).all()
    assert scores[strata == 5].min() >= 0.5 > scores[strata == 6].max()
    spread = []
    for upper, lower in itertools.pairwise(range(4, 11)):
        assert scores[strata == upper].min() > scores[strata == lower].max()
    for number in range(6, 11):
        p = np.maximum(scores[strata == number], 0.03 / available.sum())
        spread.append(np.sqrt(p * (1 - p)).sum())
    assert np.ptp(spread) < 0.02 * np.mean(spread)


def test_fine_strata_of_a_network_that_knows_nothing_are_the_rest() -> None:
    draw = draw_control(np.zeros(500), np.ones(500, dtype=bool), 60, np.random.default_rng(1))
    assert set(draw.stratum.tolist()) == {10}
    assert len(draw.rows) == 60


def test_a_draw_that_contradicts_itself_is_refused() -> None:
    assignment = np.array([0, -1], dtype=np.int8)
    with pytest.raises(ValueError, match="in no stratum"):
        ControlDraw(assignment, np.array([1]))
    with pytest.raises(ValueError, match="drawn twice"):
        ControlDraw(assignment, np.array([0, 0]))


def test_asking_meets_control_rows_without_knowing_them() -> None:
    probability = np.linspace(0, 1, 50)
    query = Query(
        objects=np.arange(50),
        available=np.ones(50, dtype=bool),
        batch=5,
        rng=np.random.default_rng(1),
        probabilities=np.stack([1 - probability, probability], axis=1),
    )
    new, passed = ask(strategy("entropy"), query, np.array([24, 25, 40]))
    assert sorted(passed.tolist()) == [24, 25]
    assert sorted(new.tolist()) == [22, 23, 26, 27, 28] or sorted(new.tolist()) == [21, 22, 23, 26, 27]


def test_asking_ends_when_only_control_rows_are_left() -> None:
    query = Query(objects=np.arange(4), available=np.ones(4, dtype=bool), batch=3, rng=np.random.default_rng(1))
    new, passed = ask(strategy("random"), query, np.array([0, 1, 2]))
    assert new.tolist() == [3]
    assert sorted(passed.tolist()) == [0, 1, 2]


@pytest.mark.parametrize("assume", ["nothing", "scores"])
def test_no_row_is_drawn_far_more_rarely_than_its_even_share(assume: Assume) -> None:
    rng = np.random.default_rng(4)
    scores, available = rng.random(20_000) ** 30, np.ones(20_000, dtype=bool)
    draw = draw_control(scores, available, 1000, rng, assume=assume)
    took = np.bincount(draw.stratum, minlength=len(draw.sizes))
    chance = (took / np.maximum(draw.sizes, 1))[4:]
    split = SPLITS[assume]
    least = 1000 * (1 - split.purity) * split.even / (scores < 0.5).sum()
    assert chance.min() >= 0.95 * least
    assert took[4:6].sum() == pytest.approx(1000 * split.purity, abs=3)
    assert took[6] / draw.sizes[6] > 3 * chance[-1], "the most probable are drawn more"


def test_what_is_assumed_decides_where_labels_go() -> None:
    scores, available = np.random.default_rng(4).random(20_000) ** 30, np.ones(20_000, dtype=bool)
    rest = [
        np.count_nonzero(draw_control(scores, available, 500, np.random.default_rng(1), assume=assume).stratum == 10)
        for assume in ("nothing", "scores")
    ]
    assert rest[0] > 1.5 * rest[1]
