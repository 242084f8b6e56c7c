"""Confusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from emberline.campaign.panels.base import Finding, Panel, Place, Tools

__all__ = ["ConfusionPanel"]


class ConfusionPanel(Panel):
    """Confusion."""

    name: ClassVar[str] = "confusion"
    title: ClassVar[str] = "Confusion"

    def ask(self, places: Sequence[Place], tools: Tools) -> Mapping[str, Finding]:
        """See `Panel.ask`."""
        return {}
