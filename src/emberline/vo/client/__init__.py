"""Asks the services of the Virtual Observatory, through one session with limits and a memory on disk."""

from __future__ import annotations

import importlib
from typing import Any

from emberline.errors import MissingExtraError
from emberline.vo.client.config import ClientConfig, ServicesConfig, cache_folder, load_config
from emberline.vo.client.errors import (
    OfflineError,
    ProtocolError,
    RefusedAddressError,
    ServiceDownError,
    ServiceError,
    StatusError,
    TimeLimitError,
    TooLargeError,
    UnsafeXMLError,
)

__all__ = [
    "ClientConfig",
    "Download",
    "OfflineError",
    "ProtocolError",
    "RefusedAddressError",
    "ServiceDownError",
    "ServiceError",
    "ServicesConfig",
    "Session",
    "StatusError",
    "TimeLimitError",
    "TooLargeError",
    "UnsafeXMLError",
    "cache_folder",
    "load_config",
    "open_session",
]

_LAZY = {"Session": "session", "open_session": "session", "Download": "session"}


def __getattr__(name: str) -> Any:
    """Load what needs the optional packages when it is asked for."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = importlib.import_module(f"{__name__}.{_LAZY[name]}")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("emberline"):
            raise
        raise MissingExtraError(error.name or "requests", "vo") from error
    return getattr(module, name)
