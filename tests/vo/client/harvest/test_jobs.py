"""The job: its parameters are checked together, and a second attempt goes on without asking the services again."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from emberline.confinement import Confinement
from emberline.jobs import JobContext, ParameterError
from emberline.jobs.parameters import validate
from emberline.vo.client.harvest.jobs import HARVEST, HarvestParameters, run_harvest
from tests.vo.client.harvest.spectra import FITS, image_spectrum, listing
from tests.vo.client.misbehaving import PAGE, Misbehaving


@pytest.mark.parametrize(
    ("given", "name", "message"),
    [
        ({"ssap": ["https://x.test"]}, "position", "position is missing"),
        ({"position": ["1 2"]}, "ssap", "ssap is missing"),
        ({"tap": "SELECT 1"}, "service", "service is missing"),
        ({"service": "https://x.test"}, "tap", "tap is missing"),
        ({"ssap": ["x.test"], "position": ["1 2"]}, "ssap", "is no address"),
        ({"size": "big"}, "size", "cannot be understood"),
        ({"band": "red"}, "band", "cannot be understood"),
        ({"time": "soon"}, "time", "cannot be understood"),
        ({"option": ["x"]}, "option", "cannot be understood"),
        ({"limit": 0}, "limit", "choose 1 or more"),
        ({"into": "../out"}, "into", "leads out of the workspace"),
        ({"votable": "/etc/passwd"}, "votable", "leads out of the workspace"),
    ],
)
def test_parameters_that_are_wrong(tmp_path: Path, given: dict[str, Any], name: str, message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        validate(HARVEST, {"into": "a", **given}, Confinement(tmp_path))
    assert message in caught.value.fields[name]


def context(workspace: Path, checkpoint: dict[str, Any] | None = None) -> JobContext:
    (workspace / "results").mkdir(exist_ok=True)
    return JobContext(
        folder=workspace / "results",
        checkpoint=checkpoint,
        confinement=Confinement(workspace),
        log=logging.getLogger("test"),
    )


def test_the_job_uses_the_workspaces_configuration_and_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBERLINE_CACHE", str(tmp_path / "cache"))
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    with Misbehaving() as server:
        (workspace / "vo.toml").write_text(f'allow = ["{server.host}"]\nrate = 1000.0\ntries = 1\n')
        rows = [
            {"url": server.serve("/a.fits", image_spectrum(), FITS)},
            {"url": server.serve("/page", PAGE, "text/html")},
        ]
        service = server.serve("/ssa", listing(*rows))
        parameters = HarvestParameters(into=workspace / "archive", ssap=(service,), position=("1 2",))
        first = context(workspace)
        summary = run_harvest(parameters, first)
        assert (summary["archive"], summary["spectra"], summary["failed"]) == ("archive", 1, 1)
        assert first.checkpoint == {"selected": True}
        second = run_harvest(parameters, context(workspace, first.checkpoint))
        assert (second["selected"], second["fetched"], second["services"]) == (0, 0, ())
        assert server.count("/ssa") == 1
