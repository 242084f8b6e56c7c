"""Objects on the sky, HEALPix and names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from emberline.archive.catalogue import (
    catalogue_of,
    group_positions,
    healpix_of,
    position_name,
    read_catalogue,
    rows_at,
    write_catalogue,
)
from emberline.archive.schema import CATALOGUE_SCHEMA
from emberline.errors import ArchiveError

ARCSEC = 1 / 3600


def _groups(ra: list[float], dec: list[float]) -> list[int]:
    return group_positions(np.array(ra), np.array(dec)).tolist()


def test_chain_is_one_object() -> None:
    ra = [10.0 + step * 1.4 * ARCSEC for step in range(5)] + [10.0 + 8 * ARCSEC]
    assert _groups(ra, [0.0] * 6) == [0, 0, 0, 0, 0, 5]


def test_radius_is_one_and_a_half_arcsec() -> None:
    assert _groups([20.0, 20.0], [45.0, 45.0 + 1.49 * ARCSEC]) == [0, 0]
    assert _groups([20.0, 20.0], [45.0, 45.0 + 1.51 * ARCSEC]) == [0, 1]


def test_across_the_meridian_and_at_the_poles() -> None:
    assert _groups([359.9999, 0.0001], [0.0, 0.0]) == [0, 0]
    assert _groups([0.0, 180.0], [90 - 0.7 * ARCSEC] * 2) == [0, 0]
    assert _groups([0.0, 180.0], [90 - 0.8 * ARCSEC] * 2) == [0, 1]
    assert _groups([12.0, 250.0], [-90.0, -90.0]) == [0, 0]


def test_right_ascension_shrinks_with_declination() -> None:
    assert _groups([30.0, 30.0 + 2.8 * ARCSEC], [60.0, 60.0]) == [0, 0]
    assert _groups([30.0, 30.0 + 2.8 * ARCSEC], [0.0, 0.0]) == [0, 1]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), n=st.integers(1, 40), spread=st.sampled_from([2.0, 6.0, 20.0]))
def test_groups_are_those_of_brute_force(seed: int, n: int, spread: float) -> None:
    rng = np.random.default_rng(seed)
    pole = rng.random() < 0.3
    ra = rng.uniform(0, 360, n) if pole else (rng.uniform(-spread, spread, n) * ARCSEC) % 360
    dec = 90 - rng.uniform(0, spread, n) * ARCSEC if pole else rng.uniform(-spread, spread, n) * ARCSEC
    ra[n // 2 :] = ra[: n - n // 2]  # some at the same place
    dec[n // 2 :] = dec[: n - n // 2]
    np.testing.assert_array_equal(group_positions(ra, dec), _brute(ra, dec))


def _brute(ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.int64]:
    """Vincenty's distances between all pairs, and labels spread until nothing changes."""
    a, d = np.radians(ra), np.radians(dec)
    da = a[:, None] - a[None, :]
    sin_d, cos_d = np.sin(d), np.cos(d)
    y = np.hypot(
        cos_d[None, :] * np.sin(da), cos_d[:, None] * sin_d[None, :] - sin_d[:, None] * cos_d[None, :] * np.cos(da)
    )
    x = sin_d[:, None] * sin_d[None, :] + cos_d[:, None] * cos_d[None, :] * np.cos(da)
    near = np.degrees(np.arctan2(y, x)) * 3600 <= 1.5
    label = np.arange(len(ra))
    while True:
        new = np.where(near, label[None, :], len(ra)).min(axis=1)
        if (new == label).all():
            return label
        label = new


def test_thousands_of_spectra_of_one_star_are_cheap() -> None:
    rng = np.random.default_rng(0)
    ra, dec = np.full(200_000, 83.6), np.full(200_000, -5.4)
    ra[::1000] += rng.uniform(0, 1e-5, 200)
    assert np.unique(group_positions(ra, dec)).size == 1


def test_names_are_truncated_never_rounded() -> None:
    assert position_name(99.32808, 27.985527) == "J063718.73+275907.8"
    assert position_name(0.0, -0.5 * ARCSEC) == "J000000.00-000000.5"
    assert position_name(359.9999999, 89.9999999) == "J235959.99+895959.9"
    assert position_name(15.0, 10.0) == "J010000.00+100000.0"


def test_healpix_is_nested_order_29() -> None:
    pixels = healpix_of(np.array([45.0, np.nan, 10.0]), np.array([0.0, 10.0, 95.0]))
    assert pixels[0] >> 58 in range(12)
    assert pixels[1:].tolist() == [-1, -1]
    northern = healpix_of(np.array([45.0]), np.array([90.0]))
    assert northern[0] == 4**29 - 1  # the last pixel of the first base cell touches the pole


def _rows(positions: list[tuple[float, float]], names: list[str] | None = None) -> pa.Table:
    n = len(positions)
    columns: dict[str, object] = {}
    for field in CATALOGUE_SCHEMA:
        if field.name in ("object", "healpix"):
            continue
        columns[field.name] = pa.nulls(n, field.type)
    columns |= {
        "identifier": pa.array([f"s{i}" for i in range(n)]),
        "name": pa.array(names or [""] * n),
        "survey": pa.array(["S"] * n),
        "ra": pa.array([ra for ra, _ in positions], pa.float64(), from_pandas=True),
        "dec": pa.array([dec for _, dec in positions], pa.float64(), from_pandas=True),
        "part": pa.array(["part-1"] * n),
        "row": pa.array(range(n), pa.int32()),
    }
    return pa.table(columns)


def test_object_is_named_by_the_first_member_and_keeps_its_name() -> None:
    places = [(10.0, 0.0), (10.0 - ARCSEC, 0.0), (200.0, 5.0)]
    names = []
    for n in (1, 2, 3):
        table = catalogue_of(_rows(places[:n]))
        names.append(dict(zip(table["identifier"].to_pylist(), table["object"].to_pylist(), strict=True)))
    assert names[2] == {"s0": "J004000.00+000000.0", "s1": "J004000.00+000000.0", "s2": "J132000.00+050000.0"}
    assert names[0].items() <= names[1].items() <= names[2].items()


def test_without_a_position_the_surveys_name_makes_the_object() -> None:
    nowhere = (float("nan"), float("nan"))
    table = catalogue_of(_rows([nowhere, nowhere, nowhere, (float("nan"), 3.0)], ["HD 1", "HD 1", "", ""]))
    assert table["object"].to_pylist() == ["S HD 1", "S HD 1", "s2", "s3"]
    assert table["healpix"].to_pylist() == [-1] * 4


def test_catalogue_is_sorted_by_healpix_and_described(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    table = catalogue_of(_rows([(float(rng.uniform(0, 360)), float(rng.uniform(-90, 90))) for _ in range(50)]))
    write_catalogue(tmp_path / "c.parquet", table)
    again = read_catalogue(tmp_path / "c.parquet")
    assert again["healpix"].to_pylist() == sorted(again["healpix"].to_pylist())
    field = again.schema.field("ra")
    assert field.metadata[b"unit"] == b"deg"
    assert field.metadata[b"ucd"] == b"pos.eq.ra;meta.main"
    assert all(len(field.metadata[b"description"]) > 10 for field in again.schema)


def test_rows_at_finds_what_is_there() -> None:
    table = pa.table({"identifier": ["a", "b", "c"]})
    assert rows_at(table, "identifier", ["c", "x", "a", "c"]).tolist() == [2, -1, 0, 2]
    assert rows_at(table, "identifier", []).tolist() == []


def test_unknown_column_and_damage(tmp_path: Path) -> None:
    write_catalogue(tmp_path / "c.parquet", CATALOGUE_SCHEMA.empty_table())
    with pytest.raises(ArchiveError, match=r"no such column.*magnitude"):
        read_catalogue(tmp_path / "c.parquet", ["magnitude"])
    (tmp_path / "c.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(ArchiveError, match=r"c\.parquet.*damaged"):
        read_catalogue(tmp_path / "c.parquet")
