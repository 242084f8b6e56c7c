"""Where array work runs: processes of this machine, or Spark. An engine is handed functions and knows none of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from emberline.engine.base import Batches, Contents, Engine, Order, Shared, is_address
from emberline.engine.local import LocalEngine
from emberline.engine.sources import Matrix, Tables, binary_column, matrix_of
from emberline.errors import EngineError

if TYPE_CHECKING:
    from emberline.engine.spark import SparkEngine

__all__ = [
    "Batches",
    "Contents",
    "Engine",
    "LocalEngine",
    "Matrix",
    "Order",
    "Shared",
    "SparkEngine",
    "Tables",
    "binary_column",
    "is_address",
    "matrix_of",
    "open_engine",
]


def open_engine(
    name: str = "local",
    master: str | None = None,
    *,
    workers: int | None = None,
    settings: Mapping[str, str] | None = None,
) -> Engine:
    """Start an engine; use it as a context manager, or close it.

    Parameters
    ----------
    name : str
        ``local`` or ``spark``.
    master : str, optional
        For Spark: ``local[2]``, ``spark://host:7077``, ``yarn``, ``k8s://…``; under ``spark-submit`` it is known.
    workers : int, optional
        For the local engine: processes at most.
    settings : mapping of str to str, optional
        For Spark: its own settings.

    Raises
    ------
    EngineError, MissingExtraError
        There is no such engine, or it cannot start.
    """
    if name == "spark":
        from emberline.engine.spark import SparkEngine

        return SparkEngine(master, settings)
    if name != "local":
        raise EngineError(f"there is no engine {name!r}", expected="local or spark")
    if master or settings:
        raise EngineError("a master and settings are for Spark", action="Add --engine spark.")
    return LocalEngine(workers)


def __getattr__(name: str) -> object:
    """`SparkEngine`, which only its users import."""
    if name != "SparkEngine":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from emberline.engine.spark import SparkEngine

    return SparkEngine
