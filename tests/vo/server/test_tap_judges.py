"""STILTS judges TAP: taplint, votlint on every kind of answer, tapquery with uploads; skipped where it is absent."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from dal_sky import Service

pytestmark = pytest.mark.slow
STILTS = os.environ.get("EMBERLINE_STILTS") or shutil.which("stilts")
SKY = (
    "addcol id $0", 'addcol arr "array(1,2.5,$0)"', 'addcol word "toString($0)"', 'addcol nul "$0==3?NULL:(int)$0"',
    'addcol flag "$0%2==0"', 'addcol small "toShort($0)"', 'addcol big "toLong($0)"',
)  # fmt: skip


def stilts(*arguments: str) -> str:
    """What a task of STILTS says; it must succeed."""
    if not STILTS:
        pytest.skip("STILTS is absent: put it on the path or set EMBERLINE_STILTS")
    done = subprocess.run([STILTS, *arguments], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_taplint_finds_no_error(tap: Service) -> None:
    said = stilts("taplint", f"tapurl={tap.base}/tap", "maxrepeat=20")
    assert "Totals: Errors: 0;" in said, said
    assert "Failures: 0" in said, said
    found = [line for line in said.splitlines() if line.startswith("W-")]
    # jobInfo holds what UWS has no word for, in a namespace of its own.
    assert [line for line in found if "urn:x-emberline:job:1" not in line] == []


ANSWERS = {
    "rows": "SELECT * FROM alpha.spectra",
    "cone": "SELECT * FROM alpha.spectra WHERE 1=CONTAINS(POINT(ra, dec), CIRCLE(40, 20, 1))",
    "obscore": "SELECT * FROM ivoa.obscore",
    "schema": "SELECT * FROM tap_schema.columns",
    "candidates": "SELECT * FROM gems.candidates",
    "empty": "SELECT * FROM alpha.spectra WHERE snr < -5",
    "geometry": "SELECT POINT(ra, dec) AS p, CIRCLE(ra, dec, 1) AS c, 'é' || identifier AS t FROM alpha.spectra",
    "error": "SELECT nothing",
}


@pytest.mark.parametrize(
    ("name", "form"),
    [*((name, "votable/td") for name in ANSWERS), ("rows", "votable/b2"), ("geometry", "votable/b2")],
)
def test_votlint_finds_no_fault(tap: Service, name: str, form: str, tmp_path: Path) -> None:
    path = tmp_path / "answer.vot"
    parameters = {"LANG": "ADQL", "QUERY": ANSWERS[name], "RESPONSEFORMAT": form, "MAXREC": 50}
    path.write_bytes(tap.http.get("tap/sync", params=parameters).content)
    said = [line for line in stilts("votlint", f"votable={path}").splitlines() if line.strip()]
    assert [line for line in said if not line.startswith("INFO")] == []


@pytest.mark.parametrize("sync", ["true", "false"])
def test_tapquery_sends_a_table(tap: Service, sync: str, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    arguments = [f"tapurl={tap.base}/tap", "nupload=1", "upload1=:skysim:500", "upname1=mine", f"sync={sync}"]
    query = "SELECT m.ra, a.identifier FROM TAP_UPLOAD.mine AS m, alpha.spectra AS a"
    where = "WHERE DISTANCE(POINT(m.ra, m.dec), POINT(a.ra, a.dec)) < 5"
    stilts("tapquery", *arguments, f"adql={query} {where}", f"out={out}", "ofmt=csv", "maxrec=10")
    assert out.read_text().startswith("ra,identifier")


@pytest.mark.parametrize(
    ("serialisation", "form"), [("tabledata", "votable/b2"), ("binary", "fits"), ("binary2", "votable/td")]
)
def test_what_stilts_writes_comes_back_to_it(tap: Service, serialisation: str, form: str, tmp_path: Path) -> None:
    mine, back = tmp_path / "mine.vot", tmp_path / "back.table"
    commands = [f"cmd={command}" for command in SKY]
    stilts("tpipe", "in=:skysim:40", *commands, f"out={mine}", f"ofmt=votable(format={serialisation},inline=true)")
    data = {"LANG": "ADQL", "QUERY": "SELECT * FROM TAP_UPLOAD.t ORDER BY id", "UPLOAD": "t,param:f"}
    answer = tap.http.post("tap/sync", data={**data, "FORMAT": form}, files={"f": ("f", mine.read_bytes())})
    assert answer.status_code == 200, answer.text
    back.write_bytes(answer.content)
    assert stilts("tpipe", f"in={mine}", "ofmt=csv") == stilts("tpipe", f"in={back}", "ofmt=csv")
