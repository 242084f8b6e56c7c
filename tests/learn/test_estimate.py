"""Estimates: exact where all is known, right by hand on small examples, and intervals that hold what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from coverage_of_estimates import Plan, coverage
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from emberline.errors import CampaignError
from emberline.learn.answers import Twice
from emberline.learn.control import ControlDraw, draw_control
from emberline.learn.estimate import Estimate, estimate


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def one_stratum(n: int, rows: list[int]) -> ControlDraw:
    return ControlDraw(np.zeros(n, dtype=np.int8), np.array(rows, dtype=np.int64))


def test_a_small_example_by_hand() -> None:
    """Ten rows, two strata: of four predicted two are drawn, one true; of six others three are drawn, one true."""
    draw = ControlDraw(np.array([0] * 4 + [1] * 6, dtype=np.int8), np.array([0, 1, 4, 5, 6]))
    predicted = np.array([1] * 4 + [0] * 6)
    found = estimate([draw], {0: 1, 1: 0, 4: 1, 5: 0, 6: 0}, predicted, {}, [1], rng=rng())
    assert found.purity.value == pytest.approx(0.5)  # 1/2 of 4
    assert found.completeness.value == pytest.approx(2 / 4)  # 2 found, 1/3 of 6 missed
    assert (found.purity.n, found.completeness.n, found.labels) == (2, 5, 5)
    assert found.purity.low == pytest.approx(0.25)  # one true, one false of four are certain
    assert found.purity.high == pytest.approx(0.75)


def test_known_rows_are_counted_not_estimated() -> None:
    """Known: a hit and a missed one. Unknown: four predicted, all drawn, three true; six others, all drawn, none."""
    draw = ControlDraw(np.array([-1, -1] + [0] * 10, dtype=np.int8), np.arange(2, 12))
    predicted = np.array([1, 0] + [1] * 4 + [0] * 6)
    answers = dict.fromkeys(range(2, 5), 1) | dict.fromkeys(range(5, 12), 0)
    found = estimate([draw], answers, predicted, {0: 1, 1: 1}, [1], rng=rng())
    assert found.purity == Estimate(4 / 5, 4 / 5, 4 / 5, 4)
    assert found.completeness == Estimate(4 / 5, 4 / 5, 4 / 5, 10)


def test_control_rows_that_were_asked_about_leave_the_sample() -> None:
    """Eight predicted, four drawn; the strategy took 0 to 3, two of them control rows; of four left two are drawn."""
    draw = one_stratum(8, [0, 1, 4, 5])
    answers: dict[int, int | None] = {0: 1, 1: 1, 4: 1, 5: 0}
    known = {0: 1, 1: 1, 2: 1, 3: 1}
    found = estimate([draw], answers, np.ones(8, dtype=int), known, [1], rng=rng())
    assert found.purity.value == pytest.approx((4 + 4 * 0.5) / 8)
    assert found.purity.n == 2


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 60))
def test_a_census_is_exact(seed: int, n: int) -> None:
    random = np.random.default_rng(seed)
    truth, predicted = random.integers(0, 3, n), random.integers(0, 3, n)
    known = {int(row): int(truth[row]) for row in np.flatnonzero(random.random(n) < 0.3)}
    available = np.ones(n, dtype=bool)
    available[list(known)] = False
    draw = draw_control(random.random(n), available, n, random)
    answers = {row: int(truth[row]) for row in draw.rows.tolist()}
    found = estimate([draw], answers, predicted, known, [1, 2], rng=random)
    called, true = predicted > 0, truth > 0
    hits = np.count_nonzero(called & true)
    shares = [(found.purity, hits, called.sum()), (found.completeness, hits, true.sum())]
    for target in (1, 2):
        mine = predicted == target
        shares.append((found.purity_by_class[target], np.count_nonzero(mine & (truth == target)), mine.sum()))
    for got, part, whole in shares:
        expected = part / whole if whole else math.nan
        assert (got.value, got.low, got.high) == pytest.approx((expected,) * 3, nan_ok=True)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_the_interval_holds_the_value_and_stays_within_zero_and_one(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth, score = random.integers(0, 2, 300), random.random(300)
    draw = draw_control(score, random.random(300) < 0.9, int(random.integers(1, 100)), random)
    answers: dict[int, int | None] = {row: int(truth[row]) for row in draw.rows.tolist()}
    found = estimate([draw], answers, (score > 0.6).astype(int), {}, [1], rng=random)
    for got in (found.purity, found.completeness):
        assert math.isnan(got.value) or 0 <= got.low <= got.value <= got.high <= 1


def test_one_stratum_gives_the_mid_p_hypergeometric_interval() -> None:
    """N = 60, n = 20, 3 positive: bounds where a tail, with half of what was seen, falls to 2.5 %."""
    draw = one_stratum(60, list(range(20)))
    answers = dict.fromkeys(range(3), 1) | dict.fromkeys(range(3, 20), 0)
    found = estimate([draw], answers, np.ones(60, dtype=int), {}, [1], rng=rng()).purity
    totals = np.arange(3, 44)
    half = stats.hypergeom.pmf(3, 60, totals, 20) / 2
    upper = totals[stats.hypergeom.cdf(3, 60, totals, 20) - half > 0.025].max()
    lower = totals[stats.hypergeom.sf(2, 60, totals, 20) - half > 0.025].min()
    assert (found.low * 60, found.high * 60) == pytest.approx((lower, upper), abs=1.01)


def test_no_positive_in_the_sample_is_not_certainty() -> None:
    draw = ControlDraw(np.array([0] * 10 + [1] * 1000, dtype=np.int8), np.arange(110))
    predicted = np.array([1] * 10 + [0] * 1000)
    answers = dict.fromkeys(range(10), 1) | dict.fromkeys(range(10, 110), 0)
    completeness = estimate([draw], answers, predicted, {}, [1], rng=rng()).completeness
    # Mid-p: half of the chance of what was seen counts.
    most = np.arange(900)[stats.hypergeom.pmf(0, 1000, np.arange(900), 100) / 2 > 0.025].max()
    assert completeness.value == 1.0
    assert completeness.low == pytest.approx(10 / (10 + most), rel=0.1)


@pytest.mark.parametrize("draws", [[], [one_stratum(5, [0, 1])]])
def test_without_control_answers_there_is_no_estimate(draws: list[ControlDraw]) -> None:
    found = estimate(draws, {}, np.array([1, 0, 1, 0, 0]), {}, [1], rng=rng())
    for got in (found.purity, found.completeness, found.purity_by_class[1]):
        assert math.isnan(got.value)
        assert math.isnan(got.low)
        assert math.isnan(got.high)
        assert got.n == 0


def test_not_sure_counts_as_not_drawn() -> None:
    draw = one_stratum(6, [0, 1, 2, 3])
    answers: dict[int, int | None] = {0: 1, 1: 0, 2: None}
    found = estimate([draw], answers, np.ones(6, dtype=int), {5: None}, [1], rng=rng())
    assert found.purity.value == pytest.approx(0.5)
    assert (found.purity.n, found.labels, found.unsure) == (2, 2, 1)


def test_corrected_judges_the_catalogue_that_took_the_answers_over() -> None:
    """Of four predicted rows two are drawn, one true: the false one leaves, of the others half are true."""
    draw = ControlDraw(np.array([0] * 4 + [1] * 6, dtype=np.int8), np.array([0, 1, 4, 5, 6]))
    predicted = np.array([1] * 4 + [0] * 6)
    answers: dict[int, int | None] = {0: 1, 1: 0, 4: 1, 5: 0, 6: 0}
    found = estimate([draw], answers, predicted, {}, [1], rng=rng(), corrected=True)
    assert found.purity.value == pytest.approx((1 + 1 + 1) / (1 + 1 + 2))
    assert found.completeness.value == pytest.approx(3 / (3 + 1))


def test_two_draws_are_weighted_by_the_chance_of_being_in_either() -> None:
    """All rows predicted; rows 0–3 could be drawn twice (1/2 and 1/2: chance 3/4), rows 4–7 only once (1/2)."""
    first = ControlDraw(np.array([0] * 8, dtype=np.int8), np.array([0, 1, 4, 5]))
    second = ControlDraw(np.array([0] * 4 + [-1] * 4, dtype=np.int8), np.array([1, 2]))
    answers: dict[int, int | None] = {0: 1, 1: 1, 2: 0, 4: 0, 5: 0}
    found = estimate([first, second], answers, np.ones(8, dtype=int), {}, [1], rng=rng())
    assert found.purity.value == pytest.approx((4 * 2 / 3 + 4 * 0) / 8)


def test_hidden_control_rows_are_refused() -> None:
    draw = one_stratum(1000, list(range(500)))
    answers: dict[int, int | None] = dict.fromkeys(range(500), 0)
    known = dict.fromkeys(range(500, 700), 1)
    with pytest.raises(CampaignError, match=r"kept from control rows.*about 100"):
        estimate([draw], answers, np.ones(1000, dtype=int), known, [1], rng=rng())


def test_many_draws_end_in_few_groups_and_the_same_generator_gives_the_same_numbers() -> None:
    def once() -> Estimate:
        random = np.random.default_rng(8)
        truth, answers, draws = random.integers(0, 2, 4000), {}, []
        for _ in range(8):
            draws.append(draw_control(random.random(4000), np.ones(4000, dtype=bool), 60, random))
            answers |= {row: int(truth[row]) for row in draws[-1].rows.tolist()}
        return estimate(draws, answers, np.ones(4000, dtype=int), {}, [1], rng=random).purity

    found = once()
    assert found == once()
    assert found.value == pytest.approx(0.5, abs=0.12)
    assert found.high - found.low < 0.35


@pytest.mark.parametrize("prevalence", [0.003, 0.01])
@pytest.mark.parametrize(
    ("control", "corrected", "clump"), [((120,), False, 1), ((80, 0, 0), False, 3), ((40, 40, 40), True, 1)]
)
def test_coverage(prevalence: float, control: tuple[int, ...], corrected: bool, clump: int) -> None:
    """At 95 % coverage more than 8 misses in 60 surveys have a chance of 0.3 %."""
    plan = Plan(prevalence, 5.0, control, batch=20, n=3000, clump=clump, corrected=corrected)
    for rows in coverage(plan, 60).values():
        assert np.count_nonzero(rows[:, 0] == 0) <= 8


def test_no_purity_is_claimed_of_predictions_that_no_control_label_has_seen() -> None:
    predicted = np.repeat([1, 0], [10, 90])
    assignment = np.where(np.arange(100) < 5, -1, 0).astype(np.int8)
    draw = ControlDraw(assignment, np.arange(50, 60))
    answers, known = dict.fromkeys(range(50, 60), 0), dict.fromkeys(range(5), 1)
    found = estimate([draw], answers, predicted, known, (1,), rng=np.random.default_rng(1))
    assert math.isnan(found.purity.value)
    predicted[5:10] = 0
    exact = estimate([draw], answers, predicted, known, (1,), rng=np.random.default_rng(1)).purity
    assert (exact.value, exact.low, exact.high) == (1, 1, 1), "what is known needs no sample"


def survey_with_scores(
    seed: int, hidden: float = 0.0
) -> tuple[np.ndarray, np.ndarray, ControlDraw, np.random.Generator]:
    """20,000 spectra, 1 % targets, of which a share looks like anything else; scores and a draw of 300."""
    random = np.random.default_rng(seed)
    truth = (random.random(20_000) < 0.01).astype(np.int64)
    seen = np.where(random.random(20_000) < hidden, 0, truth)
    scores = 1 / (1 + np.exp(-2 * (random.normal(size=20_000) + 4 * seen - 3.2)))
    available = np.ones(20_000, dtype=bool)
    return truth, scores, draw_control(scores, available, 300, random, assume="scores"), random


def test_scores_narrow_the_completeness_and_hold_the_truth() -> None:
    """Over 20 surveys: more than 4 misses at 95 % have a chance of 0.3 %; the draw alone is told as well."""
    missed, widths = 0, []
    for seed in range(20):
        truth, scores, draw, random = survey_with_scores(seed)
        answers = {row: int(truth[row]) for row in draw.rows.tolist()}
        predicted = (scores >= 0.5).astype(np.int64)
        found = estimate([draw], answers, predicted, {}, [1], rng=random, scores=scores)
        true = truth[predicted == 1].sum() / truth.sum()
        missed += not found.completeness.low <= true <= found.completeness.high
        plain = found.completeness_from_draw
        widths.append((found.completeness.high - found.completeness.low) / (plain.high - plain.low))
        assert found.assumed == "scores"
    assert missed <= 4
    assert np.mean(widths) < 0.6


def test_scores_are_not_believed_when_nothing_is_assumed_or_nothing_was_found() -> None:
    truth, scores, draw, _ = survey_with_scores(1)
    answers = {row: int(truth[row]) for row in draw.rows.tolist()}
    predicted = (scores >= 0.5).astype(np.int64)
    refused = estimate([draw], answers, predicted, {}, [1], rng=rng(), scores=scores, assume="nothing")
    assert (refused.assumed, refused.completeness) == ("nothing", refused.completeness_from_draw)
    few = estimate([draw], dict.fromkeys(answers, 0), predicted, {3: 1}, [1], rng=rng(), scores=scores)
    assert few.assumed == "nothing", "from no target among the control labels nothing can be learnt of their scores"


def test_groups_without_a_target_may_sum_to_none() -> None:
    """Twelve groups, none with a target in its sample: all of them may be empty, so nothing need have been missed."""
    assignment = np.repeat(np.arange(13), 200).astype(np.int8)
    rows = np.concatenate([np.arange(200 * h, 200 * h + 8 + 4 * h) for h in range(13)])
    predicted = (assignment == 0).astype(np.int64)
    answers = {row: int(row < 200) for row in rows.tolist()}
    assert estimate([ControlDraw(assignment, rows)], answers, predicted, {}, [1], rng=rng()).completeness.high == 1.0


def test_wrong_answers_widen_the_intervals() -> None:
    truth, scores, draw, _ = survey_with_scores(4)
    answers = {row: int(truth[row]) for row in draw.rows.tolist()}
    predicted = (scores >= 0.5).astype(np.int64)

    def purity(twice: Twice | None) -> Estimate:
        return estimate([draw], answers, predicted, {}, [1], rng=rng(), twice=twice).purity

    trusted, sure, doubtful = purity(None), purity(Twice(300, 0, 900)), purity(Twice(30, 12, 60))
    assert purity(Twice()) == trusted, "without repeats nothing is known of errors"
    assert sure.high - sure.low < 1.5 * (trusted.high - trusted.low)
    assert doubtful.high - doubtful.low > 1.2 * (trusted.high - trusted.low)
    for found in (sure, doubtful):
        assert found.low <= trusted.low
        assert found.high >= trusted.high
