"""What produced a result: versions, time and the hash of the configuration."""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import json
import platform
from typing import Any

from emberline._version import __version__

__all__ = ["hash_of", "now", "provenance"]

_LIBRARIES = ("numpy", "scipy", "pyarrow", "duckdb", "torch", "scikit-learn", "imbalanced-learn", "astropy")


def now() -> str:
    """The present time in UTC, ISO 8601 to the second, with a trailing Z."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


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
