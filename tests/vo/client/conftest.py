"""What the tests of the client share: one server with all the other archives."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emberline.vo.client.session import Session
from tests.vo.client.other_archives import OtherArchives, other_archives


@pytest.fixture(scope="session")
def _others(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OtherArchives]:
    with other_archives(tmp_path_factory.mktemp("others") / "workspace") as others:
        yield others


@pytest.fixture
def others(_others: OtherArchives) -> Iterator[OtherArchives]:
    """The running server, with nothing asked yet and no faults; what a test makes of it is undone."""
    _others.asked.clear()
    _others.faults.clear()
    yield _others
    for fault in _others.faults:
        if fault.hang is not None:
            fault.hang.set()
    _others.faults.clear()


@pytest.fixture
def session(others: OtherArchives) -> Iterator[Session]:
    """A client that may ask the other archives; it keeps no answers."""
    with Session(others.config) as session:
        yield session
