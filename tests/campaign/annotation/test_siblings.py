"""Spectra of one object are found by position wherever on the sky it is."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from emberline.archive import ingest_blocks
from emberline.campaign.annotation.siblings import _rows, _separation
from emberline.spectra import SpectrumBlock
from tests.campaign.conftest import lines

PLACES = [(0.0001, 10.0), (359.99995, -45.0), (120.0, 89.9999), (200.0, -90.0), (180.0, 0.0), (33.0, 71.5)]


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A spectrum 2″ north or south of each place, one 2″ east or west, one 9″ away; and one without a position."""
    block, _ = lines(3 * len(PLACES) + 1, targets=1, seed=3)
    meta = []
    for number, m in enumerate(block.meta[:-1]):
        ra, dec = PLACES[number // 3]
        step = (2.0, 2.0, 9.0)[number % 3] / 3600
        if number % 3 == 1 and abs(dec) < 89:
            ra = (ra - step / np.cos(np.radians(dec))) % 360
        else:
            dec = dec - step if dec > 0 else dec + step
        meta.append(dataclasses.replace(m, ra=ra, dec=dec))
    meta.append(dataclasses.replace(block.meta[-1], ra=float("nan"), dec=float("nan")))
    folder = tmp_path_factory.mktemp("sky") / "archive"
    ingest_blocks([SpectrumBlock(block.grid, block.flux, block.ivar, block.mask, meta)], folder, survey="sky")
    return folder / "catalogue.parquet"


@pytest.mark.parametrize("place", range(len(PLACES)))
def test_what_is_near_is_found_everywhere(catalogue: Path, place: int) -> None:
    rows = _rows(catalogue, *PLACES[place], None)
    assert {row["identifier"] for row in rows} == {f"s3-{3 * place + i:05d}" for i in range(2)}
    assert [row["separation"] for row in rows] == pytest.approx([2.0, 2.0], abs=1e-3)


def test_without_a_position_only_the_object_can_be_found(catalogue: Path) -> None:
    assert _rows(catalogue, float("nan"), float("nan"), None) == []
    (row,) = _rows(catalogue, *PLACES[4], None)[:1]
    named = _rows(catalogue, float("nan"), float("nan"), row["object"])
    assert row["identifier"] in {other["identifier"] for other in named}


def test_separation_is_that_of_the_sphere() -> None:
    assert _separation(10.0, 60.0, 10.0 + 1 / 1800, 60.0) == pytest.approx(1.0, abs=1e-4)
    assert _separation(0.0, 0.0, None, None) is None
