"""Archives: folders of spectra with their catalogue and feature matrices, in open formats."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emberline.archive.ingestion import IngestSummary, ingest, ingest_blocks
    from emberline.archive.ledger import Reject
    from emberline.archive.matrix import FeatureMatrix
    from emberline.archive.simulated import simulate
    from emberline.archive.store import Archive, open_archive

_PUBLIC = {
    "Archive": "store",
    "FeatureMatrix": "matrix",
    "IngestSummary": "ingestion",
    "Reject": "ledger",
    "ingest": "ingestion",
    "ingest_blocks": "ingestion",
    "open_archive": "store",
    "simulate": "simulated",
}

__all__ = [
    "Archive",
    "FeatureMatrix",
    "IngestSummary",
    "Reject",
    "ingest",
    "ingest_blocks",
    "open_archive",
    "simulate",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: readers and the command line need no Parquet."""
    if name in _PUBLIC:
        return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
