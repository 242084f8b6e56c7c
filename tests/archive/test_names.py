"""Hashes of names, rows by name, and text in bulk."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emberline.archive import names
from emberline.archive.names import NameFinder, SortedRuns, name_hashes, text_array

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)


def _reference(name: str) -> int:
    """The same hash in whole numbers, written another way."""

    def mixed(value: int) -> int:
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            value = (value ^ value >> shift) * factor % 2**64
        return value ^ value >> 31

    data = name.encode()
    value = 0x9E3779B97F4A7C15
    for start in range(0, len(data), 8):
        value = mixed(value ^ int.from_bytes(data[start : start + 8], "little"))
    return mixed(value ^ len(data))


def test_hashes_are_those_that_files_hold() -> None:
    assert int(name_hashes([""])[0]) == 0xE220A8397B1DCDAF  # the first number of SplitMix64 with seed 0
    given = ["a", "12345678", "123456789", "spec-57000-TEST_sp00-001", "Ondřejov 7", "x" * 100]
    assert name_hashes(given).tolist() == [_reference(name) for name in given]


@settings(max_examples=60, deadline=None)
@given(st.lists(TEXT, max_size=30), st.integers(0, 5))
def test_a_name_has_one_hash_however_it_comes(given: list[str], skip: int) -> None:
    hashes = [int(name_hashes([name])[0]) for name in given]
    column = pa.array([*["x"] * skip, *given], pa.string()).slice(skip)
    for form in (given, column, pa.chunked_array([column, column.slice(0, 0)]), column.cast(pa.large_string())):
        assert name_hashes(form).tolist() == hashes
    assert name_hashes(np.array(given, np.str_)).tolist() == hashes
    assert text_array(column).tolist() == given
    assert len(set(hashes)) == len(set(given))


def test_zeros_at_the_end_count() -> None:
    assert len(set(name_hashes(["a", "a\0", "a\0\0", "\0", ""]).tolist())) == 5


def test_many_names_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    many = [f"s{i}" for i in range(3000)]
    whole = name_hashes(pa.array(many))
    monkeypatch.setattr(names, "_ROWS", 1024)
    np.testing.assert_array_equal(name_hashes(np.array(many)), whole)
    assert text_array(pa.chunked_array([many[:7], many[7:]])).tolist() == many


@pytest.mark.parametrize("colliding", [False, True])
def test_rows_are_found_by_name_even_if_all_hashes_are_one(colliding: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if colliding:
        monkeypatch.setattr(names, "name_hashes", lambda given: np.full(len(given), 7, np.uint64))
    finder = NameFinder(np.array(["b", "a", "ö", "c"]))
    assert finder.find(["c", "x", "b", "ö", "b", "bb"]).tolist() == [3, -1, 0, 2, 0, -1]
    assert finder.find([]).tolist() == []
    assert finder.repeated() is None
    assert NameFinder(np.array(["b", "a", "b"])).repeated() == "b"
    assert NameFinder(np.array([], np.str_)).find(["a"]).tolist() == [-1]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(0, 50), max_size=12), max_size=12))
def test_runs_are_a_dictionary(batches: list[list[int]]) -> None:
    runs, expected = SortedRuns(np.uint64), dict[int, list[int]]()
    count = 0
    for batch in batches:
        runs.add(np.array(batch, np.uint64), np.arange(count, count + len(batch)))
        for key in batch:
            expected.setdefault(key, []).append(count)
            count += 1
    assert len(runs) == count
    asked = np.arange(52, dtype=np.uint64)
    assert runs.has(asked).tolist() == [key in expected for key in range(52)]
    assert [sorted(runs.values(key)) for key in asked] == [expected.get(key, []) for key in range(52)]
    assert runs.keys().tolist() == sorted(key for key, places in expected.items() for _ in places)
