"""What produced a result: versions, time and the hash of the configuration."""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import json
import math
import platform
from collections.abc import Mapping
from typing import Any

from emberline._version import __version__

__all__ = ["hash_of", "now", "plain", "provenance"]

_LIBRARIES = ("numpy", "scipy", "pyarrow", "duckdb", "torch", "scikit-learn", "imbalanced-learn", "astropy")


def now() -> str:
    """The present time in UTC, ISO 8601 to the second, with a trailing Z."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def plain(value: Any) -> Any:
    """What strict JSON can hold: arrays as lists, numbers that are not finite as None, anything unknown as text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def hash_of(value: Any) -> str:
    """A short hash (16 hexadecimal digits of SHA-256) of anything that JSON can hold; keys in any order."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def provenance(**extra: Any) -> dict[str, Any]:
    """A record of the software that runs now, plus whatever the caller adds (configuration, seed, hashes)."""
    versions = {}
    for name in _LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "emberline": __version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "libraries": versions,
        "created": now(),
        **extra,
    }
