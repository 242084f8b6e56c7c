"""The searches for spectra that pages have begun: a few for each person, gone when the server ends."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from emberline.errors import EmberlineError

if TYPE_CHECKING:
    from emberline.vo.client import Session
    from emberline.vo.client.harvest.constraints import Constraints
    from emberline.vo.client.harvest.searching import Search

__all__ = ["SearchNotFoundError", "Searches"]

_EACH, _ALL = 4, 40


class SearchNotFoundError(EmberlineError):
    """There is no such search, or no longer."""


class Searches:
    """Searches by their identifier, each for its owner alone."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._searches: dict[str, Search] = {}
        self._session: tuple[float, Session] | None = None
        self._lock = threading.Lock()

    @property
    def session(self) -> Session:
        """The session by which services are asked; a new one when ``vo.toml`` has changed.

        Raises
        ------
        ConfigError, MissingExtraError
            The configuration is wrong; the client's packages are not installed.
        """
        from emberline.vo.client import open_session
        from emberline.vo.client.config import config_source

        source = config_source(self._workspace)
        changed = source.stat().st_mtime if source is not None and source.exists() else 0.0
        with self._lock:
            if self._session is None or self._session[0] != changed:
                self._session = changed, open_session(self._workspace)
            return self._session[1]

    def begin(self, owner: str, services: Mapping[str, str], asked: Constraints) -> Search:
        """Begin a search; the oldest of the same person, or of all, makes room for it."""
        from emberline.vo.client.harvest.searching import Search

        search = Search(self.session, services, asked, owner)
        with self._lock:
            self._searches[search.id] = search
            own = [id for id, other in self._searches.items() if other.owner == owner]
            for id in {*own[:-_EACH], *list(self._searches)[:-_ALL]}:
                self._searches.pop(id).stop()
        return search

    def get(self, owner: str, id: str) -> Search:
        """One's own search.

        Raises
        ------
        SearchNotFoundError
        """
        with self._lock:
            search = self._searches.get(id)
        if search is None or search.owner != owner:
            raise SearchNotFoundError("this search is no longer here", action="Search again.")
        return search

    def close(self) -> None:
        """Stop all of them."""
        with self._lock:
            for search in self._searches.values():
                search.stop()
            self._searches.clear()
            if self._session is not None:
                self._session[1].close()
