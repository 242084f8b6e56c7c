"""What all tests share: the pack of real spectra, when it is here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def _data_folder() -> Path | None:
    root = Path(__file__).resolve().parents[1]
    places = [os.environ.get("EMBERLINE_DATA"), root / ".." / "shared" / "data"]
    for place in places:
        if place and (Path(place) / "MANIFEST.csv").is_file():
            return Path(place).resolve()
    return None


_REAL_PROCESSES = ("tests/web/browser/", "tests/jobs/", "tests/vo/", "tests/engine/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of real servers, browsers and killed processes depend on a busy machine's clock: a failure is tried again.

    It is printed as a rerun, so it does not go unseen.
    """
    for item in items:
        if item.nodeid.startswith(_REAL_PROCESSES):
            item.add_marker(pytest.mark.flaky(reruns=2, reruns_delay=1))


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real spectra; tests that need it are skipped elsewhere."""
    folder = _data_folder()
    if folder is None:
        pytest.skip("the pack of real spectra is absent: set EMBERLINE_DATA or put it at ../shared/data")
    return folder
