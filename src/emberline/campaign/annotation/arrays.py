"""The arrays of single spectra, read from their parts without opening a whole archive."""

from __future__ import annotations

import functools
import threading
from pathlib import Path

from emberline.archive import Archive, open_archive
from emberline.archive.parts import PartFile
from emberline.errors import ArchiveError
from emberline.spectra import Spectrum

__all__ = ["read_spectrum"]

_OPEN = 64
_reading = threading.Lock()


@functools.lru_cache(maxsize=_OPEN)
def _part(path: Path, changed: int) -> PartFile:
    return PartFile(path)


@functools.lru_cache(maxsize=4)
def _archive(path: Path, changed: int) -> Archive:
    return open_archive(path)


def read_spectrum(archive: Path, identifier: str, part: str = "", row: int = 0) -> Spectrum:
    """One spectrum of an archive, at the place where it was last seen, or wherever it is now.

    Raises
    ------
    ArchiveError
        The archive has none of this identifier, or a file is missing or damaged.
    """
    if part:
        path = archive / "spectra" / part
        try:
            with _reading:
                found = _part(path, path.stat().st_mtime_ns).spectra([row])[0]
            if found.meta.identifier == identifier:
                return found
        except (OSError, ArchiveError):
            pass  # the archive has been written anew since: its catalogue knows
    catalogue = archive / "catalogue.parquet"
    changed = catalogue.stat().st_mtime_ns if catalogue.exists() else 0
    with _reading:
        return _archive(archive, changed).spectrum(identifier)
