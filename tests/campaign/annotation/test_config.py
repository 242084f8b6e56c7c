"""The rules of annotation in a campaign's configuration."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from emberline.campaign import Campaign, CampaignConfig, new_campaign
from emberline.campaign.annotation.guidelines import guidelines_of
from emberline.campaign.config import AnnotationConfig, PoolConfig
from emberline.config import from_mapping, to_mapping
from emberline.errors import ConfigError

GOOD = {
    "name": "x",
    "classes": ["none", "be"],
    "targets": ["be"],
    "recipe": "halpha-140",
    "pool": {"archives": ["a"]},
}


def test_a_configuration_without_it_has_the_defaults_and_survives_being_written() -> None:
    config = from_mapping(CampaignConfig, GOOD)
    assert config.annotation == AnnotationConfig()
    rules = {"overlap": 0.2, "annotators": 3, "hints": {"be": "…"}, "examples": {"bad": ["s1", "s2"]}}
    full = from_mapping(CampaignConfig, {**GOOD, "annotation": rules})
    assert full.annotation.examples == {"bad": ("s1", "s2")}
    assert from_mapping(CampaignConfig, to_mapping(full)) == full


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"overlap": 1.5}, "annotation.overlap is 1.5"),
        ({"repeats": -0.1}, "annotation.repeats is -0.1"),
        ({"annotators": 1}, "needs 2 or more"),
        ({"lease_minutes": 0.0}, "choose more than 0"),
        ({"hints": {"bee": "…"}}, "annotation.hints names 'bee'"),
        ({"examples": {"bee": ["s1"]}}, "annotation.examples names 'bee'"),
        ({"overlp": 0.1}, "unknown key 'overlp'.*Did you mean 'overlap'"),
    ],
)
def test_what_is_wrong_is_refused(rules: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_mapping(CampaignConfig, {**GOOD, "annotation": rules})


def test_guidelines_go_with_a_campaign_that_is_copied(survey: Path, tmp_path: Path) -> None:
    import shutil

    (tmp_path / "guide.md").write_text("Look at Hα.", encoding="utf-8")
    config = CampaignConfig(
        name="x",
        classes=("none", "emission"),
        targets=("emission",),
        recipe="halpha-140",
        pool=PoolConfig(archives=(survey / "survey",)),
        annotation=AnnotationConfig(guidelines=tmp_path / "guide.md"),
    )
    new_campaign(tmp_path / "campaign", config)
    (tmp_path / "guide.md").unlink()
    shutil.move(tmp_path / "campaign", tmp_path / "elsewhere")
    campaign = Campaign(tmp_path / "elsewhere")
    assert guidelines_of(campaign).text == "Look at Hα."
    assert campaign.stored_config.annotation.guidelines == Path("guidelines.md")
    assert dataclasses.replace(campaign.stored_config.annotation, guidelines=None) == AnnotationConfig()
