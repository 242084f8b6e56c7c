"""Patterns such as ``data/**/*.fits``: the same with bounds as without, and blind to what lies outside of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from emberline.archive.readers import find_sources
from emberline.archive.readers.patterns import matching
from emberline.confinement import Confinement


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Files in a workspace, one beside it, and a link between them."""
    for name in ("data/1.fits", "data/2.fits", "data/deep/down/a.fits", "data/.hidden.fits", "jobs/1.fits"):
        path = tmp_path / "workspace" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.fits").touch()
    return tmp_path / "workspace"


PATTERNS = [
    "data/*.fits",
    "data/**/*.fits",
    "**/a.fits",
    "d?ta/[12].fits",
    "data/*/down",
    "*/*/*/a.*",
    "data/.h*",
    "x*",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_bounds_change_nothing_inside(workspace: Path, monkeypatch: pytest.MonkeyPatch, pattern: str) -> None:
    monkeypatch.chdir(workspace)
    assert matching(pattern, Confinement(workspace)) == matching(pattern)
    assert matching(f"{workspace}/{pattern}", Confinement(workspace)) == matching(f"{workspace}/{pattern}")


@pytest.mark.parametrize("pattern", ["data/w*/secret*", "data/w*/nothing*", "data/w*", "**/way/*.fits"])
def test_what_lies_behind_a_link_is_neither_listed_nor_told_apart(workspace: Path, pattern: str) -> None:
    (workspace / "data" / "way").symlink_to(workspace.parent / "outside")
    assert list(find_sources(pattern, Confinement(workspace))) == ["data/way"]


def test_a_link_that_stays_inside_is_followed(workspace: Path) -> None:
    (workspace / "data" / "way").symlink_to(workspace / "data" / "deep")
    assert matching("data/w*/*/a.fits", Confinement(workspace)) == ["data/way/down/a.fits"]


def test_reserved_folders_are_passed_over(workspace: Path) -> None:
    bounds = Confinement(workspace, reserved=("jobs",))
    assert matching("*", bounds) == ["data"]
    assert not [path for path in matching("**/*.fits", bounds) if path.startswith("jobs")]
    assert "jobs/1.fits" in matching("**/*.fits", Confinement(workspace))
