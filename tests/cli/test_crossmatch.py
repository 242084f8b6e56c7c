"""``emberline crossmatch`` as a user meets it: what it prints and writes, what it says on failure, and after a kill."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberline.archive import ingest_blocks
from emberline.cli import main
from emberline.config import to_toml
from emberline.spectra import Grid, Metadata, SpectrumBlock
from tests.vo.client.other_archives import Fault, OtherArchives, other_archives
from tests.vo.client.other_sky import OBJECTS

PROGRAM = [sys.executable, "-c", "from emberline.cli import main; main()"]


@pytest.fixture(scope="module")
def _others(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OtherArchives]:
    with other_archives(tmp_path_factory.mktemp("others") / "workspace", spectra=0) as others:
        yield others


@pytest.fixture
def others(_others: OtherArchives) -> Iterator[OtherArchives]:
    _others.asked.clear()
    _others.faults.clear()
    yield _others
    for fault in _others.faults:
        if fault.hang is not None:
            fault.hang.set()
    _others.faults.clear()


@pytest.fixture
def folder(others: OtherArchives, tmp_path: Path) -> Path:
    """A folder with ``list.csv``, the objects of the other archives in 2012, and a configuration that leads to them."""
    config = dataclasses.replace(others.config, tries=1, cache_days=0)
    (tmp_path / "vo.toml").write_text(to_toml(config), encoding="utf-8")
    rows = [f"s{item.number},{item.at(2012.0)[0]},{item.at(2012.0)[1]},55927.0" for item in OBJECTS]
    (tmp_path / "list.csv").write_text("\n".join(["identifier,ra,dec,mjd", *rows, "far,200.0,10.0,55927.0", ""]))
    return tmp_path


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "EMBERLINE_VO": str(folder / "vo.toml"), "EMBERLINE_CACHE": str(folder / "cache")}


def emberline(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, "crossmatch", *arguments],
        cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def test_a_list_beside_what_simbad_and_gaia_know(folder: Path) -> None:
    done = emberline(
        folder, "list.csv", "--with", "simbad,gaia", "--types", "Be*,Em*", "--radius", "2", "--out", "found.vot",
        "--out", "found.csv",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "By simbad: 11 known, 2 new." in done.stdout
    assert "Known as a target: 3." in done.stdout
    assert "types: Be* 3" in done.stdout
    text = (folder / "found.csv").read_text()
    assert "simbad_main_id,simbad_otype,simbad_sp_type,simbad_nbref" in text
    assert "* gam Emb,Be*" in text
    assert (folder / "found.vot").exists()


def test_a_program_reads_json_and_a_failed_catalogue_ends_with_3(folder: Path, others: OtherArchives) -> None:
    others.faults.append(Fault("/simbad", times=-1, status=500))
    done = emberline(folder, "list.csv", "--with", "simbad,gaia", "--out", "found.parquet", "--json", "--no-chance")
    assert done.returncode == 3
    summary: dict[str, Any] = json.loads(done.stdout)
    assert summary["failed"] == ["simbad"]
    assert summary["catalogues"][1]["matched"] == 11
    assert f"Error: simbad failed: {others.services.simbad}" in done.stderr
    assert "gaia_source_id" in pq.read_schema(folder / "found.parquet").names
    assert "QUERY=" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["list.csv", "--with", "simbad"], 2, "--out"),
        (["list.csv", "--with", "nothing", "--out", "x.vot"], 2, "nothing"),
        (["list.csv", "--out", "x.vot"], 2, "no catalogue"),
        (["missing.csv", "--with", "simbad", "--out", "x.vot"], 2, "missing.csv"),
        (["list.csv", "--with", "simbad", "--out", "x.doc"], 2, "x.doc"),
        (["list.csv", "--with", "simbad", "--out", "x.vot", "--radius", "-1"], 2, "radius"),
        (["list.csv", "--with", "simbad", "--pairs", "all", "--out", "x.parquet"], 2, "--pairs"),
        (["list.csv", "--with", "gaia", "--known-by", "simbad", "--out", "x.vot"], 2, "simbad"),
    ],
)
def test_wrong_usage_is_one_line_and_nothing_is_asked(
    arguments: list[str],
    code: int,
    word: str,
    folder: Path,
    others: OtherArchives,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("EMBERLINE_VO", str(folder / "vo.toml"))
    monkeypatch.setattr(sys, "argv", ["emberline", "crossmatch", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == code
    assert word in capsys.readouterr().err
    assert others.asked == []


def test_a_run_that_was_killed_goes_on_where_it_was(folder: Path, others: OtherArchives) -> None:
    """SIMBAD has answered, Gaia hangs: the process is killed, and the next one asks Gaia alone."""
    others.faults.append(Fault("/gaia/tap/sync", times=1, hang=threading.Event()))
    command = ["list.csv", "--with", "simbad,gaia", "--out", "found.parquet", "--no-chance"]
    process = subprocess.Popen([*PROGRAM, "crossmatch", *command], cwd=folder, env=environment(folder))
    waited = threading.Event()
    while not others.count("/gaia/tap/sync"):
        assert process.poll() is None
        waited.wait(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    assert others.count("/simbad/tap/sync") == 1
    assert not (folder / "found.parquet").exists()
    done = emberline(folder, *command)
    assert done.returncode == 0, done.stderr
    assert others.count("/simbad/tap/sync") == 1
    table = pq.read_table(folder / "found.parquet")
    assert table["simbad_main_id"][0].as_py() == "* gam Emb"
    assert not list(folder.glob(".found*")), "what was kept for that is gone"


def archive(folder: Path, shift: float) -> Path:
    rng = np.random.default_rng(8)
    ra, dec = rng.uniform(0, 360, 50), rng.uniform(-60, 60, 50)
    meta = [Metadata(identifier=f"{folder.name}-{i}", ra=ra[i], dec=dec[i] + shift / 3600) for i in range(50)]
    flat = np.ones((50, 5), "f4")
    block = SpectrumBlock(Grid.log10(3.8, 1e-3, 5), flat, flat, np.zeros(flat.shape, "u1"), meta)
    ingest_blocks([block], folder, survey=folder.name)
    return folder


def test_two_archives(tmp_path: Path, folder: Path, others: OtherArchives) -> None:
    archive(tmp_path / "one", 0.0)
    archive(tmp_path / "two", 1.0)
    done = emberline(folder, "one", "--with", "two", "--out", "pairs.parquet")
    assert done.returncode == 0, done.stderr
    assert "50 pairs within 3 arcsec: 50 of 50 rows have a partner among 50" in done.stdout
    table = pq.read_table(folder / "pairs.parquet")
    ends = [[name.split("-")[1] for name in table[f"identifier_{side}"].to_pylist()] for side in (1, 2)]
    assert ends[0] == ends[1]
    assert table["separation"].to_pylist() == pytest.approx([1.0] * 50, abs=1e-5)
    done = emberline(folder, "one", "--with", "two", "--pairs", "mutual", "--out", "pairs.vot", "--json")
    assert json.loads(done.stdout)["pairs"] == 50
    assert (folder / "pairs.vot").exists()
    assert others.asked == []


def test_an_archive_beside_a_file(tmp_path: Path, folder: Path) -> None:
    archive(tmp_path / "one", 0.0)
    catalogue = pq.read_table(tmp_path / "one" / "catalogue.parquet", columns=["ra", "dec"])
    pq.write_table(catalogue.slice(0, 10).append_column("kind", pa.array(["Be"] * 10)), folder / "known.parquet")
    done = emberline(folder, "one", "--with", "known.parquet", "--out", "beside.parquet", "--types", "Be")
    assert done.returncode == 0, done.stderr
    table = pq.read_table(folder / "beside.parquet")
    assert len(table) == 50
    assert sum(kind == "Be" for kind in table["known_kind"].to_pylist()) == 10
    assert table["crossmatch"].to_pylist().count("new") == 40
