"""A small campaign to label: its first round has been asked, without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from emberline.archive import ingest_blocks
from emberline.campaign import CampaignConfig, new_campaign
from emberline.config import from_mapping
from tests.campaign.conftest import lines

SETTINGS: dict[str, Any] = {
    "name": "Search",
    "classes": ["none", "emission"],
    "targets": ["emission"],
    "recipe": "halpha-140",
    "query": {"batch": 60},
    "control": {"per_round": 10},
    "annotation": {"repeats": 0.0, "hints": {"emission": "A line above the continuum."}},
}


def make_campaign(folder: Path, **annotation: Any) -> Path:
    """An archive ``survey`` and a campaign ``search`` in a workspace; 70 questions are open."""
    block, _ = lines(400, targets=40, seed=5)
    ingest_blocks([block], folder / "survey", survey="test")
    mapping = {**SETTINGS, "pool": {"archives": ["survey"]}}
    mapping["annotation"] = {**SETTINGS["annotation"], **annotation}
    campaign = new_campaign(folder / "search", from_mapping(CampaignConfig, mapping).resolved(folder))
    campaign.advance()
    campaign.close()
    return folder / "search"
