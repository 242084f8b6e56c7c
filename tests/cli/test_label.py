"""The command that opens a campaign's labelling page, and the one that writes what annotators did."""

from __future__ import annotations

import csv
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from emberline.campaign import Campaign
from emberline.campaign.annotation import Desk
from emberline.web.labelling import usual_port
from tests.web.labelling import make_campaign

START = "from emberline.cli import main; main()"


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign whose archive lies beside it."""
    return make_campaign(tmp_path_factory.mktemp("mine"))


def test_label_serves_the_page_at_the_printed_address(campaign: Path) -> None:
    command = [sys.executable, "-c", START, "label", str(campaign), "--no-browser"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        found = re.search(r"http://\S+", line)
        assert found is not None, line
        with httpx.Client(follow_redirects=True, trust_env=False, timeout=30) as browser:
            page = browser.get(found[0])
            assert page.status_code == 200
            assert 'data-campaign="search"' in page.text
            assert browser.get(str(page.url.join("/api/campaigns/search"))).json()["progress"]["total"] == 70
    finally:
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=30)[1]
    assert "Traceback" not in rest


def test_a_campaign_has_a_port_of_its_own_while_it_is_free(tmp_path: Path) -> None:
    """At another one the browser would not find the answers that it has still to send."""
    port = usual_port(tmp_path / "a")
    assert usual_port(tmp_path / "." / "a") == port != usual_port(tmp_path / "b")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        assert usual_port(tmp_path / "a") == 0
    assert usual_port(tmp_path / "a") == port


def test_label_without_a_campaign_is_one_clear_line(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", START, "label", str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 1
    assert "there is no campaign here" in result.stderr
    assert "Traceback" not in result.stderr


def test_archives_elsewhere_may_be_read_by_whoever_has_them(tmp_path: Path) -> None:
    from emberline.campaign import CampaignConfig, new_campaign
    from emberline.config import from_mapping
    from emberline.web.labelling import campaign_workspace
    from tests.web.labelling import SETTINGS

    make_campaign(tmp_path / "there")
    mapping = {**SETTINGS, "pool": {"archives": ["there/survey"]}}
    new_campaign(tmp_path / "here" / "search", from_mapping(CampaignConfig, mapping).resolved(tmp_path)).close()
    workspace, page = campaign_workspace(tmp_path / "here" / "search")
    assert workspace.folder == (tmp_path / "here").resolve()
    assert page == "/label/search"
    survey = tmp_path / "there" / "survey" / "catalogue.parquet"
    assert workspace.confinement.resolve(survey) == survey.resolve()


def test_labels_writes_every_event(campaign: Path, tmp_path: Path) -> None:
    opened = Campaign(campaign)
    desk = Desk(opened, "anna")
    name = desk.queue(1)[0].identifier
    desk.answer(name, "none")
    desk.undo()
    opened.close()
    out = tmp_path / "labels.csv"
    command = [sys.executable, "-c", START, "campaign", "labels", str(campaign), "--out", str(out)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "2 events" in result.stdout
    with open(out, encoding="utf-8", newline="") as stream:
        assert [row["kind"] for row in csv.DictReader(stream)] == ["label", "undo"]
