"""Networks on tables of features: the same here and on Spark, and never on features of another recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import torch

from emberline.archive import open_archive
from emberline.campaign.tables import predict_tables, query_tables, write_features, write_query
from emberline.engine import LocalEngine, matrix_of
from emberline.errors import CampaignError, ConfigError, EmberlineError, EngineError, ModelError
from emberline.features import Recipe
from emberline.learn import Model, TrainConfig
from emberline.learn.config import PredictConfig
from emberline.learn.networks import build
from emberline.learn.runtimes import RUNTIMES, choice, installed
from emberline.learn.strategies import Query, strategy

CLASSES = ("none", "emission", "other")


@pytest.fixture
def features(survey: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The vectors of 400 spectra, in three files."""
    monkeypatch.setattr("emberline.campaign.tables._ROWS", 150)
    matrix = open_archive(survey / "survey").build_features(Recipe.load("halpha-140"))
    assert write_features(matrix, tmp_path / "features") == 3
    return tmp_path / "features"


def write_model(path: Path, recipe_hash: str) -> Path:
    """A network of three classes with random weights, so that it has opinions."""
    config = TrainConfig()
    torch.manual_seed(4)
    network = build(config.network, 140, 3, dropout=config.dropout)
    for weights in network.parameters():
        weights.data.add_(0.1 * torch.randn(weights.shape))
    Model(network, CLASSES, 140, recipe_hash, config).save(path)
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A network for these features."""
    return write_model(tmp_path / "it.model", Recipe.load("halpha-140").hash)


def test_a_table_holds_the_matrix(features: Path, survey: Path) -> None:
    matrix = open_archive(survey / "survey").features()
    table = pq.read_table(features)
    assert table["identifier"].to_pylist() == matrix.identifiers.tolist()
    assert table["flagged"].to_pylist() == matrix.flagged.tolist()
    assert set(table["recipe_hash"].to_pylist()) == {matrix.recipe_hash}
    np.testing.assert_array_equal(matrix_of(table["values"].combine_chunks()), matrix.values)
    with pytest.raises(EmberlineError, match="is there already"):
        write_features(matrix, features)


def test_predictions_and_queries_are_those_of_the_whole(features: Path, model: Path, tmp_path: Path) -> None:
    engine = LocalEngine()
    result = predict_tables(model, [str(features)], str(tmp_path / "said"), engine=engine)
    assert result == {
        "spectra": 400,
        "predictions": str(tmp_path / "said"),
        "classes": list(CLASSES),
        "runtime": "torch",  # so few are read before anything could be measured
        "precision": "fp32",
    }
    said, table = pq.read_table(tmp_path / "said"), pq.read_table(features)
    expected = Model.load(model).predict(matrix_of(table["values"].combine_chunks()))
    found = np.stack([said[f"p_{name}"].to_numpy() for name in CLASSES], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-6)

    flagged = pa.array([row < 3 for row in range(400)])
    pq.write_table(said.set_column(1, "flagged", flagged), tmp_path / "flagged.parquet", row_group_size=70)
    for name in ("entropy", "margin", "least_confidence"):
        best = query_tables(model, [str(tmp_path / "flagged.parquet")], name, 25, engine=engine)
        query = Query(
            objects=np.arange(400),
            available=np.arange(400) >= 3,
            batch=25,
            rng=np.random.default_rng(0),
            probabilities=found,
        )
        rows = strategy(name).select(query)
        assert set(best["identifier"].to_pylist()) == {said["identifier"][int(row)].as_py() for row in rows}
        assert best["score"].to_pylist() == sorted(best["score"].to_pylist(), reverse=True)
    for ending in ("csv", "parquet"):
        write_query(best, tmp_path / f"best.{ending}")
    assert pyarrow.csv.read_csv(tmp_path / "best.csv")["identifier"].to_pylist() == best["identifier"].to_pylist()
    with pytest.raises(CampaignError, match=r"\.csv or \.parquet"):
        write_query(best, tmp_path / "best.txt")


def predicted(folder: Path) -> np.ndarray:
    """The probabilities of a table of predictions."""
    said = pq.read_table(folder)
    return np.stack([said[f"p_{name}"].to_numpy() for name in CLASSES], axis=1)


ASKED = [(name, precision) for name in ("auto", *RUNTIMES) for precision in ("auto", "fp32", "bf16", "mixed")]


@pytest.mark.parametrize(("runtime", "precision"), ASKED)
def test_every_runtime_says_the_same_of_tables(
    features: Path, model: Path, tmp_path: Path, runtime: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if runtime != "auto" and not installed(runtime):
        pytest.skip(f"{runtime} is not installed")
    monkeypatch.setattr(choice, "_WORTH_A_CHOICE", 300)
    out = str(tmp_path / "said")
    config = PredictConfig(runtime, precision)  # type: ignore[arg-type]
    if (runtime, precision) in (("onnxruntime", "bf16"), ("onnxruntime", "mixed")):
        with pytest.raises(ConfigError, match="onnxruntime cannot compute in this precision"):
            predict_tables(model, [str(features)], out, config=config, engine=LocalEngine())
        assert not (tmp_path / "said").exists()
        return
    result = predict_tables(model, [str(features)], out, config=config, engine=LocalEngine())
    if runtime != "auto":
        assert result["runtime"] == runtime
    if precision != "auto":
        assert result["precision"] == precision
    expected = Model.load(model).predict(matrix_of(pq.read_table(features)["values"].combine_chunks()))
    within = 1e-4 if result["precision"] == "fp32" else 1e-2
    np.testing.assert_allclose(predicted(tmp_path / "said"), expected, atol=within, rtol=0)
    if result["precision"] == "fp32":
        np.testing.assert_array_equal(predicted(tmp_path / "said").argmax(axis=1), expected.argmax(axis=1))


def test_workers_that_lack_a_runtime_decide_what_reads_tables(features: Path, model: Path, tmp_path: Path) -> None:
    class Away(LocalEngine):
        """Two machines, of which one has PyTorch only."""

        remote = True

        def map(self, function: Any, jobs: Any, *, workers: int | None = None) -> Any:
            return iter([("openvino", "torch"), ("torch",)])

    with pytest.raises(ConfigError, match=r"predict\.runtime.*missing where the pool is read \(found openvino"):
        predict_tables(model, [str(features)], str(tmp_path / "said"), config=PredictConfig("openvino"), engine=Away())
    assert predict_tables(model, [str(features)], str(tmp_path / "said"), engine=Away())["runtime"] == "torch"


def test_predictions_of_another_network_are_refused(features: Path, model: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.model"
    torch.manual_seed(5)
    loaded = Model.load(model)
    Model(build("ember", 140, 3, dropout=0.5), CLASSES, 140, loaded.recipe_hash, TrainConfig()).save(other)
    engine = LocalEngine()
    for name, network in (("one", model), ("two", other)):
        predict_tables(network, [str(features)], str(tmp_path / "said" / name), engine=engine)
    assert len(query_tables(other, [str(tmp_path / "said" / "two")], "entropy", 7, engine=engine)) == 7
    for places in (["one"], ["one", "two"], ["."]):
        with pytest.raises(ModelError, match=r"predictions of another network.*Name the network that made them"):
            query_tables(other, [str(tmp_path / "said" / name) for name in places], "entropy", 7, engine=engine)


def test_what_cannot_be_done_is_said(features: Path, model: Path, tmp_path: Path) -> None:
    engine = LocalEngine()
    other = write_model(tmp_path / "other.model", "0123456789abcdef")
    with pytest.raises(ModelError, match=r"another recipe.*expected 0123456789abcdef"):
        predict_tables(other, [str(features)], str(tmp_path / "said"), engine=engine)
    assert not [path for path in tmp_path.iterdir() if "said" in path.name]
    table = pq.read_table(features / "features-00001.parquet")
    mixed = table.set_column(1, "recipe_hash", pa.array(["f" * 16] * len(table)))
    pq.write_table(mixed, features / "features-00001.parquet")
    with pytest.raises(ModelError, match=r"another recipe.*found ffffffffffffffff"):
        predict_tables(model, [str(features)], str(tmp_path / "said"), engine=engine)
    with pytest.raises(CampaignError, match=r"'seek' weighs spectra against each other"):
        query_tables(model, [str(features)], "seek", 5, engine=engine)
    with pytest.raises(CampaignError, match=r"nova: is no class.*none, emission, other"):
        query_tables(model, [str(features)], "entropy", 5, targets=["nova"], engine=engine)
    with pytest.raises(EngineError, match=r"lacks a column.*expected model"):
        query_tables(model, [str(features)], "entropy", 5, engine=engine)


def test_cells_of_another_length_are_refused(features: Path, model: Path, tmp_path: Path) -> None:
    files = sorted(features.iterdir())
    for file, said in zip(
        files, ("cells have 4 to 560 bytes", "cells have 4 to 560", "do not fit the model"), strict=True
    ):
        table = pq.read_table(file)
        short = table.set_column(3, "values", pa.array([b"1234"] * len(table), pa.binary()))
        pq.write_table(short, file)
        with pytest.raises(ModelError, match=said):
            predict_tables(model, [str(features)], str(tmp_path / "said"), engine=LocalEngine())
