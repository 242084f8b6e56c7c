"""A campaign's configuration: what is unknown or senseless is refused, with what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from emberline.campaign.config import CampaignConfig
from emberline.config import from_mapping, to_mapping
from emberline.errors import ConfigError

GOOD = """
name = "Be stars"
classes = ["none", "emission"]
targets = ["emission"]
recipe = "halpha-140"

[pool]
archives = ["lamost"]
where = "snr > 10"

[[start]]
archive = "ondrejov"
table = "labels.csv"
classes = { "double-peak" = "emission", "*" = "none" }

[train]
network = "vgg"

[query]
strategy = "entropy"
batch = 50
"""


def _load(folder: Path, text: str) -> CampaignConfig:
    path = folder / "campaign.toml"
    path.write_text(text, encoding="utf-8")
    return CampaignConfig.load(path)


def test_paths_are_taken_from_the_files_folder(tmp_path: Path) -> None:
    config = _load(tmp_path, GOOD)
    assert config.pool.archives == (tmp_path / "lamost",)
    assert (config.start[0].archive, config.start[0].table) == (tmp_path / "ondrejov", tmp_path / "labels.csv")
    assert config.train.network == "vgg"
    assert (config.answers, config.target_indices) == (("none", "emission", "not sure", "bad"), (1,))


def test_a_configuration_survives_being_written(tmp_path: Path) -> None:
    config = _load(tmp_path, GOOD)
    assert from_mapping(CampaignConfig, to_mapping(config)) == config


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("targets =", "tragets =", "unknown key 'tragets'.*Did you mean 'targets'"),
        ("batch = 50", "bach = 50", r"\[query\]: unknown key 'bach'.*Did you mean 'batch'"),
        ('network = "vgg"', 'network = "vggg"', "'vggg'.*Did you mean 'vgg'"),
        ("batch = 50", "batch = 0", "query.batch is 0"),
        ("batch = 50", 'batch = "many"', "found 'many', expected a whole number"),
        ('targets = ["emission"]', 'targets = ["emision"]', "choose from the classes"),
        ('targets = ["emission"]', 'targets = ["none", "emission"]', "every class is a target"),
        ('classes = ["none", "emission"]', 'classes = ["none", "none"]', "two different ones"),
        ('archives = ["lamost"]', "archives = []", "pool.archives is empty"),
        ('recipe = "halpha-140"', "", "the key 'recipe' is missing"),
        ('name = "Be stars"', 'name = "Be stars', "not valid TOML"),
        ('"double-peak" = "emission"', '"double-peak" = "emision"', "taken to mean 'emision'"),
        ("batch = 50", "batch = 50\n[stop]\nrounds = -1", "stop.rounds is -1"),
    ],
)
def test_what_is_wrong_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError, match=message):
        _load(tmp_path, GOOD.replace(old, new))
