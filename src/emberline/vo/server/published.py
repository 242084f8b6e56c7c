"""What a workspace has published, as all services see it: read anew when the records change, without a restart."""

from __future__ import annotations

import dataclasses
import functools
import logging
import stat
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from emberline.errors import EmberlineError
from emberline.vo.server._freeze import CATALOGUE, HIDDEN, Summary
from emberline.vo.server.publication import FILE_NAME, Publication, frozen_folder, read_publication, versions_of

if TYPE_CHECKING:
    from emberline.archive import Archive
    from emberline.jobs import Workspace
    from emberline.vo.server.adql.tables import Column, Key, Table, TableSet

__all__ = ["Published", "PublishedArchive", "PublishedCatalogue", "Snapshot"]

_LOG = logging.getLogger("emberline.vo.server")
_Mark = tuple[str, int, int, int]
"""The folder of a record, and what changes when its file is replaced."""


@dataclasses.dataclass(frozen=True, eq=False)
class _Item:
    """One published version of something.

    Attributes
    ----------
    publication : Publication
    folder : Path
        The archive's or the campaign's.
    """

    publication: Publication
    folder: Path

    @property
    def name(self) -> str:
        """In addresses and in queries."""
        return self.publication.name

    @property
    def frozen(self) -> Path:
        """The folder with the files of this version; they never change."""
        return frozen_folder(self.folder, self.publication.version)

    @property
    def catalogue_path(self) -> Path:
        """Parquet, one row a spectrum, sorted by ``healpix`` (nested, order 29; -1 without a position)."""
        return self.frozen / CATALOGUE

    @functools.cached_property
    def summary(self) -> Summary:
        """How many rows, and what they cover."""
        return Summary.load(self.frozen)

    @property
    def versions(self) -> list[int]:
        """The versions that are kept, this one included."""
        return versions_of(self.folder)

    def version_path(self, version: int) -> Path:
        """The frozen catalogue of one version."""
        return frozen_folder(self.folder, version) / CATALOGUE

    @property
    def moc_path(self) -> Path:
        """The coverage, as FITS; the same as JSON has the ending ``.json``."""
        return self.frozen / "moc.fits"

    @property
    def hips_folder(self) -> Path:
        """The tiles of the HiPS catalogue."""
        return self.frozen / "hips"

    def _described(self, table: str, description: str) -> Table:
        import pyarrow as pa
        import pyarrow.parquet as pq

        from emberline.vo.server.adql.tables import Position, Table

        fields = [field for field in pq.read_schema(self.catalogue_path) if field.name not in HIDDEN]
        return Table(
            name=f"{self.name}.{table}",
            columns=tuple(
                _marked(column, self.summary.unicode)
                for column in Table.of_arrow("a.b", pa.schema(fields).empty_table()).columns
            ),
            description=description,
            position=Position("ra", "dec", "healpix"),
            files=(self.catalogue_path,),
            rows=self.summary.rows,
        )


@dataclasses.dataclass(frozen=True, eq=False)
class PublishedArchive(_Item):
    """An archive in its latest published version.

    Only spectra that are in ``catalogue_path`` are public: the archive itself may hold more by now.
    """

    @functools.cached_property
    def archive(self) -> Archive:
        """The archive itself, for the arrays of the spectra."""
        from emberline.archive import open_archive

        return open_archive(self.folder)

    @functools.cached_property
    def table(self) -> Table:
        """``<name>.spectra``; the columns in `HIDDEN` are in the file beside those that are described."""
        return self._described("spectra", f"Spectra of {self.publication.title}")


@dataclasses.dataclass(frozen=True, eq=False)
class PublishedCatalogue(_Item):
    """The candidates of a campaign in their latest published version."""

    @property
    def path(self) -> Path:
        """The same as `catalogue_path`."""
        return self.catalogue_path

    @functools.cached_property
    def table(self) -> Table:
        """``<name>.candidates``."""
        return self._described("candidates", f"Candidates of {self.publication.title}")


_Record = PublishedArchive | PublishedCatalogue | Publication | None
_PRINCIPAL = {
    "identifier", "name", "ra", "dec", "mjd", "snr", "survey_class", "class", "probability", "label",
    "labelled_by", "purity_stratum", "wavelength_min", "wavelength_max",
}  # fmt: skip


def _marked(column: Column, unicode: Collection[str]) -> Column:
    known = column.name in ("ra", "dec", "healpix")
    datatype = "unicodeChar" if column.name in unicode else column.datatype
    return dataclasses.replace(column, datatype=datatype, principal=column.name in _PRINCIPAL, indexed=known)


@dataclasses.dataclass(frozen=True, eq=False)
class Snapshot:
    """Everything that was published at one moment, sorted by name.

    Attributes
    ----------
    archives : tuple of PublishedArchive
    catalogues : tuple of PublishedCatalogue
    withdrawn : tuple of Publication
    number : int
        Grows by one with every change.
    """

    archives: tuple[PublishedArchive, ...] = ()
    catalogues: tuple[PublishedCatalogue, ...] = ()
    withdrawn: tuple[Publication, ...] = ()
    number: int = 0

    def __iter__(self) -> Iterator[PublishedArchive | PublishedCatalogue]:
        return iter((*self.archives, *self.catalogues))

    @functools.cached_property
    def by_name(self) -> Mapping[str, PublishedArchive | PublishedCatalogue]:
        """What is published, by name."""
        return {item.name: item for item in self}

    def tables(self, base: str = "") -> TableSet:
        """All tables but TAP_SCHEMA: those of archives and catalogues, and ``ivoa.obscore``.

        `base` is the address of the services (``https://example.org/vo``), for the links in ObsCore.
        """
        from emberline.vo.server.adql.tables import Key, Schema, TableSet
        from emberline.vo.server.obscore import OBSCORE_SCHEMA, obscore_table
        from emberline.vo.server.obsplan import obsplan_table

        tables = [item.table for item in self]
        schemas = [Schema(item.name, item.publication.title) for item in self]
        names = {item.name for item in self.archives}
        keys = [
            Key(f"{item.name}.candidates", f"{name}.spectra", (("identifier", "identifier"),), "The spectrum")
            for item in self.catalogues
            for name in item.summary.archives
            if name in names
        ]
        if self.archives:
            tables.append(obscore_table(self.archives, base))
            tables.append(obsplan_table(tables[-1]))
            schemas.append(OBSCORE_SCHEMA)
        return TableSet(_agreeing(tables, keys), tuple(schemas), tuple(keys))


def _agreeing(tables: Sequence[Table], keys: Sequence[Key]) -> tuple[Table, ...]:
    """The tables with columns that refer to one another of one datatype, the one that holds more."""
    ends = {(table, name) for key in keys for table in (key.from_table, key.target_table) for name, _ in key.columns}
    wide = {name for table in tables for name, column in table.by_name.items() if column.datatype == "unicodeChar"}

    def widened(table: Table, column: Column) -> Column:
        if (table.name, column.name) in ends and column.name in wide:
            return dataclasses.replace(column, datatype="unicodeChar")
        return column

    return tuple(dataclasses.replace(t, columns=tuple(widened(t, column) for column in t.columns)) for t in tables)


class Published:
    """What the workspace has published; safe to use from several threads.

    Parameters
    ----------
    workspace : Workspace
    seconds : float
        How long an answer may be out of date: how often the records are looked for.
    """

    def __init__(self, workspace: Workspace, *, seconds: float = 0.5) -> None:
        self.workspace = workspace
        self._seconds = seconds
        self._lock = threading.Lock()
        self._looked = float("-inf")
        self._known: dict[_Mark, _Record] = {}
        self._snapshot = Snapshot()

    @property
    def archives(self) -> tuple[PublishedArchive, ...]:
        """The published archives, by name."""
        return self.snapshot().archives

    @property
    def catalogues(self) -> tuple[PublishedCatalogue, ...]:
        """The published catalogues of candidates, by name."""
        return self.snapshot().catalogues

    def by_name(self, name: str) -> PublishedArchive | PublishedCatalogue | None:
        """What is published under a name; None where nothing is."""
        return self.snapshot().by_name.get(name)

    def archive_of(self, did: str) -> tuple[PublishedArchive, str] | None:
        """The archive that a publisher's dataset identifier points into, and the spectrum's identifier in it."""
        for item in self.archives:
            identifier = item.publication.identifier(did)
            if identifier is not None:
                return item, identifier
        return None

    def snapshot(self, *, fresh: bool = False) -> Snapshot:
        """All that is published now, in itself consistent; with `fresh` it is looked for at once."""
        moment = time.monotonic()
        if not fresh and moment - self._looked < self._seconds:
            return self._snapshot
        with self._lock:
            if fresh or moment - self._looked >= self._seconds:
                self._look()
                self._looked = time.monotonic()
            return self._snapshot

    def _look(self) -> None:
        workspace = self.workspace
        folders = [workspace.folder / name for name in sorted({*workspace.archives(), *workspace.campaigns()})]
        marks = {mark: folder for folder in folders if (mark := _mark(folder))}
        if marks.keys() == self._known.keys():
            return
        self._known = {
            mark: self._known[mark] if mark in self._known else _open(folder) for mark, folder in marks.items()
        }
        self._snapshot = _snapshot(list(self._known.values()), self._snapshot.number + 1)


def _mark(folder: Path) -> _Mark | None:
    """What stands for the record in a folder as it is now; None where there is no plain file."""
    try:
        found = (folder / FILE_NAME).lstat()
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):  # a link may lead out of the workspace
        return None
    return (str(folder), found.st_mtime_ns, found.st_size, found.st_ino)


def _open(folder: Path) -> _Record:
    """What a record stands for; the record itself when it was withdrawn; None, and a line in the log, for damage."""
    try:
        record = read_publication(folder)
        if record is None or record.withdrawn:
            return record
        item = PublishedArchive(record, folder) if record.kind == "archive" else PublishedCatalogue(record, folder)
        _ = item.table
        return item
    except (EmberlineError, OSError, ValueError) as error:
        _LOG.error("%s cannot be published: %s", folder.name, error)
        return None


def _snapshot(records: list[_Record], number: int) -> Snapshot:
    """Everything by name; of two that want the same name the folder that comes first has it."""
    items: dict[str, PublishedArchive | PublishedCatalogue] = {}
    for item in records:
        if isinstance(item, PublishedArchive | PublishedCatalogue):
            if item.name in items:
                _LOG.error("%s cannot be published: the name %s is taken", item.folder.name, item.name)
            items.setdefault(item.name, item)
    gone = {item.name: item for item in records if isinstance(item, Publication) and item.name not in items}
    ordered = [items[name] for name in sorted(items)]
    return Snapshot(
        tuple(item for item in ordered if isinstance(item, PublishedArchive)),
        tuple(item for item in ordered if isinstance(item, PublishedCatalogue)),
        tuple(gone[name] for name in sorted(gone)),
        number,
    )
