"""Networks, training, calibration, strategies and estimates: arrays in, arrays out, no files but a model's own."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emberline.learn.config import TrainConfig
    from emberline.learn.model import Model
    from emberline.learn.training import train

_PUBLIC = {
    "Model": "emberline.learn.model",
    "TrainConfig": "emberline.learn.config",
    "train": "emberline.learn.training",
}

__all__ = ["Model", "TrainConfig", "train"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: PyTorch takes seconds to load."""
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'emberline.learn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
