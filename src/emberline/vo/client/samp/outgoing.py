"""Messages that go: files are written for what has none, and each is given the parameters that SAMP's types ask for."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emberline.vo.client.samp.documents import table_format, write_spectrum, write_table
from emberline.vo.client.samp.errors import SampError
from emberline.vo.client.samp.tables import read_file

if TYPE_CHECKING:
    from astropy.table import Table

    from emberline.spectra import Spectrum

__all__ = ["Outgoing", "spectrum_types", "table_types"]

Remember = Callable[[str, str, "str | Path | Table"], None]
"""Takes a table's identifier, its address, and the table or where it is."""

_SPECTRUM = "spectrum.load.ssa-generic"


def table_types(form: str) -> tuple[str, ...]:
    """The message types for a table in this format."""
    return (f"table.load.{form}",)


def spectrum_types(form: str) -> tuple[str, ...]:
    """The message types for a spectrum: those who know no spectra may take it as a table."""
    return (_SPECTRUM, *table_types(form))


class Outgoing:
    """Makes messages' parameters.

    Parameters
    ----------
    folder : Path
        Where files are written.
    remember : function
        Is told of each table, so that rows of it can be understood later.
    """

    def __init__(self, folder: Path, remember: Remember) -> None:
        self._folder = folder
        self._remember = remember

    def table(self, table: Path | str | Table, name: str, table_id: str) -> tuple[tuple[str, ...], dict[str, Any]]:
        """Message types and parameters for a table."""
        url, form, title = self._tabular(table)
        table_id = table_id or f"emberline-{uuid.uuid4().hex}"
        self._remember(table_id, url, table)
        return table_types(form), {"url": url, "table-id": table_id, "name": name or title}

    def _tabular(self, table: Path | str | Table) -> tuple[str, str, str]:
        """Address, format and a name."""
        if isinstance(table, str) and is_address(table):
            return _addressed(table)
        if isinstance(table, str | Path):
            path = _existing(table)
            if form := table_format(path):
                return path.resolve().as_uri(), form, path.name
            return self._written(read_file(path), path.stem), "votable", path.name
        name = str(table.meta.get("name") or "table")
        return self._written(table, name), "votable", name

    def _written(self, table: Table, name: str) -> str:
        path = self._file(name, "vot")
        write_table(table, path)
        return path.as_uri()

    def _file(self, name: str, ending: str) -> Path:
        stem = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._")[:60] or "table"
        return (self._folder / f"{stem}-{uuid.uuid4().hex[:8]}.{ending}").resolve()

    def spectrum(self, spectrum: Any, name: str, meta: Mapping[str, str]) -> tuple[tuple[str, ...], dict[str, Any]]:
        """Message types and parameters for a spectrum.

        A survey's file, which other programs need not understand, is written anew in the Spectrum data model.
        """
        if isinstance(spectrum, str | Path) and not is_address(str(spectrum)):
            spectrum = _read_survey(_existing(spectrum)) or spectrum
        if isinstance(spectrum, str) and is_address(spectrum):
            url, form, title = _addressed(spectrum)
        elif isinstance(spectrum, str | Path):
            path = _existing(spectrum)
            url, form, title = path.resolve().as_uri(), table_format(path) or "fits", path.name
        else:
            path = self._file(spectrum.meta.identifier, "vot")
            write_spectrum(spectrum, path)
            url, form, title = path.as_uri(), "votable", spectrum.meta.identifier
        name = name or title
        media = "application/x-votable+xml" if form == "votable" else "application/fits"
        known = {"Access.Reference": url, "Access.Format": media, "DataID.Title": name, **meta}
        identifier = known.get("Curation.PublisherDID", name)
        parameters = {"url": url, "meta": known, "spectrum-id": identifier, "name": name}
        return spectrum_types(form), parameters | {"table-id": f"emberline-{uuid.uuid4().hex}"}

    def moc(self, moc: Any, name: str) -> dict[str, str]:
        """Parameters for a coverage."""
        if isinstance(moc, str) and is_address(moc):
            url, title = moc, _stem(moc)
        elif isinstance(moc, str | Path):
            path = _existing(moc)
            url, title = path.resolve().as_uri(), path.stem
        else:
            path = self._file(name or "coverage", "fits")
            moc.save(str(path), format="fits", overwrite=True)
            url, title = path.as_uri(), "coverage"
        return {"url": url, "coverage-id": f"emberline-{uuid.uuid4().hex}", "name": name or title}

    def image(self, image: Path | str, name: str) -> dict[str, str]:
        """Parameters for an image."""
        if isinstance(image, str) and is_address(image):
            url, title = image, _stem(image)
        else:
            path = _existing(image)
            url, title = path.resolve().as_uri(), path.name
        return {"url": url, "image-id": f"emberline-{uuid.uuid4().hex}", "name": name or title}


def _read_survey(path: Path) -> Spectrum | None:
    """The first spectrum of a survey's file; None for a VOTable, and for what no reader knows."""
    from emberline.archive.readers import open_source, read
    from emberline.errors import ReadError

    if table_format(path) == "votable":
        return None
    try:
        found = read(open_source(path))
    except ReadError as error:
        if not table_format(path):
            raise SampError(f"no spectrum can be read: {error.message}", where=str(path)) from error
        return None
    return found[0] if found else None


def is_address(text: str) -> bool:
    """Whether it is an address and not the name of a file."""
    return text.startswith(("http://", "https://", "file:"))


def _addressed(url: str) -> tuple[str, str, str]:
    path = url.partition("?")[0]
    return url, table_format(path) or "votable", _stem(path)


def _stem(url: str) -> str:
    return url.rstrip("/").rpartition("/")[2] or url


def _existing(path: Path | str) -> Path:
    path = Path(path)
    if not path.is_file():
        raise SampError("there is no such file", where=str(path))
    return path
