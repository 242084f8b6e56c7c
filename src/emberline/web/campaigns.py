"""The campaigns of a workspace, opened once and kept: only those that reach nothing outside."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from emberline.errors import EmberlineError
from emberline.jobs import Workspace

if TYPE_CHECKING:
    from emberline.campaign import Campaign

__all__ = ["CampaignNotFoundError", "Campaigns"]

_OPEN = 16


class CampaignNotFoundError(EmberlineError):
    """The workspace has no such campaign."""


class Campaigns:
    """Open campaigns by their path in the workspace. A campaign's pool is not opened: labelling needs none of it."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._open: OrderedDict[str, tuple[int, Campaign]] = OrderedDict()
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """The campaigns' paths in the workspace."""
        return self._workspace.campaigns()

    def open(self, name: str) -> Campaign:
        """A campaign; the same object as long as its configuration stays.

        Raises
        ------
        CampaignNotFoundError
            There is none of this name.
        OutsideError
            It, or an archive that it names, lies outside the workspace.
        """
        folder = self._workspace.confinement.resolve(name, write=True)
        try:
            changed = (folder / "campaign.toml").stat().st_mtime_ns
        except OSError as error:
            raise CampaignNotFoundError("there is no such campaign", where=name) from error
        with self._lock:
            if name in self._open and self._open[name][0] == changed:
                self._open.move_to_end(name)
                return self._open[name][1]
            campaign = self._read(name)
            self._open[name] = (changed, campaign)
            while len(self._open) > _OPEN:
                # Handlers may still be at work with it: its connection is closed when the last one lets go of it.
                self._open.popitem(last=False)
            return campaign

    def _read(self, name: str) -> Campaign:
        from emberline.campaign import Campaign

        confinement = self._workspace.confinement
        campaign = Campaign(confinement.resolve(name, write=True))
        for archive in (*campaign.config.pool.archives, *(start.archive for start in campaign.config.start)):
            confinement.resolve(archive)
        return campaign

    def close(self) -> None:
        """Let go of all campaigns."""
        with self._lock:
            while self._open:
                self._open.popitem()[1][1].close()
