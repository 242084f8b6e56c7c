"""The linear operator that blurs and rebins spectra: from a wavelength grid to the pixels of a recipe.

A spectrum is read as a flux density that is constant within each of its pixels. Row j of the matrix is then the
average over output pixel j of that function blurred by a Gaussian,

    W[j, i] = 1/Δ_j ∫_out j dλ ∫_in i dλ' G(λ - λ'; σ_j),

which has a closed form: with H(x) = x Φ(x/σ) + σ φ(x/σ), the integral of the Gaussian's cumulative distribution Φ, the
double integral over [a, b] and [c, d] is H(b - c) - H(a - c) - H(b - d) + H(a - d). Without blur H(x) = max(x, 0) and
W is the share of output pixel j that input pixel i covers.

The matrix is banded, so it is kept as dense tiles, each a few output pixels by the input pixels that they touch: BLAS
runs at full speed on a tile and only the columns of the window are ever read.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import threading
from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberline.spectra import Grid, Mask

__all__ = ["OPERATOR_VERSION", "LinearOperator", "Rebinned", "build_operator"]

OPERATOR_VERSION = 1
"""Raise it with every change that alters a feature value: recipes' hashes depend on it."""

FWHM = 2.0 * math.sqrt(2.0 * math.log(2.0))
"""Full width at half maximum of a Gaussian in standard deviations."""

_CUT = 5.0  # standard deviations after which the blur is cut off; 6e-7 of the weight lies beyond
_TILE = 28  # output pixels in one tile, about
_FULL = 1.0 - 1e-4  # a row with this weight is covered completely
_ROWS = 256  # spectra multiplied at a time: their part of the window then stays near between two tiles
_FEW = 0.15  # weights to subtract one by one, as a share of the output pixels, up to which that beats a product
_NO_WEIGHT = np.float32(1e-30)  # stands for an inverse variance that is not known, so that what it touches stands out
_HUGE = 1e24  # a variance that only `_NO_WEIGHT` brings about
_UNKNOWN_FWHM = 2.0  # pixels: spectrographs are built to sample their line-spread function about critically

Float32 = NDArray[np.float32]


@dataclasses.dataclass(frozen=True, slots=True)
class Rebinned:
    """Spectra on the recipe's pixels: `values`, `variance` and `weight`, each of shape (n, pixels).

    `weight` is the share of a pixel's weight that good input pixels carry: 1 when none is missing, 0 when nothing is
    known, and then the value and the variance are 0. The variance is infinite where a pixel without variance was used.
    """

    values: Float32
    variance: Float32
    weight: Float32
    doubt: Float32 | None = None
    """Of each spectrum the share of the weight, 0 to 1, that lies on pixels used without an inverse variance."""
    complete: bool = False
    """Every weight is 1 and nothing is in doubt."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Tile:
    rows: slice
    columns: slice
    weights: Float32  # (columns, rows): transposed, ready for `flux @ weights`
    squares: Float32


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class LinearOperator:
    """A banded matrix from the pixels of a grid to the pixels of a recipe; build it with `Recipe.operator`.

    Attributes
    ----------
    columns : slice
        The input pixels that matter: the support.
    pixels : int
        Number of output pixels.
    coverage : ndarray, shape (pixels,)
        Sum of each row of the matrix: less than 1 where the output pixel reaches outside the input grid.
    sigma_angstrom : float
        Standard deviation of the blur at the middle of the window; 0 for none.
    coarser : bool
        The spectra's resolving power is lower than the recipe's by more than 5 %: nothing was blurred.
    """

    columns: slice
    pixels: int
    coverage: Float32
    sigma_angstrom: float
    coarser: bool
    tiles: tuple[_Tile, ...] = dataclasses.field(repr=False)
    touched: tuple[NDArray[np.int32], Float32] = dataclasses.field(repr=False)
    """Per input pixel the output pixels that it reaches and its weights there: shape (columns, most reached)."""

    @property
    def nbytes(self) -> int:
        """Memory that it holds, about."""
        return sum(2 * tile.weights.nbytes for tile in self.tiles) + sum(array.nbytes for array in self.touched)

    @property
    def covered(self) -> bool:
        """Whether every output pixel lies wholly inside the input grid."""
        return bool((self.coverage == 1).all())

    @property
    def matrix(self) -> Float32:
        """The matrix over the support, dense: shape (pixels, columns); rows sum to 1, or to 0 without coverage."""
        matrix = np.zeros((self.pixels, self.columns.stop - self.columns.start), np.float32)
        for tile in self.tiles:
            matrix[tile.rows, tile.columns] = tile.weights.T
        return matrix

    def __call__(
        self,
        flux: Float32,
        ivar: Float32,
        mask: NDArray[np.uint8],
        *,
        variance: bool = True,
        use_weightless: bool = False,
    ) -> Rebinned:
        """Blur and rebin spectra.

        Parameters
        ----------
        flux, ivar, mask : ndarray, shape (n, grid.n)
            Flux density, inverse variance, and mask (0 = good). A pixel is bad when its mask is not 0 or its inverse
            variance is not positive; what flux it holds never matters.
        variance : bool
            Whether to propagate the variance; otherwise it is empty, shape (n, 0).
        use_weightless : bool
            Whether pixels whose mask is `Mask.NO_WEIGHT` and nothing else are good: their flux is used, and the share
            of the weight that they carry is returned as `doubt`.

        Returns
        -------
        Rebinned
            values = W(flux·good) / W(good) and variance = W²(good/ivar) / W(good)². The covariance between
            neighbouring pixels that blurring makes is not kept.
        """
        flux, ivar, mask = flux[:, self.columns], ivar[:, self.columns], mask[:, self.columns]
        if not mask.any() and ivar.min(initial=np.inf) > 0:
            return self._combine(flux, ivar, None, variance)
        bad = (mask != 0) | ~(ivar > 0)
        weightless = mask == Mask.NO_WEIGHT if use_weightless else None
        if weightless is None or not weightless.any():
            return self._combine(flux, ivar, bad, variance)
        out = self._combine(flux, np.where(weightless, _NO_WEIGHT, ivar), bad & ~weightless, variance)
        out.variance[out.variance > _HUGE] = np.inf
        doubt = (1.0 - self._remaining(weightless)).mean(axis=1).astype(np.float32)
        return dataclasses.replace(out, doubt=doubt, complete=False)

    def _combine(self, flux: Float32, ivar: Float32, bad: NDArray[np.bool_] | None, variance: bool) -> Rebinned:
        """The products, normalised; `flux`, `ivar` and `bad` (None for none) are those of the support."""
        shape = (flux.shape[0], self.pixels)
        values = np.zeros(shape, np.float32)
        spread = np.zeros(shape if variance else (shape[0], 0), np.float32)
        self._apply(flux if bad is None else np.where(bad, np.float32(0), flux), values)
        if variance:
            self._apply(np.reciprocal(ivar if bad is None else np.where(bad, np.float32(np.inf), ivar)), spread, True)
        if bad is None:
            return Rebinned(values, spread, np.broadcast_to(self.coverage, shape), complete=self.covered)
        remaining = self._remaining(bad)
        inverse = np.divide(1.0, remaining, out=np.zeros_like(remaining), where=remaining > 1.0 - _FULL)
        values *= inverse
        if variance:
            spread *= inverse * inverse
        np.multiply(np.minimum(remaining, 1.0, out=remaining), self.coverage, out=remaining)
        remaining[inverse == 0] = 0.0
        return Rebinned(values, spread, remaining)

    def _remaining(self, bad: NDArray[np.bool_]) -> Float32:
        """W(good), shape (n, pixels): what the bad pixels take away when they are few, or else a matrix product."""
        shape = (bad.shape[0], self.pixels)
        rows, columns = np.divmod(np.flatnonzero(bad), bad.shape[1])
        targets, weights = self.touched
        if rows.size * targets.shape[1] > _FEW * shape[0] * shape[1]:
            remaining = np.zeros(shape, np.float32)
            self._apply(np.subtract(1.0, bad, dtype=np.float32), remaining)
            return remaining
        flat = rows[:, None] * self.pixels + targets[columns]
        lost = np.bincount(flat.ravel(), weights[columns].ravel(), minlength=shape[0] * self.pixels)
        return np.subtract(1.0, lost.reshape(shape), dtype=np.float32, casting="same_kind")

    def _apply(self, block: Float32, out: Float32, squared: bool = False) -> None:
        for start in range(0, len(block), _ROWS):
            rows = slice(start, start + _ROWS)
            for tile in self.tiles:
                weights = tile.squares if squared else tile.weights
                np.matmul(block[rows, tile.columns], weights, out=out[rows, tile.rows])


def build_operator(
    grid: Grid,
    target: Grid,
    resolving_power: float | None = None,
    input_resolving_power: float = math.nan,
    factor: float = 1.0,
) -> LinearOperator:
    """Build the operator from `grid` to `target`, or find it among those built last.

    Parameters
    ----------
    grid : Grid
        Of the input spectra, vacuum Å.
    target : Grid
        The output pixels, vacuum Å.
    resolving_power : float, optional
        λ/Δλ (FWHM) to reach; None for no blur.
    input_resolving_power : float
        Of the input; NaN when unknown, which is read as a FWHM of two input pixels at the middle of the window.
    factor : float
        1 + z: the target pixels are looked for at `factor` times their wavelength.

    Returns
    -------
    LinearOperator
    """
    return _CACHE.get(grid, target, resolving_power, input_resolving_power, factor)


def _build(grid: Grid, target: Grid, resolving_power: float | None, given: float, factor: float) -> LinearOperator:
    edges = target.edges * factor
    centres = target.wavelength * factor
    middle = float(centres[centres.size // 2])
    ratio, coarser = _relative_sigma(grid, middle, resolving_power, given)
    low, high = pixel_bounds(grid)
    raw = _raw_tiles(low, high, edges, ratio * centres)
    coverage = np.zeros(target.n)
    for rows, _, weights in raw:
        coverage[rows] = weights.sum(axis=1)
    coverage = np.where(coverage > _FULL, 1.0, np.where(coverage < 1.0 - _FULL, 0.0, coverage))
    start = min((columns.start for _, columns, _ in raw), default=0)
    stop = max((columns.stop for _, columns, _ in raw), default=0)
    tiles = tuple(_tile(rows, columns, weights, start) for rows, columns, weights in raw)
    return LinearOperator(
        columns=slice(start, stop),
        pixels=target.n,
        coverage=coverage.astype(np.float32),
        sigma_angstrom=ratio * middle,
        coarser=coarser,
        tiles=tiles,
        touched=_touched(tiles, stop - start),
    )


def _relative_sigma(grid: Grid, middle: float, wanted: float | None, given: float) -> tuple[float, bool]:
    """σ/λ of the blur, after σ² = σ_wanted² - σ_given²; and whether the input is coarser than wanted."""
    if wanted is None:
        return 0.0, False
    if not given > 0:
        at = int(np.clip(np.searchsorted(grid.wavelength, middle), 1, grid.n - 1))
        given = middle / (_UNKNOWN_FWHM * float(grid.wavelength[at] - grid.wavelength[at - 1]))
    square = wanted**-2 - given**-2
    if square <= 0:
        return 0.0, given < 0.95 * wanted
    return math.sqrt(square) / FWHM, False


class _Cache:
    """The operators built last, as many as fit into `limit` bytes; those of one recipe serve millions of spectra."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.operators: OrderedDict[tuple[Any, ...], LinearOperator] = OrderedDict()
        self.lock = threading.Lock()

    def get(self, grid: Grid, target: Grid, wanted: float | None, given: float, factor: float) -> LinearOperator:
        key = (grid.key, target.key, target.step is None, wanted, None if math.isnan(given) else given, factor)
        with self.lock:
            if key not in self.operators:
                self.operators[key] = _build(grid, target, wanted, given, factor)
            self.operators.move_to_end(key)
            while len(self.operators) > 1 and sum(each.nbytes for each in self.operators.values()) > self.limit:
                self.operators.popitem(last=False)
            return self.operators[key]


_CACHE = _Cache(256 * 2**20)


def pixel_bounds(grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper edge of each pixel, Å; beside a gap in the grid a pixel keeps the width of its other side."""
    low, high = grid.edges[:-1], grid.edges[1:]
    below, above = grid.wavelength - low, high - grid.wavelength
    return grid.wavelength - np.where(below > 3 * above, above, below), grid.wavelength + np.where(
        above > 3 * below, below, above
    )


_RawTile = tuple[slice, slice, NDArray[np.float64]]


def _raw_tiles(
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    edges: NDArray[np.float64],
    sigma: NDArray[np.float64],
) -> list[_RawTile]:
    """The matrix in tiles of float64, rows not yet normalised; output pixels without any input are in no tile."""
    tiles = []
    ends = np.linspace(0, sigma.size, max(1, round(sigma.size / _TILE)) + 1).astype(int).tolist()
    for first, last in itertools.pairwise(ends):
        rows = slice(first, last)
        reach = _CUT * sigma[rows.stop - 1]
        start = int(np.searchsorted(high, edges[rows.start] - reach, side="right"))
        stop = int(np.searchsorted(low, edges[rows.stop] + reach, side="left"))
        if stop > start:
            columns = slice(start, stop)
            pieces = edges[rows.start : rows.stop], edges[rows.start + 1 : rows.stop + 1]
            tiles.append((rows, columns, _overlap(low[columns], high[columns], *pieces, sigma[rows])))
    return tiles


def _overlap(
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    left: NDArray[np.float64],
    right: NDArray[np.float64],
    sigma: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The weights W[j, i] of the module's docstring: shape (output pixels, input pixels)."""
    a, b, s = left[:, None], right[:, None], sigma[:, None]
    c, d = low[None, :], high[None, :]
    weights = _ramp(b - c, s) - _ramp(a - c, s) - _ramp(b - d, s) + _ramp(a - d, s)
    far = (c > b + _CUT * s) | (d < a - _CUT * s)
    return np.where(far, 0.0, np.maximum(weights, 0.0)) / (b - a)


def _ramp(x: NDArray[np.float64], sigma: NDArray[np.float64]) -> NDArray[np.float64]:
    """H(x): a ramp max(x, 0) blurred by a Gaussian."""
    from scipy.special import ndtr  # slow to import, and not needed to read a recipe

    if not sigma.any():
        return np.maximum(x, 0.0)
    t = x / sigma
    return np.asarray(x * ndtr(t) + sigma * np.exp(-0.5 * t * t) / math.sqrt(2.0 * math.pi))


def _tile(rows: slice, columns: slice, weights: NDArray[np.float64], start: int) -> _Tile:
    """Normalise the rows and bring the tile into the form that BLAS reads."""
    total = weights.sum(axis=1, keepdims=True)
    weights = np.divide(weights, total, out=np.zeros_like(weights), where=total >= 1.0 - _FULL)
    transposed = np.ascontiguousarray(weights.T, dtype=np.float32)
    return _Tile(rows, slice(columns.start - start, columns.stop - start), transposed, transposed**2)


def _touched(tiles: tuple[_Tile, ...], columns: int) -> tuple[NDArray[np.int32], Float32]:
    """The matrix by columns; short columns are padded with weight 0 on output pixel 0."""
    found = [np.nonzero(tile.weights) for tile in tiles]
    column = np.concatenate([[], *(at + tile.columns.start for tile, (at, _) in zip(tiles, found, strict=True))])
    target = np.concatenate([[], *(to + tile.rows.start for tile, (_, to) in zip(tiles, found, strict=True))])
    weight = np.concatenate([[], *(tile.weights[where] for tile, where in zip(tiles, found, strict=True))])
    column, target = column.astype(np.int64), target.astype(np.int64)
    order = np.argsort(column, kind="stable")
    column, target, weight = column[order], target[order], weight[order]
    count = np.bincount(column, minlength=columns)
    place = np.arange(column.size) - np.repeat(np.cumsum(count) - count, count)
    targets = np.zeros((columns, int(count.max(initial=1))), np.int32)
    weights = np.zeros(targets.shape, np.float32)
    targets[column, place], weights[column, place] = target, weight
    return targets, weights
