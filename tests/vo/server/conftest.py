"""What the tests share: one running service of UWS, one workspace in which all is published."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import dal_sky
import httpx
import pytest
from publishing_sky import make_workspace, publish_all
from uws_service import Service, running


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server on a free port, with a supervisor that runs two jobs at a time."""
    with running(tmp_path_factory.mktemp("uws")) as service:
        yield service


@pytest.fixture
def vera(service: Service) -> Iterator[httpx.Client]:
    """The client of one user."""
    with service.client() as client:
        yield client


@pytest.fixture(scope="session")
def unpublished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the archive ``survey`` and the campaign ``search``; for copying."""
    return make_workspace(tmp_path_factory.mktemp("publishing") / "workspace")


@pytest.fixture(scope="session")
def published_folder(unpublished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with both published; not to be changed."""
    folder = tmp_path_factory.mktemp("published") / "workspace"
    shutil.copytree(unpublished, folder)
    return publish_all(folder)


@pytest.fixture
def own(unpublished: Path, tmp_path: Path) -> Path:
    """A copy of the unpublished workspace for one test."""
    shutil.copytree(unpublished, tmp_path / "workspace")
    return tmp_path / "workspace"


@pytest.fixture(scope="session")
def dal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dal_sky.Service]:
    """A server with all protocols of the data access layer, on two archives and a catalogue."""
    with dal_sky.serving(tmp_path_factory.mktemp("dal")) as service:
        yield service


@pytest.fixture(scope="session")
def tap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dal_sky.Service]:
    """A server with everything that is public."""
    from emberline.vo.server import vo_routes
    from emberline.vo.server.tap_jobs import tap_jobs_of

    with dal_sky.serving(tmp_path_factory.mktemp("tap"), vo_routes) as service:
        yield service
        tap_jobs_of(service.published).close()


@pytest.fixture(autouse=True)
def _pyvo_closes_its_connections(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """pyvo makes sessions that nobody closes; a warning of that would fail whatever test runs by then."""
    if "pyvo" not in sys.modules:
        yield
        return
    import requests

    with requests.Session() as session:
        monkeypatch.setattr("pyvo.utils.http.create_session", lambda: session)
        yield
