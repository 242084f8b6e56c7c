"""Workers that are killed, memory that runs out, and recipes that are mixed up: an error that says so, and no harm."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from archives import content, make_block, write_survey

from emberline.archive import ingest, ingest_blocks, matrix, open_archive
from emberline.errors import ArchiveError, EmberlineError
from emberline.features import Recipe
from emberline.spectra import SpectrumBlock

RECIPE = Recipe(name="test", window_angstrom=(6320.0, 6400.0), pixels=20, max_bad_fraction=0.5)

_ROBBED = """
    import os, signal, sys
    from pathlib import Path
    from emberline.archive import ingestion
    from emberline.errors import EmberlineError
    ingestion._FILES_PER_JOB = (4, 4)

    def kill(step, done, total):
        if done == 8:
            tasks = Path(f"/proc/{os.getpid()}/task").glob("*/children")
            for child in {int(number) for path in tasks for number in path.read_text().split()}:
                if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                    os.kill(child, signal.SIGKILL)

    try:
        ingestion.ingest(sys.argv[1], sys.argv[2], workers=2, progress=kill)
    except EmberlineError as error:
        print(error)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds the workers in /proc")
def test_a_killed_worker_is_an_error_and_the_next_run_ends_it(tmp_path: Path) -> None:
    survey = write_survey(tmp_path / "s", 40)
    code = [sys.executable, "-c", textwrap.dedent(_ROBBED), str(survey), str(tmp_path / "a")]
    done = subprocess.run(code, capture_output=True, text=True, timeout=120, check=False)
    assert "a worker process died" in done.stdout, done.stderr
    assert "it resumes where it stopped" in done.stdout
    summary = ingest(survey, tmp_path / "a", workers=1)
    assert summary.already >= 8
    ingest(survey, tmp_path / "b", workers=1)
    assert content(tmp_path / "a") == content(tmp_path / "b")


def _greedy() -> Iterator[SpectrumBlock]:
    yield make_block(20)
    limits = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * os.sysconf("SC_PAGE_SIZE") + (64 << 20), limits[1]))
    try:
        yield make_block(np.zeros((1 << 30,)).shape[0])
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory as Linux does")
def test_want_of_memory_is_said_and_the_archive_is_as_it_was(tmp_path: Path) -> None:
    ingest_blocks([make_block(5, prefix="t")], tmp_path / "a", survey="test")
    before = content(tmp_path / "a")
    with pytest.raises(EmberlineError, match=r"memory ran out.*it resumes"):
        ingest_blocks(_greedy(), tmp_path / "a", survey="test")
    assert content(tmp_path / "a") == before
    assert ingest_blocks([make_block(20)], tmp_path / "a", survey="test").total == 25


def test_want_of_memory_for_features_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ingest_blocks([make_block(5)], tmp_path / "a", survey="test")
    archive = open_archive(tmp_path / "a")

    def short(*arguments: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(matrix, "_write_index", short)
        with pytest.raises(EmberlineError, match="memory ran out"):
            archive.build_features(RECIPE, workers=1)
    assert len(archive.build_features(RECIPE, workers=1)) == 5


def test_features_of_another_recipe_under_this_ones_name_are_refused(tmp_path: Path) -> None:
    ingest_blocks([make_block(30)], tmp_path / "a", survey="test")
    archive = open_archive(tmp_path / "a")
    other = Recipe(name="test", window_angstrom=(6320.0, 6400.0), pixels=20, max_bad_fraction=0.4)
    archive.build_features(other, workers=1)
    (tmp_path / "a" / "features" / other.hash).rename(tmp_path / "a" / "features" / RECIPE.hash)
    for ask in (
        lambda: archive.features(),
        lambda: archive.features(RECIPE),
        lambda: archive.feature_values(),
        lambda: archive.build_features(RECIPE, workers=1),
    ):
        with pytest.raises(ArchiveError, match=f"of another recipe.*{other.hash}.*{RECIPE.hash}"):
            ask()


_FULL = """
    import resource, sys
    from emberline.archive import open_archive
    from emberline.errors import EmberlineError
    from emberline.features import Recipe
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    try:
        open_archive(sys.argv[1]).build_features(Recipe.load(sys.argv[2]), workers=int(sys.argv[3]))
    except EmberlineError as error:
        print(error)
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_stops_features_which_then_go_on(tmp_path: Path, workers: int) -> None:
    ingest_blocks([make_block(30)], tmp_path / "a", survey="test")
    (tmp_path / "recipe.toml").write_text(RECIPE.to_toml())
    code = [
        sys.executable,
        "-c",
        textwrap.dedent(_FULL),
        *map(str, (tmp_path / "a", tmp_path / "recipe.toml", workers)),
    ]
    done = subprocess.run(code, capture_output=True, text=True, timeout=120, check=False)
    assert "cannot be written" in done.stdout, done.stderr
    archive = open_archive(tmp_path / "a")
    assert archive.info()["features"] == []
    ingest_blocks([make_block(30)], tmp_path / "b", survey="test")
    expected = open_archive(tmp_path / "b").build_features(RECIPE, workers=1)
    np.testing.assert_array_equal(archive.build_features(RECIPE, workers=1).values, expected.values)
