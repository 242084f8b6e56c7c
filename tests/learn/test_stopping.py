"""When to stop: the sums, the interval against simulated yields, and the rule."""

from __future__ import annotations

import numpy as np
import pytest

from emberline.learn.stopping import Gain, Yield, expected_of_best, gain_of_next, worth_stopping


def test_the_best_that_are_left() -> None:
    scores = np.array([0.9, 0.5, np.nan, 0.3, 0.8])
    available = np.array([True, True, True, True, False])
    assert expected_of_best(scores, available, 2) == pytest.approx(1.4)
    assert expected_of_best(scores, available, 100) == pytest.approx(1.7)
    assert expected_of_best(scores, np.zeros(5, dtype=bool), 3) == 0


def test_nothing_is_expected_of_a_campaign_that_has_not_asked() -> None:
    assert gain_of_next([], 5.0) is None
    assert gain_of_next([Yield(0, 0, 0.0)], 5.0) is None


def test_a_network_that_promises_twice_too_much_is_believed_half() -> None:
    gain = gain_of_next([Yield(100, 40, 80.0), Yield(100, 30, 60.0)], 20.0)
    assert gain is not None
    assert gain.value == pytest.approx(10, rel=0.05)
    assert gain.low < 10 < gain.high
    assert gain.n == 200


def test_the_interval_holds_the_expected_yield() -> None:
    """Factor drawn from the prior, yields Poisson: more than 16 misses of 200 at 95 % have a chance of 3 %."""
    rng = np.random.default_rng(7)
    missed = 0
    for _ in range(200):
        factor = rng.gamma(1.0)
        promised = [50.0, 30.0, 15.0]
        gain = gain_of_next([Yield(100, int(rng.poisson(factor * p)), p) for p in promised], 8.0)
        assert gain is not None
        missed += not gain.low <= min(8 * factor, 100) <= gain.high
    assert missed <= 16


def test_the_rule_needs_labels_and_an_upper_end_below_the_worth() -> None:
    assert worth_stopping(Gain(1.0, 0.2, 4.9, 50), 5.0)
    assert not worth_stopping(Gain(1.0, 0.2, 5.1, 50), 5.0)
    assert not worth_stopping(Gain(0.0, 0.0, 0.1, 49), 5.0)
    assert not worth_stopping(Gain(1.0, 0.2, 4.9, 50, last=6.0), 5.0)
