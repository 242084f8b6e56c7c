"""A network on batches of feature vectors: the one function by which a pool is read, on whatever engine."""

from __future__ import annotations

import dataclasses
import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from emberline.engine import Engine, Shared, binary_column, matrix_of
from emberline.errors import NotFiniteError
from emberline.learn.config import FP32, Choice

if TYPE_CHECKING:
    from emberline.learn import Model

__all__ = ["Predictor", "model_from", "runtimes_of"]


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
