"""A trained network with all that is needed to apply it: classes, recipe, temperature, metrics, provenance."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emberline import config as configuration
from emberline.errors import ConfigError, ModelError, NewerVersionError, NotFiniteError
from emberline.files import atomic_path, forget_pages
from emberline.learn.config import PredictConfig, TrainConfig
from emberline.learn.graphs import Calibrated, Passes
from emberline.learn.networks import Committee, SpectrumNetwork, build, device
from emberline.learn.runtimes.base import FP32, Choice, Runner, compile_graph
from emberline.learn.runtimes.choice import choose, sieve
from emberline.learn.runtimes.torch_runner import run_all

__all__ = ["FORMAT", "Model"]

FORMAT = 1
_HEADER = "model.json"
_BLOCK = 65_536


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
        self._compiled: dict[tuple[Any, ...], Runner] = {}

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

    def predict(self, values: NDArray[np.floating], *, choice: Choice = FP32) -> NDArray[np.float32]:
        """Calibrated probabilities, ``(n, k)`` float32, of ``(n, d)`` feature vectors (a memory map will do).

        Parameters
        ----------
        values : (n, d) float
        choice : Choice
            What computes and how exactly: PyTorch in fp32, or what `choose` found best.

        Raises
        ------
        ModelError
            When the vectors have another length than the model's.
        NotFiniteError
            When one is not finite; the message names its row.
        """
        exact = self._runner(choice.runtime, "fp32")
        if choice.precision == "fp32":
            return self._apply(exact, values)
        fast = self._runner(choice.runtime, "bf16")
        if choice.precision == "bf16":
            return self._apply(fast, values)

        def run(block: NDArray[np.float32]) -> NDArray[np.float32]:
            return sieve(fast, exact, block, choice.background)

        return self._apply(run, values)

    def choose(
        self,
        values: NDArray[np.floating],
        config: PredictConfig,
        *,
        rows: int | None = None,
        among: Sequence[str] | None = None,
    ) -> Choice:
        """The runtime and precision that suit a pool, by measurement on a sample of it.

        Parameters
        ----------
        values : (n, d) float
            The pool, or a part of it that is like it.
        config : PredictConfig
            What the user has left open.
        rows : int, optional
            How many rows will be read; `n` by default.
        among : sequence of str, optional
            The runtimes that can be used where the pool is read; by default those installed here.
        """
        graph = Calibrated(self.network, self.temperature)
        return choose(graph, values, config, rows=len(values) if rows is None else rows, among=among)

    def logits(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """The ``(n, k)`` scores before temperature and softmax."""
        return self._apply(self._plain(self.network), values)

    def embed(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """The ``(n, e)`` vectors that the last layer separates: near when the network thinks two spectra alike."""
        return self._apply(self._plain(self.network.embed), values)

    def stochastic(
        self, values: NDArray[np.floating], passes: int, rng: np.random.Generator, *, choice: Choice = FP32
    ) -> NDArray[np.float32]:
        """Probabilities of `passes` runs with dropout on, ``(passes, n, k)`` float32; see `passes`."""
        return self.passes(passes, rng, choice=choice)(values)

    def passes(
        self, passes: int, rng: np.random.Generator, *, choice: Choice = FP32
    ) -> Callable[[NDArray[np.floating]], NDArray[np.float32]]:
        """A function from ``(n, d)`` feature vectors to the probabilities of `passes` runs with dropout on.

        They are ``(passes, n, k)`` float32 (Gal & Ghahramani 2016, arXiv:1506.02142). All before the first dropout is
        computed once per spectrum and shared by the passes; what a pass silences is drawn now and is the same for every
        spectrum, in whichever call: see `emberline.learn.graphs.Passes`. With ``mixed`` the passes are in bf16.
        """
        graph = Passes(self.network, self.temperature, passes, rng)
        precision = "fp32" if choice.precision == "fp32" else "bf16"
        runner = compile_graph(graph, self.pixels, choice.runtime, precision, threads=torch.get_num_threads())
        return lambda values: self._apply(runner, values).swapaxes(0, 1)

    def _plain(self, function: Callable[[Tensor], Tensor]) -> Runner:
        """PyTorch's own way, in fp32."""
        return lambda block: run_all(function, block, torch.get_num_threads())

    def _runner(self, runtime: str, precision: str) -> Runner:
        """Calibrated probabilities by some runtime; kept, for compiling takes up to a second."""
        if (runtime, precision) == ("torch", "fp32"):
            return self._plain(lambda x: torch.softmax(self.network(x) / self.temperature, dim=1))
        key = (runtime, precision, self.temperature, torch.get_num_threads())
        if key not in self._compiled:
            graph = Calibrated(self.network, self.temperature)
            self._compiled[key] = compile_graph(graph, self.pixels, runtime, precision, threads=torch.get_num_threads())
        return self._compiled[key]

    def _apply(self, runner: Runner, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """`runner` on blocks of rows: a memory map is never in memory as a whole."""
        if values.ndim != 2 or values.shape[1] != self.pixels:
            raise ModelError(
                "the features do not fit the model",
                found=f"shape {values.shape}",
                expected=f"(n, {self.pixels})",
                action="Build the features with the model's recipe.",
            )
        if len(values) <= _BLOCK:
            return runner(_block(values, 0))
        result: NDArray[np.float32] | None = None
        for start in range(0, len(values), _BLOCK):
            part = runner(_block(values, start))
            if result is None:
                result = np.empty((len(values), *part.shape[1:]), np.float32)
            result[start : start + _BLOCK] = part
            forget_pages(values)
        assert result is not None
        return result

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
            "members": self.network.members if isinstance(self.network, Committee) else 1,
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
        network = build(
            config.network, pixels, len(classes), dropout=config.dropout, members=int(header.get("members", 1))
        )
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


def _block(values: NDArray[np.floating], start: int) -> NDArray[np.float32]:
    """Some rows in fp32, checked.

    Raises
    ------
    NotFiniteError
        One is not finite.
    """
    block = np.ascontiguousarray(values[start : start + _BLOCK], dtype=np.float32)
    if not np.isfinite(block).all():
        raise NotFiniteError(start + int(np.flatnonzero(~np.isfinite(block).all(axis=1))[0]))
    return block


def _check_format(found: Any, path: Path | str) -> None:
    if int(found) > FORMAT:
        raise NewerVersionError(
            "the model was written by a newer version of Emberline",
            where=str(path),
            found=f"format {found}",
            expected=f"{FORMAT} or lower",
            action="Update Emberline.",
        )
