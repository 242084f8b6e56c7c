"""Catalogues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from emberline.campaign.panels.base import Finding, Panel, Place, Tools

__all__ = ["CataloguesPanel"]


class CataloguesPanel(Panel):
    """Catalogues."""

    name: ClassVar[str] = "catalogues"
    title: ClassVar[str] = "Catalogues"

    def ask(self, places: Sequence[Place], tools: Tools) -> Mapping[str, Finding]:
        """See `Panel.ask`."""
        return {}
