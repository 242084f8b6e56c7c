"""Diverse, cold start and seek do on a synthetic pool what they are for."""

from __future__ import annotations

import numpy as np
import pytest
from pools import profiles, search

from emberline.learn.strategies import Query, strategy
from emberline.learn.strategies._features import Subspace, extremeness, line_anomaly


def test_diverse_avoids_near_duplicates() -> None:
    """Five tight clumps of 40 uncertain rows: a batch of five takes one of each; entropy alone would not."""
    random = np.random.default_rng(1)
    clump = np.repeat(np.arange(5), 40)
    probability = 0.5 - 0.01 * clump
    query = Query(
        objects=np.arange(200),
        available=np.ones(200, dtype=bool),
        batch=5,
        rng=random,
        probabilities=np.stack([1 - probability, probability], axis=1),
        embeddings=lambda rows: 10 * np.eye(5)[clump[rows]] + random.normal(0, 0.01, (len(rows), 5)),
    )
    assert sorted(clump[strategy("diverse", {"shortlist": 40}).select(query)]) == [0, 1, 2, 3, 4]
    assert set(clump[strategy("entropy").select(query)]) == {0}


def test_diverse_keeps_away_from_what_was_asked() -> None:
    clump = np.repeat([0, 1], 20)
    query = Query(
        objects=np.arange(40),
        available=np.ones(40, dtype=bool),
        batch=1,
        rng=np.random.default_rng(1),
        probabilities=np.full((40, 2), 0.5),
        embeddings=clump[:, None].astype(float),
        asked=np.array([3]),
    )
    assert clump[strategy("diverse", {"shortlist": 40}).select(query)].tolist() == [1]


def test_a_line_is_an_anomaly_and_a_spike_is_not() -> None:
    random = np.random.default_rng(2)
    features = random.normal(0, 0.1, (300, 60)) + np.linspace(0, 1, 300)[:, None] * np.sin(np.arange(60) / 9)
    features[7, 30:35] += 1.0
    features[8, 30] += 3.0
    scores = line_anomaly(features, Subspace.fit(features, 2), np.arange(300))
    assert scores.argmax() == 7
    assert scores[8] < 1.5 * np.delete(scores, 7).max()
    assert np.isneginf(line_anomaly(features, Subspace.fit(features, 2), np.array([1]))[2])


def test_what_is_far_out_along_a_leading_direction_is_extreme() -> None:
    """A rare shape that is strong enough to be a leading component leaves no residual, and lies far out along it."""
    random = np.random.default_rng(3)
    features = random.normal(0, 0.1, (2000, 60)) + random.normal(0, 1, (2000, 1)) * np.sin(np.arange(60) / 9)
    features[:5] += 6.0 * np.exp(-0.5 * ((np.arange(60) - 30) / 3.0) ** 2)
    rows, space = np.arange(2000), Subspace.fit(features, 2)
    scores, deviations = extremeness(features, space, rows, rows)
    assert set(np.argsort(-scores)[:5].tolist()) == set(range(5))
    assert np.argsort(-line_anomaly(features, space, rows))[:5].min() >= 5
    np.testing.assert_allclose(np.median(deviations, axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(scores, np.abs(deviations).max(axis=1))
    assert np.isneginf(extremeness(features, space, np.array([1]), rows)[0][2])


def test_extremes_come_first_in_a_cold_start_and_are_unlike_one_another() -> None:
    random = np.random.default_rng(4)
    features = random.normal(0, 0.1, (3000, 60)) + random.normal(0, 1, (3000, 1)) * np.sin(np.arange(60) / 9)
    features[:4] += 6.0 * np.exp(-0.5 * ((np.arange(60) - 20) / 3.0) ** 2)
    features[4:8] -= 6.0 * np.exp(-0.5 * ((np.arange(60) - 45) / 3.0) ** 2)
    query = Query(objects=np.arange(3000), available=np.ones(3000, bool), batch=10, rng=random, features=features)
    batch = strategy("cold_start").select(query)
    assert len(set(batch.tolist())) == 10
    assert min(batch[:4]) < 4 <= max(row for row in batch[:4] if row < 8), "of both kinds"
    assert set(strategy("cold_start", {"extremes": 0.0, "anomalies": 0.0}).select(query)).isdisjoint(range(8))


def test_cold_start_finds_rare_targets_before_there_is_a_model() -> None:
    """At 0.5 % a random batch of 50 has a quarter of a target: six or more in four pools have a chance below 0.1 %."""
    hits = 0
    for seed in range(4):
        values, truth = profiles(4000, 0.005, seed)
        query = Query(
            objects=np.arange(4000),
            available=np.ones(4000, dtype=bool),
            batch=50,
            rng=np.random.default_rng(seed),
            features=values,
        )
        hits += int(truth[strategy("cold_start").select(query)].sum())
    assert hits >= 6


@pytest.mark.parametrize("prevalence", [0.0025, 0.01])
def test_seek_finds_more_than_entropy_and_random(prevalence: float) -> None:
    found = dict.fromkeys(("seek", "entropy", "random"), 0)
    for seed in (1, 2):
        values, truth = profiles(4000, prevalence, seed)
        for name in found:
            found[name] += search(name, values, truth, seed=seed, rounds=3, batch=20)[-1]
    assert found["seek"] > 1.3 * found["entropy"]
    assert found["seek"] > 3 * found["random"]


def test_seek_without_hope_looks_for_the_strange() -> None:
    """A model that has seen no target: of 2 % with a line, random batches of 20 would have half a spectrum."""
    random = np.random.default_rng(3)
    features, lines = random.normal(0, 0.1, (1500, 60)), np.arange(30)
    for row in lines:
        features[row, row : row + 6] += 1.0
    query = Query(
        objects=np.arange(1500),
        available=np.ones(1500, dtype=bool),
        batch=20,
        rng=random,
        probabilities=np.tile([1.0, 0.0], (1500, 1)),
        targets=(1,),
        embeddings=features,
        features=features,
    )
    assert np.isin(strategy("seek", {"components": 1}).select(query), lines).sum() >= 7


def test_seek_s_shares() -> None:
    """Shares of a batch of 10: five most probable (three plainly), the rest uncertain."""
    n = 400
    probability = np.r_[np.full(100, 0.99), np.full(100, 0.5), np.full(200, 0.0)]
    query = Query(
        objects=np.arange(n),
        available=np.ones(n, dtype=bool),
        batch=10,
        rng=np.random.default_rng(1),
        probabilities=np.stack([1 - probability, probability], axis=1),
        targets=(1,),
        embeddings=np.random.default_rng(2).normal(size=(n, 3)),
    )
    rows = strategy("seek", {"exploit": 0.5, "explore": 0.5, "anomalies": 0.0}).select(query)
    assert np.bincount(rows // 100, minlength=4).tolist() == [5, 5, 0, 0]


def test_the_strange_are_worked_out_once_for_all_of_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control rows that the strategy meets make it choose on: that must not read the pool again."""
    from emberline.learn.control import ask
    from emberline.learn.strategies import cold_start

    values, _ = profiles(2000, 0.02, 5)
    calls = []
    whole = cold_start.line_anomaly
    monkeypatch.setattr(cold_start, "line_anomaly", lambda *args: calls.append(1) or whole(*args))
    query = Query(
        objects=np.arange(2000),
        available=np.ones(2000, dtype=bool),
        batch=20,
        rng=np.random.default_rng(1),
        probabilities=np.tile([0.9, 0.1], (2000, 1)),
        targets=(1,),
        features=values,
    )
    new, passed = ask(strategy("seek"), query, np.arange(0, 2000, 2))
    assert len(new) == 20
    assert len(passed) > 0
    assert calls == [1]
