"""Candidates carry a probability that is calibrated by answers that no network learnt from, and nothing moves."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from emberline.campaign import Campaign, CampaignConfig, new_campaign, open_campaign
from emberline.campaign.annotation import round_card
from emberline.campaign.config import ControlConfig, PoolConfig, QueryConfig, StopConfig
from emberline.campaign.pool_probability import pool_calibration, pool_evidence
from emberline.campaign.predictions import latest_prediction, load_probabilities, target_probability
from emberline.campaign.results import report_data
from emberline.campaign.summary import final_classes
from emberline.learn import TrainConfig
from emberline.learn.pool_calibration import Evidence, PoolCalibration, faded

COLUMNS = ["calibrated_probability", "calibrated_low", "calibrated_high"]


def _config(survey: Path, control: ControlConfig) -> CampaignConfig:
    return CampaignConfig(
        name="Calibrated",
        classes=("none", "emission"),
        targets=("emission",),
        recipe="halpha-140",
        pool=PoolConfig(archives=(survey / "survey",)),
        train=TrainConfig(members=1, epochs=4, epoch_steps=8),
        query=QueryConfig(batch=16),
        control=control,
        stop=StopConfig(rounds=2),
    )


@pytest.fixture(scope="module")
def finished(survey: Path, tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """Two rounds and a closing one; tests only read it."""
    config = _config(survey, ControlConfig(per_round=12, final=40))
    campaign = new_campaign(tmp_path_factory.mktemp("campaigns") / "calibrated", config)
    campaign.run(survey / "truth.csv")
    return campaign


def _probabilities(campaign: Campaign) -> np.ndarray:
    return np.asarray(load_probabilities(campaign))


def test_candidates_carry_the_curve_and_labels_are_certain(finished: Campaign) -> None:
    table = finished.candidates()
    curve = pool_calibration(finished, _probabilities(finished))
    assert curve.corrects
    labelled = table["label"] != ""
    assert labelled.any()
    for name in COLUMNS:
        assert (table[name][labelled] == 1).all()
    free = table[~labelled]
    assert np.asarray(free["calibrated_probability"]) == pytest.approx(curve(np.asarray(free["probability"])))
    assert (table["calibrated_low"] <= table["calibrated_probability"]).all()
    assert (table["calibrated_probability"] <= table["calibrated_high"]).all()


def test_the_evidence_is_control_answers_and_what_each_round_asked(finished: Campaign) -> None:
    found = pool_evidence(finished, _probabilities(finished))
    control = {label.identifier for label in finished.labels() if label.purpose == "control"}
    asked = finished.database.questions()
    met = {q.identifier for q in asked if q.purpose == "query" and q.identifier in control}
    # The first round had no network, so that nothing was said of what it asked about.
    queries = {q.identifier for q in asked if q.purpose == "query" and q.round == 1}
    assert latest_prediction(finished) == 2
    assert len(found) == len(control - met) + len(queries)
    assert found.weight[-len(queries) :] == pytest.approx(faded(1)), "the queries tested the network of a round ago"


def test_the_list_does_not_depend_on_what_calibrates_it(finished: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    probabilities = _probabilities(finished)
    listed = final_classes(finished, probabilities)
    stated = target_probability(finished, probabilities)
    x = np.linspace(-5, 5, 200)
    wrong = PoolCalibration.fit(Evidence(x, np.zeros(200, bool), np.ones(200)))
    monkeypatch.setattr("emberline.campaign.results.pool_calibration", lambda campaign, probabilities: wrong)
    table = finished.candidates()
    assert len(table) == np.isin(listed, finished.config.target_indices).sum()
    free = table[table["label"] == ""]
    assert (np.asarray(free["probability"]) >= 0.5).all()
    assert (np.asarray(free["calibrated_probability"]) < 0.2).all()
    assert np.isin(np.asarray(table["probability"]), stated).all()


def test_the_columns_are_written_with_their_meaning(finished: Campaign, tmp_path: Path) -> None:
    finished.write_candidates(tmp_path / "candidates.parquet")
    schema = pq.read_schema(tmp_path / "candidates.parquet")
    assert [name for name in schema.names if name.startswith("calibrated_")] == COLUMNS
    assert schema.field("calibrated_high").metadata[b"ucd"] == b"stat.probability;stat.max"
    finished.write_candidates(tmp_path / "candidates.vot")
    assert "true of the pool" in (tmp_path / "candidates.vot").read_text(encoding="utf-8")


def test_the_report_states_it(finished: Campaign) -> None:
    given = report_data(finished).reliability
    assert given is not None
    evidence = pool_evidence(finished, _probabilities(finished))
    assert given.labels == len(evidence)
    assert given.answers_count.sum() == given.labels
    table = finished.candidates()
    free = table[table["label"] == ""]
    assert given.candidates == len(free)
    assert given.promised == pytest.approx(float(np.sum(free["probability"])), abs=1e-3)
    assert given.expected == pytest.approx(float(np.sum(free["calibrated_probability"])), abs=1e-3)


def test_what_somebody_added_by_hand_is_no_evidence(survey: Path, tmp_path: Path) -> None:
    campaign = new_campaign(tmp_path / "by-hand", _config(survey, ControlConfig(per_round=12)))
    campaign.run(survey / "truth.csv", rounds=1)
    number = campaign.advance()
    asked = {q.identifier for q in campaign.database.questions()}
    mine = [str(name) for name in campaign.pool.identifiers if str(name) not in asked][:5]
    campaign.ask_about(mine, "by eye")
    campaign.label(dict.fromkeys(mine, "emission"), who="me")
    found = pool_evidence(campaign, _probabilities(campaign))
    assert number == latest_prediction(campaign)
    assert found.y.sum() <= sum(label.answer == "emission" for label in campaign.labels()) - 5


def test_without_answers_the_probability_stays_and_nothing_is_claimed(
    survey: Path, tmp_path: Path, finished: Campaign
) -> None:
    shutil.copytree(finished.path, tmp_path / "copy")
    campaign = open_campaign(tmp_path / "copy")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("emberline.campaign.pool_probability.pool_evidence", lambda *_: Evidence.none())
        patch.setattr("emberline.campaign.results.pool_evidence", lambda *_: Evidence.none())
        table = campaign.candidates()
        assert report_data(campaign).reliability is None
    free = table[table["label"] == ""]
    assert np.asarray(free["calibrated_probability"]) == pytest.approx(np.asarray(free["probability"]), rel=1e-3)
    assert np.isnan(np.asarray(free["calibrated_low"])).all()


def test_the_summary_and_the_card_say_what_it_makes_of_the_candidates(finished: Campaign) -> None:
    found = finished.rounds()[-1]["summary"]["calibration"]
    evidence = pool_evidence(finished, _probabilities(finished))
    assert (found["labels"], found["targets"]) == (len(evidence), int(evidence.y.sum()))
    assert found["promised"] == pytest.approx(report_data(finished).reliability.promised)
    assert round_card(finished).calibration == found
    assert finished.rounds()[0]["summary"].get("calibration") is None, "the first round had no network"
