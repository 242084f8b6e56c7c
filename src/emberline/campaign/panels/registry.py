"""Find the panels: the built-in ones, and those that installed packages announce as ``emberline.panels``."""

from __future__ import annotations

import difflib
import functools
import importlib
import logging
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points

from emberline.campaign.panels.base import Panel
from emberline.errors import ConfigError

__all__ = ["GROUP", "chosen", "panels"]

GROUP = "emberline.panels"
_LOG = logging.getLogger("emberline.campaign.panels")
_BUILT_IN = {
    "confusion": "ConfusionPanel",
    "identity": "IdentityPanel",
    "photometry": "PhotometryPanel",
    "spectra": "SpectraPanel",
    "catalogues": "CataloguesPanel",
    "sky": "SkyPanel",
    "variability": "VariabilityPanel",
    "literature": "LiteraturePanel",
}


@functools.cache
def panels() -> dict[str, Panel]:
    """Name → panel, in the order in which they are shown: ours first, then those of other packages by name.

    A package's panel that cannot be used is left out with a warning: it must not take the others with it.
    """
    found: dict[str, Panel] = {}
    for name, kind in _BUILT_IN.items():
        module = importlib.import_module(f"emberline.campaign.panels.{name}")
        found[name] = getattr(module, kind)()
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            panel = _load(point)
            if panel.name in found:
                raise ConfigError("takes a name that is in use", where=point.value, found=panel.name)
            found[panel.name] = panel
        except Exception as error:
            _LOG.warning("the panel %r cannot be used: %s", point.name, error)
    return found


def _load(point: EntryPoint) -> Panel:
    kind = point.load()
    if not (isinstance(kind, type) and issubclass(kind, Panel)):
        raise ConfigError("is no panel", where=point.value, found=repr(kind), expected="a subclass of Panel")
    panel = kind()
    if panel.name != point.name or not panel.title:
        wrong = "needs a title, and a name that is the entry point's"
        raise ConfigError(wrong, where=point.value, found=panel.name, expected=point.name)
    return panel


def chosen(names: Sequence[str]) -> dict[str, Panel]:
    """The panels of that name, in that order; all when there are none.

    Raises
    ------
    ConfigError
        There is no such panel; the nearest name is offered.
    """
    known = panels()
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            action = f"Did you mean {near[0]!r}?" if near else f"Known panels: {', '.join(known)}."
            raise ConfigError(f"there is no panel {name!r}", where="context.panels", action=action)
    return {name: known[name] for name in names} if names else dict(known)
