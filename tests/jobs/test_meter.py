"""How far a job is in all, and how long it will take."""

from __future__ import annotations

import pytest

from emberline.jobs._meter import Meter


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_steps_count_by_their_shares() -> None:
    meter = Meter({"read": 1, "train": 3})
    assert meter.reading.fraction is None
    meter("read", 1, 2)
    assert meter.reading.fraction == pytest.approx(0.125)
    assert meter.reading.message == "read: 1 of 2"
    meter("train", 2000, 4000)
    assert meter.reading.fraction == pytest.approx(0.625)
    assert meter.reading.message == "train: 2,000 of 4,000"
    meter("train", 4000, 4000)
    assert meter.reading.fraction == 1.0


def test_it_never_goes_back_within_an_attempt() -> None:
    meter = Meter({"read": 1, "train": 1})
    meter("train", 1, 2)
    meter("read", 1, 2)
    assert meter.reading.fraction == 0.75
    meter("train", 1, 4)
    assert meter.reading.fraction == 0.75


def test_an_unknown_total_or_step_is_said_but_not_counted() -> None:
    meter = Meter({"read": 1, "train": 1})
    meter("train", 12, None)
    assert meter.reading.fraction == 0.5
    assert meter.reading.message == "train: 12"
    meter("something else", 1, 2)
    assert meter.reading.fraction == 0.5
    assert meter.reading.message == "something else: 1 of 2"
    meter("train", 9, 3)
    assert meter.reading.fraction == 1.0, "more than all is all"


def test_without_steps_each_counts_by_itself() -> None:
    meter = Meter({})
    meter("a", 0, None)
    assert meter.reading.fraction is None
    meter("a", 3, 4)
    assert meter.reading.fraction == 0.75
    meter("b", 1, 4)
    assert meter.reading.fraction == 0.25


def test_the_time_left_follows_the_rate() -> None:
    clock = Clock()
    meter = Meter({"a": 1}, clock)
    for done in range(11):
        meter("a", done, 100)
        if done == 0:
            assert meter.reading.eta is None
        clock.now += 1
    assert meter.reading.eta == pytest.approx(90, abs=0.1)


def test_what_an_earlier_attempt_had_done_is_no_speed() -> None:
    clock = Clock()
    meter = Meter({"a": 1}, clock)
    for done in range(80, 91):
        meter("a", done, 100)
        clock.now += 1
    assert meter.reading.eta == pytest.approx(10, abs=0.1)


def test_a_hiccup_does_not_throw_the_time_left_about() -> None:
    clock = Clock()
    meter = Meter({"a": 1}, clock)
    for done in range(101):
        meter("a", done, 1000)
        clock.now += 1
    for done in range(101, 103):
        meter("a", done, 1000)
        clock.now += 4
    assert meter.reading.eta is not None
    assert 900 < meter.reading.eta < 1800


def test_a_thousand_reports_at_the_same_moment_are_no_infinite_speed() -> None:
    clock = Clock()
    meter = Meter({"a": 1}, clock)
    for done in range(100):
        meter("a", done, 1000)
    assert meter.reading.eta is None
    clock.now += 10
    meter("a", 200, 1000)
    assert meter.reading.eta == pytest.approx(40)
