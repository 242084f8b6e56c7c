"""Matrices as batches and back, wherever they lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberline.engine import Matrix, binary_column, matrix_of


@given(
    rows=st.integers(0, 20), columns=st.integers(1, 9), skip=st.integers(0, 5), kind=st.sampled_from(["fixed", "any"])
)
def test_cells_and_matrices_are_the_same_thing(rows: int, columns: int, skip: int, kind: str) -> None:
    values = np.random.default_rng(rows).normal(size=(rows, columns)).astype("<f4")
    column = binary_column(values)
    if kind == "any":
        column = column.cast(pa.binary())
    found, expected = matrix_of(column.slice(skip)), values[skip:]
    assert len(found) == len(expected)
    if len(expected):  # cells of any length have none where there are none
        np.testing.assert_array_equal(found, expected)


def test_cells_of_several_lengths_and_empty_ones_are_refused() -> None:
    with pytest.raises(ValueError, match="4 to 8 bytes"):
        matrix_of(pa.array([b"1234", b"12345678"], pa.binary()))
    with pytest.raises(ValueError, match="empty"):
        matrix_of(pa.array([b"1234", None], pa.binary()))
    with pytest.raises(ValueError, match="3 bytes"):
        matrix_of(pa.array([b"123"], pa.binary()))


def test_a_matrix_knows_the_file_behind_a_part_of_it(tmp_path: Path) -> None:
    values = np.arange(60, dtype="<f4").reshape(12, 5)
    np.save(tmp_path / "v.npy", values)
    mapped = np.load(tmp_path / "v.npy", mmap_mode="r")
    file = Matrix(mapped[3:]).file
    assert file is not None
    np.testing.assert_array_equal(file.rows(2, 6), values[5:9])
    np.save(tmp_path / "wide.npy", values.astype("<f8"))
    elsewhere = (values, mapped[:, 1:], mapped[::2], np.load(tmp_path / "wide.npy", mmap_mode="r"))
    assert [Matrix(each).file for each in elsewhere] == [None] * 4


def test_batches_cover_the_rows_from_the_start() -> None:
    matrix = Matrix(np.arange(20, dtype="<f4").reshape(10, 2), start=3, rows=4)
    batches = [matrix.batch(*piece) for piece in matrix.pieces()]
    assert [batch["row"].to_pylist() for batch in batches] == [[3, 4, 5, 6], [7, 8, 9]]
    np.testing.assert_array_equal(matrix_of(batches[1]["values"]), matrix.values[7:])
