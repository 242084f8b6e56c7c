"""A recipe says how a spectrum becomes a feature vector: window, grid, resolution, frame, continuum, scaling."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import importlib.resources
import math
import os
from pathlib import Path
from typing import Literal

import numpy as np

from emberline import config
from emberline.errors import ConfigError, RecipeError
from emberline.features.operator import OPERATOR_VERSION, LinearOperator, build_operator
from emberline.provenance import hash_of
from emberline.spectra import SPEED_OF_LIGHT, Grid

__all__ = ["Continuum", "Recipe", "shipped_recipes"]

_NOT_NUMBERS = ("name", "description")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Continuum:
    """How the continuum is fitted and removed; see `emberline.features.continuum`.

    Attributes
    ----------
    kind : "polynomial"
        The shape that is fitted.
    degree : int
        Of the polynomial, 0 to 9.
    windows : tuple of (low, high)
        Vacuum Å where there is continuum; empty means the whole window of the recipe.
    iterations : int
        How often outliers are rejected and the fit is repeated.
    reject_below, reject_above : float
        A pixel further below or above the fit than this many standard deviations is left out.
    mode : "divide" or "subtract"
        ``divide`` gives a rectified spectrum; ``subtract`` suits fluxes whose zero point is not known.
    """

    kind: Literal["polynomial"] = "polynomial"
    degree: int = 2
    windows: tuple[tuple[float, float], ...] = ()
    iterations: int = 3
    reject_below: float = 2.0
    reject_above: float = 2.0
    mode: Literal["divide", "subtract"] = "divide"

    def __post_init__(self) -> None:
        if not 0 <= self.degree <= 9:
            raise ValueError(f"degree = {self.degree} makes no continuum: choose 0 to 9")
        if not 0 <= self.iterations <= 20:
            raise ValueError(f"iterations = {self.iterations} is outside 0 to 20")
        if not (self.reject_below > 0 and self.reject_above > 0):
            raise ValueError("reject_below and reject_above must be positive")
        for low, high in self.windows:
            if not 0 < low < high < math.inf:
                raise ValueError(f"the continuum window [{low}, {high}] must increase")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a spectrum becomes a feature vector. Read one with `Recipe.load`.

    Attributes
    ----------
    name, description : str
        For people; they change no number and are no part of `hash`.
    window_angstrom : (float, float)
        Vacuum Å of the CENTRES of the first and of the last pixel.
    pixels : int
        Length of the feature vector.
    sampling : "linear" or "log"
        Pixels of equal width in wavelength or in its logarithm.
    resolving_power : float, optional
        λ/Δλ (FWHM) to which sharper spectra are blurred; None leaves every spectrum as it is.
    coarser_input : "keep" or "flag"
        What to do with spectra of a lower resolving power, which nothing can sharpen.
    frame : "observed" or "rest"
        ``rest`` divides wavelengths by 1 + the catalogue's redshift; without redshift a spectrum is flagged.
    velocity_step_kms : float
        Redshifts are rounded to multiples of this velocity, so that spectra can share an operator.
    continuum : Continuum, optional
        Remove the continuum; None keeps it.
    scaling : "standard", "minmax" or "none"
        Mean 0 and standard deviation 1, or minimum 0 and maximum 1, over the good pixels of each spectrum.
    without_weight : "use" or "mask"
        What to do with pixels that have a flux but no inverse variance (`Mask.NO_WEIGHT`). ``use`` takes the flux and
        counts the pixel as bad in `max_bad_fraction` only; ``mask`` treats it as any bad pixel.
    max_bad_fraction : float
        A vector that lost more than this share of its weight to bad pixels is flagged.
    """

    name: str
    window_angstrom: tuple[float, float]
    pixels: int
    description: str = ""
    sampling: Literal["linear", "log"] = "linear"
    resolving_power: float | None = None
    coarser_input: Literal["keep", "flag"] = "keep"
    frame: Literal["observed", "rest"] = "observed"
    velocity_step_kms: float = 5.0
    continuum: Continuum | None = None
    scaling: Literal["standard", "minmax", "none"] = "standard"
    without_weight: Literal["use", "mask"] = "use"
    max_bad_fraction: float = 0.2

    def __post_init__(self) -> None:
        low, high = self.window_angstrom
        if not 0 < low < high < math.inf:
            raise ValueError(f"window_angstrom = [{low}, {high}] must be two increasing wavelengths in vacuum Å")
        if not 2 <= self.pixels <= 1_000_000:
            raise ValueError(f"pixels = {self.pixels} is outside 2 to 1000000")
        if self.resolving_power is not None and not 1 <= self.resolving_power < math.inf:
            raise ValueError(f"resolving_power = {self.resolving_power} must be 1 or more")
        if not 0 < self.velocity_step_kms < SPEED_OF_LIGHT:
            raise ValueError(f"velocity_step_kms = {self.velocity_step_kms} must be positive and less than light")
        if not 0 <= self.max_bad_fraction < 1:
            raise ValueError(f"max_bad_fraction = {self.max_bad_fraction} is outside 0 to 1 (1 excluded)")
        if self.continuum is not None:
            self._check_continuum(self.continuum)

    def _check_continuum(self, continuum: Continuum) -> None:
        low, high = self.window_angstrom
        for first, last in continuum.windows:
            if first < self.grid.edges[0] or last > self.grid.edges[-1]:
                raise ValueError(f"the continuum window [{first}, {last}] leaves the recipe's window [{low}, {high}]")
        inside = int(self.continuum_pixels.sum())
        if inside < continuum.degree + 2:
            raise ValueError(
                f"the continuum windows hold {inside} pixels, too few for a polynomial of degree {continuum.degree}"
            )

    @classmethod
    def load(cls, name_or_path: str | Path) -> Recipe:
        """Read a shipped recipe by its name, or any recipe from a TOML file.

        Raises
        ------
        RecipeError
            No shipped recipe has this name, or the file is missing or wrong; the message names the key.
        """
        text = os.fspath(name_or_path)
        folder = importlib.resources.files("emberline.features") / "recipes"
        if text in shipped_recipes() and not (isinstance(name_or_path, Path) and name_or_path.exists()):
            with importlib.resources.as_file(folder / f"{text}.toml") as path:
                return _from_file(cls, path)
        if not Path(text).exists() and os.sep not in text and not text.endswith(".toml"):
            raise _unknown_name(text)
        return _from_file(cls, Path(text))

    def to_toml(self) -> str:
        """The recipe as TOML text that `load` reads back to an equal recipe."""
        return config.to_toml(self)

    @functools.cached_property
    def hash(self) -> str:
        """16 hexadecimal digits of everything that changes a number, the version of the operator included."""
        numbers = {key: value for key, value in config.to_mapping(self).items() if key not in _NOT_NUMBERS}
        if self.frame == "observed":
            numbers.pop("velocity_step_kms")
        return hash_of({"operator": OPERATOR_VERSION, **numbers})

    @functools.cached_property
    def grid(self) -> Grid:
        """The pixels of the feature vector: vacuum Å, in the rest frame when `frame` is ``rest``."""
        low, high = self.window_angstrom
        if self.sampling == "linear":
            return Grid(np.array(np.linspace(low, high, self.pixels), dtype=np.float64))
        step = math.log10(high / low) / (self.pixels - 1)
        return Grid(np.array(10.0 ** (math.log10(low) + step * np.arange(self.pixels)), dtype=np.float64), step=step)

    @functools.cached_property
    def continuum_pixels(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Which pixels of `grid` the continuum is fitted to; all without declared windows."""
        wavelength = self.grid.wavelength
        windows = self.continuum.windows if self.continuum is not None else ()
        inside = np.full(self.pixels, not windows)
        for low, high in windows:
            inside |= (wavelength >= low) & (wavelength <= high)
        return inside

    def operator(self, grid: Grid, resolving_power: float = math.nan, redshift: float = 0.0) -> LinearOperator:
        """The linear operator that takes flux on `grid` to the recipe's pixels; built once, then remembered.

        Parameters
        ----------
        grid : Grid
            Of the spectra.
        resolving_power : float
            Of the spectra; NaN when unknown, which is read as a FWHM of two pixels.
        redshift : float
            Used when `frame` is ``rest``, rounded to `velocity_step_kms`.
        """
        bin_number = self.velocity_bin(redshift) if self.frame == "rest" else 0
        factor = math.exp(bin_number * self.velocity_step_kms / SPEED_OF_LIGHT)
        return build_operator(grid, self.grid, self.resolving_power, resolving_power, factor)

    def velocity_bin(self, redshift: float) -> int:
        """The number of the velocity bin: c ln(1 + z) in units of `velocity_step_kms`."""
        return round(SPEED_OF_LIGHT * math.log1p(redshift) / self.velocity_step_kms)


def shipped_recipes() -> tuple[str, ...]:
    """The names of the recipes that come with Emberline."""
    folder = importlib.resources.files("emberline.features") / "recipes"
    names = (item.name for item in folder.iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


def _from_file(kind: type[Recipe], path: Path) -> Recipe:
    try:
        return config.from_toml(kind, path)
    except ConfigError as error:
        raise RecipeError(
            error.message, where=error.where, found=error.found, expected=error.expected, action=error.action
        ) from error


def _unknown_name(text: str) -> RecipeError:
    known = shipped_recipes()
    near = difflib.get_close_matches(text, known, n=1, cutoff=0.4)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return RecipeError(
        f"no shipped recipe is called {text!r}",
        found=text,
        expected=f"one of {', '.join(known)}, or the path of a TOML file",
        action=f"{hint}A file's name ends in .toml.",
    )
