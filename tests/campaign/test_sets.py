"""Sets that a person brings: found in the pool, asked about once, and without harm to the estimates."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from astropy import units
from astropy.table import Column, Table

from emberline.campaign import Campaign, CampaignConfig, new_campaign
from emberline.campaign.annotation import Desk
from emberline.campaign.annotation.asked import asked_of_round
from emberline.campaign.annotation.assignment import agenda
from emberline.campaign.config import AnnotationConfig
from emberline.campaign.sets import ask_about, lines_of, match_table
from emberline.errors import CampaignError
from emberline.sky import offset


@pytest.fixture
def campaign(tmp_path: Path, config: CampaignConfig) -> Campaign:
    """The first round has asked: 24 queries and 10 control questions."""
    config = dataclasses.replace(config, annotation=AnnotationConfig(repeats=0.0, annotators=2, overlap=0.3))
    made = new_campaign(tmp_path / "search", config)
    made.advance()
    return made


def fresh(campaign: Campaign, n: int) -> list[str]:
    """Spectra that nobody has asked about."""
    asked = {q.identifier for q in campaign.database.questions()}
    usable = campaign.pool.identifiers[campaign.pool.usable].tolist()
    return [name for name in usable if name not in asked][:n]


def test_a_set_is_asked_next_and_its_spectra_can_be_shown_and_labelled(campaign: Campaign) -> None:
    names = fresh(campaign, 5)
    known = asked_of_round(campaign, 0).known.tolist()
    found = campaign.ask_about(names, "set received by SAMP: my targets")
    assert (found.round, found.asked) == (0, tuple(names))
    assert (found.before, found.flagged, found.unknown) == ((), (), ())
    desk = Desk(campaign, "ann")
    queue = desk.queue(6)
    assert [task.identifier for task in queue[:5]] == names
    assert queue[5].identifier not in names
    for task in queue[:5]:
        view = desk.view(task.identifier, task=task.token)
        assert view.identifier == task.identifier
        assert view.wavelength.size > 100
        desk.answer(task.identifier, "none", task=task.token)
    why = desk.view(names[0]).why
    assert why is not None
    assert (why.purpose, why.reason) == ("query", "set received by SAMP: my targets")
    assert {label.purpose for label in campaign.labels()} == {"query"}
    assert asked_of_round(campaign, 0).known.tolist() == known


def test_nothing_is_asked_twice(campaign: Campaign) -> None:
    before = sum(q.purpose == "query" for q in campaign.database.questions())
    names = fresh(campaign, 3)
    campaign.ask_about(names, "first")
    again = campaign.ask_about([*names, *fresh(campaign, 1), names[0]], "second")
    assert len(again.asked) == 1
    assert again.before == tuple(names)
    for question in [q for q in campaign.database.questions() if q.purpose == "query"][:4]:
        assert campaign.ask_about([question.identifier], "x").asked == ()
    identifiers = [q.identifier for q in campaign.database.questions() if q.purpose == "query"]
    assert len(identifiers) == len(set(identifiers)) == before + 4


def test_a_control_spectrum_stays_one_and_is_noted_as_met(campaign: Campaign) -> None:
    control = [q.identifier for q in campaign.database.questions(0) if q.purpose == "control"]
    campaign.label({control[0]: "none"}, who="ann")
    names = [control[0], control[1], *fresh(campaign, 2)]
    found = campaign.ask_about(names, "mine")
    # What waits is named, whatever it was asked for: nobody learns from it which spectra are the sample.
    assert found.asked == tuple(names[1:])
    assert found.before == (control[0],)
    entries = agenda(campaign.config, campaign.database.questions(), ())
    assert [entries[name].question.purpose for name in names] == ["control", "control", "query", "query"]
    noted = {q.identifier for q in campaign.database.questions(0) if q.purpose == "query" and q.added}
    assert noted == set(names)
    campaign.label({control[1]: "emission"}, who="ann")
    assert {label.identifier: label.purpose for label in campaign.labels()}[control[1]] == "control"


def test_the_order_and_the_sharing_of_the_rounds_own_questions_stay(campaign: Campaign) -> None:
    before = agenda(campaign.config, campaign.database.questions(), ())
    names = fresh(campaign, 7)
    campaign.ask_about(names, "mine")
    after = agenda(campaign.config, campaign.database.questions(), ())
    own = {name: entry for name, entry in after.items() if name not in names}
    assert list(after)[:7] == names
    assert list(own) == list(before)
    assert [entry.wanted for entry in own.values()] == [entry.wanted for entry in before.values()]


def test_unknown_and_flagged_spectra_are_named(campaign: Campaign) -> None:
    campaign.pool.usable[3] = False
    flagged = str(campaign.pool.identifiers[3])
    found = campaign.ask_about(["nobody", flagged], "mine")
    assert (found.unknown, found.flagged, found.asked) == (("nobody",), (flagged,), ())
    said = list(lines_of(found))
    assert said[0] == "0 spectra were added to the questions of round 0."
    assert any("nobody" in line and "not in the pool" in line for line in said)


def test_without_an_open_round_nothing_is_added(campaign: Campaign) -> None:
    names = fresh(campaign, 1)
    campaign.finish_round()
    with pytest.raises(CampaignError, match="no round waits for answers"):
        campaign.ask_about(names, "mine")
    # A round whose own questions are not asked yet would lose them: it has some already, it would find.
    campaign.database.start_round(1, batch=5, control=5)
    with pytest.raises(CampaignError, match="no round waits for answers"):
        campaign.ask_about(names, "mine")
    with pytest.raises(CampaignError, match="needs spectra"):
        campaign.ask_about([" "], "mine")


def test_the_rounds_go_on_and_the_estimate_holds_with_a_set_rich_in_targets(
    campaign: Campaign, survey: Path, config: CampaignConfig
) -> None:
    """Half of all targets are brought by a person who knows them: completeness must not be thought worse or better."""
    from emberline.campaign.oracle import table_oracle

    catalogue = campaign.pool.catalogue(["identifier", "source_file"])
    truth = table_oracle(survey / "truth.csv", config.oracle, config.answers, catalogue)
    targets = sorted(name for name, answer in truth.items() if answer == "emission")
    campaign.ask_about([*targets[:10], *sorted(truth)[:30]], "from my list")
    summaries = campaign.run(survey / "truth.csv")
    last = summaries[-1]
    assert last["completeness"]["low"] <= last["truth"]["completeness"] <= last["completeness"]["high"]
    assert last["purity"]["low"] <= last["truth"]["purity"] <= last["purity"]["high"]
    assert {label.identifier for label in campaign.labels()} >= set(targets[:10])


# From a table to spectra ---------------------------------------------------------------------------------------------


def test_a_column_of_identifiers_is_found_whatever_its_name(campaign: Campaign) -> None:
    names = campaign.pool.identifiers[:4].tolist()
    table = Table(
        {"junk": ["a", "b", "c", "d", "e"], "obs_publisher_did": [f"ivo://x/y?{n}" for n in names] + ["none"]}
    )
    found = match_table(campaign, table)
    assert found.identifiers == tuple(names)
    assert (found.rows, found.missed, found.by) == (5, 1, "the column obs_publisher_did")
    of_bytes = Table({"Star": np.array([names[2], names[2], names[0]], dtype=np.bytes_)})
    assert match_table(campaign, of_bytes).identifiers == (names[2], names[0])


@pytest.mark.parametrize("columns", [("RAJ2000", "DEJ2000"), ("ra", "dec"), ("alpha", "delta")])
def test_positions_are_matched_within_the_radius(campaign: Campaign, columns: tuple[str, str]) -> None:
    place = campaign.pool.catalogue(["ra", "dec"])
    ra, dec = (place[name].to_numpy()[:3] for name in ("ra", "dec"))
    near = offset(ra, dec, np.array([0.0, 90.0, 180.0]), np.array([2.0, 2.9, 3.5]) / 3600)
    table = Table([Column(near[0], columns[0]), Column(near[1], columns[1]), ["x", "y", "z"]], names=[*columns, "who"])
    if columns[0] == "alpha":
        table["alpha"].meta["ucd"], table["delta"].meta["ucd"] = "pos.eq.ra;meta.main", "pos.eq.dec;meta.main"
        table["alpha"] = table["alpha"] / 15
        table["alpha"].unit, table["alpha"].meta["ucd"] = units.hourangle, "pos.eq.ra;meta.main"
    found = match_table(campaign, table)
    assert found.identifiers == tuple(campaign.pool.identifiers[:2].tolist())
    assert found.missed == 1
    assert "position" in found.by
    assert len(match_table(campaign, table, radius=4.0).identifiers) == 3


def test_a_table_that_cannot_be_matched_is_refused(campaign: Campaign) -> None:
    for table in (Table({"a": [1.5, 2.5]}), Table({"ra": [np.nan], "dec": [3.0]}), Table({"ra": [], "dec": []})):
        with pytest.raises(CampaignError):
            match_table(campaign, table)


def test_positions_of_an_old_equinox_match_nothing(campaign: Campaign) -> None:
    place = campaign.pool.catalogue(["ra", "dec"])
    table = Table({"RAB1950": place["ra"].to_numpy()[:2], "DEB1950": place["dec"].to_numpy()[:2]})
    for name, ucd in (("RAB1950", "pos.eq.ra"), ("DEB1950", "pos.eq.dec")):
        table[name].meta["ucd"] = ucd
    with pytest.raises(CampaignError):
        match_table(campaign, table)


def test_two_at_once_do_not_mix(campaign: Campaign) -> None:
    names = fresh(campaign, 2)
    with campaign.alone(), pytest.raises(Exception, match="another run works"):
        ask_about(Campaign(campaign.path), names, "mine")
