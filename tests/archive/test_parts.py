"""Parts: what goes in comes out, and other programs can read it as documented."""

from __future__ import annotations

import json
import math
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from emberline.archive.parts import PartFile, arrange, grid_from_json, grid_to_json, keep_rows, write_part
from emberline.errors import ArchiveError
from emberline.spectra import Grid, Metadata, Spectrum

numbers = st.one_of(st.just(math.nan), st.floats(-(2.0**99), 2.0**99, width=32))
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    n = draw(st.integers(2, 40))
    if draw(st.booleans()):
        return Grid.log10_family(1e-4, draw(st.integers(36000, 36030)), n, phase=draw(st.sampled_from([0.0, 0.25])))
    return Grid.linear(draw(st.sampled_from([4000.0, 6500.5])), draw(st.sampled_from([0.1, 1.0])), n)


@st.composite
def spectra(draw: st.DrawFn) -> list[Spectrum]:
    items = []
    for number in range(draw(st.integers(1, 12))):
        grid = draw(grids())
        rng = np.random.default_rng(draw(st.integers(0, 2**32)))
        flux = rng.integers(0, 2**32, grid.n, dtype=np.uint32).view(np.float32)  # any bits, NaN and infinity too
        meta = Metadata(
            identifier=f"{number}-{draw(text)}", name=draw(text), ra=draw(numbers), snr=draw(numbers), medium="air"
        )
        items.append(Spectrum(grid, flux, rng.random(grid.n, np.float32), rng.integers(0, 9, grid.n, np.uint8), meta))
    return items


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(items=spectra())
def test_any_spectra_survive_the_round_trip(items: list[Spectrum], tmp_path: Path) -> None:
    found: dict[str, Spectrum] = {}
    blocks: dict[str, Spectrum] = {}
    for number, part in enumerate(arrange((item, "file", "00") for item in items)):
        path = tmp_path / f"{number}.parquet"
        write_part(path, part)
        file = PartFile(path)
        order = list(range(len(file)))[::-1]
        found |= {spectrum.meta.identifier: spectrum for spectrum in file.spectra(order)}
        blocks |= {block[row].meta.identifier: block[row] for block in file.blocks(3) for row in range(len(block))}
    assert found.keys() == blocks.keys() == {item.meta.identifier for item in items}
    for item in items:
        same = found[item.meta.identifier]
        assert same.grid == item.grid
        assert repr(same.meta) == repr(item.meta)
        for name in ("flux", "ivar", "mask"):
            assert getattr(same, name).tobytes() == getattr(item, name).tobytes()
        padded = blocks[item.meta.identifier]
        inside = np.isin(np.round(padded.wavelength, 6), np.round(item.wavelength, 6))
        assert padded.flux[inside].tobytes() == item.flux.tobytes()
        assert (padded.mask[~inside] == 2).all()


def _three(tmp_path: Path) -> tuple[Path, NDArray[np.float32]]:
    grid = Grid.log10(3.8, 1e-4, 200)
    flux = np.random.default_rng(0).normal(size=(3, grid.n)).astype(np.float32)
    items = [
        Spectrum(grid, row, np.ones_like(row), np.zeros(grid.n, np.uint8), Metadata(identifier=f"s{i}", ra=i + 0.5))
        for i, row in enumerate(flux)
    ]
    (part,) = arrange((item, "f.fits", "ab") for item in items)
    path = tmp_path / "part.parquet"
    write_part(path, part)
    return path, flux


def test_duckdb_reads_flux_and_wavelengths_as_documented(tmp_path: Path) -> None:
    path, flux = _three(tmp_path)
    blob, first, n = duckdb.sql(
        f"SELECT flux, start, pixels FROM read_parquet('{path}') WHERE identifier = 's1'"
    ).fetchall()[0]
    np.testing.assert_array_equal(np.frombuffer(blob, "<f4")[first : first + n], flux[1])
    text = duckdb.sql(
        f"SELECT value FROM parquet_kv_metadata('{path}') WHERE key = 'emberline.grids'::BLOB"
    ).fetchall()[0]
    ((step, start, pixels, phase),) = [grid["log10"] for grid in json.loads(text[0]).values()]
    np.testing.assert_allclose(
        10 ** (step * (start + np.arange(pixels) + phase)), Grid.log10(3.8, 1e-4, 200).wavelength
    )


def test_plain_arrow_reads_a_matrix(tmp_path: Path) -> None:
    path, flux = _three(tmp_path)
    table = pq.read_table(path)
    np.testing.assert_array_equal(np.stack([np.frombuffer(cell.as_py(), "<f4") for cell in table["flux"]]), flux)
    assert table["mask"].type.byte_width == 200


def test_one_spectrum_needs_one_small_row_group(tmp_path: Path) -> None:
    grid = Grid.log10(3.57, 1e-4, 3909)
    ones = np.ones(grid.n, np.float32)
    items = [Spectrum(grid, ones, ones, ones.astype(np.uint8), Metadata(identifier=str(i))) for i in range(150)]
    (part,) = arrange((item, "f", "") for item in items)
    write_part(tmp_path / "p.parquet", part)
    metadata = pq.ParquetFile(tmp_path / "p.parquet").metadata
    assert metadata.num_row_groups > 1
    assert max(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups)) < 5e6


def test_two_arms_are_not_padded_over_the_gap() -> None:
    arms = [Grid.log10(3.695, 1e-4, 300), Grid.log10(3.8, 1e-4, 300)]
    ones = np.ones(300, np.float32)
    items = [Spectrum(arms[i % 2], ones, ones, ones.astype(np.uint8), Metadata(identifier=str(i))) for i in range(6)]
    parts = arrange((item, "f", "") for item in items)
    assert [[len(block.block) for block in part] for part in parts] == [[3, 3]]
    assert all(block.block.grid.n == 300 for part in parts for block in part)


def test_grids_survive_json() -> None:
    for grid in (Grid.log10(3.5682, 1e-4, 3909), Grid.linear(6260.13, 0.2567, 778)):
        again = grid_from_json(json.loads(json.dumps(grid_to_json(grid))))
        np.testing.assert_array_equal(again.wavelength, grid.wavelength)
        assert (again.step, again.first, again.phase) == (grid.step, grid.first, grid.phase)


def test_rows_can_be_left_out(tmp_path: Path) -> None:
    path, flux = _three(tmp_path)
    keep_rows(path, np.array([True, False, True]))
    file = PartFile(path)
    assert [spectrum.meta.identifier for spectrum in file.spectra([0, 1])] == ["s0", "s2"]
    np.testing.assert_array_equal(file.spectra([1])[0].flux, flux[2])


def test_damage_names_the_file(tmp_path: Path) -> None:
    path, _ = _three(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(ArchiveError, match=r"part\.parquet: a file of the archive is damaged"):
        PartFile(path)
    path.write_bytes(whole[:4] + bytes(2000) + whole[2004:])
    with pytest.raises(ArchiveError, match=r"part\.parquet: a file of the archive is damaged"):
        PartFile(path).rows_table()
    path.unlink()
    with pytest.raises(ArchiveError, match=r"part\.parquet: a file of the archive is missing"):
        PartFile(path)


def test_row_beyond_the_end_is_damage(tmp_path: Path) -> None:
    path, _ = _three(tmp_path)
    with pytest.raises(ArchiveError, match="row 3 was asked for"):
        PartFile(path).spectra([3])
