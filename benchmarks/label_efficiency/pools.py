"""The pools that are searched: feature vectors with known truth, the same for a name, a size and a seed."""

from __future__ import annotations

import csv
import dataclasses
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberline.errors import EmberlineError
from emberline.files import atomic_path

__all__ = ["BAD", "CLASSES", "POOLS", "TARGET", "Pool", "cached", "load"]

CLASSES = ("none", "target")
TARGET = 1
BAD = -1
"""What the oracle answers to a spectrum that shows nothing: the label is spent, and nothing is learnt from it."""

_RECIPE = "halpha-140"
_RARE_DIGIT, _KEPT = 8, 17


@dataclasses.dataclass(frozen=True, eq=False)
class Pool:
    """What is searched, and the truth about it.

    Attributes
    ----------
    name : str
    values : (n, d) float32
        Feature vectors.
    truth : (n,) int64
        0, `TARGET` or `BAD`.
    objects : (n,) str
        The object of each row.
    kinds : (n,) str
        A finer class, for what is left out of training when trust is measured.
    """

    name: str
    values: NDArray[np.float32]
    truth: NDArray[np.int64]
    objects: NDArray[Any]
    kinds: NDArray[Any]

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def is_target(self) -> NDArray[np.bool_]:
        """The rows that are searched for."""
        return np.asarray(self.truth == TARGET)


Maker = Callable[[int, int], Pool]


def _from_truth(name: str, values: NDArray[Any], kinds: NDArray[Any], targets: set[str], objects: NDArray[Any]) -> Pool:
    truth = np.where(np.isin(kinds, list(targets)), TARGET, 0).astype(np.int64)
    truth[kinds == "bad"] = BAD
    return Pool(name, np.ascontiguousarray(values, np.float32), truth, objects, kinds)


def _simulated(prevalence: float) -> Maker:
    """Spectra like LAMOST's; targets are stars with an emitting disk, and everything else that emits is not."""

    def make(size: int, seed: int) -> Pool:
        from emberline.features import Recipe
        from emberline.simulate import Survey, feature_block

        config = Survey(spectra=size, seed=1000 + seed, prevalence=prevalence)
        recipe = Recipe.load(_RECIPE)
        blocks = [feature_block(config, index, recipe) for index in range(config.blocks)]
        usable = ~np.concatenate([block.features.flagged for block in blocks])
        values = np.concatenate([block.features.values for block in blocks])[usable]
        kinds, objects = (np.concatenate([block.truth[key] for block in blocks])[usable] for key in ("label", "object"))
        return _from_truth(f"simulated {prevalence:.1%}", values, kinds, {"be"}, objects)

    return make


def _data() -> Path:
    folder = Path(os.environ.get("EMBERLINE_DATA", "../shared/data"))
    if not (folder / "lamost" / "halpha_truth.csv").is_file():
        raise EmberlineError(
            "the pack of real spectra is not here", where=str(folder), action="Set EMBERLINE_DATA to its folder."
        )
    return folder


def _lamost(size: int, seed: int) -> Pool:
    """The real LAMOST spectra of the pack of test data, Hα emission by eye; the seed changes nothing."""
    from emberline.archive.readers import open_source, read
    from emberline.features import Recipe, extract
    from emberline.spectra import SpectrumBlock

    folder, recipe = _data(), Recipe.load(_RECIPE)
    with open(folder / "lamost" / "halpha_truth.csv", encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["label"] in ("emission", "none")]
    values, kinds, objects = [], [], []
    for row in rows[:size]:
        for spectrum in read(open_source(str(folder / row["path"])))[:1]:
            features = extract(recipe, SpectrumBlock.stack([spectrum]))
            if not features.flagged[0] and np.isfinite(features.values[0]).all():
                values.append(features.values[0])
                kinds.append(row["label"])
                objects.append(row["designation"] or row["path"])
    return _from_truth("real LAMOST", np.array(values), np.array(kinds), {"emission"}, np.array(objects))


def _hosts(prevalence: float) -> Maker:
    """Simulated emission on real LAMOST spectra; with more rows than spectra, a spectrum is used several times."""

    def make(size: int, seed: int) -> Pool:
        from emberline.archive.readers import open_source, read
        from emberline.features import Recipe, extract
        from emberline.simulate import HostSample, Survey, make_block
        from emberline.spectra import SpectrumBlock

        folder, recipe = _data(), Recipe.load(_RECIPE)
        with open(folder / "lamost" / "halpha_truth.csv", encoding="utf-8", newline="") as stream:
            paths = [row["path"] for row in csv.DictReader(stream) if row["label"] == "none"]
        spectra = [read(open_source(str(folder / path)))[0] for path in paths if "/manifold/" in path]
        length = max({s.wavelength.size for s in spectra}, key=[s.wavelength.size for s in spectra].count)
        same = [s for s in spectra if s.wavelength.size == length and np.allclose(s.wavelength, spectra[0].wavelength)]
        sample = HostSample.from_block(SpectrumBlock.stack(same))
        config = Survey(spectra=size, seed=1000 + seed, prevalence=prevalence)
        made = [make_block(config, index, hosts=sample) for index in range(config.blocks)]
        features = [extract(recipe, block.block, ivar=False) for block in made]
        usable = ~np.concatenate([block.flagged for block in features])
        values = np.concatenate([block.values for block in features])[usable]
        kinds, objects = (np.concatenate([block.truth[key] for block in made])[usable] for key in ("label", "object"))
        return _from_truth(f"real hosts {prevalence:.1%}", values, kinds, {"be"}, objects)

    return make


def _digits(size: int, seed: int) -> Pool:
    """Handwritten digits (scikit-learn, after Alpaydin & Kaynak 1998), one digit made rare: no spectra at all."""
    from sklearn.datasets import load_digits

    rng = np.random.default_rng(seed)
    values, digits = load_digits(return_X_y=True)
    rare = np.flatnonzero(digits == _RARE_DIGIT)
    rows = rng.permutation(np.concatenate([np.flatnonzero(digits != _RARE_DIGIT), rng.permutation(rare)[:_KEPT]]))
    rows = rows[:size]
    kinds = np.array([str(digit) for digit in digits[rows]])
    names = np.array([f"digit-{row}" for row in rows])
    return _from_truth("digits", values[rows] / 16.0, kinds, {str(_RARE_DIGIT)}, names)


POOLS: dict[str, Maker] = {
    "sim-1": _simulated(0.01),
    "sim-0.1": _simulated(0.001),
    "hosts-1": _hosts(0.01),
    "hosts-0.1": _hosts(0.001),
    "lamost": _lamost,
    "digits": _digits,
}
"""Makers by name; the number is the prevalence in per cent."""


def load(name: str, size: int, seed: int, cache: Path | None = None) -> Pool:
    """A pool of at most `size` rows, from the cache where it has been made before."""
    folder = cached() if cache is None else cache
    file = folder / f"{name}-{size}-{seed}.npz"
    if not file.is_file():
        pool = POOLS[name](size, seed)
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(file) as temporary, open(temporary, "wb") as stream:
            np.savez(stream, allow_pickle=False, **{key: np.asarray(value) for key, value in vars(pool).items()})
        return pool
    with np.load(file, allow_pickle=False) as stored:
        return Pool(str(stored["name"]), *(stored[key] for key in ("values", "truth", "objects", "kinds")))


def cached() -> Path:
    """Where pools are kept between runs."""
    return Path(tempfile.gettempdir()) / "emberline-label-efficiency"
