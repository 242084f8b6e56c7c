"""Every strategy keeps the rules of a batch, is deterministic, and can be had by its name."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from importlib.metadata import EntryPoint

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emberline.errors import ConfigError
from emberline.learn.strategies import Query, Strategy, _registry, strategies, strategy

NAMES = list(strategies())


def make_query(n: int = 120, batch: int = 12, seed: int = 1, objects: int = 60, free: float = 0.8, **more) -> Query:
    data = np.random.default_rng([seed, n])
    raw = data.random((n, 3)) ** 3 + 1e-6
    probabilities = raw / raw.sum(axis=1, keepdims=True)
    passes = data.dirichlet([1, 1, 1], (5, n))
    query = Query(
        objects=data.integers(0, objects, n).astype(str),
        available=data.random(n) < free,
        batch=batch,
        rng=np.random.default_rng(seed),
        probabilities=probabilities,
        targets=(1,),
        embeddings=data.normal(size=(n, 4)),
        features=data.normal(size=(n, 20)).astype(np.float32),
        stochastic=lambda rows: passes[:, rows],
        asked=data.integers(0, max(n, 1), min(n, 5)),
    )
    return dataclasses.replace(query, **more)


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=12)
@given(
    n=st.integers(0, 90),
    batch=st.integers(0, 30),
    seed=st.integers(0, 99),
    objects=st.integers(1, 90),
    repeat=st.booleans(),
)
def test_rules_of_a_batch(name: str, n: int, batch: int, seed: int, objects: int, repeat: bool) -> None:
    asked = np.arange(min(n, 5))
    query = make_query(n, batch, seed, objects, repeat_objects=repeat, asked=asked)
    rows = strategy(name).select(query)
    assert rows.dtype == np.int64
    assert query.available[rows].all()
    assert not set(rows) & set(asked)
    assert len(set(query.objects[rows])) == len(rows)
    taken = set() if repeat else set(query.objects[asked])
    assert not taken & set(query.objects[rows])
    open_rows = query.available & ~np.isin(np.arange(n), asked) & ~np.isin(query.objects, list(taken))
    assert len(rows) == min(batch, len(set(query.objects[open_rows])))


@pytest.mark.parametrize("name", NAMES)
def test_the_same_generator_gives_the_same_batch(name: str) -> None:
    assert strategy(name).select(make_query()).tolist() == strategy(name).select(make_query()).tolist()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("random", "cold_start")])
def test_without_what_it_needs_a_strategy_says_so(name: str) -> None:
    with pytest.raises(ConfigError, match=f"the strategy '{name}' needs (probabilities|stochastic|targets)"):
        strategy(name).select(make_query(probabilities=None, stochastic=None))


def test_targets_are_needed_to_seek() -> None:
    with pytest.raises(ConfigError, match="needs targets"):
        strategy("seek").select(make_query(targets=()))


@dataclasses.dataclass(frozen=True)
class Careless(Strategy):
    """Proposes what it must not."""

    repeat: int = 2
    name = "careless"
    summary = "breaks every rule"

    def propose(self, query: Query) -> Iterable[int]:
        return [0, 0, 1, 2] * self.repeat


def test_a_careless_strategy_cannot_break_the_rules() -> None:
    query = Query(
        objects=np.array(["a", "a", "b", "c", "d"]),
        available=np.array([True, True, False, True, True]),
        batch=3,
        rng=np.random.default_rng(1),
    )
    rows = Careless().select(query).tolist()
    assert rows[0] == 0
    assert sorted(rows) == [0, 3, 4]


def test_rows_without_probability_are_left_to_the_end() -> None:
    probabilities = np.array([[0.5, 0.5], [np.nan, np.nan], [0.9, 0.1]])
    query = Query(
        objects=np.arange(3),
        available=np.ones(3, dtype=bool),
        batch=2,
        rng=np.random.default_rng(1),
        probabilities=probabilities,
    )
    for name in ("entropy", "margin", "least_confidence"):
        assert strategy(name).select(query).tolist() == [0, 2]


def test_equal_scores_favour_no_part_of_the_pool() -> None:
    n = 20_000
    query = Query(objects=np.arange(n), available=np.ones(n, dtype=bool), batch=500, rng=np.random.default_rng(2))
    query = dataclasses.replace(query, probabilities=np.full((n, 2), 0.5))
    assert strategy("entropy").select(query).mean() == pytest.approx(n / 2, abs=4 * n / np.sqrt(12 * 500))


def test_best_first_is_a_full_sort_beyond_its_first_chunk() -> None:
    scores = np.random.default_rng(3).integers(0, 40, 20_000).astype(float)
    query = make_query(20_000, free=1.1)
    order = list(query.best_first(scores))
    assert sorted(order) == list(range(20_000))
    assert (np.diff(scores[order]) <= 0).all()


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="features has 3 rows, and available has 120"):
        make_query(features=np.zeros((3, 2)))
    with pytest.raises(ValueError, match="-1 rows cannot be chosen"):
        make_query(batch=-1)


def test_names_and_parameters() -> None:
    assert strategy("least-confidence") == strategy("least_confidence")
    assert strategy("diverse", {"shortlist": 5}) != strategy("diverse")
    with pytest.raises(ConfigError, match=r"there is no strategy 'entropi'.*'entropy'"):
        strategy("entropi")
    with pytest.raises(ConfigError, match="Known strategies: seek, entropy"):
        strategy("zzzzzz")
    with pytest.raises(ConfigError, match=r"strategy 'seek'.*unknown key 'exploid'.*'exploit'"):
        strategy("seek", {"exploid": 0.1})
    with pytest.raises(ConfigError, match="must not be negative"):
        strategy("seek", {"exploit": -1})
    for name, key in (
        ("diverse", "shortlist"),
        ("cold_start", "components"),
        ("cold_start", "leading"),
        ("seek", "sample"),
    ):
        with pytest.raises(ConfigError, match=key):
            strategy(name, {key: 0})
    with pytest.raises(ConfigError, match="sum to 1"):
        strategy("cold_start", {"extremes": 0.7, "anomalies": 0.4})
    with pytest.raises(ConfigError, match="shortlist"):
        strategy("bald", {"shortlist": -1})


def test_every_strategy_says_in_a_line_what_it_does() -> None:
    for name, kind in strategies().items():
        assert kind.name == name
        assert 10 < len(kind.summary) < 80


def _announce(monkeypatch: pytest.MonkeyPatch, name: str, kind: object) -> None:
    class Point(EntryPoint):
        def load(self) -> object:
            return kind

    monkeypatch.setattr(_registry, "entry_points", lambda group: [Point(name, "package:Thing", group)])


def test_a_package_can_announce_a_strategy(monkeypatch: pytest.MonkeyPatch) -> None:
    _announce(monkeypatch, "careless", Careless)
    assert strategy("careless", {"repeat": 1}) == Careless(1)


def test_a_package_cannot_take_a_name_or_announce_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    _announce(monkeypatch, "entropy", Careless)
    with pytest.raises(ConfigError, match="in use"):
        strategies()
    _announce(monkeypatch, "other", print)
    with pytest.raises(ConfigError, match="not a strategy"):
        strategies()
