"""Which files may be reached: inside, whatever a path or a link says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emberline.confinement import Confinement, OutsideError


@pytest.fixture
def workspace(tmp_path: Path) -> Confinement:
    for folder in ("work/archive", "data", "secret", "work-too"):
        (tmp_path / folder).mkdir(parents=True)
    return Confinement(tmp_path / "work", (tmp_path / "data", Path("../data")))


def test_paths_inside_are_absolute_and_need_not_exist(workspace, tmp_path):
    root = (tmp_path / "work").resolve()
    assert workspace.resolve("archive") == root / "archive"
    assert workspace.resolve("archive/../new/deep", write=True) == root / "new" / "deep"
    assert workspace.resolve(root / "a.fits", write=True) == root / "a.fits"
    assert workspace.resolve("") == root


@pytest.mark.parametrize(
    "path", ["..", "../secret/x", "archive/../../secret", "/etc/passwd", "../work-too/x", "~/../../x/../../../../etc"]
)
@pytest.mark.parametrize("write", [False, True])
def test_paths_that_lead_out_are_refused(workspace, path, write):
    with pytest.raises(OutsideError, match="leads out of the workspace"):
        workspace.resolve(path, write=write)


def test_data_folders_may_be_read_and_not_written(workspace, tmp_path):
    for path in ("../data/a.fits", tmp_path / "data" / "a.fits"):
        assert workspace.resolve(path) == (tmp_path / "data" / "a.fits").resolve()
        with pytest.raises(OutsideError, match="inside the workspace"):
            workspace.resolve(path, write=True)


def test_links_count_by_where_they_lead(workspace, tmp_path):
    work = tmp_path / "work"
    (work / "out").symlink_to(tmp_path / "secret")
    (work / "twice").symlink_to(work / "out")
    (work / "in").symlink_to(work / "archive")
    (work / "gone").symlink_to(tmp_path / "secret" / "not yet")
    (work / "data").symlink_to(tmp_path / "data")
    for path in ("out", "out/x", "twice/x", "in/../out/x", "gone"):
        with pytest.raises(OutsideError):
            workspace.resolve(path, write=True)
        with pytest.raises(OutsideError):
            workspace.resolve(path)
    assert workspace.resolve("in/x", write=True) == (work / "archive" / "x").resolve()
    assert workspace.resolve("data/x") == (tmp_path / "data" / "x").resolve()
    with pytest.raises(OutsideError):
        workspace.resolve("data/x", write=True)


def test_reserved_folders_are_out_of_reach_by_whatever_way(tmp_path):
    (tmp_path / "jobs").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "jobs")
    (tmp_path / ".secret").symlink_to(tmp_path / "elsewhere")
    bounds = Confinement(tmp_path, reserved=("jobs", ".secret"))
    for path in ("jobs", "jobs/x", "a/../jobs/x", "link/x", tmp_path / "jobs" / "x"):
        with pytest.raises(OutsideError, match="kept for the workspace itself"):
            bounds.resolve(path)
    assert bounds.resolve("jobs-too") == tmp_path.resolve() / "jobs-too"
    assert bounds.resolve("a/jobs", write=True) == tmp_path.resolve() / "a" / "jobs"


def test_a_workspace_that_is_a_link_itself_is_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    bounds = Confinement(tmp_path / "link")
    assert bounds.resolve("a", write=True) == (tmp_path / "real" / "a").resolve()
    assert bounds.resolve(tmp_path / "link" / "a") == bounds.resolve(tmp_path / "real" / "a")
    assert bounds.relative(bounds.resolve("a/b")) == "a/b"


def test_what_is_no_path_is_refused_in_words(workspace, tmp_path):
    (tmp_path / "work" / "round").symlink_to(tmp_path / "work" / "round")
    with pytest.raises(OutsideError, match="NUL"):
        workspace.resolve("a\0b")
    with pytest.raises(OutsideError, match="cannot be followed"):
        workspace.resolve("round/x")


def test_paths_are_shown_relative_to_the_workspace(workspace, tmp_path):
    assert workspace.relative(workspace.resolve("archive/x")) == "archive/x"
    outside = (tmp_path / "data" / "x").resolve()
    assert workspace.relative(outside) == str(outside)


pieces = st.sampled_from(["..", ".", "archive", "out", "in", "data", "x", "..x", "~", "*", " ", "a\\b", "ü"])


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(pieces, max_size=8), st.booleans(), st.booleans())
def test_nothing_that_is_let_through_lies_outside(workspace, tmp_path, parts, absolute, write):
    work = tmp_path / "work"
    for name, target in (("out", tmp_path / "secret"), ("in", work / "archive"), ("data", tmp_path / "data")):
        if not os.path.lexists(work / name):
            (work / name).symlink_to(target)
    path = "/".join(parts)
    try:
        found = workspace.resolve(work / path if absolute else path, write=write)
    except OutsideError:
        return
    real = Path(os.path.realpath(found))
    assert real == found
    allowed = [work] if write else [work, tmp_path / "data"]
    assert any(real.is_relative_to(folder.resolve()) for folder in allowed)
