"""Who competes: Emberline's strategies and their variants, the published protocol, and other tools."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from benchmarks.label_efficiency.interface import Contestant
from benchmarks.label_efficiency.networks import NetworkSearch, Recipe
from benchmarks.label_efficiency.peers import Forest, GaussianProcess, Isolation, Pine, RandomForest, Tree
from benchmarks.label_efficiency.pools import Pool

from emberline.learn import TrainConfig
from emberline.learn.strategies import strategies

__all__ = ["CONTESTANTS", "Entry", "contestant"]


@dataclasses.dataclass(frozen=True)
class Entry:
    """One line of the table: who it is, what it is, and how it is made for a pool and a seed."""

    name: str
    group: str
    summary: str
    make: Callable[[Pool, int], Contestant]


def _network(name: str, group: str, summary: str, recipe: Recipe) -> Entry:
    return Entry(name, group, summary, lambda pool, seed: NetworkSearch(pool, seed, recipe))


def _peer(name: str, summary: str, kind: Callable[[Pool, int], Contestant]) -> Entry:
    return Entry(name, "other tools", summary, kind)


_ONE = TrainConfig(members=1)
_AUGMENTED = TrainConfig(members=1, shift_pixels=0.5, noise=0.1)
_SMOOTHED = TrainConfig(members=1, label_smoothing=0.05)
_CURIOUS = {"exploit": 0.2, "explore": 0.7, "anomalies": 0.1}

_ENTRIES = (
    _network(
        "published",
        "published",
        "VGG, SMOTE, highest entropy",
        Recipe("published_entropy", TrainConfig.published(), cold_start="random"),
    ),
    *(
        _network(name, "strategies", kind.summary, Recipe(name))
        for name, kind in strategies().items()
        if name not in ("cold_start", "published_entropy", "published_targets")
    ),
    *(
        _network(f"{name}-single", "variants", f"{name}; one network", Recipe(name, _ONE))
        for name in ("seek", "entropy", "diverse", "random")
    ),
    _network("curious", "variants", "seek; a fifth exploit, seven tenths explore", Recipe("seek", parameters=_CURIOUS)),
    _network("curious-single", "variants", "curious; one network", Recipe("seek", _ONE, _CURIOUS)),
    _network(
        "seek-warm", "variants", "seek-single; each network starts from the last", Recipe("seek", _ONE, warm=True)
    ),
    _network("seek-augmented", "variants", "seek-single; shifted and noisy spectra", Recipe("seek", _AUGMENTED)),
    _network("seek-smooth", "variants", "seek-single; label smoothing 0.05", Recipe("seek", _SMOOTHED)),
    _network(
        "seek-pretrained",
        "variants",
        "seek-single; trunk taught to fill gaps of the pool",
        Recipe("seek", _ONE, masked=True),
    ),
    _network("seek-pseudo", "variants", "seek-single; sure predictions as labels", Recipe("seek", _ONE, pseudo=True)),
    _network("seek-blend", "variants", "seek-single; averaged with a random forest", Recipe("seek", _ONE, blend=True)),
    _network(
        "seek-greedy",
        "variants",
        "seek; nine tenths exploit",
        Recipe("seek", parameters={"exploit": 0.9, "explore": 0.08, "anomalies": 0.02}),
    ),
    _network(
        "seek-no-extremes",
        "variants",
        "seek-single; the first batches half residual lines, half centres",
        Recipe("seek", _ONE, cold_parameters={"extremes": 0.0, "anomalies": 0.5}),
    ),
    _peer("modal-forest", "modAL, random forest, least sure", Forest),
    _peer("greedy-forest", "random forest, most probable", RandomForest),
    _peer("isolation-forest", "scikit-learn, most isolated; learns nothing", Isolation),
    _peer("coniferest-pine", "coniferest, Pine forest", Pine),
    _peer("coniferest-aad", "coniferest, active anomaly discovery", Tree),
    _peer("gp-protege", "Gaussian process on ratings, after Protégé", GaussianProcess),
)

CONTESTANTS = {entry.name: entry for entry in _ENTRIES}


def contestant(name: str, pool: Pool, seed: int) -> Contestant:
    """Make one by name.

    Raises
    ------
    MissingExtraError
        What it needs is not installed.
    """
    return CONTESTANTS[name].make(pool, seed)
