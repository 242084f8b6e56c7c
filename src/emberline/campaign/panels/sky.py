"""Sky."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from emberline.campaign.panels.base import Finding, Panel, Place, Tools

__all__ = ["SkyPanel"]


class SkyPanel(Panel):
    """Sky."""

    name: ClassVar[str] = "sky"
    title: ClassVar[str] = "Sky"

    def ask(self, places: Sequence[Place], tools: Tools) -> Mapping[str, Finding]:
        """See `Panel.ask`."""
        return {}
