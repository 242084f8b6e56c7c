"""Import beforehand what the first spectrum needs, so that it is there within a second."""

from __future__ import annotations

import contextlib
import importlib
import threading

__all__ = ["warm"]

_MODULES = ("emberline.campaign.annotation.desk", "emberline.campaign.annotation.card", "cdshealpix.nested")


def warm() -> None:
    """Begin to import, in a thread of its own that the process does not wait for."""
    threading.Thread(target=_import, name="imports", daemon=True).start()


def _import() -> None:
    for name in (*_MODULES, "astropy.coordinates", "pyarrow.parquet"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
