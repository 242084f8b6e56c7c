"""Emberline finds rare objects in archives of millions of spectra with few labels."""

from __future__ import annotations

import importlib
from typing import Any

from emberline._version import __version__

_PUBLIC = {
    "Archive": "emberline.archive",
    "Campaign": "emberline.campaign",
    "CampaignConfig": "emberline.campaign",
    "EmberlineError": "emberline.errors",
    "Grid": "emberline.wavelengths",
    "Model": "emberline.learn",
    "Recipe": "emberline.features",
    "Spectrum": "emberline.spectra",
    "demo": "emberline.campaign",
    "ingest": "emberline.archive",
    "new_campaign": "emberline.campaign",
    "open_archive": "emberline.archive",
    "open_campaign": "emberline.campaign",
    "simulate": "emberline.archive",
}

__all__ = ["__version__", *sorted(_PUBLIC)]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that ``import emberline`` stays instant."""
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'emberline' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
