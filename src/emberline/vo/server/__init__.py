"""What Emberline answers to Virtual Observatory clients, as ASGI routes; the web application mounts them."""

from __future__ import annotations

from typing import Any

__all__ = ["Published", "vo_routes"]

_LAZY = {"Published": "published", "vo_routes": "routes"}


def __getattr__(name: str) -> Any:
    """Load the routes when they are asked for: publishing needs no web server."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
