"""Long work on campaigns as jobs: rounds that are never lost, a pool that grows, results, and where they may lie."""

from __future__ import annotations

import csv
import dataclasses
import importlib
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emberline.archive import ingest_blocks
from emberline.campaign import Campaign, CampaignConfig, new_campaign
from emberline.campaign import rounds as rounds_module
from emberline.campaign.config import ControlConfig, PoolConfig, QueryConfig
from emberline.campaign.jobs import CANDIDATES, JOB_TYPES, PREDICT, REPORT, ROUND, open_jobs
from emberline.confinement import Confinement, OutsideError
from emberline.errors import ArchiveError, CampaignError, EmberlineError
from emberline.files import exclusive_lock
from emberline.jobs import JobContext, JobType, Phase, Supervisor, Workspace, describe, run_foreground, validate
from emberline.learn import TrainConfig
from emberline.progress import silent
from tests.campaign.conftest import lines

HERE = {"campaign": "search"}


class StopError(Exception):
    """Stands for whatever interrupts a job."""


@pytest.fixture(scope="module")
def templates(survey: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in three states: ``new``, ``answered`` after its first round, ``trained`` after its second."""
    folder = tmp_path_factory.mktemp("templates")
    shutil.copytree(survey / "survey", folder / "new" / "survey")
    shutil.copy(survey / "truth.csv", folder / "new")
    new_campaign(folder / "new" / "search", search(folder / "new")).close()
    shutil.copytree(folder / "new", folder / "answered")
    Worker(ROUND, folder / "answered", HERE).run()
    answer(folder / "answered")
    shutil.copytree(folder / "answered", folder / "trained")
    Worker(ROUND, folder / "trained", HERE).run()
    return folder


def search(folder: Path, **changes: Any) -> CampaignConfig:
    """A cold start that asks for 24 spectra and 10 control labels a round, and 40 control labels at the end."""
    config = CampaignConfig(
        name="Test of a campaign",
        classes=("none", "emission"),
        targets=("emission",),
        recipe="halpha-140",
        pool=PoolConfig(archives=(folder / "survey",)),
        train=TrainConfig(members=1, epochs=4, epoch_steps=8),
        query=QueryConfig(batch=24),
        control=ControlConfig(per_round=10, final=40),
    )
    return dataclasses.replace(config, **changes)


@pytest.fixture
def workspace(templates: Path, tmp_path: Path) -> Path:
    """A workspace with the archive ``survey``, its ``truth.csv``, and the new campaign ``search``."""
    return Path(shutil.copytree(templates / "new", tmp_path / "workspace"))


@pytest.fixture
def answered(templates: Path, tmp_path: Path) -> Path:
    """The workspace after one round, all questions answered."""
    return Path(shutil.copytree(templates / "answered", tmp_path / "workspace"))


@pytest.fixture
def trained(templates: Path, tmp_path: Path) -> Path:
    """The workspace after two rounds, the second with open questions."""
    return Path(shutil.copytree(templates / "trained", tmp_path / "workspace"))


class Worker:
    """Runs a job as the engine does: again with its checkpoint after an interruption."""

    def __init__(self, job_type: JobType, folder: Path, values: Mapping[str, Any], *readable: Path) -> None:
        self.type, self.values, self.bounds = job_type, values, Confinement(folder, readable)
        self.results = folder / "jobs" / job_type.name / "results"
        self.results.mkdir(parents=True, exist_ok=True)
        self.checkpoint: dict[str, Any] | None = None
        self.attempt = 0

    def run(self, progress: Callable[[str, int, int | None], None] = silent) -> dict[str, Any]:
        self.attempt += 1
        context = JobContext(self.results, progress, self.attempt, self.checkpoint, confinement=self.bounds)
        context.save = self._keep
        module, _, name = self.type.function.partition(":")
        function = getattr(importlib.import_module(module), name)
        found: dict[str, Any] = function(validate(self.type, self.values, self.bounds), context)
        return found

    def _keep(self, checkpoint: Mapping[str, Any]) -> None:
        self.checkpoint = dict(checkpoint)


def stop_at(wanted: str, done: int = 0) -> Callable[[str, int, int | None], None]:
    def progress(step: str, count: int, total: int | None) -> None:
        if step == wanted and count >= done:
            raise StopError

    return progress


def answer(folder: Path, share: float = 1.0) -> int:
    """Answer the first of the open questions by the truth; returns how many are left."""
    with open(folder / "truth.csv", encoding="utf-8", newline="") as stream:
        truth = {row["identifier"]: row["label"] for row in csv.DictReader(stream)}
    campaign = Campaign(folder / "search")
    questions = campaign.open_questions()
    chosen = questions[: round(share * len(questions))]
    campaign.label({q.identifier: truth[q.identifier] for q in chosen}, who="test")
    campaign.close()
    return len(questions) - len(chosen)


@pytest.fixture
def campaign_of(tmp_path: Path) -> Iterator[Callable[[], Campaign]]:
    """Opens the workspace's campaign, anew each time."""
    opened: list[Campaign] = []

    def open_it() -> Campaign:
        opened.append(Campaign(tmp_path / "workspace" / "search"))
        return opened[-1]

    yield open_it
    for campaign in opened:
        campaign.close()


# Rounds ---------------------------------------------------------------------------------------------------------------


def test_a_search_in_rounds(workspace: Path, campaign_of: Callable[[], Campaign]) -> None:
    first = Worker(ROUND, workspace, HERE).run()
    assert (first["campaign"], first["round"], first["closed_round"], first["trained"]) == ("search", 0, None, False)
    assert first["control_questions"] == 10
    assert 24 <= first["query_questions"] < 34, "twenty-four, and the control spectra that the strategy met"
    left = answer(workspace, 0.5)
    with pytest.raises(CampaignError, match=f"waits for an answer to {left} questions") as caught:
        Worker(ROUND, workspace, HERE).run()
    assert caught.value.where == "search"
    assert campaign_of().current_round() is not None
    answer(workspace)
    steps: set[str] = set()
    second = Worker(ROUND, workspace, {**HERE, "batch": 5}).run(lambda step, done, total: steps.add(step))
    assert (second["round"], second["closed_round"], second["trained"], second["unanswered"]) == (1, 0, True, 0)
    assert 5 <= second["query_questions"] < 24, "five, and the control spectra that the strategy met"
    assert {"train", "predict", "query"} <= steps <= set(ROUND.steps)
    closing = Worker(ROUND, workspace, {**HERE, "batch": 0, "finish": True}).run()
    assert (closing["round"], closing["query_questions"]) == (2, 0)
    assert closing["control_questions"] > 20
    assert closing["unanswered"] == second["open_questions"]


@pytest.mark.parametrize("step", ["train", "predict", "query"])
def test_an_interrupted_round_ends_as_if_it_had_not_been(
    answered: Path, templates: Path, campaign_of: Callable[[], Campaign], step: str
) -> None:
    job = Worker(ROUND, answered, HERE)
    with pytest.raises(StopError):
        job.run(stop_at(step))
    outcome = job.run()
    assert (outcome["round"], outcome["closed_round"]) == (1, 0)
    other = Campaign(templates / "trained" / "search")
    assert campaign_of().open_questions() == other.open_questions()
    np.testing.assert_array_equal(campaign_of().probabilities(), other.probabilities())
    other.close()


def test_a_round_is_not_closed_by_the_job_that_began_it(workspace: Path, campaign_of: Callable[[], Campaign]) -> None:
    """The last word was not written: the job is called again, and must not take its own round for the one to close."""
    Worker(ROUND, workspace, HERE).run()
    answer(workspace, 0.5)
    job = Worker(ROUND, workspace, {**HERE, "finish": True})
    first, again = job.run(), job.run()
    assert first["round"] == again["round"] == 1
    assert [row["number"] for row in campaign_of().rounds()] == [0, 1]
    assert len(campaign_of().open_questions()) == first["open_questions"] > 0


def test_a_round_that_asks_nothing_is_closed_at_once(workspace: Path) -> None:
    new_campaign(workspace / "quiet", search(workspace, control=ControlConfig())).close()
    job = Worker(ROUND, workspace, {"campaign": "quiet", "batch": 0})
    assert job.run()["open_questions"] == 0
    assert job.run()["round"] == 0
    campaign = Campaign(workspace / "quiet")
    assert campaign.current_round() is None
    campaign.close()


def test_two_at_once_are_refused(workspace: Path) -> None:
    with exclusive_lock(workspace / "search" / "run.lock", ""):
        for job_type in (ROUND, PREDICT):
            with pytest.raises(EmberlineError, match="another run works on this campaign"):
                Worker(job_type, workspace, HERE).run()
    Worker(ROUND, workspace, HERE).run()


# A pool that grows ----------------------------------------------------------------------------------------------------


def test_a_pool_that_has_grown_is_predicted(trained: Path, campaign_of: Callable[[], Campaign]) -> None:
    before = np.array(campaign_of().probabilities())
    assert Worker(PREDICT, trained, HERE).run()["changed"] is False
    ingest_blocks([lines(50, targets=5, seed=9)[0]], trained / "survey", survey="test")
    with pytest.raises(CampaignError, match="the pool has changed"):
        Worker(CANDIDATES, trained, HERE).run()
    steps: set[str] = set()
    outcome = Worker(PREDICT, trained, HERE).run(lambda step, done, total: steps.add(step))
    assert outcome == {"campaign": "search", "network": "round-001", "spectra": 450, "changed": True}
    assert {"predict"} <= steps <= set(PREDICT.steps)
    assert Worker(CANDIDATES, trained, HERE).run()["candidates"] > 0
    campaign = campaign_of()
    known = campaign.pool.rows([str(name) for name in campaign.pool.identifiers if str(name).startswith("s5-")])
    np.testing.assert_array_equal(np.sort(campaign.probabilities()[known, 1]), np.sort(before[:, 1]))
    answer(trained, 0)
    assert campaign.current_round() is not None, "the open round stays open"


def test_an_interrupted_prediction_goes_on(
    trained: Path, campaign_of: Callable[[], Campaign], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = np.array(campaign_of().probabilities())
    monkeypatch.setattr(rounds_module, "_BLOCK", 100)
    file = trained / "search" / "rounds" / "001" / "probabilities.npy"
    file.unlink()
    with pytest.raises(StopError):
        Worker(PREDICT, trained, HERE).run(stop_at("predict", 200))
    assert not file.exists()
    seen: list[int] = []
    Worker(PREDICT, trained, HERE).run(lambda step, done, total: seen.append(done) if step == "predict" else None)
    assert seen == [200, 300, 400]
    np.testing.assert_array_equal(campaign_of().probabilities(), whole)
    assert [path.name for path in file.parent.iterdir() if path.name.startswith(".")] == []


def test_what_another_network_had_begun_is_not_continued(
    trained: Path, campaign_of: Callable[[], Campaign], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds_module, "_BLOCK", 100)
    folder = trained / "search" / "rounds" / "001"
    (folder / "probabilities.npy").unlink()
    with pytest.raises(StopError):
        Worker(PREDICT, trained, HERE).run(stop_at("predict", 200))
    note = folder / ".probabilities.json"
    note.write_text(note.read_text(encoding="utf-8").replace('"model": "', '"model": "0'), encoding="utf-8")
    seen: list[int] = []
    Worker(PREDICT, trained, HERE).run(lambda step, done, total: seen.append(done) if step == "predict" else None)
    assert seen == [0, 100, 200, 300, 400]


# Results --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("format", "ending"), [("votable", ".vot"), ("fits", ".fits"), ("csv", ".csv"), ("parquet", ".parquet")]
)
def test_candidates_lie_among_the_results(trained: Path, format: str, ending: str) -> None:
    job = Worker(CANDIDATES, trained, {**HERE, "format": format})
    outcome = job.run()
    assert outcome["file"] == f"candidates{ending}"
    assert (job.results / outcome["file"]).stat().st_size > 0


def test_results_go_where_they_may(trained: Path) -> None:
    job = Worker(CANDIDATES, trained, {**HERE, "out": "tables/found.csv"})
    assert job.run()["file"] == "tables/found.csv"
    assert (job.results / "candidates.vot").exists()
    first = (trained / "tables" / "found.csv").read_text(encoding="utf-8")
    assert job.run()["file"] == "tables/found.csv", "an attempt may replace what the one before has written"
    with pytest.raises(CampaignError, match="there is such a file already"):
        Worker(CANDIDATES, trained, {**HERE, "out": "tables/found.csv"}).run()
    for place in ("survey/catalogue.parquet", "search/x.csv", "survey/features/x.vot"):
        with pytest.raises(CampaignError, match="lies in an archive or a campaign"):
            Worker(CANDIDATES, trained, {**HERE, "out": place}).run()
    assert (trained / "tables" / "found.csv").read_text(encoding="utf-8") == first


def test_the_report_lies_among_the_results_and_where_it_was_asked_for(trained: Path) -> None:
    job = Worker(REPORT, trained, {**HERE, "out": "page"})
    assert job.run()["page"] == "page/index.html"
    page = (job.results / "report" / "index.html").read_text(encoding="utf-8")
    assert "Test of a campaign" in page
    assert page == (trained / "page" / "index.html").read_text(encoding="utf-8")
    assert Worker(REPORT, trained, HERE).run()["page"] == "report/index.html"


# Bounds ---------------------------------------------------------------------------------------------------------------


def outside_copy(workspace: Path) -> Path:
    """The campaign's archive moved out of the workspace, and the campaign pointing to it."""
    moved = workspace.parent / "outside" / "survey"
    moved.parent.mkdir()
    (workspace / "survey").rename(moved)
    file = workspace / "search" / "campaign.toml"
    file.write_text(file.read_text(encoding="utf-8").replace("../survey", "../../outside/survey"), encoding="utf-8")
    return moved


@pytest.mark.parametrize("job_type", [ROUND, PREDICT, CANDIDATES, REPORT], ids=lambda t: t.name)
def test_an_archive_outside_is_out_of_reach(workspace: Path, job_type: JobType) -> None:
    moved = outside_copy(workspace)
    with pytest.raises(OutsideError, match="leads out of the workspace"):
        Worker(job_type, workspace, HERE).run()
    (workspace / "survey").symlink_to(moved)
    file = workspace / "search" / "campaign.toml"
    file.write_text(file.read_text(encoding="utf-8").replace("../../outside/survey", "../survey"), encoding="utf-8")
    with pytest.raises(OutsideError, match="leads out of the workspace"):
        Worker(job_type, workspace, HERE).run()


def test_an_archive_that_may_only_be_read_is_never_written(workspace: Path) -> None:
    moved = outside_copy(workspace)
    Worker(ROUND, workspace, HERE, moved.parent).run()
    ingest_blocks([lines(20, targets=2, seed=11)[0]], moved, survey="test")
    before = sorted(path for path in moved.rglob("*"))
    with pytest.raises(ArchiveError, match="may only be read here"):
        Worker(PREDICT, workspace, HERE, moved.parent).run()
    assert sorted(path for path in moved.rglob("*")) == before


@pytest.mark.parametrize("name", ["campaign.db", "recipe.toml", "models"])
def test_a_link_out_of_a_campaign_is_refused(workspace: Path, name: str) -> None:
    place = workspace / "search" / name
    moved = workspace.parent / name
    place.rename(moved) if place.exists() else moved.mkdir()
    place.symlink_to(moved)
    with pytest.raises(OutsideError, match="leads out of the workspace"):
        Worker(ROUND, workspace, HERE).run()


# The types ------------------------------------------------------------------------------------------------------------


def test_the_types_are_in_the_order_of_a_search() -> None:
    expected = [
        "ingest",
        "harvest",
        "features",
        "simulate",
        "round",
        "predict",
        "candidates",
        "crossmatch",
        "report",
        "context",
    ]
    assert [job_type.name for job_type in JOB_TYPES] == expected


@pytest.mark.parametrize("job_type", [ROUND, PREDICT, CANDIDATES, REPORT], ids=lambda t: t.name)
def test_presets_fit_and_steps_are_shares(job_type: JobType, tmp_path: Path) -> None:
    assert job_type.presets
    for preset in job_type.presets:
        validate(job_type, {**HERE, **preset.parameters}, Confinement(tmp_path))
    assert set(job_type.writes) <= {field.name for field in describe(job_type.parameters)}
    assert sum(job_type.steps.values()) == pytest.approx(1)


def test_the_foreground_needs_no_workspace(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained / "search")
    outcome = run_foreground(CANDIDATES, {"campaign": "../search", "out": "../../found.vot"})
    assert outcome["file"] == "../../found.vot"
    assert (trained.parent / "found.vot").exists()


@pytest.mark.slow
def test_jobs_of_a_workspace_are_done_by_its_engine(workspace: Path) -> None:
    with open_jobs(Workspace.open(workspace)) as store:
        stop = threading.Event()
        engine = threading.Thread(target=Supervisor(store).run, args=(stop,))
        engine.start()
        try:
            done = []
            for type, values in (("round", HERE), ("round", {**HERE, "finish": True}), ("report", HERE)):
                job = store.create(type, values, run=True)
                while job.phase not in (Phase.COMPLETED, Phase.ERROR):
                    job = store.wait(job.id, 60)
                done.append(job)
        finally:
            stop.set()
            engine.join()
        assert [job.phase for job in done] == [Phase.COMPLETED] * 3, [job.failure for job in done]
        assert {result.name for result in done[2].results} == {"report/index.html", "summary.json"}
