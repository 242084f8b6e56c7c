"""A simulated survey in an archive: the same for any workers, resumable, with its truth beside."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from archives import content

from emberline.archive import ingest_blocks, open_archive, simulate
from emberline.archive.simulated import temperature_of
from emberline.errors import ArchiveError, ConfigError


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small survey of two blocks."""
    path = tmp_path_factory.mktemp("simulated") / "archive"
    summary = simulate(path, spectra=1200, seed=4, workers=1)
    assert (summary.found, summary.ingested, summary.rejected, summary.total) == (1200, 1200, 0, 1200)
    return path


def test_truth_names_every_spectrum_and_the_catalogue_does_not_know_it(reference: Path) -> None:
    archive = open_archive(reference)
    with open(reference / "truth.csv", newline="") as stream:
        truth = {row["identifier"]: row for row in csv.DictReader(stream)}
    assert truth.keys() == set(archive.catalogue(["identifier"])["identifier"].to_pylist())
    assert all(row["label"] for row in truth.values())
    assert {row["target"] for row in truth.values()} == {"true", "false"}
    assert not {"label", "target", "class", "teff"} & set(archive.catalogue().column_names)
    assert archive.info()["truth"]


def test_workers_and_interruptions_do_not_matter(reference: Path, tmp_path: Path) -> None:
    def interrupt(step: str, done: int, total: int | None) -> None:
        if done >= 1000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(tmp_path / "a", spectra=1200, seed=4, workers=2, progress=interrupt)
    summary = simulate(tmp_path / "a", spectra=1200, seed=4, workers=2)
    assert (summary.already, summary.ingested) == (1000, 200)
    assert content(tmp_path / "a") == content(reference)


def test_more_spectra_extend_the_survey(reference: Path, tmp_path: Path) -> None:
    simulate(tmp_path / "a", spectra=1100, seed=4, workers=1)
    summary = simulate(tmp_path / "a", spectra=1200, seed=4, workers=1)
    assert (summary.ingested, summary.rejected, summary.total) == (100, 0, 1200)
    assert content(tmp_path / "a")["truth"] == content(reference)["truth"]


def test_other_settings_for_the_same_seed_are_refused(reference: Path) -> None:
    with pytest.raises(ArchiveError, match=r"other settings.*prevalence = None, now 0\.25"):
        simulate(reference, spectra=1200, seed=4, prevalence=0.25)


def test_hosts_are_real_stars_that_carry_the_lines(reference: Path, tmp_path: Path) -> None:
    summary = simulate(tmp_path / "a", spectra=300, seed=5, prevalence=0.2, hosts=reference, workers=1)
    assert (summary.ingested, summary.rejected) == (300, 0)
    hosts, archive = open_archive(reference), open_archive(tmp_path / "a")
    with open(tmp_path / "a" / "truth.csv", newline="") as stream:
        truth = list(csv.DictReader(stream))
    assert 30 < sum(row["target"] == "true" for row in truth) < 90
    for row in [row for row in truth if row["class"] == "star"][:20]:
        made, real = archive.spectrum(row["identifier"]), hosts.spectrum(row["object"])
        np.testing.assert_array_equal(made.flux, real.flux)
        assert (made.meta.ra, made.meta.survey_class) == (real.meta.ra, "STAR")
    carrying = [row for row in truth if row["target"] == "true" and float(row["emission_width"]) > 3]
    for row in carrying[:5]:
        made, real = archive.spectrum(row["identifier"]), hosts.spectrum(row["object"])
        alpha = np.abs(made.wavelength - 6564.6) < 8
        assert made.flux[alpha].sum() > real.flux[alpha].sum()


def test_an_archive_without_stars_is_no_host(tmp_path: Path) -> None:
    ingest_blocks([], tmp_path / "empty", survey="test")
    with pytest.raises(ArchiveError, match="no stars"):
        simulate(tmp_path / "a", spectra=10, seed=1, hosts=tmp_path / "empty")
    assert not (tmp_path / "a").exists()


def test_temperatures_of_types() -> None:
    types = ["O9V", "B5", "A0", "F5IV", "G2V", "K5", "dM4", "M"]
    temperatures = [temperature_of(each) for each in types]
    assert temperatures == sorted(temperatures, reverse=True)
    assert temperature_of("G2V") == pytest.approx(5772, abs=100)
    assert math.isnan(temperature_of(""))
    assert math.isnan(temperature_of("CV"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"preset": "keck"}, "preset"), ({"prevalence": 1.5}, "prevalence"), ({"spectra": 0}, "spectra")],
)
def test_senseless_settings_are_refused_before_anything_is_made(
    tmp_path: Path, settings: dict[str, object], message: str
) -> None:
    arguments = {"spectra": 10, "seed": 1, "preset": "lamost"} | settings
    with pytest.raises(ConfigError, match=message):
        simulate(tmp_path / "a", **arguments)  # type: ignore[arg-type]
    assert not (tmp_path / "a").exists()
