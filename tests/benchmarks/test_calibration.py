"""The benchmark of calibration keeps control rows from the network, bins what is left, and knows what chance shows."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.label_efficiency import calibration
from benchmarks.label_efficiency.calibration import FORECASTERS, Moment, binned, main, measured, perfect, trace
from benchmarks.label_efficiency.calibration_table import Cell, merged, summed
from benchmarks.label_efficiency.interface import Contestant
from benchmarks.label_efficiency.measures import calibration_error
from benchmarks.label_efficiency.pools import Pool
from benchmarks.label_efficiency.units import Unit
from scipy.special import expit

SIZE = 3000
UNIT = Unit("made-up", "greedy", SIZE, batch=40, rounds=2)


class Greedy(Contestant):
    """Knows the true log odds, states them too high by one, and asks for the highest."""

    taught: set[int] = set()  # noqa: RUF012

    def learn(self, known):
        Greedy.taught.update(known.rows[known.answers >= 0].tolist())

    def scores(self):
        return expit(self.pool.values[:, 0] + 1.0)

    def choose(self, known, batch):
        return self.best(self.scores(), known, batch)


@pytest.fixture
def made_up(monkeypatch, tmp_path):
    """A pool whose targets follow one number; what the contestant learnt is forgotten first."""

    def load(name, size, seed, cache):
        rng = np.random.default_rng(seed)
        x = rng.normal(-4, 2.5, size)
        truth = (rng.random(size) < expit(x)).astype(np.int64)
        names = np.arange(size).astype(str)
        return Pool(name, x[:, None].astype(np.float32), truth, names, names)

    Greedy.taught.clear()
    monkeypatch.setattr(calibration, "load_pool", load)
    monkeypatch.setattr(calibration, "contestant", lambda name, pool, seed: Greedy(pool, seed))
    return tmp_path


def test_control_rows_are_never_taught_and_never_left(made_up):
    found = trace(UNIT, 60, made_up)
    assert found.scores.shape == (3, SIZE)
    assert not Greedy.taught & set(found.drawn.ravel().tolist())
    moment = Moment(found, 2)
    assert not moment.left[moment.control].any()
    assert not moment.left[moment.known].any()
    met = np.isin(np.flatnonzero(found.asked <= 1), found.drawn)
    assert met.any(), "the strategy met control rows, and they count as asked"
    new = np.flatnonzero((found.asked == 0) & ~np.isin(np.arange(SIZE), found.drawn))
    assert len(new) == UNIT.batch


def test_a_trace_is_run_once(made_up, monkeypatch):
    first = trace(UNIT, 60, made_up)
    monkeypatch.setattr(calibration, "contestant", lambda *_: pytest.fail("it ran again"))
    again = trace(UNIT, 60, made_up)
    assert all(np.array_equal(getattr(first, name), getattr(again, name)) for name in vars(first))


def test_what_is_stated_too_high_is_mended_by_answers(made_up):
    moments = []
    for seed in range(3):
        moments.append(
            measured(trace(Unit("made-up", "greedy", SIZE, batch=40, rounds=2, seed=seed), 120, made_up))[-1]
        )
    assert moments[-1]["closing"]
    bins = {
        name: summed([{key: np.array(v) for key, v in moment["bins"][name].items()} for moment in moments])
        for name in FORECASTERS
    }
    gap = {name: abs(calibration_error(table, 1)) for name, table in bins.items()}
    assert gap["stated"] > 0.08
    assert gap["calibrated"] < 0.05
    assert gap["control"] < 0.06


def test_what_chance_shows_is_what_true_probabilities_show():
    rng = np.random.default_rng(4)
    chance = rng.beta(0.3, 3, 1500)
    errors = []
    for _ in range(200):
        table = {key: np.array(v) for key, v in binned(chance, rng.random(1500) < chance).items()}
        errors.append(calibration_error(table, 1))
    drawn = perfect(table, 1)
    assert drawn.mean() == pytest.approx(np.mean(errors), rel=0.06)
    assert np.quantile(drawn, 0.95) == pytest.approx(np.quantile(errors, 0.95), rel=0.1)


def test_the_command_resumes_and_prints(made_up, capsys):
    results = made_up / "results"
    command = ["--results", str(results)]
    run = ["run", "--pool", "made-up", "--size", str(SIZE), "--batch", "40", "--rounds", "2", "--control", "40"]
    for seeds in (["0"], ["0", "1"]):
        assert main([*command, *run, "--seeds", *seeds, "--cache", str(made_up)]) == 0
    assert capsys.readouterr().out.count("Unit(") == 2, "what was done is not done again"
    last = Cell("made-up", SIZE, 2, closing=True)
    assert len(merged(results)[last]["stated"]) == 2
    assert merged(results, [1])[last]["seeds"] == [1]
    assert main([*command, "table"]) == 0
    assert "after the closing round, 2** (seeds 0, 1;" in capsys.readouterr().out
    assert main([*command, "plot", "--out", str(made_up)]) == 0
    assert (made_up / "calibration.svg").read_text().startswith("<?xml")
