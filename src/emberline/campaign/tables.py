"""Networks on tables: for pools that no one machine holds. Parquet in, Parquet out, the first rows to the driver.

A table of features has the columns ``identifier``, ``recipe_hash``, ``flagged`` and ``values`` (float32 as binary); a
table of predictions has ``identifier``, ``flagged``, ``model`` (what tells the network from others, see `model_digest`)
and one column ``p_CLASS`` a class.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from emberline.archive import FeatureMatrix
from emberline.campaign.scoring import choice_for_tables, features_in, model_from
from emberline.engine import Engine, Order, Shared, Tables, binary_column
from emberline.errors import CampaignError, ModelError, NotFiniteError
from emberline.files import atomic_path, new_folder, sha256_of
from emberline.learn.config import FP32, Choice, PredictConfig
from emberline.learn.strategies import Query, Ranked, strategy
from emberline.progress import Progress, silent

__all__ = ["model_digest", "predict_tables", "query_tables", "write_features", "write_query"]

_FEATURES = ("identifier", "recipe_hash", "flagged", "values")
_ROWS = 262_144


def write_features(matrix: FeatureMatrix, folder: Path, *, progress: Progress = silent) -> int:
    """Write a feature matrix as Parquet files into the new folder `folder`; returns how many.

    Raises
    ------
    EmberlineError
        The folder exists, or the disk is full.
    """
    starts = range(0, max(len(matrix), 1), _ROWS)
    with new_folder(folder) as made:
        for number, start in enumerate(starts):
            rows = slice(start, start + _ROWS)
            values = np.asarray(matrix.values[rows], "<f4")
            table = pa.table(
                {
                    "identifier": pa.array(matrix.identifiers[rows].tolist(), pa.string()),
                    "recipe_hash": pa.array([matrix.recipe_hash] * len(values), pa.string()),
                    "flagged": matrix.flagged[rows],
                    "values": binary_column(values),
                }
            )
            with atomic_path(made / f"features-{number:05d}.parquet") as temporary:
                pq.write_table(table, temporary, compression={"values": "NONE"}, row_group_size=65_536)
            progress("table", min(rows.stop, len(matrix)), len(matrix))
    return len(starts)


def model_digest(model: Path | str) -> str:
    """The first 16 digits of the SHA-256 of a network's file: tables of predictions carry it in each row."""
    return sha256_of(model)[:16]


@dataclasses.dataclass(frozen=True)
class _TablePredictor:
    """Probabilities of a batch of a table of features."""

    model: Shared
    digest: str
    choice: Choice = FP32

    @staticmethod
    def schema(classes: Sequence[str]) -> pa.Schema:
        fields = [("identifier", pa.string()), ("flagged", pa.bool_()), ("model", pa.string())]
        return pa.schema([*fields, *((f"p_{name}", pa.float32()) for name in classes)])

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        model = model_from(self.model.value)
        values = features_in(batch, model)
        try:
            columns = np.ascontiguousarray(model.predict(values, choice=self.choice).T)
        except NotFiniteError as error:
            name = batch["identifier"][error.row].as_py()
            raise NotFiniteError(error.row, where=name, action="Write the table of features again.") from error
        by = pa.repeat(self.digest, len(batch))
        arrays = [batch["identifier"], batch["flagged"], by, *map(pa.array, columns)]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema(model.classes))


def predict_tables(
    model: Path | str, places: Sequence[str], out: str, *, config: PredictConfig | None = None, engine: Engine
) -> dict[str, Any]:
    """Let a network read tables of features, and write what it says as a table of predictions.

    Parameters
    ----------
    model : path
        A model's file, such as ``CAMPAIGN/models/round-003.model``.
    places : sequence of str
        Parquet files or folders of them; for Spark addresses as well.
    out : str
        The folder of the predictions, which must be new.
    config : PredictConfig, optional
        The runtime and the numbers that it computes with; what is fastest by default, by a measurement on a sample of
        the tables among what is installed wherever they are read.
    engine : Engine

    Returns
    -------
    dict
        ``spectra``, ``predictions``, ``classes``, and what computed: ``runtime``, ``precision``.

    Raises
    ------
    ModelError
        The model is damaged, or features are of another recipe than its own.
    ConfigError, MissingExtraError
        The runtime that is asked for is missing where the tables are read, or cannot compute so.
    EngineError
        A table is missing, damaged, or lacks a column; or the work was given up.
    """
    from emberline.learn import Model

    network = Model.load(model)
    choice = choice_for_tables(network, places, config or PredictConfig(), engine)
    predictor = _TablePredictor(engine.share(Path(model).read_bytes()), model_digest(model), choice)
    rows = engine.write_batches(predictor, Tables(places, _FEATURES), out, schema=predictor.schema(network.classes))
    return {
        "spectra": rows,
        "predictions": out,
        "classes": list(network.classes),
        "runtime": choice.runtime,
        "precision": choice.precision,
    }


@dataclasses.dataclass(frozen=True)
class _Scorer:
    """What a ranking strategy thinks of a batch of predictions; flagged spectra are left out."""

    strategy: Ranked
    targets: tuple[int, ...]
    classes: tuple[str, ...]
    model: str

    @property
    def schema(self) -> pa.Schema:
        fields = [("identifier", pa.string()), ("score", pa.float64())]
        return pa.schema([*fields, *((f"p_{name}", pa.float32()) for name in self.classes)])

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        for found in pc.unique(batch["model"]).to_pylist():
            if found != self.model:
                raise ModelError(
                    "there are predictions of another network than the one that was named",
                    where=f"column model of a table, beside {batch['identifier'][0].as_py()}",
                    found=str(found),
                    expected=self.model,
                    action="Name the network that made them, or predict the tables again with this one.",
                )
        probabilities = np.stack([batch[f"p_{name}"].to_numpy(zero_copy_only=False) for name in self.classes], axis=1)
        available = ~batch["flagged"].to_numpy(zero_copy_only=False)
        query = Query(
            objects=np.arange(len(batch)),
            available=available,
            batch=0,
            rng=np.random.default_rng(0),
            probabilities=probabilities,
            targets=self.targets,
        )
        scores = np.asarray(self.strategy.scores(query), np.float64)
        columns = {"identifier": batch["identifier"], "score": pa.array(scores)}
        columns |= {f"p_{name}": batch[f"p_{name}"] for name in self.classes}
        table = pa.RecordBatch.from_arrays([columns[name] for name in self.schema.names], schema=self.schema)
        return table.filter(pa.array(available & np.isfinite(scores)))


def query_tables(
    model: Path | str,
    places: Sequence[str],
    by: str,
    count: int,
    *,
    targets: Sequence[str] = (),
    engine: Engine,
) -> pa.Table:
    """The spectra of tables of predictions that a strategy would ask about first.

    Every row is scored where it is read; only the first ones of each worker travel. Equal scores are in the order of
    their identifiers, so that the answer does not depend on how the work was shared.

    Parameters
    ----------
    model : path
        The network's file.
    places : sequence of str
        Tables that `predict_tables` wrote with this network.
    by : str
        A strategy that gives each spectrum a score by itself, such as ``entropy``, ``margin`` or ``least_confidence``.
    count : int
        How many spectra.
    targets : sequence of str
        Those of the network's classes that are searched for.
    engine : Engine

    Returns
    -------
    pyarrow.Table
        identifier, score, and the probability of each class; best first.

    Raises
    ------
    CampaignError
        The strategy looks at more than one spectrum at a time, or a target is no class.
    ModelError
        The model is damaged, or predictions are of another network.
    EngineError
        A table is missing, damaged, or lacks a column; or the work was given up.
    """
    from emberline.learn import Model

    chosen = strategy(by)
    if not isinstance(chosen, Ranked):
        raise CampaignError(
            f"the strategy {by!r} weighs spectra against each other, so it cannot be shared out",
            expected="one that gives each spectrum a score, such as entropy or margin",
            action="Choose such a one, or run a round of a campaign.",
        )
    classes = Model.load(model).classes
    unknown = [name for name in targets if name not in classes]
    if unknown:
        raise CampaignError("is no class of the network", where=unknown[0], expected=", ".join(classes))
    scorer = _Scorer(chosen, tuple(classes.index(name) for name in targets), classes, model_digest(model))
    columns = ["identifier", "flagged", "model", *(f"p_{name}" for name in classes)]
    order = Order(count, "score", "identifier")
    return engine.top_k(scorer, Tables(places, columns), schema=scorer.schema, order=order)


def write_query(table: pa.Table, path: Path) -> None:
    """Write what `query_tables` found as CSV or Parquet, by the file's ending.

    Raises
    ------
    CampaignError
        The ending is another one.
    """
    import pyarrow.csv

    if path.suffix not in (".csv", ".parquet"):
        raise CampaignError("is no kind of table", where=str(path), expected="a name that ends in .csv or .parquet")
    with atomic_path(path) as temporary:
        write = pyarrow.csv.write_csv if path.suffix == ".csv" else pq.write_table
        write(table, temporary)
