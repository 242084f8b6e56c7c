"""What a contestant is: it learns from what was answered, scores the whole pool, and says what to ask next."""

from __future__ import annotations

import dataclasses
import importlib
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from benchmarks.label_efficiency.pools import TARGET, Pool
from numpy.typing import NDArray

from emberline.errors import EmberlineError

__all__ = ["Contestant", "Known", "MissingExtraError", "extra"]

Rows = NDArray[np.int64]


class MissingExtraError(EmberlineError):
    """A tool to compare with is not installed."""


def extra(module: str) -> Any:
    """Import a module of the extra ``benchmarks``, or say how to get it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{module} cannot be imported: {error}", action="Install it: pip install 'emberline[benchmarks]'"
        ) from error


@dataclasses.dataclass(frozen=True, eq=False)
class Known:
    """What has been answered so far.

    Attributes
    ----------
    rows : (l,) int64
        Rows of the pool, in the order of asking.
    answers : (l,) int64
        What the oracle said: 0, `TARGET`, or `BAD`.
    """

    rows: Rows
    answers: NDArray[np.int64]

    @property
    def is_target(self) -> NDArray[np.bool_]:
        """Which answers were targets. (l,)"""
        return np.asarray(self.answers == TARGET)

    @property
    def both(self) -> bool:
        """Whether there is something to tell apart."""
        return bool(self.is_target.any() and (self.answers == 0).any())


class Contestant(ABC):
    """One search of one pool.

    A subclass learns in `learn` (called once before each batch), and answers `scores` and `choose` from what it learnt.
    """

    def __init__(self, pool: Pool, seed: int) -> None:
        self.pool, self.seed, self.turn = pool, seed, 0

    def rng(self, use: int) -> np.random.Generator:
        """Chance of its own for each turn and use."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(self.turn, use)))

    def begin(self, known: Known) -> None:
        """Count a turn and learn."""
        self.turn += 1
        self.learn(known)

    @abstractmethod
    def learn(self, known: Known) -> None:
        """Take in all answers so far."""

    @abstractmethod
    def scores(self) -> NDArray[Any]:
        """One finite number a row, higher is more a target. (n,)"""

    @abstractmethod
    def choose(self, known: Known, batch: int) -> Rows:
        """Rows not asked about before. (batch,)"""

    def probabilities(self) -> NDArray[Any] | None:
        """The probability of being a target where the contestant states one. (n,)"""
        return None

    def best(self, scores: NDArray[Any], known: Known, batch: int) -> Rows:
        """The rows of the highest scores that were not asked about, equal ones in random order."""
        free = np.ones(len(self.pool), bool)
        free[known.rows] = False
        rows = np.flatnonzero(free)
        order = np.lexsort((self.rng(9).random(len(rows)), -np.asarray(scores)[rows]))
        return rows[order[:batch]]
