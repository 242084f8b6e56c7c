"""The pool: found by name, refused when doubtful, and named by what is in it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from emberline.archive import ingest_blocks
from emberline.campaign import pool as pools
from emberline.campaign.config import PoolConfig
from emberline.campaign.pool import open_pool
from emberline.errors import CampaignError
from emberline.features import Recipe
from emberline.spectra import Grid, Metadata, SpectrumBlock

RECIPE = Recipe(name="test", window_angstrom=(6320.0, 6400.0), pixels=20, max_bad_fraction=0.5)


def _archive(path: Path, prefix: str, n: int = 30) -> Path:
    grid, rng = Grid.log10(3.8, 1e-4, 300), np.random.default_rng(1)
    flux = rng.normal(100, 1, (n, grid.n)).astype(np.float32)
    meta = [Metadata(identifier=f"{prefix}{i:03d}", ra=10.0 + i, dec=5.0, snr=float(i)) for i in range(n)]
    block = SpectrumBlock(grid, flux, np.ones_like(flux), np.zeros(flux.shape, np.uint8), meta)
    ingest_blocks([block], path, survey="test")
    return path


def test_rows_of_one_archive_are_a_map_and_found_by_name(tmp_path: Path) -> None:
    pool = open_pool(PoolConfig((_archive(tmp_path / "a", "ö"),)), RECIPE)
    assert isinstance(pool.values, np.memmap)
    assert pool.find(["ö003", "x", "ö000"]).tolist() == [3, -1, 0]
    assert pool.find([]).tolist() == []
    with pytest.raises(CampaignError, match=r"not in the pool.*found x"):
        pool.rows(["ö003", "x"])
    assert pool.catalogue(["identifier", "snr"]).to_pylist()[7] == {"identifier": "ö007", "snr": 7.0}


def test_the_fingerprint_is_of_names_and_flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _archive(tmp_path / "a", "s")
    pool = open_pool(PoolConfig((path,)), RECIPE)
    whole = hashlib.sha256("\n".join(pool.identifiers.tolist()).encode())
    whole.update(np.packbits(pool.usable).tobytes())
    assert pool.fingerprint == whole.hexdigest()[:16]
    monkeypatch.setattr(pools, "_ROWS", 7)
    assert open_pool(PoolConfig((path,)), RECIPE).fingerprint == pool.fingerprint
    assert open_pool(PoolConfig((path,), where="snr > 3"), RECIPE).fingerprint != pool.fingerprint


def test_a_condition_keeps_the_order_of_the_matrix(tmp_path: Path) -> None:
    path = _archive(tmp_path / "a", "s")
    whole = open_pool(PoolConfig((path,)), RECIPE)
    pool = open_pool(PoolConfig((path,), where="snr >= 20 or snr < 2"), RECIPE)
    assert pool.identifiers.tolist() == [f"s{i:03d}" for i in (0, 1, *range(20, 30))]
    np.testing.assert_array_equal(pool.values, whole.values[whole.rows(pool.identifiers)])
    assert pool.objects.tolist() == whole.objects[whole.rows(pool.identifiers)].tolist()
    with pytest.raises(CampaignError, match="the pool is empty"):
        open_pool(PoolConfig((path,), where="snr > 1000"), RECIPE)


def test_two_archives_with_one_identifier_are_refused(tmp_path: Path) -> None:
    one, other = _archive(tmp_path / "a", "s"), _archive(tmp_path / "b", "t")
    pool = open_pool(PoolConfig((one, other)), RECIPE)
    assert len(pool) == 60
    assert pool.archive_index.tolist() == [0] * 30 + [1] * 30
    with pytest.raises(CampaignError, match=r"two archives of the pool use one identifier.*s000"):
        open_pool(PoolConfig((one, _archive(tmp_path / "c", "s", 3))), RECIPE)
