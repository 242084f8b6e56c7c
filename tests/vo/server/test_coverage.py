"""The coverage: at an order that fits, and as mocpy and astropy read it back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from astropy import units
from astropy.io import fits
from mocpy import MOC

from emberline.archive.catalogue import healpix_of
from emberline.jobs import Workspace
from emberline.vo.server.coverage import coverage_of, coverage_order, read_coverage, short_text, write_coverage
from emberline.vo.server.published import Published


def sky(count: int, size: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return 40 + rng.uniform(-size, size, count), 20 + rng.uniform(-size, size, count)


@pytest.mark.parametrize(
    ("count", "size", "order"), [(10, 30.0, 10), (2000, 3.0, 7), (20_000, 3.0, 9), (500_000, 3.0, 10), (0, 1.0, 10)]
)
def test_the_order_fits_the_density(count: int, size: float, order: int) -> None:
    assert coverage_order(healpix_of(*sky(count, size))) == order


def test_every_row_is_covered_and_little_else() -> None:
    ra, dec = sky(5000, 2.0)
    moc = coverage_of(np.append(healpix_of(ra, dec), -1))
    assert moc.contains_lonlat(ra * units.deg, dec * units.deg).all()
    assert not moc.contains_lonlat([60.0, 220.0] * units.deg, [20.0, -20.0] * units.deg).any()
    assert 0 < moc.sky_fraction < 3 * (4 * 4) / 41253


def test_no_positions_are_an_empty_coverage(tmp_path: Path) -> None:
    moc = coverage_of(np.full(3, -1, np.int64))
    assert moc.empty()
    write_coverage(moc, tmp_path)
    assert read_coverage(tmp_path / "moc.fits").empty()


def test_the_files_are_read_back(published_folder: Path) -> None:
    item = Published(Workspace(published_folder)).archives[0]
    moc = MOC.load(item.moc_path, format="fits")
    assert moc == MOC.load(item.moc_path.with_suffix(".json"), format="json")
    header = fits.getheader(item.moc_path, 1)
    assert header["MOCVERS"] == "2.0"
    assert header["MOCORD_S"] == moc.max_order
    assert json.loads(item.moc_path.with_suffix(".json").read_text())
    catalogue = item.archive.catalogue(["ra", "dec"], where="healpix >= 0")
    places = [catalogue[name].to_numpy() * units.deg for name in ("ra", "dec")]
    assert moc.contains_lonlat(*places).all()


def test_a_long_coverage_is_shortened_for_records() -> None:
    rng = np.random.default_rng(2)
    ra, dec = rng.uniform(0, 360, 20_000), np.degrees(np.arcsin(rng.uniform(-1, 1, 20_000)))
    moc = coverage_of(healpix_of(ra, dec))
    text = short_text(moc)
    assert len(text) <= 4000
    coarse = MOC.from_string(text)
    assert moc.difference(coarse).empty()
