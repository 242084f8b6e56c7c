"""Expand patterns such as ``data/**/*.fits``, also where a pattern must not look out of a folder."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import PurePath

from emberline.confinement import Confinement, OutsideError

__all__ = ["matching", "searchable"]


def matching(pattern: str, confinement: Confinement | None = None) -> list[str]:
    """The files and folders that a pattern matches, sorted.

    Within a confinement, relative patterns are taken from its root, and a link that leads out is a match itself: what
    lies behind it is neither listed nor told apart.
    """
    if confinement is None:
        return sorted(glob.glob(pattern, recursive=True))
    parts = PurePath(pattern).parts
    first = next((place for place, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    found = [
        os.path.join(*parts[:first]) if first else ""
    ]  # to be looked at as a whole: its folders may be out of reach
    for part in parts[first:]:
        found = [path for base in found for path in _step(base, part, confinement)]
    return sorted({path or os.curdir for path in found})


def _step(base: str, part: str, confinement: Confinement) -> Iterator[str]:
    """What one component of a pattern matches beneath `base`."""
    try:
        place = os.fspath(confinement.resolve(base))
    except OutsideError:
        yield base
        return
    if not os.path.isdir(place):
        return
    if part == "**":
        for root, folders, _ in os.walk(place):
            folders[:] = searchable(root, folders, confinement)
            yield os.path.join(base, os.path.relpath(root, place)) if root != place else base
    elif glob.has_magic(part):
        names = searchable(place, os.listdir(place), confinement, hidden=part.startswith("."))
        yield from (os.path.join(base, name) for name in fnmatch.filter(names, part))
    elif os.path.lexists(os.path.join(place, part)):
        yield os.path.join(base, part)


def searchable(
    folder: str, names: Iterable[str], confinement: Confinement | None, *, hidden: bool = False
) -> list[str]:
    """Those of the names in a folder that a search looks at, sorted: not hidden ones, and not what is reserved."""
    reserved = () if confinement is None else confinement.reserved
    here = confinement is not None and folder == os.fspath(confinement.root.resolve())
    return sorted(name for name in names if (hidden or not name.startswith(".")) and not (here and name in reserved))
