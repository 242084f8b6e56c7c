"""Probabilities on their way to the disk: continued where they stopped, and begun again where they cannot be."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from emberline.campaign.partial import Partial
from emberline.errors import EmberlineError
from emberline.learn.config import Choice

MADE_BY = {"model": "a", "pool": "b"}
VALUES = np.random.default_rng(0).random((10, 3), dtype=np.float32)
MIXED = Choice("openvino", "mixed", 1)


def opened(folder: Path, rows: int = 10, made_by: dict[str, str] = MADE_BY) -> Partial:
    return Partial(folder, rows, 3, made_by)


def half_done(folder: Path) -> Partial:
    partial = opened(folder)
    partial.begin(MIXED)
    partial.append(VALUES[:4])
    return partial


def test_what_was_kept_is_continued_by_what_began_it(tmp_path: Path) -> None:
    half_done(tmp_path)
    partial = opened(tmp_path)
    assert (partial.done, partial.choice) == (4, MIXED)
    partial.append(VALUES[4:])
    partial.publish(tmp_path / "probabilities.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "probabilities.npy", mmap_mode="r"), VALUES)
    assert [path.name for path in tmp_path.iterdir()] == ["probabilities.npy"]


def test_rows_that_were_not_noted_are_written_again(tmp_path: Path) -> None:
    half_done(tmp_path)
    with open(tmp_path / ".probabilities.part", "ab") as stream:
        stream.write(b"written just before the end")
    partial = opened(tmp_path)
    partial.append(VALUES[4:])
    partial.publish(tmp_path / "probabilities.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "probabilities.npy"), VALUES)


@pytest.mark.parametrize(
    "note",
    [
        "",
        "[]",
        '{"rows": 4}',
        '{"rows": 4, "choice": {"runtime": "torch"}}',
        '{"rows": "many", "choice": {}, "made_by": {"model": "a", "pool": "b"}}',
        '{"rows": 5, "choice": {}, "made_by": {"model": "a", "pool": "b"}}',
        '{"rows": -1, "choice": {}, "made_by": {"model": "a", "pool": "b"}}',
        '{"rows": 4, "choice": {"abacus": 1}, "made_by": {"model": "a", "pool": "b"}}',
    ],
)
def test_a_damaged_note_begins_again(tmp_path: Path, note: str) -> None:
    half_done(tmp_path)
    (tmp_path / ".probabilities.json").write_text(note)
    assert (opened(tmp_path).done, opened(tmp_path).choice) == (0, None)


@pytest.mark.parametrize("left", [0, 20, 140])
def test_a_damaged_part_begins_again(tmp_path: Path, left: int) -> None:
    half_done(tmp_path)
    os.truncate(tmp_path / ".probabilities.part", left)
    assert opened(tmp_path).done == 0


def test_what_another_network_or_pool_has_left_is_not_continued(tmp_path: Path) -> None:
    half_done(tmp_path)
    assert opened(tmp_path, made_by={**MADE_BY, "pool": "c"}).done == 0
    again = opened(tmp_path, rows=3)
    assert again.done == 0
    again.begin(Choice())
    again.append(VALUES[:3])
    again.publish(tmp_path / "probabilities.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "probabilities.npy"), VALUES[:3])


def test_a_full_disk_is_said_and_costs_nothing_of_what_was_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    partial = half_done(tmp_path)
    real, room = os.write, [50]

    def write(descriptor: int, data: memoryview) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = real(descriptor, data[: room[0]])
        room[0] -= written
        return written

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        with pytest.raises(EmberlineError, match=r"No space left.*run the same command again"):
            partial.append(VALUES[4:])
    partial = opened(tmp_path)
    assert partial.done == 4
    partial.append(VALUES[4:])
    partial.publish(tmp_path / "probabilities.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "probabilities.npy"), VALUES)
