"""Turn a block of spectra into feature vectors by a recipe."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from emberline.features.continuum import fit_continuum
from emberline.features.operator import LinearOperator
from emberline.features.recipe import Recipe
from emberline.features.scaling import fill_gaps, scale
from emberline.spectra import SpectrumBlock

__all__ = ["FeatureBlock", "extract"]

_HALF = 0.5  # an output pixel that lost more than this share of its weight is bad and filled from its neighbours
_RESOLVING_POWER = operator.attrgetter("resolving_power")
_REDSHIFT = operator.attrgetter("redshift")
_CHUNK = 160_000  # pixels worked on at a time, so that what is made of them stays in the cache

Float32 = NDArray[np.float32]


@dataclasses.dataclass(frozen=True, slots=True)
class FeatureBlock:
    """Feature vectors, row by row as the spectra of the block.

    Attributes
    ----------
    values : ndarray of float32, shape (n, d)
        Always finite; 0 everywhere in a row of which nothing is known.
    ivar : ndarray of float32, shape (n, d)
        Inverse variance of `values`, 0 where it is not known. Empty, shape (n, 0), when it was not asked for.
    bad_fraction : ndarray of float32, shape (n,)
        The share of the vector's weight that fell on bad or absent pixels, or on pixels used without an inverse
        variance, 0 to 1.
    flagged : ndarray of bool, shape (n,)
        More bad pixels than the recipe allows, or no meaningful vector: constant, not finite, outside the coverage,
        without the redshift that the recipe needs, or without continuum.
    """

    values: Float32
    ivar: Float32
    bad_fraction: Float32
    flagged: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.values)


def extract(recipe: Recipe, block: SpectrumBlock, *, ivar: bool = True) -> FeatureBlock:
    """Apply a recipe to a block of spectra.

    Parameters
    ----------
    recipe : Recipe
    block : SpectrumBlock
        Rows may differ in resolving power and redshift: each group gets its operator.
    ivar : bool
        Whether to propagate the inverse variance; leaving it out saves about half of the time.

    Returns
    -------
    FeatureBlock
        One row per spectrum, in the block's order.
    """
    n = len(block)
    out = FeatureBlock(
        values=np.zeros((n, recipe.pixels), np.float32),
        ivar=np.zeros((n, recipe.pixels if ivar else 0), np.float32),
        bad_fraction=np.ones(n, np.float32),
        flagged=np.ones(n, np.bool_),
    )
    for rows, resolving_power, redshift in _groups(recipe, block):
        linear = recipe.operator(block.grid, resolving_power, redshift)
        width = max(recipe.pixels, linear.columns.stop - linear.columns.start)
        with np.errstate(all="ignore"):  # what overflows is not finite in the end, and that is flagged
            for part in _chunks(rows, max(64, _CHUNK // width)):
                _extract_rows(recipe, linear, block, part, out, ivar)
    return out


def _groups(recipe: Recipe, block: SpectrumBlock) -> Iterator[tuple[slice | NDArray[np.int64], float, float]]:
    """Rows that share an operator, with its resolving power and redshift; rows without redshift are left out."""
    powers = _three_digits(np.fromiter(map(_RESOLVING_POWER, block.meta), np.float64, len(block)))
    velocities = np.zeros(len(block), dtype=np.int64)
    usable = np.ones(len(block), dtype=np.bool_)
    redshifts = np.zeros(len(block))
    if recipe.frame == "rest":
        redshifts = np.fromiter(map(_REDSHIFT, block.meta), np.float64, len(block))
        usable = np.isfinite(redshifts) & (redshifts > -0.5)
        velocities[usable] = [recipe.velocity_bin(redshift) for redshift in redshifts[usable]]
    if len(block) and usable.all() and (powers == powers[0]).all() and (velocities == velocities[0]).all():
        yield slice(0, len(block)), float(powers[0]), float(redshifts[0])
        return
    keys = np.stack([powers, velocities], axis=1)
    for key in np.unique(keys[usable], axis=0):
        rows = np.flatnonzero(usable & (keys == key).all(axis=1))
        yield rows, float(key[0]), float(redshifts[rows[0]])


def _three_digits(powers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Resolving powers to three significant digits, so that few operators serve many spectra; 0 when unknown."""
    known = np.isfinite(powers) & (powers > 0)
    safe = np.where(known, powers, 1.0)
    unit = 10.0 ** (np.floor(np.log10(safe)) - 2)
    return np.where(known, np.round(safe / unit) * unit, 0.0)


def _chunks(rows: slice | NDArray[np.int64], size: int) -> Iterator[slice | NDArray[np.int64]]:
    if isinstance(rows, slice):
        for start in range(rows.start, rows.stop, size):
            yield slice(start, min(start + size, rows.stop))
    else:
        for start in range(0, rows.size, size):
            yield rows[start : start + size]


def _extract_rows(
    recipe: Recipe,
    linear: LinearOperator,
    block: SpectrumBlock,
    rows: slice | NDArray[np.int64],
    out: FeatureBlock,
    want_ivar: bool,
) -> None:
    """Fill `rows` of `out`; they all share `linear`."""
    arrays = block.flux[rows], block.ivar[rows], block.mask[rows]
    rebinned = linear(*arrays, variance=want_ivar, use_weightless=recipe.without_weight == "use")
    values, variance, weight = rebinned.values, rebinned.variance, rebinned.weight
    failed = np.full(len(values), linear.coarser and recipe.coarser_input == "flag")
    good = None if rebinned.complete else weight >= _HALF
    lost = np.zeros(len(values)) if good is None else np.clip(1.0 - weight.mean(axis=1, dtype=np.float64), 0.0, 1.0)
    if rebinned.doubt is not None:
        lost = np.clip(lost + rebinned.doubt, 0.0, 1.0)
    if good is not None:
        fill_gaps(values, good)
    if recipe.continuum is not None:
        failed |= _remove_continuum(recipe, values, variance, good)
    factor, unscaled = scale(values, good, recipe.scaling)
    out.values[rows] = values
    out.bad_fraction[rows] = lost
    out.flagged[rows] = failed | unscaled | (lost > recipe.max_bad_fraction)
    if want_ivar:
        inverse = 1.0 / (variance * (factor**2)[:, None])
        known = np.isfinite(inverse) if good is None else good & np.isfinite(inverse)
        out.ivar[rows] = np.where(known, inverse, np.float32(0))


def _remove_continuum(
    recipe: Recipe, values: Float32, variance: Float32, good: NDArray[np.bool_] | None
) -> NDArray[np.bool_]:
    """Rectify `values` and `variance` in place; the rows for which that failed become 0."""
    assert recipe.continuum is not None
    fitted = np.broadcast_to(recipe.continuum_pixels, values.shape)
    continuum, failed = fit_continuum(values, fitted if good is None else fitted & good, recipe.continuum)
    if recipe.continuum.mode == "subtract":
        values -= continuum
    else:
        failed |= ~(continuum > 0).all(axis=1)
        continuum[failed] = 1.0
        values /= continuum
        if variance.size:
            variance /= continuum**2
    values[failed] = 0.0
    return failed
