"""Campaigns: the rounds of train, predict, query and label, the estimates, and the candidates that come out."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emberline.campaign.campaign import Campaign, new_campaign, open_campaign, read_status
    from emberline.campaign.config import CampaignConfig
    from emberline.campaign.demonstration import demo

_PUBLIC = {
    "Campaign": "emberline.campaign.campaign",
    "CampaignConfig": "emberline.campaign.config",
    "demo": "emberline.campaign.demonstration",
    "new_campaign": "emberline.campaign.campaign",
    "open_campaign": "emberline.campaign.campaign",
    "read_status": "emberline.campaign.campaign",
}

__all__ = ["Campaign", "CampaignConfig", "demo", "new_campaign", "open_campaign", "read_status"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: a campaign brings in PyTorch."""
    if name in _PUBLIC:
        value = getattr(importlib.import_module(_PUBLIC[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'emberline.campaign' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
