"""Tables in memory maps: cones against brute force, names, several batches, files that change."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emberline.archive.catalogue import healpix_of
from emberline.vo.server import _shelf
from emberline.vo.server._shelf import Cone, Shelf, ShelfTable

COUNT = 3000


def catalogue(path: Path, count: int = COUNT, *, ordered: bool = True, text: str = "x") -> pa.Table:
    """Positions over the whole sky, some at the poles and at the meridian, ten unknown."""
    rng = np.random.default_rng(4)
    ra, dec = rng.uniform(0, 360, count), np.degrees(np.arcsin(rng.uniform(-1, 1, count)))
    edge = min(20, count // 2)
    ra[:edge], dec[-edge:] = rng.uniform(359.9, 360.0, edge), rng.uniform(89.5, 90, edge)
    ra[-10:] = np.nan
    table = pa.table(
        {
            "identifier": [f"id-{(i * 7919) % count:05d}" for i in range(count)],
            "text": [text] * count,
            "ra": ra,
            "dec": dec,
            "healpix": healpix_of(ra, dec),
        }
    )
    pq.write_table(table.sort_by("healpix") if ordered else table, path)
    return table


@pytest.fixture(scope="module", params=["sorted, one batch", "unsorted, many batches"])
def shelf(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[ShelfTable, pa.Table]:
    folder = tmp_path_factory.mktemp("shelf")
    many = "many" in request.param
    table = catalogue(folder / "c.parquet", ordered=not many)
    with pytest.MonkeyPatch.context() as patch:
        if many:
            patch.setattr(_shelf, "_BATCH", 700)
        return Shelf(folder / "made").table("c", folder / "c.parquet"), table


@settings(deadline=None, max_examples=60)
@given(st.floats(0, 360), st.floats(-90, 90), st.one_of(st.floats(0, 5), st.floats(5, 180)))
def test_a_cone_holds_what_brute_force_finds(
    shelf: tuple[ShelfTable, pa.Table], ra: float, dec: float, radius: float
) -> None:
    table, source = shelf
    x, y = (np.radians(source[name].to_numpy()) for name in ("ra", "dec"))
    a, b = np.radians(ra), np.radians(dec)
    dots = np.cos(y) * np.cos(b) * np.cos(x - a) + np.sin(y) * np.sin(b)
    angles = np.degrees(np.arccos(np.clip(dots, -1, 1)))
    names = np.array(source["identifier"].to_pylist())
    sure, maybe = set(names[angles < radius - 1e-5]), set(names[angles < radius + 1e-5])
    rows, distances = table.around(Cone(ra, dec, radius))
    found = table.take(rows).column("identifier").to_pylist()
    assert len(found) == len(set(found))
    assert sure <= set(found) <= maybe
    assert (np.diff(distances) >= 0).all()


def test_every_row_is_found_by_its_name(shelf: tuple[ShelfTable, pa.Table]) -> None:
    table, source = shelf
    for identifier in [*source["identifier"].to_pylist()[::97], "id-00000", f"id-{COUNT - 1:05d}"]:
        row = table.row_of(identifier)
        assert row is not None
        assert table.row(row)["identifier"] == identifier == table.value(row, "identifier")
    assert all(table.row_of(name) is None for name in ("", "id", "id-99999", "zz", "é"))


def test_all_rows_come_once_in_small_batches(shelf: tuple[ShelfTable, pa.Table]) -> None:
    table, source = shelf
    batches = list(table.search())
    assert sorted(name for batch in batches for name in batch.column("identifier").to_pylist()) == sorted(
        source["identifier"].to_pylist()
    )
    assert batches[0].num_rows <= 256
    assert table.unplaced(lambda rows: pa.array([True] * rows.num_rows)).num_rows == 10


def test_unknown_is_null_and_odd_text_is_noted(tmp_path: Path) -> None:
    catalogue(tmp_path / "c.parquet", 20, text="Ω & <x>")
    table = Shelf(tmp_path / "made").table("c", tmp_path / "c.parquet")
    assert table.unicode == table.special == frozenset({"text"})
    assert sum(batch.column("ra").null_count for batch in table.search()) == 10


def test_no_rows_are_a_table_too(tmp_path: Path) -> None:
    catalogue(tmp_path / "full.parquet", 20)
    pq.write_table(pq.read_table(tmp_path / "full.parquet").slice(0, 0), tmp_path / "c.parquet")
    table = Shelf(tmp_path / "made").table("c", tmp_path / "c.parquet")
    assert len(table) == 0
    assert list(table.search()) == list(table.search(Cone(1, 2, 3))) == []
    assert table.row_of("x") is None


def test_a_file_that_changed_is_read_anew_and_the_old_is_deleted(tmp_path: Path) -> None:
    path = tmp_path / "c.parquet"
    shelf = Shelf(tmp_path / "made")
    catalogue(path, 20)
    first = shelf.table("c", path)
    assert shelf.table("c", path) is first
    assert shelf.ready("c", path)
    catalogue(tmp_path / "new.parquet", 30)
    os.replace(tmp_path / "new.parquet", path)
    assert not shelf.ready("c", path)
    assert len(shelf.table("c", path)) == 30
    assert len(first) == 20
    assert len(list((tmp_path / "made" / "c").iterdir())) == 1


def test_several_threads_make_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue(tmp_path / "c.parquet", 50)
    made: list[Path] = []
    original = _shelf._lay_out
    monkeypatch.setattr(_shelf, "_lay_out", lambda *arguments: (made.append(arguments[0]), original(*arguments)))
    shelf = Shelf(tmp_path / "made")
    threads = [threading.Thread(target=shelf.table, args=("c", tmp_path / "c.parquet")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1


def test_where_nothing_can_be_written_a_temporary_folder_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue(tmp_path / "c.parquet", 20)
    monkeypatch.setattr(_shelf.os, "access", lambda *_: False)
    assert len(Shelf(tmp_path / "made").table("c", tmp_path / "c.parquet")) == 20
    assert not list((tmp_path / "made").iterdir())
