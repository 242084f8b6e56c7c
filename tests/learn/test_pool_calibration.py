"""The correction for the pool finds shift and slope, keeps the order, and leaves alone what is right or not known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from emberline.errors import CampaignError
from emberline.learn.control import draw_control
from emberline.learn.pool_calibration import Evidence, PoolCalibration, faded

STATED = np.array([1e-4, 0.01, 0.1, 0.3, 0.5, 0.8, 0.97, 0.9999])


def _answers(n: int, seed: int, *, shift: float = 0.0, slope: float = 1.0) -> Evidence:
    """Answers drawn from ``expit(shift + slope x)`` at log odds about the middle."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 2.5, n)
    return Evidence(x, rng.random(n) < expit(shift + slope * x), np.ones(n))


@settings(deadline=None, max_examples=15)
@given(shift=st.floats(-2.0, 1.0), slope=st.floats(0.5, 1.6), seed=st.integers(0, 50))
def test_a_known_shift_and_slope_are_found(shift, slope, seed):
    found = PoolCalibration.fit(_answers(6000, seed, shift=shift, slope=slope))
    assert found.intercept == pytest.approx(shift, abs=0.25)
    assert found.slope == pytest.approx(slope, rel=0.15)
    true = expit(shift + slope * np.log(STATED / (1 - STATED)))
    assert np.abs(found(STATED) - true).max() < 0.05


@settings(deadline=None, max_examples=25)
@given(
    shift=st.floats(-4.0, 4.0), slope=st.floats(0.1, 4.0), n=st.integers(0, 60), background=st.floats(0, 0.3),
    seed=st.integers(0, 50),
)  # fmt: skip
def test_no_two_spectra_change_places(shift, slope, n, background, seed):
    found = PoolCalibration.fit(_answers(n, seed, shift=shift, slope=slope), background=background)
    stated = np.concatenate([[0.0], np.geomspace(1e-9, 0.5, 60), 1 - np.geomspace(0.5, 1e-9, 60), [1.0]])
    value, (low, high) = found(stated), found.interval(stated)
    assert ((value >= 0) & (value <= 1)).all()
    assert (np.diff(value) >= 0).all()
    if found.corrects:
        assert (np.diff([low, high]) >= 0).all()
        assert (np.diff([low, value, high], axis=0) >= -1e-6).all()


def test_what_is_true_already_stays():
    found = PoolCalibration.fit(_answers(20_000, 3))
    assert np.abs(found(STATED) - STATED).max() < 0.012


def test_without_answers_nothing_is_corrected():
    for n in (0, 9):
        found = PoolCalibration.fit(_answers(n, 1, shift=-3))
        assert not found.corrects
        assert found(STATED) == pytest.approx(STATED, rel=1e-3)
        assert np.isnan(found.interval(STATED)).all()
        assert (found.intercept, found.slope) == (0.0, 1.0)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """Truth drawn from the prior; a posterior interval then holds it in 95 % of the cases."""
    rng, held = np.random.default_rng(0), []
    for seed in range(150):
        shift, slope = rng.normal(0, 1.0), np.exp(rng.normal(0, 0.3))
        low, high = PoolCalibration.fit(_answers(80, seed, shift=shift, slope=slope)).interval(STATED)
        true = expit(shift + slope * np.log(STATED / (1 - STATED)))
        held.append((low <= true) & (true <= high))
    assert 0.9 <= np.mean(held) <= 0.995


def test_more_answers_make_the_interval_narrower():
    few, many = (PoolCalibration.fit(_answers(n, 5, shift=-1)).interval(np.array([0.5])) for n in (40, 4000))
    assert many[1] - many[0] < 0.3 * (few[1] - few[0])


def test_an_answer_of_weight_two_counts_as_two():
    one = _answers(60, 2, shift=-1)
    twice = Evidence.join([one, one])
    heavy = Evidence(one.x, one.y, np.full(len(one), 2.0))
    assert PoolCalibration.fit(heavy)(STATED) == pytest.approx(PoolCalibration.fit(twice)(STATED), rel=1e-4)


def test_a_background_keeps_the_faintest_from_nothing():
    found = PoolCalibration.fit(_answers(500, 2), background=0.02)
    assert found(np.array([1e-7]))[0] == pytest.approx(0.02, rel=0.05)


def _pool(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """What a network says that states too much and is too sure, and the truth."""
    rng = np.random.default_rng(seed)
    x = rng.normal(-5, 3, n)
    return expit(x), rng.random(n) < expit(-1.5 + 0.7 * x)


def test_a_control_sample_that_prefers_the_probable_corrects_the_whole_pool():
    gap = {"stated": 0.0, "calibrated": 0.0}
    for seed in range(6):
        scores, truth = _pool(20_000, seed)
        draw = draw_control(scores, np.ones(len(scores), bool), 300, np.random.default_rng(seed))
        answers = {int(row): int(truth[row]) for row in draw.rows}
        found = PoolCalibration.fit(Evidence.of_control([draw], answers, {}, [1], scores))
        high = scores >= 0.05
        gap["stated"] += (scores[high].sum() - truth[high].sum()) / truth[high].sum()
        gap["calibrated"] += (found(scores[high]).sum() - truth[high].sum()) / truth[high].sum()
    assert gap["stated"] / 6 > 0.4
    assert abs(gap["calibrated"] / 6) < 0.1


def test_known_rows_and_unsure_answers_are_no_evidence_of_the_control_sample():
    scores, truth = _pool(4000, 1)
    draw = draw_control(scores, np.ones(len(scores), bool), 60, np.random.default_rng(1))
    answers: dict[int, int | None] = {int(row): int(truth[row]) for row in draw.rows}
    known = {int(draw.rows[0]): answers[int(draw.rows[0])]}
    answers[int(draw.rows[1])] = None
    assert len(Evidence.of_control([draw], answers, known, [1], scores)) == 58


def test_a_control_sample_kept_from_the_strategies_is_refused():
    scores, truth = _pool(4000, 2)
    draw = draw_control(scores, np.ones(len(scores), bool), 400, np.random.default_rng(1))
    answers = {int(row): int(truth[row]) for row in draw.rows}
    best = [row for row in np.argsort(-scores).tolist() if row not in answers][:300]
    with pytest.raises(CampaignError, match="kept from control rows"):
        Evidence.of_control([draw], answers, {row: int(truth[row]) for row in best}, [1], scores)


def test_bins_hold_every_answer_once():
    evidence = _answers(400, 7)
    stated, share, count = evidence.binned(10)
    assert count.sum() == 400
    assert (np.diff(stated) > 0).all()
    assert (share * count).sum() == pytest.approx(evidence.y.sum())
    assert [len(part) for part in Evidence.none().binned(10)] == [0, 0, 0]


def test_queries_count_less_than_control_answers_and_older_ones_less_still():
    assert 0 < faded(2) < faded(1) < faded(0) < 1


def test_a_chance_that_rises_with_the_score_changes_no_weight():
    """Given the score, the share of targets does not depend on how frequently the score was drawn."""
    scores, truth = _pool(20_000, 4)
    draw = draw_control(scores, np.ones(len(scores), bool), 200, np.random.default_rng(4))
    answers = {int(row): int(truth[row]) for row in draw.rows}
    weight = Evidence.of_control([draw], answers, {}, [1], scores).weight
    assert np.median(weight) == pytest.approx(1.0, abs=0.1)
    assert ((weight > 0.2) & (weight <= 4)).all()


def test_answers_that_an_earlier_network_preferred_count_less():
    """An earlier network saw half of the pool, by the coin, as likelier targets, and its draw preferred them."""
    rng = np.random.default_rng(6)
    scores, _ = _pool(20_000, 6)
    preferred = rng.random(len(scores)) < 0.5
    strata = np.where(preferred, 0, 1).astype(np.int8)
    truth = rng.random(len(scores)) < np.clip(scores * np.where(preferred, 1.6, 0.4), 0, 1)
    available = np.ones(len(scores), bool)
    draw = draw_control(scores, available, 3000, rng, strata=strata, shares=[0.8, 0.2])
    answers = {int(row): int(truth[row]) for row in draw.rows}
    evidence = Evidence.of_control([draw], answers, {}, [1], scores)
    plain = Evidence(evidence.x, evidence.y, np.ones(len(evidence)))
    gap = [abs(float(PoolCalibration.fit(one)(scores).sum()) - truth.sum()) / truth.sum() for one in (evidence, plain)]
    assert gap[0] < 0.15
    assert gap[1] > 2 * gap[0] + 0.05
