"""What is shown beside a question: enough, from few files, and nothing that would give the answer away."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from emberline.archive import ingest_blocks, open_archive
from emberline.campaign import Campaign, CampaignConfig, new_campaign
from emberline.campaign.annotation.desk import Desk
from emberline.campaign.config import AnnotationConfig, PoolConfig, StartConfig
from emberline.errors import CampaignError
from emberline.spectra import SpectrumBlock
from tests.campaign.annotation.conftest import MakeCampaign
from tests.campaign.conftest import lines, write_truth


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign on two archives that share objects, in its second round; the first has been answered by ann."""
    from emberline.learn import TrainConfig

    folder = tmp_path_factory.mktemp("trained")
    block, truth = lines(200, targets=40, seed=11)
    ingest_blocks([block], folder / "survey", survey="first")
    # The second archive has the same stars 1″ further north, in reverse order, and one of them twice.
    meta = [
        dataclasses.replace(m, identifier=f"t-{m.identifier}", dec=m.dec + 1 / 3600, survey="second")
        for m in block.meta
    ]
    meta[1] = dataclasses.replace(meta[1], ra=meta[0].ra, dec=meta[0].dec)
    other = SpectrumBlock(block.grid, block.flux[::-1].copy(), block.ivar, block.mask, meta[::-1])
    ingest_blocks([other], folder / "other", survey="second")
    truth |= {f"t-{name}": answer for name, answer in truth.items()}
    starts, known = lines(60, targets=20, seed=12)
    ingest_blocks([starts], folder / "start", survey="start")
    config = CampaignConfig(
        name="Two archives",
        classes=("none", "emission"),
        targets=("emission",),
        recipe="halpha-140",
        pool=PoolConfig(archives=(folder / "survey", folder / "other")),
        start=(StartConfig(archive=folder / "start", table=write_truth(folder / "start.csv", known)),),
        train=TrainConfig(members=1, epochs=2, epoch_steps=5),
        annotation=AnnotationConfig(repeats=0.0),
    )
    config = dataclasses.replace(
        config,
        query=dataclasses.replace(config.query, batch=20),
        control=dataclasses.replace(config.control, per_round=10),
    )
    campaign = new_campaign(folder / "campaign", config)
    campaign.run(truth, rounds=1, who="ann")
    campaign.advance(batch=20)
    campaign.close()
    return campaign.path


@pytest.fixture
def desk(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk at a copy of it, whose pool cannot be opened."""
    shutil.copytree(trained, tmp_path / "copy")
    campaign = Campaign(tmp_path / "copy")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the pool was opened")

    monkeypatch.setattr("emberline.campaign.campaign.open_pool", refuse)
    monkeypatch.setattr("emberline.archive.matrix.open_features", refuse)
    return Desk(campaign, "ann")


def test_the_whole_spectrum_and_the_window_come_without_the_pool(desk: Desk) -> None:
    for task in desk.queue(40):
        view = desk.view(task.identifier, task=task.token)
        (path,) = [p for p in desk.campaign.config.pool.archives if p.name == view.archive]
        spectrum = open_archive(path).spectrum(task.identifier)
        np.testing.assert_array_equal(view.flux, spectrum.flux)
        np.testing.assert_array_equal(view.wavelength, spectrum.wavelength)
        assert view.metadata["survey"] == {"survey": "first", "other": "second"}[view.archive]
        assert view.metadata["velocity_frame"]
        assert "redshift" not in view.metadata, "what is not known is left out"
        assert view.window.wavelength.shape == view.window.values.shape == (140,)


def test_the_window_is_what_the_network_was_given(trained: Path) -> None:
    campaign = Campaign(trained)
    names = [task.identifier for task in Desk(campaign, "zoe").queue(5)]
    expected = campaign.pool.values[campaign.pool.rows(names)]
    np.testing.assert_array_equal(Desk(campaign, "zoe").windows(names), expected)
    Desk(campaign, "zoe").release()


def test_opinion_and_reason_stay_hidden_until_the_answer(desk: Desk) -> None:
    purposes = set()
    for task in desk.queue(40):
        before = desk.view(task.identifier, task=task.token)
        assert (before.opinion, before.why, before.decision) == (None, None, None)
        revealed = desk.view(task.identifier, task=task.token, reveal=True)
        assert revealed.opinion is not None
        assert revealed.why is None, "a control question must not be known as one before it is answered"
        desk.answer(task.identifier, "none", task=task.token)
        after = desk.view(task.identifier)
        assert after.why is not None
        assert after.opinion == revealed.opinion
        assert after.decision is not None
        assert after.decision.answer == "none"
        assert bool(after.why.stratum) == (after.why.purpose == "control")
        purposes.add(after.why.purpose)
    assert purposes == {"query", "control"}


def test_the_opinion_is_that_of_the_round(trained: Path) -> None:
    campaign = Campaign(trained)
    desk = Desk(campaign, "zoe")
    probabilities = campaign.probabilities()
    for task in desk.queue(6):
        opinion = desk.view(task.identifier, reveal=True).opinion
        assert opinion is not None
        row = int(campaign.pool.rows([task.identifier])[0])
        np.testing.assert_allclose(list(opinion.probabilities.values()), probabilities[row], atol=1e-6)
        assert opinion.rank == 1 + int((probabilities[:, 1] > probabilities[row, 1]).sum())
        assert opinion.pool == 400
        assert opinion.margin == pytest.approx(abs(2 * probabilities[row, 1] - 1), abs=1e-6)
        assert 0 <= opinion.entropy <= 1
    desk.release()


def test_a_question_that_comes_again_hides_what_was_said_first(make_campaign: MakeCampaign) -> None:
    desk = Desk(make_campaign(40, 0, repeats=0.2), "ann")
    seen: set[str] = set()
    silent = 0
    while tasks := desk.queue(2):
        for task in tasks:
            view = desk.view(task.identifier, task=task.token)
            assert (view.decision, view.why) == (None, None)
            silent += task.identifier in seen
            seen.add(task.identifier)
            desk.note(task.identifier, comment="first", task=task.token)
            desk.answer(task.identifier, "none", task=task.token)
            again = desk.view(task.identifier, task=task.token)
            assert again.decision is not None
            assert again.decision.answer == "none"
    assert silent >= 3


def test_neighbours_are_labelled_and_near(desk: Desk) -> None:
    labels = {label.identifier: label.answer for label in desk.campaign.labels()}
    start = set(desk.campaign.start.identifiers.tolist())
    for task in desk.queue(10):
        near = desk.neighbours(task.identifier, 4)
        assert len(near) == 4
        assert [n.distance for n in near] == sorted(n.distance for n in near)
        assert {n.space for n in near} == {"network"}
        for neighbour in near:
            assert neighbour.identifier != task.identifier
            assert neighbour.identifier in (labels if neighbour.source == "label" else start)
            assert neighbour.values.shape == (140,)


def test_neighbours_are_found_by_pixels_before_the_first_network(make_campaign: MakeCampaign) -> None:
    desk = Desk(make_campaign(10, 0), "ann")
    tasks = desk.queue(6)
    assert desk.neighbours(tasks[0].identifier) == []
    for task in tasks[1:]:
        desk.answer(task.identifier, "none", task=task.token)
    values = desk.windows([task.identifier for task in tasks])
    nearest = 1 + int(np.argmin(np.linalg.norm(values[1:] - values[0], axis=1)))
    first = desk.neighbours(tasks[0].identifier)[0]
    assert (first.identifier, first.space) == (tasks[nearest].identifier, "pixels")


def test_other_spectra_of_the_object_are_found_in_all_archives(desk: Desk) -> None:
    names = [task.identifier for task in desk.queue(40)]
    both = 0
    for name in names:
        found = desk.siblings(name)
        assert found.failures == {}
        expected = name.removeprefix("t-") if name.startswith("t-") else f"t-{name}"
        (other,) = [s for s in found.spectra if s.identifier == expected] or [None]
        if other is not None:
            both += 1
            assert not other.same_archive
            assert other.separation_arcsec == pytest.approx(1.0, abs=0.01)
            assert desk.sibling(name, other.identifier, other.archive).meta.identifier == other.identifier
    assert both >= len(names) - 2
    with pytest.raises(CampaignError, match="no other spectrum"):
        desk.sibling(names[0], "nobody", "other")


def test_repeats_in_the_same_archive_are_listed_first(trained: Path, tmp_path: Path) -> None:
    from emberline.campaign.annotation.events import Question

    shutil.copytree(trained, tmp_path / "copy")
    campaign = Campaign(tmp_path / "copy")
    campaign.database.start_round(9, batch=1, control=0)
    campaign.database.ask([Question(9, 0, "t-s11-00000", "query", "by hand")])
    spectra = Desk(campaign, "ann").siblings("t-s11-00000").spectra
    assert [(s.identifier, s.same_archive) for s in spectra] == [("t-s11-00001", True), ("s11-00000", False)]


def test_an_archive_that_is_missing_is_named_and_does_not_block(desk: Desk, tmp_path: Path) -> None:
    config = desk.campaign.config
    gone = StartConfig(archive=tmp_path / "gone")
    desk.campaign.config = dataclasses.replace(config, start=(gone,))
    found = desk.siblings(desk.queue(1)[0].identifier)
    assert list(found.failures) == ["gone"]
    assert found.spectra


def test_rounds_of_an_older_version_are_read_from_the_pool(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "copy")
    for path in (tmp_path / "copy").rglob("asked.npz"):
        path.unlink()
    campaign = Campaign(tmp_path / "copy")
    desk = Desk(campaign, "ann")
    (task,) = desk.queue(1)
    assert desk.view(task.identifier, reveal=True).opinion is not None
    assert list(campaign.path.rglob("asked.npz")), "it is made once"
