"""The benchmark of estimates: small runs of every part, an oracle that errs, and a document made from its file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "estimates.json"


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> dict[str, Any]:
    import estimates

    small = ("--pool", "4000", "--campaigns", "2", "--few", "1", "--sweep", "1", "--seed", "1", "--prevalence", "0.02")
    monkeypatch.setattr(sys, "argv", ["estimates.py", *small, "--out", str(folder), *arguments])
    estimates.main()
    found: dict[str, Any] = json.loads((folder / "estimates.json").read_text())
    return found


def test_every_part_runs_and_keeps_what_others_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from estimates_report import filled, plot

    first = run(monkeypatch, tmp_path, "--part", "coverage", "--kind", "linear", "blind")
    assert [(cell["kind"], cell["draw"]) for cell in first["coverage"]] == [
        ("linear", "nothing"), ("linear", "scores"), ("blind", "nothing"),
    ]  # fmt: skip
    second = run(monkeypatch, tmp_path, "--part", "allocation", "errors", "labels")
    assert second["coverage"] == first["coverage"]
    assert set(second) == {"coverage", "allocation", "errors", "labels"}
    assert second["coverage"][0]["seed"] == 1
    places = "\n".join(f"<!-- {name}: -->\n\n<!-- end -->" for name in second)
    text = filled(places, second)
    assert text.count("|---|") > 4
    assert filled(text, second) == text, "writing twice changes nothing"
    plot(second["coverage"], tmp_path / "plot.svg")
    assert "<svg" in (tmp_path / "plot.svg").read_text()


def test_the_best_allocation_is_the_best_of_those_tried() -> None:
    from estimates import Plan
    from estimates_oracle import compare

    found = compare(Plan(0.02, n=4000), 2, 1)["nothing"]
    for goal in ("purity", "completeness_from_draw"):
        least = min(one["width"][goal] for one in found["tried"])
        assert found[goal]["width"][goal] == least
    assert found[goal]["ratio"] == pytest.approx(found["ours"][goal] / least)
    assert found[goal]["error"] > 0


def test_the_allocation_that_knows_the_truth_goes_where_targets_are_mixed() -> None:
    from estimates_oracle import Told, strata_of, told

    rng = np.random.default_rng(2)
    scores = np.linspace(0, 0.9, 20_000)
    truth = ((scores > 0.4) & (rng.random(20_000) < 0.5)).astype(np.int64)
    draw = told(strata_of(scores, np.ones(20_000, dtype=bool)), truth, Told(0.3, 0.0, 0.0), 400, rng)
    assert len(draw.rows) == 400
    assert np.count_nonzero(scores[draw.rows] >= 0.5) == pytest.approx(120, abs=8)
    assert np.count_nonzero((scores[draw.rows] > 0.25) & (scores[draw.rows] < 0.5)) > 240


def test_an_oracle_errs_as_often_as_it_is_told_and_is_asked_again() -> None:
    from estimates import Plan, run_campaign

    plan = Plan(0.02, n=4000, wrong=0.05, repeats=0.1)
    wrong, asked = 0, 0
    for seed in range(4):
        state = run_campaign(plan, np.random.default_rng(seed))
        given = state.known | state.answers
        wrong += sum(answer != state.truth[row] for row, answer in given.items())
        asked += len(given)
        assert state.twice.n == round(0.1 * len(state.answers))
    assert 0.03 < wrong / asked < 0.07
    sure = run_campaign(Plan(0.02, n=4000), np.random.default_rng(1))
    assert all(answer == sure.truth[row] for row, answer in (sure.known | sure.answers).items())
    assert sure.twice.n == 0


def test_a_share_of_campaigns_has_its_monte_carlo_error() -> None:
    from estimates_report import uncertainty

    assert uncertainty(0.95, 300) == pytest.approx(0.0126, rel=0.05)
    assert 0 < uncertainty(1.0, 300) < 0.01, "no miss among 300 is not none for ever"


@pytest.mark.skipif(not RESULTS.exists(), reason="the benchmark has not been run")
def test_the_document_is_what_its_results_say() -> None:
    from estimates_report import DOCUMENT, filled

    text = DOCUMENT.read_text(encoding="utf-8")
    assert filled(text, json.loads(RESULTS.read_text(encoding="utf-8"))) == text
