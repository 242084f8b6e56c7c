"""STILTS judges every kind of answer; skipped where it is not installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from dal_sky import ODD, Service, alpha_meta

pytestmark = pytest.mark.slow
STILTS = os.environ.get("EMBERLINE_STILTS") or shutil.which("stilts")


def stilts(*arguments: str) -> str:
    """What a task of STILTS says; it must succeed."""
    if not STILTS:
        pytest.skip("STILTS is absent: put it on the path or set EMBERLINE_STILTS")
    done = subprocess.run([STILTS, *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


ANSWERS = {
    "ssa": "alpha/ssa?REQUEST=queryData",
    "ssa cone": "alpha/ssa?REQUEST=queryData&POS=40,20&SIZE=1&FORMAT=votable",
    "ssa empty": "alpha/ssa?POS=200,-80&SIZE=1",
    "ssa overflow": "alpha/ssa?MAXREC=3",
    "ssa metadata": "alpha/ssa?REQUEST=queryData&FORMAT=METADATA",
    "ssa error": "alpha/ssa?POS=x",
    "scs": "alpha/scs?RA=40&DEC=20&SR=1&VERB=3",
    "scs catalogue": "gems/scs?RA=40&DEC=20&SR=3&VERB=1",
    "scs binary": "alpha/scs?RA=40&DEC=20&SR=3&RESPONSEFORMAT=votable/b2",
    "scs error": "alpha/scs?RA=40",
    "sia2": "sia2?POS=CIRCLE+40+20+1",
    "sia2 binary": "sia2?RESPONSEFORMAT=votable/b2",
    "sia2 empty": "sia2?DPTYPE=image",
    "datalink": "alpha/datalink?ID=alpha-0008&ID=nosuch",
    "datalink empty": "alpha/datalink",
    "spectrum": "alpha/spectrum?ID=alpha-0008&FORMAT=votable",
    "soda": "alpha/soda/sync?ID=alpha-0008&BAND=6.5e-7+6.6e-7&RESPONSEFORMAT=votable",
    "soda recipe": "alpha/soda/sync?ID=alpha-0008&RECIPE=halpha-140&RESPONSEFORMAT=votable",
}


@pytest.mark.parametrize("name", ANSWERS)
def test_votlint_finds_no_fault(dal: Service, name: str, tmp_path: Path) -> None:
    path = tmp_path / "answer.vot"
    path.write_bytes(dal.http.get(f"{dal.base}/{ANSWERS[name]}").content)
    said = [line for line in stilts("votlint", f"votable={path}").splitlines() if line.strip()]
    assert [line for line in said if not line.startswith("INFO")] == []


@pytest.mark.parametrize("identifier", ["alpha-0008", "alpha-0298", "from-file", ODD, "nosuch"])
def test_datalinklint_finds_no_fault(dal: Service, identifier: str) -> None:
    address = dal.http.get("alpha/datalink", params={"ID": dal.did(identifier)}).url
    said = stilts("datalinklint", "version=1.1", f"votable={address}")
    assert "Totals: Errors: 0; Warnings: 0;" in said, said


@pytest.mark.parametrize(
    ("kind", "path", "rows"), [("ssa", "alpha/ssa", 3), ("cone", "gems/scs", 3), ("sia2", "sia2", 6)]
)
def test_coneskymatch_finds_the_neighbours(dal: Service, kind: str, path: str, rows: int, tmp_path: Path) -> None:
    mine, out = tmp_path / "mine.csv", tmp_path / "out.csv"
    mine.write_text("ra,dec\n" + "".join(f"{meta.ra!r},{meta.dec!r}\n" for meta in alpha_meta()[10:13]))
    verbosity = ["verb=1"] if kind == "cone" else []
    stilts(
        "coneskymatch", f"servicetype={kind}", f"serviceurl={dal.base}/{path}", f"in={mine}", "ifmt=csv", "ra=ra",
        "dec=dec", "sr=0.0004", *verbosity, f"out={out}", "ofmt=csv", "find=all", "usefoot=false", "emptyok=true",
    )  # fmt: skip
    assert len(out.read_text().splitlines()) - 1 == rows
