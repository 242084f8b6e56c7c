"""A spectroscopic survey with known truth, made from formulas: no files, no network, the same for a seed anywhere."""

from __future__ import annotations

from emberline.simulate.config import Survey
from emberline.simulate.hosts import HostSample
from emberline.simulate.population import CLASSES
from emberline.simulate.survey import SimulatedBlock, SimulatedFeatures, feature_block, make_block, survey

__all__ = [
    "CLASSES",
    "HostSample",
    "SimulatedBlock",
    "SimulatedFeatures",
    "Survey",
    "feature_block",
    "make_block",
    "survey",
]
