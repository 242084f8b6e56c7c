"""The progressive catalogue: each row in one tile, the best first, in the layout that Aladin reads."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from astropy.io.votable import parse
from publishing_sky import COUNT, SETTINGS

from emberline.archive.catalogue import healpix_of
from emberline.jobs import Workspace
from emberline.vo.server.adql.tables import Table
from emberline.vo.server.hips import hips_columns, tiles_of, write_hips
from emberline.vo.server.publication import Publication
from emberline.vo.server.published import Published


def sky(count: int, size: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    return 40 + rng.uniform(-size, size, count), 20 + rng.uniform(-size, size, count), rng.normal(size=count)


def test_every_placed_row_is_in_one_tile_above_its_cell() -> None:
    ra, dec, rank = sky(30_000, 2.0)
    healpix = np.append(healpix_of(ra, dec), [-1, -1])
    tiling = tiles_of(healpix, np.append(rank, [9.0, np.nan]))
    assert (tiling.order[-2:] == -1).all()
    order = tiling.order[:-2].astype(np.int64)
    assert order.min() == 1
    assert order.max() == tiling.deepest
    assert (tiling.tile[:-2] == healpix[:-2] >> 2 * (29 - order)).all()


def test_coarse_tiles_hold_the_best_and_none_too_many() -> None:
    ra, dec, rank = sky(30_000, 2.0)
    healpix = healpix_of(ra, dec)
    tiling = tiles_of(healpix, rank)
    for depth in range(1, tiling.deepest):
        cells = healpix >> 2 * (29 - depth)
        for cell in np.unique(tiling.tile[tiling.order == depth]):
            here = (tiling.order == depth) & (tiling.tile == cell)
            below = (tiling.order > depth) & (cells == cell)
            assert here.sum() <= 100
            if below.any():
                assert here.sum() == 100
                assert rank[here].min() >= rank[below].max()


def test_many_rows_at_one_place_end_somewhere() -> None:
    tiling = tiles_of(np.full(5000, 12345678901234567, np.int64), np.zeros(5000))
    assert (tiling.order >= 1).all()
    assert tiling.deepest == 11
    assert (tiling.order == 11).sum() == 5000 - 10 * 100


def test_no_positions_make_no_tiles() -> None:
    assert (tiles_of(np.full(4, -1, np.int64), np.zeros(4)).order == -1).all()


def tiles(folder: Path) -> dict[tuple[int, int], list[str]]:
    found = {}
    for path in folder.glob("Norder*/Dir*/Npix*.tsv"):
        match = re.fullmatch(r"Norder(\d+)/Dir(\d+)/Npix(\d+)\.tsv", path.relative_to(folder).as_posix())
        assert match
        depth, directory, tile = map(int, match.groups())
        assert directory == tile // 10_000 * 10_000
        found[depth, tile] = path.read_text(encoding="utf-8").splitlines()
    return found


def test_the_files_hold_every_row_once(published_folder: Path) -> None:
    folder = Published(Workspace(published_folder)).archives[0].hips_folder
    found = tiles(folder)
    names = []
    for (depth, tile), lines in found.items():
        assert re.fullmatch(rf"# Completeness = {len(lines) - 2} / \d+", lines[0])
        header = lines[1].split("\t")
        for line in lines[2:]:
            row = dict(zip(header, line.split("\t"), strict=True))
            names.append(row["identifier"])
            cell = healpix_of(np.array([float(row["ra"])]), np.array([float(row["dec"])]))[0]
            assert cell >> 2 * (29 - depth) == tile
    assert len(names) == len(set(names)) == COUNT - 1
    for depth in (1, 2, 3):
        everything = (folder / f"Norder{depth}" / "Allsky.tsv").read_text(encoding="utf-8").splitlines()[2:]
        assert sorted(everything) == sorted(line for (d, _), lines in found.items() for line in lines[2:] if d == depth)


def test_the_columns_are_described(published_folder: Path) -> None:
    snapshot = Published(Workspace(published_folder)).snapshot()
    for item in snapshot:
        table = parse(item.hips_folder / "metadata.xml", verify="exception").get_first_table()
        names = [field.name for field in table.fields]
        assert names == [column.name for column in hips_columns(item.table.columns)]
        first = next(item.hips_folder.glob("Norder1/Dir0/*.tsv")).read_text(encoding="utf-8")
        assert first.splitlines()[1].split("\t") == names
        assert {field.ucd for field in table.fields} >= {"pos.eq.ra;meta.main", "pos.eq.dec;meta.main"}


def test_the_properties_are_those_of_a_catalogue(published_folder: Path) -> None:
    item = Published(Workspace(published_folder)).archives[0]
    text = (item.hips_folder / "properties").read_text(encoding="utf-8")
    words = dict(re.split(r"\s*=\s*", line, maxsplit=1) for line in text.splitlines())
    assert words["dataproduct_type"] == "catalog"
    assert words["hips_tile_format"] == "tsv"
    assert words["hips_frame"] == "equatorial"
    assert words["hips_cat_nrows"] == str(COUNT - 1)
    assert words["hips_order"] == str(max(depth for depth, _ in tiles(item.hips_folder)))
    assert words["creator_did"] == "ivo://example.org/survey/hips"
    assert words["obs_description"].count("\n") == 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\dZ", words["hips_release_date"])


@pytest.mark.parametrize("text", ["a\tb", "a\nb", "a\r\nb", "\t", "# Completeness = 1 / 1\nx"])
def test_a_value_cannot_break_a_line(tmp_path: Path, text: str) -> None:
    table = pa.table(
        {
            "identifier": ["x", "y"],
            "name": [text, None],
            "ra": [40.0, 41.0],
            "dec": [20.0, 20.0],
            "healpix": healpix_of(np.array([40.0, 41.0]), np.array([20.0, 20.0])),
            "snr": [1.0, float("nan")],
        }
    )
    record = Publication(**SETTINGS, name="survey", updated="2026-01-01T00:00:00Z")
    columns = Table.of_arrow("a.b", table.schema.empty_table()).columns
    write_hips(table, columns, record, tmp_path / "hips")
    lines = (tmp_path / "hips" / "Norder1" / "Allsky.tsv").read_text(encoding="utf-8").split("\n")
    assert len(lines) == 5
    assert all(line.count("\t") == 4 for line in lines[1:4])
    assert parse(io.BytesIO((tmp_path / "hips" / "metadata.xml").read_bytes()), verify="exception")
