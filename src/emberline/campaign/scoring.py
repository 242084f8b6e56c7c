"""A network on batches of feature vectors: the one function by which a pool is read, on whatever engine."""

from __future__ import annotations

import dataclasses
import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from emberline.engine import Engine, Shared, Tables, binary_column, matrix_of
from emberline.errors import ModelError, NotFiniteError
from emberline.learn.config import FP32, Choice, PredictConfig

if TYPE_CHECKING:
    from emberline.learn import Model

__all__ = ["Predictor", "choice_for_tables", "features_in", "model_from", "runtimes_of"]

_SAMPLE = 4096

_last: dict[str, Model] = {}


def model_from(data: bytes) -> Model:
    """A network from the bytes of its file; the last one is kept, since a worker asks for it with each batch."""
    from emberline.learn import Model

    digest = hashlib.sha256(data).hexdigest()
    if digest not in _last:
        with tempfile.NamedTemporaryFile(suffix=".model") as file:
            Path(file.name).write_bytes(data)
            model = Model.load(file.name)
        _last.clear()
        _last[digest] = model
    return _last[digest]


@dataclasses.dataclass(frozen=True)
class Predictor:
    """Class probabilities of a batch of a `emberline.engine.Matrix`.

    Attributes
    ----------
    model : Shared
        The bytes of a model's file.
    recipe_hash : str
        The recipe of the features; a model of another one refuses them.
    choice : Choice
        What computes, and how exactly.
    """

    model: Shared
    recipe_hash: str
    choice: Choice = FP32

    @staticmethod
    def schema(classes: int) -> pa.Schema:
        """What comes back: the row, and its probabilities as float32."""
        return pa.schema([("row", pa.int64()), ("probabilities", pa.binary(4 * classes))])

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The probabilities of one batch."""
        model = model_from(self.model.value)
        model.check_recipe(self.recipe_hash)
        try:
            probabilities = model.predict(matrix_of(batch["values"]), choice=self.choice)
        except NotFiniteError as error:
            raise NotFiniteError(batch["row"][error.row].as_py()) from error
        return pa.RecordBatch.from_arrays([batch["row"], binary_column(probabilities)], ["row", "probabilities"])


def runtimes_of(engine: Engine) -> tuple[str, ...]:
    """The runtimes that can be used wherever an engine works: what a cluster's workers all have."""
    from emberline.learn.runtimes import RUNTIMES

    found = engine.map(_installed, range(engine.cores)) if engine.remote else [_installed(0)]
    there = set(RUNTIMES).intersection(*found)
    return tuple(name for name in RUNTIMES if name in there)


def _installed(_: int) -> tuple[str, ...]:
    from emberline.learn.runtimes import RUNTIMES, installed

    return tuple(name for name in RUNTIMES if installed(name))


def features_in(batch: pa.RecordBatch | pa.Table, model: Model) -> NDArray[np.float32]:
    """The feature vectors of some rows of a table of features, float32 of shape (rows, pixels).

    Raises
    ------
    ModelError
        They are of another recipe than the model's, or damaged.
    """
    for found in pc.unique(batch["recipe_hash"]).to_pylist():
        model.check_recipe(str(found))
    column = batch["values"]
    if not len(column):
        return np.zeros((0, model.pixels), np.float32)
    try:
        return matrix_of(column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column)
    except ValueError as error:
        raise ModelError(f"the features cannot be read: {error}", where="column values") from error


def choice_for_tables(model: Model, places: Sequence[str], config: PredictConfig, engine: Engine) -> Choice:
    """What suits tables of features wherever an engine reads them: by a measurement on a sample of their rows.

    Raises
    ------
    ConfigError, MissingExtraError
        What is asked for is missing where the tables are read, or does not exist.
    ModelError
        The features of the sample do not fit the model.
    EngineError
        A table is missing or damaged.
    """
    rows, sample = engine.sample(Tables(places, ("recipe_hash", "values")), _SAMPLE)
    values = features_in(sample, model)
    model.predict(values[:0])  # says what does not fit
    return model.choose(values, config, rows=rows, among=runtimes_of(engine))
