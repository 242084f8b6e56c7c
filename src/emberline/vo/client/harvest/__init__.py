"""Spectra of other archives, fetched and ingested: selection, queue with a history per file, downloads, provenance."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emberline.vo.client.harvest.constraints import Constraints
    from emberline.vo.client.harvest.history import STATES, File, HarvestError, History, open_history
    from emberline.vo.client.harvest.records import Record
    from emberline.vo.client.harvest.running import HarvestSummary, harvest

_PUBLIC = {
    "STATES": "history",
    "Constraints": "constraints",
    "File": "history",
    "HarvestError": "history",
    "HarvestSummary": "running",
    "History": "history",
    "Record": "records",
    "harvest": "running",
    "open_history": "history",
}

__all__ = [
    "STATES",
    "Constraints",
    "File",
    "HarvestError",
    "HarvestSummary",
    "History",
    "Record",
    "harvest",
    "open_history",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: the declaration of the job needs none of them."""
    if name in _PUBLIC:
        return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
