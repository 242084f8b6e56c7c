"""The command publish: what it prints, what it refuses, and that it takes back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from emberline.archive import ingest_blocks
from emberline.cli import cli
from emberline.errors import ConfigError
from emberline.spectra import Grid, Metadata, SpectrumBlock

OPTIONS = [
    "--title", "Spectra", "--creator", "Doe, J.", "--creator", "Roe, R.", "--description", "Spectra for a test.",
    "--subject", "be-stars", "--publisher", "Observatory", "--contact-name", "J. Doe",
    "--contact-email", "doe@example.org", "--authority", "example.org",
]  # fmt: skip


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    grid = Grid.linear(6500.0, 1.0, 50)
    flux = np.ones((3, grid.n), "f4")
    meta = [Metadata(identifier=f"s{i}", ra=40.0 + i, dec=20.0, survey="Test") for i in range(3)]
    ingest_blocks(
        [SpectrumBlock(grid, flux, flux, np.zeros(flux.shape, "u1"), meta)], tmp_path / "stars", survey="Test"
    )
    return tmp_path / "stars"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, list(map(str, arguments)))


def test_publish_says_what_it_did(archive: Path) -> None:
    result = run("publish", archive, *OPTIONS)
    assert result.exit_code == 0, result.output
    assert "Published stars, version 1: ivo://example.org/stars" in result.stdout
    assert "/vo/stars/" in result.stdout
    again = run("publish", archive, "--json")
    found = json.loads(again.stdout)
    assert (found["version"], found["versions"], found["creators"]) == (2, [1, 2], ["Doe, J.", "Roe, R."])


def test_what_is_missing_is_listed(archive: Path) -> None:
    result = run("publish", archive, "--title", "Only a title")
    assert isinstance(result.exception, ConfigError)
    assert "--creator" in str(result.exception)
    assert "--title" not in str(result.exception)
    assert not (archive / "publication.toml").exists()


def test_a_file_may_say_it_all(archive: Path, tmp_path: Path) -> None:
    draft = tmp_path / "draft.toml"
    draft.write_text(
        'name = "be_stars"\ntitle = "Spectra"\ncreators = ["Doe, J."]\ndescription = "For a test."\n'
        'subjects = ["be-stars"]\npublisher = "Observatory"\ncontact-name = "J. Doe"\n'
        'contact-email = "doe@example.org"\nauthority = "example.org"\naperture-arcsec = 2\n'
    )
    result = run("publish", archive, "--config", draft, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["name"], found["aperture_arcsec"]) == ("be_stars", 2.0)


def test_withdraw(archive: Path) -> None:
    assert run("publish", archive, *OPTIONS).exit_code == 0
    assert run("publish", archive).exit_code == 0
    assert "version 1 of stars" in run("publish", archive, "--withdraw", "--version", "1").stdout
    assert "Withdrawn: stars." in run("publish", archive, "--withdraw").stdout
    assert isinstance(run("publish", archive, "--withdraw").exception, ConfigError)
    assert (archive / "catalogue.parquet").exists()


def test_a_version_goes_with_withdrawing_only(archive: Path) -> None:
    result = run("publish", archive, *OPTIONS, "--version", "3")
    assert result.exit_code == 2
    assert "--withdraw" in result.output
