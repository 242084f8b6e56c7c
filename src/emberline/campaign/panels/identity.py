"""Identity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from emberline.campaign.panels.base import Finding, Panel, Place, Tools

__all__ = ["IdentityPanel"]


class IdentityPanel(Panel):
    """Identity."""

    name: ClassVar[str] = "identity"
    title: ClassVar[str] = "Identity"

    def ask(self, places: Sequence[Place], tools: Tools) -> Mapping[str, Finding]:
        """See `Panel.ask`."""
        return {}
