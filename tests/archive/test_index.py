"""The index of identifiers: right, believed only for its own catalogue, and made again when it is gone."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from archives import content, make_block

from emberline.archive import Archive, index, ingest_blocks, names, open_archive, store
from emberline.archive.index import INDEX_NAME, IdentifierIndex
from emberline.errors import ArchiveError


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Forty spectra that came in two goes."""
    for first in (0, 20):
        ingest_blocks([make_block(20, first=first)], tmp_path / "a", survey="test")
    return open_archive(tmp_path / "a")


def test_places_are_those_of_the_catalogue(archive: Archive) -> None:
    rows = archive.catalogue(["identifier", "part", "row"]).to_pylist()
    assert archive.locate([row["identifier"] for row in rows]) == [(row["part"], row["row"]) for row in rows]
    with pytest.raises(ArchiveError, match=r"no such spectrum.*nobody"):
        archive.locate(["s00001", "nobody"])


def test_a_spectrum_is_found_without_reading_the_catalogue(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyarrow.parquet.ParquetFile.iter_batches", None)
    fresh = open_archive(archive.path)
    assert len(fresh) == 40
    assert fresh.spectrum("s00033").meta.identifier == "s00033"
    assert "places" not in vars(fresh)


@pytest.mark.parametrize("harm", ["gone", "cut", "other", "rubbish", "empty"])
def test_an_index_that_is_not_this_catalogues_is_made_again(archive: Archive, tmp_path: Path, harm: str) -> None:
    path = archive.path / INDEX_NAME
    whole = path.read_bytes()
    if harm == "gone":
        path.unlink()
    elif harm == "other":
        ingest_blocks([make_block(40, prefix="t")], tmp_path / "b", survey="test")
        path.write_bytes((tmp_path / "b" / INDEX_NAME).read_bytes())
    else:
        path.write_bytes({"cut": whole[:-8], "rubbish": b"x" * len(whole), "empty": b""}[harm])
    again = open_archive(archive.path)
    assert len(again) == 40
    assert again.spectrum("s00033").meta.identifier == "s00033"
    assert path.read_bytes() == whole


def test_an_archive_that_cannot_be_written_to_is_read(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    (archive.path / INDEX_NAME).unlink()

    def refuse(*arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    assert open_archive(archive.path).spectrum("s00033").meta.identifier == "s00033"
    assert not (archive.path / INDEX_NAME).exists()


def test_an_open_archive_stays_as_it_was(archive: Archive) -> None:
    ingest_blocks([make_block(5, first=40)], archive.path, survey="test")
    assert len(archive) == len(archive.places) == 40
    assert archive.spectrum("s00033").meta.identifier == "s00033"
    with pytest.raises(ArchiveError, match="no such spectrum"):
        archive.spectrum("s00042")
    assert len(open_archive(archive.path)) == 45


def test_an_archive_without_index_grows(archive: Archive) -> None:
    (archive.path / INDEX_NAME).unlink()
    again = ingest_blocks([make_block(20), make_block(10, first=40)], archive.path, survey="test")
    assert (again.ingested, again.already, again.total) == (10, 20, 50)
    assert len(open_archive(archive.path)) == 50


def test_names_that_share_a_hash_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def coarse(given: object) -> object:
        return names.name_hashes(given) >> np.uint64(62) << np.uint64(62)  # type: ignore[arg-type]

    for module in ("index", "known", "publication", "store"):
        monkeypatch.setattr(f"emberline.archive.{module}.name_hashes", coarse)
    for first in (0, 20):
        ingest_blocks([make_block(20, first=first)], tmp_path / "a", survey="test")
    archive = open_archive(tmp_path / "a")
    assert len(archive) == 40
    asked = [f"s{number:05d}" for number in (33, 0, 12)]
    assert [spectrum.meta.identifier for spectrum in archive.spectra(asked)] == asked
    with pytest.raises(ArchiveError, match="no such spectrum"):
        archive.spectrum("nobody")
    assert ingest_blocks([make_block(20)], tmp_path / "a", survey="test").already == 20
    assert content(tmp_path / "a")["catalogue"]


def test_another_spectrum_in_its_place_is_damage(archive: Archive) -> None:
    one, other = (archive.part_path(name) for name in archive.parts)
    one.write_bytes(other.read_bytes())
    with pytest.raises(ArchiveError, match=r"not the one that the catalogue describes.*s00020.*s00000"):
        open_archive(archive.path).spectrum("s00000")


@pytest.mark.parametrize("few", [0, 10**9])
def test_hashes_are_found_wherever_they_lie(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "_FEW", few)
    rng = np.random.default_rng(0)
    for hashes in (
        rng.integers(0, 2**64, 5000, dtype=np.uint64),
        np.arange(5000, dtype=np.uint64),  # all in one corner
        np.array([0, 2**64 - 1], np.uint64),
    ):
        made = IdentifierIndex.of(("p",), hashes, np.arange(len(hashes)))
        np.testing.assert_array_equal(made.first(hashes), np.arange(len(hashes)))
        assert made.first(np.array([12345678901234], np.uint64)).tolist() == [-1]
    assert IdentifierIndex.of((), np.zeros(0, np.uint64), np.zeros(0, np.int64)).first(hashes).tolist() == [-1, -1]


def test_a_condition_asks_only(archive: Archive, tmp_path: Path) -> None:
    before = (archive.path / "catalogue.parquet").read_bytes()
    evil = (
        f"true); COPY (SELECT 1) TO '{archive.path}/catalogue.parquet'; SELECT 1 WHERE (true",
        f"identifier IN (SELECT content FROM read_text('{archive.path}/archive.toml'))",
        f"identifier IN (SELECT identifier FROM read_parquet('{archive.part_path(archive.parts[0])}'))",
        "true); SET threads = 1; SELECT 1 WHERE (true",
    )
    for where in evil:
        with pytest.raises(ArchiveError, match="condition cannot be used"):
            archive.catalogue(["identifier"], where=where)
    assert (archive.path / "catalogue.parquet").read_bytes() == before
    assert store.Archive(archive.path).catalogue(["identifier"], where="identifier = 's00003'").num_rows == 1


def test_a_damaged_catalogue_is_not_blamed_on_the_condition(archive: Archive) -> None:
    path = archive.path / "catalogue.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ArchiveError, match=r"catalogue\.parquet: a file of the archive is damaged"):
        archive.catalogue(["identifier"], where="snr > 3")
