"""A workspace: its configuration, its bounds, what lies in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from emberline.confinement import OutsideError
from emberline.errors import ConfigError
from emberline.jobs import JobError, Workspace, WorkspaceConfig


def test_a_folder_without_configuration_is_a_workspace(tmp_path):
    workspace = Workspace(tmp_path)
    assert workspace.config == WorkspaceConfig()
    assert workspace.folder == tmp_path.resolve()
    assert workspace.jobs_folder == tmp_path.resolve() / "jobs"
    assert os.listdir(tmp_path) == []


def test_the_configuration_is_read(tmp_path):
    (tmp_path / "workspace.toml").write_text(
        'title = "Be stars"\nreadable = ["/srv/lamost", "../more"]\nconcurrency = 3\nmemory_gib = 8\nhours = 12\n'
        "minimum-free-gib = 5\nkeep_days = 30\n"
    )
    config = Workspace(tmp_path).config
    assert config == WorkspaceConfig("Be stars", (Path("/srv/lamost"), Path("../more")), 3, 8.0, 12.0, 5.0, 30.0)
    assert Workspace(tmp_path).confinement.readable == config.readable


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("concurrncy = 2", "Did you mean 'concurrency'"),
        ("concurrency = 0", "concurrency = 0: expected from 1"),
        ("concurrency = 5000", "concurrency = 5000: expected from 1"),
        ("hours = -1", "hours = -1.0: expected from 0"),
        ("hours = inf", "hours = inf"),
        ("memory_gib = nan", "memory_gib = nan"),
        ("keep_days = 'x'", "expected a number"),
        ("readable = '/data'", "an array"),
        ("title = [", "is not valid TOML"),
    ],
)
def test_a_wrong_configuration_gives_one_clear_error(tmp_path, text, words):
    (tmp_path / "workspace.toml").write_text(text)
    with pytest.raises(ConfigError, match=words) as caught:
        Workspace(tmp_path)
    assert "workspace.toml" in str(caught.value)


def test_a_missing_folder_is_made_only_when_asked(tmp_path):
    with pytest.raises(JobError, match="no such folder"):
        Workspace.open(tmp_path / "new")
    assert Workspace.open(tmp_path / "new" / "deep", create=True).folder.is_dir()
    Workspace.open(tmp_path / "new", create=True)
    (tmp_path / "file").write_text("x")
    with pytest.raises(JobError, match="is no folder"):
        Workspace(tmp_path / "file")
    with pytest.raises(JobError, match="cannot be made"):
        Workspace.open(tmp_path / "file" / "x", create=True)
    with pytest.raises(JobError, match="no such folder"):
        Workspace("a\0b")


def test_secrets_are_kept_from_others(tmp_path):
    old = os.umask(0)
    try:
        private = Workspace(tmp_path).private
        assert private.stat().st_mode & 0o777 == 0o700
        private.chmod(0o755)
        assert Workspace(tmp_path).private.stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(old)


def test_secrets_are_not_put_behind_a_link(tmp_path):
    (tmp_path / "other").mkdir(mode=0o700)
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / ".emberline").symlink_to(tmp_path / "other")
    with pytest.raises(JobError, match="not safe to keep secrets"):
        _ = Workspace(tmp_path / "work").private


def _make(folder: Path, name: str) -> None:
    folder.mkdir(parents=True)
    (folder / name).write_text("")


def test_archives_and_campaigns_are_found(tmp_path):
    work = tmp_path / "work"
    for place in ("lamost", "deep/er/third", "deep/er/third/fourth", "jobs/x", ".hidden/a", "deep/.part", "deep/jobs"):
        _make(work / place, "archive.toml")
    _make(tmp_path / "outside", "archive.toml")
    (work / "link").symlink_to(tmp_path / "outside")
    _make(work / "be", "campaign.toml")
    (work / "odd" / "archive.toml").mkdir(parents=True)
    workspace = Workspace(work)
    assert workspace.archives() == ["deep/er/third", "deep/jobs", "lamost"]
    assert workspace.campaigns() == ["be"]


def test_folders_that_may_not_be_read_are_passed_over(tmp_path):
    _make(tmp_path / "a", "archive.toml")
    (tmp_path / "locked").mkdir(mode=0o000)
    try:
        assert Workspace(tmp_path).archives() == ["a"]
    finally:
        (tmp_path / "locked").chmod(0o700)


def test_the_bounds_are_those_of_the_folder(tmp_path):
    (tmp_path / "work").mkdir()
    workspace = Workspace(tmp_path / "work")
    assert workspace.confinement.resolve("a", write=True) == workspace.folder / "a"
    with pytest.raises(OutsideError):
        workspace.confinement.resolve("../a")
