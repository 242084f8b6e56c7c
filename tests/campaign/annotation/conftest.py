"""A campaign with a round of questions, made without training anything."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from emberline.campaign import Campaign, CampaignConfig, new_campaign
from emberline.campaign.annotation.events import Question
from emberline.campaign.config import AnnotationConfig


@pytest.fixture(scope="session")
def empty_campaign(survey: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign on the small survey in which nothing has been asked."""
    from emberline.campaign.config import PoolConfig

    config = CampaignConfig(
        name="Labelling",
        classes=("none", "emission"),
        targets=("emission",),
        recipe="halpha-140",
        pool=PoolConfig(archives=(survey / "survey",)),
    )
    return new_campaign(tmp_path_factory.mktemp("labelling") / "campaign", config).path


MakeCampaign = Callable[..., Campaign]


@pytest.fixture
def make_campaign(empty_campaign: Path, tmp_path: Path) -> MakeCampaign:
    """A function that makes a campaign with `query` and `control` questions, annotated by the rules given."""

    def make(query: int = 12, control: int = 4, name: str = "campaign", **rules: object) -> Campaign:
        import shutil

        shutil.copytree(empty_campaign, tmp_path / name)
        campaign = Campaign(tmp_path / name)
        campaign.config = dataclasses.replace(
            campaign.config,
            annotation=AnnotationConfig(**{"repeats": 0.0, **rules}),  # type: ignore[arg-type]
        )
        ask(campaign, 0, query, control)
        return campaign

    return make


def ask(campaign: Campaign, number: int, query: int, control: int) -> None:
    """Open a round and ask questions about the first spectra of the survey that have not been asked about."""
    campaign.database.start_round(number, batch=query, control=control)
    first = len(campaign.database.questions())
    names = [f"s5-{i:05d}" for i in range(first, first + query + control)]
    questions = [
        Question(number, rank, name, "control", "control", rank % 4) for rank, name in enumerate(names[:control])
    ]
    questions += [Question(number, rank, name, "query", "entropy") for rank, name in enumerate(names[control:])]
    campaign.database.ask(questions)
