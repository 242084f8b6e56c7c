"""What the Virtual Observatory and one's own archives know of each spectrum, asked beforehand and shown beside it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emberline.campaign.panels.base import (
        Caution,
        Fact,
        Finding,
        Link,
        Overlay,
        Panel,
        Picture,
        Place,
        Tools,
    )
    from emberline.campaign.panels.config import CatalogueConfig, ContextConfig
    from emberline.campaign.panels.document import context_document, context_status
    from emberline.campaign.panels.prefetch import prefetch
    from emberline.campaign.panels.registry import panels
    from emberline.campaign.panels.store import ContextStore

_PUBLIC = {
    "CatalogueConfig": "config",
    "Caution": "base",
    "ContextConfig": "config",
    "ContextStore": "store",
    "Fact": "base",
    "Finding": "base",
    "Link": "base",
    "Overlay": "base",
    "Panel": "base",
    "Picture": "base",
    "Place": "base",
    "Tools": "base",
    "context_document": "document",
    "context_status": "document",
    "panels": "registry",
    "prefetch": "prefetch",
}

__all__ = [
    "CatalogueConfig",
    "Caution",
    "ContextConfig",
    "ContextStore",
    "Fact",
    "Finding",
    "Link",
    "Overlay",
    "Panel",
    "Picture",
    "Place",
    "Tools",
    "context_document",
    "context_status",
    "panels",
    "prefetch",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name in _PUBLIC:
        value = getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
