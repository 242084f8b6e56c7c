"""What all tests share: the pack of real spectra, when it is here, and that nobody outside is asked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


def _data_folder() -> Path | None:
    root = Path(__file__).resolve().parents[1]
    places = [os.environ.get("EMBERLINE_DATA"), root / ".." / "shared" / "data"]
    for place in places:
        if place and (Path(place) / "MANIFEST.csv").is_file():
            return Path(place).resolve()
    return None


@pytest.fixture(scope="session", autouse=True)
def _nobody_is_asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whatever a test starts, other processes included, asks no service of the world unless it is told to."""
    folder = tmp_path_factory.mktemp("vo")
    (folder / "vo.toml").write_text("offline = true\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMBERLINE_VO", str(folder / "vo.toml"))
        patch.setenv("EMBERLINE_CACHE", str(folder / "cache"))
        yield


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real spectra; tests that need it are skipped elsewhere."""
    folder = _data_folder()
    if folder is None:
        pytest.skip("the pack of real spectra is absent: set EMBERLINE_DATA or put it at ../shared/data")
    return folder
