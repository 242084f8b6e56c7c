"""Put a simulated survey into an archive, with its truth in a file beside the catalogue."""

from __future__ import annotations

from pathlib import Path

from emberline.archive.ingestion import IngestSummary
from emberline.progress import Progress, silent

__all__ = ["simulate"]


def simulate(
    into: str | Path,
    *,
    spectra: int,
    seed: int,
    prevalence: float | None = None,
    preset: str = "lamost",
    hosts: str | Path | None = None,
    workers: int | None = None,
    progress: Progress = silent,
) -> IngestSummary:
    """Simulate a survey into an archive."""
    raise NotImplementedError
