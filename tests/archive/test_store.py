"""The archive as a reader sees it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from archives import make_block

from emberline.archive import ingest_blocks, open_archive
from emberline.errors import ArchiveError


def test_spectra_come_back_as_they_went_in(tmp_path: Path) -> None:
    block = make_block(7, seed=1)
    ingest_blocks([block], tmp_path / "a", survey="test")
    archive = open_archive(tmp_path / "a")
    for row in (3, 0, 6):
        spectrum = archive.spectrum(block.identifiers[row])
        assert spectrum.grid == block.grid
        np.testing.assert_array_equal(spectrum.flux, block.flux[row])
        assert spectrum.meta.identifier == block.identifiers[row]


def test_unknown_spectrum_is_named(tmp_path: Path) -> None:
    ingest_blocks([make_block(2)], tmp_path / "a", survey="test")
    with pytest.raises(ArchiveError, match=r"no such spectrum.*nobody"):
        open_archive(tmp_path / "a").spectrum("nobody")
