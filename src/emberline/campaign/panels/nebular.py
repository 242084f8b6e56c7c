"""Nebular lines in a spectrum, measured on itself: [N II] and [S II] against what the same measure gives elsewhere."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from emberline.spectra import SPEED_OF_LIGHT, Mask, Spectrum
from emberline.spectral_lines import line_lists

__all__ = ["LEAST", "LineMeasure", "Nebular", "measure_nebular"]

LEAST = 4.0
"""How many times the error both [N II] and [S II] must reach for the pattern to be there."""

_EACH = 2.0  # times the error that each of [N II] 6583, [S II] 6716 and 6731 must reach
_BLUE, _RED = 6480.0, 6800.0  # Å in vacuum: what is looked at
_HALF = 14.0  # Å on both sides of a line that go into its fit
_HALPHA = 9.0  # Å on both sides of Hα that fits beside it leave out
_BLANK = np.concatenate([np.arange(6603.0, 6705.0, 6.0), np.arange(6746.0, 6790.0, 6.0)])
_BROADENING = 20.0  # km/s: heat and turbulence in a nebula, as a Gaussian's standard deviation
_VELOCITIES = np.arange(-125.0, 126.0, 25.0)
_LINES = (("[N II]", 6549.9), ("[N II]", 6585.3), ("[S II]", 6718.3), ("[S II]", 6732.7), ("Hα", 6564.6))


@dataclasses.dataclass(frozen=True)
class LineMeasure:
    """One line: its equivalent width (Å, positive in emission), and how many times its error that is."""

    name: str
    vacuum: float
    width: float
    significance: float


@dataclasses.dataclass(frozen=True)
class Nebular:
    """What was measured.

    Attributes
    ----------
    lines : tuple of LineMeasure
        The two [N II], the two [S II] and the narrow part of Hα.
    nitrogen, sulphur, hydrogen : float
        How many times the error the two [N II] together reach, the two [S II], and the narrow part of Hα (0 unless it
        rises above the continuum).
    velocity : float
        At which the forbidden lines together are strongest, km/s in the spectrum's own frame, to 25 km/s.
    seen : bool
        Whether the pattern of a nebula is there.
    """

    lines: tuple[LineMeasure, ...]
    nitrogen: float
    sulphur: float
    hydrogen: float
    velocity: float
    seen: bool

    @property
    def names(self) -> frozenset[str]:
        """The lines that are there in emission."""
        strengths = {"[N II]": self.nitrogen, "[S II]": self.sulphur, "Hα": self.hydrogen}
        return frozenset(name for name, strength in strengths.items() if strength >= LEAST)

    @property
    def widths(self) -> dict[str, float]:
        """Equivalent widths, Å, of the lines of one name together."""
        names = dict.fromkeys(line.name for line in self.lines)
        return {name: sum(line.width for line in self.lines if line.name == name) for name in names}


def measure_nebular(spectrum: Spectrum) -> Nebular | None:
    """Measure the pattern of a nebula in one spectrum.

    Each line is fitted, by least squares within 14 Å, with a parabola (the continuum, or the wing of Hα) and a Gaussian
    as wide as the instrument and a nebula make it; the core of Hα is left out of the fits beside it. The error is the
    scatter of the same fit at 26 places without lines, by their median absolute deviation: so noise, badly subtracted
    sky and the bands of cool stars all count. The two lines of an ion are taken together, [N II] with the weights 3
    and 1 that atomic physics gives them (Storey & Zeippen 2000, MNRAS 312, 813), [S II] alike, at the velocity between
    −125 and +125 km/s at which all together are strongest. The pattern is there when both ions reach 4 errors and
    each of [N II] 6583, [S II] 6716 and 6731 at least 2.

    Returns
    -------
    Nebular or None
        None when the spectrum does not reach from [N II] to [S II].
    """
    window = _window(spectrum)
    if window is None:
        return None
    blank = np.array([window.width_at(centre) for centre in _BLANK])
    blank = blank[np.isfinite(blank)]
    error = 1.4826 * float(np.median(np.abs(blank - np.median(blank)))) if blank.size >= 8 else 0.0
    rest = np.array([_vacuum(name, near) for name, near in _LINES])
    widths = np.array([[window.width_at(c * (1 + v / SPEED_OF_LIGHT)) for c in rest[:4]] for v in _VELOCITIES])
    if not error > 0 or not np.isfinite(widths).all():
        return None
    strength = widths / error
    nitrogen = (strength[:, 0] + 3 * strength[:, 1]) / math.sqrt(10)
    sulphur = (strength[:, 2] + strength[:, 3]) / math.sqrt(2)
    best = int(np.argmax(nitrogen + sulphur))
    velocity = float(_VELOCITIES[best])
    halpha = window.width_at(rest[4] * (1 + velocity / SPEED_OF_LIGHT), whole=True)
    measured = np.append(widths[best], halpha if math.isfinite(halpha) else 0.0)
    lines = tuple(
        LineMeasure(name, float(vacuum), float(width), float(width / error))
        for (name, _), vacuum, width in zip(_LINES, rest, measured, strict=True)
    )
    both = min(nitrogen[best], sulphur[best]) >= LEAST
    seen = bool(both and min(line.significance for line in lines[1:4]) >= _EACH)
    hydrogen = lines[4].significance if window.rises(rest[4] * (1 + velocity / SPEED_OF_LIGHT)) else 0.0
    return Nebular(lines, float(nitrogen[best]), float(sulphur[best]), hydrogen, velocity, seen)


@dataclasses.dataclass(frozen=True)
class _Window:
    """The neighbourhood of Hα in units of its median."""

    wavelength: NDArray[np.float64]
    flux: NDArray[np.float64]
    resolving_power: float
    pixel: float

    def width_at(self, centre: float, *, whole: bool = False) -> float:
        """Equivalent width in Å of a narrow line at `centre`; NaN where there are too few pixels.

        `whole` takes the core of Hα along.
        """
        first, last = np.searchsorted(self.wavelength, (centre - _HALF, centre + _HALF))
        wavelength, flux = self.wavelength[first:last], self.flux[first:last]
        if not whole:
            beside = np.abs(wavelength - _vacuum("Hα", 6564.6)) > _HALPHA
            wavelength, flux = wavelength[beside], flux[beside]
        x = wavelength - centre
        if x.size < 8 or x[0] > -2 or x[-1] < 2 or np.count_nonzero(np.abs(x) < 2 * self.pixel) < 2:
            return math.nan
        sigma = math.hypot(centre / self.resolving_power / 2.3548, centre * _BROADENING / SPEED_OF_LIGHT)
        sigma = max(sigma, self.pixel / 2)
        u = x / _HALF
        model = np.stack([np.ones_like(u), u, u * u, np.exp(-0.5 * (x / sigma) ** 2)], axis=1)
        fit = np.linalg.lstsq(model, flux, rcond=None)[0]
        return float(fit[3]) * sigma * math.sqrt(2 * math.pi)

    def rises(self, centre: float) -> bool:
        """Whether the line at `centre` stands above the continuum on both of its sides by three times the scatter."""
        x = np.abs(self.wavelength - centre)
        beside = self.flux[(x > 30) & (x < 80)]
        inside = self.flux[x < 2 * self.pixel]
        if beside.size < 10 or inside.size < 2:
            return False
        level = float(np.median(beside))
        scatter = 1.4826 * float(np.median(np.abs(np.diff(beside)))) / math.sqrt(2)
        return bool(inside.max() > level + 3 * scatter)


def _window(spectrum: Spectrum) -> _Window | None:
    wavelength = spectrum.wavelength
    good = (wavelength >= _BLUE) & (wavelength <= _RED) & np.isfinite(spectrum.flux)
    good &= (spectrum.mask & ~np.uint8(Mask.NO_WEIGHT)) == 0
    if good.sum() < 60:
        return None
    x, flux = wavelength[good], spectrum.flux[good].astype(float)
    level = float(np.median(flux))
    if not level > 0:
        return None
    power = spectrum.meta.resolving_power
    power = power if math.isfinite(power) and power > 100 else 1800.0
    return _Window(x, flux / level, power, float(np.median(np.diff(x))))


def _vacuum(name: str, near: float) -> float:
    """The vacuum wavelength of the line of that name that is nearest to `near`."""
    known = [line.vacuum for key in ("Hydrogen", "Nebulae") for line in line_lists()[key] if line.name == name]
    return min(known, key=lambda wavelength: abs(wavelength - near))
