"""A round's reading of the pool: what is interrupted goes on as it began, or from the start where it cannot."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from emberline.campaign import Campaign, CampaignConfig, new_campaign
from emberline.campaign.predictions import latest_prediction, note_runtime, runtime_of_round
from emberline.campaign.questions import _passes
from emberline.campaign.scoring import Predictor, runtimes_of
from emberline.engine import LocalEngine
from emberline.errors import ConfigError, NotFiniteError
from emberline.learn import Model
from emberline.learn.config import FP32, Choice, PredictConfig
from emberline.learn.runtimes import base, choice


@pytest.fixture(scope="module")
def begun(survey: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign with a network; nothing in it may be changed."""
    from tests.campaign.conftest import config as make_config

    folder = tmp_path_factory.mktemp("rounds")
    shutil.copytree(survey, folder / "workspace")
    config: CampaignConfig = make_config.__wrapped__(folder / "workspace")  # type: ignore[attr-defined]
    campaign = new_campaign(folder / "workspace" / "campaign", config)
    campaign.run(survey / "truth.csv", rounds=1)
    campaign.close()
    return folder / "workspace"


@pytest.fixture
def campaign(begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Campaign]:
    """A copy, whose newest network has not read the pool; blocks are of 100 rows."""
    monkeypatch.setattr("emberline.campaign.rounds._BLOCK", 100)
    campaign = Campaign(shutil.copytree(begun, tmp_path / "workspace") / "campaign")
    (newest(campaign) / "pool.txt").unlink()
    yield campaign
    campaign.close()


def newest(campaign: Campaign) -> Path:
    return max((campaign.path / "rounds").iterdir())


def number(campaign: Campaign) -> int:
    return int(newest(campaign).name)


def interrupted(campaign: Campaign, monkeypatch: pytest.MonkeyPatch, read_by: Choice) -> None:
    """As if killed after 200 of 400 rows."""
    real = Predictor.__call__

    def until_killed(self: Predictor, batch: pa.RecordBatch) -> pa.RecordBatch:
        if batch["row"][0].as_py() >= 200:
            raise KeyboardInterrupt
        return real(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Predictor, "__call__", until_killed)
        patch.setattr(Model, "choose", lambda *a, **k: read_by)
        with pytest.raises(KeyboardInterrupt):
            campaign.predict()


def rows_read(campaign: Campaign, **options: Any) -> tuple[int, Choice]:
    """How far a run that goes on was at its beginning, and what it then used."""
    seen: list[int] = []
    assert campaign.predict(progress=lambda step, done, total: seen.append(done) if step == "predict" else None)
    assert seen[-1] == 400
    return seen[0], runtime_of_round(campaign, number(campaign))


def test_it_goes_on_with_the_runtime_that_began(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = np.array(np.load(newest(campaign) / "probabilities.npy"))
    interrupted(campaign, monkeypatch, Choice("openvino", "mixed", 0))
    assert rows_read(campaign) == (200, Choice("openvino", "mixed", 0))
    np.testing.assert_allclose(campaign.probabilities(), expected, atol=1e-2)
    assert latest_prediction(campaign) == number(campaign)


def test_it_begins_again_when_that_runtime_is_gone(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = np.array(np.load(newest(campaign) / "probabilities.npy"))
    interrupted(campaign, monkeypatch, Choice("openvino", "mixed", 0))
    monkeypatch.setattr(base, "installed", lambda name: name == "torch")
    begun_with: list[Any] = []
    monkeypatch.setattr(
        Model, "choose", lambda self, values, config, *, among: begun_with.append(tuple(among)) or Choice()
    )
    monkeypatch.setattr("emberline.campaign.scoring._installed", lambda _: ("torch",))
    assert rows_read(campaign)[1] == FP32
    assert begun_with == [("torch",)]
    np.testing.assert_allclose(campaign.probabilities(), expected, atol=1e-6)


@pytest.mark.parametrize("note", ["", "[]", '{"runtime": "abacus"}', '{"runtime": "onnxruntime", "precision": "bf16"}'])
def test_a_note_of_a_runtime_that_cannot_be_had_hinders_no_passes(campaign: Campaign, note: str) -> None:
    (newest(campaign) / "runtime.json").write_text(note)
    model = Model.load(max((campaign.path / "models").iterdir()))
    found = _passes(campaign, number(campaign), model)(np.arange(5))
    note_runtime(campaign, number(campaign), FP32)
    np.testing.assert_array_equal(found, _passes(campaign, number(campaign), model)(np.arange(5)))


def test_a_vector_that_is_not_finite_is_named(campaign: Campaign) -> None:
    features = campaign.path.parent / "survey" / "features" / campaign.recipe.hash
    values = np.load(features / "values.npy", mmap_mode="r+")
    values[250, 7] = np.nan
    values.flush()
    name = campaign.identifiers([250])[0]
    with pytest.raises(
        NotFiniteError, match=rf"{name}, row 250 of the pool.*Remove .*{campaign.recipe.hash}"
    ) as caught:
        campaign.predict()
    assert caught.value.row == 250
    shutil.rmtree(features)
    campaign.close()
    mended = Campaign(campaign.path)
    assert rows_read(mended)[0] in (0, 200)
    mended.close()


def test_workers_that_lack_a_runtime_decide_what_is_chosen(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    class Away(LocalEngine):
        """Two machines, of which one has PyTorch only."""

        remote = True  # type: ignore[assignment]

        def map(self, function: Any, jobs: Any, *, workers: int | None = None) -> Any:
            return iter([("openvino", "torch"), ("torch",)])

    assert runtimes_of(Away()) == ("torch",)
    assert set(runtimes_of(LocalEngine())) >= {"torch"}
    monkeypatch.setattr(choice, "_WORTH_A_CHOICE", 1)
    campaign.predict(engine=Away())
    assert runtime_of_round(campaign, number(campaign)).runtime == "torch"
    (newest(campaign) / "pool.txt").unlink()
    campaign.config = type(campaign.config)(**{**vars(campaign.config), "predict": PredictConfig("openvino")})
    with pytest.raises(ConfigError, match=r"predict\.runtime.*missing where the pool is read \(found openvino"):
        campaign.predict(engine=Away())


def test_two_runs_at_once_are_refused(campaign: Campaign) -> None:
    from emberline.campaign.jobs import PREDICT, PredictParameters
    from emberline.errors import EmberlineError
    from emberline.jobs import run_foreground

    with campaign.alone(), pytest.raises(EmberlineError, match="another run works on this campaign"):
        run_foreground(PREDICT, PredictParameters(campaign.path))


def test_the_note_is_json(campaign: Campaign) -> None:
    campaign.predict()
    note = json.loads((newest(campaign) / "runtime.json").read_text())
    assert Choice(**note) == runtime_of_round(campaign, number(campaign))


def test_a_run_reads_the_pool_on_its_engine(campaign: Campaign) -> None:
    read: list[int] = []
    real = LocalEngine.map_batches

    class Watched(LocalEngine):
        """Notes that it was used."""

        def map_batches(self, *args: Any, **options: Any) -> Any:
            read.append(1)
            return real(self, *args, **options)

    campaign.run(campaign.path.parent / "truth.csv", rounds=2, engine=Watched())
    assert len(read) == 2, "the second round and the closing one"
