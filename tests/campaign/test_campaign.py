"""A campaign from its first round to its catalogue: resumed, replayed, and refusing what does not fit."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emberline.archive import ingest_blocks
from emberline.campaign import Campaign, CampaignConfig, new_campaign, open_campaign, read_status
from emberline.campaign.config import ControlConfig, PoolConfig, QueryConfig, StartConfig, StopConfig
from emberline.campaign.training import training_set
from emberline.campaign.trust import candidate_trust
from emberline.config import to_toml
from emberline.errors import CampaignError, ConfigError, EmberlineError, NewerVersionError
from emberline.learn import TrainConfig
from tests.campaign.conftest import lines, write_truth


@pytest.fixture(scope="module")
def finished(survey: Path, tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """A campaign that has run to its end; tests only read it."""
    config = CampaignConfig(
        name="Finished",
        classes=("none", "emission"),
        targets=("emission",),
        recipe="halpha-140",
        pool=PoolConfig(archives=(survey / "survey",)),
        train=TrainConfig(members=1, epochs=8, epoch_steps=10),
        control=ControlConfig(per_round=10, final=60),
        stop=StopConfig(rounds=2),
    )
    config = dataclasses.replace(config, query=dataclasses.replace(config.query, batch=30))
    campaign = new_campaign(tmp_path_factory.mktemp("campaigns") / "finished", config)
    campaign.run(survey / "truth.csv")
    return campaign


def _answers(campaign: Campaign) -> list[tuple[str, str, str, int]]:
    return [(label.identifier, label.answer, label.purpose, label.round) for label in campaign.labels()]


def test_it_finds_the_targets_with_few_labels(finished: Campaign) -> None:
    last = finished.rounds()[-1]["summary"]
    assert last["labels_query"] == 60
    drawn = [q.identifier for q in finished.database.questions() if q.purpose == "control"]
    assert len(drawn) == 80
    assert last["labels_control"] == len(set(drawn)) > 70, "a spectrum drawn twice is asked about once"
    assert last["truth"]["completeness"] >= 0.95
    assert last["truth"]["purity"] >= 0.95


def test_the_estimates_come_with_intervals_that_hold_the_truth(finished: Campaign) -> None:
    last = finished.rounds()[-1]["summary"]
    for name in ("purity", "completeness"):
        estimate = last[name]
        assert 0 <= estimate["low"] <= estimate["value"] <= estimate["high"] <= 1
        assert estimate["low"] <= last["truth"][name] <= estimate["high"]


def test_control_labels_are_never_trained_on_and_never_queried(finished: Campaign) -> None:
    control = {label.identifier for label in finished.labels() if label.purpose == "control"}
    query = {label.identifier for label in finished.labels() if label.purpose == "query"}
    assert control
    assert not control & query
    assert set(training_set(finished).identifiers.tolist()) == query


def test_no_object_is_queried_twice(finished: Campaign) -> None:
    queried = [label.identifier for label in finished.labels() if label.purpose == "query"]
    objects = finished.pool.objects[finished.pool.rows(queried)]
    assert len(set(objects.tolist())) == len(objects)


def test_candidates_are_targets_by_label_or_by_network(finished: Campaign) -> None:
    table = finished.candidates()
    assert len(table) == finished.rounds()[-1]["summary"]["candidates"]
    unlabelled = table[table["label"] == ""]
    assert set(table["label"]) <= {"", "emission"}
    assert (unlabelled["probability"] >= 0.5).all()
    assert list(table["probability"]) == sorted(table["probability"], reverse=True)
    assert len(set(table["identifier"])) == len(table)


def test_candidates_say_how_far_they_are_to_be_trusted(finished: Campaign) -> None:
    table = finished.candidates()
    assert ((table["disagreement"] >= 0) & (table["disagreement"] <= 0.5)).all()
    assert (table["training_distance"] >= 0).all()
    flagged = table["unlike_training"]
    assert flagged.sum() < 0.5 * len(table)
    if flagged.any():
        assert table["training_distance"][flagged].min() > table["training_distance"][~flagged].max()
    again = finished.candidates()
    assert np.array_equal(table["disagreement"], again["disagreement"]), "the same passes each time"


def test_what_is_like_no_label_is_far_from_the_training_set(finished: Campaign) -> None:
    """Some unlabelled rows of the pool become something that nothing in the survey resembles."""
    campaign = open_campaign(finished.path)
    labelled = campaign.pool.rows(training_set(campaign).identifiers.tolist())
    rows = np.setdiff1d(np.arange(len(campaign.pool)), labelled)[:60]
    ordinary = candidate_trust(campaign, rows)
    values = np.array(campaign.pool.values)
    values[rows] = 4.0 * np.sin(np.arange(values.shape[1]) / 7.0)
    campaign._pool = dataclasses.replace(campaign.pool, values=values)
    strange = candidate_trust(campaign, rows)
    assert strange.unlike_training.all()
    assert ordinary.unlike_training.mean() < 0.2
    assert strange.training_distance.min() > ordinary.training_distance.max()


def test_status_is_json_and_needs_no_pool(finished: Campaign) -> None:
    status = read_status(finished.path)
    assert json.loads(json.dumps(status)) == status
    assert (status["labels"]["start"], status["labels"]["query"]) == (0, 60)
    assert [row["number"] for row in status["rounds"]] == [0, 1, 2]


def test_running_again_changes_nothing_and_more_rounds_go_on(finished: Campaign, survey: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(finished.path, folder)
    campaign = open_campaign(folder)
    before = _answers(campaign)
    campaign.run(survey / "truth.csv")
    assert _answers(campaign) == before
    campaign.run(survey / "truth.csv", rounds=3)
    assert len(campaign.rounds()) == 5
    assert sum(label.purpose == "query" for label in campaign.labels()) == 90


def test_the_same_campaign_replayed_gives_the_same_result(config: CampaignConfig, survey: Path, tmp_path: Path) -> None:
    runs = []
    for name in ("one", "two"):
        campaign = new_campaign(tmp_path / name, config)
        campaign.run(survey / "truth.csv")
        runs.append((_answers(campaign), np.array(campaign.probabilities())))
    assert runs[0][0] == runs[1][0]
    np.testing.assert_array_equal(runs[0][1], runs[1][1])


_PROGRAM = """
import sys, emberline
def say(step, done, total):
    print(step, flush=True)
emberline.open_campaign(sys.argv[1]).run(sys.argv[2], progress=say)
"""


def _run_and_kill(folder: Path, oracle: Path, step: str) -> None:
    """Run a campaign in another process and kill it the moment it says `step`."""
    command = [sys.executable, "-c", _PROGRAM, str(folder), str(oracle)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(step):
                os.kill(process.pid, signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL, "it was over before it could be killed"


def test_a_run_killed_in_every_step_resumes_to_the_same_result(
    config: CampaignConfig, survey: Path, tmp_path: Path
) -> None:
    whole = new_campaign(tmp_path / "whole", config)
    whole.run(survey / "truth.csv")
    killed = new_campaign(tmp_path / "killed", config).path
    for step in ("query", "train", "predict", "query"):
        _run_and_kill(killed, survey / "truth.csv", step)
    campaign = open_campaign(killed)
    campaign.run(survey / "truth.csv")
    assert _answers(campaign) == _answers(whole)
    np.testing.assert_array_equal(np.array(campaign.probabilities()), np.array(whole.probabilities()))


@pytest.mark.parametrize("step", ["train", "predict", "query"])
def test_a_round_interrupted_in_a_step_resumes_there(
    config: CampaignConfig, survey: Path, tmp_path: Path, step: str
) -> None:
    campaign = new_campaign(tmp_path / "campaign", config)
    campaign.run(survey / "truth.csv", rounds=1)
    campaign.database.close()
    campaign = open_campaign(tmp_path / "campaign")

    def interrupt(name: str, done: int, total: int | None) -> None:
        if name.startswith(step):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        campaign.run(survey / "truth.csv", progress=interrupt)
    open_round = campaign.current_round()
    assert open_round is not None
    assert step not in campaign.database.steps(open_round["number"])
    campaign.run(survey / "truth.csv")
    assert campaign.current_round() is None
    assert campaign.rounds()[-1]["summary"]["truth"]


def test_two_runs_at_once_are_refused(config: CampaignConfig, survey: Path, tmp_path: Path) -> None:
    campaign = new_campaign(tmp_path / "campaign", config)

    def oracle(identifiers: Any) -> list[str]:
        with pytest.raises(EmberlineError, match="another run works on this campaign"):
            open_campaign(tmp_path / "campaign").run(survey / "truth.csv")
        return ["none"] * len(identifiers)

    campaign.run(oracle, rounds=1)


def test_answers_that_are_no_class_are_kept_and_not_trained_on(config: CampaignConfig, tmp_path: Path) -> None:
    campaign = new_campaign(tmp_path / "campaign", config)
    kinds = ["not sure", "bad", "none", "emission"]
    campaign.run(lambda names: [kinds[i % 4] for i in range(len(names))], rounds=1, who="dice")
    assert set(training_set(campaign).labels.tolist()) == {0, 1}
    assert len(training_set(campaign).labels) == 12
    assert campaign.status()["answers"]["bad"] > 0
    control = [label.answer for label in campaign.labels() if label.purpose == "control"]
    assert campaign.rounds()[-1]["summary"]["unsure"] == sum(answer in kinds[:2] for answer in control) > 0


def test_an_oracle_that_knows_nothing_is_an_error(config: CampaignConfig, tmp_path: Path) -> None:
    campaign = new_campaign(tmp_path / "campaign", config)
    with pytest.raises(CampaignError, match="answered none of the questions"):
        campaign.run(lambda names: [None] * len(names))


def test_questions_without_an_answer_are_asked_again(config: CampaignConfig, survey: Path, tmp_path: Path) -> None:
    campaign = new_campaign(tmp_path / "campaign", config)
    truth = campaign._oracle(survey / "truth.csv")[1]
    assert truth is not None
    half = {name: answer for name, answer in truth.items() if int(name[-1]) % 2}
    campaign.run(half)
    waiting = {question.identifier for question in campaign.unanswered()}
    assert waiting
    assert campaign.status()["unanswered"] == len(waiting)
    rounds = len(campaign.rounds())
    campaign.run(survey / "truth.csv")
    assert waiting <= {label.identifier for label in campaign.labels()}
    assert campaign.status()["unanswered"] == 0
    assert len(campaign.rounds()) == rounds + 1, "the late answers are learnt from"


def test_labels_that_a_campaign_started_from_stand_in_its_catalogue(
    config: CampaignConfig, survey: Path, tmp_path: Path
) -> None:
    truth = dict(line.split(",") for line in (survey / "truth.csv").read_text().split()[1:])
    wrong = {name: {"emission": "none", "none": "emission"}[answer] for name, answer in list(truth.items())[:60]}
    start = StartConfig(archive=survey / "survey", table=write_truth(tmp_path / "start.csv", wrong))
    campaign = new_campaign(tmp_path / "campaign", dataclasses.replace(config, start=(start,)))
    campaign.run(survey / "truth.csv", rounds=1)
    table = campaign.candidates()
    started = {row["identifier"] for row in table if row["label_purpose"] == "start"}
    assert started == {name for name, answer in wrong.items() if answer == "emission"}
    assert not set(table["identifier"]) & {name for name, answer in wrong.items() if answer == "none"}


def test_results_are_those_of_the_last_round_that_read_the_pool(
    config: CampaignConfig, survey: Path, tmp_path: Path
) -> None:
    campaign = new_campaign(tmp_path / "campaign", config)
    campaign.run(survey / "truth.csv")
    before = list(campaign.candidates()["identifier"])

    def interrupt(name: str, done: int, total: int | None) -> None:
        if name == "predict":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        campaign.run(survey / "truth.csv", rounds=3, progress=interrupt)
    assert list(open_campaign(campaign.path).candidates()["identifier"]) == before


def test_a_pool_that_grows_within_a_round_is_read_again(config: CampaignConfig, tmp_path: Path) -> None:
    block, truth = lines(200, targets=20, seed=21)
    ingest_blocks([block], tmp_path / "survey", survey="test")
    config = dataclasses.replace(config, pool=PoolConfig(archives=(tmp_path / "survey",)))
    campaign = new_campaign(tmp_path / "campaign", config)
    campaign.run(truth, rounds=1)
    campaign.advance()
    more, added = lines(50, targets=5, seed=22)
    ingest_blocks([more], tmp_path / "survey", survey="test")
    grown = open_campaign(tmp_path / "campaign")
    assert len(grown.pool) == 250
    grown.run(truth | added)
    assert len(grown.probabilities()) == 250
    assert grown.current_round() is None


def test_damaged_probabilities_are_named(finished: Campaign, tmp_path: Path) -> None:
    shutil.copytree(finished.path, tmp_path / "copy")
    (tmp_path / "copy" / "rounds" / "002" / "probabilities.npy").write_bytes(b"not an array")
    with pytest.raises(CampaignError, match=r"probabilities\.npy: the probabilities cannot be read"):
        open_campaign(tmp_path / "copy").candidates()


def test_labels_may_be_given_one_by_one_and_undone(config: CampaignConfig, tmp_path: Path) -> None:
    campaign = new_campaign(tmp_path / "campaign", config)
    campaign.advance()
    first = campaign.open_questions()[0].identifier
    (event,) = campaign.label({first: "emission"}, who="ann")
    assert first not in {q.identifier for q in campaign.open_questions()}
    campaign.undo(event, who="ann")
    assert campaign.open_questions()[0].identifier == first
    with pytest.raises(CampaignError, match=r"no allowed answer.*'emision'"):
        campaign.label({first: "emision"}, who="ann")
    with pytest.raises(CampaignError, match="never asked"):
        campaign.label({"nobody": "none"}, who="ann")


def test_a_warm_start_trains_before_it_asks(config: CampaignConfig, survey: Path, tmp_path: Path) -> None:
    block, truth = lines(80, targets=30, seed=9)
    ingest_blocks([block], tmp_path / "start", survey="start")
    table = write_truth(tmp_path / "labels.csv", {k: {"emission": "Be", "none": "B"}[v] for k, v in truth.items()})
    start = StartConfig(archive=tmp_path / "start", table=table, classes={"Be": "emission", "*": "none"})
    campaign = new_campaign(tmp_path / "campaign", dataclasses.replace(config, start=(start,)))
    campaign.run(survey / "truth.csv", rounds=1)
    first = campaign.rounds()[0]["summary"]
    assert first["labels_start"] == 80
    assert first["new_targets"] >= 10, "the best candidates of a warm start are mostly targets"


def test_a_start_without_usable_labels_is_refused(config: CampaignConfig, survey: Path, tmp_path: Path) -> None:
    start = StartConfig(archive=survey / "survey", label="{survey_class}", classes={"*": "not sure"})
    with pytest.raises(CampaignError, match="no spectrum of the starting archive has a usable label"):
        new_campaign(tmp_path / "campaign", dataclasses.replace(config, start=(start,)))
    assert not (tmp_path / "campaign").exists()


def test_a_pool_may_be_part_of_an_archive(config: CampaignConfig, survey: Path, tmp_path: Path) -> None:
    pool = PoolConfig(archives=(survey / "survey",), where="dec > 0")
    campaign = new_campaign(tmp_path / "campaign", dataclasses.replace(config, pool=pool))
    assert 0 < len(campaign.pool) < 400
    assert (campaign.pool.catalogue(["dec"])["dec"].to_numpy() > 0).all()


def test_an_empty_pool_is_refused(config: CampaignConfig, survey: Path, tmp_path: Path) -> None:
    pool = PoolConfig(archives=(survey / "survey",), where="dec > 89.9")
    with pytest.raises(CampaignError, match="pool is empty"):
        new_campaign(tmp_path / "campaign", dataclasses.replace(config, pool=pool))


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (QueryConfig(strategy="sek"), "no strategy 'sek'.*Did you mean 'seek'"),
        (QueryConfig(parameters={"exploits": 0.5}), "unknown key 'exploits'.*Did you mean 'exploit'"),
        (QueryConfig(cold_start="cold"), "no strategy 'cold'"),
    ],
)
def test_a_wrong_strategy_is_refused_before_the_first_round(
    config: CampaignConfig, tmp_path: Path, query: QueryConfig, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        new_campaign(tmp_path / "campaign", dataclasses.replace(config, query=query))
    assert not (tmp_path / "campaign").exists()


def test_a_used_folder_is_refused_and_left_alone(config: CampaignConfig, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("three weeks of work")
    with pytest.raises(CampaignError, match="folder is in use"):
        new_campaign(tmp_path, config)
    assert (tmp_path / "notes.txt").read_text() == "three weeks of work"


def test_a_copied_campaign_opens_where_it_lies(finished: Campaign, tmp_path: Path) -> None:
    shutil.copytree(finished.path, tmp_path / "elsewhere" / "deep" / "copy")
    copy = open_campaign(tmp_path / "elsewhere" / "deep" / "copy")
    assert len(copy.candidates()) == len(finished.candidates())


def test_a_campaign_of_a_newer_version_is_refused(finished: Campaign, tmp_path: Path) -> None:
    import sqlite3

    shutil.copytree(finished.path, tmp_path / "copy")
    with sqlite3.connect(tmp_path / "copy" / "campaign.db") as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
    connection.close()
    with pytest.raises(NewerVersionError, match=r"newer version.*schema 99"):
        open_campaign(tmp_path / "copy")


def test_the_configuration_in_the_folder_is_the_one_that_was_given(finished: Campaign, survey: Path) -> None:
    assert finished.config.pool.archives[0].resolve() == (survey / "survey").resolve()
    assert "archives = [" in to_toml(finished.config)
    assert (finished.path / "recipe.toml").is_file()
