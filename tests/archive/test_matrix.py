"""Feature matrices: right, resumed, extended, and never half there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from archives import GRID, make_block

from emberline.archive import Archive, featurework, filework, ingest_blocks, matrix, open_archive
from emberline.errors import ArchiveError, EmberlineError
from emberline.features import Recipe, extract
from emberline.files import exclusive_lock
from emberline.spectra import Metadata, SpectrumBlock

RECIPE = Recipe(name="test", window_angstrom=(6330.0, 6400.0), pixels=20, max_bad_fraction=0.5)


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """Thirty spectra in three parts, and jobs of one part."""
    monkeypatch.setattr(filework, "_PART_BYTES", 9 * GRID.n * 10)
    monkeypatch.setattr(matrix, "_ROWS_PER_JOB", 10)
    ingest_blocks((make_block(10, first=10 * i) for i in range(3)), tmp_path / "a", survey="test")
    return open_archive(tmp_path / "a")


def test_rows_are_the_recipes_vectors_by_identifier(archive: Archive) -> None:
    features = archive.build_features(RECIPE)
    assert isinstance(features.values, np.memmap)
    assert features.values.dtype == np.float32
    assert features.values.shape == (30, 20)
    block = make_block(10, first=10)
    expected = extract(RECIPE, block)
    rows = features.rows(block.identifiers)
    np.testing.assert_array_equal(features.values[rows], expected.values)
    np.testing.assert_array_equal(features.bad_fraction[rows], expected.bad_fraction)
    np.testing.assert_array_equal(features.flagged[rows], expected.flagged)
    catalogue = archive.catalogue(["identifier", "object"]).to_pylist()
    assert dict(zip(features.identifiers.tolist(), features.objects.tolist(), strict=True)) == {
        row["identifier"]: row["object"] for row in catalogue
    }


def test_workers_do_not_matter(archive: Archive, tmp_path: Path) -> None:
    ingest_blocks([make_block(30)], tmp_path / "b", survey="test")
    one = archive.build_features(RECIPE, workers=1)
    values = np.array(one.values)
    (archive.path / "features" / RECIPE.hash / "index.parquet").unlink()
    two = archive.build_features(RECIPE, workers=2)
    np.testing.assert_array_equal(values, two.values)
    np.testing.assert_array_equal(one.identifiers, two.identifiers)


def test_plain_numpy_opens_it_and_names_are_beside(archive: Archive) -> None:
    features = archive.build_features(RECIPE)
    folder = archive.path / "features" / RECIPE.hash
    np.testing.assert_array_equal(np.load(folder / "values.npy"), features.values)
    assert Recipe.load(folder / "recipe.toml") == RECIPE
    assert sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")) == [
        "index.parquet",
        "pending",
        "recipe.toml",
        "values.npy",
    ]
    assert not list((folder / "pending").iterdir())


def test_built_once_and_opened_by_recipe_hash_or_alone(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArchiveError, match=r"no recipe.*found none.*emberline features"):
        archive.features()
    first = archive.build_features(RECIPE)
    monkeypatch.setattr(matrix, "run_jobs", None)
    assert len(archive.build_features(RECIPE)) == 30
    for key in (None, RECIPE, RECIPE.hash):
        np.testing.assert_array_equal(archive.features(key).values, first.values)
    with pytest.raises(ArchiveError, match=r"recipe 0123.*Name one"):
        archive.features("0123")
    assert archive.info()["features"] == [{"hash": RECIPE.hash, "recipe": "test", "spectra": 30, "complete": True}]


def test_grows_with_the_archive(archive: Archive) -> None:
    before = archive.build_features(RECIPE)
    old = np.array(before.values)
    ingest_blocks([make_block(7, first=30)], archive.path, survey="test")
    larger = open_archive(archive.path)
    assert len(larger.features(RECIPE)) == 30
    assert not larger.info()["features"][0]["complete"]
    done: list[int] = []
    features = larger.build_features(RECIPE, progress=lambda step, now, total: done.append(now))
    assert done == [30, 37]
    np.testing.assert_array_equal(features.values[:30], old)
    block = make_block(7, first=30)
    np.testing.assert_array_equal(features.values[features.rows(block.identifiers)], extract(RECIPE, block).values)
    np.testing.assert_array_equal(before.values, old)


def test_objects_follow_the_catalogue(tmp_path: Path) -> None:
    def at(identifier: str, arcsec: float) -> SpectrumBlock:
        block = make_block(1, first=int(arcsec * 10))
        meta = [Metadata(identifier=identifier, ra=10 + arcsec / 3600, dec=0.0)]
        return SpectrumBlock(block.grid, block.flux, block.ivar, block.mask, meta)

    for identifier, arcsec in (("left", 0.0), ("right", 2.0)):
        ingest_blocks([at(identifier, arcsec)], tmp_path / "a", survey="test")
    apart = open_archive(tmp_path / "a").build_features(RECIPE)
    assert len(set(apart.objects)) == 2
    ingest_blocks([at("middle", 1.0)], tmp_path / "a", survey="test")
    joined = open_archive(tmp_path / "a").features(RECIPE)
    assert joined.identifiers.tolist() == ["left", "right"]
    assert len(set(joined.objects)) == 1


def test_interrupted_it_resumes_with_what_is_missing(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(step: str, done: int, total: int | None) -> None:
        if done >= 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        archive.build_features(RECIPE, progress=interrupt)
    with pytest.raises(ArchiveError, match="no recipe"):
        archive.features()
    done: list[int] = []
    resumed = archive.build_features(RECIPE, progress=lambda step, now, total: done.append(now))
    assert done == [0, 30]
    for block in archive.blocks():
        rows = resumed.rows(block.identifiers)
        np.testing.assert_array_equal(resumed.values[rows], extract(RECIPE, block).values)


def test_full_disk_is_said(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, values: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(featurework, "write_all", full)
        with pytest.raises(EmberlineError, match=r"values\.npy: cannot be written: No space left"):
            archive.build_features(RECIPE)
    assert len(archive.build_features(RECIPE)) == 30


def test_two_at_once_is_an_error(archive: Archive) -> None:
    folder = archive.path / "features" / RECIPE.hash
    with (
        exclusive_lock(folder / ".lock", "held"),
        pytest.raises(EmberlineError, match="another process is building"),
    ):
        archive.build_features(RECIPE)


def test_unknown_rows_are_named(archive: Archive) -> None:
    features = archive.build_features(RECIPE)
    assert features.rows(np.array(["s00005", "s00000"])).shape == (2,)
    assert features.rows([]).tolist() == []
    with pytest.raises(ArchiveError, match=r"not in the feature matrix.*nobody"):
        features.rows(["s00001", "nobody"])


def test_damage_names_the_file(archive: Archive) -> None:
    archive.build_features(RECIPE)
    values = archive.path / "features" / RECIPE.hash / "values.npy"
    whole = values.read_bytes()
    for text in (whole[:-10], whole[:50], b""):
        values.write_bytes(text)
        with pytest.raises(ArchiveError, match=r"values\.npy: a file of the archive is damaged"):
            archive.features()
    victim = archive.part_path(archive.parts[1])
    victim.unlink()
    with pytest.raises(ArchiveError, match=f"{victim.name}: a file of the archive is missing"):
        archive.build_features(Recipe(name="other", window_angstrom=(6330.0, 6390.0), pixels=10))


def test_another_archives_matrix_is_not_believed(archive: Archive, tmp_path: Path) -> None:
    archive.build_features(RECIPE)
    ingest_blocks([make_block(30, prefix="x")], tmp_path / "b", survey="test")
    (archive.path / "features").rename(tmp_path / "b" / "features")
    other = open_archive(tmp_path / "b").build_features(RECIPE)
    assert other.identifiers[0] == "x00000"
    block = make_block(30, prefix="x")
    np.testing.assert_array_equal(other.values[other.rows(block.identifiers)], extract(RECIPE, block).values)


def test_an_empty_archive_has_an_empty_matrix(tmp_path: Path) -> None:
    ingest_blocks([], tmp_path / "a", survey="test")
    features = open_archive(tmp_path / "a").build_features(RECIPE)
    assert features.values.shape == (0, 20)
    assert len(features) == 0
