"""Labels are events: appended, undone by events, never changed."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emberline.campaign.database import SCHEMA_VERSION, Database, Question
from emberline.errors import CampaignError, NewerVersionError


@pytest.fixture
def database(tmp_path: Path) -> Database:
    made = Database.create(tmp_path / "campaign.db", {"created": "now", "emberline": "0"})
    made.start_round(0, batch=3, control=1)
    made.ask([Question(0, rank, f"s{rank}", "query", "entropy") for rank in range(3)])
    return made


def _held(database: Database) -> dict[str, str]:
    return {label.identifier: label.answer for label in database.labels()}


def test_the_last_label_holds_and_undo_brings_back_what_held_before(database: Database) -> None:
    question = database.questions(0)[0]
    (first,) = database.add_labels([(question, "emission")], who="ann", model="round-000")
    (second,) = database.add_labels([(question, "none")], who="ann", model="round-000")
    assert _held(database) == {"s0": "none"}
    database.undo(second, who="ann")
    assert _held(database) == {"s0": "emission"}
    database.undo(first, who="ann")
    assert _held(database) == {}
    assert [event["kind"] for event in database.events()] == ["label", "label", "undo", "undo"]


def test_a_label_is_undone_once(database: Database) -> None:
    (event,) = database.add_labels([(database.questions(0)[0], "none")], who="ann", model="")
    database.undo(event, who="ann")
    with pytest.raises(CampaignError, match="undone already"):
        database.undo(event, who="ann")
    with pytest.raises(CampaignError, match="no label event 99"):
        database.undo(99, who="ann")


def test_events_cannot_be_changed_or_deleted(database: Database) -> None:
    database.add_labels([(database.questions(0)[0], "none")], who="ann", model="")
    with sqlite3.connect(database.path) as connection:
        with pytest.raises(sqlite3.IntegrityError, match="never changed"):
            connection.execute("UPDATE events SET class = 'emission'")
        with pytest.raises(sqlite3.IntegrityError, match="never deleted"):
            connection.execute("DELETE FROM events")
    connection.close()


def test_a_batch_of_labels_is_stored_whole_or_not_at_all(database: Database) -> None:
    good, other = database.questions(0)[:2]

    def answers():  # type: ignore[no-untyped-def]
        yield good, "none"
        yield other, "none"
        raise RuntimeError("the power went")

    with pytest.raises(RuntimeError, match="power"):
        database.add_labels(answers(), who="ann", model="")
    assert database.events() == []


def test_a_label_is_on_disk_when_the_call_returns(database: Database) -> None:
    database.add_labels([(database.questions(0)[0], "émission ★")], who="Žofie", model="m", details={"seconds": 2.5})
    (label,) = Database(database.path).labels()
    assert (label.answer, label.who, label.details) == ("émission ★", "Žofie", {"seconds": 2.5})


def test_rounds_and_steps_are_kept(database: Database) -> None:
    database.finish_step(0, "train", 1.5)
    database.finish_step(0, "train", 2.5)
    database.start_round(1, batch=0, control=1)
    database.ask([Question(1, 0, "s9", "control", "control", 2)])
    database.finish_round(0, {"purity": None})
    again = Database(database.path)
    assert again.steps(0) == {"train": 2.5}
    assert again.questions(1) == [Question(1, 0, "s9", "control", "control", 2)]
    assert [row["summary"] for row in again.rounds()] == [{"purity": None}, None]


def test_a_newer_campaign_is_refused(database: Database) -> None:
    with sqlite3.connect(database.path) as connection:
        connection.execute("UPDATE meta SET value = ? WHERE key = 'schema_version'", (str(SCHEMA_VERSION + 1),))
    connection.close()
    with pytest.raises(NewerVersionError, match=rf"schema {SCHEMA_VERSION + 1}.*Upgrade"):
        Database(database.path)


def test_what_is_no_campaign_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CampaignError, match="no campaign here"):
        Database(tmp_path / "campaign.db")
    (tmp_path / "campaign.db").write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(CampaignError, match="not a campaign data base"):
        Database(tmp_path / "campaign.db")


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["a", "b", "undo"])), max_size=12))
def test_any_sequence_replays_to_the_same_state(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[int, str]]
) -> None:
    database = Database.create(tmp_path_factory.mktemp("campaign") / "campaign.db", {})
    database.start_round(0, batch=3, control=0)
    questions = [Question(0, rank, f"s{rank}", "query", "x") for rank in range(3)]
    database.ask(questions)
    model: dict[str, list[tuple[int, str]]] = {q.identifier: [] for q in questions}
    for which, action in actions:
        question = questions[which]
        stack = model[question.identifier]
        if action != "undo":
            (event,) = database.add_labels([(question, action)], who="x", model="")
            stack.append((event, action))
        elif stack:
            database.undo(stack.pop()[0], who="x")
    reopened = Database(database.path)
    assert _held(reopened) == {name: stack[-1][1] for name, stack in model.items() if stack}
    reopened.close()
    database.close()


def test_a_backup_is_whole_while_others_work_on(database: Database, tmp_path: Path) -> None:
    database.add_labels([(database.questions(0)[0], "none")], who="ann", model="")
    database.backup(tmp_path / "copy.db")
    database.add_labels([(database.questions(0)[1], "none")], who="ann", model="")
    copy = Database(tmp_path / "copy.db")
    assert _held(copy) == {"s0": "none"}
    assert copy.questions() == database.questions()
