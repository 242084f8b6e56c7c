"""The published tables, open for the services that need no query language; queries have `emberline.vo.server.adql`."""

from __future__ import annotations

import collections
import os
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from emberline.vo.server._shelf import Cone, Keep, Shelf, ShelfTable

if TYPE_CHECKING:
    from emberline.vo.server.adql.runner import Runner
    from emberline.vo.server.published import Published, PublishedArchive, PublishedCatalogue

__all__ = ["Catalogues", "Cone", "Keep", "ShelfTable", "catalogues_of"]


_RUNNERS = 4
"""How many data bases are kept open: one for each address under which the services are called."""


class Catalogues:
    """What is published, laid out for fast answers.

    Parameters
    ----------
    published : Published
    """

    def __init__(self, published: Published) -> None:
        self._shelf = Shelf(published.workspace.private / "vo")
        self._published = published
        self._workspace = published.workspace
        self._lock = threading.Lock()
        self._runners: collections.OrderedDict[tuple[int, str], Runner] = collections.OrderedDict()

    def table(self, item: PublishedArchive | PublishedCatalogue) -> ShelfTable:
        """All rows of an archive or a catalogue, the columns that only the server needs among them."""
        return self._shelf.table(item.name, item.catalogue_path)

    def ready(self, item: PublishedArchive | PublishedCatalogue) -> bool:
        """Whether `table` gives its answer at once."""
        return self._shelf.ready(item.name, item.catalogue_path)

    def prepare(self) -> None:
        """Lay out every table now: millions of rows take seconds, which nobody who asks should have to wait."""
        for item in self._published.snapshot():
            self.table(item)

    def table_named(self, name: str) -> ShelfTable | None:
        """The same by its name in queries; None for the tables that have no such layout."""
        item = self._named(name)
        return None if item is None else self.table(item)

    def ready_named(self, name: str) -> bool:
        """Whether `table_named` gives its answer at once, and it is not None."""
        item = self._named(name)
        return item is not None and self.ready(item)

    def _named(self, name: str) -> PublishedArchive | PublishedCatalogue | None:
        return next((item for item in self._published.snapshot() if item.table.name.lower() == name.lower()), None)

    def runner(self, base: str) -> Runner:
        """What answers queries in ADQL on all that is published now; `base` is the address of the services."""
        from emberline.vo.server.adql.runner import Runner

        snapshot = self._published.snapshot()
        key = (snapshot.number, base)
        with self._lock:
            if key not in self._runners:
                self._runners[key] = Runner(snapshot.tables(base).with_tap_schema())
                while len(self._runners) > _RUNNERS:
                    self._runners.popitem(last=False)  # it closes itself when its last answer has left
            self._runners.move_to_end(key)
            return self._runners[key]

    def source(self, item: PublishedArchive, identifier: str) -> Path | None:
        """The file that a spectrum was read from, when it still lies in the workspace as a plain file."""
        live = item.folder / "catalogue.parquet"
        files = self._shelf.table(f"{item.name}.sources", live, ["identifier", "source_file"])
        row = files.row_of(identifier)
        name = files.value(row, "source_file") if row is not None else None
        return self._within(name) if name else None

    def _within(self, name: str) -> Path | None:
        folder = self._workspace.folder
        if "\0" in name or not os.path.isfile(os.path.join(folder, name)):  # quick: most files lie elsewhere
            return None
        try:
            path = (folder / name).resolve(strict=True)
            inside = path.relative_to(folder).parts
        except (OSError, ValueError, RuntimeError):
            return None
        hidden = any(part.startswith(".") for part in inside) or path.is_relative_to(self._workspace.jobs_folder)
        return path if path.is_file() and not hidden else None


_KNOWN: weakref.WeakKeyDictionary[Published, Catalogues] = weakref.WeakKeyDictionary()


def catalogues_of(published: Published) -> Catalogues:
    """The one set of tables that all services of `published` share."""
    if published not in _KNOWN:
        _KNOWN[published] = Catalogues(published)
    return _KNOWN[published]
