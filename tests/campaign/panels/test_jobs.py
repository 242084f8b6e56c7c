"""The job that asks: set off by a round, beside all others; from the command line; resumed after it was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emberline.campaign import Campaign
from emberline.campaign.jobs import open_jobs
from emberline.campaign.panels import ContextStore
from emberline.campaign.panels.jobs import CONTEXT, ContextParameters, start_in_background
from emberline.campaign.panels.places import identifiers_of
from emberline.errors import ConfigError
from emberline.jobs import JobStore, Phase, Supervisor, Workspace, run_foreground
from tests.campaign.panels.conftest import make_campaign
from tests.vo.client.other_archives import Fault, OtherArchives

# The server within these tests takes uploads into files that nobody closes.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in.*Spooled:pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    folder = tmp_path / "work"
    folder.mkdir()
    make_campaign(folder).close()
    return Workspace.open(folder)


@pytest.fixture
def store(workspace: Workspace) -> Iterator[JobStore]:
    """Its jobs, with a supervisor at work that runs one at a time."""
    stop = threading.Event()
    with open_jobs(workspace) as jobs:
        thread = threading.Thread(target=Supervisor(jobs, concurrency=1).run, args=[stop])
        thread.start()
        yield jobs
        stop.set()
        thread.join(30)


def connect(workspace: Workspace, others: OtherArchives) -> None:
    """Let the workspace's ``vo.toml`` lead to the tests' other archives."""
    services = others.services
    names = ("simbad", "gaia", "vizier", "hips2fits", "registry")
    lines = ['allow = ["127.0.0.1"]', "tries = 1", "rate = 1000.0", "[services]", f'ssap = ["{services.ssap[0]}"]']
    lines += [f'{name} = "{getattr(services, name)}"' for name in names]
    (workspace.folder / "vo.toml").write_text("\n".join(lines), encoding="utf-8")


def states(workspace: Workspace) -> dict[tuple[str, str], str]:
    with ContextStore.of(workspace.folder / "search") as store:
        return store.states()


def test_the_job_asks_by_the_workspaces_configuration(
    workspace: Workspace, store: JobStore, world: OtherArchives
) -> None:
    connect(workspace, world)
    job = store.create("context", {"campaign": "search"}, run=True)
    job = wait(store, job.id)
    assert job.phase == Phase.COMPLETED, job
    found = states(workspace)
    assert world.count("/simbad") >= 1
    assert {state for (_, panel), state in found.items() if panel == "identity"} <= {"found", "nothing"}
    summary = json.loads(store.result_path(job.id, "summary.json").read_text(encoding="utf-8"))
    assert summary["campaign"] == "search"


def wait(store: JobStore, id: str) -> Any:
    job = store.job(id)
    while job.phase in (Phase.QUEUED, Phase.EXECUTING):
        job = store.wait(id, 60)
    return job


def test_a_round_sets_it_off_for_its_owner_and_does_not_wait_for_it(
    workspace: Workspace, store: JobStore, world: OtherArchives
) -> None:
    """SIMBAD hangs, and yet the next round is made, with one place for jobs only."""
    connect(workspace, world)
    hang = threading.Event()
    world.faults.append(Fault("/simbad", times=-1, hang=hang))
    first = wait(store, store.create("round", {"campaign": "search", "finish": True}, owner="anna", run=True).id)
    assert first.phase == Phase.COMPLETED, first
    (asking,) = store.jobs(type="context")
    assert (asking.owner, asking.parameters) == ("anna", {"campaign": "search"})
    second = wait(store, store.create("round", {"campaign": "search", "finish": True}, owner="anna", run=True).id)
    assert second.phase == Phase.COMPLETED, second
    assert store.job(asking.id).phase in (Phase.EXECUTING, Phase.QUEUED)
    hang.set()
    world.faults.clear()
    assert wait(store, asking.id).phase == Phase.COMPLETED


def test_a_round_that_is_made_where_no_jobs_are_is_made_all_the_same(tmp_path: Path) -> None:
    from emberline.campaign.jobs import ROUND, RoundParameters

    campaign = make_campaign(tmp_path)
    campaign.close()
    outcome = run_foreground(ROUND, RoundParameters(campaign.path, finish=True))
    assert outcome["open_questions"]
    assert not (tmp_path / "jobs").exists()


def test_only_what_is_named_is_asked(tmp_path: Path) -> None:
    campaign = make_campaign(tmp_path)
    name = identifiers_of(campaign)[0]
    outcome = run_foreground(CONTEXT, ContextParameters(campaign.path, (name,), ("literature", "spectra")))
    assert outcome["asked"] == 2
    with ContextStore.of(campaign.path) as store:
        assert set(store.states()) == {(name, "literature"), (name, "spectra")}
    with pytest.raises(ConfigError, match="there is no panel 'skye'"):
        run_foreground(CONTEXT, ContextParameters(campaign.path, panels=("skye",)))
    campaign.close()


def emberline(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "from emberline.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120, check=False
    )


def test_the_command_asks_and_tells(tmp_path: Path) -> None:
    campaign = make_campaign(tmp_path)
    campaign.close()
    path = str(campaign.path)
    before = emberline("campaign", "context", path, "--status")
    assert before.returncode == 0, before.stderr
    assert "waiting" in before.stdout
    told = json.loads(emberline("campaign", "context", path, "--json").stdout)
    assert told["spectra"] >= 12
    panels = {panel["name"]: panel for panel in told["panels"]}
    assert panels["literature"]["states"] == {"found": told["spectra"]}
    assert "offline" in panels["identity"]["message"]
    wrong = emberline("campaign", "context", path, "--panel", "photometri")
    assert wrong.returncode == 2
    assert "Did you mean 'photometry'?" in wrong.stderr
    nowhere = emberline("campaign", "context", str(tmp_path / "nowhere"))
    assert nowhere.returncode == 1
    assert "Traceback" not in nowhere.stderr


def test_a_process_beside_asks_and_leaves_a_log(tmp_path: Path) -> None:
    campaign = make_campaign(tmp_path)
    count = len(identifiers_of(campaign))
    campaign.close()
    assert start_in_background(campaign.path)
    end = time.monotonic() + 60
    with ContextStore.of(campaign.path) as store:
        while len(store.states()) < 8 * count and time.monotonic() < end:
            time.sleep(0.1)
        assert len(store.states()) == 8 * count
    while not (campaign.path / "context.log").read_text(encoding="utf-8") and time.monotonic() < end:
        time.sleep(0.1)
    assert "'spectra'" in (campaign.path / "context.log").read_text(encoding="utf-8")


def test_killed_half_way_it_goes_on_from_there(workspace: Workspace, world: OtherArchives) -> None:
    """What was found before the end is kept; the next run asks only for the rest."""
    connect(workspace, world)
    hang = threading.Event()
    world.faults.append(Fault("/gaia", times=-1, hang=hang))
    environment = {**os.environ, "EMBERLINE_VO": str(workspace.folder / "vo.toml")}
    environment["EMBERLINE_CACHE"] = str(workspace.folder / "cache")
    folder = workspace.folder / "search"
    process = subprocess.Popen([sys.executable, "-m", "emberline.campaign.panels", str(folder)], env=environment)
    end = time.monotonic() + 60
    while time.monotonic() < end and not any(state == "found" for state in states(workspace).values()):
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    hang.set()
    world.faults.clear()
    before = states(workspace)
    assert before
    campaign = Campaign(folder)
    asked = world.count("/hips2fits")
    done = sum(panel == "sky" and state == "found" for (_, panel), state in before.items())
    subprocess.run(
        [sys.executable, "-m", "emberline.campaign.panels", str(folder)], env=environment, check=True, timeout=120
    )
    after = states(workspace)
    assert len(after) == 8 * len(identifiers_of(campaign))
    assert set(after.values()) <= {"found", "nothing"}
    assert world.count("/hips2fits") - asked <= len(identifiers_of(campaign)) - done
    campaign.close()
