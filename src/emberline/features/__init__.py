"""Recipes: how spectra become feature vectors, as linear operators on blocks of spectra."""

from __future__ import annotations

from emberline.features.extract import FeatureBlock, extract
from emberline.features.operator import LinearOperator, build_operator
from emberline.features.recipe import Continuum, Recipe, shipped_recipes

__all__ = ["Continuum", "FeatureBlock", "LinearOperator", "Recipe", "build_operator", "extract", "shipped_recipes"]
