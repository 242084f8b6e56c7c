"""Find a strategy by its name: the built-in ones, and those that installed packages announce."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from emberline.config import from_mapping
from emberline.errors import ConfigError
from emberline.learn.strategies._base import Strategy
from emberline.learn.strategies.bald import Bald
from emberline.learn.strategies.cold_start import ColdStart
from emberline.learn.strategies.diverse import Diverse
from emberline.learn.strategies.entropy import Entropy
from emberline.learn.strategies.least_confidence import LeastConfidence
from emberline.learn.strategies.margin import Margin
from emberline.learn.strategies.published_entropy import PublishedEntropy
from emberline.learn.strategies.published_targets import PublishedTargets
from emberline.learn.strategies.random import Random
from emberline.learn.strategies.seek import Seek

__all__ = ["GROUP", "strategies", "strategy"]

GROUP = "emberline.strategies"

_BUILT_IN: tuple[type[Strategy], ...] = (
    Seek, Entropy, Margin, LeastConfidence, Bald, Diverse, Random, PublishedEntropy, PublishedTargets, ColdStart
)  # fmt: skip


def strategies() -> dict[str, type[Strategy]]:
    """Name → class: built-in strategies first, then those of the entry-point group ``emberline.strategies``.

    Raises
    ------
    ConfigError
        When an entry point is no strategy, or takes a name that is in use.
    """
    known = {kind.name: kind for kind in _BUILT_IN}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        kind = point.load()
        where = f"entry point {point.name!r} of {GROUP}"
        if not (isinstance(kind, type) and issubclass(kind, Strategy)):
            raise ConfigError("is not a strategy", where=where, found=repr(kind), expected="a subclass of Strategy")
        if point.name in known:
            raise ConfigError("takes a name that is in use", where=where, found=point.value, action="Rename it.")
        known[point.name] = kind
    return known


def strategy(name: str, parameters: Mapping[str, Any] | None = None) -> Strategy:
    """The strategy called `name`, with its parameters.

    Raises
    ------
    ConfigError
        When no strategy has this name, or a parameter is unknown or has a wrong value.
    """
    known = strategies()
    kind = known.get(name.replace("-", "_")) or known.get(name)
    if kind is None:
        near = difflib.get_close_matches(name.replace("-", "_"), known, n=1, cutoff=0.5)
        action = f"Did you mean {near[0]!r}?" if near else f"Known strategies: {', '.join(known)}."
        raise ConfigError(f"there is no strategy {name!r}", action=action)
    return from_mapping(kind, parameters or {}, where=f"strategy {name!r}")
