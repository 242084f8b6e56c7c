"""Photometry and parallax."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from emberline.campaign.panels.base import Finding, Panel, Place, Tools

__all__ = ["PhotometryPanel"]


class PhotometryPanel(Panel):
    """Photometry and parallax."""

    name: ClassVar[str] = "photometry"
    title: ClassVar[str] = "Photometry and parallax"

    def ask(self, places: Sequence[Place], tools: Tools) -> Mapping[str, Finding]:
        """See `Panel.ask`."""
        return {}
