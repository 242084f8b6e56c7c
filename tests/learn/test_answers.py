"""Wrong answers: rates that simulated annotators have are found again, and counts are put right by them."""

from __future__ import annotations

import numpy as np
import pytest

from emberline.learn._sample import SAMPLES
from emberline.learn.answers import Errors, Twice, errors_of_answers


def test_pairs_are_counted() -> None:
    twice = Twice.of([(True, True), (True, False), (False, True), (False, False)])
    assert (twice.both, twice.once, twice.neither, twice.n) == (1, 2, 1, 4)


def test_nothing_answered_twice_says_nothing() -> None:
    assert errors_of_answers(Twice(), np.random.default_rng(1)) is None


def test_rates_of_simulated_annotators_lie_within_the_posterior() -> None:
    rng = np.random.default_rng(5)
    truth = rng.random(3000) < 0.4
    answers = [np.where(truth, rng.random(3000) >= 0.1, rng.random(3000) < 0.02) for _ in range(2)]
    found = errors_of_answers(Twice.of(zip(*(a.tolist() for a in answers), strict=True)), rng)
    assert found is not None
    disagreement = 2 * (0.4 * found.miss * (1 - found.miss) + 0.6 * found.false * (1 - found.false))
    assert np.mean(disagreement) == pytest.approx(np.mean(answers[0] != answers[1]), abs=0.03)
    assert np.quantile(found.miss, 0.005) < 0.1 < np.quantile(found.miss, 0.995)
    assert np.quantile(found.false, 0.005) < 0.02 < np.quantile(found.false, 0.995)


def test_control_answers_bound_false_ones() -> None:
    """Where 2000 answers named no target, hardly one in a thousand can be false."""
    few = Twice(10, 1, 10)
    alone = errors_of_answers(few, np.random.default_rng(2))
    bounded = errors_of_answers(few, np.random.default_rng(2), elsewhere=(0, 2000))
    assert alone is not None
    assert bounded is not None
    assert bounded.false.mean() < 0.002 < alone.false.mean()
    assert bounded.miss.mean() > 0.01


def test_counts_are_put_right() -> None:
    """Of 1000 spectra 300 are called targets: with 10 % missed and 5 % false, 250 / 0.85 are."""
    errors = Errors(np.full(SAMPLES, 0.1), np.full(SAMPLES, 0.05))
    right, missed = errors.split(300.0, 1000, np.random.default_rng(3))
    assert (right + missed).mean() == pytest.approx(250 / 0.85, rel=0.01)
    assert missed.mean() == pytest.approx(25 / 0.85, rel=0.03)
    assert errors.truth(0.0, 0, np.random.default_rng(3)).max() == 0


def test_where_all_are_targets_no_answer_is_false() -> None:
    """Of 100 spectra 99 are called targets; when one in ten is missed, all are, the other too."""
    errors = Errors(np.full(SAMPLES, 0.1), np.full(SAMPLES, 0.05))
    right, missed = errors.split(99.0, 100, np.random.default_rng(3))
    assert right.min() == 99
    assert missed.min() == 1
