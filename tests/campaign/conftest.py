"""A small survey with known truth, and a campaign on it that runs in seconds."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from emberline.archive import ingest_blocks
from emberline.campaign import CampaignConfig
from emberline.campaign.config import ControlConfig, PoolConfig, QueryConfig, StopConfig
from emberline.learn import TrainConfig
from emberline.spectra import Grid, Metadata, SpectrumBlock

SIZE = 400


def lines(count: int, *, targets: int, seed: int) -> tuple[SpectrumBlock, dict[str, str]]:
    """Spectra with an absorption line at Hα, the first `targets` of them with emission in it; and the truth."""
    rng = np.random.default_rng(seed)
    grid = Grid.log10(3.8075, 1e-4, 280)
    is_target = np.arange(count) < targets
    rng.shuffle(is_target)
    wave = grid.wavelength[None, :]
    depth = rng.uniform(0.1, 0.5, (count, 1))
    width = rng.uniform(3, 9, (count, 1))
    flux = 1 - depth * np.exp(-0.5 * ((wave - 6564.6) / width) ** 2)
    strength = np.where(is_target, rng.uniform(0.5, 2, count), 0)[:, None]
    flux += strength * np.exp(-0.5 * ((wave - 6564.6) / 2.5) ** 2)
    flux += rng.normal(0, 0.03, flux.shape)
    meta = [
        Metadata(
            identifier=f"s{seed}-{i:05d}", name=f"star {i}", ra=rng.uniform(0, 360), dec=rng.uniform(-60, 60), snr=30
        )
        for i in range(count)
    ]
    block = SpectrumBlock(
        grid, flux.astype("f4"), np.full(flux.shape, 1 / 0.03**2, "f4"), np.zeros(flux.shape, "u1"), meta
    )
    return block, {m.identifier: "emission" if hit else "none" for m, hit in zip(meta, is_target, strict=True)}


def write_truth(path: Path, truth: dict[str, str]) -> Path:
    """A table of known answers."""
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["identifier", "label"])
        writer.writerows(truth.items())
    return path


@pytest.fixture(scope="session")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the archive ``survey`` and ``truth.csv``: 400 spectra, 20 of them targets."""
    folder = tmp_path_factory.mktemp("workspace")
    block, truth = lines(SIZE, targets=20, seed=5)
    ingest_blocks([block], folder / "survey", survey="test")
    write_truth(folder / "truth.csv", truth)
    return folder


@pytest.fixture
def config(survey: Path) -> CampaignConfig:
    """A cold start, two rounds of 24 queries and 10 control labels, and 40 control labels at the end."""
    return CampaignConfig(
        name="Test of a campaign",
        classes=("none", "emission"),
        targets=("emission",),
        recipe="halpha-140",
        pool=PoolConfig(archives=(survey / "survey",)),
        train=TrainConfig(members=1, epochs=4, epoch_steps=8),
        query=QueryConfig(batch=24),
        control=ControlConfig(per_round=10, final=40),
        stop=StopConfig(rounds=2),
    )
