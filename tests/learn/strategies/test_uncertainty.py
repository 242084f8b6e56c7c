"""Entropy, margin, least confidence, BALD and the published rules against small examples by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from emberline.learn.strategies import Query, Rows, strategy
from emberline.learn.strategies._measures import distance_to, entropy, farthest_first
from emberline.learn.strategies.bald import mutual_information

PROBABILITIES = np.array([[0.40, 0.30, 0.30], [0.50, 0.49, 0.01], [0.34, 0.33, 0.33], [1.0, 0.0, 0.0]])


def ask(name: str, batch: int, parameters: dict | None = None, **more) -> list[int]:
    query = Query(
        objects=np.arange(len(PROBABILITIES)),
        available=np.ones(len(PROBABILITIES), dtype=bool),
        batch=batch,
        rng=np.random.default_rng(4),
        probabilities=PROBABILITIES,
        targets=(1,),
        **more,
    )
    return strategy(name, parameters).select(query).tolist()


def test_order_of_interest() -> None:
    assert ask("entropy", 4) == [2, 0, 1, 3]
    assert ask("published_entropy", 4) == [2, 0, 1, 3]
    assert ask("least_confidence", 4) == [2, 0, 1, 3]
    assert ask("margin", 4)[2:] == [0, 3]


def test_entropy_is_shannon_s() -> None:
    rows = np.random.default_rng(1).dirichlet([0.3] * 5, 50)
    assert entropy(rows) == pytest.approx(stats.entropy(rows, axis=1))
    assert entropy(np.array([[1.0, 0.0]])) == [0]
    assert np.isnan(entropy(np.array([[np.nan, 0.5]]))).all()


def test_disagreement_is_not_doubt() -> None:
    """Row 0: each pass is undecided, nothing to learn. Row 1: passes contradict each other, all to learn."""
    passes = np.array([[[0.5, 0.5], [1.0, 0.0]], [[0.5, 0.5], [0.0, 1.0]]])
    assert mutual_information(passes) == pytest.approx([0, np.log(2)])


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 999), k=st.integers(2, 6))
def test_mutual_information_has_its_bounds(seed: int, k: int) -> None:
    passes = np.random.default_rng(seed).dirichlet([0.4] * k, (7, 20))
    information = mutual_information(passes)
    assert (information >= 0).all()
    assert (information <= entropy(passes.mean(axis=0)) + 1e-12).all()


def test_bald_can_pass_the_whole_pool_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emberline.learn.strategies.bald._BLOCK", 3)
    seen: list[int] = []
    split = np.array([0.5, 0.5, 0.5, 0.9, 0.5, 0.5, 0.5])

    def passes(rows: Rows) -> NDArray[np.float64]:
        seen.extend(rows.tolist())
        first = np.stack([split[rows], 1 - split[rows]], axis=1)
        return np.stack([first, first[:, ::-1]])

    query = Query(
        objects=np.arange(7), available=np.arange(7) != 5, batch=1, rng=np.random.default_rng(0), stochastic=passes
    )
    assert strategy("bald", {"shortlist": 0}).select(query).tolist() == [3]
    assert seen == [0, 1, 2, 3, 4, 6]


def test_bald_passes_the_shortlist_only() -> None:
    seen: list[int] = []

    def passes(rows: np.ndarray) -> np.ndarray:
        seen.extend(rows.tolist())
        turned = np.array([0.0, 0.0, 1.0, 0.0])[rows]  # row 0's passes disagree, row 2's do not
        return np.stack([np.stack([turned, 1 - turned], 1), np.stack([np.ones(len(rows)), np.zeros(len(rows))], 1)])

    assert ask("bald", 1, {"shortlist": 2}, stochastic=passes) == [0]
    assert sorted(seen) == [0, 2]


def test_published_targets_takes_predicted_targets_at_random() -> None:
    n = 1000
    probability = np.r_[np.linspace(0.51, 1, 40), np.linspace(0, 0.49, n - 40)]
    query = Query(
        objects=np.arange(n),
        available=np.ones(n, dtype=bool),
        batch=20,
        rng=np.random.default_rng(5),
        probabilities=np.stack([1 - probability, probability], axis=1),
        targets=(1,),
    )
    rows = strategy("published_targets").select(query)
    assert (rows < 40).all()
    assert len(set(rows[:5] // 10)) > 1
    more = strategy("published_targets").select(Query(**{**vars(query), "batch": 45}))
    assert sorted(more[40:]) == list(range(n - 5, n))


def test_farthest_first_spreads_and_copies_come_last() -> None:
    points = np.array([[0.0], [0.0], [1.0], [10.0], [10.0], [5.0]])
    order = farthest_first(points, np.ones(6), 6)
    assert sorted(points[order[:4], 0].tolist()) == [0, 1, 5, 10]
    assert points[order[:3], 0].tolist() == [0, 10, 5]
    assert farthest_first(points, np.ones(6), 1, np.array([[0.0]])).tolist() == [3]
    assert farthest_first(points[:0], np.ones(0), 3).tolist() == []


def test_distance_to_is_the_nearest() -> None:
    random = np.random.default_rng(6)
    points, others = random.normal(size=(30, 3)), random.normal(size=(600, 3))
    brute = np.linalg.norm(points[:, None] - others, axis=2).min(axis=1)
    assert distance_to(points, others) == pytest.approx(brute)
    assert np.isinf(distance_to(points, others[:0])).all()
