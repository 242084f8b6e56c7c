"""When to stop: the sums, the interval against simulated yields, and the rule."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from numpy.typing import NDArray

from emberline.learn.stopping import Gain, Yield, gain_of_next, highest_first, outlook, worth_stopping, yield_of_round


def asked_best(ordered: NDArray[np.float64], true: NDArray[np.float64], rng: np.random.Generator) -> Yield:
    """A round that asked about the 100 most probable, with answers of the chances `true`."""
    return yield_of_round(ordered, ordered[:100], ordered[:100], rng.random(100) < true[:100])


def test_the_best_that_are_left() -> None:
    scores = np.array([0.9, 0.5, np.nan, 0.3, 0.8])
    available = np.array([True, True, True, True, False])
    assert highest_first(scores, available) == pytest.approx([0.9, 0.5, 0.3, 0.0])
    assert len(highest_first(scores, np.zeros(5, dtype=bool))) == 0


def test_an_object_is_asked_about_once() -> None:
    """Of two spectra of one object the more probable one counts, and none where the object is known."""
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    objects = np.array(["a", "b", "a", "b", "c"])
    available = np.array([True, False, True, True, True])
    assert highest_first(scores, available, objects) == pytest.approx([0.9, 0.6, 0.5])
    assert highest_first(scores, available, objects, np.array([1])) == pytest.approx([0.9, 0.5])


def test_a_round_is_told_by_its_odds_and_its_ranks() -> None:
    ordered = np.array([0.99, 0.9, 0.9, 0.5, 0.5, 0.1, 0.01, 0.01])
    asked = np.array([0.5, 0.9, 0.01, 0.9])
    told = yield_of_round(ordered, asked, asked[:3], np.array([False, True, False]))
    assert (told.labels, told.targets, told.promised) == (3, 1, pytest.approx(2.79))
    odds, labels, targets = zip(*told.answers, strict=True)
    assert odds == pytest.approx([np.log(0.01 / 0.99), 0.0, np.log(9)], abs=1e-3)
    assert (labels, targets) == ((1, 1, 1), (0, 0, 1))
    # Ranks 1, 2, 3 and 6 of a batch of four are 25 times that in a batch of 100.
    assert [rank for rank, _ in told.asked[::20]] == [25, 150]
    assert [chance for _, chance in told.asked[::20]] == pytest.approx([np.log(9), np.log(0.01 / 0.99)], abs=1e-3)
    assert len(told.asked) == 21
    again = Yield(**json.loads(json.dumps(dataclasses.asdict(told))))
    assert gain_of_next([again], ordered) == gain_of_next([told], ordered)


def test_equal_probabilities_are_not_one_row() -> None:
    told = yield_of_round(np.ones(400), np.ones(100), np.ones(100), np.ones(100, dtype=bool))
    assert told.asked[-1][0] == 99


def test_nothing_is_expected_of_a_campaign_that_has_not_asked() -> None:
    assert gain_of_next([], np.full(300, 0.1)) is None
    assert gain_of_next([Yield(0, 0, 0.0)], np.full(300, 0.1)) is None


def test_nothing_is_left() -> None:
    gain = gain_of_next([Yield(100, 10, 10.0), Yield(100, 0, 0.1)], np.empty(0))
    assert gain is not None
    assert (gain.value, gain.high, gain.bound) == (0.0, 0.0, 0.0)


def test_a_network_that_promises_too_much_is_not_believed() -> None:
    """It says 0.5 of everything, and 5 of 100 are targets."""
    rng = np.random.default_rng(1)
    ordered = np.full(500, 0.5)
    rounds = [asked_best(ordered, np.full(100, 0.05), rng) for _ in range(4)]
    gain = gain_of_next(rounds, ordered)
    assert gain is not None
    assert gain.low < 5 < gain.high < 20
    assert gain.n == 400


def test_high_odds_that_held_do_not_vouch_for_low_ones() -> None:
    """Sure ones were targets, doubtful ones were not: a single factor for all would promise 17 of the doubtful ones."""
    sure, doubtful = np.full(50, 0.99), np.full(450, 0.3)
    ordered = np.concatenate([sure, doubtful])
    true = np.concatenate([np.ones(50), np.zeros(450)])
    rng = np.random.default_rng(3)
    gain = gain_of_next([asked_best(ordered, true, rng) for _ in range(2)], doubtful)
    assert gain is not None
    assert gain.value < 5


def test_the_strategy_is_expected_to_ask_for_the_same_ranks() -> None:
    ordered = np.concatenate([np.full(100, 0.9), np.full(900, 0.01)])
    rows = np.r_[0:20, 500:580]
    rng = np.random.default_rng(2)
    asked = ordered[rows]
    rounds = [yield_of_round(ordered, asked, asked, rng.random(100) < asked) for _ in range(3)]
    gain = gain_of_next(rounds, ordered)
    assert gain is not None
    assert 12 < gain.value < 28


def test_a_strategy_that_seeks_doubt_is_expected_to_find_it_elsewhere() -> None:
    """It asks where the network says 0.5: first behind 100 sure ones, which are then gone."""
    before = np.concatenate([np.full(100, 0.99), np.full(200, 0.5), np.full(700, 0.001)])
    doubt = before[100:200]
    asked = yield_of_round(before, doubt, doubt, np.arange(100) % 2 == 0)
    gain = gain_of_next([asked, asked], before[200:])
    assert gain is not None
    assert 35 < gain.value < 65


@pytest.mark.parametrize("power", [0.6, 1.0, 1.6])
def test_the_interval_holds_what_the_next_100_bring(power: float) -> None:
    """Odds that are a power of the stated ones, times a constant: of 150 intervals at 95 %, 16 or more miss by 1e-3."""
    rng = np.random.default_rng(7)
    missed = 0
    for _ in range(150):
        x = np.sort(rng.normal(-1.0, 2.0, 600))[::-1]
        ordered, true = 1 / (1 + np.exp(-x)), 1 / (1 + np.exp(-(power * x + rng.normal(0.0, 0.5))))
        rounds = [asked_best(ordered[at:], true[at:], rng) for at in (0, 100, 200)]
        gain = gain_of_next(rounds, ordered[300:])
        assert gain is not None
        missed += not gain.low <= (rng.random(100) < true[300:400]).sum() <= gain.high
    assert missed <= 15


def test_the_same_campaign_gives_the_same_numbers() -> None:
    rounds = [Yield(100, 40, 80.0), Yield(60, 9, 12.0)]
    assert gain_of_next(rounds, np.full(300, 0.1)) == gain_of_next(rounds, np.full(300, 0.1))


def test_rounds_of_older_versions_say_something() -> None:
    """Their labels and sums alone: promised twice what came."""
    gain = gain_of_next([Yield(100, 40, 80.0), Yield(100, 20, 40.0)], np.full(300, 0.4))
    assert gain is not None
    assert 10 < gain.value < 30
    assert worth_stopping(Gain(1.0, 0.2, 4.9, 100), 5.0)
    assert not worth_stopping(Gain(1.0, 0.2, 5.1, 100), 5.0)


def test_the_rule_needs_rounds_and_a_bound_below_the_worth() -> None:
    low = Gain(1.0, 0.0, 6.0, 100, bound=4.9, rounds=2)
    assert outlook(low, 5.0) == "stop"
    assert outlook(dataclasses.replace(low, bound=5.1), 5.0) == "undecided"
    assert outlook(dataclasses.replace(low, bound=8.0, value=5.2), 5.0) == "go on"
    assert outlook(dataclasses.replace(low, rounds=1), 5.0) == "too early"
    assert outlook(dataclasses.replace(low, n=49), 5.0) == "too early"
