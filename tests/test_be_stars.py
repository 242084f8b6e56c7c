"""The published search in small: trained on the Ondřejov archive, asked of real LAMOST spectra."""

from __future__ import annotations

from pathlib import Path

import pytest

from emberline.archive import ingest
from emberline.campaign import Campaign, CampaignConfig, new_campaign

pytestmark = [pytest.mark.data, pytest.mark.slow]


@pytest.fixture(scope="module")
def campaign(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """The campaign of examples/be-stars.toml, run on the pack of real spectra."""
    folder = tmp_path_factory.mktemp("be-stars")
    ingest([data / "lamost"], folder / "lamost")
    ingest([data / "ondrejov" / "halpha_labelled.csv"], folder / "ondrejov")
    example = Path(__file__).parents[1] / "examples" / "be-stars.toml"
    (folder / "be-stars.toml").write_text(example.read_text(encoding="utf-8"), encoding="utf-8")
    made = new_campaign(folder / "campaign", CampaignConfig.load(folder / "be-stars.toml"))
    made.run(data / "lamost" / "halpha_truth.csv")
    return made


def test_all_readable_lamost_spectra_are_in_the_pool(campaign: Campaign) -> None:
    assert len(campaign.pool) == 1883


def test_at_least_16_of_the_17_emitters_are_found_with_250_labels(campaign: Campaign, data: Path) -> None:
    last = campaign.rounds()[-1]["summary"]
    assert last["labels_query"] + last["labels_control"] <= 250
    assert last["truth"]["targets"] == 17
    assert round(last["truth"]["completeness"] * 17) >= 16
    assert last["truth"]["purity"] >= 0.9


def test_emitters_are_told_to_be_nebular_or_stellar(campaign: Campaign) -> None:
    table = campaign.candidates()
    labelled = table[table["label"] != ""]
    assert set(labelled["label"]) == {"stellar", "nebular"}
    agree = sum(label == predicted for label, predicted in zip(labelled["label"], labelled["predicted"], strict=True))
    assert agree >= 0.8 * len(labelled)


def test_the_be_star_bt_cmi_is_among_them_and_stellar(campaign: Campaign) -> None:
    table = campaign.candidates()
    rows = [row for row in table if "bt-cmi" in row["source_file"]]
    assert len(rows) == 1
    assert (rows[0]["label"] or rows[0]["predicted"]) == "stellar"


def test_the_report_shows_it(campaign: Campaign, tmp_path: Path) -> None:
    page = campaign.write_report(tmp_path).read_text(encoding="utf-8")
    assert "nebular" in page
    assert "stellar" in page
    assert campaign.config.name in page
