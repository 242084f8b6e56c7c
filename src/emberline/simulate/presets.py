"""The instruments that a simulated survey can be taken with: grid, resolution, noise and how often things go wrong."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from emberline.spectra import SPEED_OF_LIGHT, Grid, air_to_vacuum

__all__ = ["PRESETS", "Preset", "PresetName", "Window"]

PresetName = Literal["lamost", "ondrejov"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preset:
    """One instrument and what a survey with it looks like.

    Attributes
    ----------
    start, step, pixels : float, float, int
        The detector's grid: log10 Å for ``sampling="log"``, ångström in air for ``sampling="linear"``.
    resolving_power : float
        λ/Δλ (FWHM) of the Gaussian line-spread function, constant over the range.
    work_step : float
        Kilometres per second between the points of the internal grid.
    kernel : int
        Points of the kernel that broadens and shifts (a power of two): it bounds velocity + v sin i.
    snr_median, snr_scatter : float
        Signal to noise per pixel at `reference` Å: median, and standard deviation of its natural logarithm.
    zero_point : float
        Scatter of the wavelength zero point in km/s; three times as many in a few per cent of the spectra.
    """

    name: PresetName
    survey: str
    sampling: Literal["log", "linear"]
    start: float
    step: float
    pixels: int
    resolving_power: float
    work_step: float
    kernel: int
    reference: float
    snr_median: float
    snr_scatter: float
    prevalence: float
    repeats: float
    zero_point: float
    telluric: float
    cosmics: float
    dead: float
    arms: bool
    rectified: bool
    medium: Literal["vacuum", "air"] = "vacuum"

    @functools.cached_property
    def grid(self) -> Grid:
        """The pixel centres, vacuum ångström."""
        if self.sampling == "log":
            return Grid.log10(self.start, self.step, self.pixels)
        return Grid(air_to_vacuum(self.start + self.step * np.arange(self.pixels)))

    @property
    def work_is_grid(self) -> bool:
        """Whether the internal grid is the detector's own."""
        return self.sampling == "log"

    @functools.cached_property
    def work(self) -> tuple[float, float, int]:
        """The internal grid, even in ln λ: logarithm of the first point, step, number of points."""
        wavelength = self.grid.wavelength
        if self.work_is_grid:
            return math.log(wavelength[0]), self.step * math.log(10.0), self.pixels
        step = self.work_step / SPEED_OF_LIGHT
        first = math.log(wavelength[0]) - 4 * step
        return first, step, int((math.log(wavelength[-1]) - first) / step) + 6

    @property
    def velocity_step(self) -> float:
        """Kilometres per second between internal grid points."""
        return self.work[1] * SPEED_OF_LIGHT


@dataclasses.dataclass(frozen=True)
class Window:
    """A run of detector pixels, ``first`` to ``first + n - 1``: all of them, or what a recipe needs."""

    preset: Preset
    first: int
    n: int

    @classmethod
    def whole(cls, preset: Preset) -> Window:
        """All pixels."""
        return cls(preset, 0, preset.grid.n)

    @classmethod
    def covering(cls, preset: Preset, low: float, high: float) -> Window:
        """The pixels from `low` to `high` Å, two at the least."""
        inside = np.searchsorted(preset.grid.wavelength, [low, high])
        first = int(np.clip(inside[0] - 1, 0, preset.grid.n - 2))
        last = int(np.clip(inside[1] + 1, first + 2, preset.grid.n))
        return cls(preset, first, last - first)

    @functools.cached_property
    def grid(self) -> Grid:
        """The grid of these pixels; of the same logarithmic family as the whole."""
        whole = self.preset.grid
        if self.n == whole.n:
            return whole
        if whole.step is not None and whole.first is not None:
            return Grid.log10_family(whole.step, whole.first + self.first, self.n, phase=whole.phase)
        return Grid(whole.wavelength[self.first : self.first + self.n])

    @functools.cached_property
    def work(self) -> tuple[int, int]:
        """First point and number of points of the internal grid beneath these pixels."""
        if self.preset.work_is_grid:
            return self.first, self.n
        start, step, n = self.preset.work
        ends = (np.log(self.grid.wavelength[[0, -1]]) - start) / step
        low, high = max(0, int(ends[0]) - 2), min(n, int(ends[1]) + 4)
        return low, high - low

    @functools.cached_property
    def work_wavelength(self) -> NDArray[np.float64]:
        """Vacuum ångström of the internal grid points."""
        start, step, _ = self.preset.work
        first, n = self.work
        return np.asarray(np.exp(start + step * np.arange(first, first + n)))


PRESETS: dict[PresetName, Preset] = {
    "lamost": Preset(
        name="lamost",
        survey="simulated LAMOST LRS",
        sampling="log",
        start=3.5682,
        step=1e-4,
        pixels=3909,
        resolving_power=1800.0,
        work_step=69.0,
        kernel=32,
        reference=6200.0,
        snr_median=74.0,
        snr_scatter=0.95,
        prevalence=0.005,
        repeats=0.1,
        zero_point=6.0,
        telluric=0.12,
        cosmics=0.5,
        dead=1.0,
        arms=True,
        rectified=False,
    ),
    "ondrejov": Preset(
        name="ondrejov",
        survey="simulated Ondřejov CCD700",
        sampling="linear",
        start=6265.0,
        step=0.2567,
        pixels=1997,
        resolving_power=13000.0,
        work_step=8.0,
        kernel=128,
        reference=6500.0,
        snr_median=170.0,
        snr_scatter=0.6,
        prevalence=0.55,
        repeats=0.85,
        zero_point=1.5,
        telluric=1.0,
        cosmics=0.3,
        dead=0.05,
        arms=False,
        rectified=True,
        medium="air",
    ),
}
"""What each preset means. S/N of LAMOST: the percentiles of the r-band S/N of public spectra."""
