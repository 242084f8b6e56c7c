"""The benchmark of the stopping rule: a small run of every part, and a document made from its file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "stopping.json"


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


def test_a_small_run_is_continued_told_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import stopping

    file = tmp_path / "stopping.json"
    small = ["--results", str(file), "run", "--campaigns", "1", "--base", "1", "--line", "0", "--kind"]
    stopping.main([*small, "linear"])
    before = json.loads(file.read_text())["simulated"]
    stopping.main([*small, "linear", "heavy"])
    after = json.loads(file.read_text())["simulated"]
    assert [entry["kind"] for entry in after] == ["linear", "heavy"]
    assert after[:1] == before, "what is there is not run again"
    stopping.main(["--results", str(file), "table"])
    assert "| linear, 1 | 0.1 %, 50,000, 100 |" in capsys.readouterr().out
    stopping.main(["--results", str(file), "plot", "--out", str(tmp_path / "one.svg")])
    assert "<svg" in (tmp_path / "one.svg").read_text()


def test_a_campaign_is_judged_by_targets_less_labels() -> None:
    from emberline.learn.stopping import Gain
    from stopping import Step, outcome

    def step(targets: int, bound: float, low: float, high: float) -> Step:
        return Step(100, targets, Gain(low, low, high, 200, bound=bound))

    steps = [step(40, 30, 10, 20), step(15, 12, 1, 9), step(6, 9, 3, 8), step(2, 4, 0, 3), step(0, 1, 0, 1)]
    told = outcome(70, steps)
    rule = told["rules"]["5"]
    # 35, 45, 46, 43, 38 targets less costs: the best is after round 3, and the bound falls below 5 after round 4.
    assert (rule["best"], rule["stopped"], rule["after"]) == (3, 4, 0.0)
    assert rule["kept"] == pytest.approx(43 / 46, abs=1e-4)
    assert rule["well"]
    assert not rule["early"]
    # 15 lay in 10 to 20, 6 in 1 to 9, 2 not in 3 to 8, 0 in 0 to 3.
    assert (told["inside"], told["intervals"]) == (3, 4)
    assert told["rules"]["2"]["stopped"] == 5
    assert not outcome(70, steps[:3])["rules"]["2"]["well"] or outcome(70, steps[:3])["rules"]["2"]["never"]


def test_what_is_left_out_of_a_pool_is_never_asked_about() -> None:
    """The part that is simulated gives as many targets a round as the whole pool, within chance."""
    from estimates import Plan, World
    from stopping import Line, _Part, _rounds

    line = Line(0.005, 20_000, 100, 2)
    found = {
        kind: [
            sum(step.targets for step in _rounds(kind(Plan(0.005, n=20_000), rng), line, rng))
            for rng in map(np.random.default_rng, range(30))
        ]
        for kind in (World, _Part)
    }
    spread = np.sqrt(sum(np.var(counts) for counts in found.values()) / 30)
    assert abs(np.mean(found[World]) - np.mean(found[_Part])) < 4 * spread


@pytest.mark.skipif(not RESULTS.is_file(), reason="the results are not in this copy")
def test_the_document_says_what_the_file_says() -> None:
    import stopping
    from stopping_shown import tables

    text = (ROOT / "docs" / "explanation" / "estimates.md").read_text(encoding="utf-8")
    found = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert all(line in text for line in tables(found).splitlines() if line)
    for entry in found["networks"]:
        for trace, campaign in zip(entry["traces"], entry["campaigns"], strict=True):
            again = stopping.outcome(trace["targets"], stopping.told_again(trace))
            assert again["found"] == campaign["found"]
            for worth, rule in campaign["rules"].items():
                assert again["rules"][worth]["stopped"] == rule["stopped"], "the rule has changed: judge again"
