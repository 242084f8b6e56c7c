"""κ and shares against values worked out by hand, and from the events of a campaign."""

from __future__ import annotations

import pytest

from emberline.campaign.annotation.agreement import agreement, kappa, wilson
from emberline.campaign.annotation.desk import Desk
from tests.campaign.annotation.conftest import MakeCampaign


def test_kappa_of_two_by_two_is_what_a_hand_finds() -> None:
    """20 and 15 agree, 5 and 10 do not: p_o 0.7, p_e 0.5, κ 0.4.

    Fleiss, Cohen & Everitt by hand: A = 0.4·0.34² + 0.3·0.46² = 0.10972, B = 0.36·(0.1·1.1² + 0.2·0.9²) = 0.10188,
    C = (0.4 − 0.5·0.6)² = 0.01; √0.2016 / (0.5 √50) = 0.126998.
    """
    found = kappa([("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15)
    assert found.value == pytest.approx(0.4)
    assert found.low == pytest.approx(0.4 - 1.959964 * 0.126998, abs=1e-5)
    assert found.high == pytest.approx(0.4 + 1.959964 * 0.126998, abs=1e-5)
    assert found.n == 50


def test_kappa_of_three_classes() -> None:
    """Rows 10 2 0, 1 8 1, 1 2 5: p_o 23/30; p_e (12·12 + 10·12 + 8·6)/900 = 312/900; κ = 378/588."""
    table = {"aa": 10, "ab": 2, "ba": 1, "bb": 8, "bc": 1, "ca": 1, "cb": 2, "cc": 5}
    found = kappa([(pair[0], pair[1]) for pair, count in table.items() for _ in range(count)])
    assert found.value == pytest.approx(378 / 588)


def test_kappa_knows_chance_and_opposition() -> None:
    assert kappa([("y", "y"), ("y", "n"), ("n", "y"), ("n", "n")]).value == pytest.approx(0)
    assert kappa([("y", "n"), ("n", "y")]).value == pytest.approx(-1)


def test_full_agreement_of_few_is_no_certainty() -> None:
    few, many = kappa([("y", "y"), ("n", "n")] * 3), kappa([("y", "y"), ("n", "n")] * 300)
    assert few.value == many.value == 1
    assert few.low is not None
    assert many.low is not None
    assert few.low == pytest.approx(2 * (1 / (1 + 1.959964**2 / 6)) - 1, abs=1e-6), "Wilson's limit is n / (n + z²)"
    assert few.low < 0.3
    assert many.low > 0.98


def test_nothing_is_said_where_nothing_can_be() -> None:
    assert kappa([]).value is None
    assert kappa([("y", "y")] * 9).value is None, "with one answer alone there is no chance to beat"
    assert kappa([("y", "y")] * 9).n == 9
    assert wilson(0, 0).value is None


def test_wilson_against_a_published_value() -> None:
    """Newcombe (1998): 81 of 263 gives 0.2553 to 0.3662."""
    share = wilson(81, 263)
    assert share.low == pytest.approx(0.2553, abs=5e-5)
    assert share.high == pytest.approx(0.3662, abs=5e-5)


def test_annotators_of_a_campaign_are_compared(make_campaign: MakeCampaign) -> None:
    campaign = make_campaign(20, 0, overlap=1.0)
    ann, bob = Desk(campaign, "ann"), Desk(campaign, "bob")
    names = [task.identifier for task in ann.queue(20)]
    for i, name in enumerate(names[:10]):
        ann.answer(name, "emission" if i < 4 else "none")
        bob.answer(name, "emission" if i < 2 or i == 9 else "none")
    (pair,) = agreement(campaign).pairs
    assert (pair.first, pair.second) == ("ann", "bob")
    assert pair.agreed.value == pytest.approx(0.7)
    # p_e = 0.4·0.3 + 0.6·0.7 = 0.54
    assert pair.kappa.value == pytest.approx((0.7 - 0.54) / 0.46)
    assert pair.by_class == pytest.approx({"emission": 4 / 7, "none": 10 / 13})
    assert agreement(campaign).disputed == 3
    ann.undo()
    assert agreement(campaign).pairs[0].agreed.n == 9


def test_silent_repeats_measure_self_consistency(make_campaign: MakeCampaign) -> None:
    campaign = make_campaign(80, 0, repeats=0.2)
    desk = Desk(campaign, "ann")
    seen: dict[str, str] = {}
    wrong = total = 0
    while tasks := desk.queue(2):
        for task in tasks:
            answer = seen.get(task.identifier, "none" if len(seen) % 2 else "emission")
            if task.identifier in seen:
                total += 1
                if answer == "none" and wrong < 2:
                    answer, wrong = "emission", wrong + 1
            seen.setdefault(task.identifier, answer)
            desk.answer(task.identifier, answer, task=task.token)
    (own,) = agreement(campaign).selves
    assert total >= 8
    assert wrong == 2
    assert own.agreed.n == total
    assert own.agreed.value == pytest.approx((total - 2) / total)
    assert own.by_class["emission"].value == 1
    assert own.by_class["none"].value == pytest.approx(1 - 2 / own.by_class["none"].n)
    first_changed = next(name for name in seen if seen[name] == "none")
    desk.answer(first_changed, "bad")
    assert agreement(campaign).selves[0] == own, "a later change of mind does not touch what was said then"
