"""Throughput of recipes against the loops that published work used. Run: python benchmarks/features.py

Everything is measured in turn within one run, several times; medians are printed. Seconds are those of this process's
CPU time, so that rates are per core and other work on the machine disturbs them less. The loop blurs and interpolates
whole spectra one by one (`scipy.ndimage.gaussian_filter1d` + `numpy.interp`), without variance and without masks.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter1d

from emberline.features import Recipe, extract
from emberline.spectra import Grid, Mask, Metadata, SpectrumBlock

PIXELS = 3909
BYTES = 4 + 4 + 1  # flux, inverse variance and mask of one pixel


def make_block(rows: int, masked: float) -> SpectrumBlock:
    """Noise on LAMOST's grid, at R = 3000 so that the recipe has to blur."""
    rng = np.random.default_rng(1)
    grid = Grid.log10(3.5682, 1e-4, PIXELS)
    flux = rng.normal(100, 3, (rows, PIXELS)).astype(np.float32)
    mask = (rng.random(flux.shape) < masked).astype(np.uint8) * np.uint8(Mask.COSMIC)
    meta = [Metadata(identifier=str(row), resolving_power=3000.0) for row in range(rows)]
    return SpectrumBlock(grid, flux, np.full_like(flux, 1 / 9), mask, meta)


def loop(recipe: Recipe, block: SpectrumBlock, rows: int) -> None:
    """What published work did: blur every spectrum (as much as the recipe does), interpolate it, standardise it."""
    wavelength, target = block.grid.wavelength, recipe.grid.wavelength
    middle = int(np.searchsorted(wavelength, target[target.size // 2]))
    operator = recipe.operator(block.grid, 3000.0)
    sigma = operator.sigma_angstrom / float(wavelength[middle] - wavelength[middle - 1])
    for flux in block.flux[:rows]:
        blurred = gaussian_filter1d(flux, sigma)
        values = np.interp(target, wavelength, blurred)
        values -= values.mean()
        values /= values.std()


def specutils_loop(recipe: Recipe, block: SpectrumBlock, rows: int) -> Callable[[], object] | None:
    """The resampler of specutils, when it is installed."""
    warnings.simplefilter("ignore")
    try:
        import astropy.units as u
        from specutils import Spectrum as Spectrum1D
        from specutils.manipulation import FluxConservingResampler
    except ImportError:
        return None
    axis, target = block.grid.wavelength * u.AA, recipe.grid.wavelength * u.AA
    resampler = FluxConservingResampler()
    inputs = [Spectrum1D(spectral_axis=axis, flux=flux * u.one) for flux in block.flux[:rows]]
    return lambda: [resampler(spectrum, target) for spectrum in inputs]


def measure(jobs: dict[str, tuple[Callable[[], object], int]], repeats: int) -> dict[str, list[float]]:
    """Rate (units a CPU second) of each job in each repeat; the jobs take turns."""
    rates: dict[str, list[float]] = {name: [] for name in jobs}
    for repeat in range(repeats + 1):
        for name, (job, units) in jobs.items():
            start = time.process_time()
            job()
            if repeat:  # the first turn warms up
                rates[name].append(units / (time.process_time() - start))
    return rates


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="halpha-140")
    parser.add_argument("--rows", type=int, default=8192)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    recipe, rows = Recipe.load(options.recipe), options.rows
    clean, masked = make_block(rows, 0.0), make_block(rows, 0.01)
    support = recipe.operator(clean.grid, 3000.0).columns
    width = support.stop - support.start
    copy = np.empty_like(clean.flux)
    jobs: dict[str, tuple[Callable[[], object], int]] = {
        "copy": (lambda: np.copyto(copy, clean.flux), clean.flux.nbytes),
        "loop": (lambda: loop(recipe, clean, 500), 500),
        "clean": (lambda: extract(recipe, clean, ivar=False), rows),
        "clean, variance": (lambda: extract(recipe, clean), rows),
        "1 % masked": (lambda: extract(recipe, masked, ivar=False), rows),
        "1 % masked, variance": (lambda: extract(recipe, masked), rows),
    }
    resample = specutils_loop(recipe, clean, 5)
    if resample is not None:
        jobs["specutils"] = (resample, 5)
    rates = measure(jobs, options.repeats)
    report(rates, width, options.json)


def report(rates: dict[str, list[float]], width: int, as_json: bool) -> None:
    """Print medians, ratios to the loop within each repeat, and bytes a second."""
    bandwidth = statistics.median(rates["copy"]) / 1e9
    table = {}
    for name in rates:
        if name == "copy":
            continue
        rate = statistics.median(rates[name])
        ratios = [one / two for one, two in zip(rates[name], rates["loop"], strict=True)]
        touched = rate * width * BYTES / 1e9
        table[name] = {
            "spectra_per_second": round(rate),
            "times_loop": round(statistics.median(ratios), 2),
            "times_loop_range": [round(min(ratios), 2), round(max(ratios), 2)],
            "gb_per_second_touched": round(touched, 3),
            "gb_per_second_of_spectra": round(rate * PIXELS * BYTES / 1e9, 2),
        }
    if as_json:
        print(json.dumps({"copy_gb_per_second": round(bandwidth, 2), "support": width, "rates": table}, indent=2))
        return
    print(f"copy {bandwidth:.1f} GB/s; the recipe touches {width} of {PIXELS} pixels, {BYTES} bytes each; per core")
    print(f"{'':22}{'spectra/s':>12}{'× loop (range)':>26}{'GB/s touched':>14}{'GB/s of spectra':>17}")
    for name, row in table.items():
        low, high = row["times_loop_range"]
        ratio = f"{row['times_loop']:.1f} ({low:.1f} to {high:.1f})"
        print(
            f"{name:22}{row['spectra_per_second']:>12,}{ratio:>26}"
            f"{row['gb_per_second_touched']:>14.2f}{row['gb_per_second_of_spectra']:>17.1f}"
        )


if __name__ == "__main__":
    main()
