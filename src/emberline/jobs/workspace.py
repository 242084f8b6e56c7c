"""A workspace: a folder with archives, campaigns and jobs, and the bounds within which work is done in it."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterator
from pathlib import Path

from emberline.config import from_toml
from emberline.confinement import Confinement
from emberline.jobs.model import JobError

__all__ = ["Workspace", "WorkspaceConfig"]

CONFIG_NAME = "workspace.toml"
DEPTH = 3
"""How deep below the workspace archives and campaigns are looked for."""


@dataclasses.dataclass(frozen=True)
class WorkspaceConfig:
    """``workspace.toml``: all keys may be left out.

    Attributes
    ----------
    title : str
        What the pages call this workspace.
    readable : tuple of Path
        Further folders whose files jobs may read, not write; relative ones are taken from the workspace.
    concurrency : int
        How many jobs run at a time.
    memory_gib : float
        How much memory one job may use, with all its processes; 0 means no limit.
    hours : float
        How long a job may run unless it says otherwise; 0 means no limit.
    minimum_free_gib : float
        With less free space than this no further job starts.
    keep_days : float
        After how many days a job's results are deleted unless it says otherwise; 0 means never.
    """

    title: str = ""
    readable: tuple[Path, ...] = ()
    concurrency: int = 1
    memory_gib: float = 0.0
    hours: float = 0.0
    minimum_free_gib: float = 1.0
    keep_days: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.concurrency <= 1024:
            raise ValueError(f"concurrency = {self.concurrency}: expected from 1 to 1024")
        for name in ("memory_gib", "hours", "minimum_free_gib", "keep_days"):
            value = getattr(self, name)
            if not (math.isfinite(value) and 0 <= value <= 1e6):
                raise ValueError(f"{name} = {value}: expected from 0 to 1000000")


class Workspace:
    """The folder, what is in it, and what may be reached from it.

    Attributes
    ----------
    folder : Path
        Absolute, links followed.
    config : WorkspaceConfig
    confinement : Confinement
        Which files jobs and pages may reach.

    Raises
    ------
    JobError
        There is no such folder.
    ConfigError
        ``workspace.toml`` is wrong.
    """

    def __init__(self, folder: Path | str) -> None:
        try:
            self.folder = Path(folder).resolve(strict=True)
        except (OSError, RuntimeError, ValueError) as error:
            raise JobError("there is no such folder", where=str(folder), action="Make it, or name another.") from error
        if not self.folder.is_dir():
            raise JobError("is no folder", where=str(folder), expected="a workspace")
        path = self.folder / CONFIG_NAME
        self.config = from_toml(WorkspaceConfig, path) if path.exists() else WorkspaceConfig()
        self.confinement = Confinement(self.folder, self.config.readable)

    @classmethod
    def open(cls, folder: Path | str, create: bool = False) -> Workspace:
        """The workspace in `folder`; with `create` the folder is made when it is not there."""
        if create:
            _make(Path(folder))
        return cls(folder)

    @property
    def jobs_folder(self) -> Path:
        """Where the jobs are kept."""
        return self.folder / "jobs"

    @property
    def private(self) -> Path:
        """A folder for what only the owner of the process may read: accounts, keys. Made when it is not there."""
        path = self.folder / ".emberline"
        _make(path, 0o700)
        if path.is_symlink() or path.stat().st_mode & 0o077:
            if path.is_symlink() or path.stat().st_uid != os.getuid():
                raise JobError("is not safe to keep secrets in", where=str(path), expected="a folder of your own")
            path.chmod(0o700)
        return path

    def archives(self) -> list[str]:
        """The archives in the workspace, as paths relative to it, sorted."""
        return self._having("archive.toml")

    def campaigns(self) -> list[str]:
        """The campaigns in the workspace, as paths relative to it, sorted."""
        return self._having("campaign.toml")

    def _having(self, name: str) -> list[str]:
        folders = self._folders(self.folder, DEPTH)
        return sorted(path.relative_to(self.folder).as_posix() for path in folders if (path / name).is_file())

    def _folders(self, folder: Path, depth: int) -> Iterator[Path]:
        """The folders below `folder`; not those of the engine, hidden ones, and links."""
        try:
            entries = [entry for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
        except OSError:
            return
        for entry in entries:
            path = Path(entry.path)
            if entry.name.startswith(".") or path == self.jobs_folder:
                continue
            yield path
            if depth > 1:
                yield from self._folders(path, depth - 1)


def _make(path: Path, mode: int = 0o777) -> None:
    try:
        path.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as error:
        raise JobError(f"cannot be made: {error.strerror}", where=str(path)) from error
