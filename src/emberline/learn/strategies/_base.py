"""What a strategy is given, what it must answer, and the loop that keeps every strategy to the rules of a batch."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from emberline.errors import ConfigError

__all__ = ["Query", "Ranked", "Rows", "Strategy"]

Rows = NDArray[np.int64]
_FIRST_CHUNK = 8192


def _no_rows() -> Rows:
    return np.empty(0, dtype=np.int64)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Query:
    """Everything a strategy may look at when it chooses a batch; rows are rows of the pool.

    Attributes
    ----------
    objects : (n,) array of str or int
        The object that each spectrum shows.
    available : (n,) bool
        Rows that may be asked about.
    batch : int
        How many rows are wanted.
    rng : numpy.random.Generator
        The only source of chance; the same state gives the same batch.
    probabilities : (n, k) float array, optional
        Calibrated class probabilities. A row that is not finite is never asked about by a strategy that reads them.
    targets : tuple of int
        Columns of `probabilities` that are searched for.
    embeddings : (n, e) array, or callable from rows (m,) to (m, e), optional
        The network's inner description; a callable computes it for a shortlist only.
    features : (n, d) array, optional
        Feature vectors, along wavelength; may be a memory map.
    stochastic : callable from rows (m,) to (passes, m, k), optional
        Class probabilities of repeated passes with dropout on.
    asked : (l,) int64
        Rows that were asked about before (in earlier batches, or by another part of a mixed batch).
    repeat_objects : bool
        Whether an object of an asked row may be asked about again through another spectrum.
    memo : dict
        What a strategy has worked out about the whole pool; a query that is made from this one finds it again.
    """

    objects: NDArray[Any]
    available: NDArray[np.bool_]
    batch: int
    rng: np.random.Generator
    probabilities: NDArray[Any] | None = None
    targets: tuple[int, ...] = ()
    embeddings: NDArray[Any] | Callable[[Rows], NDArray[Any]] | None = None
    features: NDArray[Any] | None = None
    stochastic: Callable[[Rows], NDArray[Any]] | None = None
    asked: Rows = dataclasses.field(default_factory=_no_rows)
    repeat_objects: bool = False
    memo: dict[str, Any] = dataclasses.field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.batch < 0:
            raise ValueError(f"a batch of {self.batch} rows cannot be chosen")
        arrays = {"objects": self.objects, "probabilities": self.probabilities, "features": self.features}
        if not callable(self.embeddings):
            arrays["embeddings"] = self.embeddings
        for name, array in arrays.items():
            if array is not None and len(array) != len(self.available):
                raise ValueError(f"{name} has {len(array)} rows, and available has {len(self.available)}")

    def __len__(self) -> int:
        return len(self.available)

    def needed(self, name: str, strategy: str) -> Any:
        """The attribute `name`, or a `ConfigError` that says that `strategy` cannot do without it."""
        value = getattr(self, name)
        if value is None or (name == "targets" and not value):
            action = "Give it in the query, or choose another strategy."
            raise ConfigError(f"the strategy {strategy!r} needs {name}", expected=f"query.{name}", action=action)
        return value

    def target_probability(self, strategy: str) -> NDArray[np.float64]:
        """The probability of being a target, whichever. (n,)"""
        columns = list(self.needed("targets", strategy))
        total: NDArray[np.float64] = self.needed("probabilities", strategy)[:, columns].sum(axis=1, dtype=np.float64)
        return total

    def embedded(self, rows: Rows, strategy: str) -> NDArray[np.float64]:
        """The embeddings of some rows; the features where there are no embeddings. (m, e)"""
        source = self.needed("features", strategy) if self.embeddings is None else self.embeddings
        return np.asarray(source(rows) if callable(source) else source[rows], dtype=np.float64)

    def without(self, rows: Iterable[int]) -> Query:
        """The same query after `rows` have been asked about too."""
        return dataclasses.replace(self, asked=np.concatenate([self.asked, np.fromiter(rows, np.int64)]))

    def best_first(self, scores: NDArray[Any]) -> Iterator[int]:
        """Available rows from the highest score down; equal scores in random order, non-finite ones never."""
        rows = np.flatnonzero(self.available & np.isfinite(scores))
        values, ties = np.asarray(scores)[rows], self.rng.random(len(rows))
        taken = 0
        for size in (_FIRST_CHUNK, len(rows)):
            if size >= len(rows):
                near = np.arange(len(rows))
            else:
                near = np.flatnonzero(values >= np.partition(values, len(values) - size)[-size])
            order = near[np.lexsort((ties[near], -values[near]))]
            yield from rows[order[taken:]].tolist()
            taken = len(order)

    def shortlist(self, scores: NDArray[Any], size: int) -> Rows:
        """At most `size` admissible rows of the highest scores, no two of one object, best first."""
        return _admit(self, self.best_first(scores), size)


def _admit(query: Query, proposed: Iterable[int], count: int, chosen: Iterable[int] = ()) -> Rows:
    """The first `count` of the proposed rows that keep the rules, `chosen` being in the batch already."""
    admitted = list(chosen)
    refused = {*query.asked.tolist(), *admitted}
    objects = {query.objects[row] for row in admitted}
    if not query.repeat_objects:
        objects.update(query.objects[query.asked].tolist())
    if len(admitted) >= count:
        return np.asarray(admitted[:count], dtype=np.int64)
    for row in map(int, proposed):
        if query.available[row] and row not in refused and query.objects[row] not in objects:
            admitted.append(row)
            refused.add(row)
            objects.add(query.objects[row])
            if len(admitted) >= count:
                break
    return np.asarray(admitted, dtype=np.int64)


class Strategy(ABC):
    """Chooses what to ask. A strategy proposes rows; this class decides which of them make the batch.

    A subclass is a frozen dataclass whose fields are its parameters, with a `name`, a one-line `summary` and
    `propose`. It need not keep the rules: `select` leaves out rows that are not available or were asked
    about, second spectra of an object, and repeated rows, and fills a short batch at random.
    """

    name: ClassVar[str]
    summary: ClassVar[str]

    @abstractmethod
    def propose(self, query: Query) -> Iterable[int]:
        """Rows in the order in which they should be asked about; it may be lazy and may end early."""

    def select(self, query: Query) -> Rows:
        """The batch: `query.batch` rows, or all that the rules admit when these are fewer, in order of interest."""
        batch = _admit(query, self.propose(query), query.batch) if query.batch else _no_rows()
        if len(batch) == query.batch:
            return batch
        return _admit(query, query.best_first(np.zeros(len(query))), query.batch, chosen=batch.tolist())


class Ranked(Strategy):
    """A strategy that gives every row a score and asks about the highest."""

    @abstractmethod
    def scores(self, query: Query) -> NDArray[Any]:
        """One number a row, higher is more interesting; not finite means never. (n,)"""

    def propose(self, query: Query) -> Iterable[int]:
        """Rows by falling score; equal scores in random order, so that a flat score favours no part of the sky."""
        return query.best_first(self.scores(query))
