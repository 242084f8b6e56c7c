"""TOPCAT as a real peer: it receives a table and a spectrum, and gives back what it holds when it is asked."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table

from emberline.spectra import Grid, Metadata, Spectrum
from tests.vo.client.samp_places import QUIET, own_place
from tests.vo.client.topcat import PATIENCE, current_table, needs_topcat, peer_called, running, topcat

pytest.importorskip("pyvo")

from emberline.vo.client.samp import NoHubError, Samp, connect

pytestmark = [pytest.mark.slow, *(pytest.mark.filterwarnings(text) for text in QUIET)]


@pytest.fixture(scope="module")
def samp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samp]:
    """A hub of ours, and TOPCAT at it."""
    needs_topcat()
    folder = tmp_path_factory.mktemp("topcat")
    with pytest.MonkeyPatch.context() as patch:
        own_place(folder / "home", patch)
        with connect(start=True) as connection, topcat(folder, "-nohub") as process:
            peer_called(connection, "topcat", process, folder / "topcat.log")
            yield connection


def stars(rows: int) -> Table:
    ra = np.linspace(10, 20, rows)
    return Table({"identifier": [f"star-{i}" for i in range(rows)], "ra": ra, "dec": ra / 2, "probability": ra / 40})


def test_topcat_receives_a_table(samp: Samp) -> None:
    table = stars(1234)
    (done,) = samp.send_table(table, name="candidates", table_id="candidates-1", to="topcat", timeout=PATIENCE)
    assert (done.ok, done.mtype) == (True, "table.load.votable"), done.error
    held = current_table(samp, table.colnames, 1234)
    assert [str(name) for name in held["identifier"]] == list(table["identifier"])
    np.testing.assert_array_equal(held["ra"], table["ra"])


def test_topcat_selects_rows_of_a_table_that_it_was_sent(samp: Samp) -> None:
    samp.send_table(stars(50), name="to choose from", table_id="choice", to="topcat", timeout=PATIENCE)
    (done,) = samp.select_rows("choice", [3, 7, 40], to="topcat", timeout=PATIENCE)
    assert done.ok, done.error
    (refused,) = samp.select_rows("never-sent", [1], to="topcat", timeout=PATIENCE)
    assert "never-sent" in refused.error or "table" in refused.error.lower()


def test_topcat_receives_a_spectrum(samp: Samp) -> None:
    wavelength = np.linspace(6400, 6700, 777)
    flux = (1 + np.exp(-0.5 * ((wavelength - 6564.6) / 5) ** 2)).astype("f4")
    meta = Metadata(identifier="be star")
    spectrum = Spectrum(Grid(wavelength), flux, np.full(777, 400, "f4"), np.zeros(777, "u1"), meta)
    (done,) = samp.send_spectrum(spectrum, to="topcat", timeout=PATIENCE)
    assert done.ok, done.error
    held = current_table(samp, ["wave", "flux", "err", "mask"], 777)
    np.testing.assert_array_equal(held["wave"], wavelength)
    np.testing.assert_array_equal(held["flux"], flux)
    np.testing.assert_allclose(held["err"], 0.05, rtol=1e-6)


def test_topcat_is_pointed_at_a_place_and_takes_no_coverage(samp: Samp) -> None:
    (done,) = samp.point_at(SkyCoord(15.0, 7.5, unit="deg"), to="topcat", timeout=PATIENCE)
    assert done.peer.name == "topcat"
    with pytest.raises(Exception, match="topcat: does not take messages of this type"):
        samp.send_moc("https://example.org/moc.fits", to="topcat")


def test_another_hub_than_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub that comes with TOPCAT: found by its lock file, gone when it ends."""
    needs_topcat()
    lock = own_place(tmp_path / "home", monkeypatch)
    command = ["topcat", "-jsamp", "hub", "-mode", "no-gui", "-profiles", "std"]
    with running(command, tmp_path / "hub", tmp_path / "hub.log") as process:
        _wait_for(lock, process)
        with connect("one") as one, connect("two") as two:
            got: list[Table] = []
            two.on_table(lambda found: got.append(found.table))
            (done,) = one.send_table(stars(5), to="two", timeout=PATIENCE)
            assert done.ok, done.error
            assert len(got[0]) == 5
            assert two.alive()
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(PATIENCE)
            assert not two.alive()
            with pytest.raises(NoHubError):
                one.peers()


def _wait_for(lock: Path, process: subprocess.Popen[bytes]) -> None:
    import threading

    from emberline.vo.client.samp import find_hub

    left = PATIENCE
    while left > 0 and (not lock.exists() or "url" not in lock.read_text() or find_hub() is None):
        assert process.poll() is None
        threading.Event().wait(0.25)
        left -= 0.25
    assert left > 0, "the hub did not start"
