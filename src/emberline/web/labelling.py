"""Serve one campaign to the person who labels it, wherever its archives lie."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import zlib
from pathlib import Path
from urllib.parse import quote

from emberline.errors import CampaignError
from emberline.jobs import Workspace

__all__ = ["campaign_workspace", "usual_port"]

_FIRST_PORT, _PORTS = 20_000, 10_000  # below those that systems give to whoever asks for any


def campaign_workspace(campaign: Path | str) -> tuple[Workspace, str]:
    """The workspace that serves a campaign, and the path of its labelling page.

    The workspace is the nearest folder above the campaign that has served or been configured as one, else the folder
    that the campaign lies in. Archives of the campaign that lie elsewhere may be read: whoever calls this has the
    campaign's files in hand already.

    Raises
    ------
    CampaignError
        There is no campaign.
    """
    from emberline.campaign import Campaign

    folder = Path(campaign).resolve()
    if not (folder / "campaign.toml").is_file():
        raise CampaignError("there is no campaign here", where=str(campaign), expected="a folder with campaign.toml")
    root = next((parent for parent in folder.parents if _is_workspace(parent)), folder.parent)
    workspace = Workspace.open(root)
    opened = Campaign(folder)
    archives = [*opened.config.pool.archives, *(start.archive for start in opened.config.start)]
    opened.close()
    outside = [path.resolve() for path in archives if not path.resolve().is_relative_to(workspace.folder)]
    readable = tuple(dict.fromkeys((*workspace.confinement.readable, *outside)))
    workspace.confinement = dataclasses.replace(workspace.confinement, readable=readable)
    return workspace, f"/label/{quote(folder.relative_to(workspace.folder).as_posix())}"


def usual_port(campaign: Path | str) -> int:
    """The port at which a campaign is labelled, the same each time; 0, any that is free, when it is in use.

    What a browser keeps belongs to an address with its port: answers that wait to be sent, the name of the window by
    which it resumes at its spectrum, keys that have been changed. At another port none of it would be found.
    """
    port = _FIRST_PORT + zlib.crc32(bytes(Path(campaign).resolve())) % _PORTS
    with contextlib.suppress(OSError), socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        return port
    return 0


def _is_workspace(folder: Path) -> bool:
    return (folder / "workspace.toml").is_file() or (folder / ".emberline").is_dir()
