"""A server for each file of tests, with one account for each role."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emberline.jobs import Workspace
from emberline.web import passwords
from tests.web.servers import Server, new_workspace, serving


@pytest.fixture(scope="module", autouse=True)
def _cheap_passwords() -> Iterator[None]:
    """Hashing is slow by intention; one test of its own sees to the real cost."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "COST", 16)
        yield


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return new_workspace(tmp_path_factory.mktemp("workspace") / "survey")


@pytest.fixture(scope="module")
def server(workspace: Workspace, _cheap_passwords: None) -> Iterator[Server]:
    """Jobs stay as they are made: nobody runs them."""
    with serving(workspace) as running:
        yield running


@pytest.fixture(scope="module")
def working(tmp_path_factory: pytest.TempPathFactory, _cheap_passwords: None) -> Iterator[Server]:
    """Jobs are run."""
    with serving(new_workspace(tmp_path_factory.mktemp("working") / "survey"), supervise=True) as running:
        yield running
