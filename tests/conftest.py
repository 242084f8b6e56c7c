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


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real spectra; tests that need it are skipped elsewhere."""
    folder = _data_folder()
    if folder is None:
        pytest.skip("the pack of real spectra is absent: set EMBERLINE_DATA or put it at ../shared/data")
    return folder
