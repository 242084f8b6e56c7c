"""Which files a job or a page may reach: those inside the workspace, whatever a path or a link says."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from emberline.errors import EmberlineError

__all__ = ["Confinement", "OutsideError"]


class OutsideError(EmberlineError):
    """A path leads out of the folders that may be reached."""


@dataclasses.dataclass(frozen=True)
class Confinement:
    """The folders within which files may be reached.

    Attributes
    ----------
    root : Path
        The workspace: files in it may be read and written. Relative paths are taken from here.
    readable : tuple of Path
        Further folders whose files may be read, not written; relative ones are taken from `root`.
    reserved : tuple of str
        Names of folders in `root` that are out of reach all the same: they belong to whoever sets the bounds.
    """

    root: Path
    readable: tuple[Path, ...] = ()
    reserved: tuple[str, ...] = ()

    def resolve(self, path: Path | str, *, write: bool = False) -> Path:
        """The absolute path with all links followed; it need not exist.

        Raises
        ------
        OutsideError
            The path, or what a link in it leads to, is not in a folder that may be reached so.
        """
        text = os.fspath(path)
        if "\0" in text:
            raise OutsideError("is no path", where=repr(text), found="a NUL character")
        try:
            found = (self.root / text).resolve()
        except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, before Python 3.13
            raise OutsideError(f"cannot be followed: {error}", where=text) from error
        root = self.root.resolve()
        further = () if write else ((root / folder).resolve() for folder in self.readable)
        if not found.is_relative_to(root) and not any(found.is_relative_to(folder) for folder in further):
            raise OutsideError(
                "leads out of the workspace",
                where=text,
                expected="a path inside the workspace" if write else "a path inside the workspace or its data folders",
                action="Move the files there, or name their folder under readable in the workspace's configuration.",
            )
        if any(found.is_relative_to(root / name) for name in self.reserved):
            raise OutsideError("is kept for the workspace itself", where=text, action="Choose another path.")
        return found

    def relative(self, path: Path) -> str:
        """How a path inside is shown to users: relative to the workspace where it lies in it."""
        root = self.root.resolve()
        return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
