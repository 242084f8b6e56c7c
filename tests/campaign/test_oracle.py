"""A table of known answers, read as a campaign's configuration says."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from emberline.campaign.config import OracleConfig
from emberline.campaign.oracle import answers_from_rows, ask, table_oracle
from emberline.errors import CampaignError, ConfigError

ANSWERS = ("none", "nebular", "stellar", "not sure", "bad")
CATALOGUE = pa.table(
    {
        "identifier": ["lamost-1", "lamost-2", "lamost-3"],
        "source_file": ["/pack/lamost/a/one.fits.gz", "/pack/lamost/b/one.fits.gz", "plates.tar::two.fits"],
    }
)


def _table(folder: Path, text: str) -> Path:
    path = folder / "truth.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_rows_are_found_by_identifier_and_by_the_end_of_the_path(tmp_path: Path) -> None:
    path = _table(tmp_path, "path,label\nlamost/b/one.fits.gz,none\nlamost-1,bad\nelsewhere/two.fits,none\n")
    assert table_oracle(path, OracleConfig(), ANSWERS, CATALOGUE) == {"lamost-2": "none", "lamost-1": "bad"}


def test_a_path_that_fits_two_files_names_none(tmp_path: Path) -> None:
    assert table_oracle(_table(tmp_path, "path,label\none.fits.gz,none\n"), OracleConfig(), ANSWERS, CATALOGUE) == {}


def test_templates_and_patterns_give_the_classes(tmp_path: Path) -> None:
    config = OracleConfig(
        label="{label}/{kind}",
        classes={"emission/nebular": "nebular", "emission/stellar*": "stellar", "none/*": "none"},
    )
    rows = [
        {"label": "emission", "kind": "stellar (M dwarf)"},
        {"label": "emission", "kind": "nebular"},
        {"label": "none", "kind": None},
    ]
    assert answers_from_rows(rows, config, ANSWERS, where="t") == ["stellar", "nebular", "none"]


@pytest.mark.parametrize(
    ("text", "config", "message"),
    [
        ("identifier,label\nlamost-1,weird\n", OracleConfig(), r"row 1: .*'weird'.*'none'.*Say what it means"),
        ("star,label\nx,none\n", OracleConfig(), "no column names the spectra.*found star, label"),
        ("identifier,label\nx,none\n", OracleConfig(key="obsid"), "no column 'obsid'"),
        ("identifier,kind\nlamost-1,none\n", OracleConfig(), "template '{label}' does not fit"),
        ("", OracleConfig(), "empty"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(tmp_path: Path, text: str, config: OracleConfig, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        table_oracle(_table(tmp_path, text), config, ANSWERS, CATALOGUE)


def test_a_table_saved_by_a_spreadsheet_is_read(tmp_path: Path) -> None:
    path = tmp_path / "truth.csv"
    path.write_text("identifier,label\nlamost-1,none\n", encoding="utf-8-sig")
    assert table_oracle(path, OracleConfig(), ANSWERS, CATALOGUE) == {"lamost-1": "none"}


def test_two_answers_for_one_spectrum_are_refused(tmp_path: Path) -> None:
    path = _table(tmp_path, "identifier,label\nlamost-1,none\nlamost-1,none\nlamost-1,bad\n")
    with pytest.raises(ConfigError, match=r"row 3: lamost-1 has two different answers.*'bad'.*'none'"):
        table_oracle(path, OracleConfig(), ANSWERS, CATALOGUE)


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.csv: cannot be read"):
        table_oracle(tmp_path / "nowhere.csv", OracleConfig(), ANSWERS, CATALOGUE)


def test_a_function_that_answers_nonsense_is_caught() -> None:
    assert ask(lambda names: ["none", None], ["a", "b"], ANSWERS) == ["none", None]
    with pytest.raises(CampaignError, match="another number"):
        ask(lambda names: ["none"], ["a", "b"], ANSWERS)
    with pytest.raises(CampaignError, match=r"b: .*'maybe'"):
        ask(lambda names: ["none", "maybe"], ["a", "b"], ANSWERS)
