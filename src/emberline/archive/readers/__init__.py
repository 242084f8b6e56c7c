"""Readers: each turns the files of one survey into spectra; the format is detected, or named by the user.

A reader from another package registers itself under the entry-point group ``emberline.readers``; the value is an
object, or a class without arguments, that has what `Reader` asks for:

.. code-block:: toml

    [project.entry-points."emberline.readers"]
    my-survey = "my_package.reader:MySurveyReader"
"""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Iterator

from emberline.archive.readers.aaomega import AaomegaReader
from emberline.archive.readers.base import Reader, Statement, located
from emberline.archive.readers.desi import DesiReader
from emberline.archive.readers.harps import HarpsReader
from emberline.archive.readers.ivoa import IvoaReader
from emberline.archive.readers.lamost import LamostReader
from emberline.archive.readers.lamost_mrs import LamostMrsReader
from emberline.archive.readers.miles import IndoUsReader, MilesReader
from emberline.archive.readers.ondrejov import OndrejovMatrixReader, OndrejovReader
from emberline.archive.readers.sdss import SdssReader
from emberline.archive.readers.source import Source, find_sources, open_source
from emberline.archive.readers.wcs1d import Wcs1dReader
from emberline.errors import EmberlineError, ReadError
from emberline.spectra import Spectrum

__all__ = ["Reader", "Source", "Statement", "detect", "find_sources", "open_source", "read", "read_each", "readers"]

_SPECIFIC = (
    LamostReader,
    LamostMrsReader,
    SdssReader,
    DesiReader,
    HarpsReader,
    OndrejovReader,
    OndrejovMatrixReader,
    MilesReader,
    IndoUsReader,
    AaomegaReader,
)
_GENERAL = (IvoaReader, Wcs1dReader)


@functools.cache
def readers() -> dict[str, Reader]:
    """All readers by name, in the order in which they are tried.

    The surveys of this package come first, then those of other packages, then the two general formats. A reader of
    another package with the name of one of ours takes its place.

    Raises
    ------
    EmberlineError
        A registered reader cannot be imported or is none.
    """
    found: dict[str, Reader] = {kind.name: kind() for kind in _SPECIFIC}
    for entry in importlib.metadata.entry_points(group="emberline.readers"):
        found[entry.name] = _plugin(entry)
    return found | {kind.name: kind() for kind in _GENERAL if kind.name not in found}


def _plugin(entry: importlib.metadata.EntryPoint) -> Reader:
    try:
        reader = entry.load()
        reader = reader() if isinstance(reader, type) else reader
    except Exception as error:
        raise EmberlineError(
            f"the reader cannot be loaded: {error}", where=entry.value, action="Update or remove its package."
        ) from error
    if not isinstance(reader, Reader):
        raise EmberlineError(
            "is no reader", where=entry.value, expected="name, description, matches(source), read(source)"
        )
    return reader


def detect(source: Source) -> Reader:
    """The first reader that takes the source for one of its files.

    Raises
    ------
    ReadError
        ``unknown-format`` when none does, ``not-fits`` for a file that is empty or only called FITS, ``no-spectrum``
        for FITS without one; ``truncated`` when the file is cut off.
    """
    with _naming(source):
        for reader in readers().values():
            if reader.matches(source):
                return reader
        raise _unknown(source)


def _unknown(source: Source) -> ReadError:
    """Why nothing took the source."""
    action = "Name a reader if you know the format."
    if source.is_fits:
        found = "; ".join(
            f"HDU {hdu.index}: {', '.join(hdu.columns[:8]) or f'image {hdu.shape}'}" for hdu in source.fits
        )
        return ReadError(
            "no reader finds a spectrum in it",
            reason="no-spectrum",
            found=found[:300],
            expected=f"a file for one of {', '.join(readers())}",
            action=action,
        )
    start = source.data[:12]
    if not start or source.name.lower().removesuffix(".gz").endswith((".fits", ".fit", ".fts", ".fz")):
        found = f"{start!r}…" if start else "an empty file"
        return ReadError("is not FITS", reason="not-fits", found=found, expected="SIMPLE  = T")
    if start.startswith((b"PK\x03\x04", b"\x93NUMPY")):
        return ReadError(
            "is a NumPy file or a zip archive without spectra",
            reason="unknown-format",
            found="arrays without units, medium, velocity frame or identifiers",
            expected="a survey's own files, which state them",
        )
    return ReadError(
        "no reader knows this format",
        reason="unknown-format",
        found=f"{start!r}…",
        expected=f"a file for one of {', '.join(readers())}",
        action=action,
    )


def read_each(source: Source, reader: str | None = None) -> Iterator[Spectrum | ReadError]:
    """The spectra of one source; whatever is wrong comes as a `ReadError` in its place, and the rest goes on.

    Parameters
    ----------
    source : Source
    reader : str, optional
        A name from `readers`; detected without.

    Yields
    ------
    Spectrum or ReadError
        Errors name the source. A source that gives nothing yields one error.
    """
    count = 0
    try:
        with _naming(source):
            for item in _chosen(source, reader).read(source):
                count += 1
                yield located(item, source.name) if isinstance(item, ReadError) else item
            if not count:
                raise ReadError("holds no spectrum", reason="no-spectrum")
    except ReadError as error:
        yield error


def read(source: Source, reader: str | None = None) -> list[Spectrum]:
    """All spectra of one source.

    Raises
    ------
    ReadError
        The first thing that is wrong with the file or with any spectrum in it; see `read_each` for the rest. Unexpected
        errors of a reader become one with the reason ``unreadable``.
    EmberlineError
        There is no reader of this name.
    """
    spectra = []
    for item in read_each(source, reader):
        if isinstance(item, ReadError):
            raise item
        spectra.append(item)
    return spectra


def _chosen(source: Source, name: str | None) -> Reader:
    if name is None:
        return detect(source)
    if name not in readers():
        raise EmberlineError(f"there is no reader {name!r}", action=f"Known readers: {', '.join(readers())}.")
    return readers()[name]


class _naming:  # noqa: N801 - a context manager that reads like a function
    """Make every error of a reader a `ReadError` that names the source."""

    def __init__(self, source: Source) -> None:
        self._name = source.name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ReadError):
            if not error.where.startswith(self._name):
                raise located(error, self._name) from error.__cause__
        elif isinstance(error, Exception) and not isinstance(error, EmberlineError):
            raise ReadError(
                "cannot be read",
                reason="unreadable",
                where=self._name,
                found=f"{type(error).__name__}: {error}"[:300],
                action="If another program reads it, please report it with the file.",
            ) from error
