"""A trained network with all that is needed to apply it: classes, recipe, temperature, metrics, provenance."""

from __future__ import annotations

import copy
import io
import json
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emberline import config as configuration
from emberline.errors import ConfigError, ModelError, NewerVersionError
from emberline.files import atomic_path
from emberline.learn.config import TrainConfig
from emberline.learn.networks import SpectrumNetwork, build, device, use_generator
from emberline.learn.threads import threads

__all__ = ["FORMAT", "Model"]

FORMAT = 1
_HEADER = "model.json"
_BATCH = 256  # by measurement: docs/explanation/network.md


@dataclass(eq=False)
class Model:
    """A classifier of feature vectors.

    Attributes
    ----------
    network : SpectrumNetwork
        The weights, in evaluation mode.
    classes : tuple of str
        The names of the k classes, in the order of the probabilities.
    pixels : int
        The length d of a feature vector.
    recipe_hash : str
        The recipe of the features it was trained on; others are refused by `check_recipe`.
    config : TrainConfig
        How it was trained.
    temperature : float
        Divides the logits, so that the probabilities are calibrated.
    metrics : dict
        What training measured (JSON-able).
    provenance : dict
        What made it (JSON-able).
    """

    network: SpectrumNetwork
    classes: tuple[str, ...]
    pixels: int
    recipe_hash: str
    config: TrainConfig
    temperature: float = 1.0
    metrics: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.network.to(device()).eval()

    def check_recipe(self, recipe_hash: str) -> None:
        """Refuse features that another recipe made.

        Raises
        ------
        ModelError
            When the hashes differ; the message names both.
        """
        if recipe_hash != self.recipe_hash:
            raise ModelError(
                "the features were made by another recipe than the model's",
                found=recipe_hash,
                expected=self.recipe_hash,
                action="Build the features with the model's recipe, or train a model on these.",
            )

    def predict(self, values: NDArray[np.floating], *, batch: int = _BATCH) -> NDArray[np.float32]:
        """Calibrated probabilities, ``(n, k)`` float32, of ``(n, d)`` feature vectors (a memory map will do).

        Raises
        ------
        ModelError
            When the vectors have another length than the model's, or one is not finite; the message names its row.
        """
        return self._apply(lambda x: torch.softmax(self.network(x) / self.temperature, dim=1), values, batch)

    def logits(self, values: NDArray[np.floating], *, batch: int = _BATCH) -> NDArray[np.float32]:
        """The ``(n, k)`` scores before temperature and softmax."""
        return self._apply(self.network, values, batch)

    def embed(self, values: NDArray[np.floating], *, batch: int = _BATCH) -> NDArray[np.float32]:
        """The ``(n, e)`` vectors that the last layer separates: near when the network thinks two spectra alike."""
        return self._apply(self.network.embed, values, batch)

    def stochastic(
        self, values: NDArray[np.floating], passes: int, rng: np.random.Generator, *, batch: int = _BATCH
    ) -> NDArray[np.float32]:
        """Probabilities of `passes` runs with dropout on, ``(passes, n, k)`` float32 (Gal & Ghahramani 2016).

        All before the first dropout is computed once per spectrum and shared by the passes.
        """
        head = _RandomHead(self.network, rng)

        def run(x: Tensor) -> Tensor:
            logits = head(self.network.features(x).repeat_interleave(passes, dim=0))
            return torch.softmax(logits / self.temperature, dim=1).reshape(len(x), passes, len(self.classes))

        return np.ascontiguousarray(self._apply(run, values, batch, in_order=True).swapaxes(0, 1))

    def _apply(
        self, function: Callable[[Tensor], Tensor], values: NDArray[np.floating], batch: int, *, in_order: bool = False
    ) -> NDArray[np.float32]:
        """`function` of each chunk of rows: chunks side by side, each on one thread, unless they must go `in_order`.

        Sharing every layer among threads instead makes them wait for each other, above all on a busy machine.
        """
        if values.ndim != 2 or values.shape[1] != self.pixels:
            raise ModelError(
                "the features do not fit the model",
                found=f"shape {values.shape}",
                expected=f"(n, {self.pixels})",
                action="Build the features with the model's recipe.",
            )

        def run(start: int) -> NDArray[Any]:
            with torch.inference_mode():
                return function(_chunk(values, start, batch)).float().cpu().numpy()

        starts = range(0, max(len(values), 1), batch)
        with threads(1) as granted:
            if in_order or granted == 1 or device().type != "cpu":
                return np.concatenate([run(start) for start in starts])
            with ThreadPoolExecutor(granted) as pool:
                return np.concatenate(list(pool.map(run, starts)))

    def save(self, path: Path | str) -> None:
        """Write one file, atomically: a zip of ``model.json`` and the weights as ``.npy`` arrays, without pickle."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            archive.writestr(zipfile.ZipInfo(_HEADER), json.dumps(self._header(), indent=1, allow_nan=False))
            for name, weight in self.network.state_dict().items():
                buffer = io.BytesIO()
                np.save(buffer, weight.cpu().contiguous().numpy(), allow_pickle=False)
                archive.writestr(zipfile.ZipInfo(f"weights/{name}.npy"), buffer.getvalue())

    def _header(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "classes": list(self.classes),
            "pixels": self.pixels,
            "recipe_hash": self.recipe_hash,
            "config": configuration.to_mapping(self.config),
            "temperature": self.temperature,
            "metrics": self.metrics,
            "provenance": self.provenance,
        }

    @classmethod
    def load(cls, path: Path | str) -> Model:
        """Read what `save` wrote.

        Raises
        ------
        ModelError
            When the file is missing, damaged or no model.
        NewerVersionError
            When a newer Emberline wrote it.
        """
        try:
            with zipfile.ZipFile(path) as archive:
                header = json.loads(archive.read(_HEADER))
                _check_format(header["format"], path)
                return cls._rebuild(header, archive)
        except OSError as error:
            raise ModelError(f"cannot be read: {error.strerror or error}", where=str(path)) from error
        except (
            zipfile.BadZipFile,
            EOFError,
            KeyError,
            TypeError,
            ValueError,
            RuntimeError,
            NotImplementedError,
            ConfigError,
        ) as error:
            raise ModelError(
                f"is no model, or is damaged: {error}",
                where=str(path),
                action="Train it again, or copy it again from where it came.",
            ) from error

    @classmethod
    def _rebuild(cls, header: dict[str, Any], archive: zipfile.ZipFile) -> Model:
        config = configuration.from_mapping(TrainConfig, header["config"])
        classes, pixels = tuple(header["classes"]), int(header["pixels"])
        network = build(config.network, pixels, len(classes), dropout=config.dropout)
        weights = {}
        for name in network.state_dict():
            buffer = io.BytesIO(archive.read(f"weights/{name}.npy"))
            weights[name] = torch.from_numpy(np.load(buffer, allow_pickle=False))
        network.load_state_dict(weights)
        return cls(
            network,
            classes,
            pixels,
            str(header["recipe_hash"]),
            config,
            float(header["temperature"]),
            dict(header["metrics"]),
            dict(header["provenance"]),
        )

    def export_onnx(self, path: Path | str) -> None:
        """Write the model with its calibrated softmax as ONNX; see `emberline.learn.export.export_onnx`."""
        from emberline.learn.export import export_onnx

        export_onnx(self, path)


class _RandomHead:
    """A copy of what follows the trunk with its dropout on, so that the model itself is never changed."""

    def __init__(self, network: SpectrumNetwork, rng: np.random.Generator) -> None:
        where = device()
        generator = torch.Generator(where).manual_seed(int(rng.integers(2**63)))
        self._parts = [copy.deepcopy(part) for part in (network.hidden, network.dropout, network.output)]
        for part in self._parts:
            part.train()
            use_generator(part, generator)

    def __call__(self, features: Tensor) -> Tensor:
        for part in self._parts:
            features = part(features)
        return features


def _chunk(values: NDArray[np.floating], start: int, batch: int) -> Tensor:
    """Some rows as a tensor, where the network computes.

    Raises
    ------
    ModelError
        One is not finite; the message names its row.
    """
    chunk = np.ascontiguousarray(values[start : start + batch], dtype=np.float32)
    if not np.isfinite(chunk).all():
        row = start + int(np.flatnonzero(~np.isfinite(chunk).all(axis=1))[0])
        raise ModelError("the features of a spectrum are not finite", where=f"row {row}")
    return torch.tensor(chunk, device=device())


def _check_format(found: Any, path: Path | str) -> None:
    if int(found) > FORMAT:
        raise NewerVersionError(
            "the model was written by a newer version of Emberline",
            where=str(path),
            found=f"format {found}",
            expected=f"{FORMAT} or lower",
            action="Update Emberline.",
        )
