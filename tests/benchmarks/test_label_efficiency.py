"""The benchmark of label efficiency: a tiny grid runs, goes on after a kill, and its table comes from its file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks.label_efficiency import interface
from benchmarks.label_efficiency.__main__ import main
from benchmarks.label_efficiency.contestants import CONTESTANTS
from benchmarks.label_efficiency.interface import Known, MissingExtraError, extra
from benchmarks.label_efficiency.measures import calibration, calibration_error, completeness_at, merge, ranking
from benchmarks.label_efficiency.plot import draw
from benchmarks.label_efficiency.pools import BAD, TARGET, load
from benchmarks.label_efficiency.table import contestant_of, groups, in_order, interval, labels_needed, tables
from benchmarks.label_efficiency.units import Oracle, Unit, append, read, run

ROOT = Path(__file__).resolve().parents[2]
QUICK = ("greedy-forest", "isolation-forest", "gp-protege")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pools")


def arguments(results: Path, cache: Path, *names: str, seeds: tuple[int, ...] = (0, 1)) -> list[str]:
    return [
        *("--results", str(results), "run", "--pool", "digits", "--size", "2000", "--rounds", "2", "--batch", "20"),
        *("--seeds", *map(str, seeds), "--cache", str(cache), "--contestant", *names),
    ]


@pytest.fixture(scope="module")
def results(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grid of three contestants, two seeds and one pool."""
    folder = tmp_path_factory.mktemp("results")
    assert main(arguments(folder, cache, *QUICK)) == 0
    return folder


def test_a_grid_is_one_line_a_search(results: Path) -> None:
    records = list(read(results / "digits.jsonl"))
    assert len(records) == len(QUICK) * 2
    for record in records:
        labels = [point["labels"] for point in record["curve"]]
        found = [point["found"] for point in record["curve"]]
        assert labels == [50, 70, 90]
        assert found[0] == 5
        assert found == sorted(found)
        assert found[-1] <= record["targets"]
        assert all(0 <= point["completeness"] <= 1 and point["seconds"] >= 0 for point in record["curve"])


def test_all_begin_with_the_same_labels_on_the_same_pool(results: Path) -> None:
    firsts = {
        (record["unit"]["seed"], record["curve"][0]["found"], record["targets"], record["rows"])
        for record in read(results / "digits.jsonl")
    }
    assert len(firsts) == 2


def test_what_is_done_is_not_done_again(results: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (results / "digits.jsonl").read_bytes()
    capsys.readouterr()
    assert main(arguments(results, cache, *QUICK)) == 0
    assert (results / "digits.jsonl").read_bytes() == before
    assert capsys.readouterr().out == ""


def test_a_search_is_the_same_each_time(results: Path, cache: Path) -> None:
    record = next(iter(read(results / "digits.jsonl")))
    again = run(Unit(**record["unit"]), cache)

    def without_time(some: dict) -> list[dict]:
        return [{k: v for k, v in point.items() if k not in ("seconds", "processor")} for point in some["curve"]]

    assert without_time(again) == without_time(record)
    assert again["calibration"] == record["calibration"]


def test_a_killed_run_goes_on_where_it_was(results: Path, cache: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.label_efficiency", *arguments(tmp_path, cache, *QUICK)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()  # the first search is done
        process.send_signal(signal.SIGKILL)
    done = list(read(tmp_path / "digits.jsonl"))
    assert 1 <= len(done) < len(QUICK) * 2
    with open(tmp_path / "digits.jsonl", "a", encoding="utf-8") as stream:
        stream.write('{"unit": {"pool": "dig')  # what a kill in the middle of a line would leave
    assert main(arguments(tmp_path, cache, *QUICK)) == 0
    records = list(read(tmp_path / "digits.jsonl"))
    assert len(records) == len(QUICK) * 2
    assert {Unit(**r["unit"]) for r in records} == {Unit(**r["unit"]) for r in read(results / "digits.jsonl")}


def test_the_tables_and_figures_come_from_the_lines_alone(results: Path, tmp_path: Path) -> None:
    said = tables(results)
    for name in QUICK:
        assert f"| {name}, 20 | 2 |" in said
    made = draw(results, tmp_path)
    assert [path.suffix for path in made] == [".png", ".png"]
    first = [path.read_bytes() for path in made]
    assert [path.read_bytes() for path in draw(results, tmp_path)] == first


def test_one_contestant_with_two_batches_is_two_entrants_of_one_table(results: Path, tmp_path: Path) -> None:
    lines = (results / "digits.jsonl").read_text(encoding="utf-8")
    (tmp_path / "digits.jsonl").write_text(lines + lines.replace('"batch": 20', '"batch": 40'), encoding="utf-8")
    (by_name,) = groups(tmp_path).values()
    assert {contestant_of(name) for name in by_name} == set(QUICK)
    assert [name for name in in_order(by_name) if "greedy" in name] == ["greedy-forest, 20", "greedy-forest, 40"]


def test_a_unit_that_was_run_twice_counts_once(results: Path, tmp_path: Path) -> None:
    lines = (results / "digits.jsonl").read_text(encoding="utf-8")
    (tmp_path / "digits.jsonl").write_text(lines + lines, encoding="utf-8")
    assert tables(tmp_path) == tables(results)


def test_networks_search_too(cache: Path) -> None:
    """Emberline's strategies and what was tried with them, on a pool that is searched in seconds."""
    pool = load("digits", 2000, 0, cache)
    truth = Oracle(pool, 0.0, 0)
    targets, others = np.flatnonzero(pool.is_target), np.flatnonzero(pool.truth == 0)
    rows = np.concatenate([targets[:2], others[:20]])
    known = Known(rows, truth(rows))
    for name in ("seek", "seek-pseudo", "seek-warm", "seek-blend"):
        player = CONTESTANTS[name].make(pool, 0)
        player.begin(known)
        batch = player.choose(known, 10)
        assert len(set(batch.tolist())) == 10
        assert not set(batch.tolist()) & set(rows.tolist())
        assert np.isfinite(player.scores()).all()


def test_from_no_labels_the_first_target_is_noted(cache: Path) -> None:
    record = run(Unit("digits", "isolation-forest", 2000, start="zero", batch=100, rounds=16), cache)
    assert record["curve"][0]["labels"] == 0
    assert record["first_target"] is not None
    reached = next(point["labels"] for point in record["curve"] if point["found"])
    assert reached - 100 < record["first_target"] <= reached


def test_a_missing_tool_is_named_and_the_rest_goes_on(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(module: str) -> None:
        raise ImportError(f"No module named {module!r}")

    monkeypatch.setattr(interface.importlib, "import_module", missing)
    with pytest.raises(MissingExtraError, match=r"emberline\[benchmarks\]"):
        extra("coniferest.pineforest")
    assert main(arguments(tmp_path, cache, "coniferest-pine", "isolation-forest", seeds=(0,))) == 0
    assert "emberline[benchmarks]" in capsys.readouterr().err
    assert [record["unit"]["contestant"] for record in read(tmp_path / "digits.jsonl")] == ["isolation-forest"]


# Measures -----------------------------------------------------------------------------------------------------------


def test_completeness_at_a_purity_is_that_of_the_best_cut() -> None:
    is_target = np.array([1, 1, 0, 1, 0, 0, 1], bool)
    scores = np.arange(7.0)[::-1]
    assert completeness_at(1.0, scores, is_target) == 0.5
    assert completeness_at(0.75, scores, is_target) == 0.75
    assert completeness_at(0.5, scores, is_target) == 1.0


def test_rows_of_equal_score_cannot_be_cut_apart() -> None:
    assert completeness_at(0.95, np.zeros(10), np.arange(10) < 5) == 0.0


def test_labels_stand_at_the_ends_of_the_ranking() -> None:
    placed = ranking(np.array([5.0, -3.0, 0.1, 9.0]), np.array([1, 3]), np.array([TARGET, BAD]))
    assert np.argsort(-placed).tolist() == [1, 0, 2, 3]


def test_probabilities_that_are_true_have_no_calibration_error() -> None:
    rng = np.random.default_rng(0)
    chance = rng.random(200_000)
    true, false = (calibration(chance, rng.random(200_000) < some) for some in (chance, chance**2))
    assert calibration_error(merge([true])) < 0.005
    assert calibration_error(merge([false])) > 0.1


def test_a_share_of_the_answers_is_wrong_and_bad_stays_bad(cache: Path) -> None:
    pool = load("sim-1", 2000, 0, cache)
    rows = np.arange(len(pool))
    answers = Oracle(pool, 0.05, 3)(rows)
    assert (answers != pool.truth).mean() == pytest.approx(0.05, abs=0.015)
    assert (answers[pool.truth == BAD] == BAD).all()
    assert np.array_equal(answers, Oracle(pool, 0.05, 3)(rows)), "the same errors each time"


def test_extremes_are_counted_once_a_pool(cache: Path, tmp_path: Path) -> None:
    command = ["--results", str(tmp_path), "extremes", "--pool", "sim-1", "--size", "2000", "--seeds", "0"]
    for _ in range(2):
        assert main([*command, "--cache", str(cache)]) == 0
    (record,) = read(tmp_path / "extremes.jsonl")
    assert all(0 <= found <= min(25, record["targets"]) for found in record["found"].values())
    assert record["found"]["3"] >= 3, "by chance a quarter of a target"
    assert "| sim-1, " in tables(tmp_path)


def test_an_interval_needs_two_seeds() -> None:
    assert np.isnan(interval([1.0])[1])
    mean, low, high = interval([1.0, 2.0, 3.0])
    assert (mean, low, high) == (pytest.approx(2.0), pytest.approx(2 - 2.484, abs=1e-3), pytest.approx(4.484, abs=1e-3))


def test_labels_needed_are_the_first_to_reach_the_goal() -> None:
    curve = [{"labels": n, "completeness": c} for n, c in ((50, 0.2), (150, 0.96), (250, 0.94))]
    assert labels_needed(curve) == 150
    assert labels_needed(curve, goal=0.99) is None


def test_the_lines_that_are_published_are_whole() -> None:
    """Every line in the repository's results can be read, and belongs to a contestant that there is."""
    for path in (ROOT / "benchmarks" / "label_efficiency" / "results").glob("*.jsonl"):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert [json.loads(line) for line in lines] == list(read(path))
    for by_name in groups(ROOT / "benchmarks" / "label_efficiency" / "results").values():
        assert {contestant_of(name) for name in by_name} <= set(CONTESTANTS)


def test_a_line_after_a_torn_one_is_read(tmp_path: Path) -> None:
    file = tmp_path / "some.jsonl"
    file.write_text('{"unit": 1', encoding="utf-8")
    append(file, {"unit": 2})
    assert list(read(file)) == [{"unit": 2}]
