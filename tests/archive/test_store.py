"""The archive as a reader sees it."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from archives import GRID, make_block

import emberline
from emberline.archive import Archive, ingest_blocks, open_archive
from emberline.errors import ArchiveError, NewerVersionError
from emberline.spectra import Grid, Metadata, SpectrumBlock


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Twenty spectra on two grids, in two parts."""
    path = tmp_path / "archive"
    ingest_blocks([make_block(14), make_block(6, prefix="t", grid=Grid.linear(6500, 0.5, 100))], path, survey="test")
    return open_archive(path)


def test_spectra_come_back_as_they_went_in(archive: Archive) -> None:
    block = make_block(14)
    assert len(archive) == 20
    for row in (3, 0, 13):
        spectrum = archive.spectrum(block.identifiers[row])
        assert spectrum.grid == block.grid
        np.testing.assert_array_equal(spectrum.flux, block.flux[row])
        np.testing.assert_array_equal(spectrum.ivar, block.ivar[row])
        np.testing.assert_array_equal(spectrum.mask, block.mask[row])
        assert repr(spectrum.meta) == repr(block.meta[row])


def test_order_asked_is_kept_and_repeats_are_allowed(archive: Archive) -> None:
    wanted = ["t00003", "s00001", "s00013", "s00001"]
    assert [spectrum.meta.identifier for spectrum in archive.spectra(wanted)] == wanted
    assert archive.spectra([]) == []


def test_unknown_spectrum_is_named(archive: Archive) -> None:
    with pytest.raises(ArchiveError, match=r"no such spectrum.*nobody"):
        archive.spectra(["s00001", "nobody"])


def test_blocks_hold_every_spectrum_once_each_on_one_grid(archive: Archive) -> None:
    blocks = list(archive.blocks(5))
    assert [len(block) for block in blocks] == [5, 5, 4, 5, 1]
    assert {block.grid.n for block in blocks} == {300, 100}
    assert sorted(name for block in blocks for name in block.identifiers) == sorted(
        archive.catalogue(["identifier"])["identifier"].to_pylist()
    )


def test_catalogue_by_condition(archive: Archive) -> None:
    everything = archive.catalogue()
    assert everything["healpix"].to_pylist() == sorted(everything["healpix"].to_pylist())
    chosen = archive.catalogue(["identifier", "snr"], where="snr > 50 and survey_class = 'QSO'")
    expected = [row["identifier"] for row in everything.to_pylist() if row["snr"] > 50 and row["survey_class"] == "QSO"]
    assert chosen["identifier"].to_pylist() == expected
    assert 0 < len(expected) < 20
    assert chosen.schema.field("snr").metadata == everything.schema.field("snr").metadata
    assert archive.catalogue(where="false").schema == everything.schema


def test_rows_by_condition_are_in_the_catalogues_order(archive: Archive) -> None:
    everything, itself = archive.catalogue(), f"read_parquet('{archive.path}/catalogue.parquet')"
    for where in (
        "snr > 20",
        f"identifier IN (SELECT identifier FROM {itself} ORDER BY snr LIMIT 9)",
        f"EXISTS (SELECT 1 FROM {itself} AS other WHERE other.snr > catalogue.snr AND other.dec < catalogue.dec)",
    ):
        found = archive.catalogue(["object", "identifier"], where=where).to_pylist()
        wanted = {row["identifier"] for row in found}
        assert 1 < len(found) < 20
        assert found == [
            {name: row[name] for name in ("object", "identifier")}
            for row in everything.to_pylist()
            if row["identifier"] in wanted
        ]


def test_a_catalogue_that_was_replaced_is_asked_as_it_is_now(archive: Archive) -> None:
    from concurrent.futures import ThreadPoolExecutor

    ask = lambda where: len(open_archive(archive.path).catalogue(["identifier"], where=where))  # noqa: E731
    assert [ask("snr >= 0"), ask("identifier LIKE 'u%'")] == [20, 0]
    ingest_blocks([make_block(7, prefix="u")], archive.path, survey="test")
    assert [ask("snr >= 0"), ask("identifier LIKE 'u%'")] == [27, 7]
    with ThreadPoolExecutor(8) as pool:
        questions = [f"{'not ' * (number % 2)}identifier LIKE 'u%'" for number in range(64)]
        assert list(pool.map(ask, questions)) == [7, 20] * 32


def test_condition_may_end_in_a_comment(archive: Archive) -> None:
    assert len(archive.catalogue(where="snr > 0 -- all of them")) == 20


def test_unknown_values_satisfy_no_condition(tmp_path: Path) -> None:
    rows = np.ones((1, GRID.n), np.float32)
    block = SpectrumBlock(GRID, rows, rows, rows.astype(np.uint8), [Metadata(identifier="x")])
    ingest_blocks([block], tmp_path / "a", survey="test")
    archive = open_archive(tmp_path / "a")
    assert len(archive.catalogue(where="snr > 10 or snr <= 10 or ra >= 0")) == 0
    assert archive.catalogue(["snr"])["snr"].to_pylist() == [None]
    assert math.isnan(archive.spectrum("x").meta.snr)
    json.dumps(archive.info())


@pytest.mark.parametrize(
    ("columns", "where", "message"),
    [
        (["magnitude"], None, "no such column.*magnitude"),
        (["magnitude"], "snr > 1", "no such column.*magnitude"),
        (None, "signal > 1", "condition cannot be used.*signal"),
        (None, "snr >", "condition cannot be used"),
    ],
)
def test_wrong_questions_are_explained(
    archive: Archive, columns: list[str] | None, where: str | None, message: str
) -> None:
    with pytest.raises(ArchiveError, match=message):
        archive.catalogue(columns, where)


def test_info_counts_and_is_json(archive: Archive) -> None:
    info = json.loads(json.dumps(archive.info()))
    assert (info["spectra"], info["objects"], info["parts"], info["unpublished_parts"]) == (20, 20, 2, 0)
    assert sum(info["classes"].values()) == 20
    assert info["coverage"]["wavelength_angstrom"] == pytest.approx([GRID.wavelength[0], GRID.wavelength[-1]])
    assert info["survey"] == ["test"]
    assert info["rejected"] == {}


def test_an_archive_travels_to_another_process(archive: Archive) -> None:
    again = pickle.loads(pickle.dumps(archive))
    assert again.path == archive.path
    assert "20 spectra" in repr(again)


def test_open_archive_is_public() -> None:
    assert emberline.open_archive is open_archive


def test_what_is_no_archive_is_said(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ArchiveError, match="this is no archive"):
            open_archive(path)


def test_newer_archives_and_unknown_keys_are_refused(archive: Archive) -> None:
    path = archive.path / "archive.toml"
    text = path.read_text()
    path.write_text(text.replace("schema_version = 1", "schema_version = 2\nnew = 1"))
    with pytest.raises(NewerVersionError, match=r"archive\.toml.*newer version.*schema version 2"):
        open_archive(archive.path)
    with pytest.raises(NewerVersionError):
        ingest_blocks([make_block(1)], archive.path, survey="test")
    path.write_text(text.replace("created", "made"))
    with pytest.raises(ArchiveError, match="unknown key 'made'"):
        open_archive(archive.path)
    path.write_text("schema_version = ")
    with pytest.raises(ArchiveError, match="cannot be read"):
        open_archive(archive.path)


def test_damage_names_the_file(archive: Archive) -> None:
    victim = archive.part_path(archive.parts[0])
    whole = victim.read_bytes()
    victim.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArchiveError, match=f"{victim.name}: a file of the archive is damaged"):
        archive.spectrum("s00001")
    with pytest.raises(ArchiveError, match=victim.name):
        list(archive.blocks())
    victim.unlink()
    with pytest.raises(ArchiveError, match=f"{victim.name}: a file of the archive is missing"):
        archive.spectrum("s00001")
    assert archive.spectrum("t00001").grid.n == 100
    (archive.path / "catalogue.parquet").unlink()
    with pytest.raises(ArchiveError, match=r"catalogue\.parquet: a file of the archive is missing"):
        open_archive(archive.path)


def test_exchanged_parts_are_noticed(archive: Archive) -> None:
    one, other = (archive.part_path(name) for name in archive.parts)
    one.write_bytes(other.read_bytes())
    with pytest.raises(ArchiveError, match="not the one that the catalogue describes"):
        archive.spectrum("s00001")


def test_grids_are_there_for_other_programs(archive: Archive) -> None:
    table = pq.read_table(archive.path / "grids.parquet").to_pylist()
    grids = {row["grid"]: np.array(row["wavelength"]) for row in table}
    row = archive.catalogue(where="identifier = 't00002'").to_pylist()[0]
    np.testing.assert_allclose(grids[row["grid"]], 6500 + 0.5 * np.arange(100))
