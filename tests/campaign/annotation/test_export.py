"""An export holds every event, and what holds can be worked out again from it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from emberline.campaign.annotation.desk import Desk
from emberline.campaign.annotation.events import Event
from emberline.campaign.annotation.export import export_labels
from emberline.campaign.annotation.state import replay
from emberline.errors import CampaignError
from tests.campaign.annotation.conftest import MakeCampaign


def _work(desk: Desk) -> None:
    a, b, c = desk.queue(3)
    desk.answer(a.identifier, "none", task=a.token, seconds=1.5, shown={"revealed": False})
    desk.note(a.identifier, quality=2, flags=["noteworthy"], comment='"čára", ★\nsecond line')
    desk.answer(b.identifier, "emission")
    desk.undo()
    desk.skip(c.identifier)


def test_json_holds_all_that_is_needed_to_replay(make_campaign: MakeCampaign, tmp_path: Path) -> None:
    campaign = make_campaign()
    _work(Desk(campaign, "ann"))
    assert export_labels(campaign, tmp_path / "labels.json") == 5
    content = json.loads((tmp_path / "labels.json").read_text(encoding="utf-8"))
    events = []
    for record in content["events"]:
        record.pop("holds")
        events.append(Event(**{"answer" if key == "class" else key: value for key, value in record.items()}))
    assert replay(events) == campaign.database.state()
    assert [label["answer"] for label in content["labels"]] == ["none"]
    assert len(content["questions"]) == 16


def test_csv_has_a_row_for_each_event(make_campaign: MakeCampaign, tmp_path: Path) -> None:
    campaign = make_campaign()
    _work(Desk(campaign, "ann"))
    export_labels(campaign, tmp_path / "labels.csv")
    with open(tmp_path / "labels.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["kind"], row["class"], row["holds"]) for row in rows] == [
        ("label", "none", "True"),
        ("note", "", "True"),
        ("label", "emission", "False"),
        ("undo", "", "False"),
        ("skip", "", "True"),
    ]
    assert json.loads(rows[1]["details"])["comment"] == '"čára", ★\nsecond line'
    assert json.loads(rows[0]["shown"]) == {"revealed": False}


def test_another_format_is_refused(make_campaign: MakeCampaign, tmp_path: Path) -> None:
    with pytest.raises(CampaignError, match=r"ends in \.csv or \.json"):
        export_labels(make_campaign(), tmp_path / "labels.xlsx")
    assert not list(tmp_path.glob("*.xlsx"))
