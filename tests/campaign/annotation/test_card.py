"""The card of a round, from a campaign that has run; and the advice, rule by rule."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from emberline.campaign import Campaign, CampaignConfig, new_campaign
from emberline.campaign.annotation.advice import advise
from emberline.campaign.annotation.agreement import Share
from emberline.campaign.annotation.card import round_card
from emberline.campaign.annotation.desk import Desk
from emberline.campaign.annotation.guidelines import guidelines_of
from emberline.campaign.annotation.listings import candidates_of_round
from emberline.campaign.config import AnnotationConfig, ControlConfig, PoolConfig, StopConfig
from emberline.errors import ConfigError
from emberline.learn import TrainConfig
from emberline.learn.stopping import Gain
from emberline.provenance import plain


@pytest.fixture(scope="module")
def run(survey: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign with a cold first round, a trained second one, a closing one, and a fourth with open questions."""
    folder = tmp_path_factory.mktemp("card")
    (folder / "guide.md").write_text("# Emission\n\nLook at Hα.", encoding="utf-8")
    config = CampaignConfig(
        name="Card",
        seed=2,
        classes=("none", "emission"),
        targets=("emission",),
        recipe="halpha-140",
        pool=PoolConfig(archives=(survey / "survey",)),
        train=TrainConfig(members=1, epochs=2, epoch_steps=5),
        control=ControlConfig(per_round=10, final=40),
        stop=StopConfig(rounds=2),
        annotation=AnnotationConfig(guidelines=folder / "guide.md", hints={"emission": "Above the continuum."}),
    )
    config = dataclasses.replace(config, query=dataclasses.replace(config.query, batch=30))
    campaign = new_campaign(folder / "campaign", config)
    campaign.run(survey / "truth.csv", who="ann")
    campaign.advance()
    campaign.close()
    return campaign.path


def test_the_card_says_what_the_rounds_came_to(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = Campaign(run)
    monkeypatch.setattr(Campaign, "prepare", lambda *_, **__: pytest.fail("the pool was opened"))
    card = round_card(campaign)
    last = campaign.rounds()[2]["summary"]
    asked = {q.identifier for q in campaign.database.questions(3)}
    known = {label.identifier for label in campaign.labels()}
    assert (card.open_round, card.last_round, card.asked, card.answered) == (3, 2, len(asked), len(asked & known))
    assert card.completeness is not None
    assert card.completeness.value == last["completeness"]["value"]
    assert card.gain is not None
    assert 0 <= card.gain.low <= card.gain.value <= card.gain.high == last["gain"]["high"]
    assert card.gain.n == sum(campaign.rounds()[number]["summary"]["yield"]["labels"] for number in (1, 2))
    assert card.advice.reasons[0].text.startswith("New targets expected of the next 100 labels")
    assert card.completeness_from_draw is None, "nothing more was assumed"
    assert [point.round for point in card.curve] == [0, 1, 2]
    assert card.curve[0].purity is None, "before the first network nothing is estimated"
    assert sum(card.classes.values()) == len(campaign.labels()) == card.annotators["ann"]
    now, then = candidates_of_round(run, 2), candidates_of_round(run, 1)
    assert now is not None
    assert then is not None
    assert card.changes is not None
    assert (card.changes.added, card.changes.removed) == (len(now.keys() - then.keys()), len(then.keys() - now.keys()))
    assert {new.identifier for new in card.new_candidates} <= now.keys() - then.keys()
    assert len(now) == last["candidates"]
    assert json.dumps(plain(dataclasses.asdict(card)), allow_nan=False)


def test_estimates_are_shown_for_finished_rounds_only(make_campaign, run: Path) -> None:  # type: ignore[no-untyped-def]
    card = round_card(make_campaign())
    assert (card.purity, card.completeness, card.changes, card.curve) == (None, None, None, ())
    assert card.advice.verdict == "too early"


def test_second_looks_hold_queries_against_the_model_and_never_control(run: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(run, tmp_path / "copy")
    campaign = Campaign(tmp_path / "copy")
    desk = Desk(campaign, "bob")
    sure = {"none": "emission", "emission": "none"}
    against = {}
    for task in desk.queue(100):
        opinion = desk.view(task.identifier, reveal=True).opinion
        assert opinion is not None
        desk.answer(task.identifier, sure[opinion.suggestion], task=task.token)
        why = desk.view(task.identifier).why
        assert why is not None
        if why.purpose == "query" and opinion.probabilities[opinion.suggestion] >= 0.9:
            against[task.identifier] = opinion.suggestion
    looks = desk.second_looks(3)
    assert against
    assert {look.identifier: look.suggestion for look in looks} == against
    confidences = [look.confidence or 0 for look in looks]
    assert confidences == sorted(confidences, reverse=True)
    desk.answer(looks[0].identifier, looks[0].answer, shown={"second_look": True})
    desk.answer(looks[1].identifier, looks[1].suggestion)
    assert {look.identifier for look in desk.second_looks()} == against.keys() - {x.identifier for x in looks[:2]}


def test_a_repeat_that_was_answered_otherwise_is_offered(make_campaign) -> None:  # type: ignore[no-untyped-def]
    desk = Desk(make_campaign(40, 10, repeats=0.2), "ann")
    seen: set[str] = set()
    wrong = set()
    while tasks := desk.queue(2):
        for task in tasks:
            desk.answer(task.identifier, "bad" if task.identifier in seen else "none", task=task.token)
            wrong |= {task.identifier} & seen
            seen.add(task.identifier)
    assert wrong
    looks = desk.second_looks()
    assert {look.identifier for look in looks} == wrong
    assert {(look.reason, look.answer, look.suggestion) for look in looks} == {("repeat", "none", "bad")}


def test_disputes_wait_for_adjudication_with_their_comments(make_campaign) -> None:  # type: ignore[no-untyped-def]
    campaign = make_campaign(6, 0, overlap=1.0)
    ann, bob = Desk(campaign, "ann"), Desk(campaign, "bob")
    first, second, _ = (task.identifier for task in ann.queue(3))
    for name in (first, second):
        ann.answer(name, "none")
    bob.answer(second, "emission")
    bob.note(second, comment="narrow, but there")
    bob.answer(first, "none")
    (dispute,) = bob.adjudication_queue()
    assert dispute.identifier == second
    assert dispute.answers == {"ann": "none", "bob": "emission"}
    assert dispute.comments == {"bob": "narrow, but there"}
    Desk(campaign, "cid").adjudicate(second, "emission")
    assert bob.adjudication_queue() == []


def test_annotators_are_told_how_to_decide(run: Path, survey: Path, tmp_path: Path) -> None:
    campaign = Campaign(run)
    guide = guidelines_of(campaign)
    assert guide.text.startswith("# Emission")
    assert [one.name for one in guide.classes] == ["none", "emission", "not sure", "bad"]
    emission = guide.classes[1]
    assert (emission.target, emission.hint, len(emission.examples)) == (True, "Above the continuum.", 3)
    labels = {label.identifier: label.answer for label in campaign.labels()}
    assert {labels[example.identifier] for example in emission.examples} == {"emission"}
    assert all(example.values.shape == guide.wavelength.shape for example in emission.examples)
    config = dataclasses.replace(campaign.config, annotation=AnnotationConfig(guidelines=tmp_path / "none.md"))
    with pytest.raises(ConfigError, match=r"none\.md: the guidelines cannot be read"):
        new_campaign(tmp_path / "other", config)
    assert not (tmp_path / "other").exists()


def _share(low: float) -> Share:
    return Share((low + 1) / 2, low, 1.0, 100)


@pytest.mark.parametrize(
    ("labels", "targets", "rounds", "overlap", "completeness", "verdict"),
    [
        (200, 0, 1, 0.99, _share(0.95), "too early"),
        (40, 0, 5, 0.99, _share(0.95), "too early"),  # too few labels to call it dry
        (200, 0, 5, None, _share(0.95), "too early"),
        (200, 1, 5, 0.99, _share(0.95), "stop"),
        (200, 60, 5, 0.99, _share(0.95), "stop"),
        (200, 1, 5, 0.99, _share(0.60), "check"),
        (200, 1, 5, 0.99, None, "check"),
        (200, 1, 5, 0.80, _share(0.60), "go on"),
        (200, 30, 5, 0.99, _share(0.60), "go on"),
        (200, 30, 5, 0.80, _share(0.95), "go on"),
        (60, 1, 5, 0.99, _share(0.60), "go on"),  # 1 of 60 may still be 8.9 %
    ],
)
def test_the_advice_follows_its_rules(
    labels: int, targets: int, rounds: int, overlap: float | None, completeness: Share | None, verdict: str
) -> None:
    advice = advise(labels, targets, rounds, overlap, completeness)
    assert advice.verdict == verdict
    assert [reason.rule for reason in advice.reasons] == ["yield", "candidates", "completeness"]
    assert all((reason.met is None) == (reason.value is None) for reason in advice.reasons)


@pytest.mark.parametrize(("high", "met"), [(2.9, True), (3.1, False)])
def test_the_expected_gain_is_held_against_what_labels_are_worth(high: float, met: bool) -> None:
    reason = advise(200, 0, 3, 0.99, None, Gain(1.0, 0.2, high, 200), 3.0).reasons[0]
    assert (reason.rule, reason.met, reason.limit) == ("yield", met, 0.03)
    assert advise(20, 0, 3, 0.99, None, Gain(1.0, 0.2, high, 20), 3.0).reasons[0].met is None
    verdict = advise(200, 0, 3, 0.8, _share(0.6), Gain(1.0, 0.2, high, 200), 3.0).verdict
    assert verdict == ("check" if met else "go on"), "what labels bring is known, whether the lists still change or not"
