"""A simulated survey in an archive: the same for any workers, resumable, with its truth beside."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from archives import content

from emberline.archive import open_archive, simulate
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
