"""Where spectra come from: files, folders, globs, archive members; found in a stable order, inflated safely."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import functools
import glob
import gzip
import hashlib
import io
import os
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import IO

from emberline.archive.readers.fitsfast import FitsFile
from emberline.archive.readers.patterns import matching, searchable
from emberline.confinement import Confinement, OutsideError
from emberline.errors import EmberlineError, ReadError

__all__ = ["MAX_INFLATED", "Source", "find_sources", "is_wanted", "members_of", "open_source"]

MAX_INFLATED = 2 * 1024**3
"""Bytes that one file may have after decompression; more is taken for a decompression bomb."""

_SPECTRA = (".fits", ".fit", ".fts", ".fits.fz", ".vot", ".votable", ".xml", ".csv", ".npz")
_TARS = (".tar", ".tar.gz", ".tgz")
_ARCHIVES = (*_TARS, ".zip")
_MEMBER = "::"
_DEFLATE_AT_BEST = 1032  # deflate cannot shrink anything by more


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """One file as it lies on disk or in an archive.

    Attributes
    ----------
    name : str
        The path, or ``archive.tar::member``.
    raw : bytes
        The bytes as stored.
    """

    name: str
    raw: bytes = dataclasses.field(repr=False)

    @functools.cached_property
    def sha256(self) -> str:
        """The SHA-256 of `raw` in hexadecimal."""
        return hashlib.sha256(self.raw).hexdigest()

    @functools.cached_property
    def data(self) -> bytes:
        """The bytes after gunzip, or `raw` itself.

        Raises
        ------
        ReadError
            The gzip stream is cut off or damaged (``truncated``), or inflates beyond `MAX_INFLATED` (``unreadable``).
        """
        return gunzip(self.raw) if self.raw.startswith(b"\x1f\x8b") else self.raw

    @functools.cached_property
    def fits(self) -> FitsFile:
        """The HDUs; tile-compressed images are inflated.

        Raises
        ------
        ReadError
            It is no FITS file, or cut off.
        """
        return FitsFile(_funpacked(self.data) if self.name.endswith(".fz") else self.data)

    @property
    def is_fits(self) -> bool:
        """Whether the data begin as FITS must."""
        return self.data.startswith(b"SIMPLE  =")

    @functools.cached_property
    def stem(self) -> str:
        """The file's own name without folders and without the suffixes that say what it is."""
        name = PurePosixPath(self.name.rpartition(_MEMBER)[2].replace(os.sep, "/")).name
        for suffix in (".gz", ".fz", ".fits", ".fit", ".fts", ".vot", ".votable", ".xml", ".csv"):
            if name.lower().endswith(suffix):
                name = name[: -len(suffix)]
        return name


def gunzip(raw: bytes, limit: int | None = None) -> bytes:
    """Inflate gzip data of one or several members by ISA-L, to at most `limit` bytes (`MAX_INFLATED`).

    Raises
    ------
    ReadError
        ``truncated`` when the stream is cut off or damaged, ``unreadable`` when it inflates to more than `limit`.
    """
    from isal import igzip, igzip_lib, isal_zlib

    limit = MAX_INFLATED if limit is None else limit
    size = int.from_bytes(raw[-4:], "little")
    try:
        if len(raw) * _DEFLATE_AT_BEST <= limit:
            data: bytes = igzip_lib.decompress(raw, flag=igzip_lib.DECOMP_GZIP, bufsize=min(size, limit) + 4096)
            if len(data) == size:
                return data
        with igzip.IGzipFile(fileobj=io.BytesIO(raw), mode="rb") as stream:
            data = _read_within(stream, limit)
    except (EOFError, OSError, zlib.error, isal_zlib.error) as error:  # type: ignore[misc]  # the stub calls a class an instance
        raise ReadError(
            "the gzip stream is cut off or damaged",
            reason="truncated",
            found=f"{len(raw)} bytes: {error}",
            expected="a complete gzip file",
            action="Fetch the file again.",
        ) from error
    return data


def _read_within(stream: IO[bytes], limit: int) -> bytes:
    """Everything in `stream` unless it is more than `limit` bytes."""
    data = stream.read(limit + 1)
    if len(data) > limit:
        raise ReadError(
            "inflates to more than a spectrum file may have",
            reason="unreadable",
            found=f"more than {limit} bytes",
            expected=f"{limit} bytes at most",
            action="Unpack the file yourself if it is genuine.",
        )
    return data


def _funpacked(data: bytes) -> bytes:
    """A file of tile-compressed images (fpack) as plain FITS."""
    from astropy.io import fits

    with fits.open(io.BytesIO(data), memmap=False) as packed:
        first = packed[0] if packed[0].data is not None else fits.PrimaryHDU()
        rest = [hdu for hdu in packed[1:] if not isinstance(hdu, fits.CompImageHDU)]
        images = [hdu for hdu in packed if isinstance(hdu, fits.CompImageHDU)]
        if images and first.data is None:
            first, images = fits.PrimaryHDU(images[0].data, images[0].header), images[1:]
        out = io.BytesIO()
        fits.HDUList([first, *(fits.ImageHDU(hdu.data, hdu.header) for hdu in images), *rest]).writeto(out)
        return out.getvalue()


def find_sources(
    paths: Iterable[str | os.PathLike[str]] | str | os.PathLike[str], confinement: Confinement | None = None
) -> Iterator[str]:
    """Locate everything under `paths` that may be a spectrum, in a stable order, each once.

    Parameters
    ----------
    paths : str, path, or iterable of them
        Files (always taken), folders (searched recursively; only what looks like a spectrum by its suffix is taken),
        patterns with ``*``, ``?`` or ``[…]`` (``**`` for folders at any depth), and tar, tar.gz or zip archives (their
        members are taken as from a folder). ``archive.tar::member`` names one member.
    confinement : Confinement, optional
        Where files may be reached; relative paths are taken from its root. What leads out is located and never looked
        into: `open_source` refuses it.

    Yields
    ------
    str
        A locator for `open_source`.

    Raises
    ------
    EmberlineError
        A path does not exist, or a pattern matches nothing.
    """
    seen: set[str] = set()
    for path in [paths] if isinstance(paths, str | os.PathLike) else paths:
        for locator in _locate(os.fspath(path), confinement):
            if locator not in seen:
                seen.add(locator)
                yield locator


def _locate(path: str, confinement: Confinement | None) -> Iterator[str]:
    try:
        place = _place(path, confinement)
        archive = _place(path.partition(_MEMBER)[0], confinement) if _MEMBER in path else place
    except OutsideError:
        yield path  # `open_source` says what is wrong with it, and the rest goes on
        return
    if os.path.isdir(place):
        for file in _walk(path, place, confinement):
            yield from _members(file, confinement) if _is_archive(file) else [file]
    elif os.path.isfile(place):
        yield from _members(path, confinement) if _is_archive(path) else [path]
    elif _MEMBER in path and os.path.isfile(archive):
        yield path
    elif glob.has_magic(path) and (matches := matching(path, confinement)):
        for match in matches:
            yield from _locate(match, confinement)
    else:
        raise EmberlineError(
            "there is no such file or folder",
            where=path,
            action="Quote a pattern so that the shell leaves it alone, and check the spelling.",
        )


def _place(path: str, confinement: Confinement | None) -> str:
    """Where a path leads: as it stands, or with its links followed when it must not lead out."""
    return path if confinement is None else os.fspath(confinement.resolve(path))


def _walk(folder: str, place: str, confinement: Confinement | None) -> Iterator[str]:
    """The spectra and archives in a folder that lies at `place`, and in its sub-folders, sorted; no hidden files."""
    for root, folders, files in os.walk(place):
        folders[:] = searchable(root, folders, confinement)
        for name in sorted(files):
            if is_wanted(name):
                found = os.path.join(folder + root[len(place) :], name)
                yield found if confinement is None else found.removeprefix("./")


def is_wanted(name: str) -> bool:
    """Whether a file of this name is taken from a folder: a spectrum by its suffix, or an archive of them."""
    return not name.startswith(".") and (_looks_like_spectrum(name) or _is_archive(name))


def members_of(name: str, raw: bytes) -> Iterator[Source | ReadError]:
    """The sources in one file that was read elsewhere: itself, or the members of the tar or zip archive that it is."""
    if not _is_archive(name):
        yield Source(name, raw)
        return
    with tempfile.TemporaryDirectory(prefix="emberline-") as folder:
        place = os.path.join(folder, PurePosixPath(name).name)
        with open(place, "wb") as stream:
            stream.write(raw)
        try:
            for locator in _members(place, None):
                found = open_source(locator)
                yield Source(name + found.name.removeprefix(place), found.raw)
        except ReadError as error:
            yield error


def _looks_like_spectrum(name: str) -> bool:
    return name.lower().removesuffix(".gz").endswith(_SPECTRA)


def _is_archive(name: str) -> bool:
    return name.lower().endswith(_ARCHIVES)


def _members(archive: str, confinement: Confinement | None) -> Iterator[str]:
    try:
        members = sorted(_opened(_place(archive, confinement)).names)
    except (ReadError, OutsideError):
        yield archive  # `open_source` says what is wrong with it, and the rest goes on
        return
    for member in members:
        base = PurePosixPath(member).name
        if not base.startswith(".") and _looks_like_spectrum(base):
            yield f"{archive}{_MEMBER}{member}"


def open_source(locator: str | os.PathLike[str], confinement: Confinement | None = None) -> Source:
    """Read the file or archive member that `find_sources` located, within the same confinement.

    Raises
    ------
    ReadError
        It is gone, unreadable, leads out of the confinement (``outside``), or a member inflates to more than
        `MAX_INFLATED` (``unreadable``).
    """
    name = os.fspath(locator)
    archive, separator, member = name.partition(_MEMBER)
    try:
        place = _place(name, confinement)
        container = _place(archive, confinement) if separator else place
        if _is_archive(name) and not separator:
            _opened(container)
        if separator and not os.path.exists(place):
            return Source(name, _opened(container).read(member))
        with open(place, "rb") as stream:
            return Source(name, stream.read())
    except OutsideError as error:
        raise ReadError(
            error.message, reason="outside", where=name, expected=error.expected, action=error.action
        ) from error
    except (EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise ReadError(f"the archive is cut off or damaged: {error}", reason="truncated", where=name) from error
    except (OSError, KeyError) as error:
        text = getattr(error, "strerror", None) or f"no member {member!r}"
        raise ReadError(f"cannot be read: {text}", reason="unreadable", where=name) from error


class _Archive:
    """The members of one tar or zip file; opened once per process, whatever the order of reading."""

    def __init__(self, path: str) -> None:
        self._files = contextlib.ExitStack()
        self._zip: zipfile.ZipFile | None = None
        self._places: dict[str, tuple[int, int]] = {}
        try:
            if path.lower().endswith(".zip"):
                self._zip = self._files.enter_context(zipfile.ZipFile(path))
                self.names = [info.filename for info in self._zip.infolist() if not info.is_dir()]
            else:
                self._stream = self._files.enter_context(_seekable(path))
                with tarfile.open(fileobj=self._stream, mode="r:") as tar:
                    members = [info for info in tar.getmembers() if info.isfile() and not info.issparse()]
                self._places = {info.name: (info.offset_data, info.size) for info in members}
                self.names = list(self._places)
        except BaseException:
            self._files.close()
            raise

    def __del__(self) -> None:
        self._files.close()

    def read(self, member: str) -> bytes:
        """The bytes of a member; `KeyError` when there is none of this name."""
        if self._zip is not None:
            with self._zip.open(member) as stream:
                return _read_within(stream, MAX_INFLATED)
        offset, size = self._places[member]
        self._stream.seek(offset)
        data = self._stream.read(size)
        if len(data) < size:
            raise EOFError("the last member is incomplete")
        return data


def _seekable(path: str) -> IO[bytes]:
    """The tar itself; a gzipped one is inflated once into a temporary file, to be read in any order."""
    if not path.lower().endswith("gz"):
        return open(path, "rb")
    from isal import igzip

    plain = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the archive
    try:
        with igzip.open(path, "rb") as stream:
            while chunk := stream.read(1 << 20):
                plain.write(chunk)
    except BaseException:
        plain.close()
        raise
    plain.seek(0)
    return plain


def _opened(path: str) -> _Archive:
    stat = os.stat(path)
    try:
        return _cached_archive(path, stat.st_mtime_ns, stat.st_size, os.getpid())
    except (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ReadError(f"the archive is cut off or damaged: {error}", reason="truncated", where=path) from error


@functools.lru_cache(maxsize=4)
def _cached_archive(path: str, mtime: int, size: int, process: int) -> _Archive:
    """Keyed by process, so that a forked worker does not share its parent's file position."""
    return _Archive(path)


atexit.register(_cached_archive.cache_clear)
