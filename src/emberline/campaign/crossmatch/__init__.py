"""Cross-match candidates with SIMBAD, Gaia, VizieR, any TAP service, archives and files.

`parse_requests` reads what is asked for, `crossmatch_campaign` and `crossmatch_table` do it and write what comes of it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emberline.campaign.crossmatch.catalogues import Request, parse_requests
    from emberline.campaign.crossmatch.config import CrossmatchConfig
    from emberline.campaign.crossmatch.matching import Crossmatch, Options, crossmatch
    from emberline.campaign.crossmatch.summary import summary_text
    from emberline.campaign.crossmatch.targets import (
        crossmatch_campaign,
        crossmatch_pairs,
        crossmatch_table,
        kept_summary,
    )

_PUBLIC = {
    "Crossmatch": "matching",
    "CrossmatchConfig": "config",
    "Options": "matching",
    "Request": "catalogues",
    "crossmatch": "matching",
    "crossmatch_campaign": "targets",
    "crossmatch_pairs": "targets",
    "crossmatch_table": "targets",
    "kept_summary": "targets",
    "parse_requests": "catalogues",
    "summary_text": "summary",
}

__all__ = [
    "Crossmatch",
    "CrossmatchConfig",
    "Options",
    "Request",
    "crossmatch",
    "crossmatch_campaign",
    "crossmatch_pairs",
    "crossmatch_table",
    "kept_summary",
    "parse_requests",
    "summary_text",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: a campaign's configuration needs no Parquet."""
    if name in _PUBLIC:
        return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
