"""The operator blurs and rebins: what it must conserve, and what must not matter."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emberline.features import build_operator
from emberline.features.operator import _Cache, pixel_bounds
from emberline.spectra import Grid

FWHM = 2.3548200450309493
FEW = settings(deadline=None, max_examples=25)

input_grids = st.one_of(
    st.builds(lambda start, step: Grid.log10(start, step, 400), st.floats(3.80, 3.812), st.floats(5e-5, 1.5e-4)),
    st.builds(lambda start, step: Grid.linear(start, step, 500), st.floats(6380, 6490), st.floats(0.6, 1.2)),
    st.builds(
        lambda seed: Grid(6400 + np.cumsum(np.random.default_rng(seed).uniform(0.3, 0.9, 700))), st.integers(0, 99)
    ),
)
targets = st.builds(
    lambda low, width, n: Grid(np.linspace(low, low + width, n)),
    st.floats(6500, 6540),
    st.floats(60, 140),
    st.integers(30, 200),
)
powers = st.one_of(st.none(), st.floats(500, 3000))


def clean(grid: Grid, flux: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flux (one or more rows) with unit weights and no mask."""
    rows = np.atleast_2d(flux).astype(np.float32)
    return rows, np.ones_like(rows), np.zeros(rows.shape, np.uint8)


def apply(operator, grid: Grid, flux: np.ndarray) -> np.ndarray:
    return operator(*clean(grid, flux)).values[0]


def gaussian(grid: Grid, centre: float, sigma: float) -> np.ndarray:
    """Pixel averages of a Gaussian line of unit area."""
    low, high = grid.edges[:-1], grid.edges[1:]
    cumulative = [[math.erf((edge - centre) / (sigma * math.sqrt(2))) / 2 for edge in edges] for edges in (low, high)]
    return (np.array(cumulative[1]) - np.array(cumulative[0])) / (high - low)


def moments(grid: Grid, flux: np.ndarray) -> tuple[float, float, float]:
    """Area, centre and standard deviation of a line."""
    weight = flux.astype(np.float64) * np.diff(grid.edges)
    area = weight.sum()
    centre = (weight * grid.wavelength).sum() / area
    return float(area), float(centre), float(np.sqrt((weight * (grid.wavelength - centre) ** 2).sum() / area))


@FEW
@given(input_grids, targets, powers, st.floats(-1e3, 1e3))
def test_a_constant_stays_that_constant(grid, target, power, level):
    operator = build_operator(grid, target, power)
    covered = operator.coverage == 1
    values = apply(operator, grid, np.full(grid.n, level))
    assert values[covered] == pytest.approx(level, rel=3e-6, abs=1e-6)


@FEW
@given(input_grids, targets, powers, st.floats(0.3, 0.7), st.floats(1.5, 3.0))
def test_the_flux_and_the_centre_of_a_line_are_conserved(grid, target, power, place, sigma):
    centre = target.wavelength[0] + place * (target.wavelength[-1] - target.wavelength[0])
    operator = build_operator(grid, target, power, 20000.0)
    line = gaussian(grid, centre, sigma)
    reach = 5 * math.hypot(sigma, operator.sigma_angstrom) + 3
    if not (
        target.edges[0] + reach < centre < target.edges[-1] - reach and grid.covers(centre - reach, centre + reach)
    ):
        return
    area, found, _ = moments(target, apply(operator, grid, line))
    assert area == pytest.approx(1.0, abs=2e-4)
    assert found == pytest.approx(centre, abs=0.02 * (1 + float(np.diff(target.edges).max())))


@FEW
@given(input_grids, targets, powers, st.integers(0, 99), st.floats(-3, 3), st.floats(-3, 3))
def test_it_is_linear(grid, target, power, seed, a, b):
    operator = build_operator(grid, target, power)
    x, y = np.random.default_rng(seed).normal(size=(2, grid.n))
    together = apply(operator, grid, a * x + b * y)
    assert together == pytest.approx(a * apply(operator, grid, x) + b * apply(operator, grid, y), abs=2e-5)


@pytest.mark.parametrize("given_power", [5000.0, 13000.0, 115000.0])
@pytest.mark.parametrize("wanted", [800.0, 1800.0])
def test_a_line_becomes_as_wide_as_predicted(given_power, wanted):
    grid, target = Grid.linear(6400, 0.1, 4000), Grid.linear(6450, 0.2, 1400)
    before = 6600 / given_power / FWHM
    operator = build_operator(grid, target, wanted, given_power)
    _, _, width = moments(target, apply(operator, grid, gaussian(grid, 6600.0, before)))
    pixels = 0.1**2 / 12 + 0.2**2 / 12
    assert width == pytest.approx(math.sqrt((6600 / wanted / FWHM) ** 2 + pixels), rel=2e-3)


def test_a_coarser_input_is_left_as_it_is_and_says_so():
    grid, target = Grid.linear(6400, 0.5, 800), Grid.linear(6500, 1.0, 200)
    operator = build_operator(grid, target, 1800.0, 1000.0)
    assert operator.coarser
    assert operator.sigma_angstrom == 0.0
    assert not build_operator(grid, target, 1800.0, 1800.0).coarser


def test_an_unknown_resolving_power_is_read_as_two_pixels():
    grid, target = Grid.linear(6400, 0.5, 800), Grid.linear(6500, 1.0, 200)
    unknown = build_operator(grid, target, 1800.0, math.nan)
    known = build_operator(grid, target, 1800.0, float(target.wavelength[100]) / 1.0)
    assert unknown.sigma_angstrom == pytest.approx(known.sigma_angstrom, rel=1e-9)
    assert build_operator(grid, target, None).sigma_angstrom == 0.0


def test_without_blur_a_pixel_gets_the_shares_of_the_pixels_it_covers():
    grid, target = Grid.linear(100.0, 1.0, 10), Grid.linear(102.25, 1.0, 3)
    values = apply(build_operator(grid, target), grid, np.arange(10.0))
    assert values == pytest.approx([2.25, 3.25, 4.25])


@FEW
@given(input_grids, targets, powers, st.integers(0, 99), st.floats(0.002, 0.3))
def test_what_a_masked_pixel_holds_never_matters(grid, target, power, seed, share):
    rng = np.random.default_rng(seed)
    flux, ivar, mask = clean(grid, rng.normal(100, 3, (4, grid.n)))
    mask[rng.random(mask.shape) < share] = 1
    other, weights = flux.copy(), ivar.copy()
    other[mask > 0] = rng.choice([np.nan, np.inf, -1e30, 0.0], int((mask > 0).sum()))
    weights[mask > 0] = rng.choice([np.nan, 0.0, 1e-30], int((mask > 0).sum()))
    operator = build_operator(grid, target, power)
    one, two = operator(flux, ivar, mask), operator(other, weights, mask)
    assert np.array_equal(one.values, two.values)
    assert np.array_equal(one.variance, two.variance)
    assert np.array_equal(one.weight, two.weight)


@FEW
@given(input_grids, targets, powers, st.integers(0, 99), st.floats(0.002, 0.4))
def test_normalised_convolution_equals_the_dense_matrix(grid, target, power, seed, share):
    rng = np.random.default_rng(seed)
    flux, ivar, mask = clean(grid, rng.normal(10, 3, (3, grid.n)))
    ivar = rng.uniform(0.5, 2, ivar.shape).astype(np.float32)
    mask[rng.random(mask.shape) < share] = 1
    operator = build_operator(grid, target, power)
    result = operator(flux, ivar, mask)
    good = (mask == 0)[:, operator.columns].astype(np.float64)
    matrix = operator.matrix.astype(np.float64)
    weight = good @ matrix.T
    some = weight > 0.01
    values = (flux[:, operator.columns] * good) @ matrix.T / np.where(some, weight, 1)
    variance = (good / ivar[:, operator.columns]) @ (matrix.T**2) / np.where(some, weight, 1) ** 2
    assert result.values[some] == pytest.approx(values[some], rel=2e-3, abs=1e-3)
    assert result.variance[some] == pytest.approx(variance[some], rel=2e-3)
    assert result.weight == pytest.approx(weight * operator.coverage, abs=1e-4)


def test_the_variance_is_that_of_many_realisations():
    rng = np.random.default_rng(5)
    grid, target = Grid.log10(3.81, 1e-4, 300), Grid(np.linspace(6519, 6732, 140))
    sigma = rng.uniform(0.5, 3, grid.n).astype(np.float32)
    noise = rng.normal(size=(20000, grid.n)).astype(np.float32) * sigma
    mask = np.zeros(grid.n, np.uint8)
    mask[rng.random(grid.n) < 0.05] = 1
    rows = np.broadcast_to(mask, noise.shape)
    operator = build_operator(grid, target, 1000.0, 1800.0)
    result = operator(noise, np.broadcast_to(sigma**-2, noise.shape), rows)
    assert result.variance[0] == pytest.approx(result.values.var(axis=0), rel=0.06)
    assert (result.weight.min(axis=0) < 1).any()


def test_log_and_linear_grids_of_one_spectrum_agree():
    def spectrum(grid: Grid) -> np.ndarray:
        return 5.0 + 40 * gaussian(grid, 6564.6, 3.0) - 20 * gaussian(grid, 6600, 2.0)

    target = Grid(np.linspace(6519, 6732, 140))
    log, linear = Grid.log10(3.80, 2e-5, 2000), Grid.linear(6400, 0.25, 1600)
    one = apply(build_operator(log, target, 1800.0, 9000.0), log, spectrum(log))
    two = apply(build_operator(linear, target, 1800.0, 9000.0), linear, spectrum(linear))
    assert one == pytest.approx(two, abs=2e-3)


def test_outside_the_coverage_there_is_no_weight():
    grid, target = Grid.linear(6550, 1.0, 100), Grid.linear(6500, 1.0, 100)
    operator = build_operator(grid, target)
    assert (operator.coverage[:49] == 0).all()
    assert (operator.coverage[51:] == 1).all()
    nowhere = build_operator(Grid.linear(4000, 1.0, 100), target)
    result = nowhere(*clean(Grid.linear(4000, 1.0, 100), np.ones(100)))
    assert not result.weight.any()
    assert not result.values.any()


def test_a_gap_between_two_arms_has_no_weight():
    grid = Grid(np.concatenate([6500 + np.arange(50.0), 6600 + np.arange(50.0)]))
    low, high = pixel_bounds(grid)
    assert high[49] == pytest.approx(6549.5)
    assert low[50] == pytest.approx(6599.5)
    operator = build_operator(grid, Grid.linear(6510, 1.0, 130))
    assert (operator.coverage[41:89] == 0).all()
    assert operator.coverage[0] == operator.coverage[-1] == 1


def test_a_redshifted_line_comes_back_to_its_rest_wavelength():
    redshift = 0.031
    grid, target = Grid.log10(3.80, 1e-4, 500), Grid.linear(6540, 0.5, 100)
    line = gaussian(grid, 6564.61 * (1 + redshift), 3.0)
    values = apply(build_operator(grid, target, None, factor=1 + redshift), grid, line)
    assert moments(target, values)[1] == pytest.approx(6564.61, abs=0.05)


def test_an_operator_is_built_once():
    target = Grid.linear(6500, 1.0, 100)
    one = build_operator(Grid.log10(3.80, 1e-4, 500), target, 1800.0, 5000.0)
    assert build_operator(Grid.log10(3.80, 1e-4, 500), Grid.linear(6500, 1.0, 100), 1800.0, 5000.0) is one


def test_operators_are_forgotten_before_they_fill_the_memory():
    cache = _Cache(limit=400_000)
    target = Grid.linear(6500, 1.0, 100)
    grids = [Grid.linear(6400 + 0.01 * i, 0.5, 600) for i in range(20)]
    for grid in grids:
        cache.get(grid, target, 1800.0, 5000.0, 1.0)
    assert 1 < len(cache.operators) < 20
    assert sum(each.nbytes for each in cache.operators.values()) <= 400_000
    last = cache.get(grids[-1], target, 1800.0, 5000.0, 1.0)
    assert cache.get(grids[-1], target, 1800.0, 5000.0, 1.0) is last
    assert cache.get(grids[-1], target, 1800.0, math.nan, 1.0) is cache.get(grids[-1], target, 1800.0, math.nan, 1.0)
