"""Coverage maps fetched as FITS, JSON and text."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.time import Time
from hypothesis import given, settings
from hypothesis import strategies as st
from mocpy import MOC, TimeMOC

from emberline.vo.client import ClientConfig, ProtocolError, Session, StatusError
from emberline.vo.client.moc import coverage, read_moc
from tests.vo.client.misbehaving import Misbehaving

MAP = MOC.from_healpix_cells(np.array([3, 100], dtype=np.uint64), np.array([3, 4], dtype=np.uint8), max_depth=6)


@pytest.fixture
def server() -> Iterator[Misbehaving]:
    with Misbehaving() as server:
        yield server


@pytest.fixture
def session(server: Misbehaving) -> Iterator[Session]:
    with Session(ClientConfig(allow=(server.host,), rate=1000.0, tries=1)) as session:
        yield session


@pytest.mark.parametrize("kind", ["fits", "nuniq", "json", "ascii"])
def test_a_map_is_fetched(server: Misbehaving, session: Session, tmp_path: Path, kind: str) -> None:
    MAP.save(tmp_path / "map", format="fits" if kind == "nuniq" else kind, v1_compatible=kind == "nuniq")
    url = server.serve("/map", (tmp_path / "map").read_bytes(), "application/octet-stream")
    found = coverage(session, url)
    assert found == MAP
    assert found.sky_fraction == pytest.approx(1 / 768 + 1 / 3072)


def test_a_map_of_times_is_none_of_the_sky(server: Misbehaving, session: Session, tmp_path: Path) -> None:
    TimeMOC.from_times(Time([2459000.5], format="jd", scale="tdb")).save(tmp_path / "map", format="fits")
    url = server.serve("/map", (tmp_path / "map").read_bytes())
    with pytest.raises(ProtocolError, match="no coverage map"):
        coverage(session, url)


@pytest.mark.parametrize("compatible", [False, True])
@settings(max_examples=40, deadline=None)
@given(
    cells=st.lists(
        st.integers(0, 29).flatmap(lambda order: st.tuples(st.just(order), st.integers(0, 12 * 4**order - 1))),
        min_size=1,
        max_size=30,
    )
)
def test_every_map_is_read_as_mocpy_reads_it(compatible: bool, cells: list[tuple[int, int]]) -> None:
    orders, numbers = (np.array(part) for part in zip(*cells, strict=True))
    whole = MOC.from_healpix_cells(numbers.astype(np.uint64), orders.astype(np.uint8), max_depth=29)
    assert read_moc(whole.to_string("ascii").encode(), "x") == whole
    assert read_moc(whole.to_string("json").encode(), "x") == whole
    with tempfile.TemporaryDirectory() as folder:
        whole.save(Path(folder) / "map", format="fits", v1_compatible=compatible)
        assert read_moc((Path(folder) / "map").read_bytes(), "x") == whole


def fits_map(values: list[int], **cards: object) -> bytes:
    table = fits.BinTableHDU.from_columns([fits.Column("X", "K", array=np.array(values, dtype=np.int64))])
    table.header.update({"MOCDIM": "SPACE", "ORDERING": "RANGE", "COORDSYS": "C", "MOCORD_S": 10, **cards})
    out = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(out)
    return out.getvalue()


WRONG = [
    b"", b"SIMPLE  =", b"SIMPLE  =" + b" " * 2880, b"{", b'{"3": "x"}', b'{"3": [1.5]}', b'{"30": [1]}', b"[1]", b"{}",
    b"<html>No</html>", b"\xff", b"3/768", b"3/5-2", b"30/1", b"5", b"3/-1", b"t61/1 4", b"3/x", b'{"-1": [0]}',
    b'{"30": []}', b"31/", b'{"3": [-1]}',
    fits_map([0, 5])[:5760], fits_map([5, 0]), fits_map([0]), fits_map([-4, 4]), fits_map([0, 2**62]),
    fits_map([0, 5], MOCDIM="TIME"), fits_map([0, 5], COORDSYS="G"), fits_map([0, 5], MOCORD_S=30),
    fits_map([3], ORDERING="NUNIQ"), fits_map([2**62], ORDERING="NUNIQ"), fits_map([-1], ORDERING="NUNIQ"),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyWarning")
@pytest.mark.parametrize("body", WRONG, ids=lambda body: str(body[:20]))
def test_what_is_no_map(server: Misbehaving, session: Session, body: bytes) -> None:
    with pytest.raises(ProtocolError, match="no coverage map"):
        coverage(session, server.serve("/map", body))


def test_a_text_may_name_ranges_and_its_resolution() -> None:
    found = read_moc(b"3/3-5, 9 4/0\n 6/", "x")
    assert found.max_order == 6
    assert found.sky_fraction == pytest.approx(4 / 768 + 1 / 3072)
    assert read_moc(b"29/0-3458764513820540927", "x").sky_fraction == 1.0


def test_a_map_that_is_not_there(server: Misbehaving, session: Session) -> None:
    with pytest.raises(StatusError):
        coverage(session, f"{server.url}/404")
