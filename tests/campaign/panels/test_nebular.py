"""Nebular lines measured on a spectrum: found where they are, at their velocity, and not in noise or in a Be star."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from emberline.archive.readers import open_source, read
from emberline.campaign.panels.nebular import measure_nebular
from emberline.spectra import Grid, Metadata, Spectrum
from tests.campaign.panels.conftest import spectrum

NEBULA = {6549.86: 0.3, 6585.27: 0.9, 6718.29: 0.8, 6732.67: 0.6, 6564.61: 3.0}


@pytest.mark.parametrize("velocity", [-100.0, 0.0, 75.0])
def test_a_nebula_is_seen_at_its_velocity(velocity: float) -> None:
    found = measure_nebular(spectrum(NEBULA, velocity=velocity))
    assert found is not None
    assert found.seen
    assert found.velocity == pytest.approx(velocity, abs=26)
    assert found.names >= {"[N II]", "[S II]"}
    assert found.widths["[N II]"] == pytest.approx(1.2, rel=0.25)
    assert found.widths["[S II]"] == pytest.approx(1.4, rel=0.25)


def test_noise_is_no_nebula() -> None:
    seen = [measure_nebular(spectrum(seed=seed)) for seed in range(60)]
    assert all(one is not None for one in seen)
    assert sum(one.seen for one in seen if one) == 0


def test_a_be_star_has_no_forbidden_lines() -> None:
    """Broad strong Hα: its wings reach to where [N II] is."""
    wave = spectrum().grid.wavelength
    broad = 6 * np.exp(-0.5 * ((wave - 6564.6) / 7) ** 2)
    rng = np.random.default_rng(3)
    meta = Metadata(identifier="be", resolving_power=1800.0)
    flux = 1 + broad + rng.normal(0, 0.02, wave.size)
    found = measure_nebular(Spectrum.checked(spectrum().grid, flux, np.full(wave.size, 2500.0), None, meta))
    assert found is not None
    assert not found.seen
    assert "Hα" in found.names


def test_half_a_pattern_is_none() -> None:
    nitrogen = measure_nebular(spectrum({6549.86: 0.3, 6585.27: 0.9}))
    sulphur = measure_nebular(spectrum({6718.29: 0.8, 6732.67: 0.6}))
    assert nitrogen is not None
    assert sulphur is not None
    assert (nitrogen.seen, sulphur.seen) == (False, False)


def test_what_does_not_reach_there_is_not_measured() -> None:
    grid = Grid.linear(4000, 1.0, 900)
    flux = 1 + np.random.default_rng(1).normal(0, 0.02, 900)
    meta = Metadata(identifier="blue")
    assert measure_nebular(Spectrum.checked(grid, flux, np.ones(900), None, meta)) is None
    dark = spectrum(noise=0.02)
    below = Spectrum(dark.grid, dark.flux * -1, dark.ivar, dark.mask, dark.meta)
    assert measure_nebular(below) is None


def test_real_spectra(data: Path) -> None:
    """All 14 nebular spectra of the pack are seen, none of the 3 stellar ones, hardly any of those without emission.

    Of the dozen among the last by far the most show the lines to the eye: their nebula is too weak for Hα.
    """
    with open(data / "lamost" / "halpha_truth.csv", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    emission = [row for row in rows if row["label"] == "emission"]
    others = [row for row in rows if row["label"] == "none"][::6]
    seen = {row["path"]: _seen(data / row["path"]) for row in (*emission, *others)}
    assert sum(seen[row["path"]] for row in emission if row["kind"] == "nebular") == 14
    assert sum(seen[row["path"]] for row in emission if row["kind"] != "nebular") == 0
    assert sum(seen[row["path"]] for row in others) <= 0.015 * len(others)


def _seen(path: Path) -> bool:
    found = measure_nebular(read(open_source(path))[0])
    return found is not None and found.seen
