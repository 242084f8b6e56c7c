"""ADQL, the Virtual Observatory's query language, on Parquet files: parsed, checked, rewritten and run by DuckDB."""

from emberline.vo.server.adql._error import AdqlError
from emberline.vo.server.adql.tables import Column, Key, Position, Region, Schema, Table, TableSet, datatype_of

__all__ = [
    "AdqlError",
    "Column",
    "Key",
    "Limits",
    "Position",
    "Region",
    "Result",
    "Runner",
    "Schema",
    "Table",
    "TableSet",
    "Translation",
    "datatype_of",
    "translate",
]

_LAZY = {
    "Limits": "runner",
    "Result": "runner",
    "Runner": "runner",
    "Translation": "translation",
    "translate": "translation",
}


def __getattr__(name: str) -> object:
    """Load sqlglot and DuckDB when they are needed, and say how to install what is missing."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    from emberline.errors import MissingExtraError

    try:
        module = importlib.import_module(f"{__name__}.{_LAZY[name]}")
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "sqlglot":
            raise
        raise MissingExtraError("sqlglot", "vo") from error
    return getattr(module, name)
