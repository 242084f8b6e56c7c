"""Pairs of two archives or tables in files: read by pieces of sky, in any format, written as they are found."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import emberline.archive.pairs as module
from emberline import sky
from emberline.archive import ingest_blocks
from emberline.archive.crossmatch import match
from emberline.archive.pairs import match_sources, open_source, pairs_table, write_pairs
from emberline.archive.positions import ArrayShelf, FileShelf, Positions, cells_near
from emberline.archive.tables import read_table
from emberline.errors import ArchiveError, ConfigError, EmberlineError
from emberline.spectra import Grid, Metadata, SpectrumBlock

GRID = Grid.log10(3.8, 1e-3, 5)


def archive(folder: Path, ra: np.ndarray, dec: np.ndarray, name: str) -> Path:
    """An archive of spectra of nothing at these positions, observed on MJD 56000."""
    meta = [
        Metadata(identifier=f"{name}-{i}", name=f"{name} {i}", ra=a, dec=d, mjd=56000.0)
        for i, (a, d) in enumerate(zip(ra, dec, strict=True))
    ]
    flat = np.ones((len(meta), 5), "f4")
    ingest_blocks([SpectrumBlock(GRID, flat, flat, np.zeros(flat.shape, "u1"), meta)], folder, survey=name)
    return folder


@pytest.fixture(scope="module")
def places() -> tuple[np.ndarray, ...]:
    """400 positions all over the sky, one of them unknown, and the same up to an arcsecond in another order."""
    rng = np.random.default_rng(11)
    ra, dec = rng.uniform(0, 360, 400), np.degrees(np.arcsin(rng.uniform(-1, 1, 400)))
    ra[:4], dec[:4] = [0.0, 180.0, 359.99999, np.nan], [90.0, -90.0, 0.0, np.nan]
    order = rng.permutation(400)
    ra2, dec2 = sky.offset(ra, dec, rng.uniform(0, 360, 400), rng.uniform(0, 1 / 3600, 400))
    return ra, dec, ra2[order], dec2[order]


@pytest.fixture(scope="module")
def archives(places: tuple[np.ndarray, ...], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("archives")
    ra, dec, ra2, dec2 = places
    return archive(folder / "one", ra, dec, "one"), archive(folder / "two", ra2, dec2, "two")


def test_two_archives_are_matched_as_they_lie_on_disk(
    archives: tuple[Path, Path], places: tuple[np.ndarray, ...], tmp_path: Path
) -> None:
    summary = write_pairs(*archives, tmp_path / "pairs.parquet", 2.0)
    assert (summary.rows, summary.pairs, summary.matched, summary.moved) == ((400, 400), 399, 399, False)
    table = pq.read_table(tmp_path / "pairs.parquet")
    assert len(table) == 399
    found = dict(zip(table["identifier_1"].to_pylist(), table["identifier_2"].to_pylist(), strict=True))
    ra, dec, ra2, dec2 = places
    expected = match(Positions.of(ra, dec), Positions.of(ra2, dec2), 2.0)
    assert found == {f"one-{i}": f"two-{j}" for i, j in zip(expected.left, expected.right, strict=True)}
    assert max(table["separation"].to_pylist()) <= 1.0
    assert table.schema.field("separation").metadata[b"unit"] == b"arcsec"
    assert table.schema.field("ra_1").metadata[b"ucd"] == b"pos.eq.ra;meta.main"
    assert table.schema.field("ra_2").metadata[b"ucd"] == b"pos.eq.ra"


def test_small_row_groups_change_nothing(
    archives: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each block then needs row groups from several places of the other catalogue."""
    whole = [open_source(path, tmp_path).shelf for path in archives]
    files = []
    for number, path in enumerate(archives):
        files.append(tmp_path / f"{number}.parquet")
        pq.write_table(pq.read_table(path / "catalogue.parquet"), files[-1], row_group_size=13)
    cut = [FileShelf(path, epoch="mjd", epoch_is_mjd=True) for path in files]
    monkeypatch.setattr("emberline.archive.positions.BLOCK_ROWS", 40)
    from emberline.archive.crossmatch import match_shelves

    expected, found = match_shelves(*whole, 2.0, keep="mutual"), match_shelves(*cut, 2.0, keep="mutual")
    for name in ("left", "right", "separation", "neighbours"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert cut[0].epochs == pytest.approx((2012.199,) * 2, abs=1e-3)


@pytest.mark.parametrize("ending", ["parquet", "csv", "csv.gz", "ecsv", "vot", "fits"])
def test_tables_of_every_format_are_read(ending: str, places: tuple[np.ndarray, ...], tmp_path: Path) -> None:
    import gzip

    from astropy.table import Table

    ra, dec, ra2, dec2 = places
    table = Table({"RAJ2000": ra2, "DEJ2000": dec2, "Name": [f"n{i}" for i in range(400)]})
    table["RAJ2000"].unit = table["DEJ2000"].unit = "deg"
    path = tmp_path / f"list.{ending}"
    if ending == "parquet":
        pq.write_table(pa.table({name: np.asarray(table[name]) for name in table.colnames}), path)
    elif ending.startswith("csv"):
        table.write(tmp_path / "list.csv", format="ascii.csv")
        if ending == "csv.gz":
            path.write_bytes(gzip.compress((tmp_path / "list.csv").read_bytes()))
    else:
        table.write(path, format={"ecsv": "ascii.ecsv", "vot": "votable", "fits": "fits"}[ending])
    left = tmp_path / "left.parquet"
    pq.write_table(pa.table({"ra": ra, "dec": dec}), left)
    sources = [open_source(file, tmp_path) for file in (left, path)]
    found, summary = match_sources(*sources, 2.0)
    joined = pairs_table(*sources, found)
    assert summary.pairs == 399
    expected = match(Positions.of(ra, dec), Positions.of(ra2, dec2), 2.0)
    assert joined["Name_2"].to_pylist() == [f"n{j}" for j in expected.right]


def test_a_very_long_table_is_sorted_on_disk(
    places: tuple[np.ndarray, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ra, dec, ra2, dec2 = places
    rng = np.random.default_rng(2)
    motion = rng.normal(0, 300, (2, 400))
    for name, a, d in (("left", ra, dec), ("right", ra2, dec2)):
        columns = {"ra": a, "dec": d}
        if name == "right":
            columns |= {"pmra": motion[0], "pmdec": motion[1], "ref_epoch": np.full(400, 2016.0)}
        else:
            columns |= {"epoch": np.full(400, 2012.0)}
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet", row_group_size=100)
    paths = [tmp_path / "left.parquet", tmp_path / "right.parquet"]
    in_memory = match_sources(*(open_source(path, tmp_path) for path in paths), 2.0)
    assert isinstance(open_source(paths[1], tmp_path).shelf, ArrayShelf)
    monkeypatch.setattr(module, "ROWS_IN_MEMORY", 100)
    sources = [open_source(path, tmp_path) for path in paths]
    assert isinstance(sources[1].shelf, FileShelf)
    on_disk = match_sources(*sources, 2.0)
    assert on_disk[1] == in_memory[1]
    assert on_disk[1].moved
    np.testing.assert_array_equal(on_disk[0].right, in_memory[0].right)


def test_nothing_half_written_is_left(archives: tuple[Path, Path], tmp_path: Path) -> None:
    class StopError(Exception):
        pass

    def stop(step: str, done: int, total: int | None) -> None:
        if step == "write":
            raise StopError

    with pytest.raises(StopError):
        write_pairs(*archives, tmp_path / "pairs.parquet", 2.0, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_matched_is_refused(archives: tuple[Path, Path], tmp_path: Path) -> None:
    for out, radius, word in ((tmp_path / "a.csv", 2.0, "parquet"), (tmp_path / "a.parquet", 0.0, "radius")):
        with pytest.raises(ConfigError, match=word):
            write_pairs(*archives, out, radius)
    with pytest.raises(ConfigError, match="no such table"):
        write_pairs(archives[0], tmp_path / "missing.csv", tmp_path / "a.parquet", 2.0)
    (tmp_path / "x.txt").write_text("")
    with pytest.raises(ConfigError, match="known format"):
        read_table(tmp_path / "x.txt")
    (tmp_path / "x.fits").write_text("half")
    with pytest.raises(EmberlineError, match="cannot be read as a table"):
        read_table(tmp_path / "x.fits")


def test_a_catalogue_out_of_order_is_noticed(archives: tuple[Path, Path], tmp_path: Path) -> None:
    table = pq.read_table(archives[0] / "catalogue.parquet")
    pq.write_table(table.take(pa.array(np.arange(len(table))[::-1])), tmp_path / "c.parquet")
    shelf = FileShelf(tmp_path / "c.parquet")
    with pytest.raises(ArchiveError, match="not sorted"):
        list(shelf.blocks())


@pytest.mark.parametrize(("ra", "dec"), [(0.0, 90.0), (45.0, 41.8103), (0.0, 0.0), (123.4, -89.99), (359.9999, 12.0)])
@pytest.mark.parametrize("radius", [1 / 3600, 0.1, 5.0, 70.0])
def test_all_that_is_near_lies_in_the_cells_that_are_fetched(ra: float, dec: float, radius: float) -> None:
    rng = np.random.default_rng(1)
    near = sky.offset(np.full(500, ra), np.full(500, dec), rng.uniform(0, 360, 500), rng.uniform(0, radius, 500))
    shelf = ArrayShelf(Positions.of(*near))
    (block,) = ArrayShelf(Positions.of([ra], [dec])).blocks()
    assert len(shelf.near(*cells_near(block, radius))) == 500


def test_a_block_far_from_everything_fetches_little() -> None:
    rng = np.random.default_rng(1)
    shelf = ArrayShelf(Positions.of(rng.uniform(0, 360, 10_000), rng.uniform(-60, 60, 10_000)))
    (block,) = ArrayShelf(Positions.of([10.0, 200.0], [10.0, -10.0])).blocks()
    assert len(shelf.near(*cells_near(block, 3 / 3600))) < 10


def test_positions_are_one_value_a_row() -> None:
    with pytest.raises(ValueError, match="one value a row"):
        Positions.of(np.zeros((2, 2)), np.zeros((2, 2)))
    assert dataclasses.fields(Positions)[0].name == "ra"
