"""Networks on tables: for pools that no one machine holds. Parquet in, Parquet out, the first rows to the driver.

A table of features has the columns ``identifier``, ``recipe_hash``, ``flagged`` and ``values`` (float32 as binary); a
table of predictions has ``identifier``, ``flagged`` and one column ``p_CLASS`` a class.
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
from emberline.campaign.scoring import model_from
from emberline.engine import Engine, Order, Shared, Tables, binary_column, matrix_of
from emberline.errors import CampaignError, ModelError, NotFiniteError
from emberline.files import atomic_path, new_folder
from emberline.learn.strategies import Query, Ranked, strategy
from emberline.progress import Progress, silent

__all__ = ["predict_tables", "query_tables", "write_features", "write_query"]

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


@dataclasses.dataclass(frozen=True)
class _TablePredictor:
    """Probabilities of a batch of a table of features."""

    model: Shared

    @staticmethod
    def schema(classes: Sequence[str]) -> pa.Schema:
        return pa.schema(
            [("identifier", pa.string()), ("flagged", pa.bool_()), *((f"p_{name}", pa.float32()) for name in classes)]
        )

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        model = model_from(self.model.value)
        for found in pc.unique(batch["recipe_hash"]).to_pylist():
            model.check_recipe(str(found))
        try:
            values = matrix_of(batch["values"])
        except ValueError as error:
            raise ModelError(f"the features cannot be read: {error}", where="column values") from error
        try:
            columns = np.ascontiguousarray(model.predict(values).T)
        except NotFiniteError as error:
            name = batch["identifier"][error.row].as_py()
            raise NotFiniteError(error.row, where=name, action="Write the table of features again.") from error
        arrays = [batch["identifier"], batch["flagged"], *map(pa.array, columns)]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema(model.classes))


def predict_tables(model: Path | str, places: Sequence[str], out: str, *, engine: Engine) -> dict[str, Any]:
    """Let a network read tables of features, and write what it says as a table of predictions.

    Parameters
    ----------
    model : path
        A model's file, such as ``CAMPAIGN/models/round-003.model``.
    places : sequence of str
        Parquet files or folders of them; for Spark addresses as well.
    out : str
        The folder of the predictions, which must be new.
    engine : Engine

    Raises
    ------
    ModelError
        The model is damaged, or features are of another recipe than its own.
    EngineError
        A table is missing, damaged, or lacks a column; or the work was given up.
    """
    from emberline.learn import Model

    classes = Model.load(model).classes
    predictor = _TablePredictor(engine.share(Path(model).read_bytes()))
    rows = engine.write_batches(predictor, Tables(places, _FEATURES), out, schema=predictor.schema(classes))
    return {"spectra": rows, "predictions": out, "classes": list(classes)}


@dataclasses.dataclass(frozen=True)
class _Scorer:
    """What a ranking strategy thinks of a batch of predictions; flagged spectra are left out."""

    strategy: Ranked
    targets: tuple[int, ...]
    classes: tuple[str, ...]

    @property
    def schema(self) -> pa.Schema:
        fields = [("identifier", pa.string()), ("score", pa.float64())]
        return pa.schema([*fields, *((f"p_{name}", pa.float32()) for name in self.classes)])

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
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
    places: Sequence[str],
    by: str,
    count: int,
    *,
    classes: Sequence[str],
    targets: Sequence[str] = (),
    engine: Engine,
) -> pa.Table:
    """The spectra of tables of predictions that a strategy would ask about first.

    Every row is scored where it is read; only the first ones of each worker travel. Equal scores are in the order of
    their identifiers, so that the answer does not depend on how the work was shared.

    Parameters
    ----------
    places : sequence of str
        Tables that `predict_tables` wrote.
    by : str
        A strategy that gives each spectrum a score by itself, such as ``entropy``, ``margin`` or ``least_confidence``.
    count : int
        How many spectra.
    classes, targets : sequence of str
        The network's classes, and those of them that are searched for.
    engine : Engine

    Returns
    -------
    pyarrow.Table
        identifier, score, and the probability of each class; best first.

    Raises
    ------
    CampaignError
        The strategy looks at more than one spectrum at a time, or a target is no class.
    """
    chosen = strategy(by)
    if not isinstance(chosen, Ranked):
        raise CampaignError(
            f"the strategy {by!r} weighs spectra against each other, so it cannot be shared out",
            expected="one that gives each spectrum a score, such as entropy or margin",
            action="Choose such a one, or run a round of a campaign.",
        )
    unknown = [name for name in targets if name not in classes]
    if unknown:
        raise CampaignError("is no class of the network", where=unknown[0], expected=", ".join(classes))
    scorer = _Scorer(chosen, tuple(classes.index(name) for name in targets), tuple(classes))
    columns = ["identifier", "flagged", *(f"p_{name}" for name in classes)]
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
