"""The catalogue written anew: the same whether it is sorted in memory or outside of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from archives import GRID, make_block

from emberline.archive import filework, ingest_blocks, objects, open_archive, publication
from emberline.archive.catalogue import catalogue_of, read_catalogue
from emberline.archive.objects import group_positions
from emberline.errors import EmberlineError
from emberline.spectra import Metadata, SpectrumBlock


def _survey(n: int) -> SpectrumBlock:
    """Spectra of some stars that were seen again, of some without position, and some of one name."""
    rng = np.random.default_rng(3)
    block = make_block(n)
    stars = rng.uniform(0, 40, (n // 3, 2))
    meta = []
    for number, item in enumerate(block.meta):
        ra, dec = stars[rng.integers(len(stars))] + rng.normal(0, 0.3, 2) / 3600
        known = number % 7 > 0
        meta.append(
            Metadata(
                identifier=item.identifier,
                survey="test",
                name=f"HD {number % 5}" if number % 2 else "",
                ra=ra if known else float("nan"),
                dec=dec if known else float("nan"),
            )
        )
    return SpectrumBlock(block.grid, block.flux, block.ivar, block.mask, meta)


def _cut(block: SpectrumBlock, low: int, high: int) -> SpectrumBlock:
    rows = slice(low, high)
    return SpectrumBlock(block.grid, block.flux[rows], block.ivar[rows], block.mask[rows], block.meta[rows])


@pytest.mark.parametrize("outside", [False, True])
def test_grown_in_steps_it_is_the_catalogue_of_all_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outside: bool
) -> None:
    monkeypatch.setattr(filework, "_PART_BYTES", 9 * GRID.n * 50)
    monkeypatch.setattr(objects, "_ZONE_ROWS", 40)
    if outside:
        monkeypatch.setattr(publication, "_IN_MEMORY", 0)
    block = _survey(400)
    for low, high in ((0, 130), (130, 131), (131, 400)):
        ingest_blocks([_cut(block, low, high)], tmp_path / "a", survey="test")
    table = read_catalogue(tmp_path / "a" / "catalogue.parquet")
    rows = table.drop_columns(["object", "healpix"])
    shuffled = rows.take(pa.array(np.random.default_rng(0).permutation(len(rows))))
    expected = catalogue_of(shuffled)
    assert table.equals(expected.combine_chunks())
    assert table.schema.equals(expected.schema, check_metadata=True)
    assert 1 < len(table["object"].unique()) < 400
    assert not list((tmp_path / "a" / "pending").iterdir())


def test_zones_do_not_part_what_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    ra, dec = rng.uniform(0, 20 / 3600, 300), rng.uniform(-10, 10, 300) / 3600
    whole = group_positions(ra, dec)
    for rows in (1, 2, 7, 299):
        monkeypatch.setattr(objects, "_ZONE_ROWS", rows)
        np.testing.assert_array_equal(group_positions(ra, dec), whole)


def test_a_damaged_part_is_named_and_nothing_is_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filework, "_PART_BYTES", 9 * GRID.n * 10)
    ingest_blocks([make_block(5)], tmp_path / "a", survey="test")

    def broken() -> object:
        yield make_block(10, first=10)
        yield make_block(10, first=20)
        raise RuntimeError("the stream broke")

    with pytest.raises(RuntimeError):
        ingest_blocks(broken(), tmp_path / "a", survey="test")  # type: ignore[arg-type]
    before = (tmp_path / "a" / "catalogue.parquet").read_bytes()
    *_, victim = sorted((tmp_path / "a" / "spectra").iterdir())
    whole = victim.read_bytes()
    victim.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(EmberlineError, match=f"{victim.name}: a file of the archive is damaged"):
        ingest_blocks([], tmp_path / "a", survey="test")
    assert (tmp_path / "a" / "catalogue.parquet").read_bytes() == before
    assert len(open_archive(tmp_path / "a")) == 5
    victim.write_bytes(whole)
    assert ingest_blocks([], tmp_path / "a", survey="test").total == 25


def test_what_goes_wrong_while_sorting_outside_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publication, "_IN_MEMORY", 0)
    ingest_blocks([make_block(5)], tmp_path / "a", survey="test")
    before = (tmp_path / "a" / "catalogue.parquet").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(publication, "_SORT_MEMORY", "1KB")
        with pytest.raises(EmberlineError, match=r"catalogue\.parquet: the catalogue cannot be sorted.*it resumes"):
            ingest_blocks([make_block(400, first=5)], tmp_path / "a", survey="test")
    assert (tmp_path / "a" / "catalogue.parquet").read_bytes() == before
    assert ingest_blocks([make_block(400, first=5)], tmp_path / "a", survey="test").total == 405


def test_what_a_killed_sort_put_aside_is_cleared_away(tmp_path: Path) -> None:
    ingest_blocks([make_block(5)], tmp_path / "a", survey="test")
    aside, torn = tmp_path / "a" / "pending" / publication.ASIDE, tmp_path / "a" / "pending" / ".1.json.part"
    aside.mkdir()
    (aside / "duckdb_temp_storage-0.tmp").write_bytes(b"x")
    torn.write_bytes(b"x")
    ingest_blocks([make_block(5)], tmp_path / "a", survey="test")
    assert not list((tmp_path / "a" / "pending").iterdir())
