"""Searches with Emberline's own networks and strategies, and what was tried to need fewer labels."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from benchmarks.label_efficiency.interface import Contestant, Known, Rows
from benchmarks.label_efficiency.masked import pretrain
from benchmarks.label_efficiency.pools import CLASSES, TARGET, Pool
from numpy.typing import NDArray

from emberline.learn import Model, TrainConfig, train
from emberline.learn.config import Choice, PredictConfig
from emberline.learn.strategies import Query, strategy

__all__ = ["NetworkSearch", "Recipe"]

_HASH = "benchmark"
_PASSES = 20
_SURE, _SURELY_NOT = 0.98, 0.001
"""From which calibrated probability a prediction is taken for a label, and below which for one of no target."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a network searches.

    Attributes
    ----------
    strategy : str
    train : TrainConfig
    parameters : dict
        The strategy's.
    warm : bool
        Whether a network starts from the last one.
    masked : bool
        Whether the first starts from a trunk that was taught to fill gaps in the pool's spectra.
    pseudo : bool
        Whether sure predictions are learnt as if they had been labels.
    blend : bool
        Whether a random forest's probabilities are averaged with the network's.
    cold_start : str
        The strategy before anything can be told apart.
    cold_parameters : dict
        The parameters of that.
    """

    strategy: str
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    parameters: dict[str, Any] = dataclasses.field(default_factory=dict)
    warm: bool = False
    masked: bool = False
    pseudo: bool = False
    blend: bool = False
    cold_start: str = "cold_start"
    cold_parameters: dict[str, Any] = dataclasses.field(default_factory=dict)


class NetworkSearch(Contestant):
    """The round of a campaign on arrays: train, read the pool, ask by a strategy."""

    def __init__(self, pool: Pool, seed: int, recipe: Recipe) -> None:
        super().__init__(pool, seed)
        self.recipe = recipe
        self.model: Model | None = None
        self.chance: NDArray[Any] | None = None
        self.first = pretrain(pool.values, recipe.train, _HASH, seed) if recipe.masked else None
        self._choice: Choice | None = None

    def learn(self, known: Known) -> None:
        """Train on what is a class, and read the pool."""
        self.model, self.chance = None, None
        if not known.both:
            return
        rows, answers = self._learnt(known)
        self.model = self._train(rows, answers, self.first)
        self.chance = self._read(self.model)
        if self.recipe.pseudo:
            more = self._pseudo(known)
            rows, answers = np.append(rows, more[0]), np.append(answers, more[1])
            self.model = self._train(rows, answers, None)
            self.chance = self._read(self.model)
        if self.recipe.warm:
            self.first = self.model
        if self.recipe.blend:
            self.chance = 0.5 * (self.chance + self._forest(rows, answers))

    def _learnt(self, known: Known) -> tuple[Rows, NDArray[np.int64]]:
        kept = known.answers >= 0
        return known.rows[kept], known.answers[kept]

    def _train(self, rows: Rows, answers: NDArray[np.int64], init: Model | None) -> Model:
        return train(
            self.pool.values[rows],
            answers,
            self.pool.objects[rows],
            CLASSES,
            self.recipe.train,
            rng=self.rng(10),
            recipe_hash=_HASH,
            init=init,
        )

    def _read(self, model: Model) -> NDArray[Any]:
        """The probability of a target."""
        if self._choice is None:
            self._choice = model.choose(self.pool.values, PredictConfig())
        return np.asarray(model.predict(self.pool.values, choice=self._choice)[:, TARGET], np.float64)

    def _pseudo(self, known: Known) -> tuple[Rows, NDArray[np.int64]]:
        """Rows that the network is sure of; never more of a kind than there are labels of it."""
        assert self.chance is not None
        free = np.ones(len(self.pool), bool)
        free[known.rows] = False
        rng, rows, answers = self.rng(20), [], []
        labelled = {TARGET: int(known.is_target.sum()), 0: int((known.answers == 0).sum())}
        for answer, sure in ((TARGET, self.chance >= _SURE), (0, self.chance <= _SURELY_NOT)):
            found = rng.permutation(np.flatnonzero(free & sure))[: labelled[answer]]
            rows.append(found)
            answers.append(np.full(len(found), answer))
        return np.concatenate(rows), np.concatenate(answers)

    def _forest(self, rows: Rows, answers: NDArray[np.int64]) -> NDArray[Any]:
        from benchmarks.label_efficiency.peers import forest

        model = forest(int(self.rng(21).integers(2**31))).fit(self.pool.values[rows], answers == TARGET)
        return np.asarray(model.predict_proba(self.pool.values)[:, 1])

    def scores(self) -> NDArray[Any]:
        """The probability of a target; all equal before the first network."""
        return np.zeros(len(self.pool)) if self.chance is None else self.chance

    def probabilities(self) -> NDArray[Any] | None:
        """The network's, calibrated by its own held-out objects."""
        return self.chance

    def choose(self, known: Known, batch: int) -> Rows:
        """What the strategy selects, by the rules of a campaign."""
        available = np.ones(len(self.pool), bool)
        available[known.rows] = False
        query = Query(
            objects=self.pool.objects,
            available=available,
            batch=batch,
            rng=self.rng(1),
            probabilities=None if self.chance is None else np.stack([1 - self.chance, self.chance], axis=1),
            targets=(TARGET,),
            embeddings=None if self.model is None else self._embed,
            features=self.pool.values,
            stochastic=self._passes,
            asked=known.rows,
        )
        if self.chance is None:
            return strategy(self.recipe.cold_start, self.recipe.cold_parameters).select(query)
        return strategy(self.recipe.strategy, self.recipe.parameters).select(query)

    def _embed(self, rows: Rows) -> NDArray[Any]:
        assert self.model is not None
        return self.model.embed(self.pool.values[rows])

    def _passes(self, rows: Rows) -> NDArray[Any]:
        assert self.model is not None
        assert self._choice is not None
        return self.model.stochastic(self.pool.values[rows], _PASSES, self.rng(2), choice=self._choice)
