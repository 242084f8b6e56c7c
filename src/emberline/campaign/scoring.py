"""A network on batches of feature vectors: the one function by which a pool is read, on whatever engine."""

from __future__ import annotations

import dataclasses
import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from emberline.engine import Shared, binary_column, matrix_of
from emberline.learn.config import FP32, Choice

if TYPE_CHECKING:
    from emberline.learn import Model

__all__ = ["Predictor", "model_from"]


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
        probabilities = binary_column(model.predict(matrix_of(batch["values"]), choice=self.choice))
        return pa.RecordBatch.from_arrays([batch["row"], probabilities], ["row", "probabilities"])
