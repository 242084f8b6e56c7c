"""Other tools on the same features: random forests, isolation forests, Pine forest, AAD, Gaussian processes."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import numpy as np
from benchmarks.label_efficiency.interface import Contestant, Known, Rows, extra
from benchmarks.label_efficiency.pools import Pool
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

__all__ = ["Forest", "GaussianProcess", "Isolation", "Pine", "RandomForest", "Tree", "forest"]

_TREES = 200
_COMPONENTS = 12
_CURIOSITY = 1.0


def forest(seed: int) -> RandomForestClassifier:
    """A random forest with classes weighed by their rarity."""
    return RandomForestClassifier(
        _TREES, class_weight="balanced_subsample", min_samples_leaf=2, random_state=seed, n_jobs=1
    )


def isolation(seed: int) -> IsolationForest:
    """An isolation forest of as many trees as the others have."""
    return IsolationForest(n_estimators=_TREES, random_state=seed, n_jobs=1)


class RandomForest(Contestant):
    """A random forest that asks about what it holds most probable; at random before there is a target."""

    model: Any = None

    def learn(self, known: Known) -> None:
        """Fit anew."""
        self.model = None
        if known.both:
            seed = int(self.rng(1).integers(2**31))
            self.model = self._fitted(seed, self.pool.values[known.rows], known.is_target)
        self._scores = (
            np.zeros(len(self.pool)) if self.model is None else self.model.predict_proba(self.pool.values)[:, 1]
        )

    def _fitted(self, seed: int, values: NDArray[Any], is_target: NDArray[np.bool_]) -> Any:
        return forest(seed).fit(values, is_target)

    def scores(self) -> NDArray[Any]:
        """The share of the trees' votes."""
        return self._scores

    def probabilities(self) -> NDArray[Any] | None:
        """The votes, as they are."""
        return None if self.model is None else self._scores

    def choose(self, known: Known, batch: int) -> Rows:
        """The most probable."""
        return self.best(self._scores, known, batch)


class Forest(RandomForest):
    """modAL's learner around the same forest: uncertainty sampling, as its manual shows it."""

    def __init__(self, pool: Pool, seed: int) -> None:
        super().__init__(pool, seed)
        self._models = extra("modAL.models")
        self._uncertainty = extra("modAL.uncertainty")

    def _fitted(self, seed: int, values: NDArray[Any], is_target: NDArray[np.bool_]) -> Any:
        return self._models.ActiveLearner(
            estimator=forest(seed),
            query_strategy=self._uncertainty.uncertainty_sampling,
            X_training=values,
            y_training=is_target.astype(int),
        )

    def choose(self, known: Known, batch: int) -> Rows:
        """The least sure."""
        if self.model is None:
            return super().choose(known, batch)
        free = np.ones(len(self.pool), bool)
        free[known.rows] = False
        rows = np.flatnonzero(free)
        chosen, _ = self.model.query(self.pool.values[rows], n_instances=min(batch, len(rows)), random_tie_break=True)
        return np.asarray(rows[chosen], dtype=np.int64)


class Isolation(Contestant):
    """Isolation forest (Liu, Ting & Zhou 2008): the most isolated first, whatever the answers."""

    def __init__(self, pool: Pool, seed: int) -> None:
        super().__init__(pool, seed)
        self._scores = -isolation(seed).fit(pool.values).score_samples(pool.values)

    def learn(self, known: Known) -> None:
        """Nothing."""

    def scores(self) -> NDArray[Any]:
        """How isolated each row is."""
        return np.asarray(self._scores)

    def choose(self, known: Known, batch: int) -> Rows:
        """The most isolated."""
        return self.best(self._scores, known, batch)


class Pine(Contestant):
    """Pine forest of coniferest: trees of an isolation forest that disagree with the answers are replaced."""

    def __init__(self, pool: Pool, seed: int) -> None:
        super().__init__(pool, seed)
        module = extra("coniferest.pineforest")
        self._label = extra("coniferest.label").Label
        self._make = functools.partial(module.PineForest, n_trees=_TREES, random_seed=seed, n_jobs=1)
        self._scores = np.zeros(len(pool))

    def learn(self, known: Known) -> None:
        """Fit with all answers."""
        model, values = self._make(), np.ascontiguousarray(self.pool.values, np.float64)
        if len(known.rows):
            labels = np.where(known.is_target, self._label.ANOMALY.value, self._label.REGULAR.value)
            model.fit_known(values, values[known.rows], labels)
        else:
            model.fit(values)
        self._scores = -np.asarray(model.score_samples(values))

    def scores(self) -> NDArray[Any]:
        """Its anomaly score."""
        return self._scores

    def choose(self, known: Known, batch: int) -> Rows:
        """The most anomalous."""
        return self.best(self._scores, known, batch)


class Tree(Pine):
    """Active anomaly discovery (Das et al. 2017) of coniferest: leaves are weighed by the answers."""

    def __init__(self, pool: Pool, seed: int) -> None:
        super().__init__(pool, seed)
        module = extra("coniferest.aadforest")
        self._make = functools.partial(module.AADForest, n_trees=_TREES, random_seed=seed, n_jobs=1)


class GaussianProcess(Contestant):
    """Ratings spread by a Gaussian process, after Protégé of Astronomaly (Lochner & Rudnick 2024, arXiv:2411.04188).

    Ours, not theirs: ratings are 1 and 0, features are the pool's principal components, and what is asked is the
    highest mean plus standard deviation. The first batch is the isolation forest's.
    """

    def __init__(self, pool: Pool, seed: int) -> None:
        super().__init__(pool, seed)
        components = min(_COMPONENTS, pool.values.shape[1], len(pool) - 1)
        points = PCA(components, random_state=seed).fit_transform(pool.values)
        self._points = points / (points.std(axis=0) + 1e-12)
        self._mean = Isolation(pool, seed).scores()
        self._spread = np.zeros(len(pool))

    def learn(self, known: Known) -> None:
        """Fit the ratings."""
        if not known.both:
            return
        kernel = ConstantKernel(1.0) * RBF(np.sqrt(self._points.shape[1])) + WhiteKernel(0.05)
        model = GaussianProcessRegressor(kernel, normalize_y=True, random_state=self.seed)
        with warnings.catch_warnings():  # of a length scale that few ratings cannot settle
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(self._points[known.rows], known.is_target.astype(float))
        parts = [
            model.predict(self._points[at : at + 4096], return_std=True) for at in range(0, len(self._points), 4096)
        ]
        self._mean, self._spread = (np.concatenate(column) for column in zip(*parts, strict=True))

    def scores(self) -> NDArray[Any]:
        """The mean rating."""
        return self._mean

    def choose(self, known: Known, batch: int) -> Rows:
        """The highest mean plus standard deviation."""
        return self.best(self._mean + _CURIOSITY * self._spread, known, batch)
