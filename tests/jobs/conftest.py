"""What the tests of the engine share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from emberline.confinement import Confinement
from emberline.jobs import JobStore
from tests.jobs.clerk import TYPES
from tests.jobs.harness import House


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    """A store of jobs that nobody runs."""
    with JobStore(tmp_path / "jobs", TYPES, Confinement(tmp_path)) as made:
        yield made


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A store whose supervisors and workers do not outlive the test."""
    built = House(tmp_path)
    try:
        yield built
    finally:
        built.close()
